"""The alarm for a brand that mints itself rich: at every store, in every answer."""

from collections.abc import Iterator

import pytest
from counterfoil_loyalty import Points
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.rates import PERIOD_S
from counterfoil_loyalty.store import PointsStore
from counterfoil_loyalty.supply_growth import Growth, alarming

from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, Programme, programme_on, seeded
from tests.loyalty.test_reorg import Unsettled, opened, store, turn
from tests.loyalty.test_service import Street, street_on

__all__ = ["store"]


@pytest.mark.parametrize(
    ("before", "now", "is_alarming"),
    [(100, 120, False), (100, 121, True), (0, 1, True), (0, 0, False), (100, 50, False)],
)
def test_more_than_a_fifth_in_a_week_alarms(before: int, now: int, *, is_alarming: bool) -> None:
    assert Growth(AUDIO, before, now).is_alarming is is_alarming


def test_the_fastest_is_named_first() -> None:
    slow, fast, calm = Growth("a", 100, 130), Growth("b", 10, 10_000), Growth("c", 100, 101)

    assert alarming([slow, calm, fast]) == [fast, slow]


@pytest.fixture
def programme(clock: Clock) -> Programme:
    return programme_on(Unsettled(now=NOW, random=seeded("growth")), clock)


def test_every_store_tells_what_came_since(programme: Programme, store: PointsStore) -> None:
    relayer = opened(programme, store)
    token = programme.tokens[AUDIO]
    before = store.supplies()[token]
    since = programme.clock.now
    assert store.grown_since(since) == {}
    relayer.accept(programme.award(700, "late"))
    turn(relayer, programme)
    relayer.accept(programme.redemption(300))
    turn(relayer, programme)

    assert store.grown_since(since) == {token: 400}
    assert store.grown_since(since + 1) == {token: -300}
    assert store.grown_since(0) == {token: before + 400}
    assert store.grown_since(programme.clock.now) == {}


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    yield from street_on(MemoryLedger(now=NOW, random=seeded("growing")), clock)


def test_a_brand_that_mints_itself_rich_is_seen_by_whoever_asks(street: Street) -> None:
    street.award(10_000, order="1")
    street.clock.advance(PERIOD_S + 60)
    street.award(1_500, order="2")
    assert not alarming(street.client.supply().growths)

    street.award(1_000_000, order="3")

    (found,) = alarming(street.client.supply().growths)
    assert found == Growth(AUDIO, 10_000, 1_011_500)
    # What it mints it may exchange as far as it was trusted; what comes of that is in the other's.
    street.client.exchange(
        street.client.quote(Points(AUDIO, 2_000), BICYCLE), street.accounts, b"x" * 32
    )
    assert [it.brand for it in alarming(street.client.supply().growths)] == [AUDIO, BICYCLE]
    street.clock.advance(PERIOD_S + 60)
    assert not alarming(street.client.supply().growths)
