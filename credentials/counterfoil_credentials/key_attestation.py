"""Key attestation: who stores a wallet's keys says how well they are kept.

    token = make_key_attestation(attester, keys=[...], now=now, lasts=..., nonce=...)
    attested = check_key_attestation(token, policy, now=now)
    attested.keys                # one credential for each of them

It travels in the header `key_attestation` of a `jwt` proof, whose key must be one of
`keys`, or alone as the proof type `attestation`. Whom to believe, and how well is well
enough, is the caller's policy; so is what the nonce must be.

OpenID4VCI 1.0, appendices D.1, F.1 and F.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.client_attestation import instant_of, verify_by_any
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    numeric_date,
    optional_int_at,
    optional_text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.spec import KEY_ATTESTATION_TYP

_WHERE: Final = "key_attestation"
_SKEW_S: Final = 60
_MAX_BYTES: Final = 32_768
_MAX_KEYS: Final = 100
_MAX_LEVELS: Final = 20
_LONGEST_NONCE: Final = 512


@dataclass(frozen=True, slots=True)
class KeyAttestationPolicy:
    """Whom an issuer believes, and which protection of keys is enough.

    An empty `key_storage` or `user_authentication` asks for nothing there; otherwise
    the attestation must name one of the values (section 12.2.4,
    `key_attestations_required`). `max_age` is counted from `iat`.
    """

    attesters: frozenset[PublicKey]
    key_storage: frozenset[str] = frozenset()
    user_authentication: frozenset[str] = frozenset()
    max_age: timedelta = timedelta(days=1)
    algorithms: frozenset[Algorithm] = ES256_ONLY


@dataclass(frozen=True, slots=True)
class KeyAttestation:
    """A checked attestation of `keys`, in their order. The nonce is the caller's to check."""

    keys: tuple[PublicKey, ...]
    nonce: str | None = field(repr=False)
    key_storage: tuple[str, ...]
    user_authentication: tuple[str, ...]
    ends_at: datetime | None


def make_key_attestation(
    attester: Signer,
    *,
    keys: Sequence[PublicKey],
    now: datetime,
    lasts: timedelta | None,
    nonce: str | None = None,
    key_storage: Sequence[str] = (),
    user_authentication: Sequence[str] = (),
) -> str:
    """Give the attestation of `keys`, which all live in one store.

    `lasts` may be None only for the proof type `attestation`.
    """
    if not keys:
        raise Misuse("expected at least one key to attest, found none")
    claims: JsonObject = {
        "iat": numeric_date(now),
        "attested_keys": [key.jwk() for key in keys],
    }
    if lasts is not None:
        claims["exp"] = numeric_date(now + lasts)
    if nonce is not None:
        claims["nonce"] = nonce
    if key_storage:
        claims["key_storage"] = [*key_storage]
    if user_authentication:
        claims["user_authentication"] = [*user_authentication]
    kid = attester.public.thumbprint()
    return sign_jws(claims, typ=KEY_ATTESTATION_TYP, signer=attester, header={"kid": kid})


def check_key_attestation(
    token: str, policy: KeyAttestationPolicy, *, now: datetime, must_end: bool
) -> KeyAttestation:
    """Give the attested keys. `must_end` says that it came with a `jwt` proof (appendix D.1).

    Raises `Malformed` for no such token, no key, a key twice, or no `exp` where there
    must be one; `Refused` for `token-type-mismatch`, `algorithm-not-allowed`,
    `attester-not-trusted`, `attestation-expired`, `attestation-not-fresh`,
    `attestation-from-the-future`, `key-storage-not-accepted`,
    `user-authentication-not-accepted`.
    """
    unverified = read_jws(token, typ=KEY_ATTESTATION_TYP, where=_WHERE, max_bytes=_MAX_BYTES)
    claims, _ = verify_by_any(unverified, policy.attesters, policy.algorithms)
    keys = _keys(claims)
    storage, authentication = _levels(claims, "key_storage"), _levels(claims, "user_authentication")
    nonce = optional_text_at(claims, "nonce", _WHERE)
    if nonce is not None and len(nonce) > _LONGEST_NONCE:
        raise Malformed(f"at most {_LONGEST_NONCE} characters", f"{len(nonce)}", f"{_WHERE}.nonce")
    issued_at, seconds = int_at(claims, "iat", _WHERE), numeric_date(now)
    ends_at = int_at(claims, "exp", _WHERE) if must_end else optional_int_at(claims, "exp", _WHERE)
    reasons: list[Reason] = []
    if ends_at is not None and ends_at <= seconds:
        reasons.append(_reason("attestation-expired", "one in its time", "an older", "exp"))
    if issued_at < seconds - policy.max_age.total_seconds():
        reasons.append(_reason("attestation-not-fresh", "a fresh one", "an older", "iat"))
    if max(issued_at, optional_int_at(claims, "nbf", _WHERE) or 0) > seconds + _SKEW_S:
        reasons.append(_reason("attestation-from-the-future", "one by now", "a later", "iat"))
    for code, name, accepted, found in (
        ("key-storage-not-accepted", "key_storage", policy.key_storage, storage),
        (
            "user-authentication-not-accepted",
            "user_authentication",
            policy.user_authentication,
            authentication,
        ),
    ):
        if accepted and accepted.isdisjoint(found):
            reasons.append(_reason(code, " or ".join(sorted(accepted)), "another", name))
    if reasons:
        raise Refused(*reasons)
    return KeyAttestation(
        keys=keys,
        nonce=nonce,
        key_storage=storage,
        user_authentication=authentication,
        ends_at=None if ends_at is None else instant_of(ends_at, f"{_WHERE}.exp"),
    )


def _keys(claims: JsonObject) -> tuple[PublicKey, ...]:
    where = f"{_WHERE}.attested_keys"
    listed = list_at(claims, "attested_keys", _WHERE)
    if not 1 <= len(listed) <= _MAX_KEYS:
        raise Malformed(f"1 to {_MAX_KEYS} keys", f"{len(listed)}", where)
    keys = tuple(
        PublicKey.from_jwk(as_object(jwk, f"{where}[{i}]"), f"{where}[{i}]")
        for i, jwk in enumerate(listed)
    )
    if len(set(keys)) != len(keys):
        # Two credentials for one key would be told as one holder's.
        raise Malformed("each key once", "one twice", where)
    return keys


def _levels(claims: JsonObject, name: str) -> tuple[str, ...]:
    if name not in claims:
        return ()
    levels = texts_at(claims, name, _WHERE)
    if not 1 <= len(levels) <= _MAX_LEVELS:
        raise Malformed(f"1 to {_MAX_LEVELS} values", f"{len(levels)}", f"{_WHERE}.{name}")
    return tuple(levels)


def _reason(code: str, expected: str, found: str, name: str) -> Reason:
    return Reason(code, expected, found, f"{_WHERE}.{name}")
