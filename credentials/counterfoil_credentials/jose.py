"""Encrypted messages: compact JWE, ECDH-ES on P-256 with AES-GCM, and nothing else.

    key = DecryptionKey.generate("2026-11")
    jwks = {"keys": [key.jwk()]}                                   # the reader publishes
    token = encrypt_jwe(b"...", key=encryption_key(jwks, "jwks"))  # the writer
    decrypt_jwe(token, keys=[key], where="response")               # gives b"..."

The algorithm, the curve and every size are checked before any cryptography, and
compression is refused: what a sender may choose is which of our keys, A128GCM or
A256GCM, and `apu` and `apv`. OpenID4VP 1.0, section 8.3; OpenID4VCI 1.0, section
10; RFC 7516; RFC 7518, section 4.6.

The cryptography is jwcrypto's, which is loaded by whoever encrypts or decrypts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, LiteralString

from cryptography.hazmat.primitives.asymmetric import ec

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
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.keys import Curve, PublicKey

MAX_JWE_BYTES: Final = 1024 * 1024
_ALGORITHM: Final = "ECDH-ES"
_MAX_HEADER_BYTES: Final = 4_096
_MAX_KEYS: Final = 100
_MAX_KEY_ID: Final = 200
_POINT: Final = ("kty", "crv", "x", "y")
_REMOTE_KEYS: Final = ("jku", "x5u")


class ContentEncryption(StrEnum):
    """How the content is encrypted, spelled as in the JOSE registry."""

    A128GCM = "A128GCM"
    A256GCM = "A256GCM"


# jwcrypto's own list is far longer.
_ALLOWED: Final[list[LiteralString]] = ["ECDH-ES", "A128GCM", "A256GCM"]


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """A reader's public key, for messages to that reader."""

    key_id: str | None
    point: PublicKey


@dataclass(frozen=True, slots=True, eq=False)
class DecryptionKey:
    """A reader's private key on P-256, in memory, under the name that messages use for it."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)
    key_id: str

    def __post_init__(self) -> None:
        """Refuse other curves, and long names."""
        is_ours = isinstance(self.private.curve, ec.SECP256R1)
        if not is_ours or not 0 < len(self.key_id) <= _MAX_KEY_ID:
            raise Misuse("expected a key on P-256 with a short name, found another")

    @classmethod
    def generate(cls, key_id: str) -> "DecryptionKey":
        """Make a fresh key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()), key_id)

    @classmethod
    def from_private_bytes(cls, secret: bytes, key_id: str) -> "DecryptionKey":
        """Rebuild the key from the 32 bytes that `private_bytes` gave."""
        if len(secret) != 32:
            raise Misuse(f"expected 32 bytes of a private key, found {len(secret)}")
        try:
            key = ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
        except ValueError as cause:
            raise Misuse("expected a private key on P-256, found other bytes") from cause
        return cls(key, key_id)

    @property
    def public(self) -> EncryptionKey:
        """The key that messages to this one are encrypted to."""
        return EncryptionKey(self.key_id, PublicKey.of(self.private.public_key()))

    def private_bytes(self) -> bytes:
        """Give the private key, 32 bytes: for encrypted storage only."""
        return self.private.private_numbers().private_value.to_bytes(32)

    def jwk(self) -> JsonObject:
        """Give the public JWK as readers publish it, with `use`, `alg` and `kid`."""
        return {**self.public.point.jwk(), "use": "enc", "alg": _ALGORITHM, "kid": self.key_id}


def encryption_key(jwks: Json, where: str) -> EncryptionKey:
    """Give the first key of a JWK set that messages can be encrypted to.

    It is on P-256, its `alg` is ECDH-ES, and its `use` is `enc` or absent; keys of
    other kinds may stand beside it. Raises `Malformed` for what is no JWK set, and
    `Refused` with the code `no-usable-key`.
    """
    listed = list_at(as_object(jwks, where), "keys", where)
    if len(listed) > _MAX_KEYS:
        raise Malformed(f"at most {_MAX_KEYS} keys", f"{len(listed)}", where)
    for i, value in enumerate(listed):
        try:
            return _encryption_key(as_object(value, where), f"{where}.keys[{i}]")
        except Malformed:
            continue
    raise _refused("no-usable-key", f"an {_ALGORITHM} key on P-256", "none", where)


def encrypt_jwe(
    plaintext: bytes,
    *,
    key: EncryptionKey,
    encryption: ContentEncryption = ContentEncryption.A128GCM,
    apu: bytes = b"",
    apv: bytes = b"",
) -> str:
    """Give the compact JWE of `plaintext` for the holder of `key`, named by its `kid`.

    `apu` and `apv` go into the derivation of the key, and travel in the open.
    """
    from jwcrypto.jwe import JWE  # type: ignore[import-untyped]  # it ships no types
    from jwcrypto.jwk import JWK  # type: ignore[import-untyped]  # it ships no types

    if not plaintext:
        raise Misuse("expected something to encrypt, found nothing")
    header: JsonObject = {"alg": _ALGORITHM, "enc": encryption.value}
    if key.key_id is not None:
        header["kid"] = key.key_id
    header |= {name: b64url(info) for name, info in (("apu", apu), ("apv", apv)) if info}
    jwe = JWE(plaintext, compact_json(header).decode(), algs=_ALLOWED)
    jwe.add_recipient(JWK(**key.point.jwk()))
    return str(jwe.serialize(compact=True))


def decrypt_jwe(
    token: str,
    *,
    keys: Sequence[DecryptionKey],
    where: str,
    encryptions: frozenset[ContentEncryption] = frozenset(ContentEncryption),
    max_bytes: int = MAX_JWE_BYTES,
) -> bytes:
    """Give the plaintext of a compact JWE that was written to one of `keys`.

    Which one, its `kid` says; a token without is tried with an only key. Raises
    `Malformed` for what is no such token, and `Refused`: `algorithm-not-allowed`,
    `compression-not-allowed`, `unknown-key` or `decryption-failed`.
    """
    from jwcrypto.common import JWException  # type: ignore[import-untyped]  # it ships no types
    from jwcrypto.jwe import JWE
    from jwcrypto.jwk import JWK

    if len(token) > max_bytes:
        raise Malformed(f"at most {max_bytes} bytes", f"{len(token)} bytes", where)
    parts = token.split(".")
    if len(parts) != 5:
        raise Malformed("a compact JWE of five parts", f"{len(parts)} parts", where)
    head, *sealed = (
        from_b64url(part, f"{where}.{name}")
        for part, name in zip(
            parts, ("header", "encrypted_key", "iv", "ciphertext", "tag"), strict=True
        )
    )
    header = parse_object(head, f"{where}.header", max_bytes=_MAX_HEADER_BYTES)
    _check_header(header, encryptions, f"{where}.header")
    sizes = [len(part) for part in sealed]
    if sizes != [0, 12, sizes[2] or 1, 16]:
        raise Malformed(
            "no wrapped key, a nonce of 12 bytes, a text and a tag of 16", f"{sizes}", where
        )
    key = _key_named(optional_text_at(header, "kid", f"{where}.header"), keys, where)
    jwe = JWE(algs=_ALLOWED)
    try:
        jwe.deserialize(token, JWK.from_pyca(key.private))
    except JWException as cause:
        raise _refused("decryption-failed", "a message to this key", "another", where) from cause
    return bytes(jwe.payload)


def _encryption_key(jwk: JsonObject, where: str) -> EncryptionKey:
    for name, expected in (("alg", _ALGORITHM), ("use", "enc")):
        if jwk.get(name, "enc") != expected:
            raise Malformed(expected, "another", f"{where}.{name}")
    if "d" in jwk:
        raise Malformed("a public key", "a private one", where)
    key_id = optional_text_at(jwk, "kid", where)
    if key_id is not None and len(key_id) > _MAX_KEY_ID:
        raise Malformed("a short key id", f"{len(key_id)} characters", where)
    return EncryptionKey(key_id, _point(jwk, where))


def _check_header(
    header: JsonObject, encryptions: frozenset[ContentEncryption], where: str
) -> None:
    if "crit" in header:
        raise Malformed("no critical extension", "one", f"{where}.crit")
    for name in _REMOTE_KEYS:
        if name in header:
            raise Malformed("no header that fetches a key", name, where)
    for name, allowed in (("alg", {_ALGORITHM}), ("enc", encryptions)):
        if text_at(header, name, where) not in allowed:
            expected = " or ".join(sorted(allowed))
            raise _refused("algorithm-not-allowed", expected, "another", f"{where}.{name}")
    if "zip" in header:
        raise _refused("compression-not-allowed", "no compression", "some", f"{where}.zip")
    # RFC 7518, section 4.6.1.1 wants no more than the point; jwcrypto would even
    # make a key of any size for whoever writes `generate` there.
    epk = object_at(header, "epk", where)
    if set(epk) != set(_POINT):
        raise Malformed("a key of kty, crv, x and y", "other members", f"{where}.epk")
    _point(epk, f"{where}.epk")
    for name in ("apu", "apv"):
        from_b64url(optional_text_at(header, name, where) or "", f"{where}.{name}")


def _point(jwk: JsonObject, where: str) -> PublicKey:
    point = PublicKey.from_jwk({name: jwk[name] for name in _POINT if name in jwk}, where)
    if point.curve is not Curve.P256:
        raise Malformed("a point on P-256", "one on another curve", where)
    return point


def _key_named(key_id: str | None, keys: Sequence[DecryptionKey], where: str) -> DecryptionKey:
    named = [key for key in keys if key_id is None or key.key_id == key_id]
    if len(named) != 1:
        raise _refused("unknown-key", "the name of one of our keys", "another", f"{where}.kid")
    return named[0]


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
