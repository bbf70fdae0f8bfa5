"""A ledger of either kind, at a time that stands until a test moves it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_loyalty.ledger import EmbeddedLedger

from tests.loyalty.ledgers import empty_ledger
from tests.loyalty.programme import Clock, Programme, programme_on


@pytest.fixture(
    params=[
        "memory",
        "chain",
        pytest.param("anvil", marks=[pytest.mark.loopback, pytest.mark.once]),
    ]
)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedLedger]:
    """Give an empty ledger: each test that asks runs on each kind."""
    yield from empty_ledger(request.param, tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def programme(ledger: EmbeddedLedger, clock: Clock) -> Programme:
    """Give two brands with a corridor (3 for 2) on either ledger."""
    return programme_on(ledger, clock).open()
