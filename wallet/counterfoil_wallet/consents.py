"""Grant and withdraw, in stored steps, with what `counterfoil_consent.holder` makes and reads.

    AskedTerms ─► choose ─► GrantChoice ─► grant ─► InForce ─► withdraw ─► Ending ─► Proved

Every state is stored before its request is sent, with the key that is used for
this receiver alone, and every request may be repeated. A delivery that was
refused is withdrawn at once, for a part of it may have arrived.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar, assert_never

from counterfoil_consent import holder
from counterfoil_consent.states import Granted
from counterfoil_consent.terms import ClaimName, Terms
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner

from counterfoil_wallet.asking import SignedRequest
from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.disclosures import (
    Chosen,
    Disclosure,
    Joining,
    answers_to,
    disclosure_of,
    own_copy,
)
from counterfoil_wallet.grant_states import (
    Abandoned,
    Deciding,
    Delivering,
    Ending,
    HeldGrant,
    InForce,
    Proved,
    from_record,
    to_record,
)
from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.history import Act, Event, EventId, Outcome
from counterfoil_wallet.reading import readable, readable_cards
from counterfoil_wallet.showing import copies_for, take_for
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.trust import Asker, Trust
from counterfoil_wallet.wire import Clock, Random, fresh_signer, reasons_of, refuse

_State = TypeVar("_State", bound=HeldGrant)
_WHERE: Final = "grant"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantChoice:
    """What the customer agreed to grant, and what the receiver will be able to read."""

    asker: Asker
    asked: holder.Asked = field(repr=False)
    claims: frozenset[ClaimName]
    valid_until: datetime | None
    max_reads: int | None
    disclosures: tuple[Disclosure, ...]
    may_link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTerms:
    """What a receiver asks to be granted. Nothing has been sent.

    `terms` say purpose, claims, end, reads and custodian; `notice` is the text
    whose digest they name. `held` are the credentials of the types asked for.
    """

    asker: Asker
    asked: holder.Asked = field(repr=False)
    held: tuple[HeldCredential, ...]
    at: datetime
    chosen: Chosen = field(default=own_copy, repr=False, compare=False)

    @property
    def terms(self) -> Terms:
        """The terms asked for."""
        return self.asked.terms

    @property
    def beyond(self) -> frozenset[ClaimName]:
        """The claims that are asked for beyond what the receiver registered."""
        asked = self.terms.claim_names
        return frozenset(name for name in asked if not self.asker.may_ask(name.vct, name.path))

    @property
    def notice(self) -> str:
        """The text that the customer is to read.

        As the receiver wrote it, for its digest is what is agreed to: show it
        line by line, each made `printable`.
        """
        return self.asked.notice

    def choose(
        self,
        optional: Collection[ClaimName] = (),
        *,
        valid_until: datetime | None = None,
        max_reads: int | None = None,
        picks: Mapping[str, CredentialId] | None = None,
        reuse_that_links: bool = False,
    ) -> GrantChoice:
        """Agree to the required claims, to `optional` ones, and to a sooner end or fewer reads.

        `picks` names a credential by type where several fit; else the first is
        taken: valid, then newest. A claim that is `beyond` is off until `optional` names
        it, also a required one. With `reuse_that_links` a copy may be sealed that a
        verifier has seen: the two can find out that they met the same customer. Raises
        `Refused` with `nothing-chosen`, `nothing-answers`, `beyond-registration` or
        `only-copies-that-link`.
        """
        required = {claim.name for claim in self.terms.claims if claim.is_required}
        claims = frozenset(required | set(optional))
        if not claims:
            raise refuse("nothing-chosen", "at least one claim", "none", _WHERE)
        disclosures: list[Disclosure] = []
        reasons = [
            Reason("beyond-registration", "a claim that was registered", "another", str(name))
            for name in sorted(self.beyond & claims - set(optional), key=str)
        ]
        for vct in sorted({name.vct for name in claims}):
            fitting = self._answers(vct, claims)
            wanted = None if picks is None else picks.get(vct)
            found = [d for d in fitting if wanted in (None, d.credential.credential_id)]
            if not found:
                reasons.append(Reason("nothing-answers", "a credential that fits", "none", vct))
            elif found[0].joining is Joining.OTHERS and not reuse_that_links:
                expected = "a copy that nobody else has seen"
                reasons.append(Reason("only-copies-that-link", expected, "shown ones", vct))
            else:
                disclosures.append(found[0])
        if reasons:
            raise Refused(*reasons)
        return GrantChoice(
            asker=self.asker,
            asked=self.asked,
            claims=claims,
            valid_until=valid_until,
            max_reads=max_reads,
            disclosures=tuple(disclosures),
            may_link=reuse_that_links,
        )

    def _answers(self, vct: str, claims: Collection[ClaimName]) -> tuple[Disclosure, ...]:
        wanted = tuple(ClaimQuery(name.path) for name in sorted(claims, key=str) if name.vct == vct)
        query = CredentialQuery(vct, (vct,), wanted)
        return answers_to(query, self.held, now=self.at, chosen=self.chosen)


class Consents:
    """Drives grants over one store. Callers see to it that each id is driven once."""

    def __init__(
        self,
        store: Store,
        fetcher: Fetcher,
        clock: Clock,
        random: Random,
        trust: Trust,
        *,
        keys: CardKeys,
    ) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._random = random
        self._trust = trust
        self._keys = keys

    def read(self, signed: SignedRequest) -> AskedTerms:
        """Give what a proved request asks to be granted; see `read_consent_request`."""
        client_id, now = signed.request.client_id, self._clock()
        asked = holder.asked_in(
            signed.request,
            signed.token,
            custodians=self._trust.custodians,
            notices=holder.FetchedNotices(self._fetcher),
            now=now,
        )
        types = {name.vct for name in asked.terms.claim_names}
        return AskedTerms(
            asker=self._trust.asker(signed.proved.client, asked.terms.receiver.name, now=now),
            asked=asked,
            held=tuple(self._keys.here(readable_cards(self._store.cards(types)))),
            at=now,
            chosen=copies_for(self._store, client_id, at=now),
        )

    def state(self, grant_id: GrantId) -> HeldGrant:
        """Give the stored state; `Refused` with `grant-unknown`."""
        record = self._store.get(Kind.GRANT, grant_id)
        if record is None:
            raise refuse("grant-unknown", "a grant of this wallet", "another id", _WHERE)
        return from_record(record)

    def all(self) -> list[HeldGrant]:
        """Give every grant that can be read, oldest first."""
        return readable(self._store.find(Kind.GRANT), from_record)

    def decide(self, choice: GrantChoice) -> Deciding:
        """Store the decision, and the key and the copies that this receiver alone will know."""
        signer = fresh_signer(self._random)
        decided = choice.asked.decide(
            choice.claims,
            holder=did_jwk(signer.public),
            random=self._random,
            valid_until=choice.valid_until,
            max_reads=choice.max_reads,
        )
        picked = {d.credential.vct: d.credential.credential_id for d in choice.disclosures}
        client_id = decided.terms.receiver.client_id
        with self._store.step():
            for disclosure in choice.disclosures:
                take_for(
                    self._store, disclosure, client_id, at=self._clock(), may_link=choice.may_link
                )
            return self._keep(Deciding(decided, signer, picked))

    def deliver(self, state: Deciding | Delivering) -> InForce:
        """Bring a decision into force. `Unavailable` leaves it stored: `resume` goes on.

        Raises `Refused` or `Malformed` with the other side's word: then the grant
        is abandoned or, when a part of it may have arrived, withdrawn.
        """
        sealed = self._seal(state) if isinstance(state, Deciding) else state
        try:
            active = holder.deliver(sealed.package, fetcher=self._fetcher)
        except (Refused, Malformed) as error:
            codes = ", ".join(reason.code for reason in reasons_of(error))
            event = self._event(sealed, Act.GRANTED).ended(Outcome.REFUSED, codes)
            self._withdraw(sealed.package.granted, sealed.signer, event)
            raise
        in_force = InForce(active, sealed.signer)
        event = self._event(in_force, Act.GRANTED).ended(Outcome.DONE)
        self._store.put(to_record(in_force), event.to_record())
        return in_force

    def withdraw(self, grant_id: GrantId) -> Ending | Proved | Abandoned:
        """End a grant for good, and tell both parties; see `Ending` for who has heard.

        The withdrawal stands from the first stored step on, whoever can be reached.
        """
        state = self.state(grant_id)
        match state:
            case Deciding():
                reason = Reason("withdrawn", "a grant delivered", "one withdrawn before", _WHERE)
                return self._keep(state.abandon((reason,)))
            case Delivering():
                return self._conclude(self._withdraw(state.package.granted, state.signer))
            case InForce():
                return self._conclude(self._withdraw(state.active, state.signer))
            case Ending():
                return self._conclude(state)
            case Proved() | Abandoned():
                return state
            case _:
                assert_never(state)

    def resume(self, state: HeldGrant) -> HeldGrant:
        """Go on with a stored state as far as possible."""
        match state:
            case Deciding() | Delivering():
                try:
                    return self.deliver(state)
                except (Refused, Malformed, Unavailable):
                    left = self.state(state.grant_id)
                return self._conclude(left) if isinstance(left, Ending) else left
            case Ending():
                return self._conclude(state)
            case InForce():
                return self._look_after(state)
            case Proved() | Abandoned():
                return state
            case _:
                assert_never(state)

    def _look_after(self, state: InForce) -> InForce | Proved:
        # Past its time the grant has ended by itself, and the receiver owes the receipt.
        if self._clock() < state.terms.valid_until:
            return state
        try:
            proof = holder.fetch_erasure_receipt(
                state.active.agreement, fetcher=self._fetcher, now=self._clock()
            )
        except (Refused, Malformed, Unavailable):
            return state
        return self._prove(Proved(proof.erased, proof.receipt))

    def _seal(self, state: Deciding) -> Delivering:
        now = self._clock()
        try:
            if now >= state.decided.asked.requested.expires_at:
                raise refuse("request-expired", "a live request", "an old one", "request.exp")
            custodian_key = holder.fetch_custodian_key(
                state.decided, signer=state.signer, fetcher=self._fetcher, now=now
            )
            package = holder.grant(
                state.decided,
                signer=state.signer,
                present=lambda ask: self._present(ask, state, now),
                custodian_key=custodian_key,
                now=now,
                random=self._random,
            )
            sealed = Delivering(package, state.signer)
            record = to_record(sealed)
        except (Refused, Malformed) as error:
            self._keep(state.abandon(reasons_of(error)))
            raise
        self._store.put(record, self._event(sealed, Act.GRANTED).to_record())
        return sealed

    def _present(self, ask: holder.PresentationAsk, state: Deciding, now: datetime) -> str:
        credential = self._store.card(state.credentials[ask.vct])
        if credential is None:
            raise refuse("nothing-answers", "the chosen credential", "none", ask.vct)
        # It was taken with the decision, so that the same one is sealed whenever this goes on.
        shown = take_for(
            self._store,
            disclosure_of(credential, ask.paths, query_id=ask.vct),
            state.terms.receiver.client_id,
            at=now,
        )
        return bind(
            shown.sd_jwt,
            signer=self._keys.of(shown.copy),
            audience=ask.audience,
            nonce=ask.nonce,
            now=now,
            transaction_data_hashes=ask.transaction_data_hashes,
        )

    def _withdraw(self, given: Granted, signer: MemorySigner, *events: Event) -> Ending:
        now = self._clock()
        withdrawal = holder.withdraw(given, signer=signer, now=now, random=self._random)
        ending = Ending(withdrawal)
        event = self._event(ending, Act.WITHDRAWN)
        self._store.put(
            to_record(ending), event.to_record(), *(event.to_record() for event in events)
        )
        return ending

    def _conclude(self, ending: Ending) -> Ending | Proved:
        if not ending.is_heard:
            answers = holder.send_withdrawal(ending.withdrawal, fetcher=self._fetcher)
            ending = ending.hear(answers)
            outcome = Outcome.DONE if ending.is_heard else Outcome.SENT
            event = self._event(ending, Act.WITHDRAWN).ended(outcome)
            self._store.put(to_record(ending), event.to_record())
            if not ending.is_heard:
                return ending
        try:
            proof = holder.fetch_erasure_receipt(
                ending.withdrawal.withdrawn.agreement, fetcher=self._fetcher, now=self._clock()
            )
        except Unavailable:
            return ending
        except (Refused, Malformed) as error:
            return self._keep(ending.doubt(reasons_of(error)))
        return self._prove(Proved(proof.erased, proof.receipt))

    def _prove(self, proved: Proved) -> Proved:
        event = self._event(proved, Act.ERASED).ended(Outcome.DONE, proved.level.name)
        self._store.put(to_record(proved), event.to_record())
        return proved

    def _event(self, state: HeldGrant, act: Act) -> Event:
        # One event for each act and grant: told again, it is the same event.
        receiver = state.terms.receiver
        event_id = EventId(f"{act}-{state.grant_id}")
        before = self._store.get(Kind.EVENT, event_id)
        return Event(
            event_id=event_id,
            at=self._clock() if before is None else Event.from_record(before).at,
            act=act,
            party=receiver.client_id,
            party_name=self._trust.name_of(receiver.client_id, now=self._clock()),
            types=tuple(sorted({name.vct for name in state.terms.claim_names})),
            claims=tuple(sorted(str(name) for name in state.terms.claim_names)),
            outcome=Outcome.SENT,
        )

    def _keep(self, state: _State) -> _State:
        self._store.put(to_record(state))
        return state
