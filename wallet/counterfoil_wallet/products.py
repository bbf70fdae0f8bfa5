"""The cards about a product whose code was scanned: its warranty, its receipt, who owns it."""

from typing import Final

from counterfoil_credentials.claims import ClaimPath, values_at
from counterfoil_credentials.digital_link import DigitalLink

from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.store import Store

# As the catalogue of docs/catalogue.md spells them.
_GTINS: Final[tuple[ClaimPath, ...]] = (("item", "gtin"), ("lines", None, "gtin"))
_SERIAL: Final[ClaimPath] = ("item", "serial")
_LENGTHS: Final = (14, 13, 12, 8)


def cards_about(product: DigitalLink, store: Store) -> list[HeldCredential]:
    """Give the cards that name the product's GTIN, in whichever length it is written.

    Where the link and the card both name an item, it must be the same one. Oldest first.
    """
    padding = len(product.gtin) - len(product.gtin.lstrip("0"))
    spellings = [product.gtin[14 - length :] for length in _LENGTHS if 14 - length <= padding]
    named = {
        card.credential_id
        for path in _GTINS
        for spelling in spellings
        for card in store.cards_with(path, spelling)
    }
    return [
        card
        for card in store.cards()
        if card.credential_id in named and _may_be(card, product.serial)
    ]


def _may_be(card: HeldCredential, serial: str | None) -> bool:
    serials = values_at(card.claims, _SERIAL)
    return serial is None or not serials or serial in serials
