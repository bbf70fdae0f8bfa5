"""What a wallet sent to the response address, read: presentations, or its no.

    direct_post       vp_token=…&state=…        as it is
    direct_post.jwt   response=…                encrypted to the key of this request alone

OpenID4VP 1.0, sections 8.2, 8.3.1 and 8.5. Where the answer must be encrypted, only a
wallet's error may come as it is. What is no answer to this request leaves it open: the
address stands in a code that anybody may photograph.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    object_at,
    optional_text_at,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jose import MAX_JWE_BYTES, DecryptionKey, decrypt_jwe
from counterfoil_credentials.requests import VpToken, parse_response_form, vp_token_of

from counterfoil_verifier.requesting import NotOpen

_WHERE: Final = "response"
_MAX_DEPTH: Final = 5
# Section 8.5 and RFC 6749, section 4.1.2.1; what else a wallet writes is not repeated.
_ERRORS: Final = {
    "access_denied": "declined",
    "server_error": "wallet-unavailable",
    "temporarily_unavailable": "wallet-unavailable",
    "wallet_unavailable": "wallet-unavailable",
} | dict.fromkeys(
    (
        "invalid_client",
        "invalid_request",
        "invalid_request_uri_method",
        "invalid_scope",
        "invalid_transaction_data",
        "unauthorized_client",
        "unsupported_response_type",
        "vp_formats_not_supported",
    ),
    "request-not-taken",
)


class NoAnswer(Refused):
    """What came is no answer to this request, which stays open for one."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The wallet shows nothing, and `reason` holds its error.

    `declined`: the customer did not want to, or has nothing that fits; `wallet-unavailable`:
    the wallet cannot; `request-not-taken`: it finds fault with what was asked.
    """

    reason: Reason


def read_answer(
    form: Mapping[str, str], *, state: str, key: DecryptionKey | None
) -> VpToken | Declined:
    """Give the presentations of an answer by query id, or that there are none.

    `key` is the one that this request's answer is encrypted to, if it must be. Raises
    `Malformed`; `NoAnswer` with `answer-not-encrypted` or a code of `decrypt_jwe`;
    `NotOpen` with `state-mismatch`.
    """
    if key is None:
        _require_state(form.get("state"), state)
        return _declined(form["error"]) if "error" in form else parse_response_form(form)
    if _WHERE in form:
        return _read(_decrypted(form[_WHERE], key), state)
    _require_state(form.get("state"), state)
    if "error" in form:
        return _declined(form["error"])
    raise NoAnswer(Reason("answer-not-encrypted", "an encrypted answer", "another", _WHERE))


def _decrypted(token: str, key: DecryptionKey) -> JsonObject:
    try:
        plaintext = decrypt_jwe(token, keys=[key], where=_WHERE)
    except Refused as refused:
        raise NoAnswer(*refused.reasons) from refused
    return parse_object(plaintext, _WHERE, max_bytes=MAX_JWE_BYTES, max_depth=_MAX_DEPTH)


def _read(answer: JsonObject, state: str) -> VpToken | Declined:
    _require_state(optional_text_at(answer, "state", _WHERE), state)
    error = optional_text_at(answer, "error", _WHERE)
    if error is not None:
        return _declined(error)
    if "vp_token" not in answer:
        raise Malformed("a vp_token", "nothing", f"{_WHERE}.vp_token")
    return vp_token_of(object_at(answer, "vp_token", _WHERE))


def _require_state(found: str | None, expected: str) -> None:
    if not hmac.compare_digest((found or "").encode(), expected.encode()):
        raise NotOpen(Reason("state-mismatch", "this request's state", "another", "state"))


def _declined(error: str) -> Declined:
    found = error if error in _ERRORS else "another error"
    code = _ERRORS.get(error, "request-not-taken")
    return Declined(Reason(code, "a presentation", found, "error"))
