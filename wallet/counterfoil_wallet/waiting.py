"""Requests that the customer put off. Each lapses with the request; nobody is told.

The request object is kept as it came, with the notice that went with it: to come back to
it asks nobody anything.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_consent.parties import RecipientParty, recipients_of
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import Digest
from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json,
    list_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import required_time_at

_WHERE: Final = "waiting"
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A request for a grant that waits for her; DPV: `ConsentRequestDeferred`.

    `receiver` is the name that `party` gives itself. From `expires_at` on it is over.
    """

    waiting_id: Digest
    party: str
    receiver: str
    purpose: Purpose
    recipients: tuple[RecipientParty, ...]
    asked_at: datetime
    expires_at: datetime
    token: str = field(repr=False)
    notice: str = field(repr=False)

    def to_record(self) -> Record:
        """Give the record to store."""
        body: JsonObject = {
            "party": self.party,
            "receiver": self.receiver,
            "purpose": self.purpose.value,
            "recipients": [party.to_json() for party in self.recipients],
            "asked_at": int(self.asked_at.timestamp()),
            "expires_at": int(self.expires_at.timestamp()),
            "token": self.token,
            "notice": self.notice,
        }
        return Record(Kind.WAITING, self.waiting_id, "", compact_json(body))

    @staticmethod
    def from_record(record: Record) -> "Waiting":
        """Read a stored one."""
        body = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
        listed = list_at(body, "recipients", _WHERE)
        try:
            purpose = Purpose(text_at(body, "purpose", _WHERE))
        except ValueError as cause:
            raise Malformed("a known purpose", "another", f"{_WHERE}.purpose") from cause
        return Waiting(
            waiting_id=Digest(record.key),
            party=text_at(body, "party", _WHERE),
            receiver=text_at(body, "receiver", _WHERE),
            purpose=purpose,
            recipients=recipients_of(listed, f"{_WHERE}.recipients") if listed else (),
            asked_at=required_time_at(body, "asked_at", _WHERE),
            expires_at=required_time_at(body, "expires_at", _WHERE),
            token=text_at(body, "token", _WHERE),
            notice=text_at(body, "notice", _WHERE),
        )
