"""What the OpenID Foundation's suite asks of a wallet that presents: a test for each module.

The modules are those of the plan `oid4vp-1final-wallet` (`oid4vp-1final-wallet-happy-flow` and
so on) for SD-JWT VC, over the plan's variants. Two of its modules need the browser's Digital
Credentials API, which this library has none of: a wallet is called there by the platform, not
by a link. They are `multisigned-one-invalid-signature` (several signatures on one request exist
in that interface alone) and `negative-test-wrong-expected-origins` (`expected_origins` names web
origins, which only the platform knows).
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.x509 import TrustAnchors
from counterfoil_wallet import Trust, Wallet
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import Clock
from tests.wallet.conformance.emulated_verifier import (
    QUERY_ID,
    RESPONSE_URI,
    EmulatedVerifier,
    Json,
    Variant,
    is_base64url,
    judged,
)
from tests.wallet.strangers import TYPE, StrangeIssuer

MODES: Final = ("direct_post", "direct_post.jwt")
SIGNED: Final = [
    Variant(prefix, "request_uri_signed", mode)
    for prefix in ("x509_san_dns", "x509_hash", "decentralized_identifier")
    for mode in MODES
]
UNSIGNED: Final = [
    Variant("redirect_uri", method, mode)
    for method in ("url_query", "request_uri_unsigned")
    for mode in MODES
]
SHOWN: Final = {"item": {"serial": "A1-0001"}}
DOES_NOT_APPLY: Final = {
    "multisigned-one-invalid-signature": "Digital Credentials API only",
    "negative-test-wrong-expected-origins": "Digital Credentials API only",
}
"""Modules of the plan that have no test here, and why."""

every_variant = pytest.mark.parametrize("variant", [*SIGNED, *UNSIGNED], ids=str)
every_signed_variant = pytest.mark.parametrize("variant", SIGNED, ids=str)

Suite = Callable[[Variant], EmulatedVerifier]


@pytest.fixture
def network() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def issuer(
    network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> StrangeIssuer:
    return StrangeIssuer(network, clock, random_bytes)


@pytest.fixture
def suite(network: MemoryFetcher, clock: Clock) -> Suite:
    """Give the suite's verifier in a variant."""
    return lambda variant: EmulatedVerifier(network, clock, variant, vct=TYPE)


class Subject:
    """The wallet under test: it holds one credential, and its customer says yes."""

    def __init__(self, verifier: EmulatedVerifier, issuer: StrangeIssuer, clock: Clock) -> None:
        self.verifier = verifier
        self.issuer = issuer
        anchors = TrustAnchors((verifier.root.certificate,))
        self.wallet = Wallet.in_memory(
            fetcher=verifier.network, clock=clock, trust=Trust(anchors=anchors)
        )
        self.wallet.accept(issuer.link)

    def present(self) -> dict[str, list[Json]]:
        """Follow the link, agree, and give what arrived, judged, by query."""
        self.presented = self.wallet.present(self.wallet.matches(self.verifier.link()).choose())
        answer, request = self.verifier.answer(), self.verifier.claims()
        assert answer.get("state") == request.get("state")
        assert set(answer) <= {"vp_token", "state"}
        secret = int.from_bytes(self.issuer.signer.private_bytes())
        key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
        shown: dict[str, list[Json]] = {}
        token: dict[str, list[str]] = answer["vp_token"]
        for name, presentations in token.items():
            assert type(presentations) is list
            shown[name] = [
                without_frame(judged(one, issuer=key, request=request)) for one in presentations
            ]
        return shown

    def refuse_in_silence(self, *codes: str) -> None:
        """Follow the link: it is refused for these reasons, and nobody hears of it."""
        with pytest.raises(Refused) as refusal:
            self.wallet.matches(self.verifier.link())
        assert refusal.value.codes == [*codes]
        assert self.verifier.answers == []

    def refuse(self, told: str) -> None:
        """Follow the link: nothing is shown, and the verifier hears what is `told`."""
        with pytest.raises((Malformed, Refused)):
            self.wallet.matches(self.verifier.link())
        assert [answer["error"] for answer in self.verifier.answers] == [told]
        for answer in self.verifier.answers:
            assert set(answer) <= {"error", "state"}


@pytest.fixture
def subject(suite: Suite, issuer: StrangeIssuer, clock: Clock) -> Callable[[Variant], Subject]:
    return lambda variant: Subject(suite(variant), issuer, clock)


Subjects = Callable[[Variant], Subject]


def without_frame(claims: Mapping[str, object]) -> Json:
    framed = {"iss", "vct", "iat", "exp", "cnf"}
    # What is not concealed inside an object leaves the object there, empty.
    return {n: v for n, v in claims.items() if n not in framed and v != {}}


def query(verifier: EmulatedVerifier, claims: Json) -> Json:
    asked: Json = claims["dcql_query"]["credentials"][0]
    assert asked["meta"] == {"vct_values": [verifier.vct]}
    return asked


@every_variant
def test_happy_flow(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)

    assert one.present() == {QUERY_ID: [SHOWN]}
    assert [method for method, _ in one.verifier.fetched] == (
        [] if variant.method == "url_query" else ["GET"]
    )
    assert one.presented.redirect_uri is None


@every_variant
def test_alternate_happy_flow(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)

    def bend(claims: Json) -> Json:
        metadata = claims["client_metadata"]
        for key in metadata.get("jwks", {}).get("keys", []):
            del key["use"]
        iss = {"iss": "https://somebody.example"} if variant.method != "url_query" else {}
        return claims | {"nonce": "n" * 32, "state": "s" * 64} | iss

    one.verifier.bend = bend
    one.verifier.bend_link = lambda parameters: {
        "a-random-parameter": "whatever",
        **dict(reversed(parameters.items())),
    }
    one.verifier.redirect_uri = f"{RESPONSE_URI}/done#response_code=1"

    assert one.present() == {QUERY_ID: [SHOWN]}
    assert one.presented.redirect_uri == f"{RESPONSE_URI}/done#response_code=1"


@every_variant
def test_fewer_claims_than_available(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)

    def bend(claims: Json) -> Json:
        query(one.verifier, claims)["claims"] = [{"path": ["price"]}]
        return claims

    one.verifier.bend = bend

    assert one.present() == {QUERY_ID: [{"price": "199.00"}]}


@pytest.mark.parametrize(
    "variant", [v for v in (*SIGNED, *UNSIGNED) if v.mode == "direct_post.jwt"], ids=str
)
def test_ignores_unusable_encryption_key(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    unusable: list[Json] = [
        {"kty": "AKP", "alg": "ML-KEM-9999", "kid": "post-quantum", "use": "enc", "pub": "AAAA"},
        {"kty": "UNHEARD-OF", "alg": "UNHEARD-OF", "kid": "unknown", "use": "enc"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA", "alg": "ECDH-ES", "kid": "x", "use": "enc"},
        {**one.verifier.encryption_jwk, "kid": "for signatures", "use": "sig"},
    ]

    def bend(claims: Json) -> Json:
        claims["client_metadata"]["jwks"]["keys"][:0] = unusable
        return claims

    one.verifier.bend = bend

    assert one.present() == {QUERY_ID: [SHOWN]}


@every_variant
def test_no_claims_in_dcql_query(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)

    def bend(claims: Json) -> Json:
        del query(one.verifier, claims)["claims"]
        return claims

    one.verifier.bend = bend

    assert one.present() == {QUERY_ID: [{}]}


@every_variant
def test_optional_credential_set(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)

    def bend(claims: Json) -> Json:
        asked = query(one.verifier, claims)
        other = {"id": "other", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:unheard-of"]}}
        claims["dcql_query"] = {
            "credentials": [asked, other],
            "credential_sets": [
                {"options": [[QUERY_ID]]},
                {"options": [["other"]], "required": False},
            ],
        }
        return claims

    one.verifier.bend = bend

    assert one.present() == {QUERY_ID: [SHOWN]}


@pytest.mark.parametrize("variant", [*SIGNED, UNSIGNED[-1]], ids=str)
def test_request_uri_method_post(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    one.verifier.bend_link = lambda parameters: {**parameters, "request_uri_method": "post"}

    assert one.present() == {QUERY_ID: [SHOWN]}
    ((method, form),) = one.verifier.fetched
    metadata = json.loads(form["wallet_metadata"])
    assert method == "POST"
    assert set(form) == {"wallet_metadata", "wallet_nonce"}
    assert is_base64url(form["wallet_nonce"])
    assert metadata["vp_formats_supported"]["dc+sd-jwt"] == {
        "sd-jwt_alg_values": ["ES256"],
        "kb-jwt_alg_values": ["ES256"],
    }
    assert variant.prefix in metadata["client_id_prefixes_supported"]
    # Section 5.10: not where the prefix permits no signature.
    signed = "request_object_signing_alg_values_supported" in metadata
    assert signed == (variant.prefix != "redirect_uri")


@every_signed_variant
def test_request_uri_method_post_with_another_wallet_nonce(
    subject: Subjects, variant: Variant
) -> None:
    one = subject(variant)
    one.verifier.bend_link = lambda parameters: {**parameters, "request_uri_method": "post"}
    object_of = one.verifier.request_object

    def with_another_nonce() -> str:
        one.verifier.wallet_nonce = "another"
        return object_of()

    one.verifier.request_object = with_another_nonce  # type: ignore[method-assign]  # one answer bent

    one.refuse_in_silence("wallet-nonce-mismatch")


@every_variant
def test_negative_test_invalid_client_id_prefix(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    unheard_of = f"unheard_of:{one.verifier.client_id.partition(':')[2]}"
    one.verifier.bend = lambda claims: {**claims, "client_id": unheard_of}
    one.verifier.bend_link = lambda parameters: {**parameters, "client_id": unheard_of}

    one.refuse_in_silence("client-id-prefix-unknown")


@every_signed_variant
def test_negative_test_invalid_request_object_signature(
    subject: Subjects, variant: Variant
) -> None:
    one = subject(variant)
    one.verifier.break_signature = True

    one.refuse_in_silence("signature-invalid")


@pytest.mark.parametrize("variant", [*SIGNED, *UNSIGNED[2:]], ids=str)
def test_negative_test_mismatched_client_id(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    one.verifier.bend = lambda claims: {**claims, "client_id": f"{claims['client_id']}x"}

    one.refuse_in_silence("client-id-mismatch")


@every_variant
def test_negative_test_missing_nonce(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    one.verifier.bend = lambda claims: {n: v for n, v in claims.items() if n != "nonce"}

    one.refuse("invalid_request")


@every_variant
def test_negative_test_redirect_uri_with_direct_post(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    one.verifier.bend = lambda claims: {**claims, "redirect_uri": RESPONSE_URI, "state": "s"}

    one.refuse("invalid_request")
    assert one.verifier.answers[0]["state"] == "s"


@every_variant
def test_negative_test_required_non_matching_credential(
    subject: Subjects, variant: Variant
) -> None:
    one = subject(variant)

    def bend(claims: Json) -> Json:
        asked = query(one.verifier, claims)
        absent = {"id": "x", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:unheard-of"]}}
        claims["dcql_query"]["credentials"] = [asked, absent]
        return claims

    one.verifier.bend = bend

    asked = one.wallet.matches(one.verifier.link())
    with pytest.raises(Refused) as refusal:
        asked.choose()
    one.wallet.decline(asked)

    assert refusal.value.codes == ["nothing-answers"]
    assert one.verifier.answer() == {"error": "access_denied"}


@pytest.mark.parametrize("variant", [v for v in (*SIGNED, *UNSIGNED) if "hash" not in v.prefix
                                     and "decentralized" not in v.prefix], ids=str)  # fmt: skip
def test_negative_test_response_uri_not_client_id(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    elsewhere = "https://elsewhere.example/responses/1"
    one.verifier.bend = lambda claims: {**claims, "response_uri": elsewhere}

    with pytest.raises(Refused) as refusal:
        one.wallet.matches(one.verifier.link())
    assert refusal.value.codes == ["response-uri-mismatch"]
    assert one.verifier.answers == []


@every_variant
def test_negative_test_unknown_transaction_data_type(subject: Subjects, variant: Variant) -> None:
    one = subject(variant)
    data = {"type": "urn:unheard-of", "credential_ids": [QUERY_ID]}
    text = base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")
    one.verifier.bend = lambda claims: {**claims, "transaction_data": [text]}

    one.refuse("invalid_transaction_data")


def test_each_module_of_the_plan_has_its_test_or_its_reason() -> None:
    modules = """happy-flow alternate-happy-flow fewer-claims-than-available
        ignores-unusable-encryption-key no-claims-in-dcql-query optional-credential-set
        request-uri-method-post negative-test-invalid-client-id-prefix
        negative-test-invalid-request-object-signature negative-test-mismatched-client-id
        negative-test-missing-nonce negative-test-redirect-uri-with-direct-post
        negative-test-required-non-matching-credential negative-test-response-uri-not-client-id
        negative-test-unknown-transaction-data-type multisigned-one-invalid-signature
        negative-test-wrong-expected-origins"""

    missing = {
        name for name in modules.split() if f"test_{re.sub('-', '_', name)}" not in globals()
    }

    assert missing == DOES_NOT_APPLY.keys()


def test_the_suite_s_own_judgement_refuses_what_is_wrong(
    subject: Subjects,
) -> None:
    """The verifier here must look: each near neighbour of a good answer fails it."""
    one = subject(replace(SIGNED[0], mode="direct_post"))
    one.present()
    (presentation,) = one.verifier.answer()["vp_token"][QUERY_ID]
    secret = int.from_bytes(one.issuer.signer.private_bytes())
    key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    request = one.verifier.claims()

    for wrong in ({"nonce": "another"}, {"client_id": "another"}):
        with pytest.raises(AssertionError):
            judged(presentation, issuer=key, request={**request, **wrong})
    with pytest.raises(AssertionError):
        judged(presentation.replace("~", "~WyJhIiwiYiIsImMiXQ~", 1), issuer=key, request=request)


def test_a_wallet_without_the_anchor_believes_no_certificate(
    suite: Suite, issuer: StrangeIssuer, clock: Clock
) -> None:
    for variant in SIGNED[:4]:
        verifier = suite(variant)
        wallet = Wallet.in_memory(fetcher=verifier.network, clock=clock)
        with pytest.raises(CounterfoilError) as refusal:
            wallet.matches(verifier.link())
        assert isinstance(refusal.value, Refused)
        assert refusal.value.codes == ["certificate-untrusted"]
