"""An order as the shop recorded it, and the credentials that follow from it.

A dataset is what one credential will say: the receipt of an order, or the
warranty of one unit. At most one credential per dataset is ever in force.
"""

import calendar
import hmac
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NewType

from counterfoil_credentials.encoding import JsonObject, canonical_json
from counterfoil_credentials.errors import Misuse

from counterfoil_issuer.catalogue import RECEIPT, WARRANTY, CredentialType
from counterfoil_issuer.money import amount_text
from counterfoil_issuer.products import Brand, Product

OrderNumber = NewType("OrderNumber", str)
Serial = NewType("Serial", str)
DatasetId = NewType("DatasetId", str)

_SERIAL_CHARACTERS: Final = 12
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """`quantity` units of one product at `price` each; `tax` is the whole line's.

    Amounts are whole minor units. `serials` names each unit, or none does.
    """

    gtin: str
    name: str
    quantity: int
    price: int
    tax: int
    warranty_months: int
    serials: tuple[Serial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A paid order. `tax` and `total` are whole minor units of `currency`."""

    number: OrderNumber
    paid_at: datetime
    currency: str
    tax: int
    total: int
    buyer_name: str = field(repr=False)
    buyer_email: str = field(repr=False)
    lines: tuple[OrderLine, ...]

    def as_filed(self) -> "Order":
        """Give what the shop's file says of this order, without what followed from it.

        The catalogue and the keys of the day added the rest: months of warranty,
        serial numbers, whether tax comes on top.
        """
        lines = tuple(replace(it, warranty_months=0, serials=()) for it in self.lines)
        return replace(self, total=0, lines=lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What one credential will say: an order's receipt, or one unit's warranty."""

    type_name: str
    order_number: OrderNumber
    serial: Serial | None

    @property
    def dataset_id(self) -> DatasetId:
        """Give the stable name under which at most one credential is in force."""
        return DatasetId(f"{self.type_name}:{self.serial or self.order_number}")


def serial_of(
    key: bytes, brand: Brand, product: Product, order: str, *, line: int, unit: int
) -> Serial:
    """Give the serial number of one sold unit; the same sale always gives the same.

    `line` and `unit` count from one within the order and the line. Everybody who
    sees a warranty sees its serial number, and order numbers are few enough to
    try them all: only with `key` can one be told from the other.
    """
    sale = b"serial\x00" + canonical_json([brand.brand_id, order, line, unit])
    digits = b32encode(hmac.digest(key, sale, "sha256")).decode("ascii")[:_SERIAL_CHARACTERS]
    return Serial(f"{product.serial_prefix}-{digits}")


def datasets_of(order: Order) -> list[tuple[Dataset, ...]]:
    """Give the datasets of `order`, grouped as they are offered.

    The receipt goes with the first unit's warranty. Every further unit stands
    alone: it may be a present for somebody else's wallet.
    """
    receipt = Dataset(type_name=RECEIPT.name, order_number=order.number, serial=None)
    warranties = [
        Dataset(type_name=WARRANTY.name, order_number=order.number, serial=serial)
        for line in order.lines
        if line.warranty_months
        for serial in line.serials
    ]
    return [(receipt, *warranties[:1]), *((warranty,) for warranty in warranties[1:])]


def claims_of(dataset: Dataset, order: Order) -> JsonObject:
    """Give what the credential for `dataset` says."""
    if dataset.type_name == RECEIPT.name:
        return _receipt(order)
    return _warranty(order, _line_of(order, dataset.serial), dataset.serial)


def ends_at(dataset: Dataset, order: Order, kind: CredentialType, now: datetime) -> datetime:
    """Give when the credential for `dataset` expires: a midnight, alike for a day's credentials."""
    if dataset.serial is None:
        return midnight(now) + kind.lasts
    until = _warranty_ends_on(order, _line_of(order, dataset.serial))
    return datetime.combine(until, time(), UTC) + _DAY + kind.lasts


def midnight(now: datetime) -> datetime:
    """Give the day's first instant, so that a credential's time tells two customers not apart.

    OpenID4VCI 1.0, section 15.4.1.
    """
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC)


def _receipt(order: Order) -> JsonObject:
    return {
        "currency": order.currency,
        "order": order.number,
        "paid_at": order.paid_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lines": [*_receipt_lines(order)],
        "tax": amount_text(order.tax, order.currency),
        "total": amount_text(order.total, order.currency),
        "buyer": {"name": order.buyer_name, "email": order.buyer_email},
    }


def _receipt_lines(order: Order) -> Iterator[JsonObject]:
    """Give a line per unit that has a serial number, so that one can be shown alone."""
    for line in order.lines:
        about: JsonObject = {"name": line.name, "gtin": line.gtin}
        price = amount_text(line.price, order.currency)
        if not line.serials:
            tax = amount_text(line.tax, order.currency)
            yield {**about, "quantity": line.quantity, "price": price, "tax": tax}
        share, left_over = divmod(line.tax, line.quantity)
        for i, serial in enumerate(line.serials):
            tax = amount_text(share + (i < left_over), order.currency)
            yield {**about, "serial": serial, "quantity": 1, "price": price, "tax": tax}


def _warranty(order: Order, line: OrderLine, serial: Serial | None) -> JsonObject:
    return {
        "item": {"gtin": line.gtin, "serial": serial, "name": line.name},
        "valid_from": order.paid_at.astimezone(UTC).date().isoformat(),
        "valid_until": _warranty_ends_on(order, line).isoformat(),
        "price": amount_text(line.price, order.currency),
        "currency": order.currency,
        "buyer": {"name": order.buyer_name},
    }


def _warranty_ends_on(order: Order, line: OrderLine) -> date:
    """Give the last day of the warranty: the day of payment, so many months on."""
    bought = order.paid_at.astimezone(UTC).date()
    years, month = divmod(bought.month - 1 + line.warranty_months, 12)
    year = bought.year + years
    last_day = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(bought.day, last_day))


def _line_of(order: Order, serial: Serial | None) -> OrderLine:
    for line in order.lines:
        if serial in line.serials:
            return line
    raise Misuse("expected a serial number of the order, found another")
