"""The rows of the product that the exchange fulfils: F4, F5, F7 and F13, on contracts and twin."""

from dataclasses import replace

import pytest
from counterfoil_loyalty.actions import EnactPrice, EnactTerms, RedeemPoints
from counterfoil_loyalty.intents import Redemption, sign_by_customer
from counterfoil_loyalty.rates import PERIOD_S, Rate

from tests.loyalty import test_peer_swap
from tests.loyalty.street import CUSTOMER, FOR_EVER, NAMES, WIDE, FiveBrands
from tests.loyalty.test_exchange_rules import AUDIO, EGG, code, five
from tests.loyalty.test_peer_swap import held, signed, trade_in

__all__ = ["five"]

traders = pytest.fixture(params=["memory", "contracts"], name="traders")(
    test_peer_swap.five_brands_of
)


def test_row_F4_two_customers_trade_through_a_contract_whole_or_not_at_all(  # noqa: N802
    traders: FiveBrands,
) -> None:
    too_much = replace(trade_in(traders), amount_taken=101)
    assert code(traders, signed(traders, too_much)) == "insufficient-points"
    assert held(traders) == [100, 0, 100, 0]
    assert code(traders, signed(traders, trade_in(traders))) is None
    assert held(traders) == [60, 40, 10, 90]


def test_row_F5_an_exchange_gives_the_minimum_or_more_before_its_end_or_nothing(  # noqa: N802
    five: FiveBrands,
) -> None:
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1, least_out=151)) == "below-minimum"
    late = five.swap(AUDIO, EGG, 100, 1, 2, deadline=five.now)
    assert code(five, late) == "intent-expired"
    assert (five.held(AUDIO), five.held(EGG)) == (10_000, 0)
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 3, least_out=150)) is None
    assert (five.held(AUDIO), five.held(EGG)) == (9_900, 150)


def test_row_F7_the_rate_is_bounded_in_a_period_the_reserve_is_shown_and_a_breach_stops_it(  # noqa: N802
    five: FiveBrands,
) -> None:
    # In one period a price moves by a fifth and a rate falls by a fifth, in the open.
    assert code(five, five.price(AUDIO, 79, 1)) == "price-too-far"
    assert code(five, five.terms(AUDIO, EGG, Rate(119, 100), 2)) == "rate-too-far"
    assert code(five, five.price(AUDIO, 120, 1)) is None
    assert code(five, EnactPrice(five.tokens[AUDIO], 1)) == "too-soon"
    lower = five.terms(AUDIO, EGG, Rate(12, 10), 2, prices=(120, 64))
    assert code(five, lower) is None
    assert code(five, EnactTerms(lower.terms)) == "too-soon"
    five.now += PERIOD_S
    assert code(five, EnactPrice(five.tokens[AUDIO], 1)) is None
    assert code(five, EnactTerms(lower.terms)) is None
    # What stands behind the exchange is shown; at its end the exchange stops.
    five.act(five.tighten(AUDIO, EGG, EGG, sequence=0, credit=120 * 64))
    assert code(five, five.swap(AUDIO, EGG, 100, 2, 1)) is None
    cover = five.ledger.cover(five.tokens[AUDIO], five.tokens[EGG])
    assert (cover.owed, cover.credit, cover.reserve) == (120 * 64, 120 * 64, 0)
    assert code(five, five.swap(AUDIO, EGG, 10, 2, 2)) == "credit-exceeded"


def test_row_F13_a_partner_agrees_with_limits_settles_and_leaves_with_notice(  # noqa: N802
    five: FiveBrands,
) -> None:
    assert code(five, five.swap(AUDIO, EGG, 600, 1, 1)) is None
    assert code(five, five.paid(AUDIO, EGG, five.owed(AUDIO, EGG), 1)) is None
    assert five.owed(AUDIO, EGG) == 0
    ends_at = five.now + WIDE.notice_s + 10
    assert code(five, five.tighten(AUDIO, EGG, EGG, sequence=0, ends_at=ends_at)) is None
    five.now = ends_at - 5
    assert code(five, five.swap(AUDIO, EGG, 600, 1, 2)) is None
    five.now = ends_at
    assert code(five, five.swap(AUDIO, EGG, 600, 1, 3)) == "no-corridor"
    # The corridor is gone; the points are redeemed as ever.
    redemption = Redemption(
        token=five.tokens[EGG],
        holder=five.account(EGG),
        amount=five.held(EGG),
        redemption_id=b"r" * 32,
        deadline=FOR_EVER,
    )
    signature = sign_by_customer(redemption, five.venue, CUSTOMER.of(NAMES[EGG]))
    assert code(five, RedeemPoints(redemption, signature)) is None
    assert five.held(EGG) == 0
