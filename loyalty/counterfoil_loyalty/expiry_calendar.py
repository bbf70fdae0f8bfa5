"""When points expire, and on which days a customer is reminded.

    used_at = last_used_at(history)                      # of the account with one brand
    expiring = expires_on(points, used_at, window_s)
    due_reminders([expiring], since=yesterday, until=now)

Points expire by inactivity alone, and only under a rule that was public before they were
earned: `window_s` seconds after the holder last earned, exchanged or redeemed. Without a
window they never do. Points that came from another customer alone expire no sooner than a
whole window after somebody asked for it on the chain (`InactivityBegan`).

Reminders come 30, 7 and 1 days ahead, each once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.points import Points

REMINDED_DAYS_AHEAD: Final = (30, 7, 1)
_DAY_S: Final = 86_400


class Moved(Protocol):
    """A movement of the index (`store.Movement`) or of a customer's history (`client.Entry`)."""

    @property
    def kind(self) -> str: ...

    @property
    def at(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Expiring:
    """Points that expire at `at` (unix seconds) when the customer does nothing."""

    points: Points
    at: int


@dataclass(frozen=True, slots=True)
class Reminder:
    """What to say: these points expire in `days_ahead` days or fewer."""

    expiring: Expiring
    days_ahead: int


def last_used_at(history: Iterable[Moved]) -> int | None:
    """Give when the holder last earned, exchanged or redeemed; None when never since an expiry.

    `history` is that of one account with one brand, oldest first.
    """
    used_at: int | None = None
    for movement in history:
        if movement.kind == "expired":
            used_at = None
        elif movement.kind not in ("transferred", "traded", "moved"):
            used_at = movement.at
    return used_at


def expires_on(points: Points, used_at: int, window_s: int) -> Expiring | None:
    """Give when `points` expire; None when there are none, or they never do (`window_s` zero)."""
    if window_s < 0:
        raise Misuse(f"expected a window of zero seconds or more, found {window_s}")
    if not window_s or not points.units:
        return None
    return Expiring(points, used_at + window_s)


def due_reminders(calendar: Iterable[Expiring], *, since: int, until: int) -> list[Reminder]:
    """Give what fell due after `since` and up to `until`, the nearest expiry first.

    Called with the last call's `until` as `since`, it gives each reminder once. After a
    long silence only the most urgent one of each is given, and none for what has expired.
    """
    if since > until:
        raise Misuse("expected an end not before the beginning, found one")
    due: list[Reminder] = []
    for expiring in calendar:
        passed = [
            days for days in REMINDED_DAYS_AHEAD if since < expiring.at - days * _DAY_S <= until
        ]
        if passed and until < expiring.at:
            due.append(Reminder(expiring, min(passed)))
    return sorted(due, key=lambda reminder: (reminder.expiring.at, reminder.expiring.points.brand))
