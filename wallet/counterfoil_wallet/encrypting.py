"""Credential requests and answers under a cover of their own, beside TLS.

    encryption = encryption_in(metadata)          what the issuer reads and writes, or None
    sealed = seal(request, encryption, random)    a body, and the key that opens its answer
    answer = opened(response.body, ..., sealed)

Where the issuer can, it is used: whatever stands between the two ends of TLS and the two
programs learns nothing. The key for the answer is made for one request and never kept.

OpenID4VCI 1.0, sections 8.2, 9 and 10.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json,
    kind_of,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.jose import (
    ContentEncryption,
    DecryptionKey,
    EncryptionKey,
    decrypt_jwe,
    encrypt_jwe,
    encryption_key,
)
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_wallet import spec
from counterfoil_wallet.wire import Random, fresh_signer, refuse

_ISSUER: Final = "credential issuer metadata"
_ALGORITHM: Final = "ECDH-ES"
_OUR_KEY: Final = "answer"
_CONTENT: Final = {each.value: each for each in ContentEncryption}


@dataclass(frozen=True, slots=True)
class Encryption:
    """The issuer's key for requests, and how answers are encrypted, None when they are not."""

    key: EncryptionKey
    request: ContentEncryption
    answer: ContentEncryption | None

    def to_json(self) -> JsonObject:
        """Give it for storage."""
        members: JsonObject = {"jwk": self.key.point.jwk(), "request": self.request.value}
        if self.key.key_id is not None:
            members["kid"] = self.key.key_id
        if self.answer is not None:
            members["answer"] = self.answer.value
        return members

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Encryption":
        """Read a stored one."""
        point = PublicKey.from_jwk(object_at(obj, "jwk", where), f"{where}.jwk")
        answer = optional_text_at(obj, "answer", where)
        return Encryption(
            EncryptionKey(optional_text_at(obj, "kid", where), point),
            _content(text_at(obj, "request", where), where),
            None if answer is None else _content(answer, where),
        )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A request's body, its media type, and the key that its answer is encrypted to."""

    body: bytes
    media_type: str
    answer_key: DecryptionKey | None


def encryption_in(metadata: JsonObject) -> Encryption | None:
    """Give what the issuer and this wallet can do together, None when that is nothing.

    Raises `Refused` with `encryption-not-ours` when the issuer demands what we cannot do.
    Section 12.2.4.
    """
    asked = _member(metadata, spec.REQUEST_ENCRYPTION)
    given = _member(metadata, spec.ANSWER_ENCRYPTION)
    key, request = _for_requests(asked)
    answer = _for_answers(given)
    if key is None or request is None:
        # Section 10: an encrypted answer needs an encrypted request.
        for member, name in ((asked, spec.REQUEST_ENCRYPTION), (given, spec.ANSWER_ENCRYPTION)):
            _require_optional(member, name)
        return None
    if answer is None:
        _require_optional(given, spec.ANSWER_ENCRYPTION)
    return Encryption(key, request, answer)


def seal(request: JsonObject, encryption: Encryption | None, random: Random) -> Sealed:
    """Give the body of `request`, encrypted where there is an `encryption`."""
    if encryption is None:
        return Sealed(compact_json(request), JSON_MEDIA_TYPE, None)
    answer_key = None
    if encryption.answer is not None:
        secret = fresh_signer(random).private_bytes()
        answer_key = DecryptionKey.from_private_bytes(secret, _OUR_KEY)
        wanted: JsonObject = {"jwk": answer_key.jwk(), "enc": encryption.answer.value}
        request = {**request, spec.WANTED_ENCRYPTION: wanted}
    token = encrypt_jwe(compact_json(request), key=encryption.key, encryption=encryption.request)
    return Sealed(token.encode("ascii"), TOKEN_MEDIA_TYPE, answer_key)


def opened(response: Response, sealed: Sealed, where: str, *, max_bytes: int) -> JsonObject:
    """Give the object in a good answer; what was to come encrypted and did not is refused.

    Raises `Malformed`, and `Refused` with `answer-not-encrypted` or those of `decrypt_jwe`.
    """
    if sealed.answer_key is None:
        if response.media_type not in ("", JSON_MEDIA_TYPE):
            raise Malformed(JSON_MEDIA_TYPE, "another media type", where)
        return parse_object(response.body, where, max_bytes=max_bytes)
    if response.media_type != TOKEN_MEDIA_TYPE:
        raise refuse("answer-not-encrypted", "an answer to our key", "an open one", where)
    try:
        token = response.body.decode("ascii")
    except UnicodeDecodeError as cause:
        raise Malformed("a compact JWE", "other bytes", where) from cause
    plain = decrypt_jwe(token, keys=[sealed.answer_key], where=where, max_bytes=2 * max_bytes)
    return parse_object(plain, where, max_bytes=max_bytes)


def _for_requests(
    asked: JsonObject | None,
) -> tuple[EncryptionKey | None, ContentEncryption | None]:
    if asked is None:
        return None, None
    where = f"{_ISSUER}.{spec.REQUEST_ENCRYPTION}"
    try:
        key = encryption_key(object_at(asked, "jwks", where), f"{where}.jwks")
    except Refused:
        key = None
    return key, _best(texts_at(asked, spec.ENCRYPTIONS, where))


def _for_answers(given: JsonObject | None) -> ContentEncryption | None:
    if given is None:
        return None
    where = f"{_ISSUER}.{spec.ANSWER_ENCRYPTION}"
    if _ALGORITHM not in texts_at(given, spec.KEY_AGREEMENTS, where):
        return None
    return _best(texts_at(given, spec.ENCRYPTIONS, where))


def _best(named: list[str]) -> ContentEncryption | None:
    ours = (ContentEncryption.A256GCM, ContentEncryption.A128GCM)
    return next((each for each in ours if each.value in named), None)


def _member(metadata: JsonObject, name: str) -> JsonObject | None:
    return object_at(metadata, name, _ISSUER) if name in metadata else None


def _require_optional(member: JsonObject | None, name: str) -> None:
    where = f"{_ISSUER}.{name}"
    required = False if member is None else member.get(spec.ENCRYPTION_REQUIRED, False)
    if not isinstance(required, bool):
        raise Malformed("true or false", kind_of(required), f"{where}.{spec.ENCRYPTION_REQUIRED}")
    if required:
        raise refuse("encryption-not-ours", f"a key and a cipher for {_ALGORITHM}", "others", where)


def _content(text: str, where: str) -> ContentEncryption:
    if text not in _CONTENT:
        raise Malformed(" or ".join(_CONTENT), "another cipher", where)
    return _CONTENT[text]
