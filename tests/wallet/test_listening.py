"""Who listens hears each event once it is kept, in order, and can stop."""

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Queue

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_wallet import Act, Event, MemoryStore, Outcome, Wallet
from counterfoil_wallet.history import EventId
from counterfoil_wallet.listening import Listeners, heard
from counterfoil_wallet.store import Kind, Record

from tests.conftest import NOON, Clock
from tests.wallet.strangers import StrangeIssuer, StrangeShop

PATIENCE_S = 60


@pytest.fixture
def network() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def wallet(network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]) -> Wallet:
    return Wallet(MemoryStore(), fetcher=network, clock=clock, random=random_bytes)


def event(name: str) -> Event:
    return Event(event_id=EventId(name), at=NOON, act=Act.SHOWN, party="a shop", types=())


def test_each_event_is_told_and_again_with_its_outcome(
    wallet: Wallet, network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    told: Queue[Event] = Queue()
    wallet.listen(told.put)

    wallet.accept(StrangeIssuer(network, clock, random_bytes).link)
    wallet.present(wallet.matches(StrangeShop(network, clock).link).choose())

    assert [(one.act, one.outcome) for one in (told.get(timeout=PATIENCE_S) for _ in range(3))] == [
        (Act.ACCEPTED, Outcome.DONE),
        (Act.SHOWN, Outcome.SENT),
        (Act.SHOWN, Outcome.DONE),
    ]


def test_a_listener_may_call_the_wallet_and_even_lock_it(
    wallet: Wallet, network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    seen: Queue[int] = Queue()
    accepted = threading.Event()

    def look(_: Event) -> None:
        seen.put(len(wallet.credentials()))
        # What is under way in a wallet that is locked ends as `Misuse`.
        assert accepted.wait(PATIENCE_S)
        wallet.lock()
        seen.put(0)

    wallet.listen(look)
    wallet.accept(StrangeIssuer(network, clock, random_bytes).link)
    accepted.set()

    assert [seen.get(timeout=PATIENCE_S) for _ in range(2)] == [1, 0]
    with pytest.raises(Misuse):
        wallet.credentials()


def test_who_stopped_hears_nothing_more_and_the_others_do() -> None:
    first: list[Event] = []
    second: list[Event] = []
    listeners = Listeners()
    store = heard(MemoryStore(), listeners.tell)
    stop, _ = listeners.listen(first.append), listeners.listen(second.append)

    store.put(event("one").to_record())
    stop()
    stop()
    store.put(event("two").to_record())
    listeners.close()

    assert [one.event_id for one in first] == ["one"]
    assert [one.event_id for one in second] == ["one", "two"]


def test_locking_tells_what_is_still_to_be_told_and_ends_the_threads() -> None:
    before = threading.active_count()
    told: list[Event] = []
    listeners = Listeners()
    store = heard(MemoryStore(), listeners.tell)
    listeners.listen(told.append)
    for number in range(100):
        store.put(event(f"{number}").to_record())

    listeners.close()

    assert [one.event_id for one in told] == [f"{number}" for number in range(100)]
    assert threading.active_count() == before


def test_a_listener_that_hangs_does_not_keep_the_wallet_open(
    wallet: Wallet,
    network: MemoryFetcher,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("counterfoil_wallet.listening.PATIENCE_S", 0.05)
    is_locked, ended = threading.Event(), Queue[bool]()

    def hang(_: Event) -> None:
        # Like a listener that waits for the thread of the screen, which is locking the wallet.
        ended.put(is_locked.wait(PATIENCE_S))

    wallet.listen(hang)
    wallet.accept(StrangeIssuer(network, clock, random_bytes).link)

    wallet.lock()
    with pytest.raises(Misuse, match="locked"):
        wallet.credentials()
    is_locked.set()

    assert ended.get(timeout=PATIENCE_S)


def test_a_listener_that_fails_is_told_the_next_event_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    listeners = Listeners()
    store = heard(MemoryStore(), listeners.tell)
    told: list[Event] = []

    def fail(one: Event) -> None:
        told.append(one)
        raise KeyError(one.event_id)

    listeners.listen(fail)
    store.put(event("one").to_record(), event("two").to_record())
    listeners.close()

    assert len(told) == 2
    assert [args.exc_type for args in failed] == [KeyError, KeyError]


def test_an_event_is_told_after_its_step_and_not_when_the_step_is_undone() -> None:
    told: list[str] = []
    store = heard(MemoryStore(), lambda one: told.append(one.event_id))

    with store.step():
        with store.step():
            store.put(event("inner").to_record())
        assert told == []
        store.put(event("outer").to_record(), Record(Kind.SECRET, "a", "", b"b"))
    with suppress(KeyError), store.step():
        store.put(event("undone").to_record())
        raise KeyError

    store.put(event("later").to_record())

    assert told == ["inner", "outer", "later"]
    assert store.get(Kind.EVENT, "undone") is None
