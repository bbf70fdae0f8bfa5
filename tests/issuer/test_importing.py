"""The orders file: strict, complete in what it reports, silent about persons, repeatable."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from counterfoil_credentials.errors import Malformed
from counterfoil_issuer.batch_rows import MAX_FILE_BYTES
from counterfoil_issuer.catalogue import parse_catalogue
from counterfoil_issuer.importing import (
    MAX_ERRORS,
    MAX_LINES_PER_ORDER,
    MAX_ROWS,
    CellError,
    ParsedOrders,
    parse_orders,
)
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.orders import Order, serial_of
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import (
    CATALOGUE,
    HEADER,
    ORDER_1001,
    ORDER_1002,
    ORDERS,
    SECRET,
    issuer_on,
    orders_file,
)

GOOD = dict(zip(HEADER.split(","), ORDER_1001[0].split(","), strict=True))


def parsed(data: bytes) -> ParsedOrders:
    return parse_orders(data, parse_catalogue(CATALOGUE).assortment, serial_key=SECRET)


def one_row(**changes: str) -> bytes:
    """Give a file with one good row, but for the named columns (`_` for a space)."""
    cells = GOOD | {name.replace("_", " "): value for name, value in changes.items()}
    return orders_file(",".join(cells.values()))


def only_order(data: bytes) -> Order:
    read = parsed(data)
    assert not read.errors
    ((_, order),) = read.orders
    return order


def only_error(data: bytes) -> CellError:
    read = parsed(data)
    (error,) = read.errors
    assert not read.orders
    return error


def test_reads_an_order_with_its_lines_amounts_and_time() -> None:
    order = only_order(orders_file(*ORDER_1001))

    assert (order.number, order.currency, order.total, order.tax) == ("#1001", "EUR", 36900, 5891)
    assert order.paid_at == datetime(2026, 3, 1, 11, 34, 56, tzinfo=UTC)
    assert (order.buyer_name, order.buyer_email) == ("Mira Sample", "mira@example.org")
    assert [(line.gtin, line.quantity, line.price) for line in order.lines] == [
        ("4006381333931", 1, 34900),
        ("4012345000016", 1, 2000),
    ]


def test_splits_the_orders_tax_over_its_lines_to_the_last_cent() -> None:
    order = only_order(orders_file(*ORDER_1001))

    assert [line.tax for line in order.lines] == [5572, 319]


def test_adds_the_tax_where_the_shops_prices_are_without() -> None:
    catalogue = parse_catalogue(
        CATALOGUE.replace(b'"products"', b'"prices_include_tax": false, "products"')
    )
    ((_, order),) = parse_orders(orders_file(*ORDER_1001), catalogue.assortment).orders

    assert order.total == 36900 + 5891


def test_a_currency_without_cents_has_none() -> None:
    order = only_order(orders_file(*ORDER_1002))

    assert (order.total, order.tax) == (29800, 2710)


def test_every_unit_gets_a_serial_number_of_its_own_and_always_the_same() -> None:
    first = only_order(orders_file(*ORDER_1002)).lines[0].serials
    again = only_order(orders_file(*ORDER_1002)).lines[0].serials
    other = only_order(orders_file(ORDER_1002[0].replace("#1002", "#1003"))).lines[0].serials

    assert first == again
    assert len({*first, *other}) == 4
    assert all(serial.startswith("AB-") for serial in first)


def test_a_serial_number_tells_the_order_to_nobody_without_the_issuers_secret() -> None:
    """Every counter sees it, and all order numbers are tried in a second."""
    assortment = parse_catalogue(CATALOGUE).assortment
    buds = assortment.products["BUDS"]
    shown = only_order(orders_file(*ORDER_1002)).lines[0].serials[0]
    guesses = {
        key: [
            serial_of(key, assortment.brand, buds, f"#{number}", line=1, unit=1)
            for number in range(1000, 1010)
        ]
        for key in (b"", b"audio", SECRET[:-1] + b"?", SECRET)
    }

    assert [key for key, serials in guesses.items() if shown in serials] == [SECRET]


def test_who_only_looks_at_a_file_needs_no_secret_and_gets_no_serial_numbers() -> None:
    read = parse_orders(orders_file(*ORDER_1002), parse_catalogue(CATALOGUE).assortment)

    ((_, order),) = read.orders
    assert [(line.quantity, line.serials) for line in order.lines] == [(2, ())]


def test_a_product_without_serial_numbers_gets_none() -> None:
    assert only_order(orders_file(*ORDER_1001)).lines[1].serials == ()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_byte_order_mark_and_the_kind_of_line_end_do_not_matter(
    mark: bytes, ending: bytes
) -> None:
    assert only_order(mark + one_row().replace(b"\n", ending)) == only_order(one_row())


def test_columns_may_stand_in_any_order_beside_others() -> None:
    names, cells = [*GOOD, "Vendor"], [*GOOD.values(), "x"]
    data = orders_file(",".join(reversed(cells)), header=",".join(reversed(names)))

    assert only_order(data) == only_order(one_row())


def test_later_rows_may_repeat_what_concerns_the_whole_order() -> None:
    repeated = ",".join([*ORDER_1001[0].split(",")[:6], *ORDER_1001[1].split(",")[6:]])

    assert only_order(orders_file(ORDER_1001[0], repeated)) == only_order(orders_file(*ORDER_1001))


def test_a_later_row_that_says_otherwise_is_an_error() -> None:
    other = ORDER_1001[1].replace("#1001,,", "#1001,eve@example.org,")
    error = only_error(orders_file(ORDER_1001[0], other))

    assert (error.row, error.column) == (3, "Email")
    assert "eve" not in str(error)


def test_a_cell_that_looks_like_a_formula_is_a_text() -> None:
    order = only_order(one_row(Lineitem_name="=HYPERLINK(1)", Billing_Name="+cmd|calc"))

    assert (order.lines[0].name, order.buyer_name) == ("=HYPERLINK(1)", "+cmd|calc")


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("Name", "", "an empty cell"),
        ("Name", "10 01", "another text of length 5"),
        ("Email", "", "an empty cell"),
        ("Email", "mira.example.org", "a text that is none"),
        ("Billing Name", "", "an empty cell"),
        ("Billing Name", "Mira\tSample", "does not print"),
        ("Paid at", "", "an empty cell"),
        ("Paid at", "2026-03-01", "no such time"),
        ("Paid at", "2026-03-01 12:34:56", "no such time"),
        ("Paid at", "2026-02-30 12:34:56 +0100", "does not exist"),
        ("Paid at", "2026-03-01 12:34:56 +9900", "does not exist"),
        ("Paid at", "1999-03-01 12:34:56 +0100", "another year"),
        ("Currency", "EUX", '"EUX"'),
        ("Currency", "eur", "another text of length 3"),
        ("Taxes", "", "an empty cell"),
        ("Taxes", "-1.00", '"-1.00"'),
        ("Taxes", "349.01", "more"),
        ("Lineitem name", "", "an empty cell"),
        ("Lineitem sku", "TWO", '"TWO"'),
        ("Lineitem sku", "mira@example.org", "another text of length 16"),
        ("Lineitem quantity", "0", '"0"'),
        ("Lineitem quantity", "51", '"51"'),
        ("Lineitem quantity", "1.0", '"1.0"'),
        ("Lineitem quantity", "=1+1", "another text of length 4"),
        ("Lineitem quantity", "١", "another text of length 1"),
        ("Lineitem quantity", "+491701234567", "another text of length 13"),
        ("Lineitem price", "349.001", '"349.001"'),
        ("Lineitem price", '"1,349.00"', '"1,349.00"'),
        ("Lineitem price", "1e3", "another text"),
        ("Lineitem price", "349€", "another text"),
        ("Lineitem price", "9999999999999", "another text"),
    ],
)
def test_a_bad_cell_is_reported_with_row_column_expected_and_found(
    column: str, value: str, found: str
) -> None:
    error = only_error(one_row(**{column.replace(" ", "_"): value}))

    assert (error.row, error.column) == (2, column)
    assert error.expected
    assert found in error.found


def test_a_row_that_is_shifted_puts_no_address_into_the_report() -> None:
    cells = [*GOOD.values()]
    for by in range(1, len(cells)):
        shifted = ",".join([*cells[by:], *cells[:by]])
        told = " ".join(str(error) for error in parsed(orders_file(shifted)).errors)
        assert told
        assert "mira" not in told.lower()
        assert "Sample" not in told


def test_an_order_says_its_buyer_in_no_log() -> None:
    order = only_order(orders_file(*ORDER_1001))

    assert order.buyer_email == "mira@example.org"
    assert "#1001" in repr(order)
    assert "mira" not in repr(order).lower()
    assert "Sample" not in repr(order)


@pytest.mark.parametrize("column", ["Name", "Email", "Billing Name", "Paid at"])
def test_a_report_never_holds_what_may_be_personal(column: str) -> None:
    error = only_error(one_row(**{column.replace(" ", "_"): "Mira\x07Secret"}))

    assert "Secret" not in str(error)


def test_all_errors_are_gathered_and_good_orders_are_read() -> None:
    bad = ORDER_1002[0].replace("BUDS,2,14900", "BUDZ,0,-1").replace("JPY", "YEN")
    read = parsed(orders_file(*ORDER_1001, bad, bad.replace("#1002", "#1003")))

    assert [order.number for _, order in read.orders] == ["#1001"]
    assert [(error.row, error.column) for error in read.errors] == [
        (row, column)
        for row in (4, 5)
        for column in ("Currency", "Lineitem sku", "Lineitem quantity", "Lineitem price")
    ]


def test_a_thousand_errors_are_told_and_all_are_counted() -> None:
    rows = ["#1,"] * (MAX_ERRORS + 5)
    read = parsed(orders_file(*rows, *ORDER_1001, *ORDER_1002))

    assert (len(read.errors), read.error_count) == (MAX_ERRORS, MAX_ERRORS + 5)
    assert [order.number for _, order in read.orders] == ["#1001", "#1002"]


def test_an_order_is_left_out_for_an_error_that_is_no_more_told() -> None:
    bad = ORDER_1002[0].replace("BUDS", "BUDZ")
    read = parsed(orders_file(*["#1,"] * MAX_ERRORS, bad, *ORDER_1001))

    assert (len(read.errors), read.error_count) == (MAX_ERRORS, MAX_ERRORS + 1)
    assert [order.number for _, order in read.orders] == ["#1001"]


def test_a_file_of_short_rows_costs_neither_time_nor_memory() -> None:
    assert parsed(HEADER.encode() + b"\n" + b"a\n" * MAX_ROWS).error_count == MAX_ROWS
    with pytest.raises(Malformed) as refusal:
        parsed(HEADER.encode() + b"\n" + b"a\n" * (MAX_ROWS + 1))

    assert refusal.value.expected == f"at most {MAX_ROWS} rows"


def test_one_bad_row_takes_its_whole_order_out() -> None:
    bad = ORDER_1001[1].replace("PADS", "PEDS")

    assert only_error(orders_file(ORDER_1001[0], bad)).row == 3


def test_a_row_cut_short_takes_its_order_out() -> None:
    error = only_error(orders_file(ORDER_1001[0], "#1001,,,,,,Ear pads"))

    assert (error.row, error.column, error.found) == (3, "(row)", "7")


def test_an_order_has_at_most_a_hundred_rows() -> None:
    rows = [ORDER_1001[0], *[ORDER_1001[1]] * (MAX_LINES_PER_ORDER - 1)]

    assert parsed(orders_file(*rows)).orders
    assert only_error(orders_file(*rows, ORDER_1001[1])).column == "Name"


def test_missing_columns_are_named() -> None:
    with pytest.raises(Malformed) as refusal:
        parsed(orders_file(header="Name,Email,Paid at"))

    assert "Currency" in refusal.value.found
    assert "Lineitem price" in refusal.value.found
    assert "Email" not in refusal.value.found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "empty"),
        (orders_file(header=f"{HEADER},Name"), "Name more than once"),
        (one_row(Lineitem_name='"open'), "broken quotes"),
        (one_row().replace(b"Mira", b"Mir\xe1"), "another encoding"),
        (HEADER.encode() + b"\n" + b"x" * MAX_FILE_BYTES, "bytes"),
    ],
    ids=["empty", "column twice", "broken quotes", "latin-1", "too large"],
)
def test_what_is_no_orders_file_is_refused_whole(data: bytes, found: str) -> None:
    with pytest.raises(Malformed) as refusal:
        parsed(data)

    assert found in refusal.value.found


def test_the_same_file_again_changes_nothing(issuer: Issuer) -> None:
    before = issuer.summary()
    report = issuer.import_orders(ORDERS)

    assert (report.imported, report.unchanged, report.errors) == ((), 2, ())
    assert issuer.summary() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"warranty_months": 24', b'"warranty_months": 36'),
        (b'"serial_prefix": "A1"', b'"serial_prefix": "A2"'),
        (b'"products"', b'"prices_include_tax": false, "products"'),
    ],
    ids=["warranty", "serial prefix", "tax on top"],
)
def test_the_same_file_again_changes_nothing_although_the_catalogue_has_changed(
    issuer: Issuer, before: bytes, after: bytes
) -> None:
    orders = issuer.orders_of("mira@example.org")
    assert CATALOGUE.count(before) == 1
    issuer.catalogue = parse_catalogue(CATALOGUE.replace(before, after))
    report = issuer.import_orders(ORDERS)

    assert (report.imported, report.unchanged, report.errors) == ((), 2, ())
    assert issuer.orders_of("mira@example.org") == orders


def test_a_corrected_file_adds_what_was_left_out(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    issuer = issuer_on(store, clock, random_bytes)
    broken = issuer.import_orders(ORDERS.replace(b"BUDS", b"BUDZ"))
    corrected = issuer.import_orders(ORDERS)

    assert (broken.imported, len(broken.errors)) == (("#1001",), 1)
    assert (corrected.imported, corrected.unchanged, corrected.errors) == (("#1002",), 1, ())


def test_an_order_that_changed_since_is_reported_and_left_as_it_was(issuer: Issuer) -> None:
    before = issuer.orders_of("mira@example.org")
    report = issuer.import_orders(ORDERS.replace(b"349.00", b"1.00"))

    (error,) = report.errors
    assert (error.row, error.column, report.unchanged) == (2, "Taxes", 1)
    report = issuer.import_orders(ORDERS.replace(b"349.00", b"340.00"))
    (error,) = report.errors
    assert (error.row, error.column, report.unchanged) == (2, "Name", 1)
    assert issuer.orders_of("mira@example.org") == before


def test_a_buyers_orders_are_found_whatever_the_case(issuer: Issuer) -> None:
    assert [order.number for order in issuer.orders_of("Mira@Example.org")] == ["#1001"]
    assert issuer.orders_of("eve@example.org") == []
