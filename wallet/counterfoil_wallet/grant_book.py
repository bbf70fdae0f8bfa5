"""Where the wallet keeps its grants: each state with its event and its papers, in one step."""

from typing import Final, TypeVar

from counterfoil_consent.papers import Paper
from counterfoil_consent.wire import GrantId

from counterfoil_wallet.grant_states import HeldGrant, from_record, to_record
from counterfoil_wallet.history import Act, Event, EventId, Outcome
from counterfoil_wallet.papers import Papers
from counterfoil_wallet.reading import readable
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.trust import Trust
from counterfoil_wallet.wire import Clock, refuse

_State = TypeVar("_State", bound=HeldGrant)
_WHERE: Final = "grant"


class GrantBook:
    """The grants in one store. Callers see to it that each id is driven once."""

    def __init__(self, store: Store, clock: Clock, trust: Trust) -> None:
        self.store = store
        self.clock = clock
        self._trust = trust

    def state(self, grant_id: GrantId) -> HeldGrant:
        """Give the stored state; `Refused` with `grant-unknown`."""
        record = self.store.get(Kind.GRANT, grant_id)
        if record is None:
            raise refuse("grant-unknown", "a grant of this wallet", "another id", _WHERE)
        return from_record(record)

    def all(self) -> list[HeldGrant]:
        """Give every grant that can be read, oldest first."""
        return readable(self.store.find(Kind.GRANT), from_record)

    def papers(self, grant_id: GrantId) -> Papers | None:
        """Give what was signed about a grant; None for one of an older wallet.

        None too where they cannot be read: that must not stop a withdrawal, and
        `Wallet.damaged` names them.
        """
        record = self.store.get(Kind.PAPERS, grant_id)
        found = [] if record is None else readable([record], Papers.from_record)
        return found[0] if found else None

    def keep(self, state: _State, *events: Event, **papers: str | None) -> _State:
        """Keep a state with its events and its new papers, all or nothing; give the state.

        `papers` are named as in `Paper`; None leaves what is there.
        """
        record = to_record(state)
        with self.store.step():
            self.store.put(record, *(event.to_record() for event in events))
            found = self.papers(state.grant_id) if papers else None
            if found is not None:
                for name, token in papers.items():
                    found = found.filing(Paper(name), token)
                self.store.put(found.to_record())
        return state

    def event(self, state: HeldGrant, act: Act, number: str = "") -> Event:
        """Give the event of an act on a grant, sent and not answered.

        One for each act and grant, and `number` where she may act often: told again, it is
        the same event, of the time when it was first told.
        """
        receiver = state.terms.receiver
        event_id = EventId("-".join(filter(None, (act, state.grant_id, number))))
        before = self.store.get(Kind.EVENT, event_id)
        return Event(
            event_id=event_id,
            at=self.clock() if before is None else Event.from_record(before).at,
            act=act,
            party=receiver.client_id,
            party_name=self.name_of(state),
            types=tuple(sorted({name.vct for name in state.terms.claim_names})),
            claims=tuple(sorted(str(name) for name in state.terms.claim_names)),
            outcome=Outcome.SENT,
        )

    def name_of(self, state: HeldGrant) -> str | None:
        """Give the name under which the app knows the receiver."""
        return self._trust.name_of(state.terms.receiver.client_id, now=self.clock())
