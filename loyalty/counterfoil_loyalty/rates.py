"""Rates and prices: what keeps an exchange from making value.

A brand's points have one price, whatever the corridor: whole millionths of one
unit of the settlement currency, per base unit. A rate is two whole numbers.
An exchange gives `floor(in * rate)` and must satisfy `out * price(to) <= in *
price(from)`; then no cycle of exchanges ends with more than it began with.
"""

from dataclasses import dataclass
from typing import NewType

from counterfoil_credentials.errors import Misuse

Price = NewType("Price", int)
"""Millionths of one unit of the settlement currency, per base unit of points."""

MAX_PRICE = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Rate:
    """`numerator` base units are given for `denominator` base units taken."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        """Refuse what the exchange could not hold."""
        if not (0 < self.numerator <= MAX_PRICE and 0 < self.denominator <= MAX_PRICE):
            text = f"expected two numbers from 1 to {MAX_PRICE}, found {self}"
            raise Misuse(text)

    def of(self, units_in: int) -> int:
        """Give what `units_in` turns into, rounded down: against the customer, by under a unit."""
        return units_in * self.numerator // self.denominator

    def is_fair(self, price_from: int, price_to: int) -> bool:
        """Tell whether the rate takes at least the value it gives, at these prices."""
        return self.numerator * price_to <= self.denominator * price_from

    def __str__(self) -> str:
        """Give the rate for people: `3/4`."""
        return f"{self.numerator}/{self.denominator}"


def makes_value(units_in: int, price_from: int, units_out: int, price_to: int) -> bool:
    """Tell whether an exchange would give more than it takes. It must not."""
    return units_out * price_to > units_in * price_from
