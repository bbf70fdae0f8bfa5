"""Points that go on with other code: how balances and refs move from one contract to the next.

    # from points of version 1: nobody's balance moves without its holder's signature
    handover = handover_of(policy_in_force, successor=token)     # signed by the admin there
    TakeOverPoints(succession, sign_by_brand(handover, venue, board), own_signature)
    CarryPoints(carry, sign_by_customer(carry, venue, customer))

    # from points of version 2: announced, then retired, then moved by anybody
    RetirePoints(retirement, signature)                                   # NOTICE_S before its end
    SucceedPoints(succession, signature)
    MovePoints(token, holders)

A contract never changes, so a brand goes on by other points, which start empty.
What they mint for a move was burned or locked in the points before, in the same
call; a ref that is consumed there is consumed here.
"""

from dataclasses import dataclass, replace
from typing import Final

from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue, authorization, intent_nonce
from counterfoil_loyalty.issuing import Policy
from counterfoil_loyalty.keccak import keccak256

NOTICE_S: Final = 30 * 86_400
"""How long before their end points are announced to be retired, at least."""

MAX_MOVED: Final = 100
"""Holders in one move: a quarter of what a block of 30 M gas would hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """A brand's points go on from `predecessor`, once and before any is awarded here."""

    token: Account
    predecessor: Account

    def digest(self, venue: Venue) -> bytes:
        """Give the digest that the admin of the new points signs."""
        line = "Succession(address predecessor)"
        return digest(venue.points_domain(self.token), line, (self.predecessor,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """A brand's points end at `ends_at` (unix seconds) in favour of `successor`."""

    token: Account
    successor: Account
    ends_at: int

    def digest(self, venue: Venue) -> bytes:
        """Give the digest that the admin signs."""
        line = "Retirement(address successor,uint40 endsAt)"
        return digest(venue.points_domain(self.token), line, (self.successor, self.ends_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Carry:
    """A customer takes `amount` base units along, once per `carry_id` (32 bytes of their choice).

    They are locked in `predecessor` for good and minted in `token`. `deadline` in unix seconds.
    """

    token: Account
    predecessor: Account
    holder: Account
    amount: int
    carry_id: bytes
    deadline: int

    @property
    def nonce(self) -> bytes:
        """Give the ERC-3009 nonce in the points before."""
        return intent_nonce(self.carry_id)

    @property
    def values(self) -> tuple[str, int, int, bytes]:
        """Give the arguments of the contract's call, but for the signature."""
        return (self.holder, self.amount, self.deadline, self.nonce)

    def digest(self, venue: Venue) -> bytes:
        """Give the digest that the holder signs: the points before ask for it."""
        return authorization(
            venue.points_domain(self.predecessor),
            holder=self.holder,
            spender=self.token,
            amount=self.amount,
            deadline=self.deadline,
            nonce=self.nonce,
        )

    def authorization(self, venue: Venue) -> bytes:
        """Give the digest that the holder signs: the wish is its own authorisation."""
        return self.digest(venue)


def handover_of(policy: Policy, successor: Account) -> Policy:
    """Give the last policy of points of version 1, whose admin signs it in their own domain.

    It leaves no key that awards and a bucket of nothing; expiry stays as it is, and
    what the policy's roots have reserved can still be claimed.
    """
    return replace(
        policy,
        admin=successor,
        issuer=successor,
        capacity=0,
        refill_s=1,
        is_paused=False,
        version=policy.version + 1,
    )


@dataclass(frozen=True, slots=True)
class RetirePoints:
    """The end of a brand's points is announced; signed by their admin."""

    retirement: Retirement
    signature: bytes

    @property
    def key(self) -> str:
        return f"retire {self.retirement.token} {self.retirement.ends_at}"

    def digest(self, venue: Venue) -> bytes:
        return self.retirement.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class SucceedPoints:
    """Points begin as the successor of retired ones; signed by the admin of the new."""

    succession: Succession
    signature: bytes

    @property
    def key(self) -> str:
        return f"succeed {self.succession.token}"

    def digest(self, venue: Venue) -> bytes:
        return self.succession.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class TakeOverPoints:
    """Points begin as the successor of others and end their issuing; signed by both admins.

    `handover` is by the admin of the points before, over `handover_of` their policy.
    """

    succession: Succession
    handover: bytes
    signature: bytes

    @property
    def key(self) -> str:
        return f"succeed {self.succession.token}"

    def digest(self, venue: Venue) -> bytes:
        return self.succession.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class CarryPoints:
    """A customer's points move from the points before; signed by the customer."""

    carry: Carry
    signature: bytes

    @property
    def key(self) -> str:
        return f"carry {self.carry.token} {self.carry.holder} {self.carry.carry_id.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.carry.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return replace(self.carry, deadline=0).digest(venue)


@dataclass(frozen=True, slots=True)
class MovePoints:
    """Whatever these accounts hold in the retired points moves; nobody signs.

    `attempt` is counted by whoever asks: an account that was sent points since moves again.
    """

    token: Account
    holders: tuple[Account, ...]
    attempt: int = 0

    def __post_init__(self) -> None:
        """Refuse what no block would hold."""
        if not 0 < len(self.holders) <= MAX_MOVED:
            raise Misuse(f"expected 1 to {MAX_MOVED} holders, found {len(self.holders)}")

    @property
    def key(self) -> str:
        named = keccak256(" ".join(self.holders).encode()).hex()
        return f"move {self.token} {named} {self.attempt}"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)
