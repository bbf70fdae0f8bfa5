"""The four exchanges with an issuer: token, nonce, credential, notification.

OpenID4VCI 1.0, sections 6, 7, 8 and 11. Each sends one request and reads one
answer strictly; nothing here remembers anything (`accepting.py` does).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

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
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.sdjwt import MAX_SD_JWT_BYTES
from counterfoil_credentials.spec import FORM_MEDIA_TYPE, JSON_MEDIA_TYPE, PRE_AUTHORIZED_GRANT

from counterfoil_wallet import spec
from counterfoil_wallet.wire import bounded, json_answer, refusal_in, refuse, require_known

_TOKEN: Final = "token endpoint"
_NONCE: Final = "nonce endpoint"
_CREDENTIAL: Final = "credential endpoint"
_NOTIFICATION: Final = "notification endpoint"
_MAX_TOKEN: Final = 16_384
_MAX_NONCE: Final = 4_096
_MAX_DETAILS: Final = 20
_MAX_IDENTIFIERS: Final = 20
_MAX_IDENTIFIERS_IN_ALL: Final = 100


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """An access token, and the datasets that it stands for, by configuration id."""

    access_token: str = field(repr=False)
    identifiers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CredentialAnswer:
    """A credential that nobody has judged yet."""

    unverified_credential: str = field(repr=False)
    notification_id: str | None


def redeem_code(fetcher: Fetcher, url: str, *, code: str, tx_code: str | None) -> TokenAnswer:
    """Give the token for a pre-authorized code (section 6)."""
    form = {spec.GRANT_TYPE: PRE_AUTHORIZED_GRANT, spec.PRE_AUTHORIZED_CODE: code}
    if tx_code is not None:
        form[spec.TX_CODE] = tx_code
    answer = json_answer(
        fetcher.post(url, urlencode(form).encode(), media_type=FORM_MEDIA_TYPE), _TOKEN
    )
    # RFC 6749, section 7.1: a token of a type that we do not know is not used.
    if text_at(answer, spec.TOKEN_TYPE, _TOKEN).lower() != spec.BEARER.lower():
        raise refuse("token-type-unknown", spec.BEARER, "another type", _TOKEN)
    token = text_at(answer, spec.ACCESS_TOKEN, _TOKEN)
    if not 1 <= len(token) <= _MAX_TOKEN or not token.isascii() or not token.isprintable():
        raise Malformed("a printable access token", "another text", _TOKEN)
    return TokenAnswer(token, _identifiers(answer))


def fetch_nonce(fetcher: Fetcher, url: str) -> str:
    """Give a fresh nonce (section 7)."""
    answer = json_answer(fetcher.post(url, b"", media_type=FORM_MEDIA_TYPE), _NONCE)
    return bounded(text_at(answer, spec.C_NONCE, _NONCE), _NONCE, _MAX_NONCE)


def request_credential(
    fetcher: Fetcher,
    url: str,
    *,
    access_token: str,
    configuration_id: str,
    identifier: str | None,
    proof: str,
) -> CredentialAnswer:
    """Give the one credential that answers the one proof (section 8)."""
    request: JsonObject = {spec.PROOFS: {spec.JWT_PROOF: [proof]}}
    if identifier is None:
        request[spec.CONFIGURATION_ID] = configuration_id
    else:
        request[spec.CREDENTIAL_IDENTIFIER] = identifier
    response = fetcher.post(
        url,
        compact_json(request),
        media_type=JSON_MEDIA_TYPE,
        headers=_bearer(access_token),
        max_bytes=2 * MAX_SD_JWT_BYTES,
    )
    if response.status in (401, 403):
        refusal = refusal_in(response, _CREDENTIAL)
        raise refuse("token-not-accepted", _NEW_OFFER, refusal.reasons[0].found, _CREDENTIAL)
    if response.status == 202:
        raise refuse("credential-deferred", "the credential now", "a promise", _CREDENTIAL)
    answer = json_answer(response, _CREDENTIAL)
    listed = list_at(answer, spec.CREDENTIALS, _CREDENTIAL)
    if len(listed) != 1:
        raise Malformed("one credential for one proof", f"{len(listed)}", _CREDENTIAL)
    where = f"{_CREDENTIAL}.{spec.CREDENTIALS}[0]"
    notification_id = optional_text_at(answer, spec.NOTIFICATION_ID, _CREDENTIAL)
    if notification_id is not None:
        bounded(notification_id, f"{_CREDENTIAL}.{spec.NOTIFICATION_ID}")
    return CredentialAnswer(
        text_at(as_object(listed[0], where), spec.CREDENTIAL, where), notification_id
    )


def notify(fetcher: Fetcher, url: str, *, access_token: str, notice_id: str, event: str) -> None:
    """Tell the issuer what became of a credential (section 11).

    Returns when the issuer has answered, whatever it said: the notification is
    a courtesy. `Unavailable` when it has not.
    """
    body: JsonObject = {spec.NOTIFICATION_ID: notice_id, spec.EVENT: event}
    response = fetcher.post(
        url, compact_json(body), media_type=JSON_MEDIA_TYPE, headers=_bearer(access_token)
    )
    require_known(response, _NOTIFICATION)


_NEW_OFFER: Final = "an access token that still holds; ask the brand for a new offer"


def _bearer(access_token: str) -> dict[str, str]:
    return {"Authorization": f"{spec.BEARER} {access_token}"}


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
