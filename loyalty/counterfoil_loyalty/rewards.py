"""What a deed earns under a brand's rules, and which tier the earned points reach.

    earned = earn(rules, past, deed, customer)       # the brand, before it awards
    simulate(rules, past, deeds, customer)           # the wallet: the same function, in a row

Both read the same signed rules and call the same function, so what the wallet foretells is
what is awarded. Nothing here knows a clock: a deed says when it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counterfoil_credentials.errors import Misuse, Reason, Refused

from counterfoil_loyalty.points import MAX_UNITS
from counterfoil_loyalty.programme_rules import (
    Cap,
    CountryPolicy,
    Occasion,
    ProgrammeRules,
    Tier,
    Use,
)

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What a customer did, once: `reference` is the brand's own number for it.

    `at` is in unix seconds, `spent_minor` in minor units of the rules' currency. What the
    customer thought has no place here, so that it cannot change a reward.
    """

    occasion: Occasion
    reference: str
    at: int
    spent_minor: int = 0
    task: str = ""

    def __post_init__(self) -> None:
        """Refuse what nobody can have done."""
        if self.spent_minor < 0 or (self.spent_minor and self.occasion is not Occasion.PURCHASE):
            raise Misuse("expected money spent, by a purchase alone, found otherwise")


@dataclass(frozen=True, slots=True)
class Earned:
    """What a deed earned: `units`, of `uncapped` that it would have without any cap."""

    deed: Deed
    units: int
    uncapped: int


@dataclass(frozen=True, slots=True)
class Customer:
    """What the rules ask about a person: a country, and an age that was proved ("at least").

    `agreed_to_social` is her own yes to being rewarded for what others see; it may end.
    """

    country: str
    proved_age: int = 0
    agreed_to_social: bool = False


def earn(rules: ProgrammeRules, past: Sequence[Earned], deed: Deed, customer: Customer) -> Earned:
    """Give what `deed` earns after `past`, all of which is this customer's with this brand.

    Raises `Refused`: `earns-nothing`, `already-rewarded`, `country-not-served`, `under-age`,
    `social-not-agreed`.
    A cap refuses nothing: it leaves less to be earned, perhaps nothing.
    """
    policy = _policy(rules, customer)
    earning = rules.earning_for(deed.occasion, deed.task)
    if earning is None:
        expected = "a deed that the rules reward"
        raise Refused(Reason("earns-nothing", expected, "another", "deed.occasion"))
    if any(_is_same(deed, earlier.deed) for earlier in past):
        expected = "a deed never rewarded"
        raise Refused(Reason("already-rewarded", expected, "an earlier reward", "deed.reference"))
    if deed.occasion is Occasion.SOCIAL and not customer.agreed_to_social:
        reason = ("social-not-agreed", "the customer's own yes", "none")
        raise Refused(Reason(*reason, "customer.agreed_to_social"))
    for_money = 0 if earning.per_spent is None else earning.per_spent.of(deed.spent_minor)
    uncapped = min(earning.units + for_money, MAX_UNITS)
    alike = [it for it in past if _entry(it.deed) == _entry(deed)]
    units = min(uncapped, _left(earning.cap, alike, deed.at), _left(policy.cap, past, deed.at))
    return Earned(deed, units, uncapped)


def simulate(
    rules: ProgrammeRules, past: Sequence[Earned], deeds: Iterable[Deed], customer: Customer
) -> list[Earned]:
    """Give what each of `deeds` would earn, one after the other; refuses as `earn` does."""
    earned = list(past)
    for deed in deeds:
        earned.append(earn(rules, earned, deed, customer))
    return earned[len(past) :]


def tier_reached(rules: ProgrammeRules, past: Sequence[Earned], now: int) -> Tier | None:
    """Give the highest tier that the past reaches at `now`; None below the lowest."""
    reached = [tier for tier in rules.tiers if _reaches(tier, past, now)]
    return reached[-1] if reached else None


def require_use(rules: ProgrammeRules, use: Use, customer: Customer) -> None:
    """Return only if points may become `use` where the customer lives.

    Raises `Refused`: `country-not-served`, or all of `under-age` and `use-not-allowed`.
    """
    _policy(rules, customer, use)


def _policy(rules: ProgrammeRules, customer: Customer, use: Use | None = None) -> CountryPolicy:
    policy = rules.countries.get(customer.country)
    if policy is None:
        # What the law there says is not known: that is no permission.
        expected = "a country that the rules name"
        raise Refused(Reason("country-not-served", expected, "another", "customer.country"))
    reasons: list[Reason] = []
    if customer.proved_age < policy.least_age:
        expected = f"a proof of {policy.least_age} years or more"
        reasons.append(Reason("under-age", expected, "none", "customer.proved_age"))
    if use is not None and use not in policy.uses:
        expected = " or ".join(sorted(it.value for it in policy.uses)) or "nothing"
        reasons.append(Reason("use-not-allowed", expected, use.value, "use"))
    if reasons:
        raise Refused(*reasons)
    return policy


def _left(cap: Cap | None, past: Sequence[Earned], at: int) -> int:
    """Give what may still be earned so that no stretch of the cap's days that holds `at` has more.

    Deeds do not always come in order: a late one may lie before what was earned already, so
    every stretch that ends at `at` or at a later deed is looked at.
    """
    if cap is None:
        return MAX_UNITS
    span = cap.days * DAY_S
    ends = {at} | {it.deed.at for it in past if at <= it.deed.at < at + span}
    fullest = max(sum(it.units for it in past if end - span < it.deed.at <= end) for end in ends)
    return max(cap.units - fullest, 0)


def _reaches(tier: Tier, past: Sequence[Earned], now: int) -> bool:
    since = now - tier.within_days * DAY_S
    lately = [
        it.deed.occasion
        for it in past
        if since < it.deed.at <= now and (it.units or it.deed.occasion is not Occasion.SOCIAL)
    ]
    return (
        sum(it.units for it in past if it.deed.at <= now) >= tier.earned_units
        and lately.count(Occasion.PURCHASE) >= tier.purchases
        and lately.count(Occasion.FEEDBACK) >= tier.feedbacks
        and lately.count(Occasion.SOCIAL) >= tier.socials
    )


def _is_same(one: Deed, other: Deed) -> bool:
    return _entry(one) == _entry(other) and one.reference == other.reference


def _entry(deed: Deed) -> tuple[Occasion, str]:
    return (deed.occasion, deed.task)
