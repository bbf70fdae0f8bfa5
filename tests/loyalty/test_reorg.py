"""What a chain takes back is taken back in the projection, and waits in the outbox again."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from threading import RLock
from typing import Any

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty.indexer import Indexer
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_loyalty.store import MemoryStore, PointsStore
from counterfoil_service.sql import Database

from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, Programme, programme_on, seeded

DEPTH = 6


class Unsettled(MemoryLedger):
    """A ledger whose last blocks may still go back."""

    def final(self) -> int:
        return self.head() - DEPTH


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PointsStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    where: Path | str = tmp_path / "points.sqlite3"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres_url")
    database = Database.open(where, METADATA, version=SCHEMA_VERSION)
    yield SqlStore(database)
    database.close()


@pytest.fixture
def ledger() -> Unsettled:
    return Unsettled(now=NOW, random=seeded("unsettled"))


@pytest.fixture
def programme(ledger: Unsettled, clock: Clock) -> Programme:
    return programme_on(ledger, clock)


def opened(programme: Programme, store: PointsStore) -> Relayer:
    relayer = Relayer(programme.ledger, store)
    relayer.start()
    for brand in (AUDIO, BICYCLE):
        relayer.accept(programme.registration(brand))
    turn(relayer, programme)
    programme.tokens |= {brand.brand: brand.token for brand in store.brands()}
    relayer.accept(programme.terms())
    turn(relayer, programme)
    for _ in range(DEPTH):
        award(relayer, programme)
    return relayer


def turn(relayer: Relayer, programme: Programme) -> None:
    programme.clock.advance(1)
    assert relayer.turn(programme.clock.now)


def award(relayer: Relayer, programme: Programme) -> str:
    """Give one award a block of its own, and its key."""
    action = programme.award(100, f"order {programme.clock.now}")
    relayer.accept(action)
    turn(relayer, programme)
    return action.key


def saved(ledger: Unsettled) -> dict[str, Any]:
    return deepcopy(vars(ledger) | {"_lock": None})


def go_back(ledger: Unsettled, to: dict[str, Any]) -> None:
    """Put the blocks back; what a signed transaction says is in itself, wherever it is sent."""
    said = vars(ledger)["_actions"]
    vars(ledger).update(deepcopy(to) | {"_lock": RLock(), "_actions": said})


def everything(store: PointsStore, programme: Programme) -> tuple[object, ...]:
    accounts = [programme.customer.of(brand).account for brand in (AUDIO, BICYCLE)]
    histories = [
        [(it.block, it.index, it.units, it.kind) for it in store.history(a, after=-1, limit=999)]
        for a in accounts
    ]
    return (
        [dict(store.balances(account)) for account in accounts],
        histories,
        dict(store.supplies()),
        {brand.token: brand for brand in store.brands()},
        {(it.token_in, it.token_out): it for it in store.corridors()},
        store.head(),
    )


def replayed(ledger: MemoryLedger, programme: Programme) -> tuple[object, ...]:
    afresh = MemoryStore()
    Indexer(ledger, afresh).catch_up()
    return everything(afresh, programme)


@pytest.mark.parametrize("depth", range(1, DEPTH + 1))
def test_blocks_that_went_back_leave_nothing_and_their_awards_are_minted_again_once(
    ledger: Unsettled, programme: Programme, store: PointsStore, depth: int
) -> None:
    relayer = opened(programme, store)
    before = saved(ledger)
    lost = [award(relayer, programme) for _ in range(depth)]
    lost_head = store.head()
    go_back(ledger, before)

    # The other branch has other blocks, and is longer.
    other = programme.award(7, "another branch")
    sequence = ledger.sequence()
    waiting = [entry for key in lost if (entry := store.placed(key))]
    ledger.send(ledger.sign(other, sequence))
    programme.clock.advance(1)
    ledger.make_block(programme.clock.now)
    for entry in waiting[1:]:  # The first one's number was taken by the other branch.
        ledger.send(entry.transaction)
    for _ in range(depth):
        programme.clock.advance(1)
        ledger.make_block(programme.clock.now)
    Indexer(ledger, store).catch_up()

    assert store.head() != lost_head
    assert everything(store, programme) == replayed(ledger, programme)
    assert programme.balance() == 100 * DEPTH + 7 + 100 * (depth - 1)
    first = store.placed(lost[0])
    assert first is not None
    assert first.outcome is None  # it waits again


def test_terms_and_brands_of_a_lost_block_are_gone(
    ledger: Unsettled, programme: Programme, store: PointsStore
) -> None:
    relayer = opened(programme, store)
    before = saved(ledger)
    relayer.accept(programme.terms(version=2, ends_at=NOW + 500))
    relayer.accept(programme.registration(AUDIO, brand="https://third.example"))
    turn(relayer, programme)
    assert [it.version for it in store.corridors()] == [2]
    assert len(store.brands()) == 3

    go_back(ledger, before)
    programme.perform(programme.award(1, "another"))
    Indexer(ledger, store).catch_up()

    assert [it.version for it in store.corridors()] == [1]
    assert len(store.brands()) == 2
    assert everything(store, programme) == replayed(ledger, programme)


def test_a_chain_that_is_only_behind_undoes_nothing(
    ledger: Unsettled, programme: Programme, store: PointsStore
) -> None:
    relayer = opened(programme, store)
    before = saved(ledger)
    award(relayer, programme)
    known = everything(store, programme)
    go_back(ledger, before)

    Indexer(ledger, store).catch_up()

    assert everything(store, programme) == known


def test_what_was_final_is_never_undone(
    ledger: Unsettled, programme: Programme, store: PointsStore
) -> None:
    relayer = opened(programme, store)
    before = saved(ledger)
    for _ in range(DEPTH + 2):
        award(relayer, programme)
    known = everything(store, programme)
    go_back(ledger, before)
    for number in range(DEPTH + 4):
        programme.perform(programme.award(1, f"another {number}"))

    with pytest.raises(Misuse):
        Indexer(ledger, store).catch_up()
    assert everything(store, programme) == known


def test_a_movement_says_whether_its_block_may_still_go_back(
    ledger: Unsettled, programme: Programme, store: PointsStore
) -> None:
    relayer = opened(programme, store)
    award(relayer, programme)
    account = programme.customer.of(AUDIO).account

    found = store.history(account, after=-1, limit=99)

    assert [it.is_final for it in found] == [it.block <= store.final() for it in found]
    assert {it.is_final for it in found} == {True, False}
