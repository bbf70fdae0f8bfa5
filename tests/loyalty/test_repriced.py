"""A price that changed is the one that the service tells, and the old one when its block goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_loyalty.actions import ChangePrice
from counterfoil_loyalty.corridors import PriceChange
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_loyalty.store import MemoryStore, PointsStore
from counterfoil_service.sql import Database

from tests.loyalty.programme import AUDIO, NOW, Clock, programme_on, seeded


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PointsStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    database = Database.open(tmp_path / "points.sqlite3", METADATA, version=SCHEMA_VERSION)
    yield SqlStore(database)
    database.close()


def test_a_price_that_changed_is_the_brand_s_until_its_block_goes(
    store: PointsStore, clock: Clock
) -> None:
    ledger = MemoryLedger(now=NOW, random=seeded("repriced"))
    programme = programme_on(ledger, clock).open()
    opened = ledger.head()
    change = PriceChange(token=programme.tokens[AUDIO], price=90, version=1)
    signature = sign_by_brand(change, programme.venue, programme.audio)
    assert programme.perform(ChangePrice(change, signature)).reason is None
    blocks = [project(ledger.block(number)) for number in range(ledger.head() + 1)]

    store.record(*blocks[: opened + 1], final=opened)
    assert prices(store) == [100, 50]
    store.record(blocks[-1], final=opened)
    assert prices(store) == [90, 50]
    store.roll_back(opened)
    assert prices(store) == [100, 50]


def prices(store: PointsStore) -> list[int]:
    return [brand.price for brand in sorted(store.brands(), key=lambda it: it.brand)]
