"""The rules of prices and corridors, on the contracts and on their twin: one module, both kinds."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.actions import (
    Action,
    AwardPoints,
    EnactPrice,
    EnactTerms,
    NetClaims,
    SwapPoints,
)
from counterfoil_loyalty.intents import sign_by_brand, sign_by_customer
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.rates import PERIOD_S, Limits, Rate

from tests.loyalty.evm import acting, fast_ledger
from tests.loyalty.programme import NOW, seeded
from tests.loyalty.street import CUSTOMER, FOR_EVER, NAMES, SIGNERS, WIDE, FiveBrands

DAY = 86_400
AUDIO, BICYCLE, COAT, DESK, EGG = range(5)


@pytest.fixture(params=["memory", "contracts"])
def five(request: pytest.FixtureRequest) -> Iterator[FiveBrands]:
    """Give five brands, and a corridor from audio (100) to egg (64): 3 for 2, fair is 25 for 16."""
    memory = request.param == "memory"
    ledger = acting(MemoryLedger(now=NOW, random=seeded("m"))) if memory else fast_ledger()
    brands = FiveBrands(ledger).open()
    assert brands.act(brands.terms(AUDIO, EGG, Rate(3, 2), 1)) is None
    assert brands.act(brands.award(AUDIO, 10_000, 1)) is None
    yield brands
    ledger.close()


def code(five: FiveBrands, action: Action) -> str | None:
    reason = five.act(action)
    return None if reason is None else reason.code


def test_a_lower_price_holds_at_once_and_says_what_it_does_to_the_liability(
    five: FiveBrands,
) -> None:
    assert code(five, five.price(AUDIO, 90, 1)) is None
    (event,) = five.ledger.events
    assert event.name == "PriceSet"
    assert event.values["supply"] == 10_000
    assert event.values["liabilityChange"] == -100_000


def test_a_higher_price_is_announced_and_waits_a_period(five: FiveBrands) -> None:
    assert code(five, five.price(AUDIO, 120, 1)) is None
    assert [event.name for event in five.ledger.events] == ["PriceAnnounced"]
    assert code(five, EnactPrice(five.tokens[AUDIO], 1)) == "too-soon"
    five.now += PERIOD_S - 2
    assert code(five, EnactPrice(five.tokens[AUDIO], 1)) is None
    assert five.ledger.events[-1].values["liabilityChange"] == 200_000
    assert code(five, EnactPrice(five.tokens[AUDIO], 1)) == "nothing-announced"


def test_an_announced_price_is_taken_back_by_naming_the_one_in_force(five: FiveBrands) -> None:
    five.act(five.price(AUDIO, 120, 1))
    assert code(five, five.price(AUDIO, 100, 2)) is None
    five.now += PERIOD_S
    assert code(five, EnactPrice(five.tokens[AUDIO], 1)) == "nothing-announced"


@pytest.mark.parametrize("price", [121, 79, 0, 2**64 - 1])
def test_a_price_moves_by_a_fifth_at_most(five: FiveBrands, price: int) -> None:
    assert code(five, five.price(AUDIO, price, 1)) == "price-too-far"


def test_a_price_moves_once_in_a_period(five: FiveBrands) -> None:
    assert code(five, five.price(AUDIO, 80, 1)) is None
    assert code(five, five.price(AUDIO, 64, 2)) == "too-soon"
    five.now += PERIOD_S
    assert code(five, five.price(AUDIO, 64, 2)) is None


def test_a_price_is_changed_by_its_brand_and_once(five: FiveBrands) -> None:
    lower = five.price(AUDIO, 90, 1)
    forged = replace(lower, signature=sign_by_brand(lower.change, five.venue, SIGNERS[EGG]))
    assert code(five, forged) == "signature-invalid"
    assert code(five, lower) is None
    assert code(five, lower) == "old-terms"


def test_no_swap_makes_value_after_a_price_fell(five: FiveBrands) -> None:
    """25 for 16 is exactly fair; when audio's price falls, the same rate would make value."""
    assert code(five, five.terms(AUDIO, EGG, Rate(25, 16), 2)) is None
    assert code(five, five.price(AUDIO, 99, 1)) is None
    assert code(five, five.swap(AUDIO, EGG, 1_600, 2, 1)) == "value-created"
    assert five.held(AUDIO) == 10_000


def test_terms_name_the_price_in_force(five: FiveBrands) -> None:
    """A price per corridor would let a cycle through two of them end with more."""
    for prices in ((101, 64), (100, 63), (99, 64)):
        back = five.terms(EGG, AUDIO, Rate(1, 2), 1, prices=(prices[1], prices[0]))
        assert code(five, back) == "price-mismatch"


def test_a_better_rate_holds_at_once_and_a_lower_one_waits(five: FiveBrands) -> None:
    assert code(five, five.terms(AUDIO, EGG, Rate(25, 16), 2)) is None
    lower = five.terms(AUDIO, EGG, Rate(4, 3), 3)
    assert code(five, lower) is None
    assert [event.name for event in five.ledger.events] == ["TermsAnnounced"]
    assert code(five, EnactTerms(lower.terms)) == "too-soon"
    assert code(five, five.swap(AUDIO, EGG, 160, 2, 1)) is None
    assert five.held(EGG) == 250
    five.now += PERIOD_S
    other = replace(lower.terms, rate=Rate(5, 3))
    assert code(five, EnactTerms(other)) == "nothing-announced"
    assert code(five, EnactTerms(lower.terms)) is None
    assert code(five, five.swap(AUDIO, EGG, 160, 2, 2)) == "terms-changed"
    assert code(five, five.swap(AUDIO, EGG, 300, 3, 2)) is None
    assert five.held(EGG) == 650


def test_a_rate_falls_by_a_fifth_at_most(five: FiveBrands) -> None:
    assert code(five, five.terms(AUDIO, EGG, Rate(119, 100), 2)) == "rate-too-far"
    assert code(five, five.terms(AUDIO, EGG, Rate(12, 10), 2)) is None


@pytest.mark.parametrize(
    "wider",
    [
        {"quota": WIDE.quota + 1},
        {"customer_quota": WIDE.customer_quota + 1},
        {"credit": WIDE.credit + 1},
        {"epoch_s": WIDE.epoch_s - 1},
        {"epoch_s": WIDE.epoch_s + 1},
        {"notice_s": WIDE.notice_s - 1},
    ],
)
def test_a_wider_limit_waits(five: FiveBrands, wider: dict[str, int]) -> None:
    limits = replace(WIDE, **wider)
    assert code(five, five.terms(AUDIO, EGG, Rate(3, 2), 2, limits=limits)) is None
    assert [event.name for event in five.ledger.events] == ["TermsAnnounced"]


def test_announced_terms_are_not_announced_again(five: FiveBrands) -> None:
    """Otherwise anybody could make them wait for ever by sending them again."""
    lower = five.terms(AUDIO, EGG, Rate(4, 3), 2)
    assert code(five, lower) is None
    assert code(five, lower) == "old-terms"


def test_terms_need_both_signatures(five: FiveBrands) -> None:
    action = five.terms(EGG, AUDIO, Rate(1, 2), 1)
    one = sign_by_brand(action.terms, five.venue, SIGNERS[EGG])
    assert code(five, replace(action, signature_out=one)) == "signature-invalid"
    assert code(five, replace(action, signature_in=action.signature_out)) == "signature-invalid"


def test_one_brand_makes_a_corridor_safer_at_once(five: FiveBrands) -> None:
    for by, number in ((AUDIO, 0), (EGG, 0)):
        quota = 500 - 100 * by
        narrower = five.tighten(AUDIO, EGG, by, sequence=number, quota=quota, credit=10**6)
        assert code(five, narrower) is None
        assert code(five, narrower) == "wrong-sequence"
    event = five.ledger.events
    assert event == [] or event[-1].name == "Tightened"
    assert code(five, five.swap(AUDIO, EGG, 501, 1, 1)) == "quota-exceeded"


def test_a_tightening_never_widens(five: FiveBrands) -> None:
    assert code(five, five.tighten(AUDIO, EGG, AUDIO, sequence=0, quota=100)) is None
    assert code(five, five.tighten(AUDIO, EGG, EGG, sequence=0, quota=10**9)) is None
    assert code(five, five.swap(AUDIO, EGG, 101, 1, 1)) == "quota-exceeded"
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1)) is None


def test_a_tightening_ends_what_was_announced(five: FiveBrands) -> None:
    lower = five.terms(AUDIO, EGG, Rate(4, 3), 2)
    five.act(lower)
    five.act(five.tighten(AUDIO, EGG, AUDIO, sequence=0))
    five.now += PERIOD_S
    assert code(five, EnactTerms(lower.terms)) == "nothing-announced"
    assert code(five, lower) == "old-terms"


def test_a_partner_leaves_with_the_agreed_notice(five: FiveBrands) -> None:
    early = five.tighten(AUDIO, EGG, EGG, sequence=0, ends_at=five.now + WIDE.notice_s)
    assert code(five, early) == "too-soon"
    ends_at = five.now + WIDE.notice_s + 2
    assert code(five, five.tighten(AUDIO, EGG, EGG, sequence=0, ends_at=ends_at)) is None
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1)) is None
    five.now = ends_at - 1
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 2)) == "no-corridor"


def test_a_stranger_tightens_nothing(five: FiveBrands) -> None:
    assert code(five, five.tighten(AUDIO, EGG, COAT, sequence=0)) == "not-a-party"
    forged = five.tighten(AUDIO, EGG, AUDIO, sequence=0)
    signature = sign_by_brand(forged.tightening, five.venue, SIGNERS[COAT])
    assert code(five, replace(forged, signature=signature)) == "signature-invalid"
    assert code(five, five.tighten(EGG, AUDIO, AUDIO, sequence=0)) == "no-corridor"


def test_a_paused_corridor_waits_for_the_brand_that_paused_it(five: FiveBrands) -> None:
    five.act(five.tighten(AUDIO, EGG, EGG, sequence=0, paused=True))
    five.act(five.tighten(AUDIO, EGG, AUDIO, sequence=0, paused=False))
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1)) == "corridor-paused"
    five.act(five.tighten(AUDIO, EGG, EGG, sequence=1, paused=False))
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1)) is None


def test_a_brand_that_pauses_stops_its_own_corridors_only(five: FiveBrands) -> None:
    five.act(five.terms(AUDIO, BICYCLE, Rate(1, 1), 1))
    five.act(five.pause(EGG, paused=True, sequence=0))
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1)) == "corridor-paused"
    assert code(five, five.swap(AUDIO, BICYCLE, 100, 1, 2)) is None
    assert code(five, five.award(EGG, 5, 9)) is None
    five.act(five.pause(EGG, paused=False, sequence=1))
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1)) is None


def test_an_account_has_its_own_quota_in_each_epoch(five: FiveBrands) -> None:
    limits = Limits(quota=1_000, customer_quota=400, epoch_s=3_600, notice_s=0, credit=10**12)
    five.now = NOW - NOW % 3_600 + 3_600
    assert code(five, five.terms(AUDIO, DESK, Rate(1, 100), 1, limits=limits)) is None
    assert code(five, five.swap(AUDIO, DESK, 300, 1, 1)) is None
    assert code(five, five.swap(AUDIO, DESK, 101, 1, 2)) == "customer-quota-exceeded"
    assert code(five, five.swap(AUDIO, DESK, 100, 1, 2)) is None
    five.now += 3_600
    assert code(five, five.swap(AUDIO, DESK, 400, 1, 3)) is None
    assert code(five, five.swap(AUDIO, DESK, 1_001, 1, 4)) == "quota-exceeded"


def test_a_corridor_s_quota_is_that_of_all_accounts_together(five: FiveBrands) -> None:
    limits = Limits(quota=500, customer_quota=400, epoch_s=3_600, notice_s=0, credit=10**12)
    another = CUSTOMER.of(NAMES[COAT])
    award = replace(five.award(AUDIO, 1_000, 2).award, to=another.account)
    given = AwardPoints(award, sign_by_brand(award, five.venue, SIGNERS[AUDIO]))

    def of_another(amount: int, number: int) -> SwapPoints:
        swap = replace(five.swap(AUDIO, DESK, amount, 1, number).swap, holder=another.account)
        return SwapPoints(swap, sign_by_customer(swap, five.venue, another))

    assert code(five, given) is None
    five.now = NOW - NOW % 3_600 + 3_600
    assert code(five, five.terms(AUDIO, DESK, Rate(1, 100), 1, limits=limits)) is None
    assert code(five, five.swap(AUDIO, DESK, 401, 1, 1)) == "customer-quota-exceeded"
    assert code(five, five.swap(AUDIO, DESK, 300, 1, 1)) is None
    assert code(five, of_another(201, 2)) == "quota-exceeded"
    assert code(five, of_another(200, 2)) is None
    assert code(five, five.swap(AUDIO, DESK, 100, 1, 3)) == "quota-exceeded"


def test_a_brand_that_mints_itself_rich_takes_no_more_than_its_credit(five: FiveBrands) -> None:
    limits = replace(WIDE, credit=64 * 1_000)
    five.act(five.terms(AUDIO, EGG, Rate(3, 2), 2, limits=limits))
    five.act(five.award(AUDIO, 10**12, 7))
    assert code(five, five.swap(AUDIO, EGG, 600, 2, 1)) is None  # 900 points at 64
    assert code(five, five.swap(AUDIO, EGG, 68, 2, 2)) == "credit-exceeded"
    assert code(five, five.swap(AUDIO, EGG, 66, 2, 3)) is None
    cover = five.ledger.cover(five.tokens[AUDIO], five.tokens[EGG])
    assert (cover.owed, cover.credit, cover.reserve) == (999 * 64, 64_000, 0)
    five.act(five.paid(AUDIO, EGG, 64 * 500, 1))
    assert code(five, five.swap(AUDIO, EGG, 300, 2, 4)) is None


def test_dust_gives_nothing_and_costs_nothing(five: FiveBrands) -> None:
    five.act(five.terms(AUDIO, DESK, Rate(1, 100), 1))
    assert code(five, five.swap(AUDIO, DESK, 99, 1, 1)) == "nothing-out"
    assert code(five, five.swap(AUDIO, DESK, 0, 1, 1)) == "nothing-out"
    assert five.held(AUDIO) == 10_000
    assert code(five, five.swap(AUDIO, DESK, 199, 1, 1)) is None
    assert (five.held(AUDIO), five.held(DESK)) == (9_801, 1)


def test_an_intent_that_came_too_late_moves_nothing(five: FiveBrands) -> None:
    late = five.swap(AUDIO, EGG, 100, 1, 1, deadline=five.now + 1)
    assert code(five, late) == "intent-expired"
    assert five.held(AUDIO) == 10_000


def test_less_than_the_signed_minimum_is_not_given(five: FiveBrands) -> None:
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1, least_out=151)) == "below-minimum"
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1, least_out=150)) is None


@pytest.mark.parametrize("field", ["chain_id", "exchange"])
def test_an_intent_for_another_chain_or_contract_is_refused(five: FiveBrands, field: str) -> None:
    venue = five.venue
    elsewhere = (
        replace(venue, chain_id=venue.chain_id + 1)
        if field == "chain_id"
        else replace(venue, exchange=venue.clearing)
    )
    swap = five.swap(AUDIO, EGG, 100, 1, 1).swap
    signature = sign_by_customer(swap, elsewhere, CUSTOMER.of(NAMES[AUDIO]))
    assert code(five, SwapPoints(swap, signature)) == "signature-invalid"
    assert five.held(AUDIO) == 10_000


def test_points_of_nobody_have_no_corridor(five: FiveBrands) -> None:
    five.tokens[COAT] = PointsSigner(b"\x31" * 32).account
    assert code(five, five.terms(AUDIO, COAT, Rate(1, 50), 1)) == "unknown-points"
    assert code(five, five.swap(AUDIO, COAT, 100, 1, 1)) == "no-corridor"


def test_a_payment_is_acknowledged_by_the_creditor_and_once(five: FiveBrands) -> None:
    five.act(five.swap(AUDIO, EGG, 600, 1, 1))
    paid = five.paid(AUDIO, EGG, 1_000, 1)
    forged = replace(paid, signature=sign_by_brand(paid.paid, five.venue, SIGNERS[AUDIO]))
    assert code(five, forged) == "signature-invalid"
    assert code(five, paid) is None
    assert code(five, paid) == "duplicate-acknowledgement"
    assert code(five, five.paid(AUDIO, EGG, 10**9, 2)) == "more-than-owed"
    assert code(five, five.paid(EGG, AUDIO, 1, 3)) == "more-than-owed"
    assert five.owed(AUDIO, EGG) == 900 * 64 - 1_000
    assert five.owed(EGG, AUDIO) == 1_000 - 900 * 64


def test_a_cycle_of_claims_shrinks_by_its_smallest_and_nobody_s_sum_changes(
    five: FiveBrands,
) -> None:
    five.act(five.terms(EGG, COAT, Rate(1, 20), 1))
    five.act(five.terms(COAT, AUDIO, Rate(9, 1), 1))
    five.act(five.swap(AUDIO, EGG, 8_000, 1, 1))
    five.act(five.swap(EGG, COAT, 9_000, 1, 2))
    five.act(five.swap(COAT, AUDIO, 300, 1, 3))
    cycle = tuple(five.tokens[brand] for brand in (AUDIO, EGG, COAT))
    before = _sums(five)
    smallest = min(five.owed(AUDIO, EGG), five.owed(EGG, COAT), five.owed(COAT, AUDIO))
    assert smallest > 0

    assert code(five, NetClaims(tuple(reversed(cycle)), 1)) == "no-cycle"
    assert code(five, NetClaims(cycle[:2], 1)) == "no-cycle"
    assert code(five, NetClaims(cycle, 1)) is None

    assert five.ledger.events[-1].values["value"] == smallest
    assert _sums(five) == before
    assert sum(before) == 0
    assert code(five, NetClaims(cycle, 2)) == "no-cycle"


def test_the_end_of_terms_closes_the_corridor(five: FiveBrands) -> None:
    five.now = FOR_EVER
    assert code(five, five.swap(AUDIO, EGG, 100, 1, 1)) == "no-corridor"


def _sums(five: FiveBrands) -> list[int]:
    return [sum(five.owed(one, other) for other in range(5) if other != one) for one in range(5)]
