"""Where sessions are kept: the port, and its twin in memory.

Once a session is answered the store holds its verdict (outcome, codes, times)
and forgets the nonce. No store ever sees a presentation or a fact.
"""

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from counterfoil_verifier.requesting import Answered, RequestId, SessionId, Waiting
from counterfoil_verifier.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many sessions have a verdict, and how many still wait for an answer."""

    verdicts: int
    waiting: int


class SessionStore(Protocol):
    """Keeps sessions. `answer` decides, for everybody, who was first."""

    def add(self, waiting: Waiting) -> None:
        """Keep a new session."""
        ...

    def by_request(self, request_id: RequestId) -> Waiting | Answered | None:
        """Give the session that a wallet's request id names."""
        ...

    def by_session(self, session_id: SessionId) -> Waiting | Answered | None:
        """Give the session that the counter's id names."""
        ...

    def answer(self, session_id: SessionId, verdict: Verdict) -> bool:
        """Turn a waiting, unexpired session into an answered one, atomically.

        True for the one call that did it.
        """
        ...

    def count_later_answer(self, session_id: SessionId) -> None:
        """Note that one more answer came to a session that was answered already."""
        ...

    def forget_before(self, moment: datetime) -> int:
        """Delete every session that was asked before `moment`; give their number."""
        ...

    def summary(self, now: datetime) -> Summary:
        """Count the answered sessions, and the waiting ones whose time is not over at `now`."""
        ...


class MemoryStore:
    """The twin in memory: for tests, and for a till that keeps nothing at all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[SessionId, Waiting | Answered] = {}
        self._session_of: dict[RequestId, SessionId] = {}
        self._asked_at: dict[SessionId, datetime] = {}

    def add(self, waiting: Waiting) -> None:
        with self._lock:
            self._sessions[waiting.session_id] = waiting
            self._session_of[waiting.request_id] = waiting.session_id
            self._asked_at[waiting.session_id] = waiting.asked_at

    def by_request(self, request_id: RequestId) -> Waiting | Answered | None:
        with self._lock:
            session_id = self._session_of.get(request_id)
            return None if session_id is None else self._sessions[session_id]

    def by_session(self, session_id: SessionId) -> Waiting | Answered | None:
        with self._lock:
            return self._sessions.get(session_id)

    def answer(self, session_id: SessionId, verdict: Verdict) -> bool:
        with self._lock:
            match self._sessions.get(session_id):
                case Waiting() as waiting if verdict.checked_at < waiting.expires_at:
                    self._sessions[session_id] = Answered(
                        session_id=session_id,
                        preset=waiting.preset,
                        verdict=verdict,
                        later_answers=0,
                    )
                    return True
                case _:
                    return False

    def count_later_answer(self, session_id: SessionId) -> None:
        with self._lock:
            answered = self._sessions.get(session_id)
            if isinstance(answered, Answered):
                later = answered.later_answers + 1
                self._sessions[session_id] = replace(answered, later_answers=later)

    def forget_before(self, moment: datetime) -> int:
        with self._lock:
            old = [name for name, asked_at in self._asked_at.items() if asked_at < moment]
            for name in old:
                del self._sessions[name], self._asked_at[name]
            self._session_of = {
                request: name for request, name in self._session_of.items() if name not in old
            }
            return len(old)

    def summary(self, now: datetime) -> Summary:
        with self._lock:
            sessions = list(self._sessions.values())
        return Summary(
            verdicts=sum(isinstance(session, Answered) for session in sessions),
            waiting=sum(
                isinstance(session, Waiting) and now < session.expires_at for session in sessions
            ),
        )
