"""Which items are meant: those that are named, and never a neighbour."""

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.recall_selector import (
    Concerned,
    Item,
    RecallSelector,
    SerialRange,
    item_in,
    parse_recall_selector,
)
from hypothesis import given
from hypothesis import strategies as st

GTIN = "04006381333931"
OTHER = "04012345000009"
YES, NO, UNCLEAR = Concerned.YES, Concerned.NO, Concerned.UNCLEAR
RANGE: JsonObject = {"from": "A1-0010", "to": "A1-0100"}
SERIALS = parse_recall_selector({"gtin": GTIN, "serials": [RANGE]})


def item(serial: str | None = "A1-0050", *, lot: str | None = "L7", gtin: str = GTIN) -> Item:
    return Item(gtin=gtin, lot=lot, serial=serial)


@pytest.mark.parametrize("serial", ["A1-0010", "A1-0011", "A1-0099", "A1-0100"])
def test_a_serial_number_of_the_range_is_meant(serial: str) -> None:
    assert SERIALS.concerns(item(serial)) is YES


@pytest.mark.parametrize(
    "serial",
    [
        *("A1-0009", "A1-0101", "A1-00050", "A1-050", "A2-0050", "a1-0050", "A1-005X", "A1-005"),
        *("A1-", "", "0050", "A1-0050 ", " A1-0050", "A1-00\u0665\u0660", "A1-0050\n"),
    ],
)
def test_a_neighbour_of_the_range_is_not(serial: str) -> None:
    assert SERIALS.concerns(item(serial)) is NO


def test_another_product_with_the_same_number_is_not() -> None:
    assert SERIALS.concerns(item(gtin=OTHER)) is NO


def test_one_item_and_serial_numbers_without_digits_can_be_named() -> None:
    one = parse_recall_selector({"gtin": GTIN, "serials": [{"from": "ABC", "to": "ABC"}]})

    assert one.concerns(item("ABC")) is YES
    assert one.concerns(item("ABD")) is NO
    assert one.concerns(item("ABC1")) is NO


def test_lots_and_serial_numbers_both_hold() -> None:
    both = parse_recall_selector({"gtin": GTIN, "lots": ["L7", "L8"], "serials": [RANGE]})

    assert both.concerns(item()) is YES
    assert both.concerns(item(lot="L9")) is NO
    assert both.concerns(item(lot="l7")) is NO
    assert both.concerns(item("A1-0101")) is NO


def test_what_is_not_known_is_unclear_unless_what_is_known_decides() -> None:
    both = parse_recall_selector({"gtin": GTIN, "lots": ["L7"], "serials": [RANGE]})

    assert both.concerns(item(lot=None)) is UNCLEAR
    assert both.concerns(item(None)) is UNCLEAR
    assert both.concerns(item("A1-0101", lot=None)) is NO
    assert both.concerns(item(None, lot="L9")) is NO
    assert SERIALS.concerns(item(lot=None)) is YES
    assert parse_recall_selector({"gtin": GTIN}).concerns(item(None, lot=None)) is YES


@given(st.integers(0, 99_999), st.integers(0, 99_999), st.integers(0, 99_999))
def test_a_range_has_what_lies_between(low: int, high: int, at: int) -> None:
    low, high = sorted((low, high))
    found = SerialRange(f"S{low:05d}", f"S{high:05d}")

    assert found.has(f"S{at:05d}") == (low <= at <= high)


def test_a_selector_comes_back_from_the_wire_as_it_was() -> None:
    for selector in (
        SERIALS,
        RecallSelector(gtin=GTIN),
        RecallSelector(gtin=GTIN, lots=frozenset({"b", "a"}), serials=(SerialRange("1", "9"),)),
    ):
        assert parse_recall_selector(selector.to_json()) == selector
    assert parse_recall_selector({"gtin": "4006381333931"}).gtin == GTIN


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"gtin": "4006381333932"},
        {"gtin": GTIN, "lots": []},
        {"gtin": GTIN, "lots": [""]},
        {"gtin": GTIN, "lots": ["x" * 41]},
        {"gtin": GTIN, "lots": ["x"] * 10_001},
        {"gtin": GTIN, "serials": []},
        {"gtin": GTIN, "serials": ["A1"]},
        {"gtin": GTIN, "serials": [{"from": "A1"}]},
        {"gtin": GTIN, "serials": [{**RANGE, "step": "2"}]},
        {"gtin": GTIN, "serials": [{"from": "A1-0100", "to": "A1-0010"}]},
        {"gtin": GTIN, "serials": [{"from": "A1-10", "to": "A1-0100"}]},
        {"gtin": GTIN, "serials": [{"from": "A1-10", "to": "A2-10"}]},
        {"gtin": GTIN, "serials": [{"from": "", "to": ""}]},
        {"gtin": GTIN, "serials": [{"from": "1" * 41, "to": "2" * 41}]},
        {"gtin": GTIN, "sold_after": "2026-01-01"},
    ],
)
def test_a_selector_that_might_mean_more_than_it_says_is_malformed(wrong: JsonObject) -> None:
    with pytest.raises(Malformed):
        parse_recall_selector(wrong)


def test_the_item_of_a_credential_is_what_its_claims_name() -> None:
    assert item_in({"item": {"gtin": "4006381333931", "serial": "A1-0050", "lot": "L7"}}) == item()
    assert item_in({"item": {"gtin": GTIN, "serial": 50}}) == item(None, lot=None)


@pytest.mark.parametrize(
    "claims", [{}, {"item": "A1"}, {"item": {"serial": "A1-0050"}}, {"item": {"gtin": "12"}}]
)
def test_nothing_is_said_about_an_item_without_a_gtin(claims: JsonObject) -> None:
    assert item_in(claims) is None
