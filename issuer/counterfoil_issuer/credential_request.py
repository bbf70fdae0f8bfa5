"""What a wallet asks of the credential endpoints, in JSON or encrypted to a key of ours.

    asked = read_credential_request(body, media_type, keys=ring.decryption_keys(now))
    asked.reply                                   # how to encrypt the answer, or None
    configuration, identifier = requested_names(asked.content)    # exactly one is not None

An answer is encrypted to the key in the request. Whoever could change the request
could put a key of his own there, so such a request must be encrypted itself.

OpenID4VCI 1.0, sections 8.2, 9.1 and 10.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jose import (
    ContentEncryption,
    DecryptionKey,
    EncryptionKey,
    decrypt_jwe,
    encryption_key,
)
from counterfoil_credentials.records import record
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_issuer.spec import (
    CREDENTIAL_CONFIGURATION_ID,
    CREDENTIAL_IDENTIFIER,
    CREDENTIAL_RESPONSE_ENCRYPTION,
    TRANSACTION_ID,
    ErrorCode,
    refusal,
)

MAX_REQUEST_BYTES: Final = 65_536
_LONGEST_NAME: Final = 512
_WHERE: Final = "credential_request"
_DEFERRED: Final = "deferred_credential_request"
_ENCRYPTIONS: Final = {encryption.value: encryption for encryption in ContentEncryption}


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrecy:
    """Which messages of the credential endpoints must be encrypted; all of them may be."""

    requests: bool = False
    responses: bool = False


OPTIONAL: Final = Secrecy()


@dataclass(frozen=True, slots=True)
class Reply:
    """How a wallet wants its answer encrypted."""

    key: EncryptionKey
    encryption: ContentEncryption


@record(kw_only=True)
class CredentialRequest:
    """A credential request whose names and proofs nobody has read yet."""

    reply: Reply | None
    content: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeferredRequest:
    """A request for credentials that were not ready. The latest `reply` is the one that counts."""

    transaction_id: str = field(repr=False)
    reply: Reply | None
    content: JsonObject = field(repr=False)


def read_credential_request(
    body: bytes,
    media_type: str,
    *,
    keys: Sequence[DecryptionKey],
    secrecy: Secrecy = OPTIONAL,
) -> CredentialRequest:
    """Give the credential request in `body`; `keys` are those that wallets may encrypt to.

    Raises `Refused` with `invalid_credential_request` or `invalid_encryption_parameters`.
    """
    content, reply = _read(body, media_type, keys, secrecy, _WHERE)
    return CredentialRequest(reply=reply, content=content)


def requested_names(content: JsonObject) -> tuple[str | None, str | None]:
    """Give the configuration or the identifier that is asked for; the other one is None.

    Raises `Refused` with `invalid_credential_request` (section 8.2).
    """
    try:
        configuration = _name_at(content, CREDENTIAL_CONFIGURATION_ID)
        identifier = _name_at(content, CREDENTIAL_IDENTIFIER)
    except Malformed as error:
        raise _malformed(error) from error
    if (configuration is None) == (identifier is None):
        raise refusal(
            ErrorCode.INVALID_CREDENTIAL_REQUEST,
            f"either {CREDENTIAL_CONFIGURATION_ID} or {CREDENTIAL_IDENTIFIER}",
            "neither" if configuration is None else "both",
            _WHERE,
        )
    return configuration, identifier


def read_deferred_request(
    body: bytes,
    media_type: str,
    *,
    keys: Sequence[DecryptionKey],
    secrecy: Secrecy = OPTIONAL,
) -> DeferredRequest:
    """Give the deferred credential request in `body`; raises as `read_credential_request` does."""
    content, reply = _read(body, media_type, keys, secrecy, _DEFERRED)
    try:
        return DeferredRequest(text_at(content, TRANSACTION_ID, _DEFERRED), reply, content)
    except Malformed as error:
        raise _malformed(error) from error


def encryption_metadata(announced: DecryptionKey, secrecy: Secrecy = OPTIONAL) -> JsonObject:
    """Give what the issuer's metadata says of encryption (section 12.2.4)."""
    encryptions = [*_ENCRYPTIONS]
    return {
        "credential_request_encryption": {
            "jwks": {"keys": [announced.jwk()]},
            "enc_values_supported": [*encryptions],
            "encryption_required": secrecy.requests,
        },
        "credential_response_encryption": {
            "alg_values_supported": [announced.jwk()["alg"]],
            "enc_values_supported": [*encryptions],
            "encryption_required": secrecy.responses,
        },
    }


def _read(
    body: bytes,
    media_type: str,
    keys: Sequence[DecryptionKey],
    secrecy: Secrecy,
    where: str,
) -> tuple[JsonObject, Reply | None]:
    if len(body) > MAX_REQUEST_BYTES:
        expected = f"at most {MAX_REQUEST_BYTES} bytes"
        raise refusal(ErrorCode.INVALID_CREDENTIAL_REQUEST, expected, f"{len(body)}", where)
    is_encrypted = media_type == TOKEN_MEDIA_TYPE
    if is_encrypted:
        body = _decrypted(body, keys, where)
    elif media_type != JSON_MEDIA_TYPE:
        expected = f"{JSON_MEDIA_TYPE} or {TOKEN_MEDIA_TYPE}"
        found = "another media type"
        raise refusal(ErrorCode.INVALID_CREDENTIAL_REQUEST, expected, found, "Content-Type")
    elif secrecy.requests:
        raise _bad_encryption("an encrypted request", "an open one", where)
    try:
        content = parse_object(body, where, max_bytes=MAX_REQUEST_BYTES)
    except Malformed as error:
        raise _malformed(error) from error
    place = f"{where}.{CREDENTIAL_RESPONSE_ENCRYPTION}"
    if CREDENTIAL_RESPONSE_ENCRYPTION in content:
        if not is_encrypted:
            raise _bad_encryption(
                "an encrypted request, when the answer is to be encrypted", "an open one", place
            )
        return content, _reply(content, where, place)
    if secrecy.responses:
        raise _bad_encryption("a key to encrypt the answer to", "none", place)
    return content, None


def _decrypted(body: bytes, keys: Sequence[DecryptionKey], where: str) -> bytes:
    try:
        token = body.decode("ascii")
        return decrypt_jwe(token, keys=keys, where=where, max_bytes=MAX_REQUEST_BYTES)
    except UnicodeDecodeError as error:
        raise _bad_encryption("a compact JWE", "other bytes", where) from error
    except Malformed as error:
        raise _bad_encryption(error.expected, error.found, error.where) from error
    except Refused as error:
        reason = error.reasons[0]
        raise _bad_encryption(reason.expected, reason.found, reason.where) from error


def _reply(content: JsonObject, where: str, place: str) -> Reply:
    try:
        wanted = object_at(content, CREDENTIAL_RESPONSE_ENCRYPTION, where)
        if "zip" in wanted:
            raise _bad_encryption("no compression: the metadata announces none", "some", place)
        encryption = _ENCRYPTIONS.get(text_at(wanted, "enc", place))
        key = encryption_key({"keys": [object_at(wanted, "jwk", place)]}, f"{place}.jwk")
    except Malformed as error:
        raise _bad_encryption(error.expected, error.found, error.where) from error
    except Refused as error:
        reason = error.reasons[0]
        raise _bad_encryption(reason.expected, reason.found, reason.where) from error
    if encryption is None:
        raise _bad_encryption(" or ".join(_ENCRYPTIONS), "another", f"{place}.enc")
    return Reply(key, encryption)


def _name_at(content: JsonObject, name: str) -> str | None:
    text = optional_text_at(content, name, _WHERE)
    if text is not None and len(text) > _LONGEST_NAME:
        expected = f"at most {_LONGEST_NAME} characters"
        raise Malformed(expected, f"{len(text)}", f"{_WHERE}.{name}")
    return text


def _malformed(error: Malformed) -> Refused:
    code = ErrorCode.INVALID_CREDENTIAL_REQUEST
    return refusal(code, error.expected, error.found, error.where)


def _bad_encryption(expected: str, found: str, where: str) -> Refused:
    return refusal(ErrorCode.INVALID_ENCRYPTION_PARAMETERS, expected, found, where)
