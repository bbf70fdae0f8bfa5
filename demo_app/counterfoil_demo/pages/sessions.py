"""Who has unlocked a face: random tokens, known to one browser and to this program's memory.

A program that starts again knows none, and so asks again. Each face names its own cookie,
since browsers share cookies among the ports of a machine.
"""

import hashlib
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from fastapi import Request, Response

IDLE: Final = timedelta(minutes=30)
"""How long a session lasts that nobody uses."""
_MOST: Final = 64


class Sessions:
    """The sessions of one face. Safe from several threads."""

    def __init__(self, face: str, clock: Callable[[], datetime]) -> None:
        self._cookie = f"counterfoil-{face}-session"
        self._clock = clock
        self._used: dict[bytes, datetime] = {}
        self._lock = threading.Lock()

    def begin(self, response: Response) -> None:
        """Begin a session for whoever gets `response`; the oldest ends where there are many."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._forget_idle()
            while len(self._used) >= _MOST:
                del self._used[min(self._used, key=self._used.__getitem__)]
            self._used[_digest(token)] = self._clock()
        response.set_cookie(self._cookie, token, httponly=True, samesite="strict")

    def is_known(self, request: Request) -> bool:
        """Tell whether `request` belongs to a session, and count it as used."""
        digest = _digest(request.cookies.get(self._cookie, ""))
        with self._lock:
            self._forget_idle()
            if digest not in self._used:
                return False
            self._used[digest] = self._clock()
            return True

    def are_over(self) -> bool:
        """Tell whether nobody has a session."""
        with self._lock:
            self._forget_idle()
            return not self._used

    def end(self, request: Request, response: Response) -> None:
        """End the session of `request`."""
        with self._lock:
            self._used.pop(_digest(request.cookies.get(self._cookie, "")), None)
        response.delete_cookie(self._cookie, httponly=True, samesite="strict")

    def _forget_idle(self) -> None:
        ended = self._clock() - IDLE
        for digest in [digest for digest, used in self._used.items() if used <= ended]:
            del self._used[digest]


def _digest(token: str) -> bytes:
    # Looked up by its digest, so that the time of a comparison says nothing about a token.
    return hashlib.sha256(token.encode()).digest()
