"""BBS signatures: one signature over many messages, shown in part, and never twice the same way.

    signature = sign(secret, header, messages)
    proof = prove(public, signature, header, messages, shown=[0, 2], presentation_header=nonce)
    check_proof(public, proof, header, {0: messages[0], 2: messages[2]}, presentation_header=nonce)

Two proofs from one signature have nothing in common that tells whether they are from one or
from two. draft-irtf-cfrg-bbs-signatures, ciphersuite BLS12-381-SHA-256: still a draft, so
experimental here. This is the one module that imports py_arkworks_bls12381; it needs `[bbs]`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from secrets import token_bytes
from threading import Lock
from typing import Final, NamedTuple, NoReturn

from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused

try:
    from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar
except ImportError as cause:  # pragma: no cover
    found = "expected py_arkworks_bls12381, found none"
    raise Misuse(f'{found}: pip install "counterfoil[bbs]"') from cause

# A generator takes a third of a millisecond to find, and is kept.
MAX_MESSAGES: Final = 1_024
_SUITE: Final = b"BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_"
_API: Final = _SUITE + b"H2G_HM2S_"
_POINT: Final = 48
_SCALAR: Final = 32
_EXPANDED: Final = 48
_SECRET_LENGTH: Final = 32
_LONGEST_INFO: Final = 65_535
# Section 7.2.2: the fixed point P1.
P1: Final = G1Point.from_compressed_bytes(
    bytes.fromhex(
        "a8ce256102840821a3e94ea9025e4662b205762f9776b3a766c872b948f1fd22"
        "5e7c59698588e70d11406d161b4e28c9"
    )
)
_BASE_2: Final = G2Point()


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A signer's secret, as 32 bytes; `public` is the 96 bytes that verify."""

    data: bytes = field(repr=False)
    public: bytes

    @staticmethod
    def from_material(material: bytes, info: bytes = b"") -> "SecretKey":
        """Derive the key (section 3.4.1): `material` is 32 random bytes or more."""
        if len(material) < _SECRET_LENGTH or len(info) > _LONGEST_INFO:
            raise Misuse(f"expected at least {_SECRET_LENGTH} bytes of key material, found fewer")
        derived = material + len(info).to_bytes(2) + info
        return SecretKey.of(hash_to_scalar(derived, _API + b"KEYGEN_DST_").to_be_bytes())

    @staticmethod
    def of(data: bytes) -> "SecretKey":
        """Take a secret scalar; `Misuse` for zero and for what is none."""
        try:
            scalar = Scalar.from_be_bytes(data)
        except ValueError as cause:
            raise Misuse("expected a secret scalar, found other bytes") from cause
        if scalar.is_zero():
            raise Misuse("expected a secret scalar, found zero")
        return SecretKey(data, bytes((_BASE_2 * scalar).to_compressed_bytes()))


def sign(secret: SecretKey, header: bytes, messages: Sequence[bytes]) -> bytes:
    """Give the 80 bytes of a signature (sections 3.5.1 and 3.6.1); always the same ones."""
    scalars, key = _scalars(messages), Scalar.from_be_bytes(secret.data)
    domain, _ = _domain(secret.public, len(scalars), header)
    e = hash_to_scalar(_serialized(key, *scalars, domain), _API + b"H2S_")
    blinded = key + e
    if blinded.is_zero():  # pragma: no cover - once in 2^255
        raise Misuse("expected another key or other messages, found the one that cannot be signed")
    a = _commitment(domain, dict(enumerate(scalars)), len(scalars)) * blinded.inverse()
    return _serialized(a, e)


def check_signature(
    public: bytes, signature: bytes, header: bytes, messages: Sequence[bytes]
) -> None:
    """Return only for the signature of `public` over all messages (sections 3.5.2 and 3.6.2).

    Raises `Malformed` for what is no key or no signature, `Refused` with `signature-invalid`.
    """
    key, (a, e), scalars = _public_key(public), _signature(signature), _scalars(messages)
    domain, _ = _domain(public, len(scalars), header)
    b = _commitment(domain, dict(enumerate(scalars)), len(scalars))
    if not GT.pairing_check([a, a * e - b], [key, _BASE_2]):
        _refuse("signature")


def prove(
    public: bytes,
    signature: bytes,
    header: bytes,
    messages: Sequence[bytes],
    *,
    shown: Sequence[int],
    presentation_header: bytes = b"",
) -> bytes:
    """Give a proof of knowing a signature, that shows the messages at `shown` alone.

    Sections 3.5.3 and 3.6.3.

    Raises `Misuse` unless `shown` ascends within the messages, and what `check_signature`
    raises: a proof from a bad signature would fail at the verifier, who is not to blame.
    """
    check_signature(public, signature, header, messages)
    (a, e), scalars = _signature(signature), _scalars(messages)
    if list(shown) != sorted(set(shown)) or not all(0 <= i < len(scalars) for i in shown):
        raise Misuse("expected ascending places of messages, found others")
    hidden = [i for i in range(len(scalars)) if i not in set(shown)]
    r1, r2, e_tilde, r1_tilde, r3_tilde, *m_tilde = _random_scalars(5 + len(hidden))
    domain, points = _domain(public, len(scalars), header)
    b = _commitment(domain, dict(enumerate(scalars)), len(scalars))
    d = b * r2
    a_bar = a * (r1 * r2)
    b_bar = d * r1 - a_bar * e
    t1 = a_bar * e_tilde + d * r1_tilde
    t2 = _sum([d, *(points[i + 1] for i in hidden)], [r3_tilde, *m_tilde])
    opened = _Opened(a_bar, b_bar, d, t1, t2, domain)
    challenge = _challenge(opened, {i: scalars[i] for i in shown}, presentation_header)
    return _serialized(
        a_bar,
        b_bar,
        d,
        e_tilde + e * challenge,
        r1_tilde - r1 * challenge,
        r3_tilde - r2.inverse() * challenge,
        *(tilde + scalars[i] * challenge for tilde, i in zip(m_tilde, hidden, strict=True)),
        challenge,
    )


def check_proof(
    public: bytes,
    proof: bytes,
    header: bytes,
    shown: Mapping[int, bytes],
    *,
    presentation_header: bytes = b"",
) -> None:
    """Return only for a proof that `public` signed `shown`, each at its place, among others.

    Sections 3.5.4 and 3.6.4. Raises `Malformed` for what is no key and no proof, and for
    places beyond the messages, `Refused` with `signature-invalid`.
    """
    key = _public_key(public)
    a_bar, b_bar, d, scalars = _proof(proof)
    e_hat, r1_hat, r3_hat, *m_hat, challenge = scalars
    count = len(shown) + len(m_hat)
    if count > MAX_MESSAGES or not all(0 <= i < count for i in shown):
        raise Malformed(f"places of at most {MAX_MESSAGES} messages", "others", "proof")
    of_shown = {i: to_scalar(shown[i]) for i in sorted(shown)}
    hidden = [i for i in range(count) if i not in shown]
    domain, points = _domain(public, count, header)
    t1 = _sum([b_bar, a_bar, d], [challenge, e_hat, r1_hat])
    b = _commitment(domain, of_shown, count)
    t2 = _sum([b, d, *(points[i + 1] for i in hidden)], [challenge, r3_hat, *m_hat])
    opened = _Opened(a_bar, b_bar, d, t1, t2, domain)
    if challenge != _challenge(opened, of_shown, presentation_header):
        _refuse("proof")
    if not GT.pairing_check([a_bar, -b_bar], [key, _BASE_2]):
        _refuse("proof")


class _Opened(NamedTuple):
    """What the challenge is drawn from: what prover and verifier both come to."""

    a_bar: G1Point
    b_bar: G1Point
    d: G1Point
    t1: G1Point
    t2: G1Point
    domain: Scalar


def _challenge(opened: _Opened, shown: Mapping[int, Scalar], presentation_header: bytes) -> Scalar:
    # Section 3.7.4.
    disclosed = [part for i, scalar in shown.items() for part in (i, scalar)]
    data = _serialized(len(shown), *disclosed, *opened)
    data += len(presentation_header).to_bytes(8) + presentation_header
    return hash_to_scalar(data, _API + b"H2S_")


def _domain(public: bytes, count: int, header: bytes) -> tuple[Scalar, tuple[G1Point, ...]]:
    # Section 4.2.3, and the points that it stands for.
    points = GENERATORS.first(count + 1)
    data = public + _generators_serialized(count) + _API + len(header).to_bytes(8) + header
    return hash_to_scalar(data, _API + b"H2S_"), points


@lru_cache(maxsize=64)
def _generators_serialized(count: int) -> bytes:
    return _serialized(count, *GENERATORS.first(count + 1))


def _commitment(domain: Scalar, scalars: Mapping[int, Scalar], count: int) -> G1Point:
    q, *points = GENERATORS.first(count + 1)
    return P1 + _sum([q, *(points[i] for i in scalars)], [domain, *scalars.values()])


def _sum(points: list[G1Point], scalars: list[Scalar]) -> G1Point:
    return G1Point.multiexp_unchecked(points, scalars)


class _Generators:
    """The points that messages are raised to (section 4.1.1), found once and kept."""

    def __init__(self) -> None:
        self._found: list[G1Point] = []
        self._seed_dst = _API + b"SIG_GENERATOR_SEED_"
        self._v = _expanded(_API + b"MESSAGE_GENERATOR_SEED", self._seed_dst)
        self._lock = Lock()

    def first(self, count: int) -> tuple[G1Point, ...]:
        """Give the first `count` of them, Q_1 in front."""
        with self._lock:
            while len(self._found) < count:
                number = len(self._found) + 1
                self._v = _expanded(self._v + number.to_bytes(8), self._seed_dst)
                point = G1Point.hash_to_curve(self._v, _API + b"SIG_GENERATOR_DST_")
                self._found.append(point)
            return tuple(self._found[:count])


def _scalars(messages: Sequence[bytes]) -> list[Scalar]:
    if len(messages) > MAX_MESSAGES:
        raise Malformed(f"at most {MAX_MESSAGES} messages", f"{len(messages)}", "messages")
    return [to_scalar(message) for message in messages]


def to_scalar(message: bytes) -> Scalar:
    """Map a message to its scalar (section 4.1.2)."""
    return hash_to_scalar(message, _API + b"MAP_MSG_TO_SCALAR_AS_HASH_")


def hash_to_scalar(data: bytes, dst: bytes) -> Scalar:
    """Hash to a scalar, apart for each domain tag (section 4.2.2)."""
    return Scalar.from_be_bytes_mod_order(_expanded(data, dst))


def _expanded(data: bytes, dst: bytes) -> bytes:
    # RFC 9380, section 5.3.1: expand_message_xmd with SHA-256, to 48 bytes.
    suffix = dst + len(dst).to_bytes()
    first = sha256(bytes(64) + data + _EXPANDED.to_bytes(2) + b"\0" + suffix).digest()
    block = sha256(first + b"\1" + suffix).digest()
    mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
    return (block + sha256(mixed + b"\2" + suffix).digest())[:_EXPANDED]


def _random_scalars(count: int) -> list[Scalar]:
    return [Scalar.from_be_bytes_mod_order(token_bytes(_EXPANDED)) for _ in range(count)]


def _serialized(*parts: G1Point | Scalar | int) -> bytes:
    # Section 4.2.4.1.
    data = bytearray()
    for part in parts:
        if isinstance(part, int):
            data += part.to_bytes(8)
        elif isinstance(part, Scalar):
            data += bytes(part.to_be_bytes())
        else:
            data += bytes(part.to_compressed_bytes())
    return bytes(data)


def _public_key(data: bytes) -> G2Point:
    # Section 4.2.4.6.
    try:
        key = G2Point.from_compressed_bytes(data)
    except ValueError as cause:
        raise Malformed("a key on BLS12-381", "other bytes", "public key") from cause
    if key == G2Point.identity() or not key.is_in_subgroup():
        raise Malformed("a key of its group", "another point", "public key")
    return key


def _signature(data: bytes) -> tuple[G1Point, Scalar]:
    if len(data) != _POINT + _SCALAR:
        raise Malformed(f"{_POINT + _SCALAR} bytes", f"{len(data)} bytes", "signature")
    return _point(data[:_POINT], "signature"), _scalar(data[_POINT:], "signature")


def _proof(data: bytes) -> tuple[G1Point, G1Point, G1Point, list[Scalar]]:
    # Section 4.2.4.5.
    start = 3 * _POINT
    scalars, rest = divmod(len(data) - start, _SCALAR)
    if not 4 <= scalars <= MAX_MESSAGES + 4 or rest:
        raise Malformed("three points and at least four scalars", "other bytes", "proof")
    a_bar, b_bar, d = (_point(data[i : i + _POINT], "proof") for i in range(0, start, _POINT))
    read = [_scalar(data[i : i + _SCALAR], "proof") for i in range(start, len(data), _SCALAR)]
    return a_bar, b_bar, d, read


def _point(data: bytes, where: str) -> G1Point:
    try:
        point = G1Point.from_compressed_bytes(data)
    except ValueError as cause:
        raise Malformed("a point on BLS12-381", "other bytes", where) from cause
    if point == G1Point.identity() or not point.is_in_subgroup():
        raise Malformed("a point of its group", "another", where)
    return point


def _scalar(data: bytes, where: str) -> Scalar:
    try:
        scalar = Scalar.from_be_bytes(data)
    except ValueError as cause:
        raise Malformed("a scalar", "a number beyond the group", where) from cause
    if scalar.is_zero():
        raise Malformed("a scalar", "zero", where)
    return scalar


def _refuse(where: str) -> NoReturn:
    raise Refused(Reason("signature-invalid", "the signer's", "another", where))


GENERATORS: Final = _Generators()
