"""One verification method of a DID document: a key, whose it is, and until when.

Controlled Identifiers 1.0, section 2.2. `Multikey` and `JsonWebKey` are written;
`JsonWebKey2020` and `Ed25519VerificationKey2020` are also read. Every other type
is kept with the reason why its key verifies nothing here.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.bbs_keys import BbsPublicKey, VerificationKey
from counterfoil_credentials.dids import Did, DidUrl, parse_did
from counterfoil_credentials.encoding import (
    JsonObject,
    list_at,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import Algorithm, Curve, PublicKey
from counterfoil_credentials.multikey import Multikey


class MethodType(StrEnum):
    """The types whose keys we read."""

    MULTIKEY = "Multikey"
    JSON_WEB_KEY = "JsonWebKey"
    JSON_WEB_KEY_2020 = "JsonWebKey2020"
    ED25519_2020 = "Ed25519VerificationKey2020"

    @property
    def is_jwk(self) -> bool:
        """Say whether the key stands in `publicKeyJwk`; if not, in `publicKeyMultibase`."""
        return self in (MethodType.JSON_WEB_KEY, MethodType.JSON_WEB_KEY_2020)

    @property
    def context(self) -> str:
        """Give the JSON-LD context that defines the type."""
        return _CONTEXTS[self]


_CONTEXTS: Final = {
    MethodType.MULTIKEY: "https://w3id.org/security/multikey/v1",
    MethodType.JSON_WEB_KEY: "https://w3id.org/security/jwk/v1",
    MethodType.JSON_WEB_KEY_2020: "https://w3id.org/security/suites/jws-2020/v1",
    MethodType.ED25519_2020: "https://w3id.org/security/suites/ed25519-2020/v1",
}
KEY_MALFORMED: Final = "key-malformed"
_CURVES: Final = tuple(Curve)
_ALGORITHMS: Final = tuple(Algorithm)
_SECRETS: Final = ("secretKeyMultibase", "secretKeyJwk", "privateKeyMultibase", "privateKeyJwk")
# RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1; RFC 8037, section 2; the keys of ML-DSA.
_SECRET_IN_JWK: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")
# XML Schema 1.1, part 2, section 3.4.28.
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,20})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationMethod:
    """A method as its document says it. `key` is the key, or why there is none for us."""

    id: DidUrl
    type: str
    controller: Did
    key: VerificationKey | Reason
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @staticmethod
    def parse(obj: JsonObject, did: Did, where: str) -> "VerificationMethod":
        """Read a method that stands in the document of `did`.

        Raises `Malformed` for another shape, and for a private key.
        """
        if not obj.keys().isdisjoint(_SECRETS):
            raise Malformed("a public key", "a private one", where)
        named = text_at(obj, "type", where)
        return VerificationMethod(
            id=DidUrl.under(did, text_at(obj, "id", where), f"{where}.id"),
            type=named,
            controller=parse_did(text_at(obj, "controller", where), f"{where}.controller"),
            key=_key(obj, named, where),
            expires_at=_time_at(obj, "expires", where),
            revoked_at=_time_at(obj, "revoked", where),
        )

    def time_reasons(self, *, at: datetime, now: datetime) -> list[Reason]:
        """Give the reasons, in time alone, why a signature made at `at` does not count `now`.

        The first moment that no longer counts is `revoked` or `expires` itself.
        """
        where = "verification_method"
        reasons: list[Reason] = []
        # `at` is what the signer says: it saves nothing from a revocation.
        if self.revoked_at is not None and max(at, now) >= self.revoked_at:
            reasons.append(Reason("key-revoked", "a key in use", "a revoked one", where))
        if self.expires_at is not None and at >= self.expires_at:
            reasons.append(
                Reason("key-expired", "a signature before its key's expiry", "a later", where)
            )
        return reasons


def method_json(
    did: Did, key: VerificationKey, *, fragment: str, method_type: MethodType, where: str = "key"
) -> JsonObject:
    """Give the verification method of `key` in the document of `did`.

    Raises `Malformed` when keys of this curve have no such type.
    """
    obj: JsonObject = {"id": f"{did}#{fragment}", "type": method_type.value, "controller": did}
    if method_type is MethodType.ED25519_2020 and key.curve is not Curve.ED25519:
        raise Malformed("an Ed25519 key", "another", where)
    if method_type.is_jwk:
        if isinstance(key, BbsPublicKey):
            raise Malformed("a key that signs a JWS", "one of bbs-2023", where)
        obj["publicKeyJwk"] = key.jwk()
    else:
        obj["publicKeyMultibase"] = str(Multikey.of(key))
    return obj


def timestamp(moment: datetime) -> str:
    """Give a UTC `dateTimeStamp`, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(obj: JsonObject, named: str, where: str) -> VerificationKey | Reason:
    try:
        method_type = MethodType(named)
    except ValueError:
        return _no_key(obj, where)
    place = f"{where}.{'publicKeyJwk' if method_type.is_jwk else 'publicKeyMultibase'}"
    jwk = object_at(obj, "publicKeyJwk", where) if method_type.is_jwk else None
    if jwk is not None and not jwk.keys().isdisjoint(_SECRET_IN_JWK):
        raise Malformed("a public key", "a private one", place)
    try:
        if jwk is not None:
            return _key_of_jwk(jwk, place)
        multikey = Multikey.parse(text_at(obj, "publicKeyMultibase", where), place)
        key = multikey.verification_key(place)
    except Refused as cause:
        return cause.reasons[0]
    except Malformed as cause:
        # The other keys of the document are no worse for it.
        return Reason(KEY_MALFORMED, cause.expected, cause.found, cause.where)
    if method_type is MethodType.ED25519_2020 and key.curve is not Curve.ED25519:
        return Reason(KEY_MALFORMED, "an Ed25519 key", "another", place)
    return key


def _key_of_jwk(jwk: JsonObject, where: str) -> PublicKey:
    if text_at(jwk, "kty", where) not in ("EC", "OKP") or text_at(jwk, "crv", where) not in _CURVES:
        raise Refused(Reason("key-type-unsupported", " or ".join(Curve), "another", where))
    if (
        jwk.get("use", "sig") != "sig"
        or jwk.get("alg", Algorithm.ES256) not in _ALGORITHMS
        or ("key_ops" in jwk and "verify" not in list_at(jwk, "key_ops", where))
    ):
        raise Refused(Reason("key-not-for-signatures", "a key that verifies", "another", where))
    return PublicKey.from_jwk(jwk, where)


def _no_key(obj: JsonObject, where: str) -> Reason:
    expected = " or ".join(MethodType)
    if "blockchainAccountId" in obj:
        return Reason("account-without-key", expected, "a blockchain account", where)
    return Reason("verification-method-unsupported", expected, "another type", f"{where}.type")


def _time_at(obj: JsonObject, name: str, where: str) -> datetime | None:
    text = optional_text_at(obj, name, where)
    if text is None:
        return None
    place = f"{where}.{name}"
    if _TIMESTAMP.fullmatch(text) is None:
        raise Malformed("a dateTimeStamp", "another text", place)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as cause:
        raise Malformed("a dateTimeStamp", "no such moment", place) from cause
