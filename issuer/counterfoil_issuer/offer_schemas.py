"""What the back office is asked and tells about types, offers and orders."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue

from counterfoil_issuer.catalogue import CredentialType
from counterfoil_issuer.issued_schemas import CredentialAnswer
from counterfoil_issuer.money import amount_text
from counterfoil_issuer.offering import Offered, OpenOffer
from counterfoil_issuer.orders import Order
from counterfoil_issuer.records import Dataset
from counterfoil_issuer.schemas import (
    Body,
    Claims,
    RowErrorAnswer,
    SerialName,
    SubjectName,
    Told,
    TypeName,
)


class OfferRequest(Body):
    """How to offer: with a transaction code unless the link itself goes a safe way."""

    tx_code: bool = True


class NewOfferRequest(Body):
    """A credential to offer: its type and claims, or the type's sample when there are none."""

    type: TypeName
    claims: Claims | None = None
    serial: SerialName | None = None
    subject: SubjectName | None = None
    ends_on: Annotated[
        date | None, Field(description="The credential's last day; else the type's validity")
    ] = None
    tx_code: bool = True
    login: Annotated[
        bool, Field(description="Let a wallet of the subject fetch it by login too")
    ] = False


class OrderSearchRequest(Body):
    """Whose orders are looked for."""

    email: Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[!-~]+@[!-~]+$")]


class ReturnRequest(Body):
    """Which units of an order's line came back: by serial numbers, where they have some."""

    line: Annotated[int, Field(ge=1, le=100)]
    quantity: Annotated[int, Field(ge=1, le=50)] = 1
    serials: Annotated[tuple[SerialName, ...], Field(max_length=50)] = ()
    tx_code: bool = True


class ImportAnswer(Told):
    """What became of an orders file; at most a thousand errors are listed."""

    imported: int
    unchanged: int
    error_count: int
    errors: list[RowErrorAnswer]


class LineAnswer(Told):
    """One line of an order."""

    name: str
    gtin: str
    quantity: int
    price: str
    tax: str
    serials: list[str]


class OrderAnswer(Told):
    """An order: amounts as decimal texts, and in whole minor units where named so."""

    order: str
    paid_at: datetime
    currency: str
    total: str
    total_minor: int
    tax: str
    lines: list[LineAnswer]

    @classmethod
    def of(cls, order: Order) -> Self:
        """Give the answer for `order`."""
        return cls(
            order=order.number,
            paid_at=order.paid_at,
            currency=order.currency,
            total=amount_text(order.total, order.currency),
            total_minor=order.total,
            tax=amount_text(order.tax, order.currency),
            lines=[
                LineAnswer(
                    name=line.name,
                    gtin=line.gtin,
                    quantity=line.quantity,
                    price=amount_text(line.price, order.currency),
                    tax=amount_text(line.tax, order.currency),
                    serials=[*line.serials],
                )
                for line in order.lines
            ],
        )


class OrdersAnswer(Told):
    """A buyer's orders, the latest payment first."""

    orders: list[OrderAnswer]


class TypeAnswer(Told):
    """A type of the catalogue: its schema, and claims that fit it."""

    type: str
    names: dict[str, str]
    descriptions: dict[str, str]
    status: str
    deferred: bool
    batch_size: int
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]
    sample: dict[str, JsonValue]

    @classmethod
    def of(cls, kind: CredentialType) -> Self:
        """Give the answer for `kind`."""
        return cls.model_validate(
            {
                "type": kind.name,
                "names": dict(kind.names),
                "descriptions": dict(kind.descriptions),
                "status": kind.status.value,
                "deferred": kind.deferred,
                "batch_size": kind.batch_size,
                "schema": kind.schema.document,
                "sample": kind.sample,
            }
        )


class TypesAnswer(Told):
    """Everything that the brand issues."""

    types: list[TypeAnswer]


class DatasetAnswer(Told):
    """What one credential says: an order's receipt, one unit's warranty, or given claims."""

    dataset_id: str
    type: str
    serial: str | None

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Give the answer for `dataset`."""
        return cls(dataset_id=dataset.dataset_id, type=dataset.type_name, serial=dataset.serial)


class OpenOfferAnswer(Told):
    """An offer just made. Send `tx_code` to the customer another way than `link`.

    `link` holds the whole offer, `qr` is its short form for a camera.
    """

    state: Literal["open"] = "open"
    offer_id: str
    link: str
    qr: str
    tx_code: Annotated[str | None, Field(description="None when none was asked for")]
    expires_at: datetime
    credentials: list[DatasetAnswer]

    @classmethod
    def of(cls, offer: OpenOffer) -> Self:
        """Give the answer for `offer`."""
        return cls(
            offer_id=offer.offer_id,
            link=offer.link,
            qr=offer.qr,
            tx_code=offer.tx_code,
            expires_at=offer.expires_at,
            credentials=[DatasetAnswer.of(dataset) for dataset in offer.datasets],
        )


class WithdrawnAnswer(Told):
    """An offer that has ended."""

    state: Literal["withdrawn"] = "withdrawn"
    offer_id: str


class DatasetStateAnswer(Told):
    """What a deferred credential will say: now it may be issued, or never."""

    dataset_id: str
    state: Literal["ready", "denied"]


class ReturnedAnswer(Told):
    """What was taken back; the offer of a new receipt, when one is due."""

    order: str
    receipt: OpenOfferAnswer | None


class OfferedAnswer(Told):
    """What is open now, and what a wallet has stored before (or the brand revoked)."""

    order: str
    offers: list[OpenOfferAnswer]
    issued: list[CredentialAnswer]

    @classmethod
    def of(cls, order: str, offered: Offered) -> Self:
        """Give the answer for `offered`."""
        return cls(
            order=order,
            offers=[OpenOfferAnswer.of(offer) for offer in offered.offers],
            issued=[CredentialAnswer.of(record) for record in offered.issued],
        )
