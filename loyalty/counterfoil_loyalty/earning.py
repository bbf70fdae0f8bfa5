"""What roots award: a brand posts one for everybody, a customer claims with a proof.

    tree = EarnTree(totals)                                           # earn_tree.py
    root = EarnRoot(token=token, root=tree.root, epoch=7, total=sum(totals.values()))
    PostEarnRoot(root, sign_by_brand(root, venue, issuer))
    ClaimEarned(token, account, totals[account], tree.proof(account))

Totals are those since the beginning. The brand's policy names the contract
(`Policy.earn_roots`), and what a root adds comes out of the issuer's bucket.
"""

from dataclasses import dataclass

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.common_contracts import Common
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class EarnRoot:
    """A brand awards `total` base units in all, by the tree over `root`; `epoch` grows."""

    token: Account
    root: bytes
    epoch: int
    total: int

    def digest(self, venue: Venue) -> bytes:
        line = "EarnRoot(address token,bytes32 root,uint64 epoch,uint96 total)"
        return digest(Common.EARN_ROOTS.domain(venue), line, self.values)

    @property
    def values(self) -> tuple[str, bytes, int, int]:
        """Give the fields in the order of the contract's struct."""
        return (self.token, self.root, self.epoch, self.total)


@dataclass(frozen=True, slots=True)
class PostEarnRoot:
    """A root comes into force; signed by the brand's issuer."""

    root: EarnRoot
    signature: bytes

    contract = Common.EARN_ROOTS

    @property
    def key(self) -> str:
        return f"root {self.root.token} {self.root.epoch}"

    def digest(self, venue: Venue) -> bytes:
        return self.root.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        return "post", [self.root.values, self.signature]


@dataclass(frozen=True, slots=True)
class ClaimEarned:
    """Points that a root awards are minted; nobody signs, the proof does."""

    token: Account
    holder: Account
    total: int
    proof: tuple[bytes, ...]

    contract = Common.EARN_ROOTS

    @property
    def key(self) -> str:
        return f"claim {self.token} {self.holder} {self.total}"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)  # The same total by another root's proof is the same wish.

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        return "claim", [self.token, self.holder, self.total, list(self.proof)]
