"""The HTTP bodies of refund guarantees, and the guarantee that each names."""

from typing import Annotated

from pydantic import Field

from counterfoil_loyalty.accounts import Account, account_from
from counterfoil_loyalty.guarantee import Guarantee
from counterfoil_loyalty.schemas import AccountText, Body, BrandName, Hex32, Signature, Time, Units

_Statement = Annotated[str, Field(pattern="^([0-9a-f]{130})?$")]


class GuaranteeBody(Body):
    """A guarantee by all its fields: together they are its name."""

    brand: BrandName
    amount: Units
    funder: AccountText
    customer: AccountText
    attester: AccountText
    fund_before: Time
    deadline: Time
    salt: Hex32

    def guarantee(self, token: Account) -> Guarantee:
        return Guarantee(
            token=token,
            amount=self.amount,
            funder=account_from(self.funder, "funder"),
            customer=account_from(self.customer, "customer"),
            attester=account_from(self.attester, "attester"),
            fund_before=self.fund_before,
            deadline=self.deadline,
            salt=bytes.fromhex(self.salt),
        )


class OpeningBody(GuaranteeBody):
    """POST /guarantees: signed by the funder."""

    signature: Signature


class FulfilmentBody(GuaranteeBody):
    """POST /guarantees/fulfilments: `statement` is the attester's."""

    statement: Signature


class GuaranteeRefundBody(GuaranteeBody):
    """POST /guarantees/refunds: with the attester's statement before the deadline, "" after."""

    statement: _Statement = ""
