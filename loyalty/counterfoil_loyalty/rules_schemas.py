"""The HTTP bodies with which a brand publishes its rules."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from counterfoil_loyalty.schemas import BrandName, Signature

Version = Annotated[int, Field(strict=True, gt=0, lt=2**31)]


class KeyBody(BaseModel):
    """A public key as a JWK (RFC 7517)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kty: Annotated[str, Field(max_length=8)]
    crv: Annotated[str, Field(max_length=16)]
    x: Annotated[str, Field(max_length=128)]
    y: Annotated[str | None, Field(max_length=128)] = None


class RulesBody(BaseModel):
    """POST /rules: `rules` signed with `key`, and both with the brand's issuer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    brand: BrandName
    version: Version
    rules: Annotated[str, Field(min_length=1, max_length=15_000)]
    key: KeyBody
    signature: Signature
