"""What a points service can hold against a brand's rules without knowing anybody.

    require_within_caps(rules, past, units, at)        # before an award is taken in
    require_use_somewhere(rules, Use.CASH)             # before points are spent

The service sees accounts, amounts and times. It does not know what was bought, where the
customer lives, or how old she is, and it is not told: that is checked with `earn` and
`require_use` (rewards.py), by the brand before it awards and by the wallet beforehand. What
is refused here no customer, in no country of the rules, for no deed, may have; so nothing
is refused here that is allowed there.

Times are those at which the service took the awards in. A brand that awards late what was
earned in several periods awards it over as many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.errors import Reason, Refused

from counterfoil_loyalty.points import MAX_UNITS
from counterfoil_loyalty.programme_rules import Cap, Earning, ProgrammeRules, Use
from counterfoil_loyalty.rewards import DAY_S

OVER_CAP: Final = "over-cap"
USE_NOT_ALLOWED: Final = "use-not-allowed"


@dataclass(frozen=True, slots=True)
class Counted:
    """One award that an account had: `units`, taken in at `at` (unix seconds)."""

    units: int
    at: int


def looks_back_s(rules: ProgrammeRules) -> int:
    """Give how many seconds of an account's past the caps of `rules` ask for; 0 for none."""
    caps = [it.cap for it in rules.earnings] + [it.cap for it in rules.countries.values()]
    return max((cap.days for cap in caps if cap is not None), default=0) * DAY_S


def require_within_caps(
    rules: ProgrammeRules, past: Sequence[Counted], units: int, at: int
) -> None:
    """Return only if some customer of some country could have earned this by some deed.

    `past` are the awards to the same account. Raises `Refused`: `earns-nothing` where the
    rules reward nothing, `country-not-served` where they name no country, and `over-cap`.
    """
    if not rules.earnings:
        raise Refused(Reason("earns-nothing", "rules that reward a deed", "none", "award"))
    if not rules.countries:
        expected = "rules that name a country"
        raise Refused(Reason("country-not-served", expected, "none", "award"))
    most = max(map(_most_at_once, rules.earnings))
    if units > most:
        expected = f"at most {most} units, which the best deed earns"
        raise Refused(Reason(OVER_CAP, expected, f"{units}", "award.amount"))
    left = max(_left(policy.cap, past, at) for policy in rules.countries.values())
    left = min(left, _left(_together(rules.earnings), past, at))
    if units > left:
        expected = f"at most {left} units, which the caps leave to this account now"
        raise Refused(Reason(OVER_CAP, expected, f"{units}", "award.amount"))


def require_use_somewhere(rules: ProgrammeRules, use: Use) -> None:
    """Return only if a country of the rules allows `use`; whether the customer's does, she knows.

    Raises `Refused` (`use-not-allowed`).
    """
    allowed = {it for policy in rules.countries.values() for it in policy.uses}
    if use not in allowed:
        expected = " or ".join(sorted(it.value for it in allowed)) or "nothing"
        raise Refused(Reason(USE_NOT_ALLOWED, expected, use.value, "use"))


def _most_at_once(earning: Earning) -> int:
    # By money spent there is no bound but the cap: nobody here knows what was paid.
    most = earning.units if earning.per_spent is None else MAX_UNITS
    return most if earning.cap is None else min(most, earning.cap.units)


def _together(earnings: Sequence[Earning]) -> Cap | None:
    """Give a cap that no mixture of deeds is over; None where one of them has no cap.

    In the shortest of their periods each stays below its own cap, so all below the sum.
    """
    caps = [it.cap for it in earnings if it.cap is not None]
    if len(caps) < len(earnings):
        return None
    return Cap(sum(cap.units for cap in caps), min(cap.days for cap in caps))


def _left(cap: Cap | None, past: Sequence[Counted], at: int) -> int:
    if cap is None:
        return MAX_UNITS
    since = at - cap.days * DAY_S
    # Later ones too: a clock that went back gives nobody a second period.
    return max(cap.units - sum(it.units for it in past if it.at > since), 0)
