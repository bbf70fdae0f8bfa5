"""The grant: an SD-JWT VC that the customer signs with a key used for this receiver alone.

Our profile of SD-JWT VC: `iss` is that pairwise key's did:jwk and `cnf` is the
same key; it is accepted for this one type. The grant names the request, its own
terms and the sealed bundle by digest, and travels alone in the vp_token, bound
to the request by nonce, audience and the hash of the terms that were asked.
"""

from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import did_jwk, key_of_did_jwk
from counterfoil_credentials.encoding import JsonObject, object_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.key_binding import bind, check_key_binding
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import issue_credential, read_credential

from counterfoil_consent.sealing import SealedBundle
from counterfoil_consent.spec import GRANT_VCT, SUITE
from counterfoil_consent.states import Granted, Requested
from counterfoil_consent.terms import Terms
from counterfoil_consent.wire import (
    SKEW,
    Digest,
    Random,
    digest_of,
    grant_id_of,
    refuse,
    require_members,
)

MAX_AGE: Final = timedelta(minutes=30)
_WHERE: Final = "grant"
_MEMBERS: Final = (
    "iss",
    "iat",
    "exp",
    "vct",
    "cnf",
    "grant_id",
    "request_digest",
    "terms",
    "bundle",
)


def sign_grant(
    requested: Requested,
    terms: Terms,
    bundle: SealedBundle,
    *,
    signer: Signer,
    now: datetime,
    random: Random,
) -> tuple[str, Granted]:
    """Give the grant's presentation for the vp_token, and the state it makes.

    `signer` holds the pairwise key: a fresh one for each receiver.
    """
    holder = did_jwk(signer.public)
    claims: JsonObject = {
        "grant_id": bundle.grant_id,
        "request_digest": requested.request_digest,
        "terms": terms.to_json(),
        "bundle": {"sha-256": bundle.digest(), "suite": SUITE},
    }
    grant = issue_credential(
        claims,
        vct=GRANT_VCT,
        issuer=holder,
        signer=signer,
        holder=signer.public,
        issued_at=now,
        expires_at=terms.valid_until,
        status=None,
        concealed=(),
        random=random,
    )
    presentation = bind(
        grant,
        signer=signer,
        audience=terms.receiver.client_id,
        nonce=requested.nonce,
        now=now,
        transaction_data_hashes=[requested.terms_hash],
    )
    state = requested.grant(
        grant_id=bundle.grant_id,
        holder=holder,
        terms=terms,
        grant_digest=digest_of(grant.issuer_jwt),
        bundle_digest=bundle.digest(),
        at=now.replace(microsecond=0),
    )
    return str(presentation), state


def check_grant(presentation: str, requested: Requested, *, now: datetime) -> Granted:
    """Give the grant that answers `requested`, or raise `Refused` with every reason.

    Checked: type; the pairwise key as issuer, as holder and in both signatures;
    nonce, audience and terms hash; that request and terms are those asked; that
    the terms are no wider and lack nothing required; that it has not ended.
    """
    sd_jwt = SdJwt.parse(presentation, _WHERE)
    unverified = read_credential(sd_jwt)
    if unverified.unverified_vct != GRANT_VCT:
        raise refuse("not-a-grant", GRANT_VCT, "another type", f"{_WHERE}.vct")
    issuer_key = key_of_did_jwk(unverified.unverified_issuer, f"{_WHERE}.iss")
    credential = unverified.verify(issuer_key)
    if credential.holder_key != issuer_key:
        raise refuse("holder-is-not-issuer", "the issuer's own key", "another", f"{_WHERE}.cnf")
    claims = credential.claims
    require_members(claims, _MEMBERS, _WHERE)
    terms = Terms.from_json(object_at(claims, "terms", _WHERE), f"{_WHERE}.terms")
    bundle = object_at(claims, "bundle", _WHERE)
    require_members(bundle, ("sha-256", "suite"), f"{_WHERE}.bundle")
    if text_at(bundle, "suite", f"{_WHERE}.bundle") != SUITE:
        raise Malformed(SUITE, "another suite", f"{_WHERE}.bundle.suite")
    if credential.issued_at is None:
        raise Malformed("the time of issue", "nothing", f"{_WHERE}.iat")
    reasons = _binding_reasons(sd_jwt, requested, signer_did=unverified.unverified_issuer, now=now)
    if text_at(claims, "request_digest", _WHERE) != requested.request_digest:
        reasons.append(
            Reason("request-mismatch", "this request", "another", f"{_WHERE}.request_digest")
        )
    if credential.expires_at != terms.valid_until:
        reasons.append(
            Reason("end-mismatch", "the end that the terms name", "another", f"{_WHERE}.exp")
        )
    if not now - MAX_AGE <= credential.issued_at <= now + SKEW:
        reasons.append(Reason("grant-not-fresh", "a grant made now", "another", f"{_WHERE}.iat"))
    if now >= terms.valid_until:
        reasons.append(Reason("grant-ended", "an end to come", "one gone by", f"{_WHERE}.exp"))
    reasons += terms.widening_reasons(requested.terms)
    reasons += terms.missing_reasons(requested.terms)
    reasons += terms.retention_reasons(now)
    if reasons:
        raise Refused(*reasons)
    return requested.grant(
        grant_id=grant_id_of(text_at(claims, "grant_id", _WHERE), f"{_WHERE}.grant_id"),
        holder=did_jwk(issuer_key),
        terms=terms,
        grant_digest=digest_of(sd_jwt.issuer_jwt),
        bundle_digest=Digest(text_at(bundle, "sha-256", f"{_WHERE}.bundle")),
        at=credential.issued_at,
    )


def grant_digest_of(presentation: str) -> Digest:
    """Give the digest by which a grant is known: of what its holder signed, without binding."""
    return digest_of(SdJwt.parse(presentation, _WHERE).issuer_jwt)


def _binding_reasons(
    presentation: SdJwt, requested: Requested, *, signer_did: str, now: datetime
) -> list[Reason]:
    try:
        check_key_binding(
            presentation,
            holder_key=key_of_did_jwk(signer_did, f"{_WHERE}.iss"),
            audience=requested.terms.receiver.client_id,
            nonce=requested.nonce,
            now=now,
            max_age=MAX_AGE,
            transaction_data_hashes=[requested.terms_hash],
        )
    except Refused as refusal:
        return [*refusal.reasons]
    return []
