"""What others publish, kept with its age: keys, DID documents, trust lists.

    kept = Kept(lambda issuer, now: fetch_issuer_keys(fetcher, issuer))
    key = kept.find(issuer, lambda keys: choose(keys, key_id), now=now)

It is fetched again after `FRESH_FOR`, and when what is asked for is not in it. While its
server is silent it still serves, up to `MAX_AGE`; what is not in it may be new, so that
question stays open.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from counterfoil_credentials.errors import Malformed, Refused, Unavailable

FRESH_FOR: Final = timedelta(hours=1)
"""After this long it is fetched again."""

MAX_AGE: Final = timedelta(days=1)
"""What is older than this serves no more, even when nobody answers."""

RETRY_AFTER: Final = timedelta(seconds=30)
"""How long an unknown key id, or a silent server, waits for the next attempt."""

T = TypeVar("T")
Found = TypeVar("Found")


class NotAmongThem(Refused):
    """What is asked for is not in what was fetched: it may be newer than that."""


@dataclass(frozen=True, slots=True)
class _Fetched(Generic[T]):
    """What the last good fetch gave, if there was one, and how the last attempt ended."""

    value: T | None
    fetched_at: datetime | None
    tried_at: datetime
    failure: str | None

    def age(self, now: datetime) -> timedelta:
        # Had at a time to come, by a clock that was put right since: its age is not known,
        # and must not be less than nothing until that time.
        return timedelta.max if self.fetched_at is None else abs(now - self.fetched_at)


class Kept(Generic[T]):
    """Values by the name of who publishes them. Safe to use from several threads."""

    def __init__(
        self, what: str, fetch: Callable[[str, datetime], T], *, max_age: timedelta = MAX_AGE
    ) -> None:
        """Keep what `fetch` gives for a name; `what` it is stands in the errors."""
        self._what = what
        self._fetch = fetch
        self._max_age = max_age
        self._fetched: dict[str, _Fetched[T]] = {}
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}

    def find(self, name: str, pick: Callable[[T], Found], *, now: datetime) -> Found:
        """Give what `pick` finds in the value of `name`; it raises `NotAmongThem` where it is not.

        Raises what `pick` raises, and `Unavailable` when the value cannot be had.
        """
        # Without the lock: a value is never changed, only put in the place of another.
        known = self._fetched.get(name)
        if known is None:
            known = self._asked_once(name, None, now)
        elif known.age(now) >= FRESH_FOR and _may_ask(known, now):
            known = self._asked_by_one(name, known, now)
        try:
            return self._pick(known, pick, now)
        except NotAmongThem:
            if not _may_ask(known, now):
                raise
        # What is missing may be in what comes: that is worth the wait.
        return self._pick(self._asked_once(name, known, now), pick, now)

    def silent(self) -> list[tuple[str, datetime]]:
        """Give each name whose last attempt failed, and when what is kept of it serves no more."""
        with self._lock:
            return [
                (name, known.fetched_at + self._max_age)
                for name, known in self._fetched.items()
                if known.failure is not None and known.fetched_at is not None
            ]

    def newest(self, name: str) -> T | None:
        """Give what is kept of `name`, whatever its age."""
        known = self._fetched.get(name)
        return None if known is None else known.value

    def _pick(self, known: _Fetched[T], pick: Callable[[T], Found], now: datetime) -> Found:
        if known.value is None or known.age(now) >= self._max_age:
            failure = known.failure or "only old ones"
            raise Unavailable(f"expected {self._what}, found none: {failure}")
        try:
            return pick(known.value)
        except NotAmongThem as unknown:
            if known.failure is None or _may_ask(known, now):
                raise
            text = f"expected the newest of {self._what}, found older: {known.failure}"
            raise Unavailable(text) from unknown

    def _asked_by_one(self, name: str, known: _Fetched[T], now: datetime) -> _Fetched[T]:
        """Give what is new; to all but one who ask at a time, what there is.

        A publisher that hangs must not hold everybody. Who has nothing that serves waits,
        unless the last attempt failed.
        """
        if known.failure is None and known.age(now) >= self._max_age:
            return self._asked_once(name, known, now)
        lock = self._asking_for(name)
        if not lock.acquire(blocking=False):
            return known
        try:
            return self._newer(name, known, now)
        finally:
            lock.release()

    def _asked_once(self, name: str, known: _Fetched[T] | None, now: datetime) -> _Fetched[T]:
        """Give what is newer than `known`; who waited while another asked takes that answer."""
        with self._asking_for(name):
            return self._newer(name, known, now)

    def _asking_for(self, name: str) -> threading.Lock:
        with self._lock:
            return self._asking.setdefault(name, threading.Lock())

    def _newer(self, name: str, known: _Fetched[T] | None, now: datetime) -> _Fetched[T]:
        newest = self._fetched.get(name)
        return self._ask(name, now) if newest is None or newest is known else newest

    def _ask(self, name: str, now: datetime) -> _Fetched[T]:
        try:
            value = self._fetch(name, now)
        except (Unavailable, Malformed, Refused) as cause:
            # A broken document or address is its publisher's trouble, not the customer's.
            with self._lock:
                known = self._fetched.get(name)
                fresh: _Fetched[T] = (
                    _Fetched(None, None, now, str(cause))
                    if known is None
                    else replace(known, tried_at=now, failure=str(cause))
                )
                self._fetched[name] = fresh
        else:
            fresh = _Fetched(value, now, now, None)
            with self._lock:
                self._fetched[name] = fresh
        return fresh


def _may_ask(known: "_Fetched[T]", now: datetime) -> bool:
    return abs(now - known.tried_at) >= RETRY_AFTER
