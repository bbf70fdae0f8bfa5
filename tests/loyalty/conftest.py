"""A ledger of either kind, at a time that stands until a test moves it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.memory_ledger import MemoryLedger

from tests.loyalty.programme import NOW, Clock, Programme, programme_on, seeded


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(
    params=[
        "memory",
        "chain",
        pytest.param("anvil", marks=[pytest.mark.loopback, pytest.mark.once]),
    ]
)
def ledger(
    request: pytest.FixtureRequest, clock: Clock, tmp_path: Path
) -> Iterator[EmbeddedLedger]:
    """Give an empty ledger: each test that asks runs on each kind."""
    if request.param == "memory":
        yield MemoryLedger(now=NOW, random=seeded("memory"))
        return
    if request.param == "anvil":
        from tests.loyalty.anvil import AnvilLedger, anvil

        with anvil("--no-mining") as node:
            on_node = AnvilLedger(node)
            yield on_node
            on_node.close()
        return
    from counterfoil_loyalty.chain import embedded_ledger

    on_chain = embedded_ledger(tmp_path / "chain.sqlite3", now=NOW, random=seeded("chain"))
    yield on_chain
    on_chain.close()


@pytest.fixture
def programme(ledger: EmbeddedLedger, clock: Clock) -> Programme:
    """Give two brands with a corridor (3 for 2) on either ledger."""
    return programme_on(ledger, clock).open()
