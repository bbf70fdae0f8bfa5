"""The HTTP bodies of the points service.

Amounts are whole base units (a hundredth of a point), times unix seconds,
32-byte values 64 hex digits, signatures 130. Brands are named as the protocol
names them (`https://audio.example`); accounts are opaque.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from counterfoil_loyalty.points import MAX_UNITS
from counterfoil_loyalty.programme_rules import Use
from counterfoil_loyalty.rates import MAX_PRICE

BrandName = Annotated[str, Field(min_length=1, max_length=256)]
AccountText = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]
Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Signature = Annotated[str, Field(pattern="^[0-9a-f]{130}$")]
Units = Annotated[int, Field(strict=True, gt=0, le=MAX_UNITS)]
Limit = Annotated[int, Field(strict=True, ge=0, le=MAX_PRICE)]
Number64 = Annotated[int, Field(strict=True, gt=0, le=MAX_PRICE)]

FromBrand = Annotated[BrandName, Field(alias="from")]
ToBrand = Annotated[BrandName, Field(alias="to")]
Flag = Annotated[bool, Field(strict=True)]
Decimals = Annotated[int, Field(strict=True, ge=6, le=24)]
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_PRICE)]
Time = Annotated[int, Field(strict=True, ge=0, lt=2**40)]
Version24 = Annotated[int, Field(strict=True, gt=0, lt=2**24)]
Version32 = Annotated[int, Field(strict=True, gt=0, lt=2**32)]
Version40 = Annotated[int, Field(strict=True, ge=0, lt=2**40)]
Value = Annotated[int, Field(strict=True, gt=0, lt=2**127)]
Capacity = Annotated[int, Field(strict=True, ge=0, lt=2**96)]
Refill = Annotated[int, Field(strict=True, ge=0, lt=2**24)]
Cycle = Annotated[list[BrandName], Field(min_length=3, max_length=16)]
# What fits beside the bound of a body; `issuing.MAX_BATCH` is above it.
Awards = Annotated[list[tuple[AccountText, Units]], Field(min_length=1, max_length=150)]


class Body(BaseModel):
    """A body with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RegistrationBody(Body):
    """POST /brands: signed by `issuer`, sent by the operator of the service."""

    brand: BrandName
    name: Annotated[str, Field(min_length=1, max_length=64)]
    symbol: Annotated[str, Field(min_length=1, max_length=12)]
    issuer: AccountText
    price: Number64
    signature: Signature


class TermsBody(Body):
    """POST /terms: signed by both brands' issuers."""

    from_brand: FromBrand
    to_brand: ToBrand
    numerator: Number64
    denominator: Number64
    price_from: Number64
    price_to: Number64
    version: Annotated[int, Field(strict=True, gt=0, lt=2**32)]
    ends_at: Annotated[int, Field(strict=True, gt=0, lt=2**40)]
    notice: Annotated[int, Field(strict=True, ge=0, lt=2**24)]
    quota: Limit
    customer_quota: Limit
    epoch: Annotated[int, Field(strict=True, gt=0, lt=2**32)]
    credit: Limit
    signature_from: Signature
    signature_to: Signature


class AwardBody(Body):
    """POST /awards: signed by the brand; the header Idempotency-Key repeats `ref`.

    It waits until `available_at`, and may be cancelled before; 0 is at once.
    """

    brand: BrandName
    account: AccountText
    amount: Units
    ref: Hex32
    available_at: Annotated[int, Field(strict=True, ge=0, lt=2**40)] = 0
    signature: Signature


class ExchangeBody(Body):
    """POST /exchanges: signed by the customer."""

    from_brand: FromBrand
    to_brand: ToBrand
    holder: AccountText
    recipient: AccountText
    amount: Units
    least: Units
    version: Number64
    deadline: Number64
    id: Hex32
    signature: Signature


class RedemptionBody(Body):
    """POST /redemptions: signed by the customer; `use` where the brand has rules."""

    brand: BrandName
    holder: AccountText
    amount: Units
    id: Hex32
    deadline: Number64
    use: Use | None = None
    signature: Signature


class TransferBody(Body):
    """POST /transfers: signed by the customer who gives."""

    brand: BrandName
    giver: AccountText
    taker: AccountText
    amount: Units
    id: Hex32
    deadline: Number64
    signature: Signature
