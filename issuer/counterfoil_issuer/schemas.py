"""The back office's HTTP bodies: what all of them share. They end at its routes.

Orders and offers are in `offer_schemas.py`, what was issued in `issued_schemas.py`, keys,
webhooks, jobs and the log in `staff_schemas.py`; further in, values travel.
"""

import json
from typing import Annotated, Self

from counterfoil_credentials.encoding import JsonObject, parse_object
from counterfoil_credentials.errors import Reason
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from counterfoil_issuer.batch_rows import RowError

# What a request may hold, wherever it stands.
OrderName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9#._-]+$")]
TypeName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_-]*$")]
SerialName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Opaque = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
SubjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=254,
        pattern=r"^[!-~]+$",
        description="Who may fetch it by logging in: a customer id, or a verified e-mail address",
    ),
]
KeyName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
]
Claims = Annotated[dict[str, JsonValue], Field(description="As the type's schema says")]


class Told(BaseModel):
    """What the back office answers."""


class Body(BaseModel):
    """A request body: nothing in it that is not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def json_object(value: dict[str, JsonValue] | None, where: str) -> JsonObject | None:
    """Give claims as strictly read JSON: no lone surrogates, no fractions, no endless depth."""
    if value is None:
        return None
    return parse_object(json.dumps(value).encode(), where)


class ReasonAnswer(Told):
    """One reason of a refusal."""

    code: str
    expected: str
    found: str
    where: str

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """Give the answer for `reason`."""
        return cls(
            code=reason.code, expected=reason.expected, found=reason.found, where=reason.where
        )


class ErrorAnswer(Told):
    """Why nothing was done (RFC 6749, section 5.2, and the reasons)."""

    error: str
    error_description: str
    reasons: list[ReasonAnswer] = []


class RowErrorAnswer(Told):
    """One thing wrong in a file."""

    row: int
    column: str
    expected: str
    found: str

    @classmethod
    def of(cls, error: RowError) -> Self:
        """Give the answer for `error`."""
        return cls(row=error.row, column=error.column, expected=error.expected, found=error.found)
