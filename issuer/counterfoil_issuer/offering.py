"""Offer what follows from an order: a link for the wallet, a code for the customer.

Offering an order again is safe at any time. What a wallet has stored is not
offered again; every earlier offer of the rest stops working, with its token.

OpenID4VCI 1.0, sections 4.1 and 13.6.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.offers import CredentialOffer, TxCode

from counterfoil_issuer.orders import Dataset, Order, datasets_of
from counterfoil_issuer.records import (
    SECRET_BYTES,
    CredentialRecord,
    OfferId,
    OfferRecord,
    OfferState,
    Random,
    dataset_ids,
    random_below,
    secret_hash,
    tx_code_mac,
)
from counterfoil_issuer.store import Held

TX_CODE_DIGITS: Final = 6
TX_CODE_DESCRIPTION: Final = "The six digits that came with your order confirmation"
_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOffer:
    """An offer just made. `link` and `tx_code` are shown once; only hashes stay here.

    Send `tx_code` another way than `link`: together they are the credential.
    """

    offer_id: OfferId
    link: str = field(repr=False)
    tx_code: str | None = field(repr=False)
    expires_at: datetime
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The answer to offering an order: what is open now, and what was issued before."""

    offers: tuple[OpenOffer, ...]
    issued: tuple[CredentialRecord, ...]


def offer_order(
    held: Held,
    order: Order,
    *,
    issuer: str,
    key: bytes,
    with_tx_code: bool,
    lasts: timedelta,
    now: datetime,
    random: Random,
) -> Offered:
    """Offer every dataset of `order` that no wallet has stored yet."""
    issued: list[CredentialRecord] = []
    offers: list[OpenOffer] = []
    for group in datasets_of(order):
        wanted: list[Dataset] = []
        for dataset in group:
            record = held.current_credential(dataset.dataset_id)
            # A credential that was sent and not acknowledged may have been lost on its
            # way: it is offered again. A revoked one is not: the goods went back.
            if record is not None and (record.acknowledged_at or record.revoked_at):
                issued.append(record)
            else:
                wanted.append(dataset)
        if wanted:
            datasets = tuple(wanted)
            held.replace_offers(order.number, dataset_ids(datasets))
            offers.append(
                _offer(
                    held,
                    datasets,
                    issuer=issuer,
                    key=key,
                    with_tx_code=with_tx_code,
                    expires_at=now + lasts,
                    random=random,
                )
            )
    return Offered(offers=tuple(offers), issued=tuple(issued))


def _offer(
    held: Held,
    datasets: tuple[Dataset, ...],
    *,
    issuer: str,
    key: bytes,
    with_tx_code: bool,
    expires_at: datetime,
    random: Random,
) -> OpenOffer:
    offer_id = OfferId(b64url(random(_ID_BYTES)))
    code = b64url(random(SECRET_BYTES))
    tx_code = _digits(random) if with_tx_code else None
    held.add_offer(
        OfferRecord(
            offer_id=offer_id,
            order_number=datasets[0].order_number,
            code_hash=secret_hash(code),
            tx_code_mac=None if tx_code is None else tx_code_mac(key, offer_id, tx_code),
            attempts=0,
            state=OfferState.OPEN,
            expires_at=expires_at,
            datasets=datasets,
        )
    )
    offer = CredentialOffer(
        issuer=issuer,
        configuration_ids=tuple(dataset.type_name for dataset in datasets),
        pre_authorized_code=code,
        tx_code=TxCode(TX_CODE_DIGITS, numeric=True, description=TX_CODE_DESCRIPTION)
        if with_tx_code
        else None,
    )
    return OpenOffer(
        offer_id=offer_id,
        link=offer.to_link(),
        tx_code=tx_code,
        expires_at=expires_at,
        datasets=datasets,
    )


def _digits(random: Random) -> str:
    return f"{random_below(10**TX_CODE_DIGITS, random):0{TX_CODE_DIGITS}}"
