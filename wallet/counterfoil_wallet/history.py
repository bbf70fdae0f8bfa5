"""What the wallet did: with whom, about which claims, never their values.

An event is written before anything leaves the wallet, with the outcome `sent`,
and again when the answer is there: what was shown is in the history even when
the program was killed between the two.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NewType, TypeVar

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_wallet.printable import shortened
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.visit_receipts import Visit, VisitReceipt
from counterfoil_wallet.wire import Random, required_time_at

EventId = NewType("EventId", str)

_Word = TypeVar("_Word", bound=StrEnum)

_WHERE: Final = "event"
# Twenty credentials of a thousand claims each, shortened as below.
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024


class Act(StrEnum):
    """What the customer did, or from `SUSPENDED` on, what an issuer did to a card."""

    ACCEPTED = "accepted"
    SHOWN = "shown"
    DECLINED = "declined"
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    PAUSED = "paused"
    RESUMED = "resumed"
    ERASED = "erased"
    REMOVED = "removed"
    TAKEN_BACK = "taken-back"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    REINSTATED = "reinstated"
    MARKED = "marked"


class Outcome(StrEnum):
    """What came of it. `SENT` means: it left, and no answer is known."""

    DONE = "done"
    SENT = "sent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One act: `party` is an issuer's URL or a client id; `claims` are names.

    Kept with at most 200 characters of each type and name. Of a request that was answered by
    showing something, `visit` is what a receipt is checked with, and `receipt` what the shop
    gave for it; None: nothing yet.
    """

    event_id: EventId
    at: datetime
    act: Act
    party: str
    party_name: str | None = None
    types: tuple[str, ...]
    claims: tuple[str, ...] = ()
    outcome: Outcome = Outcome.DONE
    detail: str | None = None
    visit: Visit | None = None
    receipt: VisitReceipt | None = None

    @property
    def is_warning(self) -> bool:
        """Whether the customer is to be warned: something is wrong with what the shop gave."""
        return self.receipt is not None and bool(self.receipt.reasons)

    @property
    def is_forgotten(self) -> bool:
        """Whether the customer deleted it: that there was an answer is all that is left."""
        return not self.party

    def forgotten(self) -> "Event":
        """Give what is left of a deleted event: its id, so that no request is answered again."""
        at = datetime.fromtimestamp(0, UTC)
        return Event(event_id=self.event_id, at=at, act=self.act, party="", types=())

    def ended(self, outcome: Outcome, detail: str | None = None) -> "Event":
        """Give the event with its outcome known."""
        return replace(self, outcome=outcome, detail=detail)

    def to_record(self) -> Record:
        """Give the record to store."""
        body: JsonObject = {
            "at": int(self.at.timestamp()),
            "act": self.act.value,
            "party": self.party,
            "types": [shortened(name) for name in self.types],
            "claims": [shortened(name) for name in self.claims],
            "outcome": self.outcome.value,
        }
        for name, value in (("party_name", self.party_name), ("detail", self.detail)):
            if value is not None:
                body[name] = value
        if self.visit is not None:
            body["visit"] = self.visit.to_json()
        if self.receipt is not None:
            body["receipt"] = self.receipt.to_json()
        return Record(Kind.EVENT, self.event_id, self.act.value, compact_json(body))

    @staticmethod
    def from_record(record: Record) -> "Event":
        """Read a stored event."""
        body = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
        return Event(
            event_id=EventId(record.key),
            at=required_time_at(body, "at", _WHERE),
            act=_one_of(Act, body, "act"),
            party=text_at(body, "party", _WHERE),
            party_name=optional_text_at(body, "party_name", _WHERE),
            types=tuple(texts_at(body, "types", _WHERE)),
            claims=tuple(texts_at(body, "claims", _WHERE)),
            outcome=_one_of(Outcome, body, "outcome"),
            detail=optional_text_at(body, "detail", _WHERE),
            visit=Visit.from_json(object_at(body, "visit", _WHERE), f"{_WHERE}.visit")
            if "visit" in body
            else None,
            receipt=VisitReceipt.from_json(object_at(body, "receipt", _WHERE), f"{_WHERE}.receipt")
            if "receipt" in body
            else None,
        )


def _one_of(words: type[_Word], body: JsonObject, name: str) -> _Word:
    try:
        return words(text_at(body, name, _WHERE))
    except ValueError as cause:
        raise Malformed("a word of the history", "another", f"{_WHERE}.{name}") from cause


def fresh_event_id(random: Random) -> EventId:
    """Give a new id."""
    return EventId(b64url(random(16)))
