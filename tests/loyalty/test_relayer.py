"""The relayer loses nothing and does nothing twice: on both stores, across every interruption."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from threading import RLock

import pytest
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_loyalty.actions import CreatePoints
from counterfoil_loyalty.ledger import EmbeddedLedger, SignedTransaction
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.relayer import KEY_CONFLICT, Relayer, Ticker
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_loyalty.store import Head, MemoryStore, PointsStore, Projected
from counterfoil_service.sql import Database

from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, Programme, programme_on, seeded

Reopen = Callable[[], PointsStore]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Give a function that opens the store, again after a crash: memory stands for a disk."""
    if request.param == "memory":
        store = MemoryStore()
        yield lambda: store
        return
    where: Path | str = tmp_path / "points.sqlite3"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres_url")
    databases = [Database.open(where, METADATA, version=SCHEMA_VERSION)]

    def opened() -> PointsStore:
        databases.append(Database.open(where, METADATA, version=SCHEMA_VERSION))
        return SqlStore(databases[-1])

    yield opened
    for database in databases:
        database.close()


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(now=NOW, random=seeded("relayer"))


@pytest.fixture
def programme(ledger: MemoryLedger, clock: Clock) -> Programme:
    """Give the programme with nothing done yet: the relayer does it."""
    return programme_on(ledger, clock)


def started(ledger: EmbeddedLedger, store: PointsStore) -> Relayer:
    relayer = Relayer(ledger, store)
    relayer.start()
    return relayer


def turn(relayer: Relayer, clock: Clock) -> None:
    clock.advance(1)
    assert relayer.turn(clock.now)


def with_brands(programme: Programme, relayer: Relayer, store: PointsStore) -> None:
    for brand in (AUDIO, BICYCLE):
        relayer.accept(programme.registration(brand))
    turn(relayer, programme.clock)
    programme.tokens |= {brand.brand: brand.token for brand in store.brands()}


def test_an_award_sent_twice_is_one_entry_and_one_mint(
    programme: Programme, ledger: MemoryLedger, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)

    first = relayer.accept(programme.award())
    assert relayer.accept(programme.award()) == first
    turn(relayer, programme.clock)
    again = relayer.accept(programme.award())

    assert again.transaction == first.transaction
    assert again.outcome is not None
    assert again.outcome.reason is None
    assert programme.balance() == 1_000
    assert store.balances(programme.customer.of(AUDIO).account) == {programme.tokens[AUDIO]: 1_000}


def test_the_same_ref_for_something_else_is_a_conflict(
    programme: Programme, ledger: MemoryLedger, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    relayer.accept(programme.award(1_000))

    with pytest.raises(Refused) as refusal:
        relayer.accept(programme.award(1_001))
    assert refusal.value.codes == [KEY_CONFLICT]
    turn(relayer, programme.clock)
    with pytest.raises(Refused) as refusal:
        relayer.accept(programme.award(1_001))
    assert refusal.value.codes == [KEY_CONFLICT]
    assert programme.balance() == 1_000


def test_many_at_once_with_one_ref_mint_once(
    programme: Programme, ledger: MemoryLedger, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)

    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(relayer.accept, [programme.award()] * 40))
    turn(relayer, programme.clock)

    assert len({entry.transaction.transaction_id for entry in entries}) == 1
    assert programme.balance() == 1_000
    assert relayer.is_idle()


def test_what_was_refused_beforehand_leaves_no_trace(
    programme: Programme, ledger: MemoryLedger, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    waiting = len(store.waiting(ledger.relayer))

    with pytest.raises(Refused) as refusal:
        relayer.accept(programme.redemption(100))
    assert refusal.value.codes == ["insufficient-points"]

    assert len(store.waiting(ledger.relayer)) == waiting
    relayer.accept(programme.award())
    turn(relayer, programme.clock)
    relayer.accept(programme.redemption(100))
    turn(relayer, programme.clock)
    assert programme.balance() == 900


def test_what_fails_in_its_block_is_answered_with_its_reason_ever_after(
    programme: Programme, ledger: MemoryLedger, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    relayer.accept(programme.award(100))
    turn(relayer, programme.clock)
    relayer.accept(programme.redemption(100))
    second = programme.redemption(100, redemption_id=b"2" * 32)
    relayer.accept(second)  # Either alone would pass; there are points for one.
    turn(relayer, programme.clock)

    for _ in range(2):
        entry = started(ledger, reopen()).accept(second)
        assert entry.outcome is not None
        assert entry.outcome.reason is not None
        assert entry.outcome.reason.code == "insufficient-points"


class Silent(MemoryLedger):
    """A ledger that `send` does not reach: the process died between storing and sending."""

    is_silent = False

    def send(self, transaction: SignedTransaction) -> None:
        if not self.is_silent:
            super().send(transaction)


def test_what_was_stored_and_never_sent_is_sent_by_the_next_run(
    clock: Clock, reopen: Reopen
) -> None:
    ledger = Silent(now=NOW, random=seeded("silent"))
    programme = programme_on(ledger, clock)
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    ledger.is_silent = True
    for order in ("1001", "1002", "1003"):
        relayer.accept(programme.award(order=order))
    clock.advance(1)
    assert not relayer.turn(clock.now)

    ledger.is_silent = False
    relayer = started(ledger, reopen())
    turn(relayer, clock)

    assert programme.balance() == 3_000
    assert relayer.is_idle()


def test_what_came_into_a_block_and_was_not_recorded_is_recorded_by_the_next_run(
    programme: Programme, ledger: MemoryLedger, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    relayer.accept(programme.award())
    programme.clock.advance(1)
    ledger.make_block(programme.clock.now)  # the process died here

    store = reopen()
    relayer = started(ledger, store)

    assert relayer.is_idle()
    assert store.balances(programme.customer.of(AUDIO).account) == {programme.tokens[AUDIO]: 1_000}
    entry = relayer.accept(programme.award())
    assert entry.outcome is not None
    assert programme.balance() == 1_000


def test_a_lost_outbox_mints_nothing_again(
    programme: Programme, ledger: MemoryLedger, clock: Clock
) -> None:
    store = MemoryStore()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    relayer.accept(programme.award())
    turn(relayer, clock)

    relayer = started(ledger, MemoryStore())
    with pytest.raises(Refused) as refusal:
        relayer.accept(programme.award())
    assert refusal.value.codes == ["duplicate-ref"]
    relayer.accept(programme.award(order="1002"))  # with a number that the chain has not seen
    turn(relayer, clock)
    assert programme.balance() == 2_000


def test_an_outbox_made_for_another_chain_is_refused(ledger: MemoryLedger, reopen: Reopen) -> None:
    started(ledger, reopen())
    other = MemoryLedger(now=NOW, random=seeded("another"))
    with pytest.raises(Misuse):
        started(other, reopen())
    started(ledger, reopen())


@pytest.mark.parametrize("blocks_since", [0, 1, 2])
def test_a_chain_older_than_its_outbox_is_refused_by_name(
    ledger: MemoryLedger, programme: Programme, reopen: Reopen, blocks_since: int
) -> None:
    """The chain's file comes from a backup, and may have gone on from there."""
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    backup = deepcopy(vars(ledger) | {"_lock": None})
    for order in ("1001", "1002"):
        relayer.accept(programme.award(order=order))
        turn(relayer, programme.clock)
    account = programme.customer.of(AUDIO).account

    vars(ledger).update(backup | {"_lock": RLock()})
    for number in range(blocks_since):
        programme.perform(programme.award(1, f"another {number}"))

    with pytest.raises(Misuse, match="one and the same copy"):
        started(ledger, reopen())
    assert reopen().balances(account) == {programme.tokens[AUDIO]: 2_000}  # nothing was touched
    started(ledger, MemoryStore())  # the outbox moved away, as the text says


def test_a_chain_newer_than_its_outbox_is_taken_in(
    ledger: MemoryLedger, programme: Programme, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    for order in ("1001", "1002"):
        assert programme.perform(programme.award(order=order)).reason is None

    started(ledger, reopen())

    account = programme.customer.of(AUDIO).account
    assert reopen().balances(account) == {programme.tokens[AUDIO]: 2_000}


def test_a_block_is_counted_once(reopen: Reopen) -> None:
    store = reopen()
    store.record(Projected(Head(0, "a")))
    for wrong in (0, 2):
        with pytest.raises(Misuse):
            store.record(Projected(Head(wrong, "b")))
    store.record(Projected(Head(1, "b")))
    assert store.head() == Head(1, "b")


def test_history_comes_in_whole_blocks(
    programme: Programme, ledger: MemoryLedger, reopen: Reopen
) -> None:
    store = reopen()
    relayer = started(ledger, store)
    with_brands(programme, relayer, store)
    for start in (0, 3):
        for order in range(start, start + 3):
            relayer.accept(programme.award(order=str(order)))
        turn(relayer, programme.clock)
    account = programme.customer.of(AUDIO).account

    everything = store.history(account, after=-1, limit=100)
    page = store.history(account, after=-1, limit=2)
    rest = store.history(account, after=page[-1].block, limit=100)

    assert len(everything) == 6
    assert len(page) == 3
    assert [*page, *rest] == list(everything)


def test_the_ticker_makes_blocks_while_there_is_work(programme: Programme) -> None:
    relayer = started(programme.ledger, MemoryStore())
    clock = programme.clock

    def moving() -> int:
        clock.advance(1)
        return clock.now

    ticker = Ticker(relayer, moving)
    ticker.start()
    try:
        action: CreatePoints = programme.registration(AUDIO)
        relayer.accept(action)
        entry = relayer.wait_for(action.key, 5)
    finally:
        ticker.stop()
    assert entry is not None
    assert entry.outcome is not None
    assert not ticker.is_alive
