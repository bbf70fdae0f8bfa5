"""Credentials and presentations of the W3C: believed when all holds, and with which words not."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from counterfoil_credentials.cryptosuites import EDDSA_JCS_2022
from counterfoil_credentials.data_integrity import add_proof
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key, key_id_of
from counterfoil_credentials.encoding import numeric_date
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import Algorithm, Curve, MemorySigner
from counterfoil_credentials.w3c_jwt import sign_credential_jwt, sign_presentation_jwt
from counterfoil_credentials.w3c_presentation import enveloped
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2
from counterfoil_credentials.w3c_verification import (
    VerifiedW3cPresentation,
    W3cPolicy,
    W3cPresentationPolicy,
    verify_w3c_credential,
    verify_w3c_presentation,
)

from tests.credentials.provers import Object, options, prover

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]
# Some way to sign: `now`, the document, and by whom.
Secure: TypeAlias = Callable[..., Object | str]

KEYS = offline_resolver()
BRAND, HOLDER, STRANGER = (prover(Curve.ED25519, seed) for seed in (1, 2, 3))
TILL = "https://till.example"
POLICY = W3cPolicy(suites=[EDDSA_JCS_2022], algorithms=frozenset({Algorithm.ED25519}))
ASKED = W3cPresentationPolicy(
    presentation=POLICY, credentials=POLICY, audience=TILL, nonce="asked-once"
)


def did(of: MemorySigner) -> str:
    return did_key(of.public)


def credential(**changes: object) -> Object:
    return {
        "@context": [CREDENTIALS_V2],
        "type": ["VerifiableCredential"],
        "id": "urn:uuid:1",
        "issuer": did(BRAND),
        "validUntil": "2026-12-01T00:00:00Z",
        "credentialSubject": {"id": did(HOLDER), "name": "warranty"},
        **changes,
    }


def as_object(now: datetime, what: Object | None = None, by: MemorySigner = BRAND) -> Object:
    document = credential() if what is None else what
    return add_proof(document, suite=EDDSA_JCS_2022, signer=by, options=options(by, created=now))


def as_token(now: datetime, what: Object | None = None, by: MemorySigner = BRAND) -> str:
    document = credential() if what is None else what
    claims = {**document, "iat": numeric_date(now)}
    return sign_jws(claims, typ="vc+jwt", signer=by, header={"kid": key_id_of(did_key(by.public))})


FORMS = pytest.mark.parametrize("secure", [as_object, as_token])


def refused(secured: Object | str, now: datetime, policy: W3cPolicy = POLICY) -> list[str]:
    with pytest.raises(Refused) as refusal:
        verify_w3c_credential(secured, policy=policy, keys=KEYS, now=now)
    return refusal.value.codes


@FORMS
def test_what_its_issuer_signed_is_believed(secure: Secure, now: datetime) -> None:
    verified = verify_w3c_credential(secure(now), policy=POLICY, keys=KEYS, now=now)

    assert verified.credential.json == credential()
    assert verified.proved_by == {did(BRAND)}


@FORMS
def test_what_somebody_else_signed_is_not(secure: Secure, now: datetime) -> None:
    assert refused(secure(now, by=STRANGER), now) == ["issuer-mismatch"]


@FORMS
def test_every_reason_is_told_at_once(secure: Secure, now: datetime) -> None:
    document = credential(**{"@context": [CREDENTIALS_V2, "https://a.example/v1"]})

    codes = refused(secure(now, document, by=STRANGER), now + timedelta(days=60))

    assert codes == ["context-not-known", "issuer-mismatch", "expired"]


@FORMS
def test_contexts_further_in_are_refused(secure: Secure, now: datetime) -> None:
    subject = {"id": did(HOLDER), "worn": [{"@context": {"name": "https://a.example/other"}}]}

    assert refused(secure(now, credential(credentialSubject=subject)), now) == ["context-not-known"]


@FORMS
def test_contexts_that_are_objects_are_refused_and_not_compared_by_hash(
    secure: Secure, now: datetime
) -> None:
    document = credential(**{"@context": [CREDENTIALS_V2, {"a": "https://a.example/a"}]})

    assert refused(secure(now, document), now) == ["context-not-known"]


@FORMS
def test_a_policy_that_lists_nothing_accepts_nothing(secure: Secure, now: datetime) -> None:
    (code,) = refused(secure(now), now, W3cPolicy())

    assert code in {"cryptosuite-not-allowed", "algorithm-not-allowed"}


@FORMS
def test_what_is_signed_and_no_credential_is_malformed(secure: Secure, now: datetime) -> None:
    with pytest.raises(Malformed):
        verify_w3c_credential(
            secure(now, credential(type="Other")), policy=POLICY, keys=KEYS, now=now
        )


@pytest.mark.parametrize(
    ("claims", "codes"),
    [
        ({"iss": "did:example:other"}, ["claim-mismatch"]),
        ({"jti": "urn:uuid:2"}, ["claim-mismatch"]),
        ({"sub": "did:example:other"}, ["claim-mismatch"]),
        ({"aud": "https://other.example"}, ["audience-mismatch"]),
        ({"aud": [TILL]}, ["audience-mismatch"]),
        ({"exp": 1}, ["expired"]),
        ({"nbf": 4_000_000_000}, ["not-yet-valid"]),
    ],
)
def test_claims_beside_the_credential_must_say_the_same(
    claims: Object, codes: list[str], now: datetime
) -> None:
    assert refused(as_token(now, {**credential(), **claims}), now) == codes


def test_a_token_for_one_audience_is_believed_there(now: datetime) -> None:
    token = as_token(now, {**credential(), "aud": [TILL]})

    verified = verify_w3c_credential(token, policy=POLICY, keys=KEYS, now=now, audience=TILL)

    assert verified.credential.json == credential()


@pytest.mark.parametrize("claim", ["vc", "vp", "cnf"])
def test_the_wrapping_of_the_old_data_model_is_malformed(claim: str, now: datetime) -> None:
    token = as_token(now, {**credential(), claim: credential()})

    with pytest.raises(Malformed):
        verify_w3c_credential(token, policy=POLICY, keys=KEYS, now=now)


def test_the_issuers_own_function_writes_what_is_believed(now: datetime) -> None:
    method = key_id_of(did_key(BRAND.public))
    token = sign_credential_jwt(
        credential(), signer=BRAND, verification_method=method, issued_at=now
    )

    assert verify_w3c_credential(token, policy=POLICY, keys=KEYS, now=now).proved_by == {did(BRAND)}
    stranger = key_id_of(did_key(STRANGER.public))
    with pytest.raises(Misuse, match="another's"):
        sign_credential_jwt(
            credential(), signer=STRANGER, verification_method=stranger, issued_at=now
        )
    for taken in ("exp", "vc", "proof"):
        with pytest.raises(Misuse, match="JWT"):
            sign_credential_jwt(
                credential(**{taken: 1}), signer=BRAND, verification_method=method, issued_at=now
            )


def shown(now: datetime, *credentials: Object | str, **changes: object) -> Object:
    listed = [enveloped(each) if isinstance(each, str) else each for each in credentials]
    return {
        "@context": [CREDENTIALS_V2],
        "type": ["VerifiablePresentation"],
        "holder": did(HOLDER),
        "verifiableCredential": listed,
        **changes,
    }


def presented(
    now: datetime, document: Object, by: MemorySigner = HOLDER, **changes: object
) -> Object:
    said = options(
        by,
        **{
            "created": now,
            "purpose": Relationship.AUTHENTICATION,
            "domains": (TILL,),
            "challenge": ASKED.nonce,
            **changes,
        },
    )
    return add_proof(document, suite=EDDSA_JCS_2022, signer=by, options=said)


def presented_token(now: datetime, document: Object, by: MemorySigner = HOLDER) -> str:
    return sign_presentation_jwt(
        document,
        signer=by,
        verification_method=key_id_of(did_key(by.public)),
        audience=TILL,
        nonce=ASKED.nonce,
        now=now,
    )


PRESENTED = pytest.mark.parametrize("present", [presented, presented_token])


def verified(
    secured: Object | str, now: datetime, policy: W3cPresentationPolicy = ASKED
) -> VerifiedW3cPresentation:
    return verify_w3c_presentation(secured, policy=policy, keys=KEYS, now=now)


def turned_down(
    secured: Object | str, now: datetime, policy: W3cPresentationPolicy = ASKED
) -> list[str]:
    with pytest.raises(Refused) as refusal:
        verified(secured, now, policy)
    return refusal.value.codes


@PRESENTED
@FORMS
def test_a_holder_shows_credentials_in_either_form(
    present: Secure, secure: Secure, now: datetime
) -> None:
    believed = verified(present(now, shown(now, secure(now))), now)

    assert believed.holder == did(HOLDER)
    (only,) = believed.credentials
    assert only.credential.json == credential()


@PRESENTED
@FORMS
def test_a_forged_credential_inside_is_found_and_named(
    present: Secure, secure: Secure, now: datetime
) -> None:
    secured = present(now, shown(now, secure(now), secure(now, by=STRANGER)))

    with pytest.raises(Refused, match=r"verifiableCredential\[1\]: credential.issuer") as refusal:
        verified(secured, now)

    assert refusal.value.codes == ["issuer-mismatch"]


@PRESENTED
def test_a_credential_that_nobody_signed_is_malformed(present: Secure, now: datetime) -> None:
    with pytest.raises(Malformed, match="proofs"):
        verified(present(now, shown(now, credential())), now)


@PRESENTED
def test_a_credential_about_somebody_else_needs_a_policy_that_says_so(
    present: Secure, now: datetime
) -> None:
    about = credential(credentialSubject={"id": did(STRANGER), "name": "warranty"})
    secured = present(now, shown(now, as_object(now, about)))
    policy = W3cPresentationPolicy(
        presentation=POLICY,
        credentials=POLICY,
        audience=TILL,
        nonce=ASKED.nonce,
        accept_credentials_about_others=True,
    )

    assert turned_down(secured, now) == ["holder-mismatch"]
    assert verified(secured, now, policy).credentials


@PRESENTED
def test_who_presents_must_be_who_is_named(present: Secure, now: datetime) -> None:
    if present is presented_token:
        with pytest.raises(Misuse):
            present(now, shown(now), STRANGER)
        return
    assert turned_down(present(now, shown(now), STRANGER), now) == ["holder-mismatch"]


@PRESENTED
def test_a_presentation_without_holder_is_of_who_signed_it(present: Secure, now: datetime) -> None:
    document = shown(now)
    del document["holder"]

    assert verified(present(now, document), now).holder == did(HOLDER)


@PRESENTED
def test_a_presentation_grows_old(present: Secure, now: datetime) -> None:
    secured = present(now, shown(now))

    assert verified(secured, now + timedelta(minutes=6)).holder
    (code,) = turned_down(secured, now + timedelta(minutes=6, seconds=1))
    assert code in {"proof-too-old", "presentation-too-old"}
    (code,) = turned_down(secured, now - timedelta(seconds=61))
    assert code in {"proof-from-the-future", "presentation-from-the-future"}


@PRESENTED
@pytest.mark.parametrize("changed", ["audience", "nonce"])
def test_a_presentation_for_another_request_is_refused(
    present: Secure, changed: str, now: datetime
) -> None:
    asked: dict[str, Any] = {"audience": TILL, "nonce": ASKED.nonce, changed: "another"}
    policy = W3cPresentationPolicy(presentation=POLICY, credentials=POLICY, **asked)

    (code,) = turned_down(present(now, shown(now)), now, policy)

    assert (
        code
        in {
            "audience": {"proof-domain-mismatch", "audience-mismatch"},
            "nonce": {"proof-challenge-mismatch", "nonce-mismatch"},
        }[changed]
    )


def test_a_presentation_token_that_lacks_what_was_asked_is_refused(now: datetime) -> None:
    header = {"kid": key_id_of(did_key(HOLDER.public))}

    bare = sign_jws(shown(now), typ="vp+jwt", signer=HOLDER, header=header)

    assert turned_down(bare, now) == ["audience-mismatch", "nonce-mismatch", "presentation-too-old"]


def test_an_assertion_is_no_presentation_and_a_credential_no_assertion_of_a_holder(
    now: datetime,
) -> None:
    asserted = presented(now, shown(now), purpose=Relationship.ASSERTION)

    assert turned_down(asserted, now) == ["proof-purpose-mismatch"]
    assert refused(presented_token(now, shown(now)), now) == ["token-type-mismatch"]
    assert turned_down(as_token(now), now) == ["token-type-mismatch"]


def test_an_envelope_of_another_kind_is_not_opened(now: datetime) -> None:
    other = {**enveloped("a.b.c"), "id": "data:application/vc+cose;base64,AA"}

    assert turned_down(presented(now, shown(now, other)), now) == ["envelope-unsupported"]


def test_the_published_self_asserted_credentials_prove_nothing(
    vectors: Vectors, now: datetime
) -> None:
    for path in sorted(vectors("vcdm2").glob("presentation-self-asserted-*.json")):
        document: Object = json.loads(path.read_text())
        document.pop("holder", None)
        with pytest.raises(Malformed, match="proofs"):
            verified(presented(now, document), now)
