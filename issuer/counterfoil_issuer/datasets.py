"""What one credential will say: claims given by the brand, or following from an order.

An order leads to its receipt and to the warranty of each unit. Anything else that
the catalogue knows (a membership, a tier, an ownership) is given directly. A
dataset has at most one issuance in force.
"""

from datetime import UTC, datetime
from typing import Final

from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Reason, Refused

from counterfoil_issuer.catalogue import RECEIPT, WARRANTY, Catalogue, CredentialType
from counterfoil_issuer.closed_schema import MalformedClaims
from counterfoil_issuer.orders import (
    Order,
    OrderLine,
    OrderNumber,
    Serial,
    midnight,
    receipt_claims,
    warranty_claims,
)
from counterfoil_issuer.records import Dataset, DatasetId, DatasetState, Random
from counterfoil_issuer.spec import CREDENTIAL_REQUEST, ErrorCode, refusal
from counterfoil_issuer.store import Held

_ID_BYTES: Final = 16


def datasets_of(order: Order) -> list[tuple[Dataset, ...]]:
    """Give the datasets of `order`, grouped as they are offered.

    The receipt goes with the first unit's warranty. Every further unit stands
    alone: it may be a present for somebody else's wallet.
    """
    receipt = _of_order(order, RECEIPT, None)
    warranties = [
        _of_order(order, WARRANTY, serial)
        for line in order.lines
        if line.warranty_months
        for serial in line.serials
    ]
    return [(receipt, *warranties[:1]), *((warranty,) for warranty in warranties[1:])]


def require_orders_fit(catalogue: Catalogue) -> None:
    """Return only if the catalogue's receipt and warranty can say what follows from an order.

    A brand may change these types, or do without them. Raises `Malformed`, at the start
    and not when a customer waits.
    """
    line = OrderLine(
        gtin="4006381333931",
        name="Sample",
        quantity=1,
        price=100,
        tax=0,
        warranty_months=1,
        serials=(Serial("S-1"),),
    )
    order = Order(
        number=OrderNumber("#1"),
        paid_at=datetime(2026, 1, 1, tzinfo=UTC),
        currency="EUR",
        tax=0,
        total=100,
        buyer_name="Sample",
        buyer_email="sample@example.org",
        lines=(line,),
    )
    for name, claims in (
        (RECEIPT.name, receipt_claims(order)),
        (WARRANTY.name, warranty_claims(order, line.serials[0])),
    ):
        try:
            if name in catalogue.types:
                catalogue.types[name].check_claims(claims)
        except MalformedClaims as error:
            where = f"{name}: schema, {error.where}"
            raise Malformed(f"what an order says: {error.expected}", error.found, where) from error


def new_dataset(
    catalogue: Catalogue,
    type_name: str,
    claims: JsonObject,
    *,
    ends_at: datetime | None,
    serial: str | None,
    subject: str | None,
    random: Random,
) -> Dataset:
    """Give a dataset of any type with the claims as they are.

    A dataset with a `serial` is the only one of its type for that item; one of a
    deferred type waits until staff approves it. Raises `Refused` with `type-unknown`,
    and `Malformed` with each claim that is not as the type's schema says.
    """
    kind = catalogue.types.get(type_name)
    if kind is None:
        raise Refused(Reason("type-unknown", "a type of the catalogue", "another", "type"))
    kind.check_claims(claims)
    return Dataset(
        dataset_id=DatasetId(f"{type_name}:{serial or b64url(random(_ID_BYTES))}"),
        type_name=type_name,
        claims=claims,
        ends_at=None if ends_at is None else midnight(ends_at),
        serial=None if serial is None else Serial(serial),
        subject=folded(subject),
        state=DatasetState.WAITING if kind.deferred else DatasetState.READY,
    )


def folded(subject: str | None) -> str | None:
    """Give `subject` as datasets keep it: an e-mail address in lower case, a customer id as is."""
    # A provider's customer ids may differ in case alone; addresses do not.
    return subject.lower() if subject is not None and "@" in subject else subject


def claims_of(held: Held, dataset: Dataset) -> JsonObject:
    """Give what the credentials for `dataset` say.

    Raises `Refused` with `credential_request_denied` when its claims were erased.
    """
    if dataset.claims is not None:
        return dataset.claims
    order = None if dataset.order_number is None else held.order(dataset.order_number)
    if order is None:
        raise refusal(
            ErrorCode.CREDENTIAL_REQUEST_DENIED,
            "a credential that can still be issued",
            "one whose claims were erased",
            CREDENTIAL_REQUEST,
        )
    if dataset.serial is None:
        return receipt_claims(order.kept())
    return warranty_claims(order, dataset.serial)


def ends_at(dataset: Dataset, claims: JsonObject, kind: CredentialType, now: datetime) -> datetime:
    """Give when the credentials for `dataset` expire: a midnight, alike for a day's credentials."""
    return dataset.ends_at or kind.validity.ends_at(claims, now)


def _of_order(order: Order, kind: CredentialType, serial: Serial | None) -> Dataset:
    return Dataset(
        dataset_id=DatasetId(f"{kind.name}:{serial or order.number}"),
        type_name=kind.name,
        order_number=order.number,
        serial=serial,
        subject=order.buyer_email.lower(),
    )
