"""A tier as a credential: it proves "at least gold", and says nothing of points.

    claims, concealed = tier_claims(rules, tier_reached(rules, past, now))
    {"programme": "https://audio.example",
     "at_least": {"bronze": true, "silver": true, "gold": true, "platinum": false}}

Each answer can be shown alone, so who has platinum shows that it is at least gold and no
more. Every tier has an answer, also those not reached: what is withheld looks the same
for everybody. (The same way is taken by `age_equal_or_over` of ISO/IEC 18013-5.)
"""

from typing import Final

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.programme_rules import ProgrammeRules, Tier

_AT_LEAST: Final = "at_least"


def tier_claims(
    rules: ProgrammeRules, reached: Tier | None
) -> tuple[JsonObject, tuple[ClaimPath, ...]]:
    """Give the claims of the credential, and which of them its holder may withhold.

    `reached` is what `tier_reached` gave; None is a customer below the lowest tier.
    """
    tiers = [tier.id for tier in rules.tiers]
    if reached is not None and reached not in rules.tiers:
        raise Misuse("expected a tier of these rules, found another")
    height = -1 if reached is None else tiers.index(reached.id)
    at_least: JsonObject = {name: place <= height for place, name in enumerate(tiers)}
    claims: JsonObject = {"programme": rules.brand, _AT_LEAST: at_least}
    return claims, tuple((_AT_LEAST, name) for name in tiers)


def at_least_query(tier: str, *, vct: str) -> DcqlQuery:
    """Give the question "at least `tier`?", which a true answer alone fulfils."""
    claim = ClaimQuery(path=(_AT_LEAST, tier), values=(True,))
    return DcqlQuery((CredentialQuery("tier", (vct,), (claim,)),))
