"""The log of reads: written before it is asked for, answered once, closed by one digest."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent import Purpose
from counterfoil_consent.accesses import Access, Accesses, MemoryAccesses, chain_of, closed
from counterfoil_consent.sql_accesses import SqlAccesses
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.errors import Malformed, Misuse

from tests.conftest import NOON

ONE, OTHER = GrantId("A" * 22), GrantId("B" * 21 + "A")


def access(name: str, grant_id: GrantId = ONE, after_s: int = 0) -> Access:
    return Access(
        grant_id=grant_id,
        request_id=name,
        purpose=Purpose.CUSTOMER_CARE,
        asked_at=NOON + timedelta(seconds=after_s),
    )


def logged(log: Accesses) -> None:
    for number, name in enumerate("abc"):
        log.ask(access(name, after_s=number))
    log.ask(access("d", OTHER))
    log.answer(ONE, "a", 1)
    log.answer(ONE, "c", 2)
    # A second answer, or one to what was never asked, changes nothing.
    log.answer(ONE, "a", 7)
    log.answer(OTHER, "a", 7)


@pytest.mark.parametrize("kind", ["memory", "stored"])
def test_every_log_gives_what_was_written_in_its_order(kind: str, where: Path | str) -> None:
    store = SqlReceiverStore(where)
    log = MemoryAccesses() if kind == "memory" else SqlAccesses(store.database)
    logged(log)

    entries = log.of_grant(ONE)

    assert [(entry.request_id, entry.read) for entry in entries] == [
        *(("a", 1), ("b", None), ("c", 2)),
    ]
    assert entries[1] == access("b", after_s=1)
    assert (log.count(ONE), log.count(OTHER), log.count(GrantId("C" * 21 + "A"))) == (2, 0, 0)
    newest = log.latest(3)
    assert [entry.request_id for _, entry in newest] == ["d", "c", "b"]
    assert [entry.request_id for _, entry in log.latest(9, newest[-1][0])] == ["a"]
    assert log.latest(9, 0) == []
    store.close()


def test_both_kinds_close_with_the_same_digest(where: Path | str) -> None:
    store = SqlReceiverStore(where)
    memory, stored = MemoryAccesses(), SqlAccesses(store.database)
    logged(memory)
    logged(stored)

    ours, theirs = (closed(ONE, log.of_grant(ONE)) for log in (memory, stored))

    assert ours == theirs
    assert (ours.reads, ours.unanswered) == (2, 1)
    with pytest.raises(Misuse):
        stored.ask(access("a"))
    store.close()
    again = SqlReceiverStore(where)
    assert closed(ONE, SqlAccesses(again.database).of_grant(ONE)) == ours
    again.close()


def test_any_change_of_the_log_changes_its_digest() -> None:
    log = MemoryAccesses()
    logged(log)
    entries = log.of_grant(ONE)
    head = chain_of(ONE, entries)

    for changed in (
        entries[:-1],
        [],
        entries[::-1],
        [*entries, entries[0]],
        [replace(entries[0], read=3), *entries[1:]],
        [replace(entries[0], purpose=Purpose.REPAIR), *entries[1:]],
        [replace(entries[0], asked_at=NOON + timedelta(seconds=1)), *entries[1:]],
        [replace(entries[0], request_id="x"), *entries[1:]],
    ):
        assert chain_of(ONE, changed) != head
    assert chain_of(OTHER, entries) != head


def test_one_lease_that_is_logged_twice_counts_once() -> None:
    twice = [replace(access(name), read=1) for name in "ab"]

    assert closed(ONE, twice).reads == 1


def test_a_count_in_a_receipt_is_a_count() -> None:
    from counterfoil_consent.erasure import AccessLog

    good = closed(ONE, [])
    assert AccessLog.from_json(good.to_json(), "x") == good
    for wrong in ({"reads": -1}, {"unanswered": -1}, {"head": "AAAA"}, {"more": 1}):
        with pytest.raises(Malformed):
            AccessLog.from_json({**good.to_json(), **wrong}, "x")
