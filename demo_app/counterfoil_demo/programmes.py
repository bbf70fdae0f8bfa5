"""What the two brands agreed about points: prices, earning, and the one corridor between them.

A price is whole millionths of a euro per base unit, a hundredth of a point: an
Auricle point is worth one cent, a Velorum point two. Twenty of the one give nine
of the other: the tenth that is missing is what Auricle's customers pay for leaving.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil_loyalty.points import UNITS_PER_POINT
from counterfoil_loyalty.rates import Rate

from counterfoil_demo.houses import AURICLE, VELORUM, House


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """One brand's points: what they are called and what one base unit is worth."""

    house: House
    name: str
    symbol: str
    price: int


PROGRAMMES: Final = {
    AURICLE.name: Programme(house=AURICLE, name="Auricle points", symbol="AUR", price=100),
    VELORUM.name: Programme(house=VELORUM, name="Velorum points", symbol="VEL", price=200),
}
RATE: Final = Rate(9, 20)
CURRENCY: Final = "EUR"
TERMS_VERSION: Final = 1
TERMS_END_AT: Final = 2_082_758_400  # 1 January 2036, UTC


def points_for(total_minor: int) -> int:
    """Give the base units that a purchase earns: one point for each whole unit of currency."""
    units: int = max(1, total_minor // 100) * UNITS_PER_POINT
    return units
