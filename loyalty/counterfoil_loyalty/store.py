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
from counterfoil_loyalty.ledger import LedgerIdentity, Outcome, SignedTransaction
from counterfoil_loyalty.rates import Rate


@dataclass(frozen=True, slots=True)
class Placed:
    """One entry of the outbox. `outcome` is None until a block says what became of it."""

    key: str
    fingerprint: bytes
    transaction: SignedTransaction
    outcome: Outcome | None = None


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

    `kind` is awarded, exchanged, redeemed, refunded, expired or transferred;
    `reference` the 64 hex digits of the ref, intent or redemption id behind it, ""
    for what has none (a transfer, an expiry, a claim of what a root awards).
    `units` is below zero for points that left. For an exchange, `other_token`
    and `other_units` are the other side. `at` is in unix seconds.
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


@dataclass(frozen=True, slots=True)
class Head:
    """The last block that the projection has seen."""

    number: int
    block_id: str


@dataclass(frozen=True, slots=True)
class Projected:
    """What one block adds to the projection."""

    head: Head
    brands: tuple[Brand, ...] = ()
    corridors: tuple[Corridor, ...] = ()
    movements: tuple[Movement, ...] = ()


class PointsStore(Protocol):
    """The outbox and the projection. Each method is one transaction."""

    def bind(self, identity: LedgerIdentity) -> None:
        """Tie the store to one chain, the first time; ever after, refuse another.

        Raises `Misuse`: an outbox sent to another chain would award again.
        """
        ...

    def place(
        self, key: str, fingerprint: bytes, sign: Callable[[int], SignedTransaction], *, floor: int
    ) -> Placed:
        """Give the entry under `key`, made by signing with the next sequence when it is missing.

        The sequence is at least `floor`. The entry is on disk before this returns.
        """
        ...

    def placed(self, key: str) -> Placed | None: ...

    def waiting(self) -> Sequence[Placed]:
        """Give the entries without an outcome, in their sequence."""
        ...

    def close(self, outcomes: Mapping[str, Outcome]) -> None:
        """Record what became of entries, by key."""
        ...

    def head(self) -> Head | None: ...

    def record(self, projected: Projected) -> None:
        """Take in the block after the head."""
        ...

    def brands(self) -> Sequence[Brand]: ...

    def corridors(self) -> Sequence[Corridor]: ...

    def balances(self, account: Account) -> Mapping[Account, int]:
        """Give base units by token, for every token that the account ever had."""
        ...

    def supplies(self) -> Mapping[Account, int]: ...

    def history(self, account: Account, *, after: int, limit: int) -> Sequence[Movement]:
        """Give the account's movements in blocks above `after`, oldest first.

        At most `limit`, rounded up to whole blocks.
        """
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
        self._placed: dict[str, Placed] = {}
        self._head: Head | None = None
        self._brands: dict[Account, Brand] = {}
        self._corridors: dict[tuple[Account, Account], Corridor] = {}
        self._movements: list[Movement] = []

    def bind(self, identity: LedgerIdentity) -> None:
        with self._lock:
            if self._identity is None:
                self._identity = identity
            require_same_ledger(self._identity, identity)

    def place(
        self, key: str, fingerprint: bytes, sign: Callable[[int], SignedTransaction], *, floor: int
    ) -> Placed:
        with self._lock:
            if key not in self._placed:
                used = [entry.transaction.sequence for entry in self._placed.values()]
                self._placed[key] = Placed(key, fingerprint, sign(max([floor - 1, *used]) + 1))
            return self._placed[key]

    def placed(self, key: str) -> Placed | None:
        return self._placed.get(key)

    def waiting(self) -> Sequence[Placed]:
        with self._lock:
            open_entries = [entry for entry in self._placed.values() if entry.outcome is None]
            return sorted(open_entries, key=lambda entry: entry.transaction.sequence)

    def close(self, outcomes: Mapping[str, Outcome]) -> None:
        with self._lock:
            for key, outcome in outcomes.items():
                self._placed[key] = replace(self._placed[key], outcome=outcome)

    def head(self) -> Head | None:
        return self._head

    def record(self, projected: Projected) -> None:
        with self._lock:
            require_next(self._head, projected.head)
            self._head = projected.head
            self._brands |= {brand.token: brand for brand in projected.brands}
            self._corridors |= {(it.token_in, it.token_out): it for it in projected.corridors}
            self._movements += projected.movements

    def brands(self) -> Sequence[Brand]:
        return list(self._brands.values())

    def corridors(self) -> Sequence[Corridor]:
        return list(self._corridors.values())

    def balances(self, account: Account) -> Mapping[Account, int]:
        with self._lock:
            return sums(it for it in self._movements if it.account == account)

    def supplies(self) -> Mapping[Account, int]:
        with self._lock:
            return sums(self._movements)

    def history(self, account: Account, *, after: int, limit: int) -> Sequence[Movement]:
        with self._lock:
            mine = [it for it in self._movements if it.account == account and it.block > after]
        return whole_blocks(mine, limit)

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


def require_next(head: Head | None, block: Head) -> None:
    """Return only if `block` follows the head; a block counted twice would double balances."""
    expected = 0 if head is None else head.number + 1
    if block.number != expected:
        text = f"expected block {expected} next, found block {block.number}"
        raise Misuse(text)


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
