"""ID tokens: an OpenID Connect provider says who has logged in.

    claims = check_id_token(token, jwks, issuer=..., client_id=..., nonce=..., now=now)

Providers sign with RS256 by default, which no wallet or issuer of ours speaks; so RSA
keys are known here alone. `typ` may be absent, as it is in the tokens of many.

OpenID Connect Core 1.0, sections 2 and 3.1.3.7; RFC 7518, sections 3.3 and 6.3; RFC 8725.
"""

from datetime import datetime
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    from_b64url,
    int_at,
    list_at,
    numeric_date,
    optional_int_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import PublicKey

_WHERE: Final = "id_token"
_MAX_BYTES: Final = 16_384
_MAX_KEYS: Final = 100
_SKEW_S: Final = 60
_RS256: Final = "RS256"


class SigningKey(Protocol):
    """A key of a provider."""

    def accepts(self, algorithm: str) -> bool:
        """Say whether `algorithm` spells the one that this key is used with."""
        ...

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return only for this key's signature; `Refused` with `signature-invalid`."""
        ...


class RsaKey:
    """An RSA key of 2048 to 8192 bits, for RS256 alone."""

    __slots__ = ("_key",)

    def __init__(self, jwk: JsonObject, where: str) -> None:
        """Parse a public JWK; `Malformed` for another kind, size, exponent or algorithm."""
        if jwk.get("kty") != "RSA" or jwk.get("alg", _RS256) != _RS256 or "d" in jwk:
            raise Malformed("a public RSA key for RS256", "another", where)
        modulus = int.from_bytes(from_b64url(text_at(jwk, "n", where), f"{where}.n"))
        exponent = int.from_bytes(from_b64url(text_at(jwk, "e", where), f"{where}.e"))
        if not 2_048 <= modulus.bit_length() <= 8_192 or exponent != 65_537:
            raise Malformed("2048 to 8192 bits and the exponent 65537", "others", where)
        try:
            self._key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        except ValueError as cause:  # an even modulus
            raise Malformed("an RSA modulus", "another number", where) from cause

    def accepts(self, algorithm: str) -> bool:
        """Say whether `algorithm` is RS256."""
        return algorithm == _RS256

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return only for this key's signature; `Refused` with `signature-invalid`."""
        try:
            self._key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as cause:
            raise Refused(
                Reason("signature-invalid", "the key's signature", "another", "signature")
            ) from cause


def signing_keys(jwks: JsonObject) -> list[tuple[str | None, SigningKey]]:
    """Give the keys of a provider that sign, each with its name (`kid`) if it has one.

    Those of other kinds may stand beside them. Raises `Malformed` for no JWK Set.
    """
    keys: list[tuple[str | None, SigningKey]] = []
    for value in list_at(jwks, "keys", "jwks")[:_MAX_KEYS]:
        try:
            jwk = as_object(value, "jwks")
            if jwk.get("use", "sig") == "sig":
                name = optional_text_at(jwk, "kid", "jwks")
                is_rsa = jwk.get("kty") == "RSA"
                key: SigningKey = RsaKey(jwk, "jwks") if is_rsa else PublicKey.from_jwk(jwk, "jwks")
                keys.append((name, key))
        except Malformed:
            continue
    return keys


def check_id_token(
    token: str, jwks: JsonObject, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> JsonObject:
    """Give the claims of the ID token, which is for this client and this login.

    Raises `Malformed` for no such token; `Refused` for `signature-invalid`,
    `token-type-mismatch`, `issuer-mismatch`, `audience-mismatch`, `nonce-mismatch`,
    `token-expired`, `token-from-the-future`.
    """
    if len(token) > _MAX_BYTES or token.count(".") != 2 or not token.isascii():
        raise Malformed(f"a compact JWS of at most {_MAX_BYTES} bytes", "another text", _WHERE)
    head, payload, signature = token.split(".")
    header = parse_object(from_b64url(head, _WHERE), f"{_WHERE}.header")
    if "crit" in header:
        raise Malformed("no critical extension", "one", f"{_WHERE}.crit")
    typ = optional_text_at(header, "typ", _WHERE)
    if typ is not None and typ.upper() != "JWT":
        raise _refused("token-type-mismatch", "JWT, or none", "typ")
    claims = parse_object(from_b64url(payload, _WHERE), _WHERE, max_bytes=_MAX_BYTES)
    _verify(header, jwks, from_b64url(signature, _WHERE), f"{head}.{payload}".encode("ascii"))
    reasons: list[Refused] = []
    if text_at(claims, "iss", _WHERE) != issuer:
        reasons.append(_refused("issuer-mismatch", "this provider", "iss"))
    if not _is_for(claims, client_id):
        reasons.append(_refused("audience-mismatch", "this client", "aud"))
    if text_at(claims, "nonce", _WHERE) != nonce:
        reasons.append(_refused("nonce-mismatch", "this login's nonce", "nonce"))
    seconds = numeric_date(now)
    if int_at(claims, "exp", _WHERE) + _SKEW_S <= seconds:
        reasons.append(_refused("token-expired", "a token in its time", "exp"))
    starts_at = max(int_at(claims, "iat", _WHERE), optional_int_at(claims, "nbf", _WHERE) or 0)
    if starts_at - _SKEW_S > seconds:
        reasons.append(_refused("token-from-the-future", "a token made by now", "iat"))
    if reasons:
        raise Refused(*(reason for refused in reasons for reason in refused.reasons))
    return claims


def _verify(header: JsonObject, jwks: JsonObject, signature: bytes, message: bytes) -> None:
    algorithm, key_id = text_at(header, "alg", _WHERE), optional_text_at(header, "kid", _WHERE)
    for name, key in signing_keys(jwks):
        if (key_id is None or name in (None, key_id)) and key.accepts(algorithm):
            try:
                key.verify(signature, message)
            except Refused:
                continue
            return
    raise _refused("signature-invalid", "a signature by a key of the provider", "signature")


def _is_for(claims: JsonObject, client_id: str) -> bool:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    # Of a token for several, the one it was made for says so.
    return client_id in named and (len(named) == 1 or claims.get("azp") == client_id)


def _refused(code: str, expected: str, name: str) -> Refused:
    return Refused(Reason(code, expected, "another", f"{_WHERE}.{name}"))
