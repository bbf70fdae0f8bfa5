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
    assert len(judged) >= 12
    for row in judged:
        assert row.allowed is not None
        assert row.ours <= row.allowed, row.name
        assert row.goal is None or row.ours <= row.goal, row.name


def test_a_transfer_pays_for_no_slot_and_no_stamp(measured: list[Row]) -> None:
    transfers = [row for row in measured if row.name.startswith("transfer")]
    assert len(transfers) == 2
    for row in transfers:
        assert row.plain is not None
        assert row.slots == ()
        assert row.ours - row.plain < 2_100  # less than the least that a slot costs
