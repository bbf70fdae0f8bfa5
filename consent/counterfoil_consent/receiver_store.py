"""What a receiver remembers: requests it made, grants it holds, ciphertext while it may."""

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.encoding import (
    JsonObject,
    int_at,
    object_at,
    optional_text_at,
    text_at,
)

from counterfoil_consent.states import (
    Granted,
    Requested,
    State,
    state_from_json,
    state_to_json,
)
from counterfoil_consent.terms import Terms, parse_transaction_data
from counterfoil_consent.wire import Digest, GrantId, grant_id_of, instant_at, seconds

STATEMENT_PATIENCE: Final = timedelta(days=30)
"""How long after its term an ended grant still asks the custodian for its statement."""


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
class Ending:
    """The papers of an end: the event, our stop notice, and the times of the receipt."""

    event_id: str
    event: str = field(repr=False)
    requested_at: datetime
    stopped_at: datetime
    stop_notice: str = field(repr=False)
    erased_at: datetime | None = None
    destruction: str | None = field(default=None, repr=False)
    erasure_receipt: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedGrant:
    """One grant as the receiver holds it.

    `revision` counts its changes, `paused` is the sequence of the last pause or resumption.
    """

    request_id: GrantId
    state: State
    ending: Ending | None = None
    revision: int = 0
    paused: int = 0

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.state.agreement.grant_id

    @property
    def terms(self) -> Terms:
        """The terms granted."""
        return self.state.agreement.terms

    def to_json(self) -> JsonObject:
        """Give everything but the bundle for storage: names, digests and signed papers."""
        obj: JsonObject = {"state": state_to_json(self.state)}
        if self.ending is not None:
            ending: JsonObject = {
                "event_id": self.ending.event_id,
                "event": self.ending.event,
                "requested_at": seconds(self.ending.requested_at),
                "stopped_at": seconds(self.ending.stopped_at),
                "stop_notice": self.ending.stop_notice,
            }
            if self.ending.erased_at is not None:
                ending["erased_at"] = seconds(self.ending.erased_at)
            if self.ending.destruction is not None:
                ending["destruction"] = self.ending.destruction
            if self.ending.erasure_receipt is not None:
                ending["erasure_receipt"] = self.ending.erasure_receipt
            obj["ending"] = ending
        if self.paused:
            obj["paused"] = self.paused
        return obj

    @staticmethod
    def from_json(obj: JsonObject, request_id: GrantId, revision: int) -> "ReceivedGrant":
        """Read a stored grant."""
        where = "stored_grant"
        return ReceivedGrant(
            request_id=request_id,
            state=state_from_json(object_at(obj, "state", where), where),
            ending=_ending(object_at(obj, "ending", where)) if "ending" in obj else None,
            revision=revision,
            paused=int_at(obj, "paused", where) if "paused" in obj else 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many grants there are: in force, and ended."""

    live: int
    ended: int


class ReceiverStore(Protocol):
    """Where a receiver's rows live. Every method is one transaction."""

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

    def answer(self, request_id: GrantId, granted: Granted) -> ReceivedGrant | None:
        """Consume the request and add the grant.

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

    def advance(self, before: ReceivedGrant, after: ReceivedGrant, bundle: bytes | None) -> bool:
        """Replace `before` by `after` and set its ciphertext; False when somebody was faster."""
        ...

    def find_bundle(self, grant_id: GrantId) -> bytes | None:
        """Give the ciphertext."""
        ...

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        """Give grants past their end, then ended ones that still lack a paper."""
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

    def answer(self, request_id: GrantId, granted: Granted) -> ReceivedGrant | None:
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
            self._grants[grant_id] = ReceivedGrant(request_id=request_id, state=granted)
            return self._grants[grant_id]

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        with self._lock:
            return sorted(name for name in self._grants if after is None or name > after)[:limit]

    def find_grant(self, grant_id: GrantId) -> ReceivedGrant | None:
        with self._lock:
            return self._grants.get(grant_id)

    def advance(self, before: ReceivedGrant, after: ReceivedGrant, bundle: bytes | None) -> bool:
        with self._lock:
            found = self._grants[before.grant_id]
            if found.revision != before.revision:
                return False
            self._grants[before.grant_id] = replace(after, revision=before.revision + 1)
            if bundle is None:
                self._bundles.pop(before.grant_id, None)
            else:
                self._bundles[before.grant_id] = bundle
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

    def summary(self) -> Summary:
        with self._lock:
            live = sum(isinstance(row.state, Granted) for row in self._grants.values())
            return Summary(live=live, ended=len(self._grants) - live)


def is_due(grant: ReceivedGrant, now: datetime) -> bool:
    """Say whether a grant waits for its end, or an ended one for a paper."""
    if isinstance(grant.state, Granted):
        return now >= grant.terms.valid_until
    if grant.ending is None or grant.ending.erasure_receipt is None:
        return True
    lacks_statement = grant.ending.destruction is None
    return lacks_statement and now < grant.terms.valid_until + STATEMENT_PATIENCE


def _ending(obj: JsonObject) -> Ending:
    where = "stored_grant.ending"
    return Ending(
        event_id=text_at(obj, "event_id", where),
        event=text_at(obj, "event", where),
        requested_at=instant_at(obj, "requested_at", where),
        stopped_at=instant_at(obj, "stopped_at", where),
        stop_notice=text_at(obj, "stop_notice", where),
        erased_at=instant_at(obj, "erased_at", where) if "erased_at" in obj else None,
        destruction=optional_text_at(obj, "destruction", where),
        erasure_receipt=optional_text_at(obj, "erasure_receipt", where),
    )
