"""The HTTP bodies of what brands sign about money in the clearing; as in brand_bodies.py."""

from counterfoil_loyalty.accounts import account_from
from counterfoil_loyalty.actions import AcceptMoney, DrawCollateral, WithdrawCollateral
from counterfoil_loyalty.brand_bodies import TokenOf
from counterfoil_loyalty.claims import Acceptance, Draw, Withdrawal
from counterfoil_loyalty.schemas import (
    AccountText,
    Body,
    BrandName,
    Count,
    Decimals,
    Flag,
    Signature,
    Value,
)


class AcceptanceBody(Body):
    """POST /acceptances: signed by the creditor; which stablecoin pays what it is owed."""

    creditor: BrandName
    asset: AccountText
    decimals: Decimals
    accepted: Flag
    sequence: Count
    signature: Signature

    def action(self, token: TokenOf) -> AcceptMoney:
        acceptance = Acceptance(
            creditor=token(self.creditor),
            asset=account_from(self.asset, "asset"),
            decimals=self.decimals,
            accepted=self.accepted,
            sequence=self.sequence,
        )
        return AcceptMoney(acceptance, bytes.fromhex(self.signature))


class WithdrawalBody(Body):
    """POST /withdrawals: signed by the debtor; collateral that covers nothing goes back."""

    debtor: BrandName
    creditor: BrandName
    amount: Value
    sequence: Count
    signature: Signature

    def action(self, token: TokenOf) -> WithdrawCollateral:
        withdrawal = Withdrawal(
            debtor=token(self.debtor),
            creditor=token(self.creditor),
            amount=self.amount,
            sequence=self.sequence,
        )
        return WithdrawCollateral(withdrawal, bytes.fromhex(self.signature))


class DrawBody(Body):
    """POST /draws: signed by the creditor; collateral pays what is owed beyond the credit."""

    debtor: BrandName
    creditor: BrandName
    value: Value
    sequence: Count
    signature: Signature

    def action(self, token: TokenOf) -> DrawCollateral:
        draw = Draw(
            debtor=token(self.debtor),
            creditor=token(self.creditor),
            value=self.value,
            sequence=self.sequence,
        )
        return DrawCollateral(draw, bytes.fromhex(self.signature))
