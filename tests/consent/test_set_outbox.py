"""An outbox keeps each letter until its destination has it, in order, on every kind of store."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent.set_outbox import Letter, LetterState, MemorySetOutbox, Round, SetOutbox
from counterfoil_consent.sql_set_outbox import METADATA, SqlSetOutbox
from counterfoil_consent.wire import GrantId
from counterfoil_service.sql import Database

from tests.conftest import Clock

SHOP, OTHER = "did:example:shop", "did:example:other"
DOOR = "https://shop.example/events"
LEASE = timedelta(seconds=60)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SetOutbox]:
    if request.param == "memory":
        yield MemorySetOutbox()
        return
    is_file = request.param == "sqlite"
    where = tmp_path / "outbox.sqlite3" if is_file else request.getfixturevalue("postgres_url")
    database = Database.open(where, METADATA)
    yield SqlSetOutbox(database)
    database.close()


def letter(number: int, to: str = SHOP, *, grant: int = 0, rank: int = 0) -> Letter:
    return Letter(
        destination=to,
        event_id=f"event-{number}",
        grant_id=GrantId(f"{grant:021}A"),
        token=f"token-{number}",
        rank=rank,
    )


def take(outbox: SetOutbox, clock: Clock, *, steady_only: bool = False) -> Round | None:
    lease = f"lease-{clock.now.isoformat()}-{len(_LEASES)}"
    _LEASES.append(lease)
    return outbox.take(clock(), clock() + LEASE, lease, steady_only=steady_only)


_LEASES: list[str] = []


def taken(outbox: SetOutbox, clock: Clock, *, steady_only: bool = False) -> Round:
    round_ = take(outbox, clock, steady_only=steady_only)
    assert round_ is not None
    return round_


def names(letters: "list[Letter] | tuple[Letter, ...]") -> list[str]:
    return [each.event_id for each in letters]


def test_a_letter_without_an_endpoint_waits_for_a_poll(outbox: SetOutbox, clock: Clock) -> None:
    outbox.put([letter(1), letter(2)])

    assert take(outbox, clock) is None
    assert names(outbox.waiting(SHOP, 10)) == ["event-1", "event-2"]
    assert names(outbox.waiting(SHOP, 1)) == ["event-1"]
    assert outbox.waiting(OTHER, 10) == []


def test_a_stream_makes_its_letters_ready_for_a_push_in_their_order(
    outbox: SetOutbox, clock: Clock
) -> None:
    outbox.put([letter(2), letter(1)])
    assert outbox.set_endpoint(SHOP, DOOR)

    round_ = taken(outbox, clock)

    assert names(round_.letters) == ["event-2", "event-1"]
    assert {each.endpoint for each in round_.letters} == {DOOR}
    assert (round_.destination, round_.attempts) == (SHOP, 0)


def test_a_letter_put_twice_is_there_once(outbox: SetOutbox) -> None:
    for _ in range(2):
        outbox.put([letter(1)])

    assert names(outbox.waiting(SHOP, 10)) == ["event-1"]


def test_of_the_pauses_of_a_grant_the_one_that_holds_is_kept(
    outbox: SetOutbox, clock: Clock
) -> None:
    outbox.put([letter(1, rank=3), letter(2, grant=1, rank=9)])
    outbox.put([letter(3, rank=5), letter(4, OTHER, rank=2)])
    outbox.put([letter(3, rank=5), letter(5, rank=4), letter(6)])

    assert names(outbox.waiting(SHOP, 10)) == ["event-2", "event-3", "event-6"]
    assert names(outbox.waiting(OTHER, 10)) == ["event-4"]


def test_two_never_hold_one_destination_until_the_lease_ends(
    outbox: SetOutbox, clock: Clock
) -> None:
    outbox.put([letter(1)])
    outbox.set_endpoint(SHOP, DOOR)
    first = taken(outbox, clock)

    assert take(outbox, clock) is None
    clock.advance(LEASE)
    second = taken(outbox, clock)

    # Who was too slow writes nothing down any more.
    assert not outbox.delivered(first, "event-1", clock(), clock() + LEASE)
    outbox.put_off(first, clock() + LEASE)
    outbox.give_up(first, "too slow", clock(), clock() + LEASE)
    outbox.release(first)
    assert names(outbox.waiting(SHOP, 10)) == ["event-1"]
    assert outbox.counts().dead == 0
    assert outbox.delivered(second, "event-1", clock(), clock() + LEASE)
    assert outbox.waiting(SHOP, 10) == []


def test_what_was_delivered_is_gone_and_the_rest_goes_on(outbox: SetOutbox, clock: Clock) -> None:
    outbox.put([letter(number) for number in range(25)])
    outbox.set_endpoint(SHOP, DOOR)
    round_ = taken(outbox, clock)
    assert len(round_.letters) == 20

    for each in round_.letters:
        assert outbox.delivered(round_, each.event_id, clock(), clock() + LEASE)
    outbox.release(round_)

    assert names(taken(outbox, clock).letters) == [f"event-{n}" for n in range(20, 25)]


def test_one_that_fails_waits_its_time_and_stands_behind_those_that_answer(
    outbox: SetOutbox, clock: Clock
) -> None:
    outbox.put([letter(1)])
    outbox.set_endpoint(SHOP, DOOR)
    outbox.put_off(taken(outbox, clock), clock() + timedelta(seconds=5))
    assert take(outbox, clock) is None

    clock.advance(timedelta(seconds=5))
    outbox.put([letter(1, OTHER)])
    outbox.set_endpoint(OTHER, DOOR)

    assert taken(outbox, clock).destination == OTHER
    assert take(outbox, clock, steady_only=True) is None
    last = taken(outbox, clock)
    assert (last.destination, last.attempts) == (SHOP, 1)


def test_what_is_dead_is_seen_is_polled_and_lives_again_when_its_destination_does(
    outbox: SetOutbox, clock: Clock
) -> None:
    outbox.put([letter(1), letter(2)])
    outbox.set_endpoint(SHOP, DOOR)
    outbox.give_up(taken(outbox, clock), "status 500", clock(), clock() + LEASE)

    dead = outbox.undelivered(10)
    assert [(d.event_id, d.state, d.failure, d.died_at) for d in dead] == [
        ("event-1", LetterState.DEAD, "status 500", clock()),
        ("event-2", LetterState.DEAD, "status 500", clock()),
    ]
    assert names(outbox.waiting(SHOP, 10)) == ["event-1", "event-2"]
    clock.advance(LEASE)
    assert take(outbox, clock) is None

    outbox.put([letter(3)])
    round_ = taken(outbox, clock)
    assert names(round_.letters) == ["event-3"]
    assert outbox.delivered(round_, "event-3", clock(), clock() + LEASE)
    outbox.release(round_)

    assert names(taken(outbox, clock).letters) == ["event-1", "event-2"]
    assert outbox.counts().dead == 0


@pytest.mark.parametrize("how", ["again", "stream"])
def test_the_dead_are_sent_again_on_request(outbox: SetOutbox, clock: Clock, how: str) -> None:
    outbox.put([letter(1)])
    outbox.set_endpoint(SHOP, DOOR)
    outbox.give_up(taken(outbox, clock), "no answer", clock(), clock() + timedelta(days=1))

    if how == "again":
        outbox.send_again(SHOP)
    else:
        outbox.set_endpoint(SHOP, DOOR)

    round_ = taken(outbox, clock)
    assert (names(round_.letters), round_.attempts) == (["event-1"], 0)


def test_a_letter_that_is_refused_is_kept_for_people_alone(outbox: SetOutbox, clock: Clock) -> None:
    outbox.put([letter(number) for number in range(3)])
    outbox.set_endpoint(SHOP, DOOR)
    round_ = taken(outbox, clock)

    assert outbox.delivered(round_, "event-0", clock(), clock() + LEASE, refusal="invalid_key: no")
    outbox.acknowledge(SHOP, ["event-2", "unknown"], {"event-1": "invalid_issuer: no"}, clock())

    assert outbox.waiting(SHOP, 10) == []
    assert [(dead.event_id, dead.failure) for dead in outbox.undelivered(10)] == [
        ("event-0", "invalid_key: no"),
        ("event-1", "invalid_issuer: no"),
    ]
    outbox.send_again(SHOP)
    assert outbox.counts().refused == 2
    # A second time it is not even put.
    outbox.put([letter(0)])
    assert outbox.waiting(SHOP, 10) == []


def test_nobody_acknowledges_the_letters_of_another(outbox: SetOutbox, clock: Clock) -> None:
    outbox.put([letter(1)])

    outbox.acknowledge(OTHER, ["event-1"], {"event-1": "no"}, clock())

    assert names(outbox.waiting(SHOP, 10)) == ["event-1"]


def test_a_request_is_taken_once_while_it_is_remembered(outbox: SetOutbox, clock: Clock) -> None:
    until = clock() + timedelta(minutes=3)

    assert outbox.take_once(SHOP, "one", clock(), until)
    assert not outbox.take_once(SHOP, "one", clock(), until)
    assert outbox.take_once(OTHER, "one", clock(), until)
    clock.advance(timedelta(minutes=3))
    assert outbox.take_once(SHOP, "one", clock(), clock() + LEASE)


def test_a_poll_alone_again_pushes_nothing(outbox: SetOutbox, clock: Clock) -> None:
    outbox.set_endpoint(SHOP, DOOR)
    outbox.set_endpoint(SHOP, None)
    outbox.put([letter(1)])

    assert take(outbox, clock) is None


def test_letters_outlast_their_process(tmp_path: Path) -> None:
    where = tmp_path / "outbox.sqlite3"
    database = Database.open(where, METADATA)
    SqlSetOutbox(database).put([letter(1)])
    database.close()

    again = Database.open(where, METADATA)
    assert names(SqlSetOutbox(again).waiting(SHOP, 10)) == ["event-1"]
    again.close()
