"""The holder's proof of possession when a credential is issued.

OpenID4VCI 1.0, appendix F.1 (`jwt` proof type). The key travels in the header;
the nonce is the issuer's and proves that the proof is fresh.
"""

from collections.abc import Callable
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import int_at, object_at, optional_text_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY, Header, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.records import record
from counterfoil_credentials.spec import PROOF_TYP

_WHERE: Final = "proof"
_SKEW: Final = timedelta(seconds=60)
_MAX_BYTES: Final = 32_768  # a chain of certificates or an attestation may travel along
_KEY_HEADERS: Final = ("jwk", "kid", "x5c")


@record()
class Proof:
    """A proof whose key is proven: whoever sent it holds `key`.

    The nonce is the issuer's to spend. `client_id` is what the proof says of its
    sender, None when it says nothing.
    """

    key: PublicKey
    nonce: str | None = field(repr=False)
    client_id: str | None = None


def make_proof(
    signer: Signer,
    *,
    issuer: str,
    nonce: str | None,
    now: datetime,
    header: Header | None = None,
    client_id: str | None = None,
) -> str:
    """Give the proof JWT that binds a credential from `issuer` to `signer`'s key.

    `header` says in another way than by `jwk` which key that is.
    """
    return sign_jws(
        {
            **({} if client_id is None else {"iss": client_id}),
            "aud": issuer,
            "iat": int(now.timestamp()),
            **({} if nonce is None else {"nonce": nonce}),
        },
        typ=PROOF_TYP,
        signer=signer,
        header={"jwk": signer.public.jwk()} if header is None else header,
    )


def key_in_jwk(header: Header) -> PublicKey:
    """Give the key in a proof's `jwk` header, the only header that `check_proof` takes itself."""
    if key_header(header) != "jwk":
        raise Malformed("exactly one key header, jwk", "another", _WHERE)
    return PublicKey.from_jwk(object_at(header, "jwk", _WHERE), f"{_WHERE}.jwk")


def key_header(header: Header) -> str:
    """Give which one of `jwk`, `kid` and `x5c` a proof's header has, or raise `Malformed`."""
    named = [name for name in _KEY_HEADERS if name in header]
    if len(named) != 1:
        found = ", ".join(named) or "none"
        raise Malformed("exactly one key header, jwk, kid or x5c", found, _WHERE)
    return named[0]


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

    Raises what `read_proof` and `require_client` raise. The caller must check the nonce.
    """
    proof = read_proof(token, issuer=issuer, now=now, max_age=max_age, algorithms=algorithms)
    require_client(proof.client_id, client_id)
    return proof


def read_proof(
    token: str,
    *,
    issuer: str,
    now: datetime,
    max_age: timedelta,
    algorithms: frozenset[Algorithm] = ES256_ONLY,
    key_of: Callable[[Header], PublicKey] = key_in_jwk,
) -> Proof:
    """Give the proven key, and what the proof carries of nonce and client for the caller to check.

    `key_of` finds the key that the header names.

    Raises `Malformed` for no such token, a private key in the header, or no
    single key header; `Refused` for `algorithm-not-allowed`, `signature-invalid`,
    `audience-mismatch`, `proof-too-old`, `proof-from-the-future`.
    """
    unverified = read_jws(token, typ=PROOF_TYP, where=_WHERE, max_bytes=_MAX_BYTES)
    key = key_of(unverified.header)
    claims = unverified.verify(key, algorithms)
    issued_at = int_at(claims, "iat", _WHERE)
    seconds = int(now.timestamp())
    reasons: list[Reason] = []
    if text_at(claims, "aud", _WHERE) != issuer:
        reasons.append(Reason("audience-mismatch", "this issuer", "another", f"{_WHERE}.aud"))
    if issued_at < seconds - max_age.total_seconds():
        reasons.append(Reason("proof-too-old", "a fresh proof", "an old one", f"{_WHERE}.iat"))
    if issued_at > seconds + _SKEW.total_seconds():
        reasons.append(
            Reason("proof-from-the-future", "a proof made by now", "a later one", f"{_WHERE}.iat")
        )
    if reasons:
        raise Refused(*reasons)
    nonce = optional_text_at(claims, "nonce", _WHERE)
    return Proof(key, nonce, optional_text_at(claims, "iss", _WHERE))


def require_client(said: str | None, client_id: str | None) -> None:
    """Return only if a proof that says `said` may come from `client_id`, None for nobody's.

    Raises `Refused` with `client-id-mismatch`.
    """
    if said in (None, client_id):
        return
    unnamed = client_id is None
    expected, found = ("no client", "one") if unnamed else ("the client named", "another")
    raise Refused(Reason("client-id-mismatch", expected, found, f"{_WHERE}.iss"))
