"""The notary behind a custodian's anchor: the roots stand on the chain, the batches beside it.

    anchor = NotaryAnchor(FileAnchor(folder), signer, ledger, submit=send_and_wait)
    Anchoring(anchor, salts, clock=..., random=...)

It has the shape of the anchor port of consent and imports nothing of it: leaves
and batches pass through to the anchor within, the root of each batch goes to the
notary, and `roots` are those of the chain alone. A root that the chain has not
taken, because it was away or the process died, goes there before the next one.

`signer` should be a key for nothing else: its account is what an observer sees.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Generic, Protocol, TypeVar

from counterfoil_credentials.errors import Reason, Refused, Unavailable

from counterfoil_loyalty.accounts import Account, Signer
from counterfoil_loyalty.common_contracts import Common, account_of
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.ledger import Block, LedgerIdentity, Outcome
from counterfoil_loyalty.notary import NO_ROOT, AnchoredRoot, AnchorRoot


class Rooted(Protocol):
    """A batch: everything that one interval published."""

    @property
    def number(self) -> int: ...

    @property
    def root(self) -> bytes: ...


BatchT = TypeVar("BatchT", bound=Rooted)
OpeningT = TypeVar("OpeningT")


class Anchor(Protocol[BatchT, OpeningT]):
    """Where batches stand and leaves wait, as consent's anchor port has it."""

    def wait(self, leaf: bytes, opening: OpeningT | None) -> None: ...

    def waiting(self) -> tuple[list[bytes], list[OpeningT]]: ...

    def publish(self, batch: BatchT) -> BatchT: ...

    def roots(self) -> dict[int, bytes]: ...

    def batch(self, number: int) -> BatchT | None: ...


class Blocks(Protocol):
    """What is read of a ledger."""

    @property
    def identity(self) -> LedgerIdentity: ...

    def head(self) -> int: ...

    def final(self) -> int: ...

    def block(self, number: int) -> Block: ...


class NotaryAnchor(Generic[BatchT, OpeningT]):
    """An anchor whose roots are on the chain. `submit` gives what became of an action."""

    def __init__(
        self,
        within: Anchor[BatchT, OpeningT],
        signer: Signer,
        ledger: Blocks,
        *,
        submit: Callable[[AnchorRoot], Outcome],
    ) -> None:
        self._within = within
        self._signer = signer
        self._ledger = ledger
        self._submit = submit
        self._read = NotaryRoots(ledger, signer.account)
        self._lock = Lock()

    def wait(self, leaf: bytes, opening: OpeningT | None) -> None:
        self._within.wait(leaf, opening)

    def waiting(self) -> tuple[list[bytes], list[OpeningT]]:
        return self._within.waiting()

    def publish(self, batch: BatchT) -> BatchT:
        """Publish the batch, and have its root on the chain when this returns.

        Gives what stands under the number. Raises `Unavailable` when the chain did
        not take it: the batch is kept, and the next call goes on from there.
        """
        with self._lock:
            known = self._within.batch(batch.number)
            # Published before a crash, or while the chain was away: what was drawn first counts.
            published = self._within.publish(batch) if known is None else known
            for number, root in sorted(self._within.roots().items()):
                if number > self._read.last():
                    self._anchor(number, root)
            return published

    def roots(self) -> dict[int, bytes]:
        """Give every root by its number, as the chain has them.

        Raises `Refused` with `roots-broken` where a batch's root here is another there.
        """
        with self._lock:
            on_chain = dict(self._read.roots())
            for number, root in self._within.roots().items():
                if on_chain.get(number, root) != root:
                    raise Refused(
                        Reason("roots-broken", "the root that the chain has", "another", "roots")
                    )
            return on_chain

    def batch(self, number: int) -> BatchT | None:
        return self._within.batch(number)

    def _anchor(self, number: int, root: bytes) -> None:
        it = AnchoredRoot(
            issuer=self._signer.account, number=number, root=root, previous=self._read.head()
        )
        venue = self._ledger.identity.venue
        outcome = self._submit(AnchorRoot(it, sign_by_brand(it, venue, self._signer)))
        if outcome.reason is not None:
            text = f"expected the notary to take a root, found it refused: {outcome.reason.code}"
            raise Unavailable(text)


class NotaryRoots:
    """One issuer's roots, read from the notary's events; each final block is read once."""

    def __init__(self, ledger: Blocks, issuer: Account) -> None:
        self._ledger = ledger
        self._issuer = issuer
        self._notary = account_of(Common.NOTARY)
        self._next = 0
        self._final: dict[int, bytes] = {}
        self._final_head = NO_ROOT

    def roots(self) -> Mapping[int, bytes]:
        """Give the roots by number, in order."""
        return self._read()[0]

    def last(self) -> int:
        """Give the number of the last root, -1 before the first."""
        return max(self.roots(), default=-1)

    def head(self) -> bytes:
        """Give the head of the issuer's chain of roots."""
        return self._read()[1]

    def _read(self) -> tuple[Mapping[int, bytes], bytes]:
        head = self._ledger.head()
        final = min(self._ledger.final(), head)
        for number in range(self._next, final + 1):
            self._final_head = self._taken(number, self._final, self._final_head)
        self._next = max(self._next, final + 1)
        # What the chain may still take back is read anew.
        roots, last = dict(self._final), self._final_head
        for number in range(self._next, head + 1):
            last = self._taken(number, roots, last)
        return roots, last

    def _taken(self, number: int, roots: dict[int, bytes], head: bytes) -> bytes:
        """Add the roots of a block, and give the head behind them."""
        for event in self._ledger.block(number).events:
            if (event.contract, event.name) != (self._notary, "Anchored"):
                continue
            if event.values["issuer"] == self._issuer:
                roots[int(event.values["number"])] = bytes.fromhex(str(event.values["root"]))
                head = bytes.fromhex(str(event.values["head"]))
        return head
