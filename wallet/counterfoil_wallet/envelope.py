"""The envelope of a backup: one compact JWE, whose header says both ways to its key.

    {"alg": "dir", "enc": "A256GCM", "typ": "counterfoil-backup", "version": 1,
     "passphrase": {argon2id recipe, "wrapped": the key},
     "recovery": {"kid", "epk", "wrapped": the same key}}      where contacts hold shares

RFC 7516, section 7.1. The content's key is drawn anew each time and wrapped (RFC 3394)
twice: under the key that argon2id makes of the passphrase, and under the one agreed
with the recovery key (ECDH-ES+A256KW, RFC 7518, section 4.6). The header is
authenticated with the content. `docs/backup.md` reads it without this package.
"""

from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.keys import Curve, PublicKey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from counterfoil_wallet.passphrase import KEY_BYTES, SALT_BYTES, Cost, KeyRecipe, recipe_at
from counterfoil_wallet.wire import Random, fresh_signer, refuse

MAX_SEALED_BYTES: Final = 256 * 1024 * 1024
MAX_HEADER_BYTES: Final = 8_192
_TYPE: Final = "counterfoil-backup"
_VERSION: Final = 1
_WHERE: Final = "backup"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_AGREEMENT: Final = b"ECDH-ES+A256KW"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A sealed backup as it was read. Nothing in it is proved before it is opened."""

    _head: str
    _header: JsonObject = field(repr=False)
    _nonce: bytes
    _sealed: bytes = field(repr=False)

    @staticmethod
    def parse(data: bytes) -> "Envelope":
        """Take an envelope apart; `Malformed` for other files, and for damaged ones.

        Raises `Refused` with `backup-too-new` for a later version of the format.
        """
        if len(data) > MAX_SEALED_BYTES:
            raise Malformed(f"at most {MAX_SEALED_BYTES} bytes", f"{len(data)}", _WHERE)
        head, *rest = data.rstrip(b"\r\n").split(b".", 5)
        header = _header_in(head)
        if len(rest) != 4 or rest[0]:
            raise _damaged()
        try:
            nonce, sealed, tag = (from_b64url(part.decode("ascii"), _WHERE) for part in rest[1:])
        except (Malformed, UnicodeDecodeError):
            raise _damaged() from None
        if len(nonce) != _NONCE_BYTES or len(tag) != _TAG_BYTES:
            raise _damaged()
        return Envelope(head.decode("ascii"), header, nonce, sealed + tag)

    @property
    def recovery_key_id(self) -> str | None:
        """Which recovery key opens it: a thumbprint (RFC 7638), or None."""
        if "recovery" not in self._header:
            return None
        return text_at(object_at(self._header, "recovery", _WHERE), "kid", _WHERE)

    def open(self, passphrase: str) -> bytes:
        """Give the content; `Refused` with `passphrase-wrong`, after argon2id, for another."""
        way = object_at(self._header, "passphrase", _WHERE)
        recipe = recipe_at(self._header, "passphrase", _WHERE)
        try:
            wrapping = recipe.key(passphrase)
        except Refused:
            raise refuse(
                "passphrase-wrong", "the passphrase of this backup", "another", "passphrase"
            ) from None
        try:
            return self._open(wrapping.raw, way)
        finally:
            wrapping.forget()

    def recover(self, secret: bytes) -> bytes:
        """Give the content to the holder of the recovery key, 32 bytes.

        Raises `Refused` with `no-recovery` when it was made before the key was split,
        and `shares-of-another-key`.
        """
        if self.recovery_key_id is None:
            raise refuse("no-recovery", "a backup with a recovery key", "one without", _WHERE)
        way = object_at(self._header, "recovery", _WHERE)
        private = recovery_private(secret)
        if recovery_public(secret).thumbprint() != self.recovery_key_id:
            raise refuse(
                "shares-of-another-key", "shares of this backup's recovery key", "others", "shares"
            )
        epk = PublicKey.from_jwk(object_at(way, "epk", _WHERE), f"{_WHERE}.epk")
        if epk.curve is not Curve.P256:
            raise _damaged()
        return self._open(_agreed(private, epk), way)

    def _open(self, wrapping: bytes | bytearray, way: JsonObject) -> bytes:
        try:
            wrapped = from_b64url(text_at(way, "wrapped", _WHERE), _WHERE)
            key = aes_key_unwrap(wrapping, wrapped)
            return AESGCM(key).decrypt(self._nonce, self._sealed, self._head.encode("ascii"))
        except (InvalidUnwrap, InvalidTag, ValueError) as cause:
            raise _damaged() from cause


def seal(
    content: bytes,
    *,
    passphrase: str,
    recovery: PublicKey | None,
    random: Random,
    cost: Cost | None = None,
) -> bytes:
    """Give the envelope of `content`; `Refused` with `backup-too-large`."""
    key = random(KEY_BYTES)
    recipe, wrapping = KeyRecipe.fresh(passphrase, salt=random(SALT_BYTES), cost=cost or Cost())
    try:
        wrapped = _wrapped(wrapping.raw, key)
    finally:
        wrapping.forget()
    header: JsonObject = {
        "alg": "dir",
        "enc": "A256GCM",
        "typ": _TYPE,
        "version": _VERSION,
        "passphrase": {**recipe.to_json(), "wrapped": wrapped},
    }
    if recovery is not None:
        once = fresh_signer(random)
        agreed = _agreed(recovery_private(once.private_bytes()), recovery)
        header["recovery"] = {
            "kid": recovery.thumbprint(),
            "epk": once.public.jwk(),
            "wrapped": _wrapped(agreed, key),
        }
    head = b64url(compact_json(header))
    nonce = random(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, content, head.encode("ascii"))
    parts = (head, "", b64url(nonce), b64url(sealed[:-_TAG_BYTES]), b64url(sealed[-_TAG_BYTES:]))
    data = ".".join(parts).encode("ascii") + b"\n"
    if len(data) > MAX_SEALED_BYTES:
        raise refuse("backup-too-large", f"at most {MAX_SEALED_BYTES} bytes", "more", _WHERE)
    return data


def begins_as_envelope(start: bytes) -> bool:
    """Say whether a file with these first `MAX_HEADER_BYTES` is an envelope, of any version."""
    try:
        _header_in(start.split(b".", 1)[0])
    except Malformed:
        return False
    except Refused:
        return True
    return True


def recovery_private(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """Give the P-256 key of 32 secret bytes; `Malformed` when there is none."""
    try:
        return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
    except ValueError as cause:
        raise Malformed("a private key on P-256", "other bytes", "shares") from cause


def recovery_public(secret: bytes) -> PublicKey:
    """Give the public half of a recovery key."""
    numbers = recovery_private(secret).public_key().public_numbers()
    jwk: JsonObject = {
        "kty": "EC",
        "crv": Curve.P256.value,
        "x": b64url(numbers.x.to_bytes(32)),
        "y": b64url(numbers.y.to_bytes(32)),
    }
    return PublicKey.from_jwk(jwk, "recovery")


def _header_in(head: bytes) -> JsonObject:
    try:
        text = from_b64url(head[:MAX_HEADER_BYTES].decode("ascii"), _WHERE)
        header = parse_object(text, _WHERE, max_depth=4)
        kind = [text_at(header, name, _WHERE) for name in ("typ", "alg", "enc")]
        version = int_at(header, "version", _WHERE)
    except (Malformed, UnicodeDecodeError):
        raise _foreign() from None
    if kind != [_TYPE, "dir", "A256GCM"]:
        raise _foreign()
    if version != _VERSION:
        raise refuse("backup-too-new", f"version {_VERSION} of the format", "another", _WHERE)
    return header


def _agreed(private: ec.EllipticCurvePrivateKey, public: PublicKey) -> bytes:
    # RFC 7518, section 4.6.2: the algorithm, no party information, the key's 256 bits.
    sizes = [len(_AGREEMENT), 0, 0, 256]
    named = [size.to_bytes(4) for size in sizes]
    named[0] += _AGREEMENT
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(public.x), int.from_bytes(public.y), ec.SECP256R1()
    ).public_key()
    shared = private.exchange(ec.ECDH(), point)
    return ConcatKDFHash(SHA256(), KEY_BYTES, b"".join(named)).derive(shared)


def _wrapped(wrapping: bytes | bytearray, key: bytes) -> str:
    return b64url(aes_key_wrap(wrapping, key))


def _foreign() -> Malformed:
    return Malformed("a backup of a Counterfoil wallet", "another file, or damage", _WHERE)


def _damaged() -> Malformed:
    return Malformed("an intact backup", "a damaged one", _WHERE)
