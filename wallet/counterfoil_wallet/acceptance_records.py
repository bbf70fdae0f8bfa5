"""How the states of an acceptance are stored, and read again, also those of an older wallet."""

from typing import Final, assert_never

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    as_text,
    b64url,
    compact_json,
    from_b64url,
    list_at,
    object_at,
    optional_int_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason
from counterfoil_credentials.keys import MemorySigner, PublicKey

from counterfoil_wallet import spec
from counterfoil_wallet.acceptance import (
    RENEWABLE,
    Acceptance,
    AcceptanceId,
    Authorizing,
    Begun,
    Code,
    Collecting,
    Dropped,
    Finished,
    Late,
    LoginCode,
    Notice,
    Notifying,
    Redeeming,
    RefreshToken,
    Renewable,
    Renewal,
    Waiting,
    Wanted,
)
from counterfoil_wallet.card_keys import CardKey
from counterfoil_wallet.configurations import Configuration, Proving
from counterfoil_wallet.discovering import Endpoints
from counterfoil_wallet.held import CredentialId
from counterfoil_wallet.sending import Identity, Token
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import reasons_at, reasons_json, required_time_at

_WHERE: Final = "acceptance"
# All that the bounds on what comes in allow (`discovering.py`, `exchanges.py`), and more.
_MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_PROVING: Final = {each.value: each for each in Proving}


def to_record(state: Acceptance) -> Record:
    """Give the record to store."""
    name = type(state).__name__.lower()
    if isinstance(state, Finished) and state.renewal is not None:
        name = RENEWABLE
    return Record(Kind.ACCEPTANCE, state.acceptance_id, name, compact_json(_to_json(state)))


def from_record(record: Record) -> Acceptance:
    """Read a stored state."""
    obj = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
    acceptance_id, issuer = AcceptanceId(record.key), text_at(obj, "issuer", _WHERE)
    if record.label in ("finished", RENEWABLE):
        renewal = _renewal(object_at(obj, "renewal", _WHERE)) if "renewal" in obj else None
        reasons = reasons_at(obj, "reasons", _WHERE)
        return Finished(acceptance_id, issuer, _held(obj), reasons, renewal)
    if record.label == "dropped":
        return Dropped(acceptance_id, issuer, reasons_at(obj, "reasons", _WHERE))
    begun = Begun(
        acceptance_id=acceptance_id,
        issuer=issuer,
        endpoints=_endpoints(obj),
        identity=_identity(obj),
    )
    match record.label:
        case "authorizing":
            return _authorizing(begun, obj)
        case "redeeming":
            return _redeeming(begun, obj)
        case "collecting":
            return _collecting(begun, obj)
        case "waiting":
            return _late_or_owed(Waiting, begun, obj)
        case "notifying":
            return _late_or_owed(Notifying, begun, obj)
        case _:
            raise Malformed("a state of an acceptance", "another text", _WHERE)


def _authorizing(begun: Begun, obj: JsonObject) -> Authorizing:
    return Authorizing(
        acceptance_id=begun.acceptance_id,
        issuer=begun.issuer,
        endpoints=begun.endpoints,
        identity=begun.identity,
        configurations=_configurations(obj),
        skipped=reasons_at(obj, "skipped", _WHERE),
        copies=_copies(obj),
        url=text_at(obj, "url", _WHERE),
        redirect_uri=text_at(obj, "redirect_uri", _WHERE),
        verifier=text_at(obj, "verifier", _WHERE),
        ends_at=required_time_at(obj, "ends_at", _WHERE),
    )


def _redeeming(begun: Begun, obj: JsonObject) -> Redeeming:
    value = text_at(obj, "code", _WHERE)
    verifier = optional_text_at(obj, "verifier", _WHERE)
    return Redeeming(
        acceptance_id=begun.acceptance_id,
        issuer=begun.issuer,
        endpoints=begun.endpoints,
        identity=begun.identity,
        configurations=_configurations(obj),
        skipped=reasons_at(obj, "skipped", _WHERE),
        copies=_copies(obj),
        code=Code(value, optional_text_at(obj, "tx_code", _WHERE))
        if verifier is None
        else LoginCode(value, text_at(obj, "redirect_uri", _WHERE), verifier),
    )


def _collecting(begun: Begun, obj: JsonObject) -> Collecting:
    return Collecting(
        acceptance_id=begun.acceptance_id,
        issuer=begun.issuer,
        endpoints=begun.endpoints,
        identity=begun.identity,
        token=_token(obj),
        wanted=tuple(_wanted(item) for item in _objects(obj, "wanted")),
        held=_held(obj),
        refused=reasons_at(obj, "reasons", _WHERE),
        late=_late(obj),
        notices=_notices(obj),
        renewable=_renewable(obj),
    )


def _late_or_owed(
    kind: type[Waiting] | type[Notifying], begun: Begun, obj: JsonObject
) -> Waiting | Notifying:
    late, notices = _late(obj), _notices(obj)
    if not (late if kind is Waiting else notices):
        raise Malformed("something to wait for or to tell", "nothing", _WHERE)
    return kind(
        acceptance_id=begun.acceptance_id,
        issuer=begun.issuer,
        endpoints=begun.endpoints,
        identity=begun.identity,
        token=_token(obj),
        held=_held(obj),
        refused=reasons_at(obj, "reasons", _WHERE),
        late=late,
        notices=notices,
        renewable=_renewable(obj),
    )


def _to_json(state: Acceptance) -> JsonObject:
    match state:
        case Finished():
            ended = _ended(state.issuer, state.held, state.refused)
            if state.renewal is not None:
                ended["renewal"] = _renewal_json(state.renewal)
            return ended
        case Dropped():
            return _ended(state.issuer, (), state.reasons)
        case Authorizing():
            return {
                **_begun_json(state),
                **_asked_json(state),
                "url": state.url,
                "redirect_uri": state.redirect_uri,
                "verifier": state.verifier,
                "ends_at": int(state.ends_at.timestamp()),
            }
        case Redeeming():
            return {**_begun_json(state), **_asked_json(state), **_code_json(state.code)}
        case Collecting() | Waiting() | Notifying():
            notices: list[Json] = [
                {"id": notice.notice_id, "event": notice.event} for notice in state.notices
            ]
            owed: JsonObject = {
                **_begun_json(state),
                **_token_json(state.token),
                "notices": notices,
                "late": [_late_json(item) for item in state.late],
                "renewable": [_renewable_json(item) for item in state.renewable],
                **_ended(state.issuer, state.held, state.refused),
            }
            if isinstance(state, Collecting):
                owed["wanted"] = [_wanted_json(item) for item in state.wanted]
            return owed
        case _:
            assert_never(state)


def _begun_json(state: Begun) -> JsonObject:
    return {
        "issuer": state.issuer,
        "endpoints": state.endpoints.to_json(),
        "identity": state.identity.to_json(),
    }


def _token_json(token: Token) -> JsonObject:
    members: JsonObject = {"access_token": token.value, "token_type": token.kind}
    return members if token.refresh is None else {**members, "refresh_token": token.refresh}


def _renewal_json(renewal: Renewal) -> JsonObject:
    return {
        "endpoints": renewal.endpoints.to_json(),
        "identity": renewal.identity.to_json(),
        "refresh_token": renewal.refresh_token.value,
        "token_type": renewal.refresh_token.kind,
        "renewable": [_renewable_json(item) for item in renewal.cards],
    }


def _renewable_json(item: Renewable) -> JsonObject:
    return {"card": item.card, "copies": item.copies, **_credential_json(item)}


def _asked_json(state: Authorizing | Redeeming) -> JsonObject:
    return {
        "configurations": [_configuration_json(item) for item in state.configurations],
        "skipped": reasons_json(state.skipped),
        "copies": state.copies,
    }


def _code_json(code: Code | LoginCode) -> JsonObject:
    if isinstance(code, LoginCode):
        return {"code": code.value, "redirect_uri": code.redirect_uri, "verifier": code.verifier}
    return {"code": code.value, **({} if code.tx_code is None else {"tx_code": code.tx_code})}


def _ended(issuer: str, held: tuple[CredentialId, ...], reasons: tuple[Reason, ...]) -> JsonObject:
    return {"issuer": issuer, "held": [*held], "reasons": reasons_json(reasons)}


def _configuration_json(item: Configuration) -> JsonObject:
    named = (("scope", item.scope), ("name", item.name))
    return {
        "id": item.configuration_id,
        "vct": item.vct,
        "proving": item.proving.value,
        "levels": [*item.levels],
        **{name: text for name, text in named if text is not None},
    }


def _credential_json(item: Wanted | Renewable) -> JsonObject:
    named: JsonObject = {} if item.identifier is None else {"identifier": item.identifier}
    return {**_configuration_json(item.configuration), **named}


def _wanted_json(item: Wanted) -> JsonObject:
    return {
        **_credential_json(item),
        "keys": [_key_json(key) for key in item.keys],
        **({} if item.card is None else {"card": item.card}),
    }


def _key_json(key: CardKey) -> Json:
    if not key.keeper:
        return b64url(key.key)
    return {"jwk": key.public.jwk(), "keeper": key.keeper, "reference": b64url(key.key)}


def _key(value: Json) -> CardKey:
    where = f"{_WHERE}.keys"
    if not isinstance(value, dict):
        secret = from_b64url(as_text(value, where), where)
        return CardKey.own(MemorySigner.from_private_bytes(secret))
    return CardKey(
        PublicKey.from_jwk(object_at(value, "jwk", where), where),
        from_b64url(text_at(value, "reference", where), where),
        text_at(value, "keeper", where),
    )


def _late_json(item: Late) -> JsonObject:
    return {
        "wanted": _wanted_json(item.wanted),
        "transaction_id": item.transaction_id,
        "not_before": int(item.not_before.timestamp()),
        "given_up_at": int(item.given_up_at.timestamp()),
    }


def _wanted(item: JsonObject) -> Wanted:
    # Before there were copies, a credential had one key.
    keys = list_at(item, "keys", _WHERE) if "keys" in item else [item.get("key")]
    card = optional_text_at(item, "card", _WHERE)
    return Wanted(
        configuration=_configuration(item),
        identifier=optional_text_at(item, "identifier", _WHERE),
        keys=tuple(_key(key) for key in keys),
        card=None if card is None else CredentialId(card),
    )


def _late(obj: JsonObject) -> tuple[Late, ...]:
    return tuple(
        Late(
            _wanted(object_at(item, "wanted", _WHERE)),
            text_at(item, "transaction_id", _WHERE),
            required_time_at(item, "not_before", _WHERE),
            required_time_at(item, "given_up_at", _WHERE),
        )
        for item in (_objects(obj, "late") if "late" in obj else [])
    )


def _configurations(obj: JsonObject) -> tuple[Configuration, ...]:
    return tuple(_configuration(item) for item in _objects(obj, "configurations"))


def _configuration(item: JsonObject) -> Configuration:
    proving = optional_text_at(item, "proving", _WHERE) or Proving.SIGNED.value
    if proving not in _PROVING:
        raise Malformed("a way to prove keys", "another text", f"{_WHERE}.proving")
    return Configuration(
        text_at(item, "id", _WHERE),
        text_at(item, "vct", _WHERE),
        optional_text_at(item, "scope", _WHERE),
        _PROVING[proving],
        tuple(texts_at(item, "levels", _WHERE)) if "levels" in item else (),
        optional_text_at(item, "name", _WHERE),
    )


def _token(obj: JsonObject) -> Token:
    refresh = optional_text_at(obj, "refresh_token", _WHERE)
    return Token(text_at(obj, "access_token", _WHERE), _token_kind(obj), refresh)


def _token_kind(obj: JsonObject) -> str:
    return optional_text_at(obj, "token_type", _WHERE) or spec.BEARER


def _renewal(obj: JsonObject) -> Renewal:
    return Renewal(
        endpoints=_endpoints(obj),
        identity=_identity(obj),
        refresh_token=RefreshToken(text_at(obj, "refresh_token", _WHERE), _token_kind(obj)),
        cards=_renewable(obj),
    )


def _renewable(obj: JsonObject) -> tuple[Renewable, ...]:
    return tuple(
        Renewable(
            configuration=_configuration(item),
            identifier=optional_text_at(item, "identifier", _WHERE),
            card=CredentialId(text_at(item, "card", _WHERE)),
            copies=_copies(item),
        )
        for item in (_objects(obj, "renewable") if "renewable" in obj else [])
    )


def _endpoints(obj: JsonObject) -> Endpoints:
    return Endpoints.from_json(object_at(obj, "endpoints", _WHERE), f"{_WHERE}.endpoints")


def _identity(obj: JsonObject) -> Identity:
    if "identity" not in obj:  # An older wallet had none.
        return Identity()
    return Identity.from_json(object_at(obj, "identity", _WHERE), f"{_WHERE}.identity")


def _copies(obj: JsonObject) -> int:
    return max(1, optional_int_at(obj, "copies", _WHERE) or 1)


def _held(obj: JsonObject) -> tuple[CredentialId, ...]:
    return tuple(CredentialId(text) for text in texts_at(obj, "held", _WHERE))


def _notices(obj: JsonObject) -> tuple[Notice, ...]:
    return tuple(
        Notice(text_at(item, "id", _WHERE), text_at(item, "event", _WHERE))
        for item in _objects(obj, "notices")
    )


def _objects(obj: JsonObject, name: str) -> list[JsonObject]:
    return [as_object(item, f"{_WHERE}.{name}") for item in list_at(obj, name, _WHERE)]
