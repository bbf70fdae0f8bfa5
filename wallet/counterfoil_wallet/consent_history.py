"""A grant of this wallet with all that happened to it, for those who read it elsewhere.

Records by ISO/IEC TS 27560 and the encrypted log are `counterfoil_consent.export` and
`.export_log`; this says when she paused it and resumed it, which the wallet alone knows.
"""

from collections.abc import Iterable
from typing import assert_never

from counterfoil_consent.export import ConsentEvent, ConsentHistory, ConsentStatus
from counterfoil_consent.states import Granted

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

_PAUSES = {Act.PAUSED: ConsentStatus.PAUSED, Act.RESUMED: ConsentStatus.GIVEN}


def consent_history(grant: HeldGrant, events: Iterable[Event]) -> ConsentHistory:
    """Give what happened to a grant; `events` are the wallet's, of every act."""
    match grant:
        case Deciding() | Abandoned():
            return ConsentHistory(grant_id=grant.grant_id, terms=grant.terms, events=())
        case Delivering():
            state: Granted = grant.package.granted
            return ConsentHistory.of(state)
        case InForce():
            state = grant.active.suspend() if grant.is_suspended else grant.active
            return ConsentHistory.of(state, _pauses(grant, events))
        case Ending():
            return ConsentHistory.of(grant.withdrawal.withdrawn)
        case Proved():
            return ConsentHistory.of(grant.erased)
        case _:
            assert_never(grant)


def _pauses(grant: InForce, events: Iterable[Event]) -> tuple[ConsentEvent, ...]:
    holder = grant.active.agreement.holder
    return tuple(
        ConsentEvent(status=_PAUSES[event.act], at=event.at, by=holder)
        for event in events
        if event.act in _PAUSES and event.event_id.startswith(f"{event.act}-{grant.grant_id}-")
    )
