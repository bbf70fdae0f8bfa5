"""Whether a credential or a presentation of the W3C's data model is to be believed.

    verified = verify_w3c_credential(secured, policy=policy, keys=resolver, now=now)
    verified.credential.subjects                      # what the issuer said, of whom

It comes with Data Integrity (an object) or as a JWT (a text): the same questions are asked.
Whether its issuer is one to trust, and whether it was revoked, the caller asks.

VC Data Model 2.0, section 7.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.cryptosuites import Cryptosuite
from counterfoil_credentials.data_integrity import (
    ProofKeys,
    ProofPolicy,
    VerifiedDocument,
    verify_proofs,
)
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.records import record
from counterfoil_credentials.related_resources import related_reasons
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_jwt import (
    VC_JWT_TYP,
    VP_JWT_TYP,
    VerifiedW3cJwt,
    read_w3c_jwt,
)
from counterfoil_credentials.w3c_presentation import (
    VC_JWT_MEDIA_TYPE,
    Envelope,
    W3cPresentation,
)
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2

_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class W3cPolicy:
    """How a document may be secured, and in which words it may speak.

    A document whose `@context` is not one of `contexts`, to the letter, is refused: the
    same names under other contexts mean something else (Data Integrity 1.0, section
    4.6). An empty list of suites and algorithms accepts nothing. `resources` are what was
    retrieved of `relatedResource`, by URL: each must be what the issuer meant.
    """

    suites: Sequence[Cryptosuite] = ()
    algorithms: frozenset[Algorithm] = frozenset()
    contexts: frozenset[tuple[str, ...]] = frozenset({(CREDENTIALS_V2,)})
    resources: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class W3cPresentationPolicy:
    """What a presentation must answer: to whom it speaks, what was asked, how fresh it is.

    Each credential must be about the holder, by its subject's id, unless
    `accept_credentials_about_others` says otherwise.
    """

    presentation: W3cPolicy
    credentials: W3cPolicy
    audience: str
    nonce: str
    max_age: timedelta = timedelta(minutes=5)
    accept_credentials_about_others: bool = False


@record(kw_only=True)
class VerifiedW3cCredential:
    """A credential that its issuer signed, in its time; `proved_by` is everybody who did."""

    credential: W3cCredential
    proved_by: frozenset[Did]


@record(kw_only=True)
class VerifiedW3cPresentation:
    """A presentation that `holder` made for this verifier, each credential verified."""

    holder: Did
    presentation: W3cPresentation
    credentials: tuple[VerifiedW3cCredential, ...]


def verify_w3c_credential(
    secured: JsonObject | str,
    *,
    policy: W3cPolicy,
    keys: ProofKeys,
    now: datetime,
    audience: str | None = None,
) -> VerifiedW3cCredential:
    """Give the credential, or raise.

    Raises what `verify_proofs` or `read_w3c_jwt` raises, `Malformed` for what is no
    credential, and afterwards `Refused` with all of `context-not-known`,
    `issuer-mismatch` (none of the keys is the issuer's), `not-yet-valid`, `expired`,
    `claim-mismatch`, `audience-mismatch` and `integrity-mismatch`.
    """
    reasons: list[Reason] = []
    if isinstance(secured, str):
        token = read_w3c_jwt(
            secured,
            typ=VC_JWT_TYP,
            relationship=Relationship.ASSERTION,
            algorithms=policy.algorithms,
            keys=keys,
            now=now,
        )
        proved_by, credential = frozenset({token.controller}), W3cCredential.parse(token.document)
        reasons += token.reasons(now, audience)
        (only,) = credential.subject_ids if len(credential.subject_ids) == 1 else (None,)
        said = {"iss": credential.issuer, "jti": credential.id, "sub": only}
        reasons += token.mismatches(said)
    else:
        found = verify_proofs(secured, policy=ProofPolicy(suites=policy.suites), keys=keys, now=now)
        proved_by, credential = found.controllers, W3cCredential.parse(found.document)
    reasons += _context_reasons(credential.json, policy, "credential")
    if credential.issuer not in proved_by:
        where = "credential.issuer"
        reasons.append(Reason("issuer-mismatch", "whose key signed it", "another", where))
    reasons += credential.time_reasons(now)
    reasons += related_reasons(credential.json, policy.resources)
    if reasons:
        raise Refused(*reasons)
    return VerifiedW3cCredential(credential=credential, proved_by=proved_by)


def verify_w3c_presentation(
    secured: JsonObject | str,
    *,
    policy: W3cPresentationPolicy,
    keys: ProofKeys,
    now: datetime,
) -> VerifiedW3cPresentation:
    """Give the presentation and every credential in it, each verified for itself, or raise.

    Raises as `verify_w3c_credential` does. Further codes: `presentation-too-old`,
    `nonce-mismatch`, `holder-mismatch` (the holder did not sign, or a credential is about
    somebody else), `envelope-unsupported`.
    """
    holders, presentation, reasons = (
        _as_token(secured, policy, keys, now)
        if isinstance(secured, str)
        else _as_document(secured, policy, keys, now)
    )
    own = {n: value for n, value in presentation.json.items() if n != "verifiableCredential"}
    reasons += _context_reasons(own, policy.presentation, "presentation")
    if len(holders) != 1 or presentation.holder not in (*holders, None):
        where = "presentation.holder"
        reasons.append(Reason("holder-mismatch", "whose key signed it", "another", where))
    holder = min(holders)
    verified: list[VerifiedW3cCredential] = []
    for i, shown in enumerate(presentation.credentials):
        try:
            verified.append(_shown(shown, holder, policy, keys, now))
        except Refused as cause:
            place = f"presentation.verifiableCredential[{i}]"
            reasons += [
                Reason(r.code, r.expected, r.found, f"{place}: {r.where}") for r in cause.reasons
            ]
    if reasons:
        raise Refused(*reasons)
    return VerifiedW3cPresentation(
        holder=holder, presentation=presentation, credentials=tuple(verified)
    )


def _as_document(
    secured: JsonObject, policy: W3cPresentationPolicy, keys: ProofKeys, now: datetime
) -> tuple[frozenset[Did], W3cPresentation, list[Reason]]:
    asked = ProofPolicy(
        suites=policy.presentation.suites,
        purpose=Relationship.AUTHENTICATION,
        domains=frozenset({policy.audience}),
        challenge=policy.nonce,
        max_age=policy.max_age,
    )
    found: VerifiedDocument = verify_proofs(secured, policy=asked, keys=keys, now=now)
    return found.controllers, W3cPresentation.parse(found.document), []


def _as_token(
    secured: str, policy: W3cPresentationPolicy, keys: ProofKeys, now: datetime
) -> tuple[frozenset[Did], W3cPresentation, list[Reason]]:
    token = read_w3c_jwt(
        secured,
        typ=VP_JWT_TYP,
        relationship=Relationship.AUTHENTICATION,
        algorithms=policy.presentation.algorithms,
        keys=keys,
        now=now,
    )
    presentation = W3cPresentation.parse(token.document)
    reasons = token.reasons(now, policy.audience)
    if "aud" not in token.claims:
        reasons.append(Reason("audience-mismatch", "this verifier", "none", "presentation.aud"))
    if token.claims.get("nonce") != policy.nonce:
        where = "presentation.nonce"
        reasons.append(Reason("nonce-mismatch", "what was asked", "another, or none", where))
    said = {"iss": token.controller, "jti": presentation.id, "sub": presentation.holder}
    reasons += token.mismatches(said)
    return frozenset({token.controller}), presentation, reasons + _age_reasons(token, policy, now)


def _age_reasons(
    token: VerifiedW3cJwt, policy: W3cPresentationPolicy, now: datetime
) -> list[Reason]:
    where = "presentation.iat"
    made_at = time_at({**token.claims}, "iat", "presentation")
    if made_at is None or now - _SKEW - made_at > policy.max_age:
        found = "none" if made_at is None else "an older one"
        return [Reason("presentation-too-old", f"one younger than {policy.max_age}", found, where)]
    if made_at > now + _SKEW:
        return [Reason("presentation-from-the-future", "one made by now", "a later one", where)]
    return []


def _shown(
    shown: Envelope | JsonObject,
    holder: Did,
    policy: W3cPresentationPolicy,
    keys: ProofKeys,
    now: datetime,
) -> VerifiedW3cCredential:
    if not isinstance(shown, Envelope):
        secured: JsonObject | str = shown
    elif shown.media_type == VC_JWT_MEDIA_TYPE:
        secured = shown.token
    else:
        raise Refused(Reason("envelope-unsupported", VC_JWT_MEDIA_TYPE, "another", "id"))
    verified = verify_w3c_credential(
        secured, policy=policy.credentials, keys=keys, now=now, audience=policy.audience
    )
    about = verified.credential.subject_ids
    if not policy.accept_credentials_about_others and [*about] != [holder]:
        where = "credential.credentialSubject.id"
        raise Refused(Reason("holder-mismatch", "the holder", "somebody else", where))
    return verified


def _context_reasons(document: JsonObject, policy: W3cPolicy, what: str) -> list[Reason]:
    # Data Integrity 1.0, section 4.6: the list to the letter, and no other further in.
    listed = document["@context"]
    known = any(listed == [*each] for each in policy.contexts)
    inside = (value for name, value in document.items() if name != "@context")
    if known and not any(map(_holds_context, inside)):
        return []
    found = "others further in" if known else "another list"
    return [Reason("context-not-known", "contexts of the policy", found, f"{what}.@context")]


def _holds_context(value: Json) -> bool:
    match value:
        case dict():
            return "@context" in value or any(map(_holds_context, value.values()))
        case list():
            return any(map(_holds_context, value))
        case _:
            return False
