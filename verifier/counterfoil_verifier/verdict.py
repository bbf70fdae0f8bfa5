"""What a shop keeps of a verification: outcome, reasons' codes, times. No fact, no token."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, TypeAlias

VERDICTS_KEPT_FOR: Final = timedelta(days=30)
TIDY_VERDICTS_EVERY: Final = timedelta(hours=1)
"""A verdict past its time is gone with the next tidying."""

Kind: TypeAlias = Literal["asked", "holder-shown"]
"""How the presentation came: in answer to a request, or shown by its holder unasked."""


class Outcome(StrEnum):
    """How a verification ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An outcome with the codes of its reasons.

    `status_as_of` is the time of the oldest status list that took part; the
    verification took `took_ms` milliseconds.
    """

    outcome: Outcome
    codes: tuple[str, ...]
    checked_at: datetime
    status_as_of: datetime | None
    took_ms: int
    kind: Kind = "asked"
