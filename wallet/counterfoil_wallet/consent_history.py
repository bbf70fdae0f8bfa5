"""A grant of this wallet with all that happened to it, for those who read it elsewhere.

Records by ISO/IEC TS 27560 and the encrypted log are `counterfoil_consent.export` and
`.export_log`; this says when she paused it and resumed it, which the wallet alone knows.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from counterfoil_consent.export import ConsentEvent, ConsentHistory, ConsentStatus
from counterfoil_consent.states import Agreement, State

from counterfoil_wallet.consent_view import known_end
from counterfoil_wallet.grant_states import (
    Abandoned,
    Deciding,
    Delivering,
    Ending,
    HeldGrant,
    InForce,
    Proved,
)
from counterfoil_wallet.history import Act, Event
from counterfoil_wallet.papers import Papers

_PAUSES = {Act.PAUSED: ConsentStatus.PAUSED, Act.RESUMED: ConsentStatus.GIVEN}


def consent_history(
    grant: HeldGrant, events: Iterable[Event], papers: Papers | None, *, now: datetime
) -> ConsentHistory:
    """Give what happened to a grant by `now`; `events` are the wallet's, of every act."""
    state: State
    match grant:
        case Deciding() | Abandoned():
            return ConsentHistory(grant_id=grant.grant_id, terms=grant.terms, events=())
        case Delivering():
            return ConsentHistory.of(grant.package.granted)
        case InForce():
            state = _as_known(grant, papers, now)
        case Ending():
            state = grant.withdrawal.withdrawn
        case Proved():
            state = grant.erased
        case _:
            assert_never(grant)
    return ConsentHistory.of(state, _pauses(state.agreement, events))


def _as_known(grant: InForce, papers: Papers | None, now: datetime) -> State:
    # Somebody else can have ended it; then the proof of erasure is owed, and it is no more given.
    ended = known_end(grant, papers, now)
    if ended is not None:
        return grant.active.end(*ended)
    return grant.active.suspend() if grant.is_suspended else grant.active


def _pauses(agreement: Agreement, events: Iterable[Event]) -> tuple[ConsentEvent, ...]:
    grant_id, holder = agreement.grant_id, agreement.holder
    return tuple(
        ConsentEvent(status=_PAUSES[event.act], at=event.at, by=holder)
        for event in events
        if event.act in _PAUSES and event.event_id.startswith(f"{event.act}-{grant_id}-")
    )
