"""Points that go on as others, on one ledger: what brand and customer sign for it."""

from dataclasses import dataclass, field

from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.actions import Action, AwardPoints
from counterfoil_loyalty.intents import Award, Venue, sign_by_brand, sign_by_customer
from counterfoil_loyalty.issuing import Policy
from counterfoil_loyalty.succession import (
    Carry,
    CarryPoints,
    Retirement,
    RetirePoints,
    SucceedPoints,
    Succession,
    TakeOverPoints,
    handover_of,
)


@dataclass
class Successors:
    """A brand whose points go on from `old` to `new`, both under `board`."""

    venue: Venue
    board: PointsSigner
    old: Account
    new: Account
    policy: Policy = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the policy that points have before any other."""
        account = self.board.account
        self.policy = Policy(token=self.old, admin=account, issuer=account, version=0)

    def retire(
        self, ends_at: int, *, successor: Account | None = None, signer: PointsSigner | None = None
    ) -> RetirePoints:
        it = Retirement(token=self.old, successor=successor or self.new, ends_at=ends_at)
        return RetirePoints(it, sign_by_brand(it, self.venue, signer or self.board))

    def succeed(self, *, signer: PointsSigner | None = None) -> SucceedPoints:
        it = self._succession()
        return SucceedPoints(it, sign_by_brand(it, self.venue, signer or self.board))

    def take_over(
        self, *, admin: PointsSigner | None = None, signer: PointsSigner | None = None
    ) -> TakeOverPoints:
        it = self._succession()
        last = handover_of(self.policy, self.new)
        handover = sign_by_brand(last, self.venue, admin or self.board)
        return TakeOverPoints(it, handover, sign_by_brand(it, self.venue, signer or self.board))

    def carry(
        self,
        holder: PointsSigner,
        amount: int,
        number: int = 1,
        *,
        deadline: int = 2**40 - 1,
        signer: PointsSigner | None = None,
    ) -> CarryPoints:
        it = Carry(
            token=self.new,
            predecessor=self.old,
            holder=holder.account,
            amount=amount,
            carry_id=number.to_bytes(32, "big")[::-1],
            deadline=deadline,
        )
        return CarryPoints(it, sign_by_customer(it, self.venue, signer or holder))

    def _succession(self) -> Succession:
        return Succession(token=self.new, predecessor=self.old)


def awarding(
    venue: Venue, issuer: PointsSigner, token: Account, to: Account, *, amount: int, ref: bytes
) -> Action:
    """Give an award by the issuer of any points."""
    award = Award(token=token, to=to, amount=amount, ref=ref)
    return AwardPoints(award, sign_by_brand(award, venue, issuer))
