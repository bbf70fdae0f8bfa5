"""A refund that needs nobody's good will: money set aside until a promise is kept, or is not.

    it = Guarantee(token=..., amount=..., funder=..., customer=..., attester=..., ...)
    OpenGuarantee(it, funder.sign(it.authorization(venue)))
    FulfilGuarantee(it, attester.sign(it.statement(venue, kept=True)))     # back to the funder
    RefundGuarantee(it)                                # to the customer, once the time is over

Only one of the two ends happens. Anybody sends either.
"""

from dataclasses import dataclass

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.common_contracts import Common, account_of
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue, authorization, intent_nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """`amount` base units of `token` are the customer's, unless the attester says "kept" in time.

    `fund_before` and `deadline` are in unix seconds; `salt` is 32 bytes, so that
    two equal guarantees differ.
    """

    token: Account
    amount: int
    funder: Account
    customer: Account
    attester: Account
    fund_before: int
    deadline: int
    salt: bytes

    def digest(self, venue: Venue) -> bytes:
        """Give the guarantee's name: its hash."""
        line = (
            "Guarantee(address token,uint256 amount,address funder,address customer,"
            "address attester,uint256 fundBefore,uint256 deadline,bytes32 salt)"
        )
        return digest(Common.GUARANTEE.domain(venue), line, self.values)

    def authorization(self, venue: Venue) -> bytes:
        """Give the digest that the funder signs, where the token is a brand's points."""
        return authorization(
            venue.points_domain(self.token),
            holder=self.funder,
            spender=account_of(Common.GUARANTEE),
            amount=self.amount,
            deadline=self.fund_before,
            nonce=intent_nonce(self.digest(venue)),
        )

    def statement(self, venue: Venue, *, kept: bool) -> bytes:
        """Give the digest that the attester signs."""
        line = "Statement(bytes32 guarantee,bool kept)"
        return digest(Common.GUARANTEE.domain(venue), line, (self.digest(venue), kept))

    @property
    def values(self) -> tuple[str, int, str, str, str, int, int, bytes]:
        """Give the fields in the order of the contract's struct."""
        return (
            self.token,
            self.amount,
            self.funder,
            self.customer,
            self.attester,
            self.fund_before,
            self.deadline,
            self.salt,
        )


@dataclass(frozen=True, slots=True)
class OpenGuarantee:
    """Money is set aside; signed by the funder."""

    guarantee: Guarantee
    signature: bytes

    contract = Common.GUARANTEE

    @property
    def key(self) -> str:
        return f"guarantee {self.guarantee.funder} {self.guarantee.salt.hex()}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.guarantee.digest(venue)

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        return "open", [self.guarantee.values, self.signature]


@dataclass(frozen=True, slots=True)
class FulfilGuarantee:
    """The money goes back to the funder; signed by the attester."""

    guarantee: Guarantee
    statement: bytes

    contract = Common.GUARANTEE

    @property
    def key(self) -> str:
        return f"fulfil {self.guarantee.funder} {self.guarantee.salt.hex()}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.guarantee.digest(venue)

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        return "fulfil", [self.guarantee.values, self.statement]


@dataclass(frozen=True, slots=True)
class RefundGuarantee:
    """The money goes to the customer; the attester signs before the deadline, nobody after."""

    guarantee: Guarantee
    statement: bytes = b""

    contract = Common.GUARANTEE

    @property
    def key(self) -> str:
        by = "statement" if self.statement else "deadline"
        return f"guarantee refund by {by} {self.guarantee.funder} {self.guarantee.salt.hex()}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.guarantee.digest(venue)

    @property
    def call(self) -> tuple[str, list[object]]:
        """Give the contract's function and its arguments."""
        return "refund", [self.guarantee.values, self.statement]
