"""Collect what a token is for: ask, judge what comes, keep it with the state that follows.

    Collecting ─► keys ─► nonce ─► proofs ─► credential ─► verify ─► hold (card, history, state)
    Waiting    ─► keys ─► late credential ─────────────────┘

A card, its copies, the word in the history and the state that follows are one step: killed
before, nothing is held and the same request is made again; killed after, it is not.

More copies of a held card say what it says, and nothing joins them to those that are held:
else they are refused together, the history says so, and the card stays as it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeAlias, TypeVar

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import PublicKey

from counterfoil_wallet import spec
from counterfoil_wallet.acceptance import (
    Acceptance,
    AfterAll,
    AfterOne,
    Authorized,
    Collecting,
    Late,
    Notice,
    RefreshToken,
    Waiting,
    Wanted,
)
from counterfoil_wallet.acceptance_records import to_record
from counterfoil_wallet.batching import batch_reasons
from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.discovering import fetch_encryption
from counterfoil_wallet.exchanges import (
    CredentialAnswer,
    Promise,
    fetch_nonce,
    redeem_code,
    request_credential,
    request_late,
)
from counterfoil_wallet.held import Copy, HeldCredential
from counterfoil_wallet.history import Act, Event, Outcome, fresh_event_id
from counterfoil_wallet.proving import make_proofs
from counterfoil_wallet.receiving import keys_of, receive_credentials
from counterfoil_wallet.sending import Sender
from counterfoil_wallet.store import Store
from counterfoil_wallet.wire import Clock, Random, or_unavailable, peer_code, reasons_of

_State = TypeVar("_State", bound=Acceptance)
_WithToken = TypeVar("_WithToken", Collecting, Waiting)
_Answer: TypeAlias = CredentialAnswer | Promise
IssuerKeys: TypeAlias = Callable[[], Mapping[str, PublicKey]]
"""The issuer's keys by `kid`: fetched when first called for, and once for a whole run."""
_LONGEST_WAIT: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class _Received:
    """A card that was judged and is not kept yet, with its copies besides the first."""

    card: HeldCredential
    is_new: bool
    more: tuple[Copy, ...]


class Collector:
    """Collects over one store. Callers see to it that each acceptance is driven once."""

    def __init__(
        self, store: Store, sender: Sender, clock: Clock, random: Random, keys: CardKeys
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._random = random
        self._keys = keys

    def collect(self, state: Collecting, issuer_keys: IssuerKeys) -> AfterOne:
        """Ask for the first credential that is wanted, and keep it or say why not."""
        wanted = state.wanted[0]
        try:
            keys = issuer_keys()
            state, answer = self._with_good_token(state, lambda now: self._ask(now, wanted))
        except (Refused, Malformed) as error:
            reasons = reasons_of(error)
            if reasons[0].code == "token-not-accepted":
                return self._give_up(state.abandon(reasons), *state.wanted)
            return self._give_up(state.refuse(reasons, None), wanted)
        now = self._clock()
        if isinstance(answer, Promise):
            late = Late(wanted, answer.transaction_id, now + answer.interval, now + _LONGEST_WAIT)
            if state.endpoints.deferred is None:
                return self._give_up(state.refuse((_nowhere_to_ask(),), None), wanted)
            return self._keep(state.wait(late))
        try:
            received = self._receive(state, wanted, answer, keys, now)
        except (Refused, Malformed) as error:
            notice = _notice(answer, spec.CREDENTIAL_FAILURE)
            following = state.refuse(reasons_of(error), notice)
            return self._reject(state, wanted, reasons_of(error), following)
        notice = _notice(answer, spec.CREDENTIAL_ACCEPTED)
        return self._hold(received, state.hold(received.card.credential_id, notice))

    def ask_late(self, state: Waiting, issuer_keys: IssuerKeys) -> AfterAll:
        """Ask again for the credential whose time comes first."""
        late = min(state.late, key=lambda each: each.not_before)
        try:
            keys = issuer_keys()
            state, answer = self._with_good_token(state, lambda now: self._answer_late(now, late))
        except (Refused, Malformed) as error:
            return self._give_up(state.refuse(late, reasons_of(error), None), late.wanted)
        # Read after the answer: however slow it was, the pause is as long as it asks for.
        now = self._clock()
        if isinstance(answer, Promise):
            if now >= late.given_up_at:
                return self._give_up(state.refuse(late, (_never_ready(),), None), late.wanted)
            return self._keep(state.wait(late, answer.transaction_id, now + answer.interval))
        try:
            received = self._receive(state, late.wanted, answer, keys, now)
        except (Refused, Malformed) as error:
            notice = _notice(answer, spec.CREDENTIAL_FAILURE)
            after = state.refuse(late, reasons_of(error), notice)
            return self._reject(state, late.wanted, reasons_of(error), after)
        notice = _notice(answer, spec.CREDENTIAL_ACCEPTED)
        return self._hold(received, state.hold(late, received.card.credential_id, notice))

    def _with_good_token(
        self, state: _WithToken, ask: Callable[[_WithToken], _Answer]
    ) -> tuple[_WithToken, _Answer]:
        """Ask, and once more with another token where the first has run out meanwhile."""
        try:
            return state, ask(state)
        except Refused as refusal:
            refresh, kind = state.token.refresh, state.token.kind
            if refresh is None or refusal.codes != ["token-not-accepted"]:
                raise
            try:
                token = redeem_code(self._sender, state, RefreshToken(refresh, kind)).token
            except (Refused, Malformed):
                raise refusal from None
        again = self._keep(replace(state, token=token))
        return again, ask(again)

    def _answer_late(self, state: Waiting, late: Late) -> _Answer:
        encryption = None
        if state.endpoints.encryption is not None:
            encryption = or_unavailable(
                lambda: fetch_encryption(self._sender.fetcher, state.issuer)
            )
        try:
            return request_late(
                self._sender,
                state,
                state.token,
                url=state.endpoints.deferred or "",
                transaction_id=late.transaction_id,
                keys=len(late.wanted.keys),
                encryption=encryption,
                random=self._random,
            )
        except Refused as refusal:
            # It was answered, and the answer was lost: whoever asks as before has it again.
            if peer_code(refusal) != spec.INVALID_TRANSACTION_ID:
                raise
        return self._ask(state, late.wanted)

    def _receive(
        self,
        state: Authorized,
        wanted: Wanted,
        answer: CredentialAnswer,
        keys: Mapping[str, PublicKey],
        now: datetime,
    ) -> _Received:
        verify = partial(
            receive_credentials,
            answer.unverified_credentials,
            issuer=state.issuer,
            vct=wanted.configuration.vct,
            holder_keys=wanted.public_keys,
            now=now,
        )
        try:
            verified = verify(issuer_keys=keys)
        except Refused as refused:
            if refused.codes != ["issuer-key-unknown"]:
                raise
            # Its key may be newer than what it had published a moment ago.
            verified = verify(issuer_keys=keys_of(self._sender.fetcher, state.issuer))
        by_public = {key.public: key for key in wanted.keys}
        bound = [(*each, by_public[key]) for each in verified if (key := each[1].holder_key)]
        first, verified_first, first_key = bound[0]
        card = HeldCredential.of(
            first,
            verified_first,
            configuration_id=wanted.configuration.configuration_id,
            key=first_key,
            at=now,
            credential_id=wanted.card,
        )
        more = tuple(Copy.of(one, of, key=its) for one, of, its in bound[1:])
        copies = (card.copy, *more)
        # One that is held already, from before the program was killed, is no other copy.
        its_own = {copy.copy_id for copy in copies}
        held = self._store.copies(card.credential_id)
        others = [copy for copy in held if copy.copy_id not in its_own]
        if reasons := batch_reasons([*others, *copies]):
            raise Refused(*reasons)
        return _Received(card, wanted.card is None, more)

    def _reject(
        self, state: Authorized, wanted: Wanted, reasons: tuple[Reason, ...], following: _State
    ) -> _State:
        if wanted.card is None:
            return self._give_up(following, wanted)
        # The customer was not there: the history tells what the issuer tried.
        event = self._accepted(state.issuer, wanted.configuration.vct, self._clock())
        codes = " ".join(dict.fromkeys(reason.code for reason in reasons))
        return self._give_up(following, wanted, event=event.ended(Outcome.REFUSED, codes))

    def _accepted(self, issuer: str, vct: str, at: datetime) -> Event:
        return Event(
            event_id=fresh_event_id(self._random),
            at=at,
            act=Act.ACCEPTED,
            party=issuer,
            types=(vct,),
        )

    def _hold(self, received: _Received, following: _State) -> _State:
        card = received.card
        event = self._accepted(card.issuer, card.vct, card.accepted_at)
        with self._store.step():
            # What the customer destroyed while more of it was asked for does not come back.
            if received.is_new or self._store.card(card.credential_id) is not None:
                self._store.hold(card, received.more)
                # Of an issuer whose copies last a minute, the file would fill up with them.
                self._store.drop_expired(card.credential_id, at=card.accepted_at)
            # More copies of a card are nothing new to the customer.
            if received.is_new:
                self._store.put(event.to_record())
            self._store.put(to_record(following))
        return following

    def _ask(self, state: Authorized, wanted: Wanted) -> _Answer:
        try:
            return self._ask_once(state, wanted)
        except Refused as refusal:
            # A nonce may have run out between two calls: once more with a fresh one.
            if peer_code(refusal) != spec.INVALID_NONCE or state.endpoints.nonce is None:
                raise
        return self._ask_once(state, wanted)

    def _ask_once(self, state: Authorized, wanted: Wanted) -> _Answer:
        nonce_url = state.endpoints.nonce
        nonce = None
        if nonce_url is not None:
            nonce = fetch_nonce(self._sender, nonce_url, state.identity)
        named: JsonObject = {spec.CREDENTIAL_IDENTIFIER: wanted.identifier}
        if wanted.identifier is None:
            named = {spec.CONFIGURATION_ID: wanted.configuration.configuration_id}
        return request_credential(
            self._sender,
            state,
            state.token,
            named=named,
            proofs=make_proofs(
                wanted,
                self._keys,
                issuer=state.issuer,
                nonce=nonce,
                client_id=state.identity.client_id,
                attester=self._sender.client.key_attester,
                now=self._clock(),
            ),
            keys=len(wanted.keys),
            random=self._random,
        )

    def _give_up(self, following: _State, *wanted: Wanted, event: Event | None = None) -> _State:
        """Keep a state that wants these no more, and only then destroy their keys."""
        told = [] if event is None else [event.to_record()]
        self._store.put(*told, to_record(following))
        self._keys.destroy(key for one in wanted for key in one.keys)
        return following

    def _keep(self, state: _State) -> _State:
        self._store.put(to_record(state))
        return state


def _notice(answer: CredentialAnswer, event: str) -> Notice | None:
    return None if answer.notification_id is None else Notice(answer.notification_id, event)


def _nowhere_to_ask() -> Reason:
    expected = "a deferred credential endpoint"
    return Reason("credential-deferred", expected, "a promise", "credential issuer metadata")


def _never_ready() -> Reason:
    expected = f"the credential within {_LONGEST_WAIT.days} days"
    return Reason("credential-never-ready", expected, "a promise", "deferred credential endpoint")
