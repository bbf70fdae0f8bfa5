"""An order as the shop recorded it, and what its receipt and its warranties say."""

import calendar
import hmac
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final, NewType

from counterfoil_credentials.encoding import JsonObject, canonical_json
from counterfoil_credentials.errors import Misuse

from counterfoil_issuer.money import amount_text
from counterfoil_issuer.products import Brand, Product

OrderNumber = NewType("OrderNumber", str)
Serial = NewType("Serial", str)

_SERIAL_CHARACTERS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """`quantity` units of one product at `price` each; `tax` is the whole line's.

    Amounts are whole minor units. `serials` names each unit, or none does.
    `returned` counts the units that came back, `returned_serials` among them.
    """

    gtin: str
    name: str
    quantity: int
    price: int
    tax: int
    warranty_months: int
    serials: tuple[Serial, ...]
    returned: int = 0
    returned_serials: frozenset[Serial] = frozenset()

    def kept(self) -> "OrderLine":
        """Give the line of the units that did not come back."""
        share, left_over = divmod(self.tax, self.quantity)
        taxes = [share + (i < left_over) for i in range(self.quantity)]
        if self.serials:
            stay = [
                i for i, serial in enumerate(self.serials) if serial not in self.returned_serials
            ]
        else:
            stay = [*range(self.quantity - self.returned)]
        return replace(
            self,
            quantity=len(stay),
            tax=sum(taxes[i] for i in stay),
            serials=tuple(self.serials[i] for i in stay) if self.serials else (),
            returned=0,
            returned_serials=frozenset(),
        )


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
        lines = tuple(
            replace(
                it, warranty_months=0, serials=(), returned=0, returned_serials=frozenset[Serial]()
            )
            for it in self.lines
        )
        return replace(self, total=0, lines=lines)

    def kept(self) -> "Order":
        """Give the order without the units that came back: what was bought in the end."""
        if not any(line.returned for line in self.lines):
            return self
        lines = [line.kept() for line in self.lines]
        tax = self.tax - sum(
            before.tax - line.tax for before, line in zip(self.lines, lines, strict=True)
        )
        values = [sum(line.price * line.quantity for line in some) for some in (self.lines, lines)]
        # The total says whether tax was in the prices when the order was taken.
        tax_on_top = self.total != values[0]
        return replace(
            self,
            tax=tax,
            total=values[1] + (tax if tax_on_top else 0),
            lines=tuple(line for line in lines if line.quantity),
        )


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


def midnight(now: datetime) -> datetime:
    """Give the day's first instant, so that a credential's time tells two customers not apart.

    OpenID4VCI 1.0, section 15.4.1.
    """
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def receipt_claims(order: Order) -> JsonObject:
    """Give what the order's receipt says."""
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


def warranty_claims(order: Order, serial: Serial) -> JsonObject:
    """Give what the warranty of one unit says."""
    line = _line_of(order, serial)
    return {
        "item": {"gtin": line.gtin, "serial": serial, "name": line.name},
        "valid_from": order.paid_at.astimezone(UTC).date().isoformat(),
        "valid_until": warranty_ends_on(order, serial).isoformat(),
        "price": amount_text(line.price, order.currency),
        "currency": order.currency,
        "buyer": {"name": order.buyer_name},
    }


def warranty_ends_on(order: Order, serial: Serial) -> date:
    """Give the last day of a unit's warranty: the day of payment, so many months on."""
    line = _line_of(order, serial)
    bought = order.paid_at.astimezone(UTC).date()
    years, month = divmod(bought.month - 1 + line.warranty_months, 12)
    year = bought.year + years
    last_day = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(bought.day, last_day))


def _line_of(order: Order, serial: Serial) -> OrderLine:
    for line in order.lines:
        if serial in line.serials:
            return line
    raise Misuse("expected a serial number of the order, found another")
