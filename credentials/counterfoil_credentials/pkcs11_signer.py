"""Signers whose keys live in a PKCS#11 token and never leave it.

    with Pkcs11Token(Path("/usr/lib/softhsm/libsofthsm2.so"), label="brand", pin=pin) as token:
        signer = token.signer(label="issuer-2026")

ES256 and ES384, and ES256K and Ed25519 where the token offers them. A process
logs in to a token once, so one `Pkcs11Token` gives all of its signers. PKCS#11
3.1, sections 6.3.12 and 6.3.16. Needs the extra `hsm`.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256, sha384
from pathlib import Path
from typing import Final, Self

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, SignMixin
from pkcs11.exceptions import (
    AttributeTypeInvalid,
    MultipleTokensReturned,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    SessionClosed,
    UserAlreadyLoggedIn,
)

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.keys import Algorithm, Curve, PublicKey

# CKA_EC_PARAMS: the DER of an object identifier (RFC 5480, SEC 2, RFC 8410), or of
# the name that PKCS#11 3.0 gives to the curve.
_P256: Final = bytes.fromhex("06082a8648ce3d030107")
_CURVES: Final = {
    _P256: Curve.P256,
    bytes.fromhex("06052b81040022"): Curve.P384,
    bytes.fromhex("06052b8104000a"): Curve.SECP256K1,
    bytes.fromhex("06032b6570"): Curve.ED25519,
    b"\x13\x0cedwards25519": Curve.ED25519,
}
_REFUSED_PINS: Final[dict[type[PKCS11Error], str]] = {
    PinIncorrect: "pin-incorrect",
    PinInvalid: "pin-incorrect",
    PinLenRange: "pin-incorrect",
    PinLocked: "pin-locked",
    PinExpired: "pin-expired",
}
_TRIAL: Final = b"counterfoil: is this the key of that public key?"


class Pkcs11Token:
    """A token, with its user logged in until `close`."""

    def __init__(self, module: Path, *, label: str, pin: str, writing: bool = False) -> None:
        """Log in to the token named `label`, by the PKCS#11 library at `module`.

        With `writing`, keys can be made in it and destroyed.

        Raises `Refused` (`pin-incorrect`, `pin-locked`, `pin-expired`): trying again
        may lock the token. `Unavailable` when library or token is not there;
        `Misuse` when two tokens have the label or this process is logged in already.
        """
        # An error of the encoder would quote the PIN.
        if pin.encode("utf-8", "replace").decode() != pin:
            raise Misuse("expected a PIN of whole characters, found half of one")
        with _in_our_words():
            token = pkcs11.lib(str(module)).get_token(token_label=label)
            self._session = token.open(user_pin=pin, rw=writing)
        self._is_closed = False
        self._lock = threading.Lock()

    def signer(self, *, label: str | None = None, key_id: bytes | None = None) -> "Pkcs11Signer":
        """Give the signer of the one key pair of that label, that id, or both.

        Raises `Misuse` when there is none, or more than one, or one of another
        kind; `Unavailable` when the token is gone.
        """
        named: dict[Attribute, object] = {}
        if label:
            named[Attribute.LABEL] = label
        if key_id:
            named[Attribute.ID] = key_id
        if not named or not (label or "").isprintable():
            raise Misuse("expected a printable label or an id of a key, found neither")
        with self._lock, _in_our_words():
            if self._is_closed:
                raise SessionClosed
            private, public = (
                list(self._session.get_objects({Attribute.CLASS: kind, **named}))
                for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
            )
            if (len(private), len(public)) != (1, 1):
                raise Misuse(
                    f"expected one key pair of that name,"
                    f" found {len(private)} private and {len(public)} public keys"
                )
            key, parameters, point = (
                private[0],
                bytes(public[0][Attribute.EC_PARAMS]),
                bytes(public[0][Attribute.EC_POINT]),
            )
        if not isinstance(key, SignMixin):
            raise Misuse("expected a key that signs, found another")
        return Pkcs11Signer(key, _public_key(parameters, point), self._lock)

    def make(self, key_id: bytes) -> None:
        """Make a P-256 key pair of a new id, whose private half nothing can read out.

        `Unavailable` when the token is gone, or was not opened for `writing`.
        """
        with self._lock, _in_our_words():
            if self._is_closed:
                raise SessionClosed
            parameters = self._session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: _P256}, local=True
            )
            parameters.generate_keypair(
                store=True,
                id=key_id,
                capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )

    def destroy(self, key_id: bytes) -> None:
        """Destroy both halves of the pair of that id; one that is gone is destroyed."""
        if not key_id:
            raise Misuse("expected an id of a key, found an empty one")
        with self._lock, _in_our_words():
            if self._is_closed:
                raise SessionClosed
            for found in list(self._session.get_objects({Attribute.ID: key_id})):
                found.destroy()

    def close(self) -> None:
        """Log out: signers of this token sign no more. One that is gone is logged out."""
        with self._lock, suppress(PKCS11Error):
            self._is_closed = True
            self._session.close()

    def __enter__(self) -> Self:
        """Give the token."""
        return self

    def __exit__(self, *_: object) -> None:
        """Log out."""
        self.close()


class Pkcs11Signer:
    """A signer whose key stays in its token. Safe among threads, which wait for each other."""

    __slots__ = ("_key", "_lock", "public")

    def __init__(self, key: SignMixin, public: PublicKey, lock: threading.Lock) -> None:
        """Sign once on trial: `Misuse` when `public` does not verify what `key` signs."""
        self.public = public
        self._key = key
        self._lock = lock
        try:
            public.verify(self.sign(_TRIAL), _TRIAL)
        except Refused as cause:
            raise Misuse("expected two halves of one key pair, found others") from cause

    def sign(self, message: bytes) -> bytes:
        """Give the signature; `Unavailable` when the token is gone: open it anew."""
        match self.public.algorithm:
            case Algorithm.ED25519 | Algorithm.EDDSA:
                data, mechanism = message, Mechanism.EDDSA
            case Algorithm.ES384:
                data, mechanism = sha384(message).digest(), Mechanism.ECDSA
            case Algorithm.ES256 | Algorithm.ES256K:
                data, mechanism = sha256(message).digest(), Mechanism.ECDSA
        with self._lock, _in_our_words():
            return bytes(self._key.sign(data, mechanism=mechanism))

    def __repr__(self) -> str:
        """Show the public thumbprint."""
        return f"Pkcs11Signer({self.public.thumbprint()})"


def _public_key(parameters: bytes, point: bytes) -> PublicKey:
    curve = _CURVES.get(parameters)
    if curve is None:
        raise Misuse(f"expected a key on {' or '.join(Curve)}, found another")
    # The point stands in an OCTET STRING; some tokens leave its two bytes away.
    inner = point[2:] if len(point) in (2 + 32, 2 + 65, 2 + 97) else point
    try:
        if curve is Curve.ED25519:
            return PublicKey.from_point(curve, inner, "token")
        half = len(inner) // 2
        x, y = inner[1 : 1 + half], inner[1 + half :]
        return PublicKey.from_jwk(
            {"kty": "EC", "crv": curve.value, "x": b64url(x), "y": b64url(y)}, "token"
        )
    except Malformed as cause:
        raise Misuse(f"expected an uncompressed point on {curve}, found another") from cause


@contextmanager
def _in_our_words() -> Generator[None]:
    """Raise what a token reports as one of our errors."""
    try:
        yield
    except MultipleTokensReturned as cause:
        raise Misuse("expected one token of that label, found several") from cause
    except AttributeTypeInvalid as cause:
        raise Misuse("expected a key on an elliptic curve, found another kind") from cause
    except UserAlreadyLoggedIn as cause:
        raise Misuse("expected one login to a token, found this process logged in") from cause
    except PKCS11Error as cause:
        code = _REFUSED_PINS.get(type(cause))
        if code is not None:
            raise Refused(Reason(code, "the token's PIN", "another, or none", "pin")) from cause
        raise Unavailable(f"expected the token to answer, found {type(cause).__name__}") from cause
