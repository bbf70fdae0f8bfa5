"""What a receiver remembers: requests it made, grants it holds, ciphertext while it may."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    optional_text_at,
    text_at,
)

from counterfoil_consent.ending import Ending
from counterfoil_consent.retention import KeptSubset
from counterfoil_consent.set_outbox import Letter, MemorySetOutbox, SetOutbox
from counterfoil_consent.states import (
    Erased,
    Granted,
    Requested,
    State,
    state_from_json,
    state_to_json,
)
from counterfoil_consent.terms import Terms, parse_transaction_data
from counterfoil_consent.wire import Digest, GrantId, grant_id_of, instant_at, seconds

STATEMENT_PATIENCE: Final = timedelta(days=30)
"""How long after its term an ended grant still asks for papers that are missing."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A signed request, waiting for one answer. `request_id` also names its sealing key."""

    request_id: GrantId
    token: str = field(repr=False)
    transaction_data: str = field(repr=False)
    requested: Requested
    notice: str
    answered_by: GrantId | None = None

    def to_json(self) -> JsonObject:
        """Give everything but the answer for storage."""
        return {
            "token": self.token,
            "transaction_data": self.transaction_data,
            "request_digest": self.requested.request_digest,
            "terms_hash": self.requested.terms_hash,
            "nonce": self.requested.nonce,
            "expires_at": seconds(self.requested.expires_at),
            "notice": self.notice,
        }

    @staticmethod
    def from_json(obj: JsonObject, request_id: GrantId, answered_by: str | None) -> "OpenRequest":
        """Read a stored request."""
        where = "stored_request"
        transaction_data = text_at(obj, "transaction_data", where)
        terms, _ = parse_transaction_data(transaction_data, where)
        return OpenRequest(
            request_id=request_id,
            token=text_at(obj, "token", where),
            transaction_data=transaction_data,
            requested=Requested(
                terms=terms,
                request_digest=Digest(text_at(obj, "request_digest", where)),
                terms_hash=text_at(obj, "terms_hash", where),
                nonce=text_at(obj, "nonce", where),
                expires_at=instant_at(obj, "expires_at", where),
            ),
            notice=text_at(obj, "notice", where),
            answered_by=None if answered_by is None else grant_id_of(answered_by, where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedGrant:
    """One grant as the receiver holds it.

    `revision` counts its changes, `paused` is the sequence of the last pause or resumption.
    `kept` is what a law makes the receiver keep, sealed (retention.py). `presentation` is the
    grant as its holder signed it, to show that she did (GDPR, article 7(1)); None in a row of
    an older version.
    """

    request_id: GrantId
    state: State
    ending: Ending | None = None
    revision: int = 0
    paused: int = 0
    kept: tuple[KeptSubset, ...] = ()
    presentation: str | None = field(default=None, repr=False)

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.state.agreement.grant_id

    @property
    def terms(self) -> Terms:
        """The terms granted."""
        return self.state.agreement.terms

    @property
    def has_all_papers(self) -> bool:
        """Whether the custodian and every recipient have answered the end."""
        if self.ending is None or self.ending.destruction is None:
            return False
        return {party.did for party in self.terms.recipients} <= self.ending.recipients.keys()

    @property
    def due_at(self) -> datetime | None:
        """When the receiver has something to do for it: an end, a paper, a duty that is over."""
        dates = [kept.item.until for kept in self.kept]
        if isinstance(self.state, Granted):
            dates.append(self.terms.valid_until)
        elif self.ending is None or self.ending.erasure_receipt is None:
            dates.append(_next_try(self.ending))
        elif not self.has_all_papers:
            next_try_at = _next_try(self.ending)
            if next_try_at < self.terms.valid_until + STATEMENT_PATIENCE:
                dates.append(next_try_at)
        return min(dates, default=None)

    def to_json(self) -> JsonObject:
        """Give everything but the bundle for storage: names, digests and signed papers."""
        obj: JsonObject = {"state": state_to_json(self.state)}
        if self.ending is not None:
            obj["ending"] = self.ending.to_json()
        if self.paused:
            obj["paused"] = self.paused
        if self.kept:
            obj["kept"] = [subset.to_json() for subset in self.kept]
        if self.presentation is not None:
            obj["presentation"] = self.presentation
        return obj

    @staticmethod
    def from_json(obj: JsonObject, request_id: GrantId, revision: int) -> "ReceivedGrant":
        """Read a stored grant."""
        where = "stored_grant"
        return ReceivedGrant(
            request_id=request_id,
            state=state_from_json(object_at(obj, "state", where), where),
            ending=Ending.from_json(object_at(obj, "ending", where)) if "ending" in obj else None,
            revision=revision,
            paused=int_at(obj, "paused", where) if "paused" in obj else 0,
            kept=tuple(
                KeptSubset.from_json(as_object(item, where), where)
                for item in (list_at(obj, "kept", where) if "kept" in obj else [])
            ),
            presentation=optional_text_at(obj, "presentation", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many grants there are: in force, and ended."""

    live: int
    ended: int


_Row = TypeVar("_Row", OpenRequest, ReceivedGrant)


class Listing(StrEnum):
    """Which grants somebody at the desk asks for."""

    LIVE = "live"
    PENDING = "pending"  # ended, and not erased everywhere
    UNPROVED = "unproved"  # erased, and a paper is missing
    KEEPING = "keeping"  # something is kept under a law
    ERASED = "erased"  # erased everywhere, whatever paper is missing


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: behind this row. Rows are in the order of their end, then of their id.

    `at_s` is in seconds since 1970.
    """

    at_s: int = -1
    name: str = ""

    @staticmethod
    def behind(row: "ReceivedGrant | OpenRequest") -> "Cursor":
        """Give the cursor for the page that follows this row."""
        if isinstance(row, OpenRequest):
            return Cursor(seconds(row.requested.expires_at), row.request_id)
        return Cursor(seconds(row.terms.valid_until), row.grant_id)


class ReceiverStore(Protocol):
    """Where a receiver's rows live. Every method is one transaction."""

    @property
    def outbox(self) -> SetOutbox:
        """Where the letters of `advance` wait, in the same database."""
        ...

    def is_empty(self) -> bool:
        """Say whether there is neither a request nor a grant."""
        ...

    def add_request(self, request: OpenRequest) -> None:
        """Add a request."""
        ...

    def find_request(self, request_id: GrantId) -> OpenRequest | None:
        """Give a request."""
        ...

    def find_notice(self, sha256: Digest) -> str | None:
        """Give the text of a notice that some request names."""
        ...

    def answer(
        self, request_id: GrantId, granted: Granted, presentation: str
    ) -> ReceivedGrant | None:
        """Consume the request and add the grant, with what the holder signed.

        Gives the grant that answers the request now: this one, or the one that
        was first. None when the grant id answers another request already, or the
        request is gone.
        """
        ...

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        """Give the ids of all grants that follow `after`, in the store's own order."""
        ...

    def find_grant(self, grant_id: GrantId) -> ReceivedGrant | None:
        """Give a grant."""
        ...

    def advance(
        self,
        before: ReceivedGrant,
        after: ReceivedGrant,
        bundle: bytes | None,
        letters: Sequence[Letter] = (),
    ) -> bool:
        """Replace `before` by `after` and set its ciphertext; False when somebody was faster.

        `letters` go into the outbox with the change, or not at all without one.
        """
        ...

    def find_bundle(self, grant_id: GrantId) -> bytes | None:
        """Give the ciphertext."""
        ...

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        """Give grants whose `due_at` has come: those in force first."""
        ...

    def unanswered(self, expired_by: datetime, limit: int) -> list[GrantId]:
        """Give requests without an answer that had expired by then."""
        ...

    def drop_request(self, request_id: GrantId) -> None:
        """Forget a request without an answer; an answered one stays."""
        ...

    def scrub(self) -> None:
        """Leave nothing on disk of what was deleted before; `Unavailable` if it cannot be now."""
        ...

    def page(self, listing: Listing, after: Cursor, limit: int) -> list[ReceivedGrant]:
        """Give the grants of a listing behind `after`, those that end first at the front."""
        ...

    def waiting(self, now: datetime, after: Cursor, limit: int) -> list[OpenRequest]:
        """Give requests that still wait for their answer, those that expire first at the front."""
        ...

    def summary(self) -> Summary:
        """Count the grants."""
        ...


class MemoryReceiverStore:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._requests: dict[GrantId, OpenRequest] = {}
        self._grants: dict[GrantId, ReceivedGrant] = {}
        self._bundles: dict[GrantId, bytes] = {}
        self._lock = threading.Lock()
        self.outbox: SetOutbox = MemorySetOutbox()

    def is_empty(self) -> bool:
        with self._lock:
            return not self._requests and not self._grants

    def add_request(self, request: OpenRequest) -> None:
        with self._lock:
            self._requests[request.request_id] = request

    def find_request(self, request_id: GrantId) -> OpenRequest | None:
        with self._lock:
            return self._requests.get(request_id)

    def find_notice(self, sha256: Digest) -> str | None:
        with self._lock:
            for request in self._requests.values():
                if request.requested.terms.notice.sha256 == sha256:
                    return request.notice
            return None

    def answer(
        self, request_id: GrantId, granted: Granted, presentation: str
    ) -> ReceivedGrant | None:
        with self._lock:
            request = self._requests.get(request_id)
            if request is None:
                return None
            if request.answered_by is not None:
                return self._grants[request.answered_by]
            grant_id = granted.agreement.grant_id
            if grant_id in self._grants:
                return None
            self._requests[request_id] = replace(request, answered_by=grant_id)
            self._grants[grant_id] = ReceivedGrant(
                request_id=request_id, state=granted, presentation=presentation
            )
            return self._grants[grant_id]

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        with self._lock:
            return sorted(name for name in self._grants if after is None or name > after)[:limit]

    def find_grant(self, grant_id: GrantId) -> ReceivedGrant | None:
        with self._lock:
            return self._grants.get(grant_id)

    def advance(
        self,
        before: ReceivedGrant,
        after: ReceivedGrant,
        bundle: bytes | None,
        letters: Sequence[Letter] = (),
    ) -> bool:
        with self._lock:
            found = self._grants[before.grant_id]
            if found.revision != before.revision:
                return False
            self._grants[before.grant_id] = replace(after, revision=before.revision + 1)
            if bundle is None:
                self._bundles.pop(before.grant_id, None)
            else:
                self._bundles[before.grant_id] = bundle
            self.outbox.put(letters)
            return True

    def find_bundle(self, grant_id: GrantId) -> bytes | None:
        with self._lock:
            return self._bundles.get(grant_id)

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        with self._lock:
            due = [row for row in self._grants.values() if is_due(row, now)]
        due.sort(key=lambda row: not isinstance(row.state, Granted))
        return [row.grant_id for row in due[:limit]]

    def unanswered(self, expired_by: datetime, limit: int) -> list[GrantId]:
        with self._lock:
            return [
                request.request_id
                for request in self._requests.values()
                if request.answered_by is None and request.requested.expires_at <= expired_by
            ][:limit]

    def drop_request(self, request_id: GrantId) -> None:
        with self._lock:
            found = self._requests.get(request_id)
            if found is not None and found.answered_by is None:
                del self._requests[request_id]

    def scrub(self) -> None:
        """Nothing is on disk."""

    def page(self, listing: Listing, after: Cursor, limit: int) -> list[ReceivedGrant]:
        with self._lock:
            rows = [row for row in self._grants.values() if _is_listed(row, listing)]
        return _following(rows, after, limit)

    def waiting(self, now: datetime, after: Cursor, limit: int) -> list[OpenRequest]:
        with self._lock:
            rows = [
                request
                for request in self._requests.values()
                if request.answered_by is None
                and seconds(request.requested.expires_at) > seconds(now)
            ]
        return _following(rows, after, limit)

    def summary(self) -> Summary:
        with self._lock:
            live = sum(isinstance(row.state, Granted) for row in self._grants.values())
            return Summary(live=live, ended=len(self._grants) - live)


def is_due(grant: ReceivedGrant, now: datetime) -> bool:
    """Say whether the receiver has something to do for a grant now."""
    return grant.due_at is not None and now >= grant.due_at


def _is_listed(grant: ReceivedGrant, listing: Listing) -> bool:
    match listing:
        case Listing.LIVE:
            return isinstance(grant.state, Granted)
        case Listing.PENDING:
            return not isinstance(grant.state, Granted | Erased)
        case Listing.UNPROVED:
            return isinstance(grant.state, Erased) and not grant.has_all_papers
        case Listing.KEEPING:
            return bool(grant.kept)
        case Listing.ERASED:
            return isinstance(grant.state, Erased)


def _following(rows: list[_Row], after: Cursor, limit: int) -> list[_Row]:
    def place(row: _Row) -> tuple[int, str]:
        cursor = Cursor.behind(row)
        return (cursor.at_s, cursor.name)

    behind = [row for row in rows if place(row) > (after.at_s, after.name)]
    return sorted(behind, key=place)[:limit]


def _next_try(ending: Ending | None) -> datetime:
    return _EPOCH if ending is None or ending.next_try_at is None else ending.next_try_at
