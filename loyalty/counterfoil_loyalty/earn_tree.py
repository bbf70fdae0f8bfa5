"""One root for what everybody has earned: a Merkle tree of accounts and their totals.

    tree = EarnTree(totals)             # account -> base units earned since the beginning
    tree.root                           # what the brand posts, 32 bytes for any number of customers
    tree.proof(account)                 # what one customer's claim carries
    require_in(root, account, total, proof)

Leaves and pairs are hashed as OpenZeppelin's `MerkleProof` and merkle-tree
library do: a leaf is `keccak(keccak(abi.encode(account, total)))`, a pair is
hashed with its smaller half first. A leaf is hashed twice so that no inner
node can be shown as one (OpenZeppelin's GHSA-wprv-93r4-jj2p). Totals are
cumulative: a newer root replaces an older one, and nobody can claim twice.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from counterfoil_credentials.errors import Misuse, Reason, Refused

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.keccak import keccak256

MAX_PROOF = 64
"""Hashes in a proof: more than any tree that fits on a disk needs."""

_PAD = bytes(12)
_TOTAL_PAD = bytes(20)
"""A contract claims 96 bits: nobody could claim by a leaf of more."""


class EarnTree:
    """The tree over `totals`: base units by account, whole numbers below 2**96."""

    def __init__(self, totals: Mapping[Account, int]) -> None:
        if not totals:
            text = "expected at least one account with points, found none"
            raise Misuse(text)
        self._totals = totals
        # In the order of their hashes, neighbours say nothing about who joined when.
        leaves = sorted(earn_leaf(account, total) for account, total in totals.items())
        self._levels = [leaves]
        while len(self._levels[-1]) > 1:
            self._levels.append(_above(self._levels[-1]))

    @property
    def root(self) -> bytes:
        """Give the 32 bytes that stand for all totals."""
        return self._levels[-1][0]

    def proof(self, account: Account) -> tuple[bytes, ...]:
        """Give the hashes that lead from the account's leaf to the root.

        Raises `Refused` for an account that the tree does not know.
        """
        total = self._totals.get(account)
        if total is None:
            raise Refused(Reason("nothing-earned", "an account in the tree", "another", "account"))
        place = bisect_left(self._levels[0], earn_leaf(account, total))
        found: list[bytes] = []
        for level in self._levels[:-1]:
            beside = place ^ 1
            if beside < len(level):  # The last of an odd level goes up alone.
                found.append(level[beside])
            place //= 2
        return tuple(found)


def earn_leaf(account: Account, total: int) -> bytes:
    """Give the leaf of one account: the double hash of its words, as the contract computes it."""
    try:
        words = _PAD + bytes.fromhex(account[2:]) + _TOTAL_PAD + total.to_bytes(12, "big")
    except (OverflowError, ValueError) as cause:
        text = "expected an account and a whole number of base units below 2**96, found others"
        raise Misuse(text) from cause
    return keccak256(keccak256(words))


def require_in(root: bytes, account: Account, total: int, proof: Sequence[bytes]) -> None:
    """Return only if `root` stands for `account` having earned `total` base units in all.

    Raises `Refused` otherwise. The contract's check, for who wants to know before paying.
    """
    if len(proof) > MAX_PROOF or any(len(it) != 32 for it in proof):
        expected = f"at most {MAX_PROOF} hashes of 32 bytes"
        raise Refused(Reason("proof-invalid", expected, "others", "proof"))
    found = earn_leaf(account, total)
    for beside in proof:
        found = _pair(found, beside)
    if found != root:
        raise Refused(Reason("proof-invalid", "a proof of this total", "another's", "proof"))


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = len(level) - len(level) % 2
    hash_of = keccak256
    above = [
        hash_of(left + right if left < right else right + left)
        for left, right in zip(level[0:pairs:2], level[1:pairs:2], strict=True)
    ]
    above += level[pairs:]
    return above


def _pair(one: bytes, other: bytes) -> bytes:
    return keccak256(one + other if one < other else other + one)
