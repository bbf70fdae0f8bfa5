"""What staff may look for among the issued credentials, and where a page begins."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_issuer.records import Issuance

PAGE: Final = 50
MAX_PAGE: Final = 500


class IssuanceState(StrEnum):
    """Where an issuance stands for its brand.

    `sent` until the wallet says that it stored it, then `stored`; `dropped` when no
    wallet ever stored it.
    """

    SENT = "sent"
    STORED = "stored"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for; what is None may be anything.

    The latest issuance comes first. `before` is the place of the last one seen.
    """

    order: str | None = None
    type_name: str | None = None
    serial: str | None = None
    state: IssuanceState | None = None
    issued_from: datetime | None = None
    issued_until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Issuances, and the place to go on before; None on the last page."""

    issuances: tuple[Issuance, ...]
    next_before: int | None


def state_of(issuance: Issuance) -> IssuanceState:
    """Give where `issuance` stands."""
    if issuance.revoked_at is not None:
        return IssuanceState.REVOKED
    if issuance.dropped_at is not None:
        return IssuanceState.DROPPED
    if issuance.suspended_at is not None:
        return IssuanceState.SUSPENDED
    return IssuanceState.SENT if issuance.acknowledged_at is None else IssuanceState.STORED
