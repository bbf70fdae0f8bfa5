"""What a ledger in this process need not think of: fees, other relayers, blocks that go back.

Its relayer is alone and pays what it likes, its blocks are final when they are
made, and asking it one thing after another costs no more than asking at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from counterfoil_credentials.errors import Misuse, Refused

from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.ledger import Block, Outcome, SignedTransaction


class LocalLedger(ABC):
    """The part of `Ledger` that follows from the rest where a ledger lives in this process."""

    makes_exchange = True
    opens_at = 0

    @property
    def relayer(self) -> Account:
        return NOBODY  # There is one, and nobody asks for its name.

    @abstractmethod
    def check(self, action: Action) -> None: ...

    @abstractmethod
    def send(self, transaction: SignedTransaction) -> None: ...

    @abstractmethod
    def outcome(self, transaction: SignedTransaction) -> Outcome | None: ...

    @abstractmethod
    def sequence(self) -> int: ...

    @abstractmethod
    def head(self) -> int: ...

    @abstractmethod
    def block(self, number: int) -> Block: ...

    def look(self) -> None:
        del self  # It is here, and asks nothing.

    def check_all(self, actions: Sequence[Action]) -> Sequence[Refused | None]:
        return [self._refused(action) for action in actions]

    def raised(self, transaction: SignedTransaction) -> SignedTransaction | None:
        return None

    def cancelled(self, transaction: SignedTransaction) -> SignedTransaction:
        raise Misuse("expected to wait for this ledger's own next block, found a cancellation")

    def renumbered(self, transaction: SignedTransaction, sequence: int) -> SignedTransaction:
        raise Misuse("expected one sender on this ledger, found a number that another took")

    def send_all(self, transactions: Sequence[SignedTransaction]) -> None:
        for transaction in transactions:
            self.send(transaction)

    def outcomes(self, transactions: Sequence[SignedTransaction]) -> Sequence[Outcome | None]:
        return [self.outcome(transaction) for transaction in transactions]

    def final_sequence(self) -> int:
        return self.sequence()

    def final(self) -> int:
        return self.head()

    def block_id(self, number: int) -> str | None:
        return self.block(number).block_id if number <= self.head() else None

    def final_blocks(self, first: int, last: int) -> Sequence[Block]:
        return [self.block(first)]

    def watch(self, contracts: Collection[Account]) -> None:
        del contracts  # Every event of this ledger is read anyway.

    def _refused(self, action: Action) -> Refused | None:
        try:
            self.check(action)
        except Refused as refusal:
            return refusal
        return None
