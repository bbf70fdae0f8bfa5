"""How fast a brand's points grow: the alarm for partners of a brand that mints itself rich.

    growth = Growth("https://audio.example", before=100_000, now=130_000)
    growth.is_alarming                          # more than a fifth in a period

What it mints, it may exchange. Credit and quotas bound what a partner loses; this tells it
early enough to narrow a corridor. The first week of a programme alarms too: there is nothing
yet to measure it by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil_loyalty.rates import PART


@dataclass(frozen=True, slots=True)
class Growth:
    """A brand's points in existence, in base units: a period (`PERIOD_S`) ago, and now."""

    brand: str
    before: int
    now: int

    @property
    def is_alarming(self) -> bool:
        """Tell whether there is more than one part in `PART` more than a period ago."""
        return (self.now - self.before) * PART > self.before


def alarming(growths: Sequence[Growth]) -> Sequence[Growth]:
    """Give those that a partner should look at, the fastest first."""
    fast = [it for it in growths if it.is_alarming]
    return sorted(fast, key=lambda it: it.before - it.now)
