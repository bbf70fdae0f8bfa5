"""Accept an offer: persist, send, persist, and so to the end or to a clear stop.

    offer ─► discover ─┬─► Redeeming ─► token ─► Collecting ─► nonce, proofs, credential
                       └─► Authorizing ─► (browser) ─► Redeeming
          ─► verify and keep, in one step with the history ─► Notifying, Waiting ─► Finished

Killed anywhere, `resume` goes on from what was stored. Between two states there
is one request, and each may be sent twice: the issuer gives the same credentials
for the same keys, a credential is kept under its key, a notice is idempotent.
The one thing that cannot be had twice is the token: where it was lost on its
way, the acceptance is dropped, and the brand makes a new offer.
"""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Final, TypeAlias, TypeVar, assert_never

from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.offers import CredentialOffer, TxCode

from counterfoil_wallet import spec
from counterfoil_wallet.acceptance import (
    Acceptance,
    AcceptanceId,
    AfterAll,
    Authorizing,
    Begun,
    Code,
    Collecting,
    Dropped,
    Finished,
    Notifying,
    Redeeming,
    Renewable,
    Renewal,
    Waiting,
    Wanted,
    acceptance_id_of,
    login_id_of,
)
from counterfoil_wallet.acceptance_records import from_record, to_record
from counterfoil_wallet.attesting import ANONYMOUS, Client
from counterfoil_wallet.authorizing import begin_login, code_in, over, read_callback
from counterfoil_wallet.batching import FEW_COPIES, WANTED_COPIES
from counterfoil_wallet.card_keys import CardKey, CardKeys
from counterfoil_wallet.collecting import Collector
from counterfoil_wallet.discovering import Discovered, discover
from counterfoil_wallet.exchanges import (
    TokenAnswer,
    notify,
    redeem_code,
)
from counterfoil_wallet.offered import fetch_offer
from counterfoil_wallet.receiving import keys_of
from counterfoil_wallet.sending import Sender, Token
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.wire import Clock, Random, peer_code, reasons_of, refuse

_State = TypeVar("_State", bound=Acceptance)
_TX_CODE: Final = "tx_code"
_NEW_OFFER: Final = "a token for the code; ask the brand for a new offer"
_MAX_TX_CODE: Final = 100
_LONGEST_RUN: Final = timedelta(minutes=1)
"""After so long a call begins nothing more: a slow issuer does not keep the app waiting."""
_TOO_SLOW: Final = "expected all of it from the issuer within a minute, found more to ask for"
End: TypeAlias = Waiting | Notifying | Finished
"""Where an acceptance stands that was gone on with as far as it goes now."""


class Acceptor:
    """Drives acceptances over one store. Callers see to it that each id is driven once."""

    def __init__(
        self,
        store: Store,
        fetcher: Fetcher,
        clock: Clock,
        random: Random,
        client: Client = ANONYMOUS,
        *,
        keys: CardKeys,
    ) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._random = random
        self._client = client
        self._sender = Sender(fetcher, clock, random, client)
        self._keys = keys
        self._collector = Collector(store, self._sender, clock, random, keys)

    def state(self, acceptance_id: AcceptanceId) -> Acceptance | None:
        """Give the stored state, or None."""
        record = self._store.get(Kind.ACCEPTANCE, acceptance_id)
        return None if record is None else from_record(record)

    def accept(self, offer: CredentialOffer | str, tx_code: str | None) -> End:
        """Accept `offer`, or the one at a URL, or go on with accepting it.

        An offer that was accepted before is not accepted again: its credentials
        are given. Raises `Refused` when nothing of it could be kept.
        """
        acceptance_id = acceptance_id_of(offer)
        match self.state(acceptance_id):
            case Finished() as finished:
                return finished
            case Collecting() | Notifying() | Waiting() as begun:
                return self._ended(self._run(begun))
            case _:
                if isinstance(offer, str):
                    offer = fetch_offer(self._fetcher, offer)
                return self._ended(self._run(self._begin(acceptance_id, offer, tx_code)))

    def discover(self, offer: CredentialOffer, *, by_login: bool) -> Discovered:
        """Give what `offer` leads to, for this wallet."""
        attests = self._client.key_attester is not None
        return discover(self._fetcher, offer, by_login=by_login, attests_keys=attests)

    def authorize(self, offer: CredentialOffer, redirect_uri: str) -> Authorizing:
        """Begin a login for `offer`; its URL is then opened in a browser."""
        discovered = self.discover(offer, by_login=True)
        return self._keep(
            begin_login(
                self._sender,
                offer,
                discovered,
                redirect_uri=redirect_uri,
                copies=min(WANTED_COPIES, discovered.batch_size),
                now=self._clock(),
                random=self._random,
            )
        )

    def come_back(self, url: str) -> End:
        """Go on with the login that a browser came back from.

        The same answer twice leads to the same end. Raises `Refused` with
        `login-unknown` for a login that this wallet did not begin.
        """
        callback = read_callback(url)
        match self.state(login_id_of(callback.state)):
            case Finished() as finished:
                return finished
            case Authorizing() as state:
                try:
                    code = code_in(callback, state, self._clock())
                except (Refused, Malformed) as error:
                    # The answer of another server, or a bad one, ends the login: its state is
                    # no secret any more.
                    self._keep(state.drop(*reasons_of(error)))
                    raise
                return self._ended(self._run(self._keep(state.redeem(code))))
            case Redeeming() as state:
                return self._ended(self._run(self._redeem(state, was_interrupted=True)))
            case None:
                raise refuse("login-unknown", "a login that was begun here", "another", "state")
            case state:
                return self._ended(self._run(state))

    def resume(self, state: Acceptance) -> Acceptance:
        """Go on with a stored state as far as possible; `Unavailable` leaves it where it is."""
        try:
            if isinstance(state, Authorizing):
                return self._keep(state.drop(over())) if self._clock() >= state.ends_at else state
            if isinstance(state, Redeeming):
                state = self._redeem(state, was_interrupted=True)
            return self._run(state)
        except Unavailable:
            return self.state(state.acceptance_id) or state

    def refill(self, finished: Finished) -> Acceptance:
        """Ask for more copies of the cards that run out of fresh ones, if there is a way.

        A server that takes the refresh token no more is not asked again: what is left is
        left. Every other error leaves everything as it is.
        """
        renewal = finished.renewal
        if renewal is None:
            return finished
        low = [card for card in renewal.cards if self._runs_out(card)]
        if not low:
            return finished
        wanted = tuple(
            card.wanted(tuple(self._keys.fresh() for _ in range(card.copies))) for card in low
        )
        try:
            token = self._renewed(finished, renewal)
        except CounterfoilError as error:
            self._keys.destroy(key for one in wanted for key in one.keys)
            if not isinstance(error, Refused) or peer_code(error) not in spec.REFRESH_IS_OVER:
                raise
            return self._keep(replace(finished, renewal=None))
        return self._run(self._keep(finished.renew(renewal, token, wanted)))

    def _runs_out(self, renewable: Renewable) -> bool:
        card = self._store.card(renewable.card)
        if card is None or card.trashed_at is not None:
            return False
        fresh = self._store.copies_left(renewable.card, at=self._clock()).fresh
        return fresh < min(FEW_COPIES, renewable.copies)

    def _renewed(self, finished: Finished, renewal: Renewal) -> Token:
        begun = Begun(
            acceptance_id=finished.acceptance_id,
            issuer=finished.issuer,
            endpoints=renewal.endpoints,
            identity=renewal.identity,
        )
        return redeem_code(self._sender, begun, renewal.refresh_token).token

    def _ended(self, end: End | Dropped) -> End:
        if isinstance(end, Dropped):
            raise Refused(*end.reasons)
        if not end.held and (isinstance(end, Finished) or not end.late):
            raise Refused(*end.refused)
        return end

    def _begin(
        self, acceptance_id: AcceptanceId, offer: CredentialOffer, tx_code: str | None
    ) -> Redeeming:
        if offer.code is None:
            raise refuse("login-needed", "an offer with a code", "one by login", "credential_offer")
        given = _tx_code_to_send(offer.tx_code, tx_code)
        discovered = self.discover(offer, by_login=False)
        endpoints = discovered.endpoints
        identity = self._sender.identity(endpoints, must_name_itself=not endpoints.anonymous)
        return self._keep(
            Redeeming(
                acceptance_id=acceptance_id,
                issuer=offer.issuer,
                endpoints=endpoints,
                identity=identity,
                configurations=discovered.configurations,
                skipped=discovered.skipped,
                copies=min(WANTED_COPIES, discovered.batch_size),
                code=Code(offer.code, given),
            )
        )

    def _run(self, state: Acceptance) -> End | Dropped:
        issuer, until = state.issuer, self._clock() + _LONGEST_RUN
        keys = cache(lambda: keys_of(self._fetcher, issuer))
        while True:
            match state:
                case Redeeming():
                    state = self._redeem(state, was_interrupted=False)
                case Collecting():
                    state = self._collector.collect(state, keys)
                case Notifying():
                    try:
                        state = self._notify(state)
                    except Unavailable:
                        # The credentials are kept; `resume` tells the issuer later.
                        return state
                case Waiting():
                    if self._clock() < state.due:
                        return state
                    still_late = len(state.late)
                    state = self._collector.ask_late(state, keys)
                    if isinstance(state, Waiting) and len(state.late) == still_late:
                        # One promise after the other: the next is asked for next time.
                        return state
                case Finished() | Dropped():
                    return state
                case Authorizing():
                    raise Misuse("expected a login that came back, found one that has not")
                case _:
                    assert_never(state)
            if self._clock() >= until:
                # What is kept is kept: `resume` goes on, or the same call again.
                if isinstance(state, Notifying):
                    return state
                if isinstance(state, Collecting):
                    raise Unavailable(_TOO_SLOW)

    def _redeem(self, state: Redeeming, *, was_interrupted: bool) -> Collecting | Dropped:
        # Before the code is spent: a key store that does not answer must not cost it.
        keys = [self._keys.fresh() for _ in range(len(state.configurations) * state.copies)]
        try:
            answer = redeem_code(self._sender, state, state.code)
        except CounterfoilError as error:
            self._keys.destroy(keys)
            if not isinstance(error, Refused | Malformed):
                raise
            return self._keep(
                state.drop(*_why_not_redeemed(error, was_interrupted=was_interrupted))
            )
        # They are kept with the token, before any credential is asked for: whoever
        # repeats the request after a crash has the same keys.
        return self._keep(state.collect(answer.token, self._wanted(state, answer, keys)))

    def _wanted(
        self, state: Redeeming, answer: TokenAnswer, keys: list[CardKey]
    ) -> tuple[Wanted, ...]:
        none: tuple[str | None, ...] = (None,)
        return tuple(
            Wanted(
                configuration=configuration,
                identifier=identifier,
                keys=tuple(keys.pop() if keys else self._keys.fresh() for _ in range(state.copies)),
            )
            for configuration in state.configurations
            for identifier in answer.identifiers.get(configuration.configuration_id, none)
        )

    def _notify(self, state: Notifying) -> AfterAll:
        notice = state.notices[0]
        notify(self._sender, state, state.token, notice_id=notice.notice_id, event=notice.event)
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
