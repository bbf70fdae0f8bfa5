"""An answer read off a screen: each question its own, none for longer than a minute."""

import random
from datetime import datetime

import pytest
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.qr_frames import frames
from counterfoil_verifier import SessionId
from counterfoil_verifier.form_fields import fields_of
from counterfoil_verifier.held_in_memory import FACTS_HELD_FOR
from counterfoil_verifier.scanning import Scans

from tests.verifier.scene import SECOND

ONE, OTHER = SessionId("one"), SessionId("other")


def message(seed: str) -> str:
    return random.Random(seed).randbytes(3_000).hex()


ANSWER = message("answer")
CODES = frames(ANSWER)


def test_codes_of_two_customers_never_meet(now: datetime) -> None:
    scans = Scans()
    theirs = frames(message("theirs"))

    for mine, other in zip(CODES[:-1], theirs[:-1], strict=True):
        scans.add(ONE, mine, now)
        scans.add(OTHER, other, now)

    assert scans.add(ONE, CODES[-1], now) == ANSWER
    assert scans.add(OTHER, theirs[-1], now) == message("theirs")


def test_a_code_of_another_message_begins_anew(now: datetime) -> None:
    scans = Scans()
    scans.add(ONE, frames(message("former"))[0], now)

    *_, last = [scans.add(ONE, code, now) for code in CODES]

    assert last == ANSWER


def test_a_code_that_contradicts_another_does_not_stand_in_the_way(now: datetime) -> None:
    """Who holds a forged code before the camera once must not stop the customer behind him."""
    scans = Scans()
    head, _, part = CODES[0].rpartition(":")
    scans.add(ONE, f"{head}:{'A' * len(part)}", now)

    *_, last = [scans.add(ONE, code, now) for code in CODES]

    assert last == ANSWER


@pytest.mark.parametrize("late_by", [-1, 0])
def test_what_was_read_of_an_answer_is_gone_a_minute_after_the_last_code(
    now: datetime, late_by: int
) -> None:
    scans = Scans()
    at = now + FACTS_HELD_FOR + late_by * SECOND
    *first, last = CODES
    for code in first:
        scans.add(ONE, code, now)

    scans.drop_old(at)

    assert (scans.add(ONE, last, at) == ANSWER) is (late_by < 0)


def test_nothing_is_held_longer_because_nobody_tidied(now: datetime) -> None:
    scans = Scans()
    *first, last = CODES
    for code in first:
        scans.add(ONE, code, now)

    assert scans.add(ONE, last, now + FACTS_HELD_FOR) == (1, len(CODES))


def test_the_question_that_was_scanned_for_longest_ago_is_forgotten_first(now: datetime) -> None:
    scans = Scans()
    for name in ("first", "second"):
        scans.add(SessionId(name), CODES[0], now)
    scans.add(SessionId("first"), CODES[1], now)
    for n in range(199):
        scans.add(SessionId(f"{n}"), CODES[0], now)

    assert scans.add(SessionId("first"), CODES[2], now) == (3, len(CODES))
    assert scans.add(SessionId("second"), CODES[1], now) == (1, len(CODES))


def test_an_answer_is_a_form_with_each_field_once() -> None:
    assert fields_of("vp_token=%7B%7D&state=x", "codes") == {"vp_token": "{}", "state": "x"}
    assert fields_of("response=", "codes") == {"response": ""}
    for wrong in ("4006381333931", "a=1&a=2", "&".join(f"{n}=" for n in range(21)), "a=%ff"):
        with pytest.raises(Malformed):
            fields_of(wrong, "codes")
