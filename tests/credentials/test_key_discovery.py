"""Which key an issuer signs with: policy decides how it is found, never the credential."""

from dataclasses import replace

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.key_discovery import (
    CertifiedIssuers,
    IssuerKey,
    IssuerPolicy,
    find_issuer_key,
)
from counterfoil_credentials.keys import MemorySigner

from tests.credentials.authority import (
    NOON,
    SIGNS,
    Party,
    anchors,
    authority,
    header,
    names,
    purposes,
    usage,
)

AUDIO = "https://audio.example"
WARRANTY = "https://audio.example/types/warranty"
RECEIPT = "https://audio.example/types/receipt"
SIGNER = MemorySigner.from_private_bytes(b"\x01" * 32)
ROOT = Party("Root", extensions=authority())
LEAF = Party("Audio", by=ROOT)
LEAF_KEY = MemorySigner(LEAF.key).public  # type: ignore[arg-type]  # an EC key
CERTIFIED = CertifiedIssuers(anchors=anchors(ROOT), issuers=frozenset({AUDIO, "CN=Audio"}))
BY_METADATA = IssuerPolicy(by_metadata={AUDIO: {WARRANTY}})
BY_CERTIFICATE = IssuerPolicy(by_certificate={WARRANTY: CERTIFIED})
KID: JsonObject = {"alg": "ES256", "kid": SIGNER.public.thumbprint()}


def find(
    head: JsonObject,
    issuer: str | None = AUDIO,
    vct: str = WARRANTY,
    *,
    policy: IssuerPolicy,
    is_up: bool = True,
) -> IssuerKey:
    fetcher = MemoryFetcher()
    body = compact_json(issuer_keys_document(AUDIO, [SIGNER.public]))
    if is_up:
        fetcher.serve(AUDIO, lambda _m, _p, _h, _b: Response(200, "application/json", body))
    return find_issuer_key(head, issuer, vct, policy=policy, fetcher=fetcher, now=NOON)


def codes(
    head: JsonObject, issuer: str | None = AUDIO, vct: str = WARRANTY, *, policy: IssuerPolicy
) -> list[str]:
    # Nobody answers: a refusal must not have needed the network.
    with pytest.raises(Refused) as refusal:
        find(head, issuer, vct, policy=policy, is_up=False)
    return refusal.value.codes


def test_an_issuer_known_by_its_metadata_has_the_key_that_it_publishes() -> None:
    assert find(KID, policy=BY_METADATA) == IssuerKey(AUDIO, SIGNER.public)


def test_a_key_that_the_issuer_does_not_publish_is_unknown() -> None:
    with pytest.raises(Refused) as refusal:
        find({**KID, "kid": LEAF_KEY.thumbprint()}, policy=BY_METADATA)
    assert refusal.value.codes == ["issuer-key-unknown"]
    with pytest.raises(Malformed):
        find({**KID, "kid": 1}, policy=BY_METADATA)


def test_keys_that_cannot_be_had_leave_the_question_open() -> None:
    with pytest.raises(Unavailable):
        find(KID, policy=BY_METADATA, is_up=False)


def test_nothing_is_fetched_for_an_issuer_or_a_type_that_is_not_trusted() -> None:
    assert codes(KID, "https://shoes.example", policy=BY_METADATA) == ["issuer-not-trusted"]
    assert codes(KID, None, policy=BY_METADATA) == ["issuer-not-trusted"]
    assert codes(KID, vct=RECEIPT, policy=BY_METADATA) == ["issuer-not-trusted-for-type"]
    assert codes(KID, policy=IssuerPolicy()) == ["issuer-not-trusted"]


def test_a_certified_issuer_has_the_key_of_its_certificate() -> None:
    assert find(header(LEAF), policy=BY_CERTIFICATE) == IssuerKey(AUDIO, LEAF_KEY)


def test_without_iss_the_certificates_subject_names_the_issuer() -> None:
    assert find(header(LEAF), None, policy=BY_CERTIFICATE) == IssuerKey("CN=Audio", LEAF_KEY)


def test_a_certificate_counts_only_for_the_types_of_its_anchors() -> None:
    assert codes(header(LEAF), vct=RECEIPT, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]
    other = replace(CERTIFIED, anchors=anchors(Party("Root", extensions=authority())))
    policy = IssuerPolicy(by_certificate={WARRANTY: other})
    assert codes(header(LEAF), policy=policy) == ["certificate-untrusted"]


def test_a_certificate_that_is_limited_counts_only_for_a_purpose_of_the_policy() -> None:
    leaf = Party("Audio", by=ROOT, extensions=(*SIGNS, purposes("1.3.6.1.5.5.7.3.1")))
    assert codes(header(leaf), policy=BY_CERTIFICATE) == ["certificate-not-for-this"]
    listed = replace(CERTIFIED, purposes=["1.3.6.1.5.5.7.3.1"])
    assert (
        find(header(leaf), policy=IssuerPolicy(by_certificate={WARRANTY: listed})).issuer == AUDIO
    )


def test_a_certificate_of_another_names_no_issuer() -> None:
    shoes = "https://shoes.example"
    assert codes(header(LEAF), shoes, policy=BY_CERTIFICATE) == ["issuer-mismatch"]
    assert codes(header(LEAF), "CN=Audio", policy=BY_CERTIFICATE) == ["issuer-mismatch"]


def test_an_issuer_that_the_anchors_certify_must_also_be_listed_unless_all_are() -> None:
    from cryptography import x509

    shoes = "https://shoes.example"
    listed = names(x509.DNSName("shoes.example"))
    leaf = Party("Shoes", by=ROOT, extensions=(usage(signs=True), listed))
    everyone = IssuerPolicy(by_certificate={WARRANTY: replace(CERTIFIED, issuers=None)})
    nobody = replace(CERTIFIED, issuers=frozenset[str]())

    assert codes(header(leaf), shoes, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]
    assert codes(header(leaf), None, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]
    assert find(header(leaf), shoes, policy=everyone).issuer == shoes
    policy = IssuerPolicy(by_certificate={WARRANTY: nobody})
    assert codes(header(leaf), shoes, policy=policy) == ["issuer-not-trusted"]


def test_a_credential_cannot_choose_how_its_issuers_key_is_found() -> None:
    both = IssuerPolicy(
        by_metadata={AUDIO: {RECEIPT}},
        by_certificate={WARRANTY: replace(CERTIFIED, issuers=None)},
    )

    # A good chain does not help an issuer that is known by its metadata,
    assert codes(header(LEAF), policy=both) == ["issuer-not-trusted-for-type"]
    found = find({**KID, **header(LEAF)}, vct=RECEIPT, policy=both)
    assert found.key == SIGNER.public
    # and metadata does not help one that is known by its certificate.
    assert codes(KID, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]


def test_one_text_in_place_of_the_types_is_our_callers_mistake() -> None:
    with pytest.raises(Misuse):
        IssuerPolicy(by_metadata={AUDIO: WARRANTY})
