"""What the wallet did: with whom, about which claims, never their values.

An event is written before anything leaves the wallet, with the outcome `sent`,
and again when the answer is there: what was shown is in the history even when
the program was killed between the two.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    int_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)

from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import Random

EventId = NewType("EventId", str)

_WHERE = "event"


class Act(StrEnum):
    """What the customer did."""

    ACCEPTED = "accepted"
    SHOWN = "shown"
    DECLINED = "declined"
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"


class Outcome(StrEnum):
    """What came of it. `SENT` means: it left, and no answer is known."""

    DONE = "done"
    SENT = "sent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One act: `party` is an issuer's URL or a client id; `claims` are names."""

    event_id: EventId
    at: datetime
    act: Act
    party: str
    party_name: str | None = None
    types: tuple[str, ...]
    claims: tuple[str, ...] = ()
    outcome: Outcome = Outcome.DONE
    detail: str | None = None

    def ended(self, outcome: Outcome, detail: str | None = None) -> "Event":
        """Give the event with its outcome known."""
        return replace(self, outcome=outcome, detail=detail)

    def to_record(self) -> Record:
        """Give the record to store."""
        body: JsonObject = {
            "at": int(self.at.timestamp()),
            "act": self.act.value,
            "party": self.party,
            "types": [*self.types],
            "claims": [*self.claims],
            "outcome": self.outcome.value,
        }
        for name, value in (("party_name", self.party_name), ("detail", self.detail)):
            if value is not None:
                body[name] = value
        return Record(Kind.EVENT, self.event_id, self.act.value, compact_json(body))

    @staticmethod
    def from_record(record: Record) -> "Event":
        """Read a stored event."""
        body = parse_object(record.body, _WHERE)
        return Event(
            event_id=EventId(record.key),
            at=datetime.fromtimestamp(int_at(body, "at", _WHERE), UTC),
            act=Act(text_at(body, "act", _WHERE)),
            party=text_at(body, "party", _WHERE),
            party_name=optional_text_at(body, "party_name", _WHERE),
            types=tuple(texts_at(body, "types", _WHERE)),
            claims=tuple(texts_at(body, "claims", _WHERE)),
            outcome=Outcome(text_at(body, "outcome", _WHERE)),
            detail=optional_text_at(body, "detail", _WHERE),
        )


def fresh_event_id(random: Random) -> EventId:
    """Give a new id."""
    return EventId(b64url(random(16)))
