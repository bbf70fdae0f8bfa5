"""Level E0: somebody said that it is erased, and signed nothing.

A web form, a mail, a voice on the phone: the customer notes it, so that it is not
forgotten and is never taken for more. A signed receipt takes its place whenever it comes.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused

from counterfoil_consent.states import Ended, Erased, Lack, Level, Missing
from counterfoil_consent.wire import SKEW, instant_at, require_members, seconds

_WHERE: Final = "unsigned_word"


class Channel(StrEnum):
    """How the word came: the channels of EUDI TS7, and by mouth."""

    WEB_FORM = "web-form"
    MAIL = "mail"
    PHONE = "phone"
    IN_PERSON = "in-person"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsignedWord:
    """What the customer noted: through which channel, and when she heard it."""

    channel: Channel
    heard_at: datetime

    def note(self, ended: Ended, now: datetime) -> Erased:
        """Give the erasure at level E0: it lacks everybody's paper.

        Raises `Refused` with `times-out-of-order` for a word from before the end of the
        grant or from the future.
        """
        if not ended.ended_at - SKEW <= self.heard_at <= now + SKEW:
            reason = Reason("times-out-of-order", "ended, heard, now", "another", _WHERE)
            raise Refused(reason)
        recipients = tuple(
            Lack(Missing.RECIPIENT, party.name) for party in ended.agreement.terms.recipients
        )
        lacks = (Lack(Missing.RECEIPT), Lack(Missing.STATEMENT), *recipients)
        return Erased(
            ended.agreement,
            ended.trigger,
            self.heard_at,
            Level.E0,
            lacks=lacks,
            ended_at=ended.ended_at,
        )

    def to_json(self) -> JsonObject:
        """Give the note for storage."""
        return {"channel": self.channel.value, "heard_at": seconds(self.heard_at)}

    @staticmethod
    def from_json(obj: JsonObject) -> "UnsignedWord":
        """Read a stored note."""
        require_members(obj, ("channel", "heard_at"), _WHERE)
        try:
            channel = Channel(text_at(obj, "channel", _WHERE))
        except ValueError as cause:
            raise Malformed("a known channel", "another", f"{_WHERE}.channel") from cause
        return UnsignedWord(channel=channel, heard_at=instant_at(obj, "heard_at", _WHERE))


def later_proof(noted: Erased, proved: Erased) -> Erased:
    """Give the one that proves more; of the same level, the later receipt."""
    if noted.agreement != proved.agreement:
        reason = Reason("grant-mismatch", "a proof about this grant", "another", _WHERE)
        raise Refused(reason)
    return noted if noted.level > proved.level else proved
