"""The rules of `Clearing` in memory: what brands owe each other, without money.

Collateral and payments in a stablecoin need that money's own contract, so they
are on the chain alone; here every collateral is nothing.
"""

from collections import defaultdict
from itertools import pairwise

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import AcknowledgePayment, NetClaims
from counterfoil_loyalty.intents import Venue
from counterfoil_loyalty.memory_points import Log, require, require_signed

LONGEST_CYCLE = 16

_Pair = tuple[Account, Account]


class MemoryClearing:
    """What the clearing stores, and what it allows."""

    def __init__(self) -> None:
        self.claims: defaultdict[_Pair, int] = defaultdict(int)  # of both directions
        self.credit: defaultdict[_Pair, int] = defaultdict(int)
        self.acknowledged: set[tuple[Account, bytes]] = set()

    def owed(self, debtor: Account, creditor: Account) -> int:
        """Give what is owed, below zero when it is the other way round."""
        return self.claims[debtor, creditor]

    def book(self, debtor: Account, creditor: Account, value: int, venue: Venue) -> Log:
        owed = self.owed(debtor, creditor) + value
        require(owed <= self.credit[debtor, creditor], "CreditExceeded")
        self._set(debtor, creditor, owed)
        values: dict[str, str | int] = {
            "debtor": debtor,
            "creditor": creditor,
            "value": value,
            "owed": owed,
        }
        return Log(venue.clearing, "Booked", values)

    def set_credit(self, pair: _Pair, credit: int, venue: Venue) -> list[Log]:
        if self.credit[pair] == credit:
            return []
        self.credit[pair] = credit
        values: dict[str, str | int] = {"debtor": pair[0], "creditor": pair[1], "credit": credit}
        return [Log(venue.clearing, "CreditSet", values)]

    def acknowledge(self, action: AcknowledgePayment, issuer: Account, venue: Venue) -> list[Log]:
        paid = action.paid
        require_signed(issuer, paid.digest(venue), action.signature, "InvalidBrandSignature")
        require((paid.creditor, paid.ref) not in self.acknowledged, "DuplicateAcknowledgement")
        self.acknowledged.add((paid.creditor, paid.ref))
        require(paid.value > 0, "NothingReceived")
        self._reduce(paid.debtor, paid.creditor, paid.value)
        values: dict[str, str | int] = {
            "debtor": paid.debtor,
            "creditor": paid.creditor,
            "ref": paid.ref.hex(),
            "value": paid.value,
        }
        return [Log(venue.clearing, "Acknowledged", values)]

    def net(self, action: NetClaims, venue: Venue) -> list[Log]:
        brands = action.brands
        require(3 <= len(brands) <= LONGEST_CYCLE, "NoCycle")
        edges = list(pairwise((*brands, brands[0])))
        value = min(self.owed(*edge) for edge in edges)
        require(value > 0, "NoCycle")
        for edge in edges:
            self._reduce(*edge, value)
        values: dict[str, str | int] = {"brands": " ".join(brands), "value": value}
        return [Log(venue.clearing, "Netted", values)]

    def _reduce(self, debtor: Account, creditor: Account, value: int) -> None:
        owed = self.owed(debtor, creditor)
        require(value <= owed, "MoreThanOwed")
        self._set(debtor, creditor, owed - value)

    def _set(self, debtor: Account, creditor: Account, owed: int) -> None:
        self.claims[debtor, creditor], self.claims[creditor, debtor] = owed, -owed
