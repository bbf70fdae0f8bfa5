"""Points of one brand, as whole numbers.

A point has two decimals with every brand, so a base unit is a hundredth of a
point. No float comes near: amounts are parsed from text and shown as text.
"""

import re
from dataclasses import dataclass

from counterfoil_credentials.errors import Malformed, Misuse

DECIMALS = 2
UNITS_PER_POINT = 10**DECIMALS
MAX_UNITS = 2**128 - 1
"""The largest amount that one exchange takes; far above every supply."""

_WRITTEN = re.compile(r"(0|[1-9][0-9]{0,36})(?:\.([0-9]{1,2}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Points:
    """An amount of one brand's points.

    `brand` is the brand's public name (`https://audio.example`), `units` whole
    base units, never negative. Amounts of two brands never mix: their sum is
    `Misuse`, an exchange is a decision of the customer.
    """

    brand: str
    units: int

    def __post_init__(self) -> None:
        """Refuse what is no amount."""
        if not 0 <= self.units <= MAX_UNITS:
            text = f"expected 0 to {MAX_UNITS} base units, found {self.units}"
            raise Misuse(text)

    @classmethod
    def parse(cls, brand: str, written: str, where: str) -> "Points":
        """Give the amount in a text such as `12`, `12.5` or `12.50`."""
        match = _WRITTEN.match(written)
        if match is None:
            raise Malformed("an amount such as 12.50", f"{len(written)} characters", where)
        whole, part = match.groups()
        return cls(brand, int(whole) * UNITS_PER_POINT + int((part or "").ljust(DECIMALS, "0")))

    def __add__(self, other: "Points") -> "Points":
        """Give the sum with points of the same brand."""
        self._require_same_brand(other)
        return Points(self.brand, self.units + other.units)

    def __sub__(self, other: "Points") -> "Points":
        """Give the rest after points of the same brand, which must suffice."""
        self._require_same_brand(other)
        return Points(self.brand, self.units - other.units)

    def __str__(self) -> str:
        """Give the amount for people, without the brand: `12.50`."""
        return f"{self.units // UNITS_PER_POINT}.{self.units % UNITS_PER_POINT:0{DECIMALS}}"

    def _require_same_brand(self, other: "Points") -> None:
        if self.brand != other.brand:
            text = f"expected points of {self.brand}, found points of {other.brand}"
            raise Misuse(text)
