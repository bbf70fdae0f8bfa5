"""The papers of an end at the receiver: what came, what was answered, what is still missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    optional_text_at,
    text_at,
)

from counterfoil_consent.erased_system import ErasedSystem, systems_at
from counterfoil_consent.erasure import Released
from counterfoil_consent.wire import instant_at, seconds

_WHERE: Final = "stored_grant.ending"
_FIRST_WAIT: Final = timedelta(seconds=5)
_LONGEST_WAIT: Final = timedelta(hours=1)
_DOUBLINGS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The papers of an end: the event, our stop notice, and the evidence of the receipt.

    `systems` have answered, `recipients` have sent a good receipt (by DID), `released`
    was kept under a law and is erased. `tries` counts the rounds in which something was
    still missing; the next is at `next_try_at`.
    """

    event_id: str
    event: str = field(repr=False)
    requested_at: datetime
    stopped_at: datetime
    stop_notice: str = field(repr=False)
    erased_at: datetime | None = None
    destruction: str | None = field(default=None, repr=False)
    erasure_receipt: str | None = field(default=None, repr=False)
    systems: tuple[ErasedSystem, ...] = ()
    recipients: Mapping[Did, str] = field(default_factory=dict[Did, str], repr=False)
    released: tuple[Released, ...] = ()
    attestation: str | None = field(default=None, repr=False)
    tries: int = 0
    next_try_at: datetime | None = None

    def to_json(self) -> JsonObject:
        """Give the papers for storage."""
        obj: JsonObject = {
            "event_id": self.event_id,
            "event": self.event,
            "requested_at": seconds(self.requested_at),
            "stopped_at": seconds(self.stopped_at),
            "stop_notice": self.stop_notice,
        }
        optional: dict[str, Json] = {
            "erased_at": None if self.erased_at is None else seconds(self.erased_at),
            "destruction": self.destruction,
            "erasure_receipt": self.erasure_receipt,
            "systems": [system.to_json() for system in self.systems] or None,
            "recipients": {str(did): token for did, token in self.recipients.items()} or None,
            "released": [item.to_json() for item in self.released] or None,
            "attestation": self.attestation,
            "tries": self.tries or None,
            "next_try_at": None if self.next_try_at is None else seconds(self.next_try_at),
        }
        return obj | {name: value for name, value in optional.items() if value is not None}

    @staticmethod
    def from_json(obj: JsonObject) -> "Ending":
        """Read stored papers."""
        receipts = object_at(obj, "recipients", _WHERE) if "recipients" in obj else {}
        released = list_at(obj, "released", _WHERE) if "released" in obj else []
        return Ending(
            event_id=text_at(obj, "event_id", _WHERE),
            event=text_at(obj, "event", _WHERE),
            requested_at=instant_at(obj, "requested_at", _WHERE),
            stopped_at=instant_at(obj, "stopped_at", _WHERE),
            stop_notice=text_at(obj, "stop_notice", _WHERE),
            erased_at=instant_at(obj, "erased_at", _WHERE) if "erased_at" in obj else None,
            destruction=optional_text_at(obj, "destruction", _WHERE),
            erasure_receipt=optional_text_at(obj, "erasure_receipt", _WHERE),
            systems=systems_at(obj, _WHERE) if "systems" in obj else (),
            recipients={Did(did): text_at(receipts, did, _WHERE) for did in receipts},
            released=tuple(
                Released.from_json(as_object(item, _WHERE), _WHERE) for item in released
            ),
            attestation=optional_text_at(obj, "attestation", _WHERE),
            tries=int_at(obj, "tries", _WHERE) if "tries" in obj else 0,
            next_try_at=instant_at(obj, "next_try_at", _WHERE) if "next_try_at" in obj else None,
        )


def wait_after(tries: int) -> timedelta:
    """Give how long to wait after so many rounds: none after the first, then ever longer."""
    if tries <= 1:
        return timedelta(0)
    return min(_FIRST_WAIT * (1 << min(tries - 2, _DOUBLINGS)), _LONGEST_WAIT)
