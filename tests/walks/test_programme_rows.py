"""What the product's rows promise of a programme's rules and tiers, by the rows' names."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import issue_credential
from counterfoil_loyalty.chain import embedded_ledger
from counterfoil_loyalty.programme_rules import (
    Occasion,
    ProgrammeRules,
    Tier,
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
from counterfoil_loyalty.tier_credential import at_least_query, tier_claims
from counterfoil_verifier import (
    Accepted,
    AllOf,
    BoundToHolder,
    DisclosesAtMost,
    PinnedTrust,
    TrustedIssuer,
    Verifier,
)

from tests.conftest import Clock
from tests.loyalty.programme import AUDIO, NOW, programme_on, seeded
from tests.loyalty.programme import Clock as LedgerClock
from tests.verifier.scene import Scene

TIER_TYPE = f"{AUDIO}/types/tier"
HERE = Customer("DE", 18)
RULES: JsonObject = {
    "brand": AUDIO,
    "version": 1,
    "currency": "EUR",
    "currency_decimals": 2,
    "earnings": [
        {"id": "buy", "occasion": "purchase", "per_spent": {"units": 1, "minor": 10}},
        {
            "id": "tell",
            "occasion": "feedback",
            "units": 500,
            "cap": {"units": 1000, "days": 30},
        },
    ],
    "tiers": [
        {"id": "silver", "earned_units": 1000},
        {"id": "gold", "earned_units": 2000, "feedbacks": 1},
        {"id": "platinum", "earned_units": 9000, "feedbacks": 2},
    ],
    "countries": {
        "CN": {"least_age": 18, "uses": ["discount"], "cap": {"units": 600, "days": 1}},
        "DE": {"uses": ["discount", "goods", "exchange"]},
    },
}


def purchase(order: str, spent: int) -> Deed:
    return Deed(occasion=Occasion.PURCHASE, reference=order, at=NOW, spent_minor=spent)


def feedback(order: str, at: int = NOW) -> Deed:
    return Deed(occasion=Occasion.FEEDBACK, reference=order, at=at)


class Club:
    """A brand that issues tiers, a customer, and a shop that asks for one."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes]) -> None:
        self.clock, self.random, self.scene = clock, random, Scene(clock, random)
        self.brand, self.holder = MemorySigner.generate(), MemorySigner.generate()
        self.trusted = TrustedIssuer(
            issuer=AUDIO, vcts=frozenset({TIER_TYPE}), keys=(self.brand.public,)
        )

    def card(self, reached: Tier | None, rules: ProgrammeRules | None = None) -> SdJwt:
        claims, concealed = tier_claims(rules or parse_programme_rules(RULES), reached)
        return issue_credential(
            claims,
            vct=TIER_TYPE,
            issuer=AUDIO,
            signer=self.brand,
            holder=self.holder.public,
            issued_at=self.clock(),
            expires_at=self.clock() + timedelta(days=30),
            status=None,
            concealed=concealed,
            random=self.random,
        )

    def prove(self, card: SdJwt, tier: str) -> Accepted:
        """Let the shop ask "at least `tier`?", and the customer show that answer alone."""
        query = at_least_query(tier, vct=TIER_TYPE)
        request = self.scene.request(query=query, encryption=None)
        shown = bind(
            disclose(card, [("at_least", tier)]),
            signer=self.holder,
            audience=request.client_id,
            nonce=request.nonce,
            now=self.clock(),
        )
        policy = AllOf(BoundToHolder(), DisclosesAtMost([("at_least", tier)]))
        verifier = Verifier(policy, PinnedTrust([self.trusted]), self.scene.statuses)
        return verifier.verify({"tier": (shown,)}, request, now=self.clock())


@pytest.fixture
def club(clock: Clock, random_bytes: Callable[[int], bytes]) -> Club:
    return Club(clock, random_bytes)


def test_row_F9_who_has_platinum_proves_gold_and_shows_neither_points_nor_platinum(  # noqa: N802
    club: Club,
) -> None:
    rules = parse_programme_rules(RULES)
    # Opinions of a whole month earn what the cap leaves, and no tier by themselves.
    talk = [feedback(str(number)) for number in range(9)]
    past = simulate(rules, [], talk, HERE)
    assert sum(it.units for it in past) == 1_000
    silver = tier_reached(rules, past, NOW)
    assert silver is not None
    assert silver.id == "silver"
    past += simulate(rules, past, [purchase("1", 80_000)], HERE)
    reached = tier_reached(rules, past, NOW)
    assert reached is not None
    assert reached.id == "platinum"
    card = club.card(reached)

    accepted = club.prove(card, "gold")

    shown = accepted.claims["tier"]
    assert shown["at_least"] == {"gold": True}
    assert "platinum" not in str(shown)
    assert "9000" not in str(shown)
    for below in (silver, None):
        with pytest.raises(Refused):
            club.prove(club.card(below), "gold")


def test_row_F9_who_comes_often_reaches_a_tier_that_ends_when_she_stays_away(  # noqa: N802
    club: Club,
) -> None:
    regular: JsonObject = {"id": "regular", "purchases": 3, "within_days": 90}
    rules = parse_programme_rules({**RULES, "tiers": [regular]})
    often = [replace(purchase(str(n), 100), at=NOW + n * 20 * DAY_S) for n in range(3)]
    seldom = [replace(deed, at=NOW + n * 60 * DAY_S) for n, deed in enumerate(often)]

    reached = tier_reached(rules, simulate(rules, [], often, HERE), NOW + 50 * DAY_S)

    assert reached is not None
    card = club.card(reached, rules)
    assert club.prove(card, "regular").claims["tier"]["at_least"] == {"regular": True}
    assert tier_reached(rules, simulate(rules, [], often, HERE), NOW + 100 * DAY_S) is None
    assert tier_reached(rules, simulate(rules, [], seldom, HERE), NOW + 121 * DAY_S) is None
    # Two purchases that cost much are still two.
    dear = simulate(rules, [], [replace(deed, spent_minor=10**6) for deed in often[:2]], HERE)
    assert tier_reached(rules, dear, NOW + 50 * DAY_S) is None


def test_row_F9_what_others_see_counts_by_her_own_yes_and_never_beyond_its_cap(  # noqa: N802
    club: Club,
) -> None:
    cap: JsonObject = {"units": 200, "days": 30}
    share: JsonObject = {"id": "share", "occasion": "social", "units": 100, "cap": cap}
    known: JsonObject = {"id": "known", "socials": 2, "within_days": 30}
    well_known: JsonObject = {"id": "well-known", "socials": 3, "within_days": 30}
    rules = parse_programme_rules({**RULES, "earnings": [share], "tiers": [known, well_known]})
    deeds = [Deed(occasion=Occasion.SOCIAL, reference=str(n), at=NOW + n) for n in range(9)]
    agreed = replace(HERE, agreed_to_social=True)

    with pytest.raises(Refused) as unasked:
        earn(rules, [], deeds[0], HERE)
    assert unasked.value.codes == ["social-not-agreed"]
    past = simulate(rules, [], deeds, agreed)
    assert [it.units for it in past] == [100, 100] + [0] * 7
    reached = tier_reached(rules, past, NOW + 9)
    assert reached is not None
    assert reached.id == "known"
    shown = club.prove(club.card(reached, rules), "known").claims["tier"]
    assert shown["at_least"] == {"known": True}
    # She may take her yes back; what she has stays, and nothing more comes.
    later = replace(deeds[0], reference="later", at=NOW + 40 * DAY_S)
    with pytest.raises(Refused) as ended:
        earn(rules, past, later, HERE)
    assert ended.value.codes == ["social-not-agreed"]
    with pytest.raises(Malformed, match="cap"):
        parse_programme_rules({**RULES, "earnings": [{**share, "cap": None}]})
    uncapped = {name: value for name, value in share.items() if name != "cap"}
    with pytest.raises(Malformed, match="a cap on what others see"):
        parse_programme_rules({**RULES, "earnings": [uncapped]})
    signed = rules.sign(club.brand)
    assert read_programme_rules(signed, brand=AUDIO, brand_key=club.brand.public) == rules


def test_a_card_tells_no_tier_by_its_shape(club: Club) -> None:
    rules = parse_programme_rules(RULES)
    sizes = {len(club.card(tier).disclosures) for tier in (None, *rules.tiers)}

    assert sizes == {len(rules.tiers)}
    with pytest.raises(Misuse):
        tier_claims(rules, replace(rules.tiers[0], earned_units=1))


def test_row_F12_what_the_wallet_works_out_from_signed_rules_is_what_is_awarded(  # noqa: N802
    tmp_path: Path,
) -> None:
    key = MemorySigner.generate()
    published = parse_programme_rules(RULES).sign(key)
    read = read_programme_rules(published, brand=AUDIO, brand_key=key.public)
    deeds = [purchase("1", 12_345), feedback("1"), feedback("2"), feedback("3")]
    foretold = [it.units for it in simulate(read, [], deeds, HERE)]
    balances, past = [0], list[Earned]()
    with closing(
        embedded_ledger(tmp_path / "chain.sqlite3", now=NOW, random=seeded("chain"))
    ) as chain:
        programme = programme_on(chain, LedgerClock()).open()
        for deed in deeds:
            past.append(earn(parse_programme_rules(RULES), past, deed, HERE))
            if past[-1].units:
                order = f"{deed.occasion.value} {deed.reference}"
                assert programme.perform(programme.award(past[-1].units, order)).reason is None
            balances.append(programme.balance())

    assert foretold == [1_234, 500, 500, 0]
    assert [after - before for before, after in pairwise(balances)] == foretold


def test_row_F14_a_country_without_leave_an_age_unproved_and_cash_are_refused(  # noqa: N802
) -> None:
    rules = parse_programme_rules(RULES)
    grown, young = Customer("CN", 18), Customer("CN")

    for use, customer, codes in (
        (Use.CASH, HERE, ["use-not-allowed"]),
        (Use.CASH, grown, ["use-not-allowed"]),
        (Use.EXCHANGE, grown, ["use-not-allowed"]),
        (Use.DISCOUNT, young, ["under-age"]),
        (Use.DISCOUNT, Customer("US", 99), ["country-not-served"]),
    ):
        with pytest.raises(Refused) as refusal:
            require_use(rules, use, customer)
        assert refusal.value.codes == codes
    with pytest.raises(Refused):
        earn(rules, [], purchase("1", 100), young)
    require_use(rules, Use.DISCOUNT, grown)
    deeds = [purchase("1", 5_000), feedback("2"), feedback("3", NOW + DAY_S)]
    assert [it.units for it in simulate(rules, [], deeds, grown)] == [500, 100, 500]
