"""What the receiver asked the custodian for: each lease, and what came of it.

Not what was opened under it: that is the signed chain of `access_log.py`, which the customer
is shown. This one counts, so that a lease that nobody received is explained.

    ask     before the custodian is asked: what is not in the log was not asked for
    answer  the lease came: the custodian's number of this read

A lease that was lent and got lost stays without an answer. `closed` gives the count
that goes into the erasure receipt, with a digest that every entry went into: from
then on nothing can be added or taken away unseen. No claim value is logged.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from counterfoil_credentials.encoding import canonical_json

from counterfoil_consent.erasure import AccessLog
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import Digest, GrantId, digest_of, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One request for a lease. `read` is the custodian's number, None while nothing came."""

    grant_id: GrantId
    request_id: str
    purpose: Purpose
    asked_at: datetime
    read: int | None = None


class Accesses(Protocol):
    """Where the log lives. Every method is one transaction, on disk when it returns."""

    def ask(self, access: Access) -> None:
        """Add an entry without an answer."""
        ...

    def answer(self, grant_id: GrantId, request_id: str, read: int) -> None:
        """Write the answer into the entry, once."""
        ...

    def of_grant(self, grant_id: GrantId) -> list[Access]:
        """Give a grant's entries in the order in which they were asked."""
        ...

    def count(self, grant_id: GrantId) -> int:
        """Give how many leases came for a grant."""
        ...

    def latest(self, limit: int, before: int | None = None) -> list[tuple[int, Access]]:
        """Give the newest entries, each with its place in the log, newest first."""
        ...


class MemoryAccesses:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._entries: list[Access] = []
        self._lock = threading.Lock()

    def ask(self, access: Access) -> None:
        with self._lock:
            self._entries.append(access)

    def answer(self, grant_id: GrantId, request_id: str, read: int) -> None:
        with self._lock:
            for place, entry in enumerate(self._entries):
                ours = (entry.grant_id, entry.request_id) == (grant_id, request_id)
                if ours and entry.read is None:
                    self._entries[place] = replace(entry, read=read)

    def of_grant(self, grant_id: GrantId) -> list[Access]:
        with self._lock:
            return [entry for entry in self._entries if entry.grant_id == grant_id]

    def count(self, grant_id: GrantId) -> int:
        return sum(entry.read is not None for entry in self.of_grant(grant_id))

    def latest(self, limit: int, before: int | None = None) -> list[tuple[int, Access]]:
        with self._lock:
            placed = list(enumerate(self._entries, start=1))
        older = [(place, entry) for place, entry in placed if before is None or place < before]
        return older[::-1][:limit]


def closed(grant_id: GrantId, entries: Sequence[Access]) -> AccessLog:
    """Give the count of a grant's entries, and the digest of their chain."""
    head = chain_of(grant_id, entries)
    reads = len({entry.read for entry in entries if entry.read is not None})
    unanswered = sum(entry.read is None for entry in entries)
    return AccessLog(reads=reads, unanswered=unanswered, head=head)


def chain_of(grant_id: GrantId, entries: Sequence[Access]) -> Digest:
    """Give the digest of the last entry, each taken together with the digest before it."""
    head = digest_of(grant_id)
    for entry in entries:
        head = digest_of(
            canonical_json(
                {
                    "prev": head,
                    "request": entry.request_id,
                    "purpose": entry.purpose.value,
                    "asked_at": seconds(entry.asked_at),
                    "read": entry.read,
                }
            )
        )
    return head
