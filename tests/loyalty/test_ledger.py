"""The ledger's behaviour, on the chain and on its twin in memory: one module, both kinds."""

from dataclasses import replace

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty.accounts import NOBODY, Account, PointsSigner
from counterfoil_loyalty.actions import Action, AgreeTerms, AwardPoints, SwapPoints
from counterfoil_loyalty.rates import Rate

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, Programme, changed


def refused(programme: Programme, action: Action) -> str:
    """Give the code of the one refusal: by the check beforehand, and again in a block."""
    with pytest.raises(Refused) as refusal:
        programme.ledger.check(action)
    outcome = programme.perform(action)
    assert outcome.reason is not None
    assert [outcome.reason.code] == refusal.value.codes
    return outcome.reason.code


def test_an_award_reaches_the_balance_and_the_supply(programme: Programme) -> None:
    action = programme.award(1_000)
    programme.ledger.check(action)

    assert programme.perform(action).reason is None

    assert programme.balance() == 1_000
    assert programme.ledger.supply(programme.tokens[AUDIO]) == 1_000


def test_an_award_is_minted_once_for_its_ref(programme: Programme) -> None:
    programme.perform(programme.award(1_000, "1001"))

    assert refused(programme, programme.award(1_000, "1001")) == "duplicate-ref"
    assert refused(programme, programme.award(5, "1001")) == "duplicate-ref"
    assert programme.balance() == 1_000

    assert programme.perform(programme.award(1_000, "1002")).reason is None
    assert programme.balance() == 2_000


def test_an_award_twice_in_one_block_is_minted_once(programme: Programme) -> None:
    ledger = programme.ledger
    sequence = ledger.sequence()
    first, second = (ledger.sign(programme.award(), sequence + i) for i in range(2))
    ledger.send(second)  # Out of order: the block puts them right.
    ledger.send(first)
    programme.clock.advance(1)
    ledger.make_block(programme.clock.now)

    outcomes = [ledger.outcome(first), ledger.outcome(second)]
    assert [
        outcome.reason.code if outcome and outcome.reason else None for outcome in outcomes
    ] == [
        None,
        "duplicate-ref",
    ]
    assert programme.balance() == 1_000


def test_an_award_needs_the_signature_of_that_brand(programme: Programme) -> None:
    other_brand = programme.award(signer=programme.bicycle)
    assert refused(programme, other_brand) == "signature-invalid"
    assert refused(programme, programme.award(signer=PointsSigner(b"\x09" * 32))) == (
        "signature-invalid"
    )
    assert programme.balance() == 0


@pytest.mark.parametrize(
    "change", [{"amount": 1_001}, {"to": Account(NOBODY[:-1] + "1")}, {"ref": b"x" * 32}]
)
def test_an_award_changed_after_signing_is_refused(
    programme: Programme, change: dict[str, object]
) -> None:
    action = programme.award()
    tampered = AwardPoints(changed(action.award, change), action.signature)
    assert refused(programme, tampered) == "signature-invalid"


def test_zero_points_are_no_award(programme: Programme) -> None:
    assert refused(programme, programme.award(0)) == "zero-amount"


def test_points_not_made_by_the_exchange_are_unknown(programme: Programme) -> None:
    stranger = PointsSigner(b"\x07" * 32).account
    programme.tokens[AUDIO] = stranger
    with pytest.raises(Refused) as refusal:
        programme.ledger.check(programme.award())
    assert refusal.value.codes == ["unknown-points"]


def test_an_exchange_burns_one_brand_and_mints_the_other(programme: Programme) -> None:
    programme.perform(programme.award(1_000))

    outcome = programme.perform(programme.swap(201))

    assert outcome.reason is None
    assert (programme.balance(AUDIO), programme.balance(BICYCLE)) == (799, 301)  # floor(201 * 3/2)
    events = programme.ledger.block(outcome.block).events
    assert [event.name for event in events] == [
        "AuthorizationUsed",
        "Transfer",
        "Transfer",
        "Booked",
        "Swapped",
    ]
    assert events[-1].values["amountOut"] == 301
    assert events[-1].values["value"] == 301 * 50
    # The exchange holds nothing, ever.
    exchange = programme.ledger.identity.exchange
    assert programme.ledger.balance(programme.tokens[AUDIO], exchange) == 0


def test_an_exchange_is_made_once(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    programme.perform(programme.swap(200))

    assert refused(programme, programme.swap(200)) == "intent-used"
    assert programme.balance() == 800

    assert programme.perform(programme.swap(200, swap_id=b"t" * 32)).reason is None
    assert programme.balance() == 600


@pytest.mark.parametrize(
    "change",
    [
        {"amount_in": 201},
        {"least_out": 2},
        {"recipient": PointsSigner(b"\x08" * 32).account},
        {"deadline": NOW + DAY + 1},
        {"swap_id": b"u" * 32},
        {"holder": PointsSigner(b"\x08" * 32).account},
    ],
)
def test_an_intent_changed_after_signing_is_refused(
    programme: Programme, change: dict[str, object]
) -> None:
    programme.perform(programme.award(1_000))
    action = programme.swap(200)
    tampered = SwapPoints(changed(action.swap, change), action.signature)

    assert refused(programme, tampered) == "signature-invalid"
    assert programme.balance() == 1_000


def test_an_intent_turned_to_other_points_or_terms_is_refused(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    programme.perform(programme.terms(BICYCLE, AUDIO, rate=Rate(1, 2)))
    action = programme.swap(200)
    turned = replace(action.swap, token_in=action.swap.token_out, token_out=action.swap.token_in)
    assert refused(programme, SwapPoints(turned, action.signature)) == "signature-invalid"

    programme.perform(programme.terms(version=2))
    newer = SwapPoints(replace(action.swap, version=2), action.signature)
    assert refused(programme, newer) == "signature-invalid"


def test_an_intent_ends_at_its_deadline(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    action = programme.swap(200, deadline=programme.clock.now + 1)

    outcome = programme.perform(action)  # its block is stamped with the deadline itself

    assert outcome.reason is not None
    assert outcome.reason.code == "intent-expired"
    soon = programme.swap(200, deadline=programme.clock.now + 2)
    assert programme.perform(soon).reason is None


def test_less_than_the_minimum_is_not_exchanged(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    assert refused(programme, programme.swap(200, least_out=301)) == "below-minimum"
    assert programme.perform(programme.swap(200, least_out=300)).reason is None


def test_an_amount_too_small_to_give_anything_is_not_taken(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    programme.perform(programme.terms(BICYCLE, AUDIO, rate=Rate(1, 2)))
    programme.perform(programme.swap(200))
    dust = programme.swap(1, BICYCLE, AUDIO, least_out=0)
    assert refused(programme, dust) == "nothing-out"


def test_more_points_than_held_are_not_exchanged(programme: Programme) -> None:
    programme.perform(programme.award(199))
    assert refused(programme, programme.swap(200)) == "insufficient-points"
    assert programme.perform(programme.swap(199)).reason is None


def test_terms_that_changed_after_signing_exchange_nothing(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    signed_before = programme.swap(200)
    programme.perform(programme.terms(rate=Rate(2, 1), version=2))

    assert refused(programme, signed_before) == "terms-changed"
    assert programme.perform(programme.swap(200, version=2)).reason is None


def test_a_corridor_ends(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    programme.perform(programme.terms(version=2, ends_at=programme.clock.now + 2))
    last = programme.swap(100, version=2)
    outcome = programme.perform(last)
    assert outcome.reason is not None
    assert outcome.reason.code == "no-corridor"


def test_there_is_no_way_back_without_terms(programme: Programme) -> None:
    programme.perform(programme.award(brand=BICYCLE))
    assert refused(programme, programme.swap(200, BICYCLE, AUDIO)) == "no-corridor"


@pytest.mark.parametrize("side", ["signature_in", "signature_out"])
def test_terms_need_both_brands(programme: Programme, side: str) -> None:
    action = programme.terms(version=2)
    other = {"signature_in": action.signature_out, "signature_out": action.signature_in}[side]
    one_sided = changed(action, {side: other})
    assert refused(programme, one_sided) == "signature-invalid"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"rate": Rate(201, 100)}, "unfair-rate"),
        ({"price_in": 101}, "price-mismatch"),
        ({"price_out": 49}, "price-mismatch"),
        ({"version": 1}, "old-terms"),
        ({"version": 0}, "old-terms"),
    ],
)
def test_terms_that_brands_may_not_agree_to(
    programme: Programme, change: dict[str, object], code: str
) -> None:
    assert refused(programme, programme.terms(**{"version": 2, **change})) == code


def test_terms_at_exactly_equal_value_are_fair(programme: Programme) -> None:
    assert programme.perform(programme.terms(rate=Rate(2, 1), version=2)).reason is None


def test_terms_changed_after_signing_are_refused(programme: Programme) -> None:
    action = programme.terms(version=2)
    worse = AgreeTerms(
        replace(action.terms, rate=Rate(1, 100)), action.signature_in, action.signature_out
    )
    assert refused(programme, worse) == "signature-invalid"


def test_a_corridor_leads_to_another_brand(programme: Programme) -> None:
    assert refused(programme, programme.terms(AUDIO, AUDIO, version=2)) == "same-points"


def test_a_corridor_with_a_price_of_its_own_is_refused(programme: Programme) -> None:
    """A second price per token would reopen the cycle A to B to A with a gain."""
    back = programme.terms(BICYCLE, AUDIO, rate=Rate(4, 5), price_in=80)
    assert refused(programme, back) == "price-mismatch"


def test_a_cycle_at_the_best_fair_rates_gains_nothing(programme: Programme) -> None:
    programme.perform(programme.award(1_001))
    programme.perform(programme.terms(rate=Rate(2, 1), version=2))
    programme.perform(programme.terms(BICYCLE, AUDIO, rate=Rate(1, 2)))
    programme.perform(programme.swap(333, version=2))
    programme.perform(programme.swap(programme.balance(BICYCLE), BICYCLE, AUDIO))
    assert programme.balance(AUDIO) == 1_001
    assert programme.balance(BICYCLE) == 0


def test_a_redemption_burns_points_once(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    outcome = programme.perform(programme.redemption(100))

    assert outcome.reason is None
    assert programme.balance() == 900
    names = [event.name for event in programme.ledger.block(outcome.block).events]
    assert names == ["AuthorizationUsed", "Transfer", "Redeemed"]
    assert refused(programme, programme.redemption(100)) == "duplicate-redemption"
    # The same id with anything else changed is still the same redemption.
    assert refused(programme, programme.redemption(50)) == "duplicate-redemption"
    assert programme.balance() == 900


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 99},
        {"redemption_id": b"q" * 32},
        {"deadline": NOW + DAY + 1},
        {"holder": PointsSigner(b"\x08" * 32).account},
    ],
)
def test_a_redemption_changed_after_signing_is_refused(
    programme: Programme, change: dict[str, object]
) -> None:
    programme.perform(programme.award(1_000))
    action = programme.redemption(100)
    tampered = replace(action, redemption=changed(action.redemption, change))
    assert refused(programme, tampered) == "signature-invalid"


def test_a_redemption_for_one_brand_is_none_for_another(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    action = programme.redemption(100)
    turned = replace(action.redemption, token=programme.tokens[BICYCLE])
    assert refused(programme, replace(action, redemption=turned)) == "signature-invalid"


def test_a_brand_brings_its_points_once(programme: Programme) -> None:
    assert refused(programme, programme.registration(AUDIO)) == "brand-exists"
    assert refused(programme, programme.registration(AUDIO, name="Other")) == "brand-exists"


def test_a_registration_is_signed_by_the_brand_it_names(programme: Programme) -> None:
    stolen = programme.registration(
        AUDIO, brand="https://garment.example", issuer=programme.bicycle.account
    )
    assert refused(programme, stolen) == "signature-invalid"


def test_a_price_is_above_zero(programme: Programme) -> None:
    free = programme.registration(AUDIO, brand="https://garment.example", price=0)
    assert refused(programme, free) == "registration-incomplete"


def test_a_block_a_second_and_none_without_work(programme: Programme) -> None:
    ledger = programme.ledger
    now = programme.clock.now
    assert not ledger.make_block(now + 5)
    ledger.send(ledger.sign(programme.award(), ledger.sequence()))
    assert not ledger.make_block(now)
    assert ledger.make_block(now + 1)
    assert ledger.block(ledger.head()).at == now + 1


def test_sending_again_changes_nothing(programme: Programme) -> None:
    ledger = programme.ledger
    transaction = ledger.sign(programme.award(), ledger.sequence())
    for _ in range(3):
        ledger.send(transaction)
    programme.clock.advance(1)
    ledger.make_block(programme.clock.now)
    ledger.send(transaction)
    assert not ledger.make_block(programme.clock.now + 1)
    assert programme.balance() == 1_000
