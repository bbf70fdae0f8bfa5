"""Keys that sign and keys that verify.

A `Signer` may live in a file, in memory or in hardware: all it does is sign.
A `PublicKey` cannot be wrong: it was parsed, its point lies on the curve, and it
knows the one algorithm it is used with (RFC 8725, section 3.1).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    canonical_json,
    from_b64url,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused

_SIZE_BYTES: Final = 32
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ES256: Final = ec.ECDSA(hashes.SHA256())
_PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")


class Algorithm(StrEnum):
    """Signature algorithms, spelled as in the JOSE registry."""

    ES256 = "ES256"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256 key that verifies ES256. Equal keys are equal values."""

    x: bytes
    y: bytes
    _key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @staticmethod
    def from_jwk(jwk: JsonObject, where: str) -> "PublicKey":
        """Parse a public JWK (RFC 7517, RFC 7518 section 6.2).

        Raises `Malformed` for a private or symmetric key, another curve, a
        coordinate of another size, and a point that is not on the curve.
        """
        if any(member in jwk for member in _PRIVATE_MEMBERS):
            raise Malformed("a public key", "a private or symmetric member", where)
        for name, expected in (("kty", "EC"), ("crv", "P-256")):
            if text_at(jwk, name, where) != expected:
                raise Malformed(expected, "another value", f"{where}.{name}")
        if "alg" in jwk and jwk["alg"] != Algorithm.ES256:
            raise Malformed(Algorithm.ES256, "another algorithm", f"{where}.alg")
        x, y = (_coordinate(jwk, name, where) for name in ("x", "y"))
        try:
            key = ec.EllipticCurvePublicNumbers(
                int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()
            ).public_key()
        except ValueError as cause:
            raise Malformed("a point on P-256", "another point", where) from cause
        return PublicKey(x, y, key)

    @staticmethod
    def of(key: ec.EllipticCurvePublicKey) -> "PublicKey":
        """Wrap a P-256 key of the `cryptography` package."""
        if not isinstance(key.curve, ec.SECP256R1):
            raise Misuse(f"expected a P-256 key, found {key.curve.name}")
        numbers = key.public_numbers()
        return PublicKey(numbers.x.to_bytes(_SIZE_BYTES), numbers.y.to_bytes(_SIZE_BYTES), key)

    @property
    def algorithm(self) -> Algorithm:
        """Give the one algorithm that this key is used with."""
        return Algorithm.ES256

    def jwk(self) -> JsonObject:
        """Give the public JWK: the required members alone, in the thumbprint's order."""
        return {"crv": "P-256", "kty": "EC", "x": b64url(self.x), "y": b64url(self.y)}

    def thumbprint(self) -> str:
        """Give the SHA-256 JWK thumbprint (RFC 7638), which also serves as `kid`."""
        return b64url(sha256(canonical_json(self.jwk())).digest())

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return only if `signature` (64 bytes, r and s) is this key's over `message`.

        Raises `Refused` with the code `signature-invalid`.
        """
        if len(signature) != 2 * _SIZE_BYTES:
            raise _invalid(f"{len(signature)} bytes")
        r, s = int.from_bytes(signature[:_SIZE_BYTES]), int.from_bytes(signature[_SIZE_BYTES:])
        if not (0 < r < _ORDER and 0 < s < _ORDER):
            raise _invalid("numbers out of range")
        try:
            self._key.verify(encode_dss_signature(r, s), message, _ES256)
        except InvalidSignature as cause:
            raise _invalid("another") from cause


class Signer(Protocol):
    """Something that holds a private key and signs with it."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this signs."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Give the raw signature, r and s, 64 bytes."""
        ...


class MemorySigner:
    """A signer whose key lives in this process's memory."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Hold `key`, a P-256 private key."""
        self._key = key
        self.public = PublicKey.of(key.public_key())

    @classmethod
    def generate(cls) -> "MemorySigner":
        """Make a fresh key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_private_bytes(cls, secret: bytes) -> "MemorySigner":
        """Rebuild the signer from the 32 bytes that `private_bytes` gave."""
        number = int.from_bytes(secret)
        if len(secret) != _SIZE_BYTES or not 0 < number < _ORDER:
            raise Misuse("expected 32 bytes of a P-256 private key, found others")
        return cls(ec.derive_private_key(number, ec.SECP256R1()))

    def private_bytes(self) -> bytes:
        """Give the private key, 32 bytes: for encrypted storage only."""
        return self._key.private_numbers().private_value.to_bytes(_SIZE_BYTES)

    def sign(self, message: bytes) -> bytes:
        """Give the raw signature, r and s, 64 bytes."""
        r, s = decode_dss_signature(self._key.sign(message, _ES256))
        return r.to_bytes(_SIZE_BYTES) + s.to_bytes(_SIZE_BYTES)

    def __repr__(self) -> str:
        """Show the public thumbprint, never the key."""
        return f"MemorySigner({self.public.thumbprint()})"


def _coordinate(jwk: JsonObject, name: str, where: str) -> bytes:
    data = from_b64url(text_at(jwk, name, where), f"{where}.{name}")
    if len(data) != _SIZE_BYTES:
        raise Malformed(f"{_SIZE_BYTES} bytes", f"{len(data)} bytes", f"{where}.{name}")
    return data


def _invalid(found: str) -> Refused:
    return Refused(Reason("signature-invalid", "the key's signature", found, "signature"))
