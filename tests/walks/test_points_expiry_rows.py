"""What the product's row F6 promises: nobody is surprised by points that expire."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from counterfoil_loyalty import Points
from counterfoil_loyalty.actions import ExpirePoints, GovernPoints
from counterfoil_loyalty.chain import embedded_ledger
from counterfoil_loyalty.expiry_calendar import due_reminders, expires_on, last_used_at
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.issuing import Policy
from counterfoil_loyalty.ledger import Event
from counterfoil_loyalty.store import Movement

from tests.loyalty.programme import AUDIO, DAY, NOW, Clock, Programme, programme_on, seeded

YEAR = 365 * DAY


@pytest.fixture
def programme(tmp_path: Path) -> Iterator[Programme]:
    clock = Clock()
    where = tmp_path / "chain.sqlite3"
    with closing(embedded_ledger(where, now=NOW, random=seeded("chain"))) as chain:
        yield programme_on(chain, clock).open()


def events(programme: Programme, name: str) -> list[Event]:
    head = programme.ledger.head()
    blocks = [programme.ledger.block(number) for number in range(head + 1)]
    return [event for block in blocks for event in block.events if event.name == name]


def history(programme: Programme) -> list[Movement]:
    account = programme.customer.of(AUDIO).account
    head = programme.ledger.head()
    blocks = [programme.ledger.block(number) for number in range(head + 1)]
    found = [movement for block in blocks for movement in project(block).movements]
    return [it for it in found if (it.account, it.token) == (account, programme.tokens[AUDIO])]


def expire(programme: Programme, attempt: int) -> ExpirePoints:
    return ExpirePoints(programme.tokens[AUDIO], programme.customer.of(AUDIO).account, attempt)


def test_row_F6_the_rule_is_there_before_earning_reminders_come_and_the_chain_proves_expiry(  # noqa: N802
    programme: Programme,
) -> None:
    policy = Policy(
        token=programme.tokens[AUDIO],
        admin=programme.audio.account,
        issuer=programme.audio.account,
        version=1,
        inactivity_s=YEAR,
    )
    signature = sign_by_brand(policy, programme.venue, programme.audio)
    assert programme.perform(GovernPoints(policy, signature)).reason is None
    # Before a point is earned, everybody reads on the chain how long it lasts.
    window_s = int(events(programme, "Governed")[-1].values["inactivity"])
    assert (window_s, events(programme, "Awarded")) == (YEAR, [])

    assert programme.perform(programme.award(1_000)).reason is None
    used_at = last_used_at(history(programme))
    assert used_at is not None
    expiring = expires_on(Points(AUDIO, programme.balance()), used_at, window_s)
    assert expiring is not None
    reminded: list[tuple[int, int]] = []
    asked = used_at
    while asked < expiring.at:
        due = due_reminders([expiring], since=asked, until=asked + DAY)
        reminded += [((expiring.at - asked) // DAY - 1, it.days_ahead) for it in due]
        asked += DAY
    programme.clock.now = expiring.at - 2
    refusal = programme.perform(expire(programme, 0)).reason
    assert refusal is not None
    assert refusal.code == "still-active"
    assert programme.perform(expire(programme, 1)).reason is None

    assert reminded == [(30, 30), (7, 7), (1, 1)]
    assert programme.balance() == 0
    (proof,) = events(programme, "Expired")
    assert proof.values == {"holder": programme.customer.of(AUDIO).account, "amount": 1_000}
    assert history(programme)[-1].kind == "expired"
    assert programme.clock.now == expiring.at


def test_without_a_rule_points_never_expire(programme: Programme) -> None:
    assert programme.perform(programme.award(1_000)).reason is None
    programme.clock.now += 50 * YEAR

    refusal = programme.perform(expire(programme, 0)).reason

    assert refusal is not None
    assert refusal.code == "no-expiry"
    used_at = last_used_at(history(programme))
    assert used_at is not None
    assert expires_on(Points(AUDIO, programme.balance()), used_at, 0) is None


def test_points_that_came_from_somebody_else_use_nothing() -> None:
    earned = Movement(1, 0, NOW, "t1", AUDIO, AUDIO, 5, "awarded", "r")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # short names
    moved = replace(earned, at=NOW + DAY, kind="transferred")
    gone = replace(earned, at=NOW + 2 * DAY, kind="expired")

    assert last_used_at([moved]) is None
    assert last_used_at([earned, replace(moved, kind="traded")]) == NOW
    assert last_used_at([moved, earned, moved]) == NOW
    assert last_used_at([earned, gone]) is None
