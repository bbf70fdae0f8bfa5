"""Who waits for a session to change: told of it at once, and looking now and then besides.

    watchers = Watchers()
    counter.listen(watchers.ring)

    change = watchers.about(session_id)      # before the look that shows that there is none yet
    async with watchers.one_more():
        await change.wait()

Whoever waits holds no thread and no lock, and there is room for so many of them.
"""

import asyncio
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from counterfoil_credentials.errors import Unavailable

from counterfoil_verifier.requesting import SessionId

MAX_WATCHERS: Final = 200
LOOK_EVERY_S: Final = 1.0
"""Without a word it is time to look: hours change a session too, and words get lost."""


class Change:
    """What is known of one session's changes since the last wait."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def came(self) -> None:
        """Note that there is one."""
        self._came.set()

    async def wait(self, within_s: float) -> None:
        """Return when it is time to look, after `within_s` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(within_s, LOOK_EVERY_S)):
                await self._came.wait()
        # Before the look: what changes during it is for the next wait.
        self._came.clear()


class Watchers:
    """How many wait, for what, and whether there is room for one more. Of one event loop."""

    def __init__(self) -> None:
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changes = WeakKeyDictionary[Change, SessionId]()

    def ring(self, session_id: SessionId) -> None:
        """Tell whoever waits for `session_id`; from any thread."""
        if self._loop is not None:
            # A loop that has ended has nobody who waits.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._rung, session_id)

    def about(self, session_id: SessionId) -> Change:
        """Give the changes of `session_id` from now on."""
        self._loop = asyncio.get_running_loop()
        change = Change()
        self._changes[change] = session_id
        return change

    def require_room(self) -> None:
        """Return only if one more may wait; raises `Unavailable`."""
        if self._count >= MAX_WATCHERS:
            raise Unavailable(f"expected at most {MAX_WATCHERS} who wait at once, found more")

    def one_more(self) -> "Watchers":
        """Give the place of one who waits, to be entered; raises `Unavailable`."""
        self.require_room()
        return self

    async def __aenter__(self) -> None:
        self._count += 1

    async def __aexit__(self, *_: object) -> None:
        self._count -= 1

    def _rung(self, session_id: SessionId) -> None:
        for change, watched in list(self._changes.items()):
            if watched == session_id:
                change.came()
