"""Credentials and presentations of the W3C's data model as JWTs: `vc+jwt` and `vp+jwt`.

Securing Verifiable Credentials using JOSE and COSE, section 3.1. The payload is
the credential itself; the `vc` claim of the data model 1.1 is refused. The header names
the signer's verification method, and claims that JWT registers stand beside the payload.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.bbs_keys import single
from counterfoil_credentials.data_integrity import ProofKeys
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.dids import Did, DidUrl
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_text,
    numeric_date,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, Signer
from counterfoil_credentials.records import record
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_presentation import W3cPresentation

VC_JWT_TYP: Final = "vc+jwt"  # section 3.1.1
VP_JWT_TYP: Final = "vp+jwt"  # section 3.1.2
MAX_W3C_JWT_BYTES: Final = 262_144
_SKEW: Final = timedelta(seconds=60)
# RFC 7519, section 4.1; RFC 7800, section 3.1; `nonce` as RFC 9901 and OpenID4VP use it.
_REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "nonce"})
# Section 3.1.3: neither stands in the payload, which is no wrapper.
_WRAPPERS: Final = frozenset({"vc", "vp"})


@record(kw_only=True)
class VerifiedW3cJwt:
    """A token that `controller` signed: `document` is what it secures, `claims` all beside it."""

    controller: Did
    document: JsonObject = field(repr=False)
    claims: Mapping[str, Json] = field(repr=False)
    where: str

    def reasons(self, now: datetime, audience: str | None) -> list[Reason]:
        """Give the reasons in JWT's own claims: `expired`, `not-yet-valid`, `audience-mismatch`.

        A token that names audiences is for those alone.
        """
        reasons: list[Reason] = []
        claims, where = {**self.claims}, self.where
        expires, begins = (time_at(claims, name, where) for name in ("exp", "nbf"))
        if expires is not None and now - _SKEW >= expires:
            reasons.append(Reason("expired", "a token in its time", "one past it", f"{where}.exp"))
        if begins is not None and now + _SKEW < begins:
            found = "one before it"
            reasons.append(Reason("not-yet-valid", "a token in its time", found, f"{where}.nbf"))
        if "aud" in claims and audience not in _audiences(claims, where):
            reasons.append(Reason("audience-mismatch", "this audience", "another", f"{where}.aud"))
        return reasons

    def mismatches(self, said: Mapping[str, str | None]) -> list[Reason]:
        """Give `claim-mismatch` for each registered claim that says other than the document.

        `said` is what the document says under the claim's name; None is nothing, which
        fits nothing.
        """
        return [
            Reason("claim-mismatch", "what the document says", "another", f"{self.where}.{name}")
            for name, value in said.items()
            if name in self.claims and as_text(self.claims[name], f"{self.where}.{name}") != value
        ]


def sign_credential_jwt(
    credential: JsonObject, *, signer: Signer, verification_method: str, issued_at: datetime
) -> str:
    """Give the `vc+jwt` of `credential`, by its issuer's key (section 3.1.1).

    Raises `Malformed` for what is no credential, `Misuse` when the verification method is
    not the issuer's, or when the credential carries a proof or a claim of JWT's.
    """
    issuer = W3cCredential.parse(credential).issuer
    _require_own(issuer, verification_method)
    claims: JsonObject = {"iss": issuer, "iat": numeric_date(issued_at)}
    return _sign(credential, claims, VC_JWT_TYP, signer, verification_method)


def sign_presentation_jwt(
    presentation: JsonObject,
    *,
    signer: Signer,
    verification_method: str,
    audience: str,
    nonce: str,
    now: datetime,
) -> str:
    """Give the `vp+jwt` of `presentation`, by its holder's key, for `audience` (section 3.1.2).

    Raises as `sign_credential_jwt` does, of a presentation.
    """
    holder = W3cPresentation.parse(presentation).holder
    _require_own(holder or DidUrl.parse(verification_method, "kid").did, verification_method)
    claims: JsonObject = {"aud": audience, "nonce": nonce, "iat": numeric_date(now)}
    return _sign(presentation, claims, VP_JWT_TYP, signer, verification_method)


def read_w3c_jwt(
    token: str,
    *,
    typ: str,
    relationship: Relationship,
    algorithms: frozenset[Algorithm],
    keys: ProofKeys,
    now: datetime,
) -> VerifiedW3cJwt:
    """Give what a `vc+jwt` or a `vp+jwt` secures, its signature checked; nothing else is yet.

    Raises `Malformed` for another shape, and for the claims `vc` and `vp`; `Refused` for
    another `typ`, `algorithm-not-allowed`, `signature-invalid` and the codes of `key_for`.
    """
    where = "credential" if typ == VC_JWT_TYP else "presentation"
    jws = read_jws(token, typ=typ, where=where, max_bytes=MAX_W3C_JWT_BYTES)
    method = text_at(jws.header, "kid", f"{where}.header")
    unverified = jws.unverified_claims
    if not _WRAPPERS.isdisjoint(unverified):
        raise Malformed("the document as the payload", "one inside a claim", where)
    if "cnf" in unverified:
        # Who must confirm it is the holder of that key, which nobody here would ask for.
        raise Malformed("a document that is bound by its ids", "one by a key", f"{where}.cnf")
    at = time_at(unverified, "iat", where) if relationship is Relationship.ASSERTION else None
    key = keys.key_for(method, relationship, at=at or now, now=now)
    claims = jws.verify(single(key, f"{where}.header.kid"), algorithms)
    return VerifiedW3cJwt(
        controller=DidUrl.parse(method, f"{where}.header.kid").did,
        document={name: value for name, value in claims.items() if name not in _REGISTERED},
        claims={name: value for name, value in claims.items() if name in _REGISTERED},
        where=where,
    )


def _sign(document: JsonObject, claims: JsonObject, typ: str, signer: Signer, method: str) -> str:
    if not (_REGISTERED | _WRAPPERS | {"proof"}).isdisjoint(document):
        raise Misuse("expected no proof and no claim of JWT's in the document, found one")
    # `cty` says what the payload is, `vc` or `vp` (section 3.1).
    header = {"kid": method, "cty": typ.removesuffix("+jwt")}
    return sign_jws({**document, **claims}, typ=typ, signer=signer, header=header)


def _require_own(who: str, verification_method: str) -> None:
    if DidUrl.parse(verification_method, "kid").did != who:
        raise Misuse("expected a verification method of who signs, found another's")


def _audiences(claims: JsonObject, where: str) -> list[str]:
    if isinstance(claims["aud"], str):
        return [claims["aud"]]
    return texts_at(claims, "aud", where)
