"""Programme rules: signed data that says what every deed earns, to brand and wallet alike."""

import pytest
from counterfoil_credentials import JsonObject, Malformed, MemorySigner, Refused
from counterfoil_credentials.encoding import parse_object
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.points import MAX_UNITS
from counterfoil_loyalty.programme_rules import (
    Occasion,
    ProgrammeRules,
    Use,
    parse_programme_rules,
    read_programme_rules,
)
from counterfoil_loyalty.rewards import (
    DAY_S,
    Customer,
    Deed,
    Earned,
    earn,
    require_use,
    simulate,
    tier_reached,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loyalty.programme import AUDIO, NOW, Clock, programme_on, seeded

KEY = MemorySigner.generate()
ADULT = Customer("DE", 18)


def published() -> JsonObject:
    return parse_object(
        """
    {"brand": "https://audio.example", "version": 3, "currency": "EUR", "currency_decimals": 2,
     "earnings": [
       {"id": "buy", "occasion": "purchase", "per_spent": {"units": 2, "minor": 3}},
       {"id": "tell", "occasion": "feedback", "units": 500, "cap": {"units": 1200, "days": 30},
        "words": "Tell us how it went, whatever you have to say."},
       {"id": "bring", "occasion": "referral", "units": 1000},
       {"id": "film", "occasion": "task", "task": "repair-film", "units": 700}],
     "tiers": [{"id": "silver", "earned_units": 1000, "purchases": 1, "within_days": 365},
               {"id": "gold", "earned_units": 3000, "purchases": 2, "feedbacks": 1,
                "within_days": 365}],
     "countries": {"CN": {"least_age": 18, "uses": ["discount"], "cap": {"units": 2000, "days": 7}},
                   "DE": {"uses": ["discount", "goods", "exchange"]}}}
    """,
        "rules",
    )


def rules() -> ProgrammeRules:
    return parse_programme_rules(published())


def purchase(order: str, spent: int, at: int = NOW) -> Deed:
    return Deed(occasion=Occasion.PURCHASE, reference=order, at=at, spent_minor=spent)


def feedback(order: str, at: int = NOW) -> Deed:
    return Deed(occasion=Occasion.FEEDBACK, reference=order, at=at)


def test_what_a_brand_signs_a_wallet_reads_back() -> None:
    signed = rules().sign(KEY)

    assert read_programme_rules(signed, brand=AUDIO, brand_key=KEY.public) == rules()


def test_rules_of_another_key_brand_or_day_are_refused() -> None:
    signed = rules().sign(KEY)
    other = MemorySigner.generate().public

    for codes, arguments in (
        (["signature-invalid"], {"brand": AUDIO, "brand_key": other}),
        (["rules-of-another"], {"brand": "https://other.example", "brand_key": KEY.public}),
        (["old-rules"], {"brand": AUDIO, "brand_key": KEY.public, "least_version": 4}),
    ):
        with pytest.raises(Refused) as refusal:
            read_programme_rules(signed, **arguments)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
        assert refusal.value.codes == codes


@pytest.mark.parametrize(
    "change",
    [
        {"id": "five-stars"},
        {"words": "For every positive word about us"},
        {"words": "Rated us well? Thank you!"},
        {"words": "给好评送积分"},
        {"least_rating": 4},
        {"occasion": "sentiment"},
    ],
)
def test_rules_that_reward_an_opinion_are_refused(change: JsonObject) -> None:
    obj = published()
    obj["earnings"] = [{"id": "tell", "occasion": "feedback", "units": 500, **change}]

    with pytest.raises(Refused) as refusal:
        parse_programme_rules(obj)

    assert refusal.value.codes == ["opinion-rewarded"]


@pytest.mark.parametrize(
    "change",
    [
        {"units": 0},
        {"units": 1.5},
        {"units": "12"},
        {"units": str(MAX_UNITS + 1)},
        {"per_spent": {"units": 1, "minor": 2}},
        {"task": "film"},
        {"cap": {"units": 5}},
        {"only_if": "blue"},
        {"id": "Tell us"},
        {"words": "one\nline more"},
    ],
)
def test_an_entry_that_could_be_read_otherwise_is_malformed(change: JsonObject) -> None:
    obj = published()
    obj["earnings"] = [{"id": "tell", "occasion": "feedback", "units": 500, **change}]

    with pytest.raises(Malformed):
        parse_programme_rules(obj)


def test_two_entries_for_one_occasion_and_tiers_out_of_order_are_malformed() -> None:
    twice = published()
    twice["earnings"] = [
        {"id": "tell", "occasion": "feedback", "units": 5},
        {"id": "say", "occasion": "feedback", "units": 6},
    ]
    upside_down = published()
    upside_down["tiers"] = [{"id": "gold", "earned_units": 5}, {"id": "silver", "earned_units": 4}]

    for obj in (twice, upside_down):
        with pytest.raises(Malformed):
            parse_programme_rules(obj)


def test_amounts_too_large_for_json_numbers_come_back_as_they_were() -> None:
    obj = published()
    obj["earnings"] = [{"id": "tell", "occasion": "feedback", "units": str(MAX_UNITS)}]
    large = parse_programme_rules(obj)

    read = read_programme_rules(large.sign(KEY), brand=AUDIO, brand_key=KEY.public)

    assert read.earnings[0].units == MAX_UNITS


def test_a_purchase_earns_its_ratio_rounded_down() -> None:
    units = [earn(rules(), [], purchase("1", spent), ADULT).units for spent in (0, 1, 2, 3, 1000)]

    assert units == [0, 0, 1, 2, 666]


def test_the_same_deed_earns_once_and_an_unknown_one_nothing() -> None:
    once = earn(rules(), [], feedback("1"), ADULT)
    task = Deed(occasion=Occasion.TASK, reference="1", at=NOW, task="another-film")

    for code, deed in (("already-rewarded", feedback("1", NOW + 1)), ("earns-nothing", task)):
        with pytest.raises(Refused) as refusal:
            earn(rules(), [once], deed, ADULT)
        assert refusal.value.codes == [code]
    assert earn(rules(), [once], purchase("1", 3), ADULT).units == 2


def test_a_cap_leaves_the_rest_and_opens_again_to_the_second() -> None:
    at = [NOW, NOW + 1, NOW + 2, NOW + 30 * DAY_S - 1, NOW + 30 * DAY_S]
    deeds = [feedback(str(number), when) for number, when in enumerate(at)]

    assert [it.units for it in simulate(rules(), [], deeds, ADULT)] == [500, 500, 200, 0, 500]


def test_a_country_gates_age_and_use_and_caps_everything_together() -> None:
    young, grown = Customer("CN", 17), Customer("CN", 18)

    for customer, codes in ((young, ["under-age"]), (Customer("FR", 99), ["country-not-served"])):
        with pytest.raises(Refused) as refusal:
            earn(rules(), [], feedback("1"), customer)
        assert refusal.value.codes == codes
    deeds = [purchase("1", 2_700), feedback("2"), feedback("3", NOW + 7 * DAY_S)]
    assert [it.units for it in simulate(rules(), [], deeds, grown)] == [1_800, 200, 500]
    require_use(rules(), Use.DISCOUNT, grown)
    with pytest.raises(Refused) as refusal:
        require_use(rules(), Use.CASH, young)
    assert refusal.value.codes == ["under-age", "use-not-allowed"]
    with pytest.raises(Refused) as refusal:
        require_use(rules(), Use.CASH, ADULT)
    assert refusal.value.codes == ["use-not-allowed"]


def test_a_tier_takes_all_that_it_names_and_forgets_what_is_too_old() -> None:
    deeds = [purchase("1", 3_000), purchase("2", 3_000, NOW + DAY_S), feedback("3")]
    past = simulate(rules(), [], deeds, ADULT)

    def reached(count: int, now: int) -> str | None:
        tier = tier_reached(rules(), past[:count], now)
        return None if tier is None else tier.id

    assert reached(0, NOW) is None
    assert reached(1, NOW) == "silver"
    assert reached(2, NOW + DAY_S) == "silver"
    assert reached(3, NOW) == "silver"
    assert reached(3, NOW + DAY_S) == "gold"
    assert reached(3, NOW + 365 * DAY_S) == "silver"
    assert reached(3, NOW + 366 * DAY_S) is None


_DEEDS = st.lists(
    st.one_of(
        st.builds(
            purchase,
            st.text("123", min_size=1, max_size=2),
            st.integers(0, 10**7),
            st.integers(NOW, NOW + 90 * DAY_S),
        ),
        st.builds(
            feedback, st.text("123", min_size=1, max_size=2), st.integers(NOW, NOW + 90 * DAY_S)
        ),
    ),
    max_size=12,
    unique_by=lambda deed: (deed.occasion, deed.reference),
)


@given(_DEEDS)
def test_no_stretch_of_days_has_more_than_its_cap_in_whatever_order_deeds_come(
    deeds: list[Deed],
) -> None:
    earned = simulate(rules(), [], deeds, Customer("CN", 18))

    for capped, days, most in (
        (earned, 7, 2_000),
        ([it for it in earned if it.deed.occasion is Occasion.FEEDBACK], 30, 1_200),
    ):
        for end in (it.deed.at for it in capped):
            stretch = [it.units for it in capped if end - days * DAY_S < it.deed.at <= end]
            assert sum(stretch) <= most


@settings(max_examples=25, deadline=None)
@given(_DEEDS)
def test_what_the_wallet_foretells_is_what_the_ledger_holds(deeds: list[Deed]) -> None:
    wallet = read_programme_rules(rules().sign(KEY), brand=AUDIO, brand_key=KEY.public)
    foretold = simulate(wallet, [], deeds, ADULT)
    clock = Clock()
    programme = programme_on(MemoryLedger(now=NOW, random=seeded("memory")), clock).open()

    past: list[Earned] = []
    for deed in deeds:
        past.append(earn(rules(), past, deed, ADULT))
        if past[-1].units:
            order = f"{deed.occasion.value} {deed.reference}"
            assert programme.perform(programme.award(past[-1].units, order)).reason is None

    assert programme.balance() == sum(it.units for it in foretold)
