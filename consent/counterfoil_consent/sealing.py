"""The seal: data under a key that two parties must give together.

    seal    presentations ─► SealedBundle, and the custodian's sealed share     (wallet)
    open    SealedBundle + the receiver's key + the custodian's share ─► presentations

The content key is HKDF(Kv ‖ Kc, salt = grant id). Kv is sealed to the receiver
inside the bundle, Kc to a one-time key of the custodian, each by HPKE (RFC 9180,
base mode, single shot), whose `info` names suite, role and grant, so that no
share can be used in another's place. Neither share alone says anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    canonical_json,
    from_b64url,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from counterfoil_consent.spec import SUITE
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    Random,
    digest_of,
    grant_id_of,
    refuse,
    require_members,
)

MAX_BUNDLE_BYTES: Final = 786_432
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SEALED_SHARE_BYTES: Final = 80  # 32 of encapsulated key, 32 of share, 16 of tag
_HPKE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_WHERE: Final = "bundle"


class Role(StrEnum):
    """Whom a share is sealed to."""

    RECEIVER = "receiver"
    CUSTODIAN = "custodian"
    READER = "reader"
    KEPT = "kept"
    RECIPIENT = "recipient"


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A public X25519 key that shares are sealed to."""

    raw: bytes

    def jwk(self) -> JsonObject:
        """Give the public JWK (RFC 8037, section 2)."""
        return {"crv": "X25519", "kty": "OKP", "x": b64url(self.raw)}

    def thumbprint(self) -> Digest:
        """Give the SHA-256 JWK thumbprint (RFC 7638; RFC 8037, appendix A.3)."""
        return digest_of(canonical_json(self.jwk()))

    @staticmethod
    def from_jwk(jwk: JsonObject, where: str) -> "SealingKey":
        """Parse a public X25519 JWK; a private member or another curve is `Malformed`."""
        require_members(jwk, ("crv", "kty", "x"), where)
        for name, expected in (("kty", "OKP"), ("crv", "X25519")):
            if text_at(jwk, name, where) != expected:
                raise Malformed(expected, "another value", f"{where}.{name}")
        raw = from_b64url(text_at(jwk, "x", where), f"{where}.x")
        if len(raw) != _KEY_BYTES:
            raise Malformed(f"{_KEY_BYTES} bytes", f"{len(raw)} bytes", f"{where}.x")
        return SealingKey(raw)


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """The private half: kept in a key folder, or in memory for one read."""

    _raw: bytes = field(repr=False)

    @staticmethod
    def generate(random: Random) -> "OpeningKey":
        """Make a fresh key."""
        return OpeningKey(random(_KEY_BYTES))

    @property
    def public(self) -> SealingKey:
        """The key that shares are sealed to, so that this one opens them."""
        return SealingKey(self._key().public_key().public_bytes_raw())

    def private_bytes(self) -> bytes:
        """Give the 32 private bytes: for a key folder only."""
        return self._raw

    def open(self, sealed: bytes, *, info: bytes) -> bytes:
        """Give what was sealed to this key under `info`; `share-does-not-open` otherwise."""
        try:
            return _HPKE.decrypt(sealed, self._key(), info)
        except (InvalidTag, ValueError) as cause:
            raise refuse(
                "share-does-not-open", "a share sealed to this key", "another", "share"
            ) from cause

    def _key(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self._raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBundle:
    """What the receiver stores: ciphertext, and its own sealed share. The grant names it."""

    grant_id: GrantId
    nonce: bytes
    ciphertext: bytes = field(repr=False)
    receiver_share: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Give the one spelling that travels; the digest is over these bytes."""
        return canonical_json(
            {
                "ciphertext": b64url(self.ciphertext),
                "grant_id": self.grant_id,
                "nonce": b64url(self.nonce),
                "receiver_share": b64url(self.receiver_share),
                "suite": SUITE,
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> "SealedBundle":
        """Parse the bundle strictly; raises `Malformed`."""
        obj = parse_object(data, _WHERE, max_bytes=MAX_BUNDLE_BYTES, max_depth=2)
        require_members(obj, ("ciphertext", "grant_id", "nonce", "receiver_share", "suite"), _WHERE)
        if text_at(obj, "suite", _WHERE) != SUITE:
            raise Malformed(SUITE, "another suite", f"{_WHERE}.suite")
        ciphertext, nonce, share = (
            from_b64url(text_at(obj, name, _WHERE), f"{_WHERE}.{name}")
            for name in ("ciphertext", "nonce", "receiver_share")
        )
        if len(nonce) != _NONCE_BYTES:
            raise Malformed(f"{_NONCE_BYTES} bytes", f"{len(nonce)} bytes", f"{_WHERE}.nonce")
        return SealedBundle(
            grant_id=grant_id_of(text_at(obj, "grant_id", _WHERE), f"{_WHERE}.grant_id"),
            nonce=nonce,
            ciphertext=ciphertext,
            receiver_share=share_of(share, f"{_WHERE}.receiver_share"),
        )

    def digest(self) -> Digest:
        """Give the digest that the grant names."""
        return digest_of(self.to_bytes())


@dataclass(frozen=True, slots=True)
class Sealed:
    """The two things that leave the wallet, each to its own party."""

    bundle: SealedBundle
    custodian_share: bytes = field(repr=False)


def seal(
    presentations: Mapping[str, str],
    *,
    grant_id: GrantId,
    receiver_key: SealingKey,
    custodian_key: SealingKey,
    random: Random,
) -> Sealed:
    """Give the bundle of `presentations` (by `vct`) and the custodian's share of its key.

    Both shares and the content key are forgotten on return: whoever wants to
    read from now on needs the receiver and the custodian.
    """
    receiver_part, custodian_part = random(_KEY_BYTES), random(_KEY_BYTES)
    nonce = random(_NONCE_BYTES)
    key = _content_key(receiver_part, custodian_part, grant_id)
    ciphertext = AESGCM(key).encrypt(
        nonce, canonical_json({"presentations": {**presentations}}), _info(grant_id, "bundle")
    )
    bundle = SealedBundle(
        grant_id=grant_id,
        nonce=nonce,
        ciphertext=ciphertext,
        receiver_share=seal_share(receiver_part, receiver_key, grant_id, Role.RECEIVER),
    )
    return Sealed(bundle, seal_share(custodian_part, custodian_key, grant_id, Role.CUSTODIAN))


def open_bundle(
    bundle: SealedBundle, *, receiver_key: OpeningKey, custodian_part: bytes
) -> dict[str, str]:
    """Give the presentations by `vct`.

    Raises `Refused` with `share-does-not-open` or `bundle-does-not-open`: a
    wrong share looks exactly like a changed ciphertext.
    """
    receiver_part = open_share(bundle.receiver_share, receiver_key, bundle.grant_id, Role.RECEIVER)
    key = _content_key(receiver_part, custodian_part, bundle.grant_id)
    try:
        plain = AESGCM(key).decrypt(
            bundle.nonce, bundle.ciphertext, _info(bundle.grant_id, "bundle")
        )
    except InvalidTag as cause:
        raise refuse(
            "bundle-does-not-open", "a bundle sealed under these shares", "another", _WHERE
        ) from cause
    obj = parse_object(plain, _WHERE, max_bytes=MAX_BUNDLE_BYTES)
    require_members(obj, ("presentations",), _WHERE)
    presentations = object_at(obj, "presentations", _WHERE)
    where = f"{_WHERE}.presentations"
    return {vct: text_at(presentations, vct, where) for vct in presentations}


def seal_share(
    part: bytes, to: SealingKey, grant_id: GrantId, role: Role, context: str = ""
) -> bytes:
    """Give `part` sealed to `to`, 48 bytes longer. `context` binds it further, to one lease say.

    Raises `Malformed` for a key of small order, which would seal to everybody.
    """
    try:
        key = X25519PublicKey.from_public_bytes(to.raw)
        return _HPKE.encrypt(part, key, _info(grant_id, role, context))
    except ValueError as cause:
        raise Malformed("an X25519 key of full order", "another", f"{role} key") from cause


def open_share(
    sealed: bytes, key: OpeningKey, grant_id: GrantId, role: Role, context: str = ""
) -> bytes:
    """Give the part that was sealed to `key` for this grant, role and context."""
    return key.open(sealed, info=_info(grant_id, role, context))


def share_of(data: bytes, where: str) -> bytes:
    """Give `data` if it has the size of a sealed share."""
    if len(data) != _SEALED_SHARE_BYTES:
        raise Malformed(f"{_SEALED_SHARE_BYTES} bytes", f"{len(data)} bytes", where)
    return data


def _content_key(receiver_part: bytes, custodian_part: bytes, grant_id: GrantId) -> bytes:
    derivation = HKDF(
        algorithm=hashes.SHA256(),
        length=_KEY_BYTES,
        salt=grant_id.encode(),
        info=_info(grant_id, "content-key"),
    )
    return derivation.derive(receiver_part + custodian_part)


def _info(grant_id: GrantId, *parts: str) -> bytes:
    return canonical_json(["counterfoil-consent", SUITE, grant_id, *parts])
