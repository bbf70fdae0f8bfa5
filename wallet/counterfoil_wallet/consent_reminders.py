"""What the customer is told about her grants without asking.

Like the reminders of cards (`reminders.py`): nothing is kept here and no timer runs; an
app asks when it opens, and shows what it is given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from counterfoil_consent.parties import RecipientParty
from counterfoil_consent.wire import GrantId

from counterfoil_wallet.consent_view import Consent, ConsentState
from counterfoil_wallet.waiting import Waiting

UNUSED_AFTER: Final = timedelta(days=60)


class Notable(StrEnum):
    """What is worth telling."""

    UNUSED = "unused"
    ENDING_SOON = "ending-soon"
    RECEIPT_MISSING = "receipt-missing"
    NOTICE_CHANGED = "notice-changed"
    LOG_CHANGED = "log-changed"
    NEW_RECIPIENT = "new-recipient"
    ERASURE_OVERDUE = "erasure-overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentReminder:
    """One thing about one grant. `recipients` are the new ones that are asked for."""

    notable: Notable
    grant_id: GrantId
    receiver: str
    recipients: tuple[RecipientParty, ...] = ()


def consent_reminders(
    consents: Iterable[Consent], waiting: Sequence[Waiting], *, now: datetime
) -> tuple[ConsentReminder, ...]:
    """Give what is worth telling now, in the order of the grants."""
    found: list[ConsentReminder] = []
    for one in consents:
        new = _new_recipients(one, waiting)
        notables = {
            Notable.UNUSED: _is_unused(one, now),
            Notable.ENDING_SOON: one.ends_soon and one.state is not ConsentState.UNACKNOWLEDGED,
            Notable.RECEIPT_MISSING: one.state is ConsentState.UNACKNOWLEDGED,
            Notable.NOTICE_CHANGED: one.state.is_live and one.notice_differs_since is not None,
            Notable.LOG_CHANGED: one.log_differs_since is not None,
            Notable.NEW_RECIPIENT: bool(new),
            Notable.ERASURE_OVERDUE: one.state is ConsentState.OVERDUE,
        }
        found += [
            ConsentReminder(
                notable=notable,
                grant_id=one.grant_id,
                receiver=one.name,
                recipients=new if notable is Notable.NEW_RECIPIENT else (),
            )
            for notable, is_so in notables.items()
            if is_so
        ]
    return tuple(found)


def _is_unused(one: Consent, now: datetime) -> bool:
    if one.state is not ConsentState.ACTIVE or one.granted_at is None or one.usage is None:
        return False
    # What the custodian said long ago says nothing about the time since.
    since = one.usage.last_read_at or one.granted_at
    return one.usage.at - since >= UNUSED_AFTER and now - since >= UNUSED_AFTER


def _new_recipients(one: Consent, waiting: Sequence[Waiting]) -> tuple[RecipientParty, ...]:
    if not one.state.is_live:
        return ()
    asked = (party for each in waiting if each.party == one.party for party in each.recipients)
    return tuple(party for party in dict.fromkeys(asked) if party not in one.recipients)
