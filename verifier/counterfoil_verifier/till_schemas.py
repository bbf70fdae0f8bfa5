"""HTTP bodies of what a till sends: a code that a phone shows first, results from offline."""

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
