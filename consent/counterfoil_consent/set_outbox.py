"""What others must still be told: signed events for each destination, in their order.

    put ─┬─► take ─► delivered | put_off | give_up      pushed (set_push.py)
         └─► waiting ─► acknowledge                     polled (set_poll.py)

A letter is written in the transaction of what it tells (`CustodianStore.end`,
`ReceiverStore.advance`), so that no crash parts the two. It stays until its
destination has taken it. One that was refused is kept to be looked at. One that
could not be pushed in about two days is dead: it still waits for a poll, and is
pushed again once its destination answers anything.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol

from counterfoil_consent.wire import GrantId

AT_ONCE: Final = 20
"""How many letters one lease carries."""
MAX_STREAMS: Final = 100_000
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One event for one destination (a DID, or the custodian's origin).

    Without an `endpoint` it goes where the destination's stream says, or waits for a
    poll. `rank` is 0 for an end; of the pauses of a grant only the one with the highest
    rank is kept.
    """

    destination: str
    event_id: str
    grant_id: GrantId
    token: str = field(repr=False)
    endpoint: str | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one lease carries: letters for one destination, each with its endpoint."""

    destination: str
    lease: str
    attempts: int
    letters: tuple[Letter, ...]


class LetterState(StrEnum):
    """Where a letter stands. `DEAD` still waits for a poll, `REFUSED` for a person."""

    WAITING = "waiting"
    DEAD = "dead"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A letter that did not arrive, and why."""

    destination: str
    event_id: str
    grant_id: GrantId
    state: LetterState
    failure: str
    died_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCounts:
    """How many letters there are in each state."""

    waiting: int
    dead: int
    refused: int


class SetOutbox(Protocol):
    """Where letters live. Every method is one transaction."""

    def put(self, letters: Sequence[Letter]) -> None:
        """Add letters at the end of their queues; one that is there already is left alone."""
        ...

    def set_endpoint(self, destination: str, endpoint: str | None) -> bool:
        """Push to `endpoint` from now on, or leave everything to polls (None).

        What was dead waits again. False when there is no room for a stranger.
        """
        ...

    def take(self, now: datetime, ends: datetime, lease: str, *, steady_only: bool) -> Round | None:
        """Lease, until `ends`, the destination whose push is due; who answers comes first.

        With `steady_only`, none whose last attempt failed.
        """
        ...

    def delivered(
        self,
        round_: Round,
        event_id: str,
        now: datetime,
        ends: datetime,
        *,
        refusal: str | None = None,
    ) -> bool:
        """Drop a letter, or keep it as refused, and keep the lease until `ends`.

        Its destination is there: what was dead waits again. False when the lease was lost.
        """
        ...

    def put_off(self, round_: Round, until: datetime) -> None:
        """End the lease; the next attempt is at `until`."""
        ...

    def give_up(self, round_: Round, failure: str, now: datetime, until: datetime) -> None:
        """End the lease and call all that waits there dead; later letters are tried at `until`."""
        ...

    def release(self, round_: Round) -> None:
        """End the lease."""
        ...

    def waiting(self, destination: str, limit: int) -> list[Letter]:
        """Give the first letters that a destination has not taken, the dead ones included."""
        ...

    def acknowledge(
        self,
        destination: str,
        event_ids: Collection[str],
        refused: Mapping[str, str],
        now: datetime,
    ) -> None:
        """Drop letters that their destination has; keep those that it refused, and why."""
        ...

    def take_once(self, caller: str, request_id: str, now: datetime, until: datetime) -> bool:
        """Remember a signed request until then; False when it was remembered already."""
        ...

    def send_again(self, destination: str) -> None:
        """Let what is dead wait again, and push at once."""
        ...

    def undelivered(self, limit: int) -> list[DeadLetter]:
        """Give the first letters that are dead or were refused."""
        ...

    def counts(self) -> OutboxCounts:
        """Count the letters."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    letter: Letter
    state: LetterState = LetterState.WAITING
    failure: str = ""
    died_at: datetime = _EPOCH


@dataclass(slots=True)
class _Destination:
    endpoint: str | None = None
    attempts: int = 0
    next_at: datetime = _EPOCH
    lease: str | None = None
    lease_ends_at: datetime = _EPOCH


class MemorySetOutbox:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._letters: dict[tuple[str, str], _Kept] = {}
        self._destinations: dict[str, _Destination] = {}
        self._requests: dict[tuple[str, str], datetime] = {}
        self._lock = threading.RLock()

    def put(self, letters: Sequence[Letter]) -> None:
        with self._lock:
            for letter in letters:
                self._destinations.setdefault(letter.destination, _Destination())
                key = (letter.destination, letter.event_id)
                if key in self._letters:
                    continue
                if letter.rank and not self._drop_lower(letter):
                    continue
                self._letters[key] = _Kept(letter=letter)

    def set_endpoint(self, destination: str, endpoint: str | None) -> bool:
        with self._lock:
            if destination not in self._destinations and len(self._destinations) >= MAX_STREAMS:
                return False
            found = self._destinations.setdefault(destination, _Destination())
            found.endpoint = endpoint
            self.send_again(destination)
            return True

    def take(self, now: datetime, ends: datetime, lease: str, *, steady_only: bool) -> Round | None:
        with self._lock:
            due = [
                (found.attempts > 0, found.next_at, name)
                for name, found in self._destinations.items()
                if found.next_at <= now
                and found.lease_ends_at <= now
                and not (steady_only and found.attempts)
                and self._to_push(name)
            ]
            if not due:
                return None
            _, _, name = min(due)
            found = self._destinations[name]
            found.lease, found.lease_ends_at = lease, ends
            letters = tuple(self._to_push(name)[:AT_ONCE])
            return Round(destination=name, lease=lease, attempts=found.attempts, letters=letters)

    def delivered(
        self,
        round_: Round,
        event_id: str,
        now: datetime,
        ends: datetime,
        *,
        refusal: str | None = None,
    ) -> bool:
        with self._lock:
            found = self._held(round_)
            if found is None:
                return False
            key = (round_.destination, event_id)
            if refusal is None:
                self._letters.pop(key, None)
            else:
                self._refuse(key, refusal, now)
            self._revive(round_.destination)
            found.attempts, found.next_at, found.lease_ends_at = 0, now, ends
            return True

    def put_off(self, round_: Round, until: datetime) -> None:
        with self._lock:
            if (found := self._held(round_)) is not None:
                found.attempts += 1
                found.next_at, found.lease, found.lease_ends_at = until, None, _EPOCH

    def give_up(self, round_: Round, failure: str, now: datetime, until: datetime) -> None:
        with self._lock:
            if self._held(round_) is None:
                return
            self.put_off(round_, until)
            for key, kept in self._of(round_.destination):
                if kept.state is LetterState.WAITING:
                    self._letters[key] = replace(
                        kept, state=LetterState.DEAD, failure=failure, died_at=now
                    )

    def release(self, round_: Round) -> None:
        with self._lock:
            if (found := self._held(round_)) is not None:
                found.lease, found.lease_ends_at = None, _EPOCH

    def waiting(self, destination: str, limit: int) -> list[Letter]:
        with self._lock:
            return [
                kept.letter
                for _, kept in self._of(destination)
                if kept.state is not LetterState.REFUSED
            ][:limit]

    def acknowledge(
        self,
        destination: str,
        event_ids: Collection[str],
        refused: Mapping[str, str],
        now: datetime,
    ) -> None:
        with self._lock:
            for event_id in event_ids:
                self._letters.pop((destination, event_id), None)
            for event_id, failure in refused.items():
                self._refuse((destination, event_id), failure, now)

    def take_once(self, caller: str, request_id: str, now: datetime, until: datetime) -> bool:
        with self._lock:
            self._requests = {key: end for key, end in self._requests.items() if end > now}
            if (caller, request_id) in self._requests:
                return False
            self._requests[caller, request_id] = until
            return True

    def send_again(self, destination: str) -> None:
        with self._lock:
            self._revive(destination)
            if (found := self._destinations.get(destination)) is not None:
                found.attempts, found.next_at = 0, _EPOCH

    def undelivered(self, limit: int) -> list[DeadLetter]:
        with self._lock:
            return [
                DeadLetter(
                    destination=kept.letter.destination,
                    event_id=kept.letter.event_id,
                    grant_id=kept.letter.grant_id,
                    state=kept.state,
                    failure=kept.failure,
                    died_at=kept.died_at,
                )
                for kept in self._letters.values()
                if kept.state is not LetterState.WAITING
            ][:limit]

    def counts(self) -> OutboxCounts:
        with self._lock:
            states = [kept.state for kept in self._letters.values()]
        return OutboxCounts(
            waiting=states.count(LetterState.WAITING),
            dead=states.count(LetterState.DEAD),
            refused=states.count(LetterState.REFUSED),
        )

    def _of(self, destination: str) -> list[tuple[tuple[str, str], _Kept]]:
        return [item for item in self._letters.items() if item[0][0] == destination]

    def _to_push(self, destination: str) -> list[Letter]:
        stream = self._destinations[destination].endpoint
        waiting = [
            replace(kept.letter, endpoint=kept.letter.endpoint or stream)
            for _, kept in self._of(destination)
            if kept.state is LetterState.WAITING
        ]
        return [letter for letter in waiting if letter.endpoint is not None]

    def _held(self, round_: Round) -> _Destination | None:
        found = self._destinations[round_.destination]
        return found if found.lease == round_.lease else None

    def _refuse(self, key: tuple[str, str], failure: str, now: datetime) -> None:
        if (kept := self._letters.get(key)) is not None:
            state = LetterState.REFUSED
            self._letters[key] = replace(kept, state=state, failure=failure, died_at=now)

    def _revive(self, destination: str) -> None:
        for key, kept in self._of(destination):
            if kept.state is LetterState.DEAD:
                self._letters[key] = replace(kept, state=LetterState.WAITING)

    def _drop_lower(self, letter: Letter) -> bool:
        """Make room for a pause; False when one that holds more is there."""
        pauses = [
            (key, kept.letter.rank)
            for key, kept in self._of(letter.destination)
            if kept.letter.rank and kept.letter.grant_id == letter.grant_id
        ]
        if any(rank > letter.rank for _, rank in pauses):
            return False
        for key, _ in pauses:
            del self._letters[key]
        return True
