"""What is offered for a grant: points, shown before she agrees, and hers whatever she does next.

A consent that is punished for being withdrawn was not freely given (GDPR, recital 42 and
article 7(4); EDPB guidelines 05/2020, 3.1.4). So the terms have words for how many points
and by which published rule, and none for taking them back: a request that has some is
malformed. Granting fewer facts or a sooner end changes nothing about them.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import JsonObject, int_at
from counterfoil_credentials.errors import Malformed

from counterfoil_consent.parties import origin_of
from counterfoil_consent.wire import require_members, short_text_at

MAX_POINTS: Final = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class Incentive:
    """`points` in whole base units, by the rule that is published at the URL `rule`."""

    points: int
    rule: str

    def to_json(self) -> JsonObject:
        """Give the offer as it stands in terms."""
        return {"points": self.points, "rule": self.rule}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Incentive":
        """Read the offer."""
        require_members(obj, ("points", "rule"), where)
        points, rule = int_at(obj, "points", where), short_text_at(obj, "rule", where)
        if not 1 <= points <= MAX_POINTS:
            raise Malformed(f"1 to {MAX_POINTS} points", "another number", f"{where}.points")
        origin_of(rule, f"{where}.rule")
        return Incentive(points=points, rule=rule)
