"""Reminders of points that expire: on the right day, once, and never after the fact."""

from itertools import pairwise

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty import Points
from counterfoil_loyalty.expiry_calendar import Expiring, due_reminders, expires_on
from hypothesis import given
from hypothesis import strategies as st

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW

END = NOW + 365 * DAY
EXPIRING = Expiring(Points(AUDIO, 500), END)


def test_points_without_a_window_never_expire_nor_do_none() -> None:
    assert expires_on(Points(AUDIO, 500), NOW, 0) is None
    assert expires_on(Points(AUDIO, 0), NOW, 365 * DAY) is None
    assert expires_on(Points(AUDIO, 500), NOW, 365 * DAY) == EXPIRING
    with pytest.raises(Misuse):
        expires_on(Points(AUDIO, 500), NOW, -1)


@pytest.mark.parametrize("days", [30, 7, 1])
def test_a_reminder_falls_due_to_the_second(days: int) -> None:
    due = END - days * DAY

    assert due_reminders([EXPIRING], since=due - 60, until=due - 1) == []
    (reminder,) = due_reminders([EXPIRING], since=due - 1, until=due)
    assert (reminder.expiring, reminder.days_ahead) == (EXPIRING, days)
    assert due_reminders([EXPIRING], since=due, until=due + 60) == []


def test_after_a_long_silence_the_most_urgent_reminder_comes_alone() -> None:
    (reminder,) = due_reminders([EXPIRING], since=NOW, until=END - 1)

    assert reminder.days_ahead == 1
    assert due_reminders([EXPIRING], since=NOW, until=END) == []


def test_the_nearest_expiry_comes_first() -> None:
    later = Expiring(Points(BICYCLE, 5), END + DAY)

    due = due_reminders([later, EXPIRING], since=END - 31 * DAY, until=END - 29 * DAY)

    assert [reminder.expiring for reminder in due] == [EXPIRING, later]


@given(st.lists(st.integers(NOW, END - 1), max_size=8))
def test_however_often_it_is_asked_no_reminder_comes_twice(asked: list[int]) -> None:
    times = [NOW - 1, *sorted(asked), END - 1]
    given_days = [
        reminder.days_ahead
        for since, until in pairwise(times)
        for reminder in due_reminders([EXPIRING], since=since, until=until)
    ]

    assert given_days == sorted(set(given_days), reverse=True)
    assert given_days[-1] == 1
