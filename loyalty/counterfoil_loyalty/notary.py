"""What is written where nobody can change it: roots by number, and recalls.

    root = AnchoredRoot(issuer=account, number=7, root=tree_root, previous=head)
    AnchorRoot(root, sign_by_brand(root, venue, signer))

Each issuer has a chain of roots. `previous` is its head, so that a signature is
for one place: no second root at a number, no order but the one that was signed.
"""

from dataclasses import dataclass

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.common_contracts import Common
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue
from counterfoil_loyalty.keccak import keccak256

NO_ROOT = bytes(32)
"""The head of a chain of roots before its first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoredRoot:
    """An issuer's root of the interval `number`, after the chain that ends with `previous`."""

    issuer: Account
    number: int
    root: bytes
    previous: bytes

    def digest(self, venue: Venue) -> bytes:
        line = "Root(address issuer,bytes32 root,uint64 number,bytes32 previous)"
        values = (self.issuer, self.root, self.number, self.previous)
        return digest(Common.NOTARY.domain(venue), line, values)

    @property
    def head(self) -> bytes:
        """Give the head of the chain that ends with this root."""
        return keccak256(self.previous + self.number.to_bytes(32, "big") + self.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """An issuer recalls a production batch (32 bytes, salted); `notice` is the notice's hash.

    `round` counts the openings and closings of this batch from one: it is odd here.
    """

    issuer: Account
    batch: bytes
    notice: bytes
    severity: int
    round: int

    def digest(self, venue: Venue) -> bytes:
        line = "Recall(address issuer,bytes32 batch,bytes32 notice,uint8 severity,uint64 round)"
        values = (self.issuer, self.batch, self.notice, self.severity, self.round)
        return digest(Common.NOTARY.domain(venue), line, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallEnd:
    """An issuer closes a recall; `round` is even here."""

    issuer: Account
    batch: bytes
    notice: bytes
    round: int

    def digest(self, venue: Venue) -> bytes:
        line = "RecallEnd(address issuer,bytes32 batch,bytes32 notice,uint64 round)"
        values = (self.issuer, self.batch, self.notice, self.round)
        return digest(Common.NOTARY.domain(venue), line, values)


@dataclass(frozen=True, slots=True)
class AnchorRoot:
    """A root is anchored; signed by its issuer."""

    root: AnchoredRoot
    signature: bytes

    contract = Common.NOTARY

    @property
    def key(self) -> str:
        return f"anchor {self.root.issuer} {self.root.number}"

    def digest(self, venue: Venue) -> bytes:
        return self.root.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        it = self.root
        return "anchor", [it.issuer, it.number, it.root, self.signature]


@dataclass(frozen=True, slots=True)
class OpenRecall:
    """A recall is opened; signed by its issuer."""

    recall: Recall
    signature: bytes

    contract = Common.NOTARY

    @property
    def key(self) -> str:
        return f"recall {self.recall.issuer} {self.recall.batch.hex()} {self.recall.round}"

    def digest(self, venue: Venue) -> bytes:
        return self.recall.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        it = self.recall
        arguments: list[object] = [
            it.issuer,
            it.batch,
            it.notice,
            it.severity,
            it.round,
            self.signature,
        ]
        return "openRecall", arguments


@dataclass(frozen=True, slots=True)
class CloseRecall:
    """A recall is closed; signed by its issuer."""

    end: RecallEnd
    signature: bytes

    contract = Common.NOTARY

    @property
    def key(self) -> str:
        return f"recall {self.end.issuer} {self.end.batch.hex()} {self.end.round}"

    def digest(self, venue: Venue) -> bytes:
        return self.end.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        it = self.end
        return "closeRecall", [it.issuer, it.batch, it.notice, it.round, self.signature]
