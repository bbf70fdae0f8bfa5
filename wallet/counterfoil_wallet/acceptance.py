"""The states of accepting an offer. Each is a value that allows only the next step.

    Redeeming ─► Collecting ─► … ─► Notifying ─► Finished
        │            │                  └──────► Dropped
        └────────────┴─────────────────────────► Dropped

A state is stored before its request is sent. `Redeeming` holds the code;
`Collecting` holds the access token and the fresh keys, so that a repeated
request is the same request; `Notifying` owes the issuer a word and nothing else.
"""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final, NewType, TypeAlias, assert_never

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import CredentialOffer

from counterfoil_wallet.discovering import Configuration, Endpoints
from counterfoil_wallet.held import CredentialId
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import reasons_at, reasons_json

AcceptanceId = NewType("AcceptanceId", str)

_WHERE: Final = "acceptance"
# All that the bounds on what comes in allow (`discovering.py`, `exchanges.py`), and more.
_MAX_BODY_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A credential still to come, and the key that it will be bound to."""

    configuration_id: str
    vct: str
    identifier: str | None
    signer: MemorySigner = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """What the issuer is still to be told about one credential."""

    notice_id: str
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeeming:
    """The code is about to be redeemed, or was when the program stopped."""

    acceptance_id: AcceptanceId
    issuer: str
    endpoints: Endpoints
    configurations: tuple[Configuration, ...]
    skipped: tuple[Reason, ...] = ()
    code: str = field(repr=False)
    tx_code: str | None = field(repr=False)

    def collect(self, access_token: str, wanted: tuple[Wanted, ...]) -> "Collecting":
        """Go on with the token, once for each credential."""
        return Collecting(
            acceptance_id=self.acceptance_id,
            issuer=self.issuer,
            endpoints=self.endpoints,
            access_token=access_token,
            wanted=wanted,
            refused=self.skipped,
        )

    def drop(self, *reasons: Reason) -> "Dropped":
        """Give up: the code leads nowhere."""
        return Dropped(self.acceptance_id, self.issuer, reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting:
    """The token is here. The first of `wanted` is asked for next."""

    acceptance_id: AcceptanceId
    issuer: str
    endpoints: Endpoints
    access_token: str = field(repr=False)
    wanted: tuple[Wanted, ...]
    held: tuple[CredentialId, ...] = ()
    refused: tuple[Reason, ...] = ()
    notices: tuple[Notice, ...] = ()

    def hold(self, credential_id: CredentialId, notice: Notice | None) -> "AfterOne":
        """Go on: the first of `wanted` is verified and kept."""
        return _after_one(replace(self, held=(*self.held, credential_id)), notice)

    def refuse(self, reasons: tuple[Reason, ...], notice: Notice | None) -> "AfterOne":
        """Go on: the first of `wanted` was refused, by the issuer or by us."""
        return _after_one(replace(self, refused=(*self.refused, *reasons)), notice)

    def abandon(self, reasons: tuple[Reason, ...]) -> "AfterOne":
        """Give up what is still wanted: the token is no longer accepted."""
        last = replace(self, wanted=self.wanted[:1], refused=(*self.refused, *reasons))
        return _after_one(last, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifying:
    """Everything is kept or refused; the issuer is to be told."""

    acceptance_id: AcceptanceId
    issuer: str
    endpoints: Endpoints
    access_token: str = field(repr=False)
    held: tuple[CredentialId, ...]
    refused: tuple[Reason, ...]
    notices: tuple[Notice, ...]

    def answered(self) -> "Notifying | Finished | Dropped":
        """Go on: the issuer has heard the first notice."""
        return replace(self, notices=self.notices[1:]).settled()

    def settled(self) -> "Notifying | Finished | Dropped":
        """Give the state without a token as soon as nothing is owed."""
        if self.notices and self.endpoints.notification is not None:
            return self
        if self.held:
            return Finished(self.acceptance_id, self.issuer, self.held, self.refused)
        return Dropped(self.acceptance_id, self.issuer, self.refused)


@dataclass(frozen=True, slots=True)
class Finished:
    """The credentials are held. `refused` says why others of the same offer are not."""

    acceptance_id: AcceptanceId
    issuer: str
    held: tuple[CredentialId, ...]
    refused: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Nothing came of it, for these reasons. The same offer may be tried again."""

    acceptance_id: AcceptanceId
    issuer: str
    reasons: tuple[Reason, ...]


AfterOne: TypeAlias = Collecting | Notifying | Finished | Dropped
Acceptance: TypeAlias = Redeeming | Collecting | Notifying | Finished | Dropped

UNDER_WAY: Final = ("redeeming", "collecting", "notifying")


def acceptance_id_of(offer: CredentialOffer) -> AcceptanceId:
    """Give the id of accepting `offer`: the same offer is the same acceptance."""
    named = compact_json([offer.issuer, offer.pre_authorized_code])
    return AcceptanceId(b64url(sha256(named).digest()))


def to_record(state: Acceptance) -> Record:
    """Give the record to store."""
    name = type(state).__name__.lower()
    return Record(Kind.ACCEPTANCE, state.acceptance_id, name, compact_json(_to_json(state)))


def from_record(record: Record) -> Acceptance:
    """Read a stored state."""
    obj = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
    acceptance_id, issuer = AcceptanceId(record.key), text_at(obj, "issuer", _WHERE)
    match record.label:
        case "redeeming":
            return Redeeming(
                acceptance_id=acceptance_id,
                issuer=issuer,
                endpoints=_endpoints(obj),
                configurations=tuple(
                    Configuration(text_at(item, "id", _WHERE), text_at(item, "vct", _WHERE))
                    for item in _objects(obj, "configurations")
                ),
                skipped=reasons_at(obj, "skipped", _WHERE),
                code=text_at(obj, "code", _WHERE),
                tx_code=optional_text_at(obj, "tx_code", _WHERE),
            )
        case "collecting":
            return Collecting(
                acceptance_id=acceptance_id,
                issuer=issuer,
                endpoints=_endpoints(obj),
                access_token=text_at(obj, "access_token", _WHERE),
                wanted=tuple(_wanted(item) for item in _objects(obj, "wanted")),
                held=_held(obj),
                refused=reasons_at(obj, "reasons", _WHERE),
                notices=_notices(obj),
            )
        case "notifying":
            return Notifying(
                acceptance_id=acceptance_id,
                issuer=issuer,
                endpoints=_endpoints(obj),
                access_token=text_at(obj, "access_token", _WHERE),
                held=_held(obj),
                refused=reasons_at(obj, "reasons", _WHERE),
                notices=_notices(obj),
            )
        case "finished":
            return Finished(acceptance_id, issuer, _held(obj), reasons_at(obj, "reasons", _WHERE))
        case "dropped":
            return Dropped(acceptance_id, issuer, reasons_at(obj, "reasons", _WHERE))
        case _:
            raise Malformed("a state of an acceptance", "another text", _WHERE)


def _after_one(state: Collecting, notice: Notice | None) -> AfterOne:
    notices = state.notices if notice is None else (*state.notices, notice)
    if rest := state.wanted[1:]:
        return replace(state, wanted=rest, notices=notices)
    return Notifying(
        acceptance_id=state.acceptance_id,
        issuer=state.issuer,
        endpoints=state.endpoints,
        access_token=state.access_token,
        held=state.held,
        refused=state.refused,
        notices=notices,
    ).settled()


def _to_json(state: Acceptance) -> JsonObject:
    match state:
        case Redeeming():
            configurations: list[Json] = [
                {"id": item.configuration_id, "vct": item.vct} for item in state.configurations
            ]
            return {
                "issuer": state.issuer,
                "endpoints": state.endpoints.to_json(),
                "configurations": configurations,
                "skipped": reasons_json(state.skipped),
                "code": state.code,
                **({} if state.tx_code is None else {"tx_code": state.tx_code}),
            }
        case Collecting() | Notifying():
            notices: list[Json] = [
                {"id": notice.notice_id, "event": notice.event} for notice in state.notices
            ]
            owed: JsonObject = {
                "endpoints": state.endpoints.to_json(),
                "access_token": state.access_token,
                "notices": notices,
                **_ended(state.issuer, state.held, state.refused),
            }
            if isinstance(state, Collecting):
                owed["wanted"] = [_wanted_json(item) for item in state.wanted]
            return owed
        case Finished():
            return _ended(state.issuer, state.held, state.refused)
        case Dropped():
            return _ended(state.issuer, (), state.reasons)
        case _:
            assert_never(state)


def _ended(issuer: str, held: tuple[CredentialId, ...], reasons: tuple[Reason, ...]) -> JsonObject:
    return {"issuer": issuer, "held": [*held], "reasons": reasons_json(reasons)}


def _wanted_json(item: Wanted) -> JsonObject:
    return {
        "id": item.configuration_id,
        "vct": item.vct,
        "key": b64url(item.signer.private_bytes()),
        **({} if item.identifier is None else {"identifier": item.identifier}),
    }


def _wanted(obj: JsonObject) -> Wanted:
    key = from_b64url(text_at(obj, "key", _WHERE), f"{_WHERE}.key")
    return Wanted(
        configuration_id=text_at(obj, "id", _WHERE),
        vct=text_at(obj, "vct", _WHERE),
        identifier=optional_text_at(obj, "identifier", _WHERE),
        signer=MemorySigner.from_private_bytes(key),
    )


def _endpoints(obj: JsonObject) -> Endpoints:
    return Endpoints.from_json(object_at(obj, "endpoints", _WHERE), f"{_WHERE}.endpoints")


def _held(obj: JsonObject) -> tuple[CredentialId, ...]:
    return tuple(CredentialId(text) for text in texts_at(obj, "held", _WHERE))


def _notices(obj: JsonObject) -> tuple[Notice, ...]:
    return tuple(
        Notice(text_at(item, "id", _WHERE), text_at(item, "event", _WHERE))
        for item in _objects(obj, "notices")
    )


def _objects(obj: JsonObject, name: str) -> list[JsonObject]:
    return [as_object(item, f"{_WHERE}.{name}") for item in list_at(obj, name, _WHERE)]
