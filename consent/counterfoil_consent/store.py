"""What the custodian remembers: digests, pairwise keys, limits, counts, tombstones.

    Reserved ─► Kept(receipted=False) ─► Kept(receipted=True) ─► Ended

An `Ended` row stays for ever and holds no share.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeAlias

from counterfoil_credentials.dids import Did

from counterfoil_consent.artefacts import Registration
from counterfoil_consent.set_outbox import Letter, MemorySetOutbox, SetOutbox
from counterfoil_consent.states import Trigger
from counterfoil_consent.tombstone_journal import Mark
from counterfoil_consent.wire import Digest, GrantId, whole_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """A holder asked for the key of a grant to come."""

    grant_id: GrantId
    holder: Did
    reserved_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A share in keeping. `is_receipted`: the receiver has acknowledged, reads may begin.

    One that is not `is_confirmed` waits for its holder: the journal was lost since.
    """

    registration: Registration = field(repr=False)
    is_receipted: bool
    reads: int
    last_read_at: datetime | None = None
    is_confirmed: bool = True

    @property
    def grant_id(self) -> GrantId:
        """The grant whose share this is."""
        return self.registration.grant_id

    @property
    def holder(self) -> Did:
        """The pairwise key that may withdraw."""
        return self.registration.holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A tombstone. `statement` is the signed destruction statement, once the key is gone."""

    grant_id: GrantId
    holder: Did
    receiver: Did | None
    grant_digest: Digest | None
    trigger: Trigger
    ended_at: datetime
    reads: int
    statement: str | None
    last_read_at: datetime | None = None


Custody: TypeAlias = Reserved | Kept | Ended


class CustodianStore(Protocol):
    """Where the custodian's rows live. Every method is one transaction."""

    @property
    def outbox(self) -> SetOutbox:
        """Where the letters of `end` wait, in the same database."""
        ...

    def is_empty(self) -> bool:
        """Say whether there is no row at all."""
        ...

    def reserve(self, reserved: Reserved, limit: int) -> Custody | None:
        """Add the row unless the id is known; give what stands there now.

        None when `limit` rows are reserved already.
        """
        ...

    def keep(self, registration: Registration) -> Custody | None:
        """Turn `Reserved` into `Kept`, by its own holder only; give what stands there now."""
        ...

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        """Give the ids of all grants that follow `after`, in the store's own order."""
        ...

    def find(self, grant_id: GrantId) -> Custody | None:
        """Give what stands under the id."""
        ...

    def receipt(self, grant_id: GrantId) -> None:
        """Mark a `Kept` row as receipted; anything else stays as it is."""
        ...

    def count_read(
        self, grant_id: GrantId, request_id: str, now: datetime, counted: int
    ) -> int | None:
        """Count one read and give its number, at least `counted` + 1.

        None when the row is not receipted or not confirmed, has ended, has no read left, is past
        its end at `now`, or has answered this request before. Atomic: of any
        number of callers at once, never more than the limit get a number.
        """
        ...

    def end(
        self, grant_id: GrantId, trigger: Trigger, at: datetime, letters: Sequence[Letter] = ()
    ) -> Custody | None:
        """Turn the row into `Ended` and drop its share; an `Ended` row stays as it is.

        `letters` go into the outbox with the change, or not at all without one.
        """
        ...

    def state_destruction(self, grant_id: GrantId, statement: str) -> Custody | None:
        """Add the statement to an `Ended` row that has none."""
        ...

    def due(self, now: datetime, reserved_before: datetime, limit: int) -> list[GrantId]:
        """Give grants past their end, then ends without a statement, then stale reservations.

        A single use is past its end once it was read.
        """
        ...

    def journal_mark(self) -> Mark | None:
        """Give how far the journal of tombstones is taken in; None where none ever was."""
        ...

    def set_journal_mark(self, mark: Mark) -> None:
        """Remember it."""
        ...

    def require_confirmations(self) -> int:
        """Let every `Kept` row wait for its holder; give how many there are."""
        ...

    def confirm(self, grant_id: GrantId) -> None:
        """Let a `Kept` row wait no longer; anything else stays as it is."""
        ...


class MemoryStore:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._rows: dict[GrantId, Custody] = {}
        self._mark: Mark | None = None
        self._requests: set[tuple[GrantId, str]] = set()
        self._lock = threading.Lock()
        self.outbox: SetOutbox = MemorySetOutbox()

    def is_empty(self) -> bool:
        with self._lock:
            return not self._rows

    def reserve(self, reserved: Reserved, limit: int) -> Custody | None:
        with self._lock:
            waiting = sum(isinstance(row, Reserved) for row in self._rows.values())
            if reserved.grant_id not in self._rows and waiting >= limit:
                return None
            return self._rows.setdefault(reserved.grant_id, reserved)

    def keep(self, registration: Registration) -> Custody | None:
        with self._lock:
            found = self._rows.get(registration.grant_id)
            if isinstance(found, Reserved) and found.holder == registration.holder:
                self._rows[registration.grant_id] = Kept(
                    registration=registration, is_receipted=False, reads=0
                )
            return self._rows.get(registration.grant_id)

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        with self._lock:
            return sorted(name for name in self._rows if after is None or name > after)[:limit]

    def find(self, grant_id: GrantId) -> Custody | None:
        with self._lock:
            return self._rows.get(grant_id)

    def receipt(self, grant_id: GrantId) -> None:
        with self._lock:
            found = self._rows.get(grant_id)
            if isinstance(found, Kept):
                self._rows[grant_id] = replace(found, is_receipted=True)

    def count_read(
        self, grant_id: GrantId, request_id: str, now: datetime, counted: int
    ) -> int | None:
        with self._lock:
            found = self._rows.get(grant_id)
            if not isinstance(found, Kept) or not (found.is_receipted and found.is_confirmed):
                return None
            rules = found.registration
            reads = max(found.reads, counted)
            if reads >= rules.max_reads or now >= rules.valid_until:
                return None
            if (grant_id, request_id) in self._requests:
                return None
            self._requests.add((grant_id, request_id))
            read_at = whole_second(now)
            self._rows[grant_id] = replace(found, reads=reads + 1, last_read_at=read_at)
            return reads + 1

    def end(
        self, grant_id: GrantId, trigger: Trigger, at: datetime, letters: Sequence[Letter] = ()
    ) -> Custody | None:
        with self._lock:
            found = self._rows.get(grant_id)
            if isinstance(found, Kept | Reserved):
                self._rows[grant_id] = _ended(found, trigger, at)
                self.outbox.put(letters)
            return self._rows.get(grant_id)

    def state_destruction(self, grant_id: GrantId, statement: str) -> Custody | None:
        with self._lock:
            found = self._rows.get(grant_id)
            if isinstance(found, Ended) and found.statement is None:
                self._rows[grant_id] = replace(found, statement=statement)
            return self._rows.get(grant_id)

    def due(self, now: datetime, reserved_before: datetime, limit: int) -> list[GrantId]:
        with self._lock:
            rows = [*self._rows.values()]
        kept = [r for r in rows if isinstance(r, Kept) and is_due(r, now)]
        unstated = [r for r in rows if isinstance(r, Ended) and r.statement is None]
        stale = [r for r in rows if isinstance(r, Reserved) and r.reserved_at < reserved_before]
        due: list[Custody] = [*kept, *unstated, *stale]
        return [row.grant_id for row in due[:limit]]

    def journal_mark(self) -> Mark | None:
        with self._lock:
            return self._mark

    def set_journal_mark(self, mark: Mark) -> None:
        with self._lock:
            self._mark = mark

    def require_confirmations(self) -> int:
        with self._lock:
            kept = [row for row in self._rows.values() if isinstance(row, Kept)]
            self._rows.update({row.grant_id: replace(row, is_confirmed=False) for row in kept})
            return len(kept)

    def confirm(self, grant_id: GrantId) -> None:
        with self._lock:
            found = self._rows.get(grant_id)
            if isinstance(found, Kept):
                self._rows[grant_id] = replace(found, is_confirmed=True)


def is_due(kept: Kept, now: datetime) -> bool:
    """Say whether a grant's time, or its single use, is over."""
    rules = kept.registration
    return now >= rules.valid_until or (rules.is_single_use and kept.reads > 0)


def _ended(found: Kept | Reserved, trigger: Trigger, at: datetime) -> Ended:
    rules = found.registration if isinstance(found, Kept) else None
    return Ended(
        grant_id=found.grant_id,
        holder=found.holder,
        receiver=None if rules is None else rules.receiver,
        grant_digest=None if rules is None else rules.grant_digest,
        trigger=trigger,
        ended_at=at,
        reads=found.reads if isinstance(found, Kept) else 0,
        statement=None,
        last_read_at=found.last_read_at if isinstance(found, Kept) else None,
    )
