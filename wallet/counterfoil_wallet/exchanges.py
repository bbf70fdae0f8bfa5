"""The exchanges with an issuer: token, nonce, credential, late credential, notification.

OpenID4VCI 1.0, sections 6 to 9 and 11. Each sends one request and reads one answer
strictly; nothing here remembers anything (`accepting.py` does).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    compact_json,
    list_at,
    optional_text_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.sdjwt import MAX_SD_JWT_BYTES
from counterfoil_credentials.spec import (
    AUTHORIZATION_CODE_GRANT,
    JSON_MEDIA_TYPE,
    PRE_AUTHORIZED_GRANT,
)

from counterfoil_wallet import spec
from counterfoil_wallet.acceptance import Begun, Code, LoginCode, RefreshToken
from counterfoil_wallet.encrypting import Encryption, Sealed, opened, seal
from counterfoil_wallet.sending import Identity, Sender, Token
from counterfoil_wallet.wire import (
    Random,
    bounded,
    own_answer,
    refusal_in,
    refuse,
    require_known,
    require_own,
)

_TOKEN: Final = "token endpoint"
_NONCE: Final = "nonce endpoint"
_CREDENTIAL: Final = "credential endpoint"
_DEFERRED: Final = "deferred credential endpoint"
_NOTIFICATION: Final = "notification endpoint"
_NEW_OFFER: Final = "an access token that still holds; ask the brand for a new offer"
_MAX_TOKEN: Final = 16_384
_MAX_NONCE: Final = 4_096
_MAX_DETAILS: Final = 20
_MAX_IDENTIFIERS: Final = 20
_MAX_IDENTIFIERS_IN_ALL: Final = 100
_SHORTEST_WAIT: Final = timedelta(seconds=1)
_LONGEST_WAIT: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """An access token, and the datasets that it stands for, by configuration id."""

    token: Token
    identifiers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CredentialAnswer:
    """Copies of one credential that nobody has judged yet."""

    unverified_credentials: tuple[str, ...] = field(repr=False)
    notification_id: str | None


@dataclass(frozen=True, slots=True)
class Promise:
    """Not yet: ask again under `transaction_id` after `interval`, a second to a week."""

    transaction_id: str = field(repr=False)
    interval: timedelta


def redeem_code(sender: Sender, begun: Begun, code: Code | LoginCode | RefreshToken) -> TokenAnswer:
    """Give the token for a code (section 6), or another for a refresh token."""
    form = _form(code)
    response = sender.to_server(
        begun.endpoints.token, form, endpoints=begun.endpoints, identity=begun.identity
    )
    answer = own_answer(response, _TOKEN)
    # RFC 6749, section 7.1: a token of a type that we do not know is not used; nor is one that
    # anybody could use in place of one that our key must go with (RFC 9449, section 5).
    known = [spec.BEARER, *([] if begun.identity.dpop is None else [spec.DPOP])]
    if isinstance(code, RefreshToken) and code.kind == spec.DPOP:
        known = [spec.DPOP]
    kind = text_at(answer, spec.TOKEN_TYPE, _TOKEN).lower()
    if kind not in [each.lower() for each in known]:
        raise refuse("token-type-unknown", " or ".join(known), "another type", _TOKEN)
    value = text_at(answer, spec.ACCESS_TOKEN, _TOKEN)
    if not 1 <= len(value) <= _MAX_TOKEN or not value.isascii() or not value.isprintable():
        raise Malformed("a printable access token", "another text", _TOKEN)
    named = spec.BEARER if kind == spec.BEARER.lower() else spec.DPOP
    refresh = optional_text_at(answer, spec.REFRESH_TOKEN, _TOKEN)
    if refresh is not None:
        bounded(refresh, f"{_TOKEN}.{spec.REFRESH_TOKEN}", _MAX_TOKEN)
    elif isinstance(code, RefreshToken):
        refresh = code.value  # RFC 6749, section 6: without a new one the old one stays.
    return TokenAnswer(Token(value, named, refresh), _identifiers(answer))


def fetch_nonce(sender: Sender, url: str, identity: Identity) -> str:
    """Give a fresh nonce (section 7)."""
    answer = own_answer(sender.plain(url, identity), _NONCE)
    return bounded(text_at(answer, spec.C_NONCE, _NONCE), _NONCE, _MAX_NONCE)


def request_credential(
    sender: Sender,
    begun: Begun,
    token: Token,
    *,
    named: JsonObject,
    proofs: JsonObject,
    keys: int,
    random: Random,
) -> CredentialAnswer | Promise:
    """Give what answers the proofs of so many `keys`: at most one copy for each (section 8).

    `named` says which credential, by its configuration or its identifier.
    """
    sealed = seal({**named, spec.PROOFS: proofs}, begun.endpoints.encryption, random)
    response = _send(sender, begun, token, begun.endpoints.credential, sealed, keys)
    return _answer(response, sealed, keys, _CREDENTIAL)


def request_late(
    sender: Sender,
    begun: Begun,
    token: Token,
    *,
    url: str,
    transaction_id: str,
    keys: int,
    encryption: Encryption | None,
    random: Random,
) -> CredentialAnswer | Promise:
    """Give what was not ready before, or is not yet (section 9)."""
    sealed = seal({spec.TRANSACTION_ID: transaction_id}, encryption, random)
    response = _send(sender, begun, token, url, sealed, keys)
    answer = _answer(response, sealed, keys, _DEFERRED)
    if isinstance(answer, Promise) and answer.transaction_id != transaction_id:
        raise Malformed("the same transaction id", "another", _DEFERRED)
    return answer


def notify(sender: Sender, begun: Begun, token: Token, *, notice_id: str, event: str) -> None:
    """Tell the issuer what became of a credential (section 11).

    Returns when the issuer has answered, whatever it said: the notification is
    a courtesy. `Unavailable` when it has not.
    """
    if begun.endpoints.notification is None:
        return
    body: JsonObject = {spec.NOTIFICATION_ID: notice_id, spec.EVENT: event}
    response = sender.to_issuer(
        begun.endpoints.notification,
        compact_json(body),
        media_type=JSON_MEDIA_TYPE,
        token=token,
        identity=begun.identity,
    )
    require_known(response, _NOTIFICATION)


def _form(code: Code | LoginCode | RefreshToken) -> dict[str, str]:
    if isinstance(code, RefreshToken):
        return {spec.GRANT_TYPE: spec.REFRESH_TOKEN, spec.REFRESH_TOKEN: code.value}
    if isinstance(code, LoginCode):
        return {
            spec.GRANT_TYPE: AUTHORIZATION_CODE_GRANT,
            spec.CODE: code.value,
            spec.REDIRECT_URI: code.redirect_uri,
            spec.CODE_VERIFIER: code.verifier,
        }
    form = {spec.GRANT_TYPE: PRE_AUTHORIZED_GRANT, spec.PRE_AUTHORIZED_CODE: code.value}
    return form if code.tx_code is None else {**form, spec.TX_CODE: code.tx_code}


def _send(  # noqa: PLR0917  # a request is all of these
    sender: Sender, begun: Begun, token: Token, url: str, sealed: Sealed, keys: int
) -> Response:
    return sender.to_issuer(
        url,
        sealed.body,
        media_type=sealed.media_type,
        token=token,
        identity=begun.identity,
        # Encrypted it is a third longer.
        max_bytes=2 * _longest(keys),
    )


def _longest(keys: int) -> int:
    return 2 * MAX_SD_JWT_BYTES * keys


def _answer(
    response: Response, sealed: Sealed, keys: int, where: str
) -> CredentialAnswer | Promise:
    require_own(response, where)
    if response.status in (401, 403):
        refusal = refusal_in(response, where)
        raise refuse("token-not-accepted", _NEW_OFFER, refusal.reasons[0].found, where)
    if response.status not in (200, 202):
        raise refusal_in(response, where)
    answer = opened(response, sealed, where, max_bytes=_longest(keys))
    return _promise(answer, where) if response.status == 202 else _credentials(answer, keys, where)


def _promise(answer: JsonObject, where: str) -> Promise:
    transaction_id = bounded(text_at(answer, spec.TRANSACTION_ID, where), where)
    interval = answer.get(spec.INTERVAL)
    # "A positive number": it may have a fraction, and what it asks for is bounded.
    if not isinstance(interval, int | float) or isinstance(interval, bool) or interval <= 0:
        raise Malformed("a positive number", "another value", f"{where}.{spec.INTERVAL}")
    seconds = min(max(interval, _SHORTEST_WAIT.total_seconds()), _LONGEST_WAIT.total_seconds())
    return Promise(transaction_id, timedelta(seconds=seconds))


def _credentials(answer: JsonObject, keys: int, where: str) -> CredentialAnswer:
    listed = list_at(answer, spec.CREDENTIALS, where)
    if not 1 <= len(listed) <= keys:
        raise Malformed(f"1 to {keys} credentials, for as many keys", f"{len(listed)}", where)
    found: list[str] = []
    for i, value in enumerate(listed):
        place = f"{where}.{spec.CREDENTIALS}[{i}]"
        found.append(text_at(as_object(value, place), spec.CREDENTIAL, place))
    notification_id = optional_text_at(answer, spec.NOTIFICATION_ID, where)
    if notification_id is not None:
        bounded(notification_id, f"{where}.{spec.NOTIFICATION_ID}")
    return CredentialAnswer(tuple(found), notification_id)


def _identifiers(answer: JsonObject) -> Mapping[str, tuple[str, ...]]:
    # Section 6.2: once the issuer names datasets, they are what may be asked for.
    if spec.AUTHORIZATION_DETAILS not in answer:
        return {}
    where = f"{_TOKEN}.{spec.AUTHORIZATION_DETAILS}"
    details = list_at(answer, spec.AUTHORIZATION_DETAILS, _TOKEN)
    if len(details) > _MAX_DETAILS:
        raise Malformed(f"at most {_MAX_DETAILS} details", f"{len(details)}", where)
    found: dict[str, tuple[str, ...]] = {}
    for value in details:
        detail = as_object(value, where)
        if detail.get("type") != spec.CREDENTIAL_DETAILS_TYPE:
            continue
        names = texts_at(detail, spec.CREDENTIAL_IDENTIFIERS, where)
        if not 1 <= len(set(names)) == len(names) <= _MAX_IDENTIFIERS:
            raise Malformed(f"1 to {_MAX_IDENTIFIERS} distinct datasets", "others", where)
        found[text_at(detail, spec.CONFIGURATION_ID, where)] = tuple(
            bounded(name, f"{where}.{spec.CREDENTIAL_IDENTIFIERS}") for name in names
        )
    in_all = sum(map(len, found.values()))
    if in_all > _MAX_IDENTIFIERS_IN_ALL:
        raise Malformed(f"at most {_MAX_IDENTIFIERS_IN_ALL} datasets", f"{in_all}", where)
    return found
