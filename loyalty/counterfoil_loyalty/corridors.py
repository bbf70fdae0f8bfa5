"""What one brand signs about its price and its corridors.

    signature = sign_by_brand(Tightening(by=..., paused=True, ...), venue, signer)

A lower price, a narrower limit, a pause and an end with notice are safer for
everybody: they need one signature and are in force at once. A higher price
waits `PERIOD_S` after it was announced.
"""

from dataclasses import dataclass

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue
from counterfoil_loyalty.rates import MAX_PRICE

NEVER = 2**40 - 1
"""An end that changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """A brand's points are worth another price: at most a fifth away, once a period."""

    token: Account
    price: int
    version: int

    def digest(self, venue: Venue) -> bytes:
        line = "PriceChange(address token,uint64 price,uint24 version)"
        return digest(venue.exchange_domain, line, self.values)

    @property
    def values(self) -> tuple[str, int, int]:
        """Give the fields in the order of the contract's struct."""
        return (self.token, self.price, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightening:
    """A brand makes a corridor safer. Each limit is "at most this".

    `by` is the signing brand's points, `sequence` the number of things that it
    signed before. `ends_at`, in unix seconds, keeps the agreed notice.
    """

    by: Account
    token_in: Account
    token_out: Account
    paused: bool
    sequence: int
    quota: int = MAX_PRICE
    customer_quota: int = MAX_PRICE
    credit: int = MAX_PRICE
    ends_at: int = NEVER

    def digest(self, venue: Venue) -> bytes:
        line = (
            "Tightening(address by,address from,address to,uint64 quota,uint64 customerQuota,"
            "uint64 credit,uint40 endsAt,bool paused,uint64 sequence)"
        )
        return digest(venue.exchange_domain, line, self.values)

    @property
    def values(self) -> tuple[str, str, str, int, int, int, int, bool, int]:
        """Give the fields in the order of the contract's struct."""
        return (
            self.by,
            self.token_in,
            self.token_out,
            self.quota,
            self.customer_quota,
            self.credit,
            self.ends_at,
            self.paused,
            self.sequence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangePause:
    """A brand closes all of its corridors for now, or opens them again."""

    token: Account
    paused: bool
    sequence: int

    def digest(self, venue: Venue) -> bytes:
        line = "Pause(address token,bool paused,uint64 sequence)"
        return digest(venue.exchange_domain, line, self.values)

    @property
    def values(self) -> tuple[str, bool, int]:
        """Give the fields in the order of the contract's struct."""
        return (self.token, self.paused, self.sequence)
