"""What an offer's link leads to, before anything is accepted: for the screen, and for accepting.

An offer is anybody's to write. What is shown of it is what its issuer says, asked at the
issuer; no code leaves the wallet before the customer has agreed.

OpenID4VCI 1.0, sections 4.1, 13.5 and 13.6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from counterfoil_credentials.errors import Misuse, Reason
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.offers import (
    ByLogin,
    CredentialOffer,
    TxCode,
    offer_url,
    parse_offer,
    parse_offer_object,
)
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, OFFER_SCHEME

from counterfoil_wallet.discovering import Discovered
from counterfoil_wallet.issuer_trust import KnownIssuer, Offerer, offerer_of
from counterfoil_wallet.printable import printable
from counterfoil_wallet.wire import MAX_ANSWER_BYTES, https_url, json_answer

_WHERE: Final = "credential_offer_uri"


@dataclass(frozen=True, slots=True)
class OfferedCredential:
    """One kind of credential in an offer: its type, and what its issuer calls it."""

    vct: str
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What an offer would give, for the customer to agree to.

    `offerer` says who offers, as far as that is proved; `issuer_name` is what the issuer
    says of itself, safe to show. `needs_login`: not `Wallet.accept` but `Wallet.authorize`
    is the way. `tx_code` describes the code to type in, None where there is none.
    `refused` says what of the offer this wallet cannot hold. `offer` is the offer itself:
    what was shown is what is accepted, whatever its link leads to by then.
    """

    offer: CredentialOffer = field(repr=False)
    offerer: Offerer
    issuer_name: str | None
    credentials: tuple[OfferedCredential, ...]
    tx_code: TxCode | None
    needs_login: bool
    refused: tuple[Reason, ...]

    @property
    def issuer(self) -> str:
        """The issuer's URL."""
        return self.offerer.url

    @staticmethod
    def of(
        offer: CredentialOffer,
        discovered: Discovered,
        *,
        known: Mapping[str, KnownIssuer],
        now: datetime,
    ) -> "Offered":
        """Give an offer as its issuer's metadata describes it; `known` are trusted issuers."""
        types = [each.vct for each in discovered.configurations]
        tx_code = offer.tx_code
        if tx_code is not None and tx_code.description is not None:
            tx_code = replace(tx_code, description=printable(tx_code.description))
        return Offered(
            offer=offer,
            offerer=offerer_of(offer.issuer, types, known=known, now=now),
            issuer_name=discovered.name,
            credentials=tuple(
                OfferedCredential(each.vct, each.name) for each in discovered.configurations
            ),
            tx_code=tx_code,
            needs_login=offer.code is None,
            refused=discovered.skipped,
        )


def offer_in(source: Offered | str) -> CredentialOffer | str:
    """Give the offer that was shown or that a link carries, or the URL where it is."""
    if isinstance(source, Offered):
        return source.offer
    return offer_url(source) or parse_offer(source)


def fetch_offer(fetcher: Fetcher, url: str) -> CredentialOffer:
    """Give the offer at `url` (section 4.1.3)."""
    response = fetcher.get(
        https_url(url, _WHERE), accept=JSON_MEDIA_TYPE, max_bytes=MAX_ANSWER_BYTES
    )
    return parse_offer_object(json_answer(response, _WHERE))


def offer_of(
    fetcher: Fetcher, source: Offered | str, configurations: Sequence[str]
) -> CredentialOffer:
    """Give the offer shown or behind a link, or one as an issuer would make that `source` names.

    Without an offer the customer began: `configurations` says what for (section 3.4).
    """
    if isinstance(source, str) and not source.startswith(f"{OFFER_SCHEME}:"):
        if not configurations:
            raise Misuse("expected the configurations to ask the issuer for, found none")
        return CredentialOffer(source, tuple(configurations), None, None, by_login=ByLogin(None))
    found = offer_in(source)
    return fetch_offer(fetcher, found) if isinstance(found, str) else found
