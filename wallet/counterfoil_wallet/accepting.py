"""Accept an offer: persist, send, persist, and so to the end or to a clear stop.

    offer ─► discover ─► Redeeming ─► token ─► Collecting ─► nonce, proof, credential
          ─► verify and keep, in one step with the history ─► Notifying ─► Finished

Killed anywhere, `resume` goes on from what was stored. Between two states there
is one request, and each may be sent twice: the issuer gives the same credential
for the same key, a credential is kept under its key, a notice is idempotent.
The one thing that cannot be had twice is the token: where it was lost on its
way, the acceptance is dropped, and the brand makes a new offer.
"""

from typing import Final, TypeVar, assert_never

from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.offers import CredentialOffer, TxCode

from counterfoil_wallet import spec
from counterfoil_wallet.acceptance import (
    Acceptance,
    AcceptanceId,
    AfterOne,
    Collecting,
    Dropped,
    Finished,
    Notice,
    Notifying,
    Redeeming,
    Wanted,
    acceptance_id_of,
    from_record,
    to_record,
)
from counterfoil_wallet.discovering import discover
from counterfoil_wallet.exchanges import (
    CredentialAnswer,
    TokenAnswer,
    fetch_nonce,
    notify,
    redeem_code,
    request_credential,
)
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.history import Act, Event, fresh_event_id
from counterfoil_wallet.receiving import receive_credential
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.wire import Clock, Random, fresh_signer, peer_code, reasons_of, refuse

_State = TypeVar("_State", bound=Acceptance)
_TX_CODE: Final = "tx_code"
_NEW_OFFER: Final = "a token for the code; ask the brand for a new offer"
_MAX_TX_CODE: Final = 100


class Acceptor:
    """Drives acceptances over one store. Callers see to it that each id is driven once."""

    def __init__(self, store: Store, fetcher: Fetcher, clock: Clock, random: Random) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._random = random

    def state(self, acceptance_id: AcceptanceId) -> Acceptance | None:
        """Give the stored state, or None."""
        record = self._store.get(Kind.ACCEPTANCE, acceptance_id)
        return None if record is None else from_record(record)

    def accept(self, offer: CredentialOffer, tx_code: str | None) -> Finished | Notifying:
        """Accept `offer`, or go on with accepting it.

        An offer that was accepted before is not accepted again: its credentials
        are given. Raises `Refused` when nothing of it could be kept.
        """
        match self.state(acceptance_id_of(offer)):
            case Finished() as finished:
                return finished
            case Collecting() | Notifying() as begun:
                end = self._run(begun)
            case None | Redeeming() | Dropped():
                end = self._run(self._begin(offer, tx_code))
        if isinstance(end, Dropped):
            raise Refused(*end.reasons)
        if not end.held:
            raise Refused(*end.refused)
        return end

    def resume(self, state: Acceptance) -> Acceptance:
        """Go on with a stored state as far as possible; `Unavailable` leaves it where it is."""
        try:
            if isinstance(state, Redeeming):
                state = self._redeem(state, was_interrupted=True)
            return self._run(state)
        except Unavailable:
            return self.state(state.acceptance_id) or state

    def _begin(self, offer: CredentialOffer, tx_code: str | None) -> Redeeming:
        given = _tx_code_to_send(offer.tx_code, tx_code)
        discovered = discover(self._fetcher, offer)
        return self._keep(
            Redeeming(
                acceptance_id=acceptance_id_of(offer),
                issuer=offer.issuer,
                endpoints=discovered.endpoints,
                configurations=discovered.configurations,
                skipped=discovered.skipped,
                code=offer.pre_authorized_code,
                tx_code=given,
            )
        )

    def _run(self, state: Acceptance) -> Notifying | Finished | Dropped:
        while True:
            match state:
                case Redeeming():
                    state = self._redeem(state, was_interrupted=False)
                case Collecting():
                    state = self._collect(state)
                case Notifying():
                    try:
                        state = self._notify(state)
                    except Unavailable:
                        # The credentials are kept; `resume` tells the issuer later.
                        return state
                case Finished() | Dropped():
                    return state
                case _:
                    assert_never(state)

    def _redeem(self, state: Redeeming, *, was_interrupted: bool) -> Collecting | Dropped:
        try:
            answer = redeem_code(
                self._fetcher, state.endpoints.token, code=state.code, tx_code=state.tx_code
            )
        except (Refused, Malformed) as error:
            return self._keep(
                state.drop(*_why_not_redeemed(error, was_interrupted=was_interrupted))
            )
        # The keys are made here and kept with the token, before any credential is
        # asked for: whoever repeats the request after a crash has the same key.
        return self._keep(state.collect(answer.access_token, self._wanted(state, answer)))

    def _wanted(self, state: Redeeming, answer: TokenAnswer) -> tuple[Wanted, ...]:
        none: tuple[str | None, ...] = (None,)
        return tuple(
            Wanted(
                configuration_id=configuration.configuration_id,
                vct=configuration.vct,
                identifier=identifier,
                signer=fresh_signer(self._random),
            )
            for configuration in state.configurations
            for identifier in answer.identifiers.get(configuration.configuration_id, none)
        )

    def _collect(self, state: Collecting) -> AfterOne:
        wanted = state.wanted[0]
        try:
            answer = self._ask(state, wanted)
        except (Refused, Malformed) as error:
            reasons = reasons_of(error)
            if reasons[0].code == "token-not-accepted":
                return self._keep(state.abandon(reasons))
            return self._keep(state.refuse(reasons, None))
        now = self._clock()
        try:
            sd_jwt, verified = receive_credential(
                answer.unverified_credential,
                issuer=state.issuer,
                vct=wanted.vct,
                holder_key=wanted.signer.public,
                fetcher=self._fetcher,
                now=now,
            )
        except (Refused, Malformed) as error:
            notice = _notice(answer, spec.CREDENTIAL_FAILURE)
            return self._keep(state.refuse(reasons_of(error), notice))
        held = HeldCredential.of(
            sd_jwt,
            verified,
            configuration_id=wanted.configuration_id,
            signer=wanted.signer,
            at=now,
        )
        event = Event(
            event_id=fresh_event_id(self._random),
            at=now,
            act=Act.ACCEPTED,
            party=state.issuer,
            types=(held.vct,),
        )
        following = state.hold(held.credential_id, _notice(answer, spec.CREDENTIAL_ACCEPTED))
        with self._store.step():
            self._store.hold(held)
            self._store.put(event.to_record(), to_record(following))
        return following

    def _ask(self, state: Collecting, wanted: Wanted) -> CredentialAnswer:
        try:
            return self._ask_once(state, wanted)
        except Refused as refusal:
            # A nonce may have run out between two calls: once more with a fresh one.
            if peer_code(refusal) != spec.INVALID_NONCE or state.endpoints.nonce is None:
                raise
        return self._ask_once(state, wanted)

    def _ask_once(self, state: Collecting, wanted: Wanted) -> CredentialAnswer:
        nonce_url = state.endpoints.nonce
        nonce = None if nonce_url is None else fetch_nonce(self._fetcher, nonce_url)
        return request_credential(
            self._fetcher,
            state.endpoints.credential,
            access_token=state.access_token,
            configuration_id=wanted.configuration_id,
            identifier=wanted.identifier,
            proof=make_proof(wanted.signer, issuer=state.issuer, nonce=nonce, now=self._clock()),
        )

    def _notify(self, state: Notifying) -> Notifying | Finished | Dropped:
        url, notice = state.endpoints.notification, state.notices[0]
        if url is not None:
            notify(
                self._fetcher,
                url,
                access_token=state.access_token,
                notice_id=notice.notice_id,
                event=notice.event,
            )
        return self._keep(state.answered())

    def _keep(self, state: _State) -> _State:
        self._store.put(to_record(state))
        return state


def _tx_code_to_send(asked: TxCode | None, given: str | None) -> str | None:
    if asked is None:
        return None
    if not given:
        raise refuse("tx-code-needed", "the transaction code of the offer", "none", _TX_CODE)
    # Refused here, a mistyped code costs none of the attempts that the issuer counts.
    if asked.length is not None and len(given) != asked.length:
        raise refuse("tx-code-shape", f"{asked.length} characters", f"{len(given)}", _TX_CODE)
    if asked.numeric and not (given.isascii() and given.isdigit()):
        raise refuse("tx-code-shape", "digits", "other characters", _TX_CODE)
    if len(given) > _MAX_TX_CODE:
        raise refuse("tx-code-shape", f"at most {_MAX_TX_CODE} characters", "more", _TX_CODE)
    if not given.isprintable():
        raise refuse("tx-code-shape", "printable characters", "others", _TX_CODE)
    return given


def _why_not_redeemed(error: Refused | Malformed, *, was_interrupted: bool) -> tuple[Reason, ...]:
    if isinstance(error, Malformed):
        return reasons_of(error)
    if was_interrupted:
        return (Reason("token-lost", _NEW_OFFER, peer_code(error), "token endpoint"),)
    expected = "a code that is unspent and, where one is needed, the right transaction code"
    return (Reason("offer-not-redeemed", expected, peer_code(error), "token endpoint"),)


def _notice(answer: CredentialAnswer, event: str) -> Notice | None:
    return None if answer.notification_id is None else Notice(answer.notification_id, event)
