"""Whoever waits for a session is told of its changes, and of no other's."""

import asyncio
import threading

import pytest
from counterfoil_credentials.errors import Unavailable
from counterfoil_verifier import watching
from counterfoil_verifier.requesting import SessionId
from counterfoil_verifier.watching import Change, Watchers

ONE, OTHER = SessionId("one"), SessionId("other")
FOREVER_S = 3_600.0


@pytest.fixture(autouse=True)
def _no_looks_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY_S", FOREVER_S)


async def is_told(change: Change) -> bool:
    """Say whether a wait would end at once."""
    waiting = asyncio.ensure_future(change.wait(FOREVER_S))
    for _ in range(5):
        await asyncio.sleep(0)
    waiting.cancel()
    return waiting.done() and not waiting.cancelled()


def test_a_change_is_told_to_all_who_wait_for_it_and_to_nobody_else() -> None:
    async def watch() -> None:
        watchers = Watchers()
        mine, yours, others = watchers.about(ONE), watchers.about(ONE), watchers.about(OTHER)

        ringing = threading.Thread(target=watchers.ring, args=(ONE,))
        ringing.start()
        await mine.wait(FOREVER_S)
        ringing.join()

        assert await is_told(yours)
        assert not await is_told(others)
        # Told once, and from now on it is for the next change.
        assert not await is_told(mine)

    asyncio.run(watch())


def test_what_changes_before_the_wait_begins_is_not_missed() -> None:
    async def watch() -> None:
        watchers = Watchers()
        change = watchers.about(ONE)
        watchers.ring(ONE)
        await change.wait(FOREVER_S)

    asyncio.run(watch())


def test_without_a_word_it_is_time_to_look_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch(within_s: float) -> None:
        await Watchers().about(ONE).wait(within_s)

    asyncio.run(watch(0.01))
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.01)
    asyncio.run(watch(FOREVER_S))


def test_before_anybody_watches_and_after_the_loop_has_ended_a_ring_is_nobodys() -> None:
    watchers, changes = Watchers(), list[Change]()
    watchers.ring(ONE)

    async def watch() -> None:
        changes.append(watchers.about(ONE))

    asyncio.run(watch())
    watchers.ring(ONE)
    assert not asyncio.run(is_told(changes[0]))


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_WATCHERS", 1)
    watchers = Watchers()

    async def watch() -> None:
        async with watchers.one_more():
            with pytest.raises(Unavailable):
                watchers.one_more()
        watchers.require_room()

    asyncio.run(watch())
