"""An end to what never ends: generous, and by the clock, because a hang has no other sign."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

MOST_SECONDS: Final = 20


class NeverEnds(BaseException):
    """An input was not done in its time. No `except Exception` may hide it."""


@contextmanager
def within_its_time(what: str) -> Generator[None]:
    """Raise `NeverEnds` in the block when it takes longer than any input may on any machine."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise NeverEnds(f"expected an end within {MOST_SECONDS} s ({what})")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
