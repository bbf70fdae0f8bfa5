"""The page about gas says what a fresh run says, and every promise on it holds."""

import pytest

from bench.gas import PAGE, Row, page, rows

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def measured() -> list[Row]:
    return rows()


def test_the_page_about_gas_is_that_of_a_fresh_run(measured: list[Row]) -> None:
    assert PAGE.read_text("utf-8") == page(measured)


def test_no_operation_costs_more_than_plain_openzeppelin_its_named_slots_and_three_percent(
    measured: list[Row],
) -> None:
    judged = [row for row in measured if row.allowed is not None]
    assert len(judged) >= 14
    for row in judged:
        assert row.allowed is not None
        assert row.ours <= row.allowed, row.name


def test_what_was_promised_holds(measured: list[Row]) -> None:
    promised = {row.name: row for row in measured if row.goal is not None}
    assert promised["swap, holder"].goal == 160_000
    assert promised["swap, new holder, first in its epoch"].goal == 205_000
    assert promised["batch of 100, new holders"].goal == 28_000 * 100
    assert promised["claim by a proof of 20, new holder"].goal == 122_000
    assert promised["claim by a proof of 20, holder"].goal == 105_000
    for row in promised.values():
        assert row.goal is not None
        assert row.ours <= row.goal, row.name


def test_a_transfer_pays_for_no_slot_and_no_stamp(measured: list[Row]) -> None:
    transfers = [row for row in measured if row.name.startswith("transfer")]
    assert len(transfers) == 4
    for row in transfers:
        assert row.plain is not None
        assert row.slots == ()
        assert row.ours - row.plain < 2_100  # less than the least that a slot costs
