"""The ledger as a port: signed transactions go in, blocks of events come out.

    transaction = ledger.sign(action, sequence)   # stored by the relayer before it is sent
    ledger.send(transaction)                      # as often as one likes
    ledger.outcome(transaction)                   # None: not yet

`ChainLedger` (chain.py) is a chain; `MemoryLedger` (memory_ledger.py) is its
twin with the same rules, events and refusals. One test module runs on both.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from counterfoil_credentials.errors import Reason, Refused

from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.intents import Venue


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """Which chain this is: an outbox made for one must never be sent to another."""

    chain_id: int
    genesis: str
    exchange: Account
    # They follow from the exchange's own place, so that no outbox has to keep them.
    clearing: Account = field(default=NOBODY, compare=False)
    peer_swap: Account = field(default=NOBODY, compare=False)

    @property
    def venue(self) -> Venue:
        return Venue(self.chain_id, self.exchange, self.clearing, self.peer_swap)


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """An action signed by the relayer as its transaction number `sequence`."""

    transaction_id: str
    sequence: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction. `reason` is None when it did what it says.

    `block_id` says which block of that number it was, where there may be two.
    """

    block: int
    reason: Reason | None
    block_id: str = ""


@dataclass(frozen=True, slots=True)
class Cover:
    """What one brand owes another, and what stands behind it; in millionths of a unit.

    `owed` is below zero when the other owes it. A claim may grow up to `credit`
    and `reserve`, which is what the posted collateral covers.
    """

    owed: int
    credit: int
    reserve: int


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
    """Where points live. `local_ledger.py` has what a ledger in this process need not think of."""

    @property
    def identity(self) -> LedgerIdentity: ...

    @property
    def relayer(self) -> Account:
        """Give the account that sends: its transactions are numbered."""
        ...

    @property
    def makes_exchange(self) -> bool:
        """Tell whether this relayer's first transaction makes the exchange."""
        ...

    @property
    def opens_at(self) -> int:
        """Give the number of the transaction that makes it; those before made other programmes."""
        ...

    def look(self) -> None:
        """Begin a turn: find out where the ledger can be reached and what it asks."""
        ...

    def check(self, action: Action) -> None:
        """Return only if the action would succeed now; raises `Refused`. Nothing changes."""
        ...

    def check_all(self, actions: Sequence[Action]) -> Sequence[Refused | None]:
        """Give what `check` would raise for each, or None."""
        ...

    def sign(self, action: Action, sequence: int) -> SignedTransaction: ...

    def raised(self, transaction: SignedTransaction) -> SignedTransaction | None:
        """Give the same at a higher fee, under the same number; None above the highest fee."""
        ...

    def cancelled(self, transaction: SignedTransaction) -> SignedTransaction:
        """Give what takes the transaction's number and does nothing, at a higher fee."""
        ...

    def renumbered(self, transaction: SignedTransaction, sequence: int) -> SignedTransaction:
        """Give the same under another number."""
        ...

    def send(self, transaction: SignedTransaction) -> None:
        """Hand over a transaction; one that is known already is no error."""
        ...

    def send_all(self, transactions: Sequence[SignedTransaction]) -> None:
        """Hand over transactions in their sequence."""
        ...

    def outcome(self, transaction: SignedTransaction) -> Outcome | None:
        """Give what became of it; None while nothing has."""
        ...

    def outcomes(self, transactions: Sequence[SignedTransaction]) -> Sequence[Outcome | None]:
        """Give what became of each; see `outcome`."""
        ...

    def sequence(self) -> int:
        """Give the number of the relayer's transactions that are in blocks."""
        ...

    def final_sequence(self) -> int:
        """Give the number of the relayer's transactions that are in final blocks."""
        ...

    def head(self) -> int:
        """Give the newest block's number."""
        ...

    def final(self) -> int:
        """Give the number of the newest block that nothing can replace any more; -1 without one."""
        ...

    def block_id(self, number: int) -> str | None:
        """Give which block stands at `number` now; None above the head."""
        ...

    def time(self) -> int:
        """Give the newest block's time, in unix seconds."""
        ...

    def block(self, number: int) -> Block:
        """Give one block up to the head."""
        ...

    def final_blocks(self, first: int, last: int) -> Sequence[Block]:
        """Give blocks from `first` on, none above `last`, which must be final.

        Blocks without events may be left out, but the last one given says how
        far it went: it may be less far than asked.
        """
        ...

    def watch(self, contracts: Collection[Account]) -> None:
        """Say which contracts of ours are known already, so that their events are read."""
        ...

    def balance(self, token: Account, account: Account) -> int:
        """Give base units held, read from the ledger itself."""
        ...

    def supply(self, token: Account) -> int:
        """Give base units in existence, read from the ledger itself."""
        ...

    def cover(self, debtor: Account, creditor: Account) -> Cover:
        """Give what the brand of one token owes that of another, and what covers it."""
        ...

    def clearing_sequence(self, brand: Account) -> int:
        """Give the number of what a brand signs next about money in the clearing."""
        ...


@runtime_checkable
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
