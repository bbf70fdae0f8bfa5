"""What is done again and again beside the work, each at its own pace and in nobody's way.

    results = Round("results", send, every_s=30)
    results.run()                   # called often; sends only when it is time
    results.failure                 # why the last attempt failed, or None

After a failure the next attempt comes ever later, up to `LONGEST_S`, so that nobody is
hammered who is down, and nobody is forgotten.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Final

from counterfoil_credentials.errors import CounterfoilError

from counterfoil_verifier.trust import Ending

LONGEST_S: Final = 600.0
"""How long the next attempt is put off at most."""

SOON: Final = timedelta(days=30)
"""So long before its end something is to be renewed."""


class Round:
    """One thing that is done every `every_s` seconds; `patient` waits longer after failures."""

    def __init__(
        self,
        name: str,
        act: Callable[[], object],
        every_s: float,
        *,
        is_patient: bool = True,
        failed: Callable[[str, str], None] = lambda _name, _error: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Do `act`; `failed` is told the name and the kind of error when a failure is new."""
        self.name = name
        self.failure: str | None = None
        self._act = act
        self._every_s = every_s
        self._is_patient = is_patient
        self._failed = failed
        self._monotonic = monotonic
        self._failures = 0
        self._due_at = -inf

    def run(self) -> None:
        """Do it, if it is time. What goes wrong is kept in `failure`."""
        if self._monotonic() < self._due_at:
            return
        try:
            self._act()
        except (CounterfoilError, OSError) as error:
            said = str(error) if isinstance(error, CounterfoilError) else type(error).__name__
            if said != self.failure:
                self._failed(self.name, type(error).__name__)
            self.failure = said
            self._failures += 1
        else:
            self.failure, self._failures = None, 0
        self._due_at = self._monotonic() + self._wait_s()

    def _wait_s(self) -> float:
        if not self._is_patient:
            return self._every_s
        # Doubled a few times only: a power of a long night's failures is a large number.
        return max(self._every_s, min(self._every_s * 2.0 ** min(self._failures, 16), LONGEST_S))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that somebody has to see to, by when; `code` is for machines."""

    code: str
    what: str
    at: datetime | None = None


def notices_of_ends(
    ends: Iterable[Ending], now: datetime, *, soon: timedelta = SOON
) -> Sequence[Notice]:
    """Say what of `ends` is over, or will be within `soon`."""
    return [
        Notice("has-run-out" if ending.at <= now else "runs-out", ending.what, ending.at)
        for ending in ends
        if ending.at - now < soon
    ]


def notices_of_rounds(rounds: Iterable[Round]) -> Sequence[Notice]:
    """Say what could not be done the last time."""
    return [
        Notice("not-done", f"{each.name}: {each.failure}")
        for each in rounds
        if each.failure is not None
    ]
