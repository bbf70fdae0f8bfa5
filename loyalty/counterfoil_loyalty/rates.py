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

PERIOD_S = 7 * 86_400
"""How long a higher price, a lower rate and a wider limit wait; a price stands as long."""

PART = 5
"""In one period a price moves, and a rate falls, by at most one part in this many."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a corridor goes; each limit may be narrowed by either brand alone.

    `quota` and `customer_quota` are base units given up in one epoch of
    `epoch_s` seconds, by everybody and by one account. `credit` is what the
    first brand may owe the second without collateral, in millionths of a unit.
    Either brand may end the corridor earlier with `notice_s` seconds of notice.
    """

    quota: int = 10_000_000
    customer_quota: int = 1_000_000
    epoch_s: int = 86_400
    notice_s: int = 30 * 86_400
    credit: int = 10_000_000_000

    def __post_init__(self) -> None:
        """Refuse what the exchange could not hold."""
        sizes = (self.quota, self.customer_quota, self.credit)
        if not (
            all(0 <= size <= MAX_PRICE for size in sizes)
            and 0 < self.epoch_s < 2**32
            and 0 <= self.notice_s < 2**24
        ):
            text = f"expected limits that fit 64 bits, an epoch and a notice, found {self}"
            raise Misuse(text)


USUAL_LIMITS = Limits()
"""What terms say that name no limits: 100,000 points a day, 10,000 by one account, and a month's
notice; the credit is 10,000 units of the settlement currency."""


def makes_value(units_in: int, price_from: int, units_out: int, price_to: int) -> bool:
    """Tell whether an exchange would give more than it takes. It must not."""
    return units_out * price_to > units_in * price_from
