"""The HTTP bodies of awards by a root. Amounts, accounts and signatures as in schemas.py."""

from typing import Annotated

from pydantic import Field

from counterfoil_loyalty.earn_lists import MAX_LISTED
from counterfoil_loyalty.earn_tree import MAX_PROOF
from counterfoil_loyalty.points import MAX_UNITS
from counterfoil_loyalty.schemas import (
    AccountText,
    Body,
    BrandName,
    Hex32,
    Number64,
    Signature,
    Units,
)

_Total = Annotated[int, Field(strict=True, gt=0, le=MAX_UNITS * MAX_LISTED)]
_Totals = Annotated[dict[AccountText, Units], Field(min_length=1, max_length=MAX_LISTED)]
_Proof = Annotated[list[Hex32], Field(max_length=MAX_PROOF)]


class EarnRootBody(Body):
    """POST /earn-roots: signed by the brand's issuer; `totals` is the whole list, by account."""

    brand: BrandName
    root: Hex32
    epoch: Number64
    total: _Total
    totals: _Totals
    signature: Signature


class EarnClaimBody(Body):
    """POST /earn-claims: nobody signs, the proof does."""

    brand: BrandName
    account: AccountText
    total: Units
    proof: _Proof
