"""When a card's end is told: by the calendar of the app's zone."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_wallet import HeldCredential, MemoryStore, Reminder, Wallet
from counterfoil_wallet.reminders import reminders_of

from tests.conftest import Clock
from tests.wallet.strangers import StrangeIssuer

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass
class Card:
    """As much of a held credential as has an end."""

    expires_at: datetime | None
    credential_id: str = "one"
    vct: str = "warranty"
    issuer: str = "https://brand.example"


def reminders(ends_at: datetime | None, now: datetime, zone: ZoneInfo) -> list[Reminder]:
    return list(reminders_of([cast("HeldCredential", Card(ends_at))], now=now, zone=zone))


def test_reminds_thirty_seven_and_one_days_before() -> None:
    ends_at = datetime(2026, 12, 31, 17, 30, tzinfo=UTC)

    found = reminders(ends_at, datetime(2026, 11, 2, 12, tzinfo=UTC), SHANGHAI)

    assert [one.days for one in found] == [30, 7, 1]
    assert [one.remind_at.isoformat() for one in found] == [
        "2026-12-02T01:30:00+08:00",
        "2026-12-25T01:30:00+08:00",
        "2026-12-31T01:30:00+08:00",
    ]
    assert {one.ends_at.isoformat() for one in found} == {"2027-01-01T01:30:00+08:00"}
    assert not any(one.is_due for one in found)


def test_the_time_of_day_stays_across_a_change_of_the_clocks() -> None:
    # The clocks of Berlin went back on 25 October 2026.
    ends_at = datetime(2026, 10, 31, 18, 0, tzinfo=BERLIN)

    found = reminders(ends_at, datetime(2026, 9, 1, tzinfo=UTC), BERLIN)

    assert [f"{one.remind_at:%d.%m. %H:%M %Z}" for one in found] == [
        "01.10. 18:00 CEST",
        "24.10. 18:00 CEST",
        "30.10. 18:00 CET",
    ]


@pytest.mark.parametrize(
    ("before", "due", "coming"),
    [
        (timedelta(days=30, seconds=1), [], [30, 7, 1]),
        (timedelta(days=30), [30], [7, 1]),
        (timedelta(days=7, seconds=1), [30], [7, 1]),
        (timedelta(days=7), [7], [1]),
        (timedelta(days=1), [1], []),
        (timedelta(seconds=1), [1], []),
        (timedelta(0), [], []),
        (timedelta(seconds=-1), [], []),
    ],
)
def test_what_is_due_is_told_once_and_what_is_over_no_more(
    before: timedelta, due: list[int], coming: list[int]
) -> None:
    ends_at = datetime(2026, 12, 31, 17, 30, tzinfo=UTC)

    found = reminders(ends_at, ends_at - before, SHANGHAI)

    assert [one.days for one in found if one.is_due] == due
    assert [one.days for one in found if not one.is_due] == coming


def test_what_does_not_end_is_not_reminded_of() -> None:
    assert reminders(None, datetime(2026, 11, 2, tzinfo=UTC), BERLIN) == []


@pytest.mark.parametrize("hours", [14, 0, -12])
@pytest.mark.parametrize("back", [timedelta(0), timedelta(hours=13), timedelta(days=1)])
def test_a_card_that_never_ends_is_not_reminded_of_and_hides_no_other(
    hours: int, back: timedelta
) -> None:
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - back
    now = datetime(2026, 11, 2, tzinfo=UTC)
    held = [cast("HeldCredential", Card(end)) for end in (never, now + timedelta(days=40))]
    zone = timezone(timedelta(hours=hours))

    found = reminders_of(held, now=now, zone=zone)

    assert [one.ends_at for one in found] == [now + timedelta(days=40)] * 3


def test_a_wallet_reminds_of_what_it_holds(clock: Clock) -> None:
    network = MemoryFetcher()
    issuer = StrangeIssuer(network, clock, lambda n: n * b"1", expires_in=timedelta(days=5))
    wallet = Wallet(MemoryStore(), fetcher=network, clock=clock)
    held = wallet.accept(issuer.link).credentials[0]

    due, coming = wallet.reminders(BERLIN)

    assert (due.days, due.is_due, due.credential_id) == (7, True, held.credential_id)
    assert (coming.days, coming.is_due) == (1, False)
    assert coming.remind_at == clock.now + timedelta(days=4)
