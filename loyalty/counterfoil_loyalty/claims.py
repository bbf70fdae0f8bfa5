"""What a brand signs about what it owes and is owed.

A brand is named by its points; values are millionths of one unit of the
settlement currency. Money itself (collateral, payments in a stablecoin) moves
in the contract `Clearing` only; what stands here is the word of a brand.
"""

from dataclasses import dataclass

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A creditor was paid outside the chain, under `ref` (32 bytes, used once)."""

    debtor: Account
    creditor: Account
    value: int
    ref: bytes

    def digest(self, venue: Venue) -> bytes:
        line = "Acknowledgement(address debtor,address creditor,uint256 value,bytes32 ref)"
        return digest(venue.clearing_domain, line, self.values)

    @property
    def values(self) -> tuple[str, str, int, bytes]:
        """Give the fields in the order of the contract's struct."""
        return (self.debtor, self.creditor, self.value, self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A creditor takes a stablecoin (`asset`), or takes it no longer."""

    creditor: Account
    asset: Account
    decimals: int
    accepted: bool
    sequence: int

    def digest(self, venue: Venue) -> bytes:
        line = (
            "Acceptance(address creditor,address asset,uint8 decimals,"
            "bool accepted,uint64 sequence)"
        )
        return digest(venue.clearing_domain, line, self.values)

    @property
    def values(self) -> tuple[str, str, int, bool, int]:
        """Give the fields in the order of the contract's struct."""
        return (self.creditor, self.asset, self.decimals, self.accepted, self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A debtor takes back free collateral: `amount` base units of its asset."""

    debtor: Account
    creditor: Account
    amount: int
    sequence: int

    def digest(self, venue: Venue) -> bytes:
        line = "Withdrawal(address debtor,address creditor,uint256 amount,uint64 sequence)"
        return digest(venue.clearing_domain, line, self.values)

    @property
    def values(self) -> tuple[str, str, int, int]:
        """Give the fields in the order of the contract's struct."""
        return (self.debtor, self.creditor, self.amount, self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A creditor takes from collateral what is owed to it beyond the credit."""

    debtor: Account
    creditor: Account
    value: int
    sequence: int

    def digest(self, venue: Venue) -> bytes:
        line = "Draw(address debtor,address creditor,uint256 value,uint64 sequence)"
        return digest(venue.clearing_domain, line, self.values)

    @property
    def values(self) -> tuple[str, str, int, int]:
        """Give the fields in the order of the contract's struct."""
        return (self.debtor, self.creditor, self.value, self.sequence)
