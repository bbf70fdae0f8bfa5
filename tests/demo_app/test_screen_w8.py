"""W8: the receipts found by text, brand, day and amount, and what they come to."""

import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from counterfoil_demo.phone.receipts import (
    Receipt,
    Receipts,
    Sought,
    as_csv,
    read_receipt,
    totals_of,
)

from tests.demo_app.phone_scene import Scene
from tests.wallet.cards import card_of

pytestmark = pytest.mark.once

RECEIPT = Receipt(
    credential_id="1",
    issuer="https://auricle.example",
    number="0000 0000 01",
    order="#1",
    first_item="Auricle One, black",
    items=1,
    total=Decimal("249.00"),
    currency="EUR",
    day=date(2026, 8, 4),
    paid_at=None,
)


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({}, True),
        ({"brand": "https://auricle.example"}, True),
        ({"brand": "https://auricle.example.evil"}, False),
        ({"from": "2026-08-04"}, True),
        ({"from": "2026-08-05"}, False),
        ({"to": "2026-08-04"}, True),
        ({"to": "2026-08-03"}, False),
        ({"least": "249"}, True),
        ({"least": "249.01"}, False),
        ({"most": "249,00"}, True),
        ({"most": "248.99"}, False),
        ({"least": "NaN", "from": "yesterday"}, True),
    ],
)
def test_screen_w8_narrows_by_brand_day_and_amount(query: dict[str, str], *, fits: bool) -> None:
    assert Sought.of(query).fits(RECEIPT) is fits


def test_screen_w8_adds_up_each_currency_by_itself() -> None:
    others = [card_of({"total": "0.10", "currency": "CNY"}), card_of({"total": "0.20"})]

    totals = totals_of([RECEIPT, RECEIPT, *map(read_receipt, others)])

    assert totals == [
        ("CNY", Decimal("0.10")),
        ("EUR", Decimal("498.00")),
        ("XXX", Decimal("0.20")),
    ]


def test_screen_w8_gives_a_spreadsheet_no_formula() -> None:
    named = read_receipt(card_of({"lines": [{"name": '=HYPERLINK("http://evil.example")'}]}))

    rows = list(csv.reader(io.StringIO(as_csv([named]).removeprefix("\ufeff"))))

    assert rows[1][4] == '\'=HYPERLINK("http://evil.example")'


def test_screen_w8_lists_a_receipt_under_its_month_with_its_total(shopper: Scene) -> None:
    page = shopper.get("/receipts").text

    assert "1 receipt<" in page
    assert "August 2026" in page
    assert page.count("€407.00") == 2


def test_screen_w8_finds_by_any_word_and_says_when_nothing_fits(shopper: Scene) -> None:
    assert "1 receipt<" in shopper.get("/receipts?q=ear+pads").text
    assert "1 receipt<" in shopper.get("/receipts?q=1004&least=400&most=410").text
    nothing = shopper.get("/receipts?q=bicycle").text
    assert "0 receipts" in nothing
    assert "Nothing found" in nothing


def test_screen_w8_says_what_goes_here_while_there_is_none(phone: Scene) -> None:
    phone.first_run()

    assert "No receipts yet" in phone.get("/receipts").text


def test_screen_w8_takes_along_what_was_found(shopper: Scene) -> None:
    file = shopper.get("/receipts.csv?q=earbuds")

    assert file.headers["content-disposition"] == 'attachment; filename="receipts.csv"'
    rows = list(csv.DictReader(io.StringIO(file.text.removeprefix("\ufeff"))))
    assert [(row["order"], row["total"], row["currency"]) for row in rows] == [
        ("#1004", "407.00", "EUR")
    ]


def test_screen_w8_forgets_what_it_read_when_the_wallet_is_locked(shopper: Scene) -> None:
    receipts = Receipts(shopper.pocket)
    receipts.find(shopper.pocket.wallet, Sought())
    assert receipts.remembers_any

    shopper.post("/lock")

    assert not receipts.remembers_any
