"""Where sessions and one-time names are kept: the ports, and their twins in memory.

Once a session is answered the store holds its verdict (outcome, codes, times)
and forgets the nonce. No store ever sees a presentation, nor a fact that it could read.
"""

import hmac
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from counterfoil_verifier.requesting import (
    MOST_WRONG_CODES,
    Answered,
    RequestId,
    SessionId,
    Waiting,
)
from counterfoil_verifier.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many sessions have a verdict, and how many still wait for an answer."""

    verdicts: int
    waiting: int


@dataclass(frozen=True, slots=True)
class OneTimeName:
    """A name to be taken once, and until when it must be known: see `OneTimeNames.take`."""

    name: str
    ends_at: datetime


class NameTaken(Exception):
    """A name was taken before; the caller says what that means."""


class SessionStore(Protocol):
    """Keeps sessions. `answer` decides, for everybody, who was first.

    `is_shared` says that several processes answer and look: what one has in its memory,
    another does not see.
    """

    is_shared: bool

    def add(self, waiting: Waiting) -> None:
        """Keep a new session."""
        ...

    def by_request(self, request_id: RequestId) -> Waiting | Answered | None:
        """Give the session that a wallet's request id names."""
        ...

    def by_session(self, session_id: SessionId) -> Waiting | Answered | None:
        """Give the session that the counter's id names."""
        ...

    def answer(
        self,
        session_id: SessionId,
        verdict: Verdict,
        *,
        code_hash: str | None = None,
        held: str | None = None,
        spends: OneTimeName | None = None,
    ) -> bool:
        """Turn a waiting, unexpired session into an answered one, atomically.

        With `code_hash` the verdict waits for that code; `held` is what its first look may
        take, encrypted. Nothing of the request stays: neither nonce nor key nor what was
        to be signed. True for the one call that did it.

        With `spends` that name is taken in the same step: neither happens alone, whatever
        ends the process. Raises `NameTaken`, and the session waits on, when it was taken before.
        """
        ...

    def take_held(self, session_id: SessionId, *, since: datetime) -> str | None:
        """Give what `answer` was told to hold, and erase it, atomically.

        None for every call but the first, and for a verdict that is not later than `since`.
        """
        ...

    def hand_back(self, session_id: SessionId, code_hash: str) -> bool:
        """Take what came back from the customer's device, atomically: True if it was the code.

        A wrong one is counted, and after `MOST_WRONG_CODES` of them none is right.
        """
        ...

    def drop_keys(self, now: datetime, *, held_since: datetime) -> int:
        """Erase what was kept for an answer that can no more come; give how many sessions.

        And what was held for looks that did not come, of verdicts not later than `held_since`.
        """
        ...

    def keep(self, answered: Answered) -> bool:
        """Keep a verdict that came without a request of this store, once.

        A holder showed it, or another till asked while it was offline. False, and
        nothing is changed, when the session is here already.
        """
        ...

    def count_later_answer(self, session_id: SessionId) -> None:
        """Note that one more answer came to a session that was answered already."""
        ...

    def listen(self, heard: Callable[[SessionId], None]) -> None:
        """Call `heard`, in some thread, soon after a session was answered or its code came back.

        Of what other processes did, and while a database is away, it may hear nothing:
        it makes waits shorter, and nobody may wait for it alone.
        """
        ...

    def forget_before(self, moment: datetime) -> int:
        """Delete every session that was asked before `moment`; give their number."""
        ...

    def summary(self, now: datetime) -> Summary:
        """Count the answered sessions, and the waiting ones whose time is not over at `now`."""
        ...


class ResultQueue(Protocol):
    """The verdicts that another service is to have, and has not yet."""

    def unsent(self, at_most: int) -> Sequence[Answered]:
        """Give verdicts that count and were not sent, oldest first."""
        ...

    def mark_sent(self, session_ids: Sequence[SessionId], *, at: datetime) -> None:
        """Note that these were had by the other service; once noted, it stays noted."""
        ...


class OneTimeNames(Protocol):
    """Names that may be taken once, such as the nonces of codes that a phone shows."""

    def take(self, name: str, *, ends_at: datetime) -> bool:
        """Take `name`, atomically: True for the one call that was first, in any process.

        It stays taken at least until `ends_at`, from when on nothing with that name
        may be accepted for its age.
        """
        ...

    def forget_names(self, now: datetime) -> int:
        """Forget the names whose end has come; give their number."""
        ...


class MemoryStore:
    """The twin in memory: for tests, and for a till that keeps nothing at all."""

    def __init__(self) -> None:
        self.is_shared = False
        self._lock = threading.Lock()
        self._sessions: dict[SessionId, Waiting | Answered] = {}
        self._session_of: dict[RequestId, SessionId] = {}
        self._asked_at: dict[SessionId, datetime] = {}
        self._sent: set[SessionId] = set()
        self._code_hashes: dict[SessionId, str] = {}
        self._held: dict[SessionId, str] = {}
        self._spent: set[str] = set()
        self._hearers: list[Callable[[SessionId], None]] = []

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

    def answer(
        self,
        session_id: SessionId,
        verdict: Verdict,
        *,
        code_hash: str | None = None,
        held: str | None = None,
        spends: OneTimeName | None = None,
    ) -> bool:
        with self._lock:
            match self._sessions.get(session_id):
                case Waiting() as waiting if verdict.checked_at < waiting.expires_at:
                    if spends is not None:
                        if spends.name in self._spent:
                            raise NameTaken
                        self._spent.add(spends.name)
                    self._sessions[session_id] = Answered(
                        session_id=session_id,
                        preset=waiting.preset,
                        verdict=verdict,
                        later_answers=0,
                        till=waiting.till,
                        awaited=None if code_hash is None else waiting.handback,
                    )
                    if code_hash is not None:
                        self._code_hashes[session_id] = code_hash
                    if held is not None:
                        self._held[session_id] = held
                case _:
                    return False
        self._ring(session_id)
        return True

    def take_held(self, session_id: SessionId, *, since: datetime) -> str | None:
        with self._lock:
            answered = self._sessions.get(session_id)
            if not isinstance(answered, Answered) or answered.verdict.checked_at <= since:
                return None
            return self._held.pop(session_id, None)

    def hand_back(self, session_id: SessionId, code_hash: str) -> bool:
        with self._lock:
            answered = self._sessions.get(session_id)
            if not isinstance(answered, Answered) or answered.awaited is None:
                return False
            if answered.wrong_codes >= MOST_WRONG_CODES:
                return False
            is_right = hmac.compare_digest(self._code_hashes[session_id], code_hash)
            wrong = answered.wrong_codes + (0 if is_right else 1)
            awaited = None if is_right else answered.awaited
            self._sessions[session_id] = replace(answered, awaited=awaited, wrong_codes=wrong)
        self._ring(session_id)
        return is_right

    def drop_keys(self, now: datetime, *, held_since: datetime) -> int:
        with self._lock:
            for name in [*self._held]:
                answered = self._sessions.get(name)
                if not isinstance(answered, Answered) or answered.verdict.checked_at <= held_since:
                    del self._held[name]
            over = [
                session
                for session in self._sessions.values()
                if isinstance(session, Waiting)
                and session.expires_at <= now
                and (session.response_key is not None or session.transaction_data)
            ]
            for session in over:
                without = replace(session, response_key=None, transaction_data=())
                self._sessions[session.session_id] = without
            return len(over)

    def keep(self, answered: Answered) -> bool:
        with self._lock:
            if answered.session_id in self._sessions:
                return False
            self._sessions[answered.session_id] = answered
            self._asked_at[answered.session_id] = answered.verdict.checked_at
            return True

    def count_later_answer(self, session_id: SessionId) -> None:
        with self._lock:
            answered = self._sessions.get(session_id)
            if isinstance(answered, Answered):
                later = answered.later_answers + 1
                self._sessions[session_id] = replace(answered, later_answers=later)

    def listen(self, heard: Callable[[SessionId], None]) -> None:
        self._hearers.append(heard)

    def unsent(self, at_most: int) -> Sequence[Answered]:
        with self._lock:
            waiting = [
                session
                for name, session in self._sessions.items()
                if isinstance(session, Answered)
                and session.awaited is None
                and name not in self._sent
            ]
        return sorted(waiting, key=lambda one: one.verdict.checked_at)[:at_most]

    def mark_sent(self, session_ids: Sequence[SessionId], *, at: datetime) -> None:
        with self._lock:
            self._sent.update(session_ids)

    def forget_before(self, moment: datetime) -> int:
        with self._lock:
            old = [name for name, asked_at in self._asked_at.items() if asked_at < moment]
            for name in old:
                del self._sessions[name], self._asked_at[name]
                self._sent.discard(name)
                self._code_hashes.pop(name, None)
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

    def _ring(self, session_id: SessionId) -> None:
        for heard in self._hearers:
            heard(session_id)


class MemoryNames:
    """The twin in memory: for tests, and for one till that is never restarted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends_at: dict[str, datetime] = {}

    def take(self, name: str, *, ends_at: datetime) -> bool:
        with self._lock:
            # `setdefault` would say the same of two that end together.
            if name in self._ends_at:
                return False
            self._ends_at[name] = ends_at
            return True

    def forget_names(self, now: datetime) -> int:
        with self._lock:
            over = [name for name, ends_at in self._ends_at.items() if ends_at <= now]
            for name in over:
                del self._ends_at[name]
            return len(over)
