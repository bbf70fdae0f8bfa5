"""What a look may take once, in the memory of the one process that took the answer."""

import threading
from datetime import datetime, timedelta
from typing import Final

from counterfoil_verifier.held import Held
from counterfoil_verifier.requesting import SessionId
from counterfoil_verifier.verdict import Verdict

FACTS_HELD_FOR: Final = timedelta(seconds=60)


class HeldInMemory:
    """Facts and reasons, each beside the verdict that it explains.

    Several answers may be on their way for one session, and one becomes its
    verdict: what the others showed is never taken for what that one showed.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._held: dict[tuple[SessionId, Verdict], tuple[Held, datetime]] = {}

    def put(self, session_id: SessionId, verdict: Verdict, held: Held, now: datetime) -> None:
        """Hold what explains a verdict, unless something does already."""
        with self._lock:
            self._held.setdefault((session_id, verdict), (held, now))

    def take(self, session_id: SessionId, verdict: Verdict, now: datetime) -> Held | None:
        """Give what explains a verdict, once and while it is young."""
        with self._lock:
            held, since = self._held.pop((session_id, verdict), (None, now))
        return held if is_young(since, now) else None

    def take_back(self, session_id: SessionId, verdict: Verdict, held: Held) -> None:
        """Forget what explains a verdict that has not become the session's."""
        with self._lock:
            if self._held.get((session_id, verdict), (None, None))[0] is held:
                del self._held[session_id, verdict]

    def drop_old(self, now: datetime) -> None:
        """Forget what nobody came for."""
        with self._lock:
            young = {name: each for name, each in self._held.items() if is_young(each[1], now)}
            self._held = young


def is_young(since: datetime, now: datetime) -> bool:
    """Say whether what came at `since` may be held at `now`."""
    # A clock that goes back must not make a minute longer.
    return abs(now - since) < FACTS_HELD_FOR
