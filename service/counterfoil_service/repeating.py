"""Work that a service repeats while it runs, in a thread that its end waits for, and several."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias

Lifespan: TypeAlias = Callable[[object], AbstractAsyncContextManager[None]]
"""Something that works while the service does."""


def repeating(act: Callable[[], object], every_s: float) -> Lifespan:
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


def together(lifespans: Sequence[Lifespan]) -> Lifespan:
    """Give one lifespan of several: begun in their order, ended in the other."""

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            for each in lifespans:
                await stack.enter_async_context(each(app))
            yield

    return lifespan
