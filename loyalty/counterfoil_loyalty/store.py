"""What the points service remembers beside the ledger: its outbox and its projection.

The outbox holds every transaction that was ever signed, before it is sent. The
projection holds what the ledger's events add up to, so that reading a balance
asks no chain. The projection is rebuilt from the ledger when it is lost; with
the outbox goes the memory of what was refused, and of the ids of exchanges.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock
from typing import Protocol

from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.ledger import Event, LedgerIdentity, Outcome, SignedTransaction
from counterfoil_loyalty.pending_awards import (
    MOST_LISTED,
    PendingAward,
    PendingChange,
    state_of,
)
from counterfoil_loyalty.rates import Rate

CANCELLED = "cancelled"
"""The code of an outcome: the transaction was given up, and did nothing."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something to be placed in the outbox: `sign` makes its transaction for a number."""

    key: str
    fingerprint: bytes
    sign: Callable[[int], SignedTransaction]


@dataclass(frozen=True, slots=True)
class Placed:
    """One entry of the outbox. `outcome` is None until a block says what became of it.

    `transaction` is the one that is in a block, or else the newest that was
    signed; `earlier` are those under the same number that it was to replace.
    """

    key: str
    fingerprint: bytes
    transaction: SignedTransaction
    outcome: Outcome | None = None
    earlier: tuple[SignedTransaction, ...] = ()

    @property
    def attempts(self) -> tuple[SignedTransaction, ...]:
        """Give every transaction that may be in a block for this entry, oldest first."""
        return (*self.earlier, self.transaction)

    @property
    def was_cancelled(self) -> bool:
        """Tell whether it was given up before it did anything, so that it may be placed again."""
        reason = None if self.outcome is None else self.outcome.reason
        return reason is not None and reason.code == CANCELLED


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand's points, as everybody may see them. `price`: see rates.py."""

    brand: str
    name: str
    symbol: str
    token: Account
    issuer: Account
    price: int


@dataclass(frozen=True, slots=True)
class Corridor:
    """The terms in force from one brand's points to another's. `ends_at` in unix seconds."""

    token_in: Account
    token_out: Account
    rate: Rate
    version: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of one balance, and where it came from.

    `kind` is awarded, exchanged, redeemed, refunded, expired, moved or transferred;
    `reference` the 64 hex digits of the ref, intent, redemption id or authorisation
    behind it, "" for what has none (an expiry, a move, a claim of what a root awards).
    `units` is below zero for points that left. For an exchange, `other_token`
    and `other_units` are the other side; for a transfer, `other_account` is. `at` is
    in unix seconds. One that is not final may still be undone by the chain.
    """

    block: int
    index: int
    at: int
    transaction_id: str
    token: Account
    account: Account
    units: int
    kind: str
    reference: str
    other_token: Account | None = None
    other_units: int | None = None
    is_final: bool = True
    other_account: Account | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The last block that the projection has seen."""

    number: int
    block_id: str


@dataclass(frozen=True, slots=True)
class Projected:
    """What one block adds to the projection.

    `prices` are those that a token has from now on, `standing` the events by which
    brands changed what stands between them (standing.py). `first` is the number of the
    first block that it stands for, when those before it had nothing of ours; None
    when it stands for itself alone.
    """

    head: Head
    brands: tuple[Brand, ...] = ()
    corridors: tuple[Corridor, ...] = ()
    prices: tuple[tuple[Account, int], ...] = ()
    movements: tuple[Movement, ...] = ()
    standing: tuple[Event, ...] = ()
    first: int | None = None
    pending: tuple[PendingChange, ...] = ()


class PointsStore(Protocol):
    """The outbox and the projection. Each method is one transaction."""

    def bind(self, identity: LedgerIdentity) -> None:
        """Tie the store to one chain, the first time; ever after, refuse another.

        Raises `Misuse`: an outbox sent to another chain would award again.
        """
        ...

    def place(self, orders: Sequence[Order], *, relayer: Account, floor: int) -> Sequence[Placed]:
        """Give the entry under each order's key, made by signing when it is missing.

        Each new one is signed under the relayer's next number, which is at least
        `floor`; so is one whose transaction was cancelled. The number is taken and
        the transaction is on disk before this returns, both or neither.
        """
        ...

    def placed(self, key: str) -> Placed | None: ...

    def waiting(self, relayer: Account) -> Sequence[Placed]:
        """Give the relayer's entries without an outcome, in their sequence."""
        ...

    def attempt(self, key: str, transaction: SignedTransaction) -> None:
        """Keep another transaction under the same number for an entry without an outcome."""
        ...

    def renumber(
        self, key: str, sign: Callable[[int], SignedTransaction], *, relayer: Account, floor: int
    ) -> None:
        """Give an entry without an outcome the relayer's next number; its old one is lost."""
        ...

    def close(self, outcomes: Mapping[str, tuple[SignedTransaction, Outcome]]) -> None:
        """Record which transaction of an entry came into a block and what became of it, by key.

        Nothing is recorded that stands in a block which `record` has not taken in.
        """
        ...

    def head(self) -> Head | None: ...

    def final(self) -> int:
        """Give the number of the newest block taken in that nothing can undo; -1 without one."""
        ...

    def block_id(self, number: int) -> str | None:
        """Give which block was taken in, for numbers from `final` to the head."""
        ...

    def record(self, *blocks: Projected, final: int | None = None) -> None:
        """Take in the blocks after the head; those up to `final` (None: all) stay for good."""
        ...

    def roll_back(self, number: int) -> None:
        """Undo every block above `number`; what came into one of them waits again.

        Raises `Misuse` for a block that was final.
        """
        ...

    def brands(self) -> Sequence[Brand]: ...

    def corridors(self) -> Sequence[Corridor]: ...

    def standing(self) -> Sequence[Event]:
        """Give every event that changed what stands between brands, oldest first."""
        ...

    def balances(self, account: Account) -> Mapping[Account, int]:
        """Give base units by token, for every token that the account ever had."""
        ...

    def supplies(self) -> Mapping[Account, int]: ...

    def grown_since(self, since: int) -> Mapping[Account, int]:
        """Give by how much each supply grew after `since` (unix seconds); below zero: shrank."""
        ...

    def history(self, account: Account, *, after: int, limit: int) -> Sequence[Movement]:
        """Give the account's movements in blocks above `after`, oldest first.

        At most `limit`, rounded up to whole blocks.
        """
        ...

    def pending_awards(self, account: Account) -> Sequence[PendingAward]:
        """Give the newest `MOST_LISTED` awards to an account that wait or did, newest first."""
        ...

    def movements(self, transaction_id: str) -> Sequence[Movement]:
        """Give what one transaction moved."""
        ...

    def moved_for(self, kind: str, reference: str) -> Sequence[Movement]:
        """Give what was moved for one ref, intent or redemption id (64 hex digits)."""
        ...


class MemoryStore:
    """A `PointsStore` that forgets when the process ends."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._identity: LedgerIdentity | None = None
        self._placed: dict[str, tuple[Account, Placed]] = {}
        self._next: dict[Account, int] = {}
        self._blocks: list[Projected] = []
        self._final = -1

    def bind(self, identity: LedgerIdentity) -> None:
        with self._lock:
            if self._identity is None:
                self._identity = identity
            require_same_ledger(self._identity, identity)

    def place(self, orders: Sequence[Order], *, relayer: Account, floor: int) -> Sequence[Placed]:
        with self._lock:
            return [self._place(order, relayer, floor) for order in orders]

    def placed(self, key: str) -> Placed | None:
        with self._lock:
            return self._placed[key][1] if key in self._placed else None

    def waiting(self, relayer: Account) -> Sequence[Placed]:
        with self._lock:
            mine = [it for whose, it in self._placed.values() if whose == relayer]
        waiting = [entry for entry in mine if entry.outcome is None]
        return sorted(waiting, key=lambda entry: entry.transaction.sequence)

    def attempt(self, key: str, transaction: SignedTransaction) -> None:
        with self._lock:
            whose, entry = self._placed[key]
            if entry.outcome is None:
                require_same_number(entry, transaction)
                more = replace(entry, transaction=transaction, earlier=entry.attempts)
                self._placed[key] = (whose, more)

    def renumber(
        self, key: str, sign: Callable[[int], SignedTransaction], *, relayer: Account, floor: int
    ) -> None:
        with self._lock:
            entry = self._placed[key][1]
            if entry.outcome is None:
                transaction = self._sign(sign, relayer, floor)
                self._placed[key] = (relayer, Placed(key, entry.fingerprint, transaction))

    def close(self, outcomes: Mapping[str, tuple[SignedTransaction, Outcome]]) -> None:
        with self._lock:
            head = self.head()
            for key, (transaction, outcome) in outcomes.items():
                known = self.block_id(outcome.block)
                if is_taken_in(outcome, head, self._final, known):
                    whose, entry = self._placed[key]
                    done = Placed(key, entry.fingerprint, transaction, outcome)
                    rest = tuple(it for it in entry.attempts if it != transaction)
                    self._placed[key] = (whose, replace(done, earlier=rest))

    def head(self) -> Head | None:
        return self._blocks[-1].head if self._blocks else None

    def final(self) -> int:
        return self._final

    def block_id(self, number: int) -> str | None:
        with self._lock:
            found = (it.head.block_id for it in self._blocks if it.head.number == number)
            return next(found, None)

    def record(self, *blocks: Projected, final: int | None = None) -> None:
        with self._lock:
            for block in blocks:
                require_next(self.head(), block)
                self._blocks.append(block)
            self._final = max(self._final, newest_final(blocks, final))

    def roll_back(self, number: int) -> None:
        with self._lock:
            require_not_final(number, self._final)
            self._blocks = [it for it in self._blocks if it.head.number <= number]
            for key, (whose, entry) in self._placed.items():
                if entry.outcome is not None and entry.outcome.block > number:
                    self._placed[key] = (whose, replace(entry, outcome=None))

    def _place(self, order: Order, relayer: Account, floor: int) -> Placed:
        known = self.placed(order.key)
        if known is None or known.was_cancelled:
            transaction = self._sign(order.sign, relayer, floor)
            known = Placed(order.key, order.fingerprint, transaction)
            self._placed[order.key] = (relayer, known)
        return known

    def _sign(
        self, sign: Callable[[int], SignedTransaction], relayer: Account, floor: int
    ) -> SignedTransaction:
        sequence = max(floor, self._next.get(relayer, 0))
        transaction = sign(sequence)
        self._next[relayer] = sequence + 1
        return transaction

    @property
    def _movements(self) -> list[Movement]:
        with self._lock:
            return [
                replace(it, is_final=it.block <= self._final)
                for block in self._blocks
                for it in block.movements
            ]

    def brands(self) -> Sequence[Brand]:
        with self._lock:
            known = {it.token: it for block in self._blocks for it in block.brands}
            for token, price in (it for block in self._blocks for it in block.prices):
                known[token] = replace(known[token], price=price)
            return list(known.values())

    def corridors(self) -> Sequence[Corridor]:
        with self._lock:
            return newest([it for block in self._blocks for it in block.corridors])

    def standing(self) -> Sequence[Event]:
        with self._lock:
            return [it for block in self._blocks for it in block.standing]

    def balances(self, account: Account) -> Mapping[Account, int]:
        with self._lock:
            return sums(it for it in self._movements if it.account == account)

    def supplies(self) -> Mapping[Account, int]:
        with self._lock:
            return sums(self._movements)

    def grown_since(self, since: int) -> Mapping[Account, int]:
        with self._lock:
            return sums(it for it in self._movements if it.at > since)

    def history(self, account: Account, *, after: int, limit: int) -> Sequence[Movement]:
        with self._lock:
            mine = [it for it in self._movements if it.account == account and it.block > after]
        return whole_blocks(mine, limit)

    def pending_awards(self, account: Account) -> Sequence[PendingAward]:
        with self._lock:
            changes = [it for block in self._blocks for it in block.pending]
            given = {(it.token, it.reference) for it in self._movements if it.kind == "awarded"}
        cancelled = {(it.token, it.ref) for it in changes if it.award is None}
        mine = [it.award for it in changes if it.award is not None and it.award.account == account]
        return [
            replace(it, state=state_of((it.token, it.ref), cancelled=cancelled, given=given))
            for it in reversed(mine[-MOST_LISTED:])
        ]

    def movements(self, transaction_id: str) -> Sequence[Movement]:
        with self._lock:
            return [it for it in self._movements if it.transaction_id == transaction_id]

    def moved_for(self, kind: str, reference: str) -> Sequence[Movement]:
        with self._lock:
            named = (kind, reference)
            return [it for it in self._movements if (it.kind, it.reference) == named]


def require_same_ledger(known: LedgerIdentity, found: LedgerIdentity) -> None:
    """Return only if the store's ledger is the one at hand."""
    if known != found:
        text = (
            f"expected the chain {known.chain_id} that this outbox was made for, "
            f"found chain {found.chain_id} or another beginning of it"
        )
        raise Misuse(text)


def require_next(head: Head | None, block: Projected) -> None:
    """Return only if `block` follows the head; a block counted twice would double balances."""
    expected = 0 if head is None else head.number + 1
    first = block.head.number if block.first is None else block.first
    if first != expected or block.head.number < first:
        text = f"expected block {expected} next, found block {first}"
        raise Misuse(text)


def require_same_number(entry: Placed, transaction: SignedTransaction) -> None:
    """Return only if the transaction would take the entry's place, never come beside it."""
    expected, found = entry.transaction.sequence, transaction.sequence
    if found != expected:
        raise Misuse(f"expected another transaction under number {expected}, found {found}")


def require_not_final(number: int, final: int) -> None:
    """Return only if no final block is above `number`."""
    if number < final:
        text = (
            f"expected the chain to hold block {final}, which the outbox has taken in as final, "
            f"found it gone back to block {number}"
        )
        raise Misuse(text)


def newest_final(blocks: Sequence[Projected], final: int | None) -> int:
    """Give how far blocks that are taken in are final: no further than the last of them."""
    last = blocks[-1].head.number if blocks else -1
    return last if final is None else min(last, final)


def is_taken_in(outcome: Outcome, head: Head | None, final: int, known: str | None) -> bool:
    """Tell whether the outcome's block is one that was taken in; `known` is the one there."""
    if head is None or outcome.block > head.number:
        return False
    return outcome.block <= final or outcome.block_id in ("", known)


def newest(corridors: Iterable[Corridor]) -> list[Corridor]:
    """Give the terms in force of each pair: those with the highest version."""
    ordered = sorted(corridors, key=lambda it: it.version)
    return list({(it.token_in, it.token_out): it for it in ordered}.values())


def sums(movements: Iterable[Movement]) -> dict[Account, int]:
    """Add movements up by token: a transfer adds nothing, a mint and a burn do."""
    total: dict[Account, int] = {}
    for movement in movements:
        total[movement.token] = total.get(movement.token, 0) + movement.units
    return total


def whole_blocks(movements: Sequence[Movement], limit: int) -> Sequence[Movement]:
    """Cut after `limit` movements, but never inside a block."""
    if len(movements) <= limit:
        return movements
    last = movements[limit - 1].block
    return [movement for movement in movements if movement.block <= last]
