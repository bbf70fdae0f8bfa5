"""Client attestation: a wallet's maker vouches for one installed wallet and its key.

    attestation = make_client_attestation(attester, client_id=..., instance_key=..., ...)
    pop = make_client_attestation_pop(instance, audience=server, jti=fresh, now=now)

    attested = check_client_attestation(attestation, attesters=trusted, now=now)
    check_client_attestation_pop(pop, attested, audience=server, now=now, max_age=age)

Whom to believe is the caller's policy: `attesters` are the keys it was given, and
nothing that travels with an attestation adds one. That each header came exactly once,
that no `jti` is taken twice, and what the challenge must be, are the caller's too.

OAuth 2.0 Attestation-Based Client Authentication, draft 10; OpenID4VCI 1.0, appendix
E, names draft 07, whose `iss` in the proof may be there and must then be the client.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.dpop import DpopProof
from counterfoil_credentials.encoding import (
    JsonObject,
    int_at,
    numeric_date,
    object_at,
    optional_int_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY, UnverifiedJws, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.spec import CLIENT_ATTESTATION_POP_TYP, CLIENT_ATTESTATION_TYP

_ATTESTATION: Final = "client_attestation"
_POP: Final = "client_attestation_pop"
_SKEW_S: Final = 60
_MAX_BYTES: Final = 16_384
_MAX_POP_BYTES: Final = 8_192
_LONGEST_NAME: Final = 256
_LONGEST_CHALLENGE: Final = 512


@dataclass(frozen=True, slots=True)
class ClientAttestation:
    """A checked attestation: `attester` vouches that a `client_id` holds `instance_key`."""

    client_id: str
    instance_key: PublicKey
    attester: PublicKey
    ends_at: datetime
    wallet_name: str | None = None

    def is_proved_by(self, proof: DpopProof) -> bool:
        """Say whether a checked DPoP proof is by the attested key (section 5.2).

        It then stands for the proof of possession too, and its nonce for the challenge.
        """
        return proof.key == self.instance_key


@dataclass(frozen=True, slots=True)
class ClientAttestationPop:
    """A checked proof of possession. Until `ends_at` its `jti` must be remembered."""

    jti: str = field(repr=False)
    challenge: str | None = field(repr=False)
    ends_at: datetime


def make_client_attestation(
    attester: Signer,
    *,
    client_id: str,
    instance_key: PublicKey,
    now: datetime,
    lasts: timedelta,
    wallet_name: str | None = None,
) -> str:
    """Give the attestation of one installed wallet (section 4; OpenID4VCI 1.0, appendix E)."""
    claims: JsonObject = {
        "sub": client_id,
        "iat": numeric_date(now),
        "exp": numeric_date(now + lasts),
        "cnf": {"jwk": instance_key.jwk()},
    }
    if wallet_name is not None:
        claims["wallet_name"] = wallet_name
    kid = attester.public.thumbprint()
    return sign_jws(claims, typ=CLIENT_ATTESTATION_TYP, signer=attester, header={"kid": kid})


def make_client_attestation_pop(
    instance: Signer,
    *,
    client_id: str,
    audience: str,
    jti: str,
    now: datetime,
    challenge: str | None = None,
) -> str:
    """Give the proof that this wallet holds the attested key (section 5.1).

    `audience` is the issuer identifier of the authorization server; `jti` is fresh.
    """
    claims: JsonObject = {
        "iss": client_id,
        "aud": audience,
        "jti": jti,
        "iat": numeric_date(now),
    }
    if challenge is not None:
        claims["challenge"] = challenge
    return sign_jws(claims, typ=CLIENT_ATTESTATION_POP_TYP, signer=instance)


def check_client_attestation(
    token: str,
    *,
    attesters: Collection[PublicKey],
    now: datetime,
    max_age: timedelta | None = None,
    algorithms: frozenset[Algorithm] = ES256_ONLY,
) -> ClientAttestation:
    """Give what one of `attesters` says of the client (section 7.1).

    With `max_age` an attestation that is older, or does not say how old it is, is
    refused as `attestation-not-fresh`. The caller compares `client_id` with the request's.

    Raises `Malformed` for no such token; `Refused` for `token-type-mismatch`,
    `algorithm-not-allowed`, `attester-not-trusted`, `attestation-expired`,
    `attestation-not-fresh`, `attestation-from-the-future`.
    """
    unverified = read_jws(
        token, typ=CLIENT_ATTESTATION_TYP, where=_ATTESTATION, max_bytes=_MAX_BYTES
    )
    claims, attester = verify_by_any(unverified, attesters, algorithms)
    client_id = text_at(claims, "sub", _ATTESTATION)
    if not 1 <= len(client_id) <= _LONGEST_NAME:
        raise Malformed(
            f"1 to {_LONGEST_NAME} characters", f"{len(client_id)}", f"{_ATTESTATION}.sub"
        )
    where = f"{_ATTESTATION}.cnf"
    confirmation = object_at(claims, "cnf", _ATTESTATION)
    instance_key = PublicKey.from_jwk(object_at(confirmation, "jwk", where), f"{where}.jwk")
    ends_at = int_at(claims, "exp", _ATTESTATION)
    issued_at = optional_int_at(claims, "iat", _ATTESTATION)
    begins_at = optional_int_at(claims, "nbf", _ATTESTATION)
    seconds = numeric_date(now)
    reasons: list[Reason] = []
    if ends_at <= seconds:
        reasons.append(
            Reason("attestation-expired", "one in its time", "an older", f"{_ATTESTATION}.exp")
        )
    elif max_age is not None and (issued_at or 0) < seconds - max_age.total_seconds():
        reasons.append(
            Reason("attestation-not-fresh", "a fresh one", "an older", f"{_ATTESTATION}.iat")
        )
    if max(issued_at or 0, begins_at or 0) > seconds + _SKEW_S:
        reasons.append(
            Reason("attestation-from-the-future", "one by now", "a later", f"{_ATTESTATION}.iat")
        )
    if reasons:
        raise Refused(*reasons)
    return ClientAttestation(
        client_id=client_id,
        instance_key=instance_key,
        attester=attester,
        ends_at=instant_of(ends_at, f"{_ATTESTATION}.exp"),
        wallet_name=optional_text_at(claims, "wallet_name", _ATTESTATION),
    )


def check_client_attestation_pop(
    token: str,
    attestation: ClientAttestation,
    *,
    audience: str,
    now: datetime,
    max_age: timedelta,
    algorithms: frozenset[Algorithm] = ES256_ONLY,
) -> ClientAttestationPop:
    """Give the proof's `jti` and challenge, for the caller to check (section 7.2).

    Raises `Malformed` for no such token; `Refused` for `token-type-mismatch`,
    `algorithm-not-allowed`, `signature-invalid`, `audience-mismatch`,
    `client-id-mismatch`, `proof-too-old`, `proof-from-the-future`.
    """
    unverified = read_jws(
        token, typ=CLIENT_ATTESTATION_POP_TYP, where=_POP, max_bytes=_MAX_POP_BYTES
    )
    claims = unverified.verify(attestation.instance_key, algorithms)
    jti, issued_at = text_at(claims, "jti", _POP), int_at(claims, "iat", _POP)
    challenge = optional_text_at(claims, "challenge", _POP)
    if not 1 <= len(jti) <= _LONGEST_NAME:
        raise Malformed(f"1 to {_LONGEST_NAME} characters", f"{len(jti)}", f"{_POP}.jti")
    if challenge is not None and len(challenge) > _LONGEST_CHALLENGE:
        expected = f"at most {_LONGEST_CHALLENGE} characters"
        raise Malformed(expected, f"{len(challenge)}", f"{_POP}.challenge")
    seconds, max_age_s = numeric_date(now), int(max_age.total_seconds())
    reasons: list[Reason] = []
    # A list of audiences, one of them ours, would be good elsewhere too (section 5.1).
    if text_at(claims, "aud", _POP) != audience:
        reasons.append(Reason("audience-mismatch", "this server", "another", f"{_POP}.aud"))
    if optional_text_at(claims, "iss", _POP) not in (None, attestation.client_id):
        reasons.append(Reason("client-id-mismatch", "the client", "another", f"{_POP}.iss"))
    if issued_at < seconds - max_age_s:
        reasons.append(Reason("proof-too-old", "a fresh proof", "an old one", f"{_POP}.iat"))
    if issued_at > seconds + _SKEW_S:
        reasons.append(
            Reason("proof-from-the-future", "a proof made by now", "a later one", f"{_POP}.iat")
        )
    if reasons:
        raise Refused(*reasons)
    ends_at = datetime.fromtimestamp(issued_at + max_age_s + 1, UTC)
    return ClientAttestationPop(jti, challenge, ends_at)


def verify_by_any(
    unverified: UnverifiedJws,
    attesters: Collection[PublicKey],
    algorithms: frozenset[Algorithm],
) -> tuple[JsonObject, PublicKey]:
    """Give the claims and which of `attesters` signed them; a `kid` is no more than a hint.

    Raises `Refused` with `algorithm-not-allowed` or `attester-not-trusted`.
    """
    if not attesters:
        raise Misuse("expected at least one attester to believe, found none")
    algorithm = text_at(unverified.header, "alg", unverified.where)
    if algorithm not in algorithms:
        expected = " or ".join(sorted(algorithms))
        raise Refused(
            Reason(
                "algorithm-not-allowed", expected, "another algorithm", f"{unverified.where}.alg"
            )
        )
    for key in attesters:
        if key.accepts(algorithm):
            try:
                return unverified.verify(key, algorithms), key
            except Refused:
                continue
    raise Refused(
        Reason("attester-not-trusted", "a trusted attester's", "another's", unverified.where)
    )


def instant_of(seconds: int, where: str) -> datetime:
    """Give the instant that a token names in seconds; `Malformed` past every calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as cause:
        raise Malformed("a time that a calendar knows", "another", where) from cause
