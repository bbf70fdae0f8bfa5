"""A refund guarantee at the points service: one end, by the judge's word or by the clock."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_loyalty import Points, PointsSigner
from counterfoil_loyalty.actions import customer_of
from counterfoil_loyalty.guarantee import Guarantee, OpenGuarantee
from counterfoil_loyalty.guarantee_client import (
    give_back,
    guarantee_from,
    keep,
    promise,
    set_aside,
    state_of,
    to_json,
)
from counterfoil_loyalty.guarantee_desk import GuaranteeState
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.memory_ledger import MemoryLedger

from tests.loyalty.programme import AUDIO, DAY, NOW, SECRET, Clock, seeded
from tests.loyalty.test_service import Street, street_on

pytestmark = pytest.mark.once

SHOP = PointsSigner(b"\x05" * 32)
JUDGE = PointsSigner(b"\x06" * 32)


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    for street in street_on(MemoryLedger(now=NOW, random=seeded("guarantees")), clock):
        yield funded(street)


@pytest.fixture
def on_either(ledger: EmbeddedLedger, clock: Clock) -> Iterator[Street]:
    """Give the same on each kind of ledger."""
    for street in street_on(ledger, clock):
        yield funded(street)


def funded(street: Street) -> Street:
    points = Points(AUDIO, 1_000)
    street.client.award(street.audio, points, SHOP.account, order="shop", secret=SECRET)
    return street


def promised(street: Street, units: int = 300) -> Guarantee:
    return promise(
        street.client,
        Points(AUDIO, units),
        to=street.accounts.of(AUDIO).account,
        by=SHOP.account,
        judge=JUDGE.account,
        salt=b"g" * 32,
        funded_before=street.now + timedelta(hours=1),
        until=street.now + timedelta(days=2),
    )


def shop_holds(street: Street) -> int:
    rows = street.http.get(f"/accounts/{SHOP.account}/balances").json()["balances"]
    return int(rows[0]["units"])


def test_after_the_deadline_anybody_gives_the_customer_the_points_once(on_either: Street) -> None:
    street, it = on_either, promised(on_either)
    assert state_of(street.client, it) is GuaranteeState.UNKNOWN
    name = set_aside(street.client, it, SHOP)
    assert set_aside(street.client, it, SHOP) == name
    assert (shop_holds(street), street.held()[0]) == (700, 0)
    assert state_of(street.client, it) is GuaranteeState.OPEN
    with pytest.raises(Refused) as early:
        give_back(street.client, it)
    assert early.value.codes == ["signature-invalid"]

    street.clock.now += 3 * DAY
    street.award(1, order="a block of that day")
    first = give_back(street.client, it)

    assert give_back(street.client, it) == first
    assert (shop_holds(street), street.held()[0]) == (700, 301)
    assert state_of(street.client, it) is GuaranteeState.REFUNDED


def test_what_was_kept_goes_back_to_the_shop_and_can_not_be_refunded(on_either: Street) -> None:
    street, it = on_either, promised(on_either)
    set_aside(street.client, it, SHOP)

    keep(street.client, it, JUDGE)

    assert (shop_holds(street), street.held()[0]) == (1_000, 0)
    assert state_of(street.client, it) is GuaranteeState.KEPT
    with pytest.raises(Refused) as refusal:
        give_back(street.client, it, JUDGE)
    assert refusal.value.codes == ["guarantee-not-open"]


def test_the_judge_gives_back_before_the_deadline_and_nobody_else_does(street: Street) -> None:
    it = promised(street)
    set_aside(street.client, it, SHOP)

    for verb in (keep, give_back):
        with pytest.raises(Refused) as refusal:
            verb(street.client, it, SHOP)
        assert refusal.value.codes == ["signature-invalid"]
    give_back(street.client, it, JUDGE)

    assert (shop_holds(street), street.held()[0]) == (700, 300)


def test_nobody_else_sets_a_shops_points_aside(street: Street) -> None:
    with pytest.raises(Refused) as refusal:
        set_aside(street.client, promised(street), JUDGE)

    assert refusal.value.codes == ["signature-invalid"]
    assert shop_holds(street) == 1_000


@pytest.mark.parametrize(("name", "value"), [("amount", 0), ("salt", "00"), ("statement", "0")])
def test_an_odd_body_is_answered_by_name(street: Street, name: str, value: object) -> None:
    body = {**to_json(street.client, promised(street)), name: value}

    answer = street.http.post("/guarantees/refunds", json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert name in answer.json()["error_description"]


def test_a_promise_that_was_kept_as_json_is_the_same_promise(street: Street) -> None:
    it = promised(street)

    assert guarantee_from(street.client, to_json(street.client, it)) == it
    with pytest.raises(Malformed, match="salt"):
        guarantee_from(street.client, {**to_json(street.client, it), "salt": "zz"})
    other = replace(it, amount=301)
    set_aside(street.client, it, SHOP)
    assert state_of(street.client, other) is GuaranteeState.UNKNOWN


def test_a_guarantee_counts_among_its_funders_wishes(street: Street) -> None:
    assert customer_of(OpenGuarantee(promised(street), b"")) == SHOP.account
