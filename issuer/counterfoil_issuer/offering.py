"""Offer credentials: a link for the wallet, a code for the customer.

    datasets ─► the earlier offers of the same end ─► reference ─► link, QR, tx_code

Everything secret about an offer follows from one random reference: only its hash is
kept, and whoever has it may fetch the offer until it is redeemed. Offering again is
safe at any time. What a wallet has stored is not offered again; every earlier
offer of the rest stops working, with its token.

OpenID4VCI 1.0, sections 4.1 and 13.6.
"""

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from urllib.parse import quote

from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.spec import OFFER_SCHEME, PRE_AUTHORIZED_GRANT

from counterfoil_issuer.datasets import datasets_of
from counterfoil_issuer.orders import Order
from counterfoil_issuer.records import (
    SECRET_BYTES,
    Dataset,
    DatasetState,
    Issuance,
    OfferId,
    OfferRecord,
    OfferState,
    Random,
    dataset_ids,
    random_below,
    secret_hash,
    tx_code_mac,
)
from counterfoil_issuer.spec import (
    AUTHORIZATION_CODE_GRANT,
    ISSUER_STATE,
    PRE_AUTHORIZED_CODE,
    TX_CODE,
)
from counterfoil_issuer.store import Held

TX_CODE_DIGITS: Final = 6
TX_CODE_DESCRIPTION: Final = "The six digits that came with your order confirmation"
_ID_BYTES: Final = 16
_LONGEST_REFERENCE: Final = 100


class Grant(Enum):
    """How a wallet may turn an offer into a token; its value labels the secret it needs."""

    PRE_AUTHORIZED = b"offer-code"
    AUTHORIZATION_CODE = b"offer-issuer-state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """What every offer of one issuer shares."""

    issuer: str
    key: bytes = field(repr=False)
    lasts: timedelta
    random: Random = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOffer:
    """An offer just made. `link`, `qr` and `tx_code` are shown once; only hashes stay here.

    `link` holds the whole offer; `qr` is short enough for a camera, and names the
    URL where the wallet fetches it. Send `tx_code` another way than either:
    together they are the credential.
    """

    offer_id: OfferId
    link: str = field(repr=False)
    qr: str = field(repr=False)
    tx_code: str | None = field(repr=False)
    expires_at: datetime
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The answer to offering an order: what is open now, and what was issued before."""

    offers: tuple[OpenOffer, ...]
    issued: tuple[Issuance, ...]


def offer_order(
    held: Held, order: Order, offering: Offering, *, with_tx_code: bool, now: datetime
) -> Offered:
    """Offer every dataset of `order` that no wallet has stored yet."""
    issued: list[Issuance] = []
    offers: list[OpenOffer] = []
    still_its_own = {
        dataset.dataset_id: dataset
        for dataset in held.datasets_of_order(order.number)
        if dataset.state is not DatasetState.DENIED
    }
    for group in datasets_of(order):
        wanted: list[Dataset] = []
        for dataset_id in [dataset.dataset_id for dataset in group]:
            current = held.current_issuance(dataset_id)
            # A credential that was sent and not acknowledged may have been lost on its
            # way: it is offered again. A revoked one is not: the goods went back. Nor is a
            # suspended one, which staff alone reinstates.
            if current is not None and current.is_taken:
                issued.append(current)
            elif dataset_id in still_its_own:
                wanted.append(still_its_own[dataset_id])
        if wanted:
            offers.append(offer(held, wanted, offering, with_tx_code=with_tx_code, now=now))
    return Offered(offers=tuple(offers), issued=tuple(issued))


def offer(
    held: Held,
    datasets: Sequence[Dataset],
    offering: Offering,
    *,
    with_tx_code: bool,
    now: datetime,
    grants: Collection[Grant] = (Grant.PRE_AUTHORIZED,),
) -> OpenOffer:
    """Offer `datasets`, which are recorded; every earlier offer of them ends.

    Raises `Refused` with `subject-needed` for an offer by login of what is nobody's:
    any customer who logs in could have it, without the transaction code.
    """
    if not datasets or not grants:
        raise Misuse("expected datasets to offer and a grant to offer them by, found none")
    if Grant.AUTHORIZATION_CODE in grants and any(each.subject is None for each in datasets):
        expected = "whose it is, where a login is enough to fetch it"
        raise Refused(Reason("subject-needed", expected, "nobody", "subject"))
    held.replace_offers(dataset_ids(datasets))
    offer_id = OfferId(b64url(offering.random(_ID_BYTES)))
    reference = b64url(offering.random(SECRET_BYTES))
    tx_code = None
    if with_tx_code and Grant.PRE_AUTHORIZED in grants:
        tx_code = f"{random_below(10**TX_CODE_DIGITS, offering.random):0{TX_CODE_DIGITS}}"
    hashes = {grant: secret_hash(_secret(offering.key, grant, reference)) for grant in grants}
    record = OfferRecord(
        offer_id=offer_id,
        reference_hash=secret_hash(reference),
        code_hash=hashes.get(Grant.PRE_AUTHORIZED),
        issuer_state_hash=hashes.get(Grant.AUTHORIZATION_CODE),
        tx_code_mac=None if tx_code is None else tx_code_mac(offering.key, offer_id, tx_code),
        attempts=0,
        state=OfferState.OPEN,
        expires_at=now + offering.lasts,
        datasets=tuple(datasets),
    )
    held.add_offer(record)
    by_value = quote(compact_json(_offer_object(record, offering, reference)), safe="")
    url = quote(f"{offering.issuer}/offers/{reference}", safe="")
    return OpenOffer(
        offer_id=offer_id,
        link=f"{OFFER_SCHEME}://?credential_offer={by_value}",
        qr=f"{OFFER_SCHEME}://?credential_offer_uri={url}",
        tx_code=tx_code,
        expires_at=record.expires_at,
        datasets=record.datasets,
    )


def offer_object(
    held: Held, reference: str, offering: Offering, now: datetime
) -> JsonObject | None:
    """Give the offer that `credential_offer_uri` leads to, or None when it is open no longer."""
    if len(reference) > _LONGEST_REFERENCE or not reference.isascii():
        return None
    record = held.offer_of_reference(secret_hash(reference))
    if record is None or record.state is not OfferState.OPEN or now >= record.expires_at:
        return None
    return _offer_object(record, offering, reference)


def _offer_object(record: OfferRecord, offering: Offering, reference: str) -> JsonObject:
    """Give the Credential Offer (section 4.1.1)."""
    grants: JsonObject = {}
    if record.issuer_state_hash is not None:
        state = _secret(offering.key, Grant.AUTHORIZATION_CODE, reference)
        grants[AUTHORIZATION_CODE_GRANT] = {ISSUER_STATE: state}
    if record.code_hash is not None:
        code = _secret(offering.key, Grant.PRE_AUTHORIZED, reference)
        grant: JsonObject = {PRE_AUTHORIZED_CODE: code}
        if record.tx_code_mac is not None:
            grant[TX_CODE] = {
                "input_mode": "numeric",
                "length": TX_CODE_DIGITS,
                "description": TX_CODE_DESCRIPTION,
            }
        grants[PRE_AUTHORIZED_GRANT] = grant
    types = dict.fromkeys(dataset.type_name for dataset in record.datasets)
    return {
        "credential_issuer": offering.issuer,
        "credential_configuration_ids": [*types],
        "grants": grants,
    }


def _secret(key: bytes, grant: Grant, reference: str) -> str:
    """Give the offer's secret for one grant: whoever has the reference has it from us anyway."""
    return b64url(hmac.digest(key, grant.value + b"\x00" + reference.encode(), "sha256"))
