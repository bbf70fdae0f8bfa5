"""HTTP bodies of what a till sends (a code shown first, results from offline), and its warnings."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from counterfoil_verifier.schemas import MAX_CODE, TillName


class ShownBody(BaseModel):
    """POST /counter/shown: what the customer says she shows, and the text of one QR code."""

    model_config = ConfigDict(extra="forbid")

    preset: str = Field(max_length=64)
    code: str = Field(max_length=MAX_CODE)
    till: TillName | None = None


class KeptBody(BaseModel):
    """How many results were new; the others were here already."""

    kept: int


class SignedBody(BaseModel):
    """GET /counter/requests/{id}/result: the shop's signed word on how a check ended."""

    result: str


class WarningBody(BaseModel):
    """Something that somebody has to see to, by `at` or because of what happened then."""

    code: str
    what: str
    at: datetime | None = None


class WarningsBody(BaseModel):
    """GET /health/warnings: empty where nothing is amiss."""

    warnings: list[WarningBody]
