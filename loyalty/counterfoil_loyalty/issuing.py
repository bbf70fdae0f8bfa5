"""What a brand signs about its points beside a single award: batches, returns, and who may sign.

    policy = Policy(token=..., admin=board, issuer=hot_key, capacity=10**8, refill_s=DAY, version=1)
    signature = sign_by_brand(policy, venue, board_signer)

The issuer's key is hot and may be stolen: it awards no more than its bucket
holds. The admin's is cold: it replaces the issuer. Neither reaches a balance.
"""

from dataclasses import dataclass

from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue

UNLIMITED = 2**96 - 1
"""A bucket of this capacity is no limit: so it is until a policy says otherwise."""

MAX_BATCH = 500
"""Awards in one batch: half of what a block of 30 M gas would hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwardBatch:
    """A brand gives base units to many accounts at once, once per `ref` (32 bytes)."""

    token: Account
    awards: tuple[tuple[Account, int], ...]
    ref: bytes

    def __post_init__(self) -> None:
        """Refuse what no block would hold."""
        if not 0 < len(self.awards) <= MAX_BATCH:
            text = f"expected 1 to {MAX_BATCH} awards, found {len(self.awards)}"
            raise Misuse(text)
        if not all(0 <= amount <= UNLIMITED for _, amount in self.awards):
            raise Misuse("expected amounts of 96 bits, found one outside")

    def digest(self, venue: Venue) -> bytes:
        line = "AwardBatch(uint256[] awards,bytes32 ref)"
        return digest(venue.points_domain(self.token), line, (self.words, self.ref))

    @property
    def words(self) -> tuple[int, ...]:
        """Give each award as the contract reads it: the amount above 160 bits of account."""
        return tuple(amount << 160 | int(account, 16) for account, amount in self.awards)

    @property
    def total(self) -> int:
        return sum(amount for _, amount in self.awards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """A brand takes back a pending award before it is available."""

    token: Account
    ref: bytes

    def digest(self, venue: Venue) -> bytes:
        return digest(venue.points_domain(self.token), "Cancel(bytes32 ref)", (self.ref,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A brand gives back what was redeemed, once per redemption."""

    token: Account
    holder: Account
    redemption_id: bytes

    def digest(self, venue: Venue) -> bytes:
        line = "Refund(address holder,bytes32 id)"
        return digest(venue.points_domain(self.token), line, (self.holder, self.redemption_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A brand stops its awards at once; `version` is that of the policy in force."""

    token: Account
    version: int

    def digest(self, venue: Venue) -> bytes:
        return digest(venue.points_domain(self.token), "Pause(uint40 version)", (self.version,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may award a brand's points, and how many: replaced as a whole, signed by the admin.

    The issuer's bucket holds `capacity` base units and fills in `refill_s`
    seconds. Points expire after `inactivity_s` without activity, 0 for never;
    once something was earned that may only lengthen. `version` grows.
    """

    token: Account
    admin: Account
    issuer: Account
    version: int
    earn_roots: Account = NOBODY
    capacity: int = UNLIMITED
    refill_s: int = 0
    inactivity_s: int = 0
    is_paused: bool = False

    def digest(self, venue: Venue) -> bytes:
        line = (
            "Policy(address admin,address issuer,address earnRoots,uint96 capacity,"
            "uint24 refill,uint40 inactivity,bool paused,uint40 version)"
        )
        return digest(venue.points_domain(self.token), line, self.values)

    @property
    def values(self) -> tuple[str, str, str, int, int, int, bool, int]:
        """Give the fields in the order of the contract's struct."""
        return (
            self.admin,
            self.issuer,
            self.earn_roots,
            self.capacity,
            self.refill_s,
            self.inactivity_s,
            self.is_paused,
            self.version,
        )
