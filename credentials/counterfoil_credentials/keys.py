"""Keys that sign and keys that verify: P-256, P-384, secp256k1 and Ed25519.

A `Signer` may live in a file, in memory or in hardware: all it does is sign.
A `PublicKey` cannot be wrong: it was parsed, its point lies on its curve, and it
knows the algorithm that it is used with (RFC 8725, section 3.1).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256, sha384
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json_of_finite_numbers,
    from_b64url,
    list_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused

# hashlib's SHA-256 costs half of what `cryptography` adds for hashing a message itself.
_SHA_256: Final = ec.ECDSA(Prehashed(hashes.SHA256()))
_SHA_384: Final = ec.ECDSA(Prehashed(hashes.SHA384()))

OpenPublicKey: TypeAlias = ec.EllipticCurvePublicKey | Ed25519PublicKey
OpenPrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


class Algorithm(StrEnum):
    """Signature algorithms as the JOSE registry spells them (RFC 7518, 8037, 8812, 9864)."""

    ES256 = "ES256"
    ES384 = "ES384"
    ES256K = "ES256K"
    ED25519 = "Ed25519"
    EDDSA = "EdDSA"  # the older spelling of Ed25519: verified, never written


class Curve(StrEnum):
    """What `crv` says in a JWK (RFC 7518, section 6.2.1.1; RFC 8037; RFC 8812)."""

    P256 = "P-256"
    P384 = "P-384"
    SECP256K1 = "secp256k1"
    ED25519 = "Ed25519"


class _Hash(Protocol):
    def digest(self) -> bytes: ...


class _Kind(NamedTuple):
    """What belongs to a curve: sizes in bytes, and algorithms, the one written first."""

    key_type: str
    size: int
    algorithms: tuple[Algorithm, ...]
    curve: ec.EllipticCurve | None = None
    scheme: ec.ECDSA = _SHA_256
    hash: Callable[[bytes], _Hash] = sha256


_KINDS: Final = {
    Curve.P256: _Kind("EC", 32, (Algorithm.ES256,), ec.SECP256R1()),
    Curve.P384: _Kind("EC", 48, (Algorithm.ES384,), ec.SECP384R1(), _SHA_384, sha384),
    Curve.SECP256K1: _Kind("EC", 32, (Algorithm.ES256K,), ec.SECP256K1()),
    Curve.ED25519: _Kind("OKP", 32, (Algorithm.ED25519, Algorithm.EDDSA)),
}
_CURVES: Final[dict[str, Curve]] = {curve.value: curve for curve in Curve}
_CURVE_OF: Final = {
    kind.curve.name: curve for curve, kind in _KINDS.items() if kind.curve is not None
}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
_P25519: Final = 2**255 - 19
_D25519: Final = -121665 * pow(121666, -1, _P25519)
# The points of Ed25519 whose order divides 8, the sign bit apart: under such a key
# one signature fits every message.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(y)
    for y in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies. Equal keys are equal values; `y` is empty for Ed25519."""

    curve: Curve
    x: bytes
    y: bytes
    _key: OpenPublicKey = field(repr=False, compare=False)
    _kind: _Kind = field(repr=False, compare=False)
    # The coordinates as a JWK writes them: most keys come as one, and go out as one.
    _x_text: str = field(repr=False, compare=False)
    _y_text: str = field(repr=False, compare=False)

    def __hash__(self) -> int:
        """Give the hash of `x`, which bytes know once asked: a key is looked up at every step."""
        return hash(self.x)

    @staticmethod
    def from_jwk(jwk: JsonObject, where: str) -> "PublicKey":
        """Parse a public JWK (RFC 7517; RFC 7518, section 6.2; RFC 8037, section 2).

        Raises `Malformed` for a private or symmetric key, an unknown curve, a
        coordinate of another size, a point that is not on the curve, and a key
        that says it is for something else than verifying its curve's algorithm.
        """
        if not _PRIVATE_MEMBERS.isdisjoint(jwk):
            raise Malformed("a public key", "a private or symmetric member", where)
        curve = _curve(jwk, where)
        kind = _KINDS[curve]
        if text_at(jwk, "kty", where) != kind.key_type:
            raise Malformed(kind.key_type, "another key type", f"{where}.kty")
        if "alg" in jwk and jwk["alg"] not in kind.algorithms:
            raise Malformed(kind.algorithms[0], "another algorithm", f"{where}.alg")
        if jwk.get("use", "sig") != "sig":
            raise Malformed("a key for signatures", "another use", f"{where}.use")
        if "key_ops" in jwk and "verify" not in list_at(jwk, "key_ops", where):
            raise Malformed("a key that verifies", "other operations", f"{where}.key_ops")
        y = text_at(jwk, "y", where) if kind.curve is not None else ""
        return _key_met(curve, text_at(jwk, "x", where), y, where)

    @staticmethod
    def from_point(curve: Curve, point: bytes, where: str) -> "PublicKey":
        """Parse the bytes that `point` gives; an uncompressed point is `Malformed`."""
        kind = _KINDS[curve]
        if kind.curve is None:
            return _ed25519(point, where)
        if len(point) != kind.size + 1:
            raise Malformed(f"{kind.size + 1} bytes", f"{len(point)} bytes", where)
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(kind.curve, point)
        except ValueError as cause:
            raise Malformed(f"a point on {curve}", "another point", where) from cause
        return PublicKey.of(key)

    @staticmethod
    def of(key: OpenPublicKey) -> "PublicKey":
        """Wrap a public key of the `cryptography` package."""
        if isinstance(key, Ed25519PublicKey):
            return _ed25519(key.public_bytes_raw(), "key")
        curve = _CURVE_OF.get(key.curve.name)
        if curve is None:
            raise Misuse(f"expected {_any_of(Curve)}, found {key.curve.name}")
        kind, numbers = _KINDS[curve], key.public_numbers()
        x, y = numbers.x.to_bytes(kind.size), numbers.y.to_bytes(kind.size)
        return PublicKey(curve, x, y, key, kind, b64url(x), b64url(y))

    @property
    def algorithm(self) -> Algorithm:
        """Give the algorithm that is written beside this key's signatures."""
        return self._kind.algorithms[0]

    def accepts(self, algorithm: str) -> bool:
        """Say whether `algorithm` spells the one that this key is used with."""
        return algorithm in self._kind.algorithms

    @property
    def point(self) -> bytes:
        """Give the compressed point (SEC 1, section 2.3.3); for Ed25519 its 32 bytes."""
        return bytes([2 + (self.y[-1] & 1)]) + self.x if self.y else self.x

    def jwk(self) -> JsonObject:
        """Give the public JWK: the required members alone, in the thumbprint's order."""
        members: JsonObject = {"crv": str(self.curve), "kty": self._kind.key_type}
        members["x"] = self._x_text
        if self.y:
            members["y"] = self._y_text
        return members

    def thumbprint(self) -> str:
        """Give the SHA-256 JWK thumbprint (RFC 7638), which also serves as `kid`."""
        return _thumbprint(self)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return only if `signature` is this key's over `message`.

        For ECDSA it is r and s, each as long as a coordinate (RFC 7518, section
        3.4); for Ed25519 its 64 bytes (RFC 8032).

        Raises `Refused` with the code `signature-invalid`.
        """
        kind = self._kind
        if len(signature) != 2 * kind.size:
            raise _invalid(f"{len(signature)} bytes")
        try:
            if kind.curve is None:
                cast("Ed25519PublicKey", self._key).verify(signature, message)
            else:
                key = cast("ec.EllipticCurvePublicKey", self._key)
                key.verify(_der(signature, kind.size), kind.hash(message).digest(), kind.scheme)
        except InvalidSignature as cause:
            raise _invalid("another") from cause


@lru_cache(maxsize=1_024)
def _thumbprint(key: PublicKey) -> str:
    # Its members are in the order that RFC 7638 wants, and need no escape.
    return b64url(sha256(compact_json_of_finite_numbers(key.jwk())).digest())


class Signer(Protocol):
    """Something that holds a private key and signs with it."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this signs."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Give the signature in the form that `PublicKey.verify` takes."""
        ...


class MemorySigner:
    """A signer whose key lives in this process's memory."""

    __slots__ = ("_key", "_kind", "_sign", "public")

    def __init__(self, key: OpenPrivateKey) -> None:
        """Hold `key`, a private key of the `cryptography` package."""
        self._key = key
        self.public = PublicKey.of(key.public_key())
        self._kind = _KINDS[self.public.curve]
        self._sign = key.sign if isinstance(key, Ed25519PrivateKey) else _ecdsa(key, self._kind)

    @classmethod
    def generate(cls, curve: Curve = Curve.P256) -> "MemorySigner":
        """Make a fresh key from the operating system's randomness."""
        group = _KINDS[curve].curve
        return cls(
            Ed25519PrivateKey.generate() if group is None else ec.generate_private_key(group)
        )

    @classmethod
    def from_private_bytes(cls, secret: bytes, curve: Curve = Curve.P256) -> "MemorySigner":
        """Rebuild the signer from the bytes that `private_bytes` gave."""
        kind = _KINDS[curve]
        if len(secret) != kind.size:
            raise Misuse(f"expected {kind.size} bytes of a private key, found {len(secret)}")
        if kind.curve is None:
            return cls(Ed25519PrivateKey.from_private_bytes(secret))
        try:
            return cls(ec.derive_private_key(int.from_bytes(secret), kind.curve))
        except ValueError as cause:
            raise Misuse(f"expected a private key of {curve}, found other bytes") from cause

    @classmethod
    def from_jwk(cls, jwk: JsonObject, where: str) -> "MemorySigner":
        """Parse a private JWK; `Malformed` when its two halves are not one key's."""
        public = PublicKey.from_jwk({n: v for n, v in jwk.items() if n not in _NOT_PUBLIC}, where)
        secret = from_b64url(text_at(jwk, "d", where), f"{where}.d")
        try:
            signer = cls.from_private_bytes(secret, public.curve)
        except Misuse as cause:
            raise Malformed(f"a private key of {public.curve}", "other bytes", where) from cause
        if signer.public != public:
            raise Malformed("the private key of the public one", "another", where)
        return signer

    def private_bytes(self) -> bytes:
        """Give the private key, as long as a coordinate: for encrypted storage only."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.private_bytes_raw()
        return self._key.private_numbers().private_value.to_bytes(self._kind.size)

    def sign(self, message: bytes) -> bytes:
        """Give the signature in the form that `PublicKey.verify` takes."""
        return self._sign(message)

    def __repr__(self) -> str:
        """Show the public thumbprint, never the key."""
        return f"MemorySigner({self.public.thumbprint()})"


def _ecdsa(key: ec.EllipticCurvePrivateKey, kind: _Kind) -> Callable[[bytes], bytes]:
    # What every signature needs is looked up once.
    sign, hash_of, scheme, size = key.sign, kind.hash, kind.scheme, kind.size
    return lambda message: _joined(sign(hash_of(message).digest(), scheme), size)


# A private JWK is for signing; its public half is for verifying.
_NOT_PUBLIC: Final = ("d", "key_ops")


def _curve(jwk: JsonObject, where: str) -> Curve:
    curve = _CURVES.get(text_at(jwk, "crv", where))
    if curve is None:
        raise Malformed(_any_of(Curve), "another curve", f"{where}.crv")
    return curve


# A key is met again: an issuer's with each credential, a customer's at each visit.
# Opening one costs a fifth of a verification with it, so those met last stay open.
@lru_cache(maxsize=1_024)
def _key_met(curve: Curve, x_text: str, y_text: str, where: str) -> PublicKey:
    kind = _KINDS[curve]
    x = _coordinate(x_text, kind.size, f"{where}.x")
    if kind.curve is None:
        return _ed25519(x, where)
    y = _coordinate(y_text, kind.size, f"{where}.y")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(kind.curve, b"\x04" + x + y)
    except ValueError as cause:
        raise Malformed(f"a point on {curve}", "another point", where) from cause
    # A coordinate has one spelling: the text that it was read from is the one it is written as.
    return PublicKey(curve, x, y, key, kind, x_text, y_text)


def _coordinate(text: str, size: int, where: str) -> bytes:
    data = from_b64url(text, where)
    if len(data) != size:
        raise Malformed(f"{size} bytes", f"{len(data)} bytes", where)
    return data


def _ed25519(point: bytes, where: str) -> PublicKey:
    if len(point) != 32:
        raise Malformed("32 bytes", f"{len(point)} bytes", where)
    if point[:31] + bytes([point[31] & 0x7F]) in _SMALL_ORDER:
        raise Malformed("a point of large order", "one of small order", where)
    if not _is_on_ed25519(point):
        raise Malformed("a point on Ed25519", "another point", where)
    key = Ed25519PublicKey.from_public_bytes(point)
    return PublicKey(Curve.ED25519, point, b"", key, _KINDS[Curve.ED25519], b64url(point), "")


# JOSE writes r and s one after the other, each as long as a coordinate; `cryptography`
# as DER (SEC 1, appendix C.8). Cut and joined here, that costs half of what two
# conversions to numbers cost; a length never needs more than one byte.


def _der(signature: bytes, size: int) -> bytes:
    r, s = signature[:size].lstrip(b"\0"), signature[size:].lstrip(b"\0")
    # The first bit is the sign; zero is a zero byte.
    if not r or r[0] & 0x80:
        r = b"\0" + r
    if not s or s[0] & 0x80:
        s = b"\0" + s
    return b"\x30%c\x02%c%b\x02%c%b" % (4 + len(r) + len(s), len(r), r, len(s), s)


def _joined(der: bytes, size: int) -> bytes:
    end = 4 + der[3]
    if der[3] >= size and der[end + 1] >= size:
        return der[end - size : end] + der[-size:]
    return der[4:end][-size:].rjust(size, b"\0") + der[end + 2 :][-size:].rjust(size, b"\0")


def _is_on_ed25519(point: bytes) -> bool:
    """Say whether `point` decodes, in its one spelling (RFC 8032, section 5.1.3).

    With u = y^2 - 1 and v = d y^2 + 1, u / v must be a square, and so must u v be.
    """
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)
    if y >= _P25519:
        return False
    uv = (y * y - 1) * (_D25519 * y * y + 1)
    return pow(uv, (_P25519 - 1) // 2, _P25519) in {0, 1}


def _any_of(names: type[StrEnum]) -> str:
    return " or ".join(names)


def _invalid(found: str) -> Refused:
    return Refused(Reason("signature-invalid", "the key's signature", found, "signature"))
