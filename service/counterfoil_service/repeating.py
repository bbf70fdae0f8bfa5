"""Work that a service repeats while it runs, in a thread that its end waits for."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress


def repeating(
    act: Callable[[], object], every_s: float
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """Give a lifespan during which `act` runs at once and then every `every_s` seconds.

    What `act` raises ends the repetition, and is raised again at the end.
    """

    async def repeat(closing: asyncio.Event) -> None:
        while not closing.is_set():
            await asyncio.to_thread(act)
            with suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), every_s)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncGenerator[None, None]:
        closing = asyncio.Event()
        task = asyncio.create_task(repeat(closing))
        try:
            yield
        finally:
            # A thread cannot be cancelled: whoever closes the store next finds nobody at work.
            closing.set()
            await task

    return lifespan
