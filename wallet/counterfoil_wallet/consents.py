"""Grant and withdraw, in stored steps, with what `counterfoil_consent.holder` makes and reads.

    AskedTerms ─► choose ─► GrantChoice ─► grant ─► InForce ─► withdraw ─► Ending ─► Proved

Every state is stored before its request is sent, with the key that is used for
this receiver alone, and every request may be repeated. A delivery that was
refused is withdrawn at once, for a part of it may have arrived. Every signed paper is
kept beside the state (`papers.py`).
"""

from datetime import datetime
from typing import Final, assert_never

from counterfoil_consent import holder
from counterfoil_consent.erasure_proof import require_nothing_forgotten
from counterfoil_consent.papers import Paper
from counterfoil_consent.states import Agreement, Granted, Level
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner

from counterfoil_wallet.asked_terms import AskedTerms, GrantChoice
from counterfoil_wallet.asking import SignedRequest
from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.disclosures import disclosure_of
from counterfoil_wallet.grant_book import GrantBook
from counterfoil_wallet.grant_states import (
    Abandoned,
    Deciding,
    Delivering,
    Ending,
    HeldGrant,
    InForce,
    Proved,
)
from counterfoil_wallet.history import Act, Event, Outcome
from counterfoil_wallet.papers import Papers
from counterfoil_wallet.pausing import Pauser
from counterfoil_wallet.policy import AskingPolicy
from counterfoil_wallet.reading import readable_cards
from counterfoil_wallet.refusing import require_unanswered
from counterfoil_wallet.showing import copies_for, take_for
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.trust import Trust
from counterfoil_wallet.wire import Clock, Random, fresh_signer, reasons_of, refuse

_WHERE: Final = "grant"


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
        self.book = GrantBook(store, clock, trust)
        self.pauser = Pauser(self.book, fetcher, random)
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._random = random
        self._trust = trust
        self._keys = keys

    def read(self, signed: SignedRequest, notices: holder.NoticeSource | None = None) -> AskedTerms:
        """Give what a proved request asks to be granted; see `read_consent_request`."""
        client_id, now = signed.request.client_id, self._clock()
        asked = holder.asked_in(
            signed.request,
            signed.token,
            custodians=self._trust.custodians,
            notices=holder.FetchedNotices(self._fetcher) if notices is None else notices,
            now=now,
        )
        types = {name.vct for name in asked.terms.claim_names}
        asker = self._trust.asker(signed.proved.client, asked.terms.receiver.name, now=now)
        held = tuple(self._keys.here(readable_cards(self._store.cards(types))))
        policy = AskingPolicy.kept_in(self._store)
        return AskedTerms(
            asker=asker,
            asked=asked,
            signed=signed,
            held=held,
            judgement=policy.judge(asked.terms, asker=asker, held=held, now=now),
            at=now,
            chosen=copies_for(self._store, client_id, at=now),
        )

    def decide(self, choice: GrantChoice, screen: str | None = None) -> Deciding:
        """Store the decision, and the key and the copies that this receiver alone will know.

        `screen` is what the app calls the place where she agreed. `Refused` with
        `already-declined` when she had said no to this request.
        """
        require_unanswered(self._store, choice.signed.request)
        signer = fresh_signer(self._random)
        decided = choice.asked.decide(
            choice.claims,
            holder=did_jwk(signer.public),
            random=self._random,
            valid_until=choice.valid_until,
            max_reads=choice.max_reads,
            recipients=choice.recipients,
        )
        papers = Papers(
            grant_id=decided.grant_id,
            asked_at=choice.at,
            screen=screen,
            notice=choice.asked.notice,
        ).filing(Paper.REQUEST, choice.signed.token or None)
        picked = {d.credential.vct: d.credential.credential_id for d in choice.disclosures}
        client_id = decided.terms.receiver.client_id
        with self._store.step():
            for disclosure in choice.disclosures:
                take_for(
                    self._store, disclosure, client_id, at=self._clock(), may_link=choice.may_link
                )
            self._store.forget(Kind.WAITING, choice.asked.requested.request_digest)
            self._store.put(papers.to_record())
            return self.book.keep(Deciding(decided, signer, picked))

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
            event = self.book.event(sealed, Act.GRANTED).ended(Outcome.REFUSED, codes)
            self._withdraw(sealed.package.granted, sealed.signer, event)
            raise
        in_force = InForce(active, sealed.signer)
        event = self.book.event(in_force, Act.GRANTED).ended(Outcome.DONE)
        return self.book.keep(in_force, event, receipt=active.receipt)

    def withdraw(self, grant_id: GrantId) -> Ending | Proved | Abandoned:
        """End a grant for good, and tell both parties; see `Ending` for who has heard.

        The withdrawal stands from the first stored step on, whoever can be reached.
        """
        state = self.book.state(grant_id)
        match state:
            case Deciding():
                reason = Reason("withdrawn", "a grant delivered", "one withdrawn before", _WHERE)
                return self.book.keep(state.abandon((reason,)))
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
                    left = self.book.state(state.grant_id)
                return self._conclude(left) if isinstance(left, Ending) else left
            case Ending():
                return self._conclude(state)
            case InForce():
                state = self.pauser.go_on(state)
                # Past its time it has ended by itself, and the receiver owes the receipt.
                has_ended = self._clock() >= state.terms.valid_until
                return self.prove(state) or state if has_ended else state
            case Proved() | Abandoned():
                return state
            case _:
                assert_never(state)

    def reachable(self, state: Proved) -> Level:
        """Give the best level that a proof of this erasure can have for this wallet."""
        if self._trust.attestors:
            return Level.E4
        return Level.E3 if state.terms.recipients else Level.E2

    def prove(self, state: InForce | Proved) -> Proved | None:
        """Fetch the proof of erasure, or a better one than before; None: there is none yet."""
        agreement = state.active.agreement if isinstance(state, InForce) else state.erased.agreement
        try:
            proof = self._fetch_proof(agreement)
        except (Refused, Malformed, Unavailable):
            return None
        if isinstance(state, Proved):
            if proof.erased.level < state.level:
                return None
            try:
                require_nothing_forgotten(state.erased, proof.erased, self._clock())
            except Refused:
                # What it said first is what it is held to.
                return None
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
            event = self.book.event(sealed, Act.GRANTED)
            return self.book.keep(sealed, event, grant=package.presentation)
        except (Refused, Malformed) as error:
            self.book.keep(state.abandon(reasons_of(error)))
            raise

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
        event = self.book.event(ending, Act.WITHDRAWN)
        return self.book.keep(ending, event, *events, end=withdrawal.token)

    def _conclude(self, ending: Ending) -> Ending | Proved:
        if not ending.is_heard:
            answers = holder.send_withdrawal(ending.withdrawal, fetcher=self._fetcher)
            ending = ending.hear(answers)
            outcome = Outcome.DONE if ending.is_heard else Outcome.SENT
            event = self.book.event(ending, Act.WITHDRAWN).ended(outcome)
            self.book.keep(
                ending,
                event,
                stop_notice=answers.stop_notice,
                key_destruction=answers.destruction,
            )
            if not ending.is_heard:
                return ending
        try:
            proof = self._fetch_proof(ending.withdrawal.withdrawn.agreement)
        except Unavailable:
            return ending
        except (Refused, Malformed) as error:
            return self.book.keep(ending.doubt(reasons_of(error)))
        return self._prove(Proved(proof.erased, proof.receipt))

    def _fetch_proof(self, agreement: Agreement) -> holder.Proof:
        return holder.fetch_erasure_receipt(
            agreement,
            fetcher=self._fetcher,
            now=self._clock(),
            attestors=self._trust.attestors,
        )

    def _prove(self, proved: Proved) -> Proved:
        event = self.book.event(proved, Act.ERASED).ended(Outcome.DONE, proved.level.name)
        return self.book.keep(proved, event, erasure_receipt=proved.receipt)
