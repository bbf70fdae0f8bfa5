"""When to remind the customer that a card ends: 30, 7 and 1 days before, to the minute.

A day is a day of the calendar in the app's zone: what ends at 18:00 is reminded of at
18:00, also across a change of the clocks. Nothing is kept here, and no timer runs: an
app hands the coming ones to its system's notifications, and shows the one that is due.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from counterfoil_wallet.held import CredentialId, HeldCredential

DAYS_BEFORE: Final = (30, 7, 1)
_END_OF_CALENDAR: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """`credential_id` ends at `ends_at`; to be told at `remind_at`, `days` days before.

    Both times are in the app's zone. `is_due` says that `remind_at` has come.
    """

    credential_id: CredentialId
    vct: str
    issuer: str
    days: int
    remind_at: datetime
    ends_at: datetime
    is_due: bool


def reminders_of(
    held: Iterable[HeldCredential], *, now: datetime, zone: tzinfo
) -> tuple[Reminder, ...]:
    """Give the reminders of what still holds, soonest first.

    Of those that are due, each credential has the last alone: whoever opens the app
    after a month is told once. What has ended has none, nor what ends with the year 9999.
    """
    reminders: list[Reminder] = []
    for credential in held:
        if credential.expires_at is None or credential.expires_at <= now:
            continue
        # One that ends with the calendar never ends: no zone can say when, nor need anybody know.
        if credential.expires_at >= _END_OF_CALENDAR:
            continue
        ends_at = credential.expires_at.astimezone(zone)
        due: Reminder | None = None
        for days in DAYS_BEFORE:
            # Arithmetic on one zone's time is by its calendar, not by hours that have passed.
            remind_at = ends_at - timedelta(days=days)
            reminder = Reminder(
                credential_id=credential.credential_id,
                vct=credential.vct,
                issuer=credential.issuer,
                days=days,
                remind_at=remind_at,
                ends_at=ends_at,
                is_due=remind_at.astimezone(UTC) <= now,
            )
            if reminder.is_due:
                due = reminder
            else:
                reminders.append(reminder)
        if due is not None:
            reminders.append(due)
    return tuple(sorted(reminders, key=lambda reminder: reminder.remind_at.astimezone(UTC)))
