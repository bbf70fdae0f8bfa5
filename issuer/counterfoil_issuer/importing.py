"""Read an orders file: the columns of a common shop export, strictly (other data: batch_rows.py).

    Name,Email,Paid at,Currency,Taxes,Billing Name,Lineitem name,Lineitem sku,…
    #1001,a@example.org,2026-03-01 12:34:56 +0100,EUR,55.73,A. Buyer,Auricle One,AUR-ONE,…
    #1001,,,,,,Ear pads,AUR-PAD,…

One row per line item; rows of one `Name` are one order. What concerns the whole
order stands in its first row; later rows leave it blank or repeat it. Prices are
per unit. The export states tax once per order, so a line's tax is its share by
value, exact to the minor unit.

Every bad cell is counted and the first thousand are told. An order with one is
left out whole; the others are read. A cell that looks like a formula is a text
like any other: nothing here evaluates, and it passes only where a text may stand.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias, TypeVar

from counterfoil_credentials.errors import Malformed

from counterfoil_issuer.batch_rows import MAX_FILE_BYTES, WHOLE_ROW, RowError
from counterfoil_issuer.money import DIGITS, parse_amount, split_amount
from counterfoil_issuer.orders import Order, OrderLine, OrderNumber, Serial, serial_of
from counterfoil_issuer.products import SKU, Assortment, Product

NAME: Final = "Name"
EMAIL: Final = "Email"
BUYER: Final = "Billing Name"
PAID_AT: Final = "Paid at"
CURRENCY: Final = "Currency"
TAXES: Final = "Taxes"
ITEM_NAME: Final = "Lineitem name"
ITEM_SKU: Final = "Lineitem sku"
ITEM_QUANTITY: Final = "Lineitem quantity"
ITEM_PRICE: Final = "Lineitem price"

CellError: TypeAlias = RowError

ORDER_COLUMNS: Final = (EMAIL, BUYER, PAID_AT, CURRENCY, TAXES)
COLUMNS: Final = (NAME, *ORDER_COLUMNS, ITEM_NAME, ITEM_SKU, ITEM_QUANTITY, ITEM_PRICE)

MAX_COLUMNS: Final = 200
MAX_ROWS: Final = 100_000
MAX_ERRORS: Final = 1_000
MAX_LINES_PER_ORDER: Final = 100
MAX_UNITS_PER_LINE: Final = 50

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_ORDER_NUMBER: Final = re.compile(r"[A-Za-z0-9#._-]{1,40}\Z")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,188}\Z")
_QUANTITY: Final = re.compile(r"[0-9]{1,4}\Z")
_LIKE_A_QUANTITY: Final = re.compile(r"[-+]?[0-9.,]{1,4}\Z")
_LIKE_A_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})\s?(?:([+-]\d{2}):?(\d{2})|Z)\Z", re.ASCII
)

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedOrders:
    """The good orders in the file's order, each with its first row, and what was wrong.

    `error_count` counts every error; `errors` are the first `MAX_ERRORS` found.
    """

    orders: tuple[tuple[int, Order], ...]
    errors: tuple[CellError, ...]
    error_count: int


@dataclass(slots=True)
class _Errors:
    """What was wrong so far: all of it counted, no more kept than a person reads."""

    kept: list[CellError] = field(default_factory=list[CellError])
    count: int = 0

    def add(self, row: int, column: str, expected: str, found: str) -> None:
        self.count += 1
        if self.count <= MAX_ERRORS:
            self.kept.append(CellError(row=row, column=column, expected=expected, found=found))


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    cells: Mapping[str, str] = field(repr=False)


@dataclass(slots=True)
class _Group:
    """The rows that bear one order's number."""

    rows: list[_Row] = field(default_factory=list["_Row"])
    broken: bool = False


def parse_orders(
    data: bytes, assortment: Assortment, *, serial_key: bytes | None = None
) -> ParsedOrders:
    """Read the orders file in `data`.

    `serial_key` is the issuer's secret, from which units get their serial
    numbers; without it they get none, which is enough to look at a file.

    Raises `Malformed` when it is no such file at all: too large, not UTF-8, no
    CSV, or without a column that is needed.
    """
    errors = _Errors()
    groups = _group(_rows(_text(data), errors), errors)
    orders: list[tuple[int, Order]] = []
    for number, group in groups.items():
        before = errors.count
        order = _order(number, group, assortment, errors, serial_key)
        if order is not None and errors.count == before and not group.broken:
            orders.append((group.rows[0].number, order))
    kept = sorted(errors.kept, key=lambda error: error.row)
    return ParsedOrders(orders=tuple(orders), errors=tuple(kept), error_count=errors.count)


def _text(data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise Malformed(f"at most {MAX_FILE_BYTES} bytes", f"{len(data)} bytes", "orders file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        where = f"orders file, line {line}"
        raise Malformed("UTF-8 text", "a byte of another encoding", where) from cause


def _rows(text: str, errors: _Errors) -> list[_Row]:
    """Give the rows that have the header's shape, as far as needed; report those that have not."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    needed: dict[str, int] = {}
    rows: list[_Row] = []
    number = filled = 0
    try:
        for number, cells in enumerate(reader, start=1):  # named in the error below
            if header is None:
                header = _header(cells)
                needed = {column: header.index(column) for column in COLUMNS}
                continue
            if not cells:
                continue
            filled += 1
            if filled > MAX_ROWS:
                raise Malformed(f"at most {MAX_ROWS} rows", "more", "orders file")
            if len(cells) == len(header):
                rows.append(_Row(number, {name: cells[i].strip() for name, i in needed.items()}))
            else:
                errors.add(number, WHOLE_ROW, f"{len(header)} cells", f"{len(cells)}")
                # A row cut short still takes its order out, when it says which.
                if needed[NAME] < len(cells):
                    rows.append(_Row(number, {NAME: cells[needed[NAME]].strip()}))
    except csv.Error as cause:
        where = f"orders file, row {number + 1}"
        raise Malformed(
            "comma-separated values", "broken quotes or an endless cell", where
        ) from cause
    if header is None:
        raise Malformed("a header row", "an empty file", "orders file")
    return rows


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(names) > MAX_COLUMNS:
        raise Malformed(f"at most {MAX_COLUMNS} columns", f"{len(names)}", "orders file, row 1")
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        expected = "the columns " + ", ".join(COLUMNS)
        raise Malformed(expected, "none named " + ", ".join(missing), "orders file, row 1")
    repeated = [column for column in COLUMNS if names.count(column) > 1]
    if repeated:
        found = f"{', '.join(repeated)} more than once"
        raise Malformed("each column once", found, "orders file, row 1")
    return names


def _group(rows: Sequence[_Row], errors: _Errors) -> dict[OrderNumber, _Group]:
    groups: dict[OrderNumber, _Group] = {}
    for row in rows:
        if not _ORDER_NUMBER.match(row.cells[NAME]):
            expected = "an order number of 1 to 40 letters, digits, and # . _ -"
            errors.add(row.number, NAME, expected, _kind(row.cells[NAME]))
            continue
        group = groups.setdefault(OrderNumber(row.cells[NAME]), _Group())
        if len(row.cells) == 1:
            group.broken = True
        else:
            group.rows.append(row)
    return groups


def _order(
    number: OrderNumber,
    group: _Group,
    assortment: Assortment,
    errors: _Errors,
    serial_key: bytes | None,
) -> Order | None:
    """Give the order, or None; every bad cell of it is in `errors` then."""
    if not group.rows:
        return None
    if len(group.rows) > MAX_LINES_PER_ORDER:
        first_too_many = group.rows[MAX_LINES_PER_ORDER].number
        expected = f"at most {MAX_LINES_PER_ORDER} rows"
        errors.add(first_too_many, NAME, expected, f"{len(group.rows)}")
        return None
    cell = _CellReader(errors)
    first = group.rows[0]
    _require_repeated(group.rows, errors)
    email = cell.read(first, EMAIL, _email)
    buyer = cell.read(first, BUYER, _person)
    paid_at = cell.read(first, PAID_AT, _instant)
    currency = cell.read(first, CURRENCY, _currency)
    taxes = cell.read(first, TAXES, lambda text: parse_amount(text, currency or "EUR", TAXES))
    lines = [_line(row, currency, assortment, cell) for row in group.rows]
    known = [line for line in lines if line is not None]
    if (
        email is None
        or buyer is None
        or paid_at is None
        or currency is None
        or taxes is None
        or len(known) < len(lines)
    ):
        return None
    values = [line.quantity * line.price for line in known]
    total = sum(values) + (0 if assortment.prices_include_tax else taxes)
    if taxes > total:
        errors.add(first.number, TAXES, "no more tax than the order's total", "more")
        return None
    return Order(
        number=number,
        paid_at=paid_at,
        currency=currency,
        tax=taxes,
        total=total,
        buyer_name=buyer,
        buyer_email=email,
        lines=tuple(
            _order_line(number, i, line, tax, assortment=assortment, serial_key=serial_key)
            for i, (line, tax) in enumerate(zip(known, split_amount(taxes, values), strict=True))
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    name: str
    product: Product
    quantity: int
    price: int


def _line(
    row: _Row, currency: str | None, assortment: Assortment, cell: "_CellReader"
) -> _Line | None:
    def product_of(text: str) -> Product:
        product = assortment.products.get(text)
        if product is None:
            raise Malformed("an SKU of the catalogue", _said(text, SKU), ITEM_SKU)
        return product

    name = cell.read(row, ITEM_NAME, _title)
    product = cell.read(row, ITEM_SKU, product_of)
    quantity = cell.read(row, ITEM_QUANTITY, _quantity)
    # Without a currency its own cell is in error; the price is read as the commonest kind.
    price = cell.read(
        row, ITEM_PRICE, lambda text: parse_amount(text, currency or "EUR", ITEM_PRICE)
    )
    if name is None or product is None or quantity is None or price is None:
        return None
    return _Line(name=name, product=product, quantity=quantity, price=price)


def _order_line(
    number: OrderNumber,
    i: int,
    line: _Line,
    tax: int,
    *,
    assortment: Assortment,
    serial_key: bytes | None,
) -> OrderLine:
    serials: tuple[Serial, ...] = ()
    if line.product.serial_prefix and serial_key is not None:
        serials = tuple(
            serial_of(serial_key, assortment.brand, line.product, number, line=i + 1, unit=unit)
            for unit in range(1, line.quantity + 1)
        )
    return OrderLine(
        gtin=line.product.gtin,
        name=line.name,
        quantity=line.quantity,
        price=line.price,
        tax=tax,
        warranty_months=line.product.warranty_months,
        serials=serials,
    )


def _require_repeated(rows: Sequence[_Row], errors: _Errors) -> None:
    first = rows[0]
    for row in rows[1:]:
        for column in ORDER_COLUMNS:
            if row.cells[column] not in ("", first.cells[column]):
                expected = f"a blank cell or what row {first.number} says"
                errors.add(row.number, column, expected, "something else")


@dataclass(frozen=True, slots=True)
class _CellReader:
    """Reads one cell; what is wrong with it goes on the list, and None comes back."""

    errors: _Errors

    def read(self, row: _Row, column: str, parse: Callable[[str], _Value]) -> _Value | None:
        try:
            return parse(row.cells[column])
        except Malformed as error:
            found = error.found if row.cells[column] else "an empty cell"
            self.errors.add(row.number, column, error.expected, found)
            return None


def _email(text: str) -> str:
    if not _EMAIL.match(text):
        raise Malformed("an e-mail address", "a text that is none", EMAIL)
    return text


def _person(text: str) -> str:
    return _printable(text, BUYER, "a name of 1 to 200 printable characters")


def _title(text: str) -> str:
    return _printable(text, ITEM_NAME, "a product name of 1 to 200 printable characters")


def _printable(text: str, column: str, expected: str) -> str:
    if not 1 <= len(text) <= 200 or not text.isprintable():
        raise Malformed(expected, f"{len(text)} characters, or one that does not print", column)
    return text


def _instant(text: str) -> datetime:
    expected = "a time of payment like 2026-03-01 12:34:56 +0100"
    match = _TIME.match(text)
    if match is None:
        raise Malformed(expected, "a text that is no such time", PAID_AT)
    day, clock, hours, minutes = match.groups()
    zone = f"{hours}:{minutes}" if hours else "+00:00"
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as cause:
        raise Malformed(expected, "a day or hour that does not exist", PAID_AT) from cause
    if not _EARLIEST <= instant < _LATEST:
        raise Malformed("a time between the years 2000 and 2100", "another year", PAID_AT)
    return instant


def _currency(text: str) -> str:
    if text not in DIGITS:
        raise Malformed("a currency code of ISO 4217", _said(text, _LIKE_A_CURRENCY), CURRENCY)
    return text


def _quantity(text: str) -> int:
    if not _QUANTITY.match(text) or not 1 <= int(text) <= MAX_UNITS_PER_LINE:
        expected = f"a whole number from 1 to {MAX_UNITS_PER_LINE}"
        raise Malformed(expected, _said(text, _LIKE_A_QUANTITY), ITEM_QUANTITY)
    return int(text)


def _said(text: str, alphabet: re.Pattern[str]) -> str:
    return f'"{text}"' if alphabet.match(text) else _kind(text)


def _kind(text: str) -> str:
    return f"another text of length {len(text)}" if text else "an empty cell"
