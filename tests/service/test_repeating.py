"""Repeated work: at once, again and again, and never after the end."""

import asyncio
import threading
import time

import pytest
from counterfoil_service.repeating import repeating


def test_the_end_waits_for_the_thread_that_is_at_work() -> None:
    begun, done = threading.Event(), threading.Event()

    def act() -> None:
        begun.set()
        time.sleep(0.05)
        done.set()

    async def live() -> None:
        async with repeating(act, 3_600)(None):
            await asyncio.to_thread(begun.wait, 5)
        assert done.is_set()

    asyncio.run(live())


def test_work_is_repeated_until_the_end_and_no_longer() -> None:
    times: list[int] = []
    thrice = threading.Event()

    def act() -> None:
        times.append(len(times))
        if len(times) == 3:
            thrice.set()

    async def live() -> int:
        async with repeating(act, 0.001)(None):
            assert await asyncio.to_thread(thrice.wait, 5)
        ended_with = len(times)
        await asyncio.sleep(0.02)
        return ended_with

    assert asyncio.run(live()) == len(times)


def test_what_the_work_raises_is_not_lost() -> None:
    def act() -> None:
        raise LookupError

    async def live() -> None:
        async with repeating(act, 0.001)(None):
            await asyncio.sleep(0.01)

    with pytest.raises(LookupError):
        asyncio.run(live())
