"""The ledger as a port: signed transactions go in, blocks of events come out.

    transaction = ledger.sign(action, sequence)   # stored by the relayer before it is sent
    ledger.send(transaction)                      # as often as one likes
    ledger.outcome(transaction)                   # None: not yet

`ChainLedger` (chain.py) is a chain; `MemoryLedger` (memory_ledger.py) is its
twin with the same rules, events and refusals. One test module runs on both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from counterfoil_credentials.errors import Reason

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.intents import Venue


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """Which chain this is: an outbox made for one must never be sent to another."""

    chain_id: int
    genesis: str
    exchange: Account

    @property
    def venue(self) -> Venue:
        return Venue(self.chain_id, self.exchange)


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """An action signed by the relayer as its transaction number `sequence`."""

    transaction_id: str
    sequence: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction. `reason` is None when it did what it says."""

    block: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one of our contracts, as the contract names it.

    `values` are texts and whole numbers; 32-byte values are 64 hex digits.
    """

    transaction_id: str
    index: int
    contract: Account
    name: str
    values: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Block:
    """One block: where it stands, when (unix seconds), and every event of our contracts in it."""

    number: int
    block_id: str
    parent_id: str
    at: int
    events: tuple[Event, ...]


class Ledger(Protocol):
    """Where points live."""

    @property
    def identity(self) -> LedgerIdentity: ...

    def check(self, action: Action) -> None:
        """Return only if the action would succeed now; raises `Refused`. Nothing changes."""
        ...

    def sign(self, action: Action, sequence: int) -> SignedTransaction: ...

    def send(self, transaction: SignedTransaction) -> None:
        """Hand over a transaction; one that is known already is no error."""
        ...

    def outcome(self, transaction: SignedTransaction) -> Outcome | None:
        """Give what became of it; None while nothing has."""
        ...

    def sequence(self) -> int:
        """Give the number of the relayer's transactions that are in blocks."""
        ...

    def head(self) -> int:
        """Give the newest block's number."""
        ...

    def time(self) -> int:
        """Give the newest block's time, in unix seconds."""
        ...

    def block(self, number: int) -> Block:
        """Give one block up to the head."""
        ...

    def balance(self, token: Account, account: Account) -> int:
        """Give base units held, read from the ledger itself."""
        ...

    def supply(self, token: Account) -> int:
        """Give base units in existence, read from the ledger itself."""
        ...


class BlockMaker(Protocol):
    """A ledger that makes its own blocks when told the time."""

    def make_block(self, now: int) -> bool:
        """Put waiting transactions into one block stamped `now` (unix seconds).

        At most one block a second, so that the chain's time never runs ahead.
        Gives False when nothing waits or this second has its block.
        """
        ...


class EmbeddedLedger(Ledger, BlockMaker, Protocol):
    """A ledger that lives in this process."""
