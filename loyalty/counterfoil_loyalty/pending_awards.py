"""Awards that wait until the return window closes, as the index keeps them.

    [it.state for it in store.pending_awards(account)]     # pending, released or cancelled

A brand may cancel one while it waits. From `available_at` on anybody may release it, and
then it is a movement as any award. Nothing of it is in a balance before.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.ledger import Event

MOST_LISTED = 200
"""How many awards of one account are listed, the newest."""


class AwardState(StrEnum):
    """What became of an award that waited."""

    PENDING = "pending"
    RELEASED = "released"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class PendingAward:
    """An award that waits, or did. `ref` has 64 hex digits, times are unix seconds."""

    token: Account
    account: Account
    ref: str
    units: int
    at: int
    available_at: int
    state: AwardState = AwardState.PENDING


@dataclass(frozen=True, slots=True)
class PendingChange:
    """What one event says of a pending award: that it waits, or (`award` None) is cancelled."""

    index: int
    token: Account
    ref: str
    award: PendingAward | None


def pending_changes(events: Iterable[Event], at: int) -> tuple[PendingChange, ...]:
    """Give what the events of a block stamped `at` say of pending awards."""
    found: list[PendingChange] = []
    for event in events:
        if event.name not in ("AwardPending", "AwardCancelled"):
            continue
        token, ref = event.contract, str(event.values["ref"])
        award = None
        if event.name == "AwardPending":
            award = PendingAward(
                token,
                Account(str(event.values["to"])),
                ref,
                int(event.values["amount"]),
                at,
                int(event.values["availableAt"]),
            )
        found.append(PendingChange(event.index, token, ref, award))
    return tuple(found)


def state_of(
    award: tuple[Account, str],
    *,
    cancelled: Collection[tuple[Account, str]],
    given: Collection[tuple[Account, str]],
) -> AwardState:
    """Give what became of the award of this token and ref."""
    if award in cancelled:
        return AwardState.CANCELLED
    return AwardState.RELEASED if award in given else AwardState.PENDING
