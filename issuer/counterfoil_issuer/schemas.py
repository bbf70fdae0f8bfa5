"""The back office's HTTP bodies. They end at `app.py`; further in, values travel."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from counterfoil_issuer.issuer import ImportReport
from counterfoil_issuer.money import amount_text
from counterfoil_issuer.offering import Offered, OpenOffer
from counterfoil_issuer.orders import Order
from counterfoil_issuer.records import Dataset, Issuance, RevocationReason, Summary


class Body(BaseModel):
    """A request body: nothing in it that is not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfferRequest(Body):
    """How to offer: with a transaction code unless the link itself goes a safe way."""

    tx_code: bool = True


class RevocationRequest(Body):
    """Why a credential is revoked."""

    reason: RevocationReason


class CellErrorAnswer(BaseModel):
    """One thing wrong in an orders file."""

    row: int
    column: str
    expected: str
    found: str


class ImportAnswer(BaseModel):
    """What became of an orders file; at most a thousand errors are listed."""

    imported: int
    unchanged: int
    error_count: int
    errors: list[CellErrorAnswer]

    @classmethod
    def of(cls, report: ImportReport) -> Self:
        """Give the answer for `report`."""
        return cls(
            imported=len(report.imported),
            unchanged=report.unchanged,
            error_count=report.error_count,
            errors=[
                CellErrorAnswer(
                    row=error.row, column=error.column, expected=error.expected, found=error.found
                )
                for error in report.errors
            ],
        )


class LineAnswer(BaseModel):
    """One line of an order."""

    name: str
    gtin: str
    quantity: int
    price: str
    tax: str
    serials: list[str]


class OrderAnswer(BaseModel):
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


class OrdersAnswer(BaseModel):
    """A buyer's orders, the latest payment first."""

    orders: list[OrderAnswer]


class DatasetAnswer(BaseModel):
    """What one credential says: an order's receipt, or one unit's warranty."""

    type: str
    serial: str | None

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Give the answer for `dataset`."""
        return cls(type=dataset.type_name, serial=dataset.serial)


class OpenOfferAnswer(BaseModel):
    """An offer just made. Send `tx_code` to the customer another way than `link`."""

    state: Literal["open"] = "open"
    offer_id: str
    link: str
    tx_code: Annotated[str | None, Field(description="None when none was asked for")]
    expires_at: datetime
    credentials: list[DatasetAnswer]

    @classmethod
    def of(cls, offer: OpenOffer) -> Self:
        """Give the answer for `offer`."""
        return cls(
            offer_id=offer.offer_id,
            link=offer.link,
            tx_code=offer.tx_code,
            expires_at=offer.expires_at,
            credentials=[DatasetAnswer.of(dataset) for dataset in offer.datasets],
        )


class CredentialAnswer(BaseModel):
    """What was issued in one answer, without what it says: credentials that say the same.

    `status_list` and `status_index` are the first one's; `credentials` counts them.
    `state`: `sent` until the wallet says that it stored it, then `stored`;
    `revoked`; `dropped` when no wallet ever stored it.
    """

    credential_id: str
    type: str
    order: str | None
    serial: str | None
    state: Literal["sent", "stored", "suspended", "revoked", "dropped"]
    issued_at: datetime
    expires_at: datetime
    credentials: int
    status_list: int
    status_index: int
    acknowledged_at: datetime | None
    revoked_at: datetime | None
    revocation_reason: RevocationReason | None

    @classmethod
    def of(cls, record: Issuance) -> Self:
        """Give the answer for `record`."""
        return cls(
            credential_id=record.issuance_id,
            type=record.type_name,
            order=record.order_number,
            serial=record.serial,
            state=_state(record),
            issued_at=record.issued_at,
            expires_at=record.expires_at,
            credentials=len(record.credentials),
            status_list=record.credentials[0].list_number,
            status_index=record.credentials[0].index,
            acknowledged_at=record.acknowledged_at,
            revoked_at=record.revoked_at,
            revocation_reason=record.revocation_reason,
        )


class CredentialsAnswer(BaseModel):
    """What was issued for an order, in the order of issue."""

    credentials: list[CredentialAnswer]


class OfferedAnswer(BaseModel):
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


class TypeCountsAnswer(BaseModel):
    """How many credentials of one type are in force, were revoked, were dropped."""

    in_force: int
    revoked: int
    dropped: int


class SummaryAnswer(BaseModel):
    """Counts over everything the issuer holds; see `records.Summary`."""

    orders: int
    offers_open: int
    credentials: dict[str, TypeCountsAnswer]
    status_indices_used: int
    datasets_issued_twice: int
    personal_data: dict[str, int]

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Give the answer for `summary`."""
        return cls(
            orders=summary.orders,
            offers_open=summary.offers_open,
            credentials={
                name: TypeCountsAnswer(
                    in_force=counts.in_force, revoked=counts.revoked, dropped=counts.dropped
                )
                for name, counts in summary.credentials.items()
            },
            status_indices_used=summary.status_indices_used,
            datasets_issued_twice=summary.datasets_issued_twice,
            personal_data=dict(summary.personal_data),
        )


def _state(record: Issuance) -> Literal["sent", "stored", "suspended", "revoked", "dropped"]:
    if record.revoked_at is not None:
        return "revoked"
    if record.dropped_at is not None:
        return "dropped"
    if record.suspended_at is not None:
        return "suspended"
    return "sent" if record.acknowledged_at is None else "stored"
