"""The states of accepting an offer. Each is a value that allows only the next step.

    Authorizing ─► Redeeming ─► Collecting ─► … ─► Notifying ◄─► Waiting
        │              │            │                  │            │
        └──────────────┴────────────┴──────────────────┴────────────┴──► Finished, Dropped

A state is stored before its request is sent. `Authorizing` is the browser's turn;
`Redeeming` holds the code; `Collecting` holds the access token and the fresh keys, so that
a repeated request is the same request; `Waiting` holds what the issuer has not ready yet;
`Notifying` owes the issuer a word. `acceptance_records.py` writes and reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Final, NewType, Self, TypeAlias

from counterfoil_credentials.encoding import b64url, compact_json
from counterfoil_credentials.errors import Reason
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.offers import CredentialOffer

from counterfoil_wallet import spec
from counterfoil_wallet.card_keys import CardKey
from counterfoil_wallet.configurations import Configuration
from counterfoil_wallet.discovering import Endpoints
from counterfoil_wallet.held import CredentialId
from counterfoil_wallet.sending import Identity, Token

AcceptanceId = NewType("AcceptanceId", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A credential still to come, and the keys that its copies will be bound to.

    `card`: it is held already, and these are more copies of it.
    """

    configuration: Configuration
    identifier: str | None
    keys: tuple[CardKey, ...] = field(repr=False, compare=False)
    card: CredentialId | None = None

    @property
    def public_keys(self) -> tuple[PublicKey, ...]:
        """The public keys, one for each copy."""
        return tuple(key.public for key in self.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewable:
    """A held card of which more copies can be asked for, and how; so many came at once."""

    configuration: Configuration
    identifier: str | None
    card: CredentialId
    copies: int = 1

    @staticmethod
    def of(wanted: Wanted, card: CredentialId) -> "Renewable":
        """Give how a card was asked for, without its keys."""
        return Renewable(
            configuration=wanted.configuration,
            identifier=wanted.identifier,
            card=card,
            copies=len(wanted.keys),
        )

    def wanted(self, keys: tuple[CardKey, ...]) -> Wanted:
        """Give what is asked for, with fresh keys."""
        return Wanted(
            configuration=self.configuration,
            identifier=self.identifier,
            keys=keys,
            card=self.card,
        )


@dataclass(frozen=True, slots=True)
class Late:
    """A credential that was not ready: asked for again under its id, not before an instant."""

    wanted: Wanted
    transaction_id: str = field(repr=False)
    not_before: datetime
    given_up_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """What the issuer is still to be told about one credential."""

    notice_id: str
    event: str


@dataclass(frozen=True, slots=True)
class Code:
    """A pre-authorized code, with what the customer typed in."""

    value: str = field(repr=False)
    tx_code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LoginCode:
    """What the browser brought back from a login, and what proves that it was ours."""

    value: str = field(repr=False)
    redirect_uri: str
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What another token may be had for, in place of one of this `kind`."""

    value: str = field(repr=False)
    kind: str = spec.BEARER


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What every state shares until the end: whom it is with, and as whom."""

    acceptance_id: AcceptanceId
    issuer: str
    endpoints: Endpoints
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeeming(Begun):
    """The code is about to be redeemed, or was when the program stopped."""

    configurations: tuple[Configuration, ...]
    skipped: tuple[Reason, ...] = ()
    copies: int = 1
    code: Code | LoginCode

    def collect(self, token: Token, wanted: tuple[Wanted, ...]) -> "Collecting":
        """Go on with the token, once for each credential."""
        return Collecting(
            acceptance_id=self.acceptance_id,
            issuer=self.issuer,
            endpoints=self.endpoints,
            identity=self.identity,
            token=token,
            wanted=wanted,
            refused=self.skipped,
        )

    def drop(self, *reasons: Reason) -> "Dropped":
        """Give up: the code leads nowhere."""
        return Dropped(self.acceptance_id, self.issuer, reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizing(Begun):
    """The customer logs in at `url`, in a browser; the answer must come by `ends_at`.

    Open `url` and hand what the browser comes back with to `Wallet.come_back`.
    """

    configurations: tuple[Configuration, ...]
    skipped: tuple[Reason, ...] = ()
    copies: int = 1
    url: str = field(repr=False)
    redirect_uri: str
    verifier: str = field(repr=False)
    ends_at: datetime

    def redeem(self, code: str) -> Redeeming:
        """Go on with the code that the browser brought."""
        return Redeeming(
            acceptance_id=self.acceptance_id,
            issuer=self.issuer,
            endpoints=self.endpoints,
            identity=self.identity,
            configurations=self.configurations,
            skipped=self.skipped,
            copies=self.copies,
            code=LoginCode(code, self.redirect_uri, self.verifier),
        )

    def drop(self, *reasons: Reason) -> "Dropped":
        """Give up: nothing came of the login."""
        return Dropped(self.acceptance_id, self.issuer, reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorized(Begun):
    """The token is here: what is held and refused by now, late and owed."""

    token: Token
    held: tuple[CredentialId, ...] = ()
    refused: tuple[Reason, ...] = ()
    late: tuple[Late, ...] = ()
    notices: tuple[Notice, ...] = ()
    renewable: tuple[Renewable, ...] = ()

    def with_card(self, wanted: Wanted, credential_id: CredentialId) -> Self:
        """Give the state with a card held, of which more copies can be asked for like these."""
        known = [each for each in self.renewable if each.card != credential_id]
        held = self.held if credential_id in self.held else (*self.held, credential_id)
        return replace(self, held=held, renewable=(*known, Renewable.of(wanted, credential_id)))

    def without_more(self, wanted: Wanted) -> Self:
        """Give the state in which no more copies of a card are asked for."""
        kept = tuple(each for each in self.renewable if each.card != wanted.card)
        return replace(self, renewable=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting(Authorized):
    """The first of `wanted` is asked for next."""

    wanted: tuple[Wanted, ...]

    def hold(self, credential_id: CredentialId, notice: Notice | None) -> "AfterOne":
        """Go on: the first of `wanted` is verified and kept."""
        return _after_one(self.with_card(self.wanted[0], credential_id), notice)

    def refuse(self, reasons: tuple[Reason, ...], notice: Notice | None) -> "AfterOne":
        """Go on: the first of `wanted` was refused, by the issuer or by us."""
        state = self.without_more(self.wanted[0])
        return _after_one(replace(state, refused=(*self.refused, *reasons)), notice)

    def wait(self, late: Late) -> "AfterOne":
        """Go on: the first of `wanted` comes later."""
        return _after_one(replace(self, late=(*self.late, late)), None)

    def abandon(self, reasons: tuple[Reason, ...]) -> "AfterOne":
        """Give up what is still wanted: the token is no longer accepted."""
        given_up = {each.card for each in self.wanted}
        last = replace(
            self,
            wanted=self.wanted[:1],
            refused=(*self.refused, *reasons),
            renewable=tuple(each for each in self.renewable if each.card not in given_up),
        )
        return _after_one(last, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Authorized):
    """The issuer has some of it not ready. `due` says when it may be asked again."""

    @property
    def due(self) -> datetime:
        """The earliest instant at which one of the late ones may be asked for."""
        return min(late.not_before for late in self.late)

    def hold(self, late: Late, credential_id: CredentialId, notice: Notice | None) -> "AfterAll":
        """Go on: a late one is verified and kept."""
        held = self._without(late).with_card(late.wanted, credential_id)
        return _settled(held, _listed(notice))

    def refuse(self, late: Late, reasons: Sequence[Reason], notice: Notice | None) -> "AfterAll":
        """Go on: a late one was refused, by the issuer or by us."""
        left = self._without(late).without_more(late.wanted)
        return _settled(replace(left, refused=(*self.refused, *reasons)), _listed(notice))

    def wait(self, late: Late, transaction_id: str, not_before: datetime) -> "Waiting":
        """Go on: a late one is still not ready, and is asked for under `transaction_id`."""
        again = replace(late, transaction_id=transaction_id, not_before=not_before)
        return replace(self, late=tuple(again if each == late else each for each in self.late))

    def _without(self, late: Late) -> "Waiting":
        return replace(self, late=tuple(each for each in self.late if each != late))


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifying(Authorized):
    """The issuer is to be told what is kept and what is refused."""

    def answered(self) -> "AfterAll":
        """Go on: the issuer has heard the first notice."""
        return _settled(self, self.notices[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How more copies of cards are asked for without the customer, with keys made anew."""

    endpoints: Endpoints
    identity: Identity
    refresh_token: RefreshToken
    cards: tuple[Renewable, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The credentials are held. `refused` says why others of the same offer are not."""

    acceptance_id: AcceptanceId
    issuer: str
    held: tuple[CredentialId, ...]
    refused: tuple[Reason, ...]
    renewal: Renewal | None = None

    def renew(self, renewal: Renewal, token: Token, wanted: tuple[Wanted, ...]) -> Collecting:
        """Go on with a new token, once for each card that runs out of copies."""
        return Collecting(
            acceptance_id=self.acceptance_id,
            issuer=self.issuer,
            endpoints=renewal.endpoints,
            identity=renewal.identity,
            token=token,
            wanted=wanted,
            held=self.held,
            refused=self.refused,
            renewable=renewal.cards,
        )


@dataclass(frozen=True, slots=True)
class Dropped:
    """Nothing came of it, for these reasons. The same offer may be tried again."""

    acceptance_id: AcceptanceId
    issuer: str
    reasons: tuple[Reason, ...]


AfterAll: TypeAlias = Notifying | Waiting | Finished | Dropped
AfterOne: TypeAlias = Collecting | AfterAll
Acceptance: TypeAlias = Authorizing | Redeeming | AfterOne

UNDER_WAY: Final = ("authorizing", "redeeming", "collecting", "waiting", "notifying")
RENEWABLE: Final = "renewable"
"""The label of a finished acceptance of which more copies can be asked for."""


def acceptance_id_of(offer: CredentialOffer | str) -> AcceptanceId:
    """Give the id of accepting `offer`, or the one at a URL: the same is the same acceptance.

    By its URL, because that leads nowhere any more once the offer was accepted.
    """
    named = compact_json([offer] if isinstance(offer, str) else [offer.issuer, offer.code])
    return AcceptanceId(b64url(sha256(named).digest()))


def login_id_of(state: str) -> AcceptanceId:
    """Give the id of the acceptance whose login comes back with `state`."""
    return AcceptanceId(b64url(sha256(b"login\x00" + state.encode()).digest()))


def _after_one(state: Collecting, notice: Notice | None) -> AfterOne:
    notices = (*state.notices, *_listed(notice))
    if rest := state.wanted[1:]:
        return replace(state, wanted=rest, notices=notices)
    return _settled(state, notices)


def _settled(state: Authorized, notices: tuple[Notice, ...]) -> AfterAll:
    """Give the state without a token as soon as nothing is owed and nothing is late."""
    if notices and state.endpoints.notification is not None:
        return _as(Notifying, state, notices)
    if state.late:
        return _as(Waiting, state, ())
    if state.held:
        renewal = _renewal(state)
        return Finished(state.acceptance_id, state.issuer, state.held, state.refused, renewal)
    return Dropped(state.acceptance_id, state.issuer, state.refused)


def _renewal(state: Authorized) -> Renewal | None:
    if state.token.refresh is None or not state.renewable:
        return None
    return Renewal(
        endpoints=state.endpoints,
        identity=state.identity,
        refresh_token=RefreshToken(state.token.refresh, state.token.kind),
        cards=state.renewable,
    )


def _as(
    kind: type[Notifying] | type[Waiting], state: Authorized, notices: tuple[Notice, ...]
) -> Notifying | Waiting:
    return kind(
        acceptance_id=state.acceptance_id,
        issuer=state.issuer,
        endpoints=state.endpoints,
        identity=state.identity,
        token=state.token,
        held=state.held,
        refused=state.refused,
        late=state.late,
        notices=notices,
        renewable=state.renewable,
    )


def _listed(notice: Notice | None) -> tuple[Notice, ...]:
    return () if notice is None else (notice,)
