"""Rounds: each at its own pace, ever later after failures, and told once; and what runs out."""

import random
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from counterfoil_credentials.errors import CounterfoilError, Malformed, Unavailable
from counterfoil_verifier.trust import Ending
from counterfoil_verifier.upkeep import (
    LONGEST_S,
    SOON,
    Notice,
    Round,
    notices_of_ends,
    notices_of_rounds,
)

from tests.verifier.scene import NOON, SECOND


class Work:
    """Something that may fail, a clock that tests move, and what was told."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.trouble: Exception | None = None
        self.done: list[float] = []
        self.told: list[tuple[str, str]] = []

    def __call__(self) -> None:
        self.done.append(self.at_s)
        if self.trouble is not None:
            raise self.trouble

    def round(self, every_s: float, *, is_patient: bool = True) -> Round:
        return Round(
            "results",
            self,
            every_s,
            is_patient=is_patient,
            failed=lambda name, error: self.told.append((name, error)),
            monotonic=lambda: self.at_s,
        )

    def until(self, end_s: float, each: Round) -> list[float]:
        """Look every second; give when it was really done."""
        self.done = []
        while self.at_s < end_s:
            each.run()
            self.at_s += 1
        return self.done


@pytest.fixture
def work() -> Work:
    return Work()


def test_a_round_is_done_at_once_and_then_at_its_pace(work: Work) -> None:
    assert work.until(100, work.round(30)) == [0, 30, 60, 90]


def test_after_failures_it_waits_ever_longer_and_never_for_ever(work: Work) -> None:
    each = work.round(30)
    work.trouble = Unavailable("expected the service, found nobody")

    done = work.until(4_000, each)

    waits = [later - earlier for earlier, later in pairwise(done)]
    assert waits[:5] == [60, 120, 240, 480, 600]
    assert {*waits[4:]} == {LONGEST_S}
    assert work.told == [("results", "Unavailable")], "the same trouble is told once"
    assert each.failure == "expected the service, found nobody"

    work.trouble = None
    done = work.until(work.at_s + 700, each)
    assert each.failure is None
    assert done[1] - done[0] == 30


def test_what_is_done_seldom_is_not_done_more_often_for_failing(work: Work) -> None:
    work.trouble = OSError(28, "no space")

    assert work.until(10_000, work.round(3_600)) == [0, 3_600, 7_200]
    assert work.told == [("results", "OSError")]


def test_what_asks_nobody_is_tried_at_its_pace(work: Work) -> None:
    work.trouble = Malformed("a preset", "another text", "presets/a.json")

    assert len(work.until(100, work.round(2, is_patient=False))) == 50
    assert len(work.told) == 1


def test_new_trouble_is_told_again(work: Work) -> None:
    each = work.round(1, is_patient=False)
    for trouble in (Malformed("a", "b", "c"), Unavailable("d"), Unavailable("d"), None):
        work.trouble = trouble
        work.until(work.at_s + 1, each)
    assert [error for _, error in work.told] == ["Malformed", "Unavailable"]


def test_a_defect_of_ours_is_not_taken_for_a_silent_network(work: Work) -> None:
    work.trouble = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        work.round(1).run()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_fails_when_the_next_attempt_comes_within_the_longest_wait(seed: int) -> None:
    chance, work = random.Random(seed), Work()
    each, attempts = work.round(chance.choice([1, 7, 30])), 0
    for _ in range(200):
        work.trouble = chance.choice([None, Unavailable("x")])
        before = len(work.done)
        work.at_s += LONGEST_S
        each.run()
        attempts += len(work.done) - before
    assert attempts == 200


def test_what_runs_out_is_told_thirty_days_before() -> None:
    ends = [Ending("a key", NOON + SOON), Ending("an anchor", NOON + SOON - SECOND)]
    over = Ending("a list", NOON)

    assert notices_of_ends([*ends, over], NOON) == [
        Notice("runs-out", "an anchor", NOON + SOON - SECOND),
        Notice("has-run-out", "a list", NOON),
    ]
    assert notices_of_ends(ends, NOON, soon=timedelta(days=2)) == []


def test_only_what_failed_the_last_time_is_told(work: Work) -> None:
    def failing(error: CounterfoilError) -> Callable[[], None]:
        def act() -> None:
            raise error

        return act

    good, bad = work.round(1), Round("flags", failing(Unavailable("expected a feed")), 1)
    for each in (good, bad):
        each.run()

    assert notices_of_rounds([good, bad]) == [Notice("not-done", "flags: expected a feed")]
