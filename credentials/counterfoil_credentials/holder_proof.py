"""The holder's proof of possession when a credential is issued.

OpenID4VCI 1.0, appendix F.1 (`jwt` proof type). The key travels in the header;
the nonce is the issuer's and proves that the proof is fresh.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import int_at, object_at, optional_text_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.spec import PROOF_TYP

_WHERE: Final = "proof"
_SKEW: Final = timedelta(seconds=60)
_MAX_BYTES: Final = 8_192
_KEY_HEADERS: Final = ("jwk", "kid", "x5c")


@dataclass(frozen=True, slots=True)
class Proof:
    """A checked proof: whoever sent it holds `key`. The nonce is the issuer's to spend."""

    key: PublicKey
    nonce: str | None = field(repr=False)


def make_proof(signer: Signer, *, issuer: str, nonce: str | None, now: datetime) -> str:
    """Give the proof JWT that binds a credential from `issuer` to `signer`'s key."""
    return sign_jws(
        {
            "aud": issuer,
            "iat": int(now.timestamp()),
            **({} if nonce is None else {"nonce": nonce}),
        },
        typ=PROOF_TYP,
        signer=signer,
        header={"jwk": signer.public.jwk()},
    )


def check_proof(
    token: str,
    *,
    issuer: str,
    now: datetime,
    max_age: timedelta,
    client_id: str | None = None,
    algorithms: frozenset[Algorithm] = ES256_ONLY,
) -> Proof:
    """Give the proven key and the nonce that the proof carries.

    `client_id` is the one that the access token was given to; None when nobody
    said it, as in the anonymous pre-authorized flow: then a proof must not either.

    Raises `Malformed` for no such token, a private key in the header, or no
    single `jwk` header; `Refused` for `algorithm-not-allowed`, `signature-invalid`,
    `audience-mismatch`, `client-id-mismatch`, `proof-too-old`,
    `proof-from-the-future`. The caller must check the nonce.
    """
    unverified = read_jws(token, typ=PROOF_TYP, where=_WHERE, max_bytes=_MAX_BYTES)
    named = [name for name in _KEY_HEADERS if name in unverified.header]
    if named != ["jwk"]:
        raise Malformed("exactly one key header, jwk", ", ".join(named) or "none", _WHERE)
    key = PublicKey.from_jwk(object_at(unverified.header, "jwk", _WHERE), f"{_WHERE}.jwk")
    claims = unverified.verify(key, algorithms)
    issued_at = int_at(claims, "iat", _WHERE)
    seconds = int(now.timestamp())
    reasons: list[Reason] = []
    if text_at(claims, "aud", _WHERE) != issuer:
        reasons.append(Reason("audience-mismatch", "this issuer", "another", f"{_WHERE}.aud"))
    if optional_text_at(claims, "iss", _WHERE) not in (None, client_id):
        unnamed = client_id is None
        expected, found = ("no client", "one") if unnamed else ("the client named", "another")
        reasons.append(Reason("client-id-mismatch", expected, found, f"{_WHERE}.iss"))
    if issued_at < seconds - max_age.total_seconds():
        reasons.append(Reason("proof-too-old", "a fresh proof", "an old one", f"{_WHERE}.iat"))
    if issued_at > seconds + _SKEW.total_seconds():
        reasons.append(
            Reason("proof-from-the-future", "a proof made by now", "a later one", f"{_WHERE}.iat")
        )
    if reasons:
        raise Refused(*reasons)
    return Proof(key, optional_text_at(claims, "nonce", _WHERE))
