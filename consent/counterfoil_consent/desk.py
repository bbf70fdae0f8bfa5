"""What the people at a receiver's desk ask: what runs, what ends, what is late, who waits.

Pages are in the order of the ends, each followed by a cursor. Every line is names, times
and counts; a claim's value stands in none of them.

    erasure-pending        ended, and some system has not answered
    overdue                the same, later than the receipt promised
    erased-with-retention  erased, but for what a law makes the receiver keep
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from counterfoil_credentials.errors import Misuse

from counterfoil_consent.accesses import Access, Accesses
from counterfoil_consent.receiver_store import (
    Cursor,
    Listing,
    OpenRequest,
    ReceivedGrant,
    ReceiverStore,
)
from counterfoil_consent.states import (
    Active,
    Erased,
    Granted,
    Lack,
    Level,
    Retained,
    Suspended,
    Trigger,
)
from counterfoil_consent.terms import ClaimName, Purpose
from counterfoil_consent.wire import Clock, GrantId

MOST_A_PAGE: Final = 200
ENDS_SOON: Final = timedelta(days=7)
_MOST_PROCESSES: Final = 1_000


class Stage(StrEnum):
    """Where a grant stands, as people at the desk say it."""

    GRANTED = "granted"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ERASURE_PENDING = "erasure-pending"
    OVERDUE = "overdue"
    ERASED = "erased"
    ERASED_WITH_RETENTION = "erased-with-retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantLine:
    """One grant. `promised_by` is when the erasure must be done, once it has ended.

    `lacks` names the papers that are missing; they were asked for in `tries` rounds.
    """

    grant_id: GrantId
    stage: Stage
    purpose: Purpose
    claims: tuple[ClaimName, ...]
    recipients: tuple[str, ...]
    granted_at: datetime
    ends_at: datetime
    ends_soon: bool
    max_reads: int
    reads: int | None
    trigger: Trigger | None = None
    promised_by: datetime | None = None
    erased_at: datetime | None = None
    level: Level | None = None
    lacks: tuple[Lack, ...] = ()
    retained: tuple[Retained, ...] = ()
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """One request that nobody has answered yet."""

    request_id: GrantId
    purpose: Purpose
    claims: tuple[ClaimName, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some lines, and where the next page begins; None after the last."""

    lines: tuple[GrantLine, ...] | tuple[RequestLine, ...]
    following: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Some reads, newest first, and the place before which the next page begins."""

    entries: tuple[Access, ...]
    following: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """One line of the records of processing (GDPR, article 30 (1)): what runs now, and how often.

    `longest_until` is the last end among the grants that it counts.
    """

    purpose: Purpose
    claims: tuple[ClaimName, ...]
    recipients: tuple[str, ...]
    jurisdiction: str
    grants: int
    longest_until: datetime


class Desk:
    """The queries of a receiver's desk. It changes nothing."""

    def __init__(
        self,
        *,
        controller: str,
        store: ReceiverStore,
        accesses: Accesses | None,
        erase_within: timedelta,
        clock: Clock,
    ) -> None:
        """Look into these rows; `erase_within` is what the receiver promised."""
        self.controller = controller
        self._store = store
        self._accesses = accesses
        self._erase_within = erase_within
        self._clock = clock

    def grants(self, listing: Listing, after: Cursor | None = None, limit: int = 50) -> Page:
        """Give a page of grants: live, pending, unproved, or keeping."""
        found = self._store.page(listing, after or Cursor(), _bounded(limit) + 1)
        lines = tuple(self._line(grant) for grant in found[:limit])
        return Page(lines=lines, following=_following(found, limit))

    def waiting(self, after: Cursor | None = None, limit: int = 50) -> Page:
        """Give a page of requests that wait for the customer."""
        found = self._store.waiting(self._clock(), after or Cursor(), _bounded(limit) + 1)
        lines = tuple(
            RequestLine(
                request_id=request.request_id,
                purpose=request.requested.terms.purpose,
                claims=_names(request.requested.terms.claim_names),
                expires_at=request.requested.expires_at,
            )
            for request in found[:limit]
        )
        return Page(lines=lines, following=_following(found, limit))

    def reads(self, before: int | None = None, limit: int = 50) -> Reads:
        """Give a page of the log of reads; `Misuse` where none is kept."""
        if self._accesses is None:
            raise Misuse("expected a receiver that logs its reads, found one without")
        found = self._accesses.latest(_bounded(limit) + 1, before)
        return Reads(
            entries=tuple(entry for _, entry in found[:limit]),
            following=found[limit - 1][0] if len(found) > limit else None,
        )

    def processing(self) -> tuple[Processing, ...]:
        """Give the records of processing of all grants in force.

        Raises `Misuse` when there are more kinds of processing than anybody could read.
        """
        records: dict[tuple[object, ...], Processing] = {}
        after: Cursor | None = Cursor()
        while after is not None:
            found = self._store.page(Listing.LIVE, after, MOST_A_PAGE)
            for grant in found:
                self._add(records, grant)
            after = Cursor.behind(found[-1]) if found else None
        return tuple(sorted(records.values(), key=lambda record: -record.grants))

    def _add(self, records: dict[tuple[object, ...], Processing], grant: ReceivedGrant) -> None:
        terms = grant.terms
        claims = _names(terms.claim_names)
        recipients = tuple(party.name for party in terms.recipients)
        kind = (terms.purpose, claims, recipients, terms.jurisdiction)
        known = records.get(kind)
        if known is None and len(records) >= _MOST_PROCESSES:
            raise Misuse(f"expected at most {_MOST_PROCESSES} kinds of processing, found more")
        ends_at = terms.valid_until
        records[kind] = Processing(
            purpose=terms.purpose,
            claims=claims,
            recipients=recipients,
            jurisdiction=terms.jurisdiction,
            grants=1 if known is None else known.grants + 1,
            longest_until=ends_at if known is None else max(known.longest_until, ends_at),
        )

    def _line(self, grant: ReceivedGrant) -> GrantLine:
        state, ending, terms = grant.state, grant.ending, grant.terms
        now = self._clock()
        erased = state if isinstance(state, Erased) else None
        reads = None if self._accesses is None else self._accesses.count(grant.grant_id)
        is_live = isinstance(state, Granted)
        return GrantLine(
            grant_id=grant.grant_id,
            stage=stage_of(grant, now, self._erase_within),
            purpose=terms.purpose,
            claims=_names(terms.claim_names),
            recipients=tuple(party.name for party in terms.recipients),
            granted_at=state.agreement.granted_at,
            ends_at=terms.valid_until,
            ends_soon=is_live and terms.valid_until - now <= ENDS_SOON,
            max_reads=terms.max_reads,
            reads=reads,
            trigger=None if isinstance(state, Granted) else state.trigger,
            promised_by=None if ending is None else ending.stopped_at + self._erase_within,
            erased_at=None if erased is None else erased.erased_at,
            level=None if erased is None else erased.level,
            lacks=() if erased is None else erased.lacks,
            retained=tuple(kept.item for kept in grant.kept),
            tries=0 if ending is None else ending.tries,
        )


def stage_of(grant: ReceivedGrant, now: datetime, erase_within: timedelta) -> Stage:
    """Give where a grant stands at `now`."""
    match grant.state:
        case Active():
            return Stage.ACTIVE
        case Suspended():
            return Stage.SUSPENDED
        case Granted():
            return Stage.GRANTED
        case Erased():
            return Stage.ERASED_WITH_RETENTION if grant.kept else Stage.ERASED
        case _:
            stopped_at = now if grant.ending is None else grant.ending.stopped_at
            is_late = now > stopped_at + erase_within
            return Stage.OVERDUE if is_late else Stage.ERASURE_PENDING


def _names(names: frozenset[ClaimName]) -> tuple[ClaimName, ...]:
    return tuple(sorted(names, key=lambda name: (name.vct, str(name))))


def _bounded(limit: int) -> int:
    if not 1 <= limit <= MOST_A_PAGE:
        raise Misuse(f"expected 1 to {MOST_A_PAGE} lines a page, found {limit}")
    return limit


def _following(found: Sequence[ReceivedGrant] | Sequence[OpenRequest], limit: int) -> Cursor | None:
    return Cursor.behind(found[limit - 1]) if len(found) > limit else None
