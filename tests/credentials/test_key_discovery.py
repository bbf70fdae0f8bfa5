"""Which key an issuer signs with: policy decides how it is found, never the credential."""

from dataclasses import replace

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.key_discovery import (
    CertifiedIssuers,
    IssuerKey,
    IssuerPolicy,
    find_issuer_key,
)
from counterfoil_credentials.keys import Curve, MemorySigner, PublicKey
from cryptography import x509

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
CERTIFIED = CertifiedIssuers(anchors=anchors(ROOT), urls={AUDIO}, subjects={"CN=Audio"})
ANYBODY = replace(CERTIFIED, urls=None, subjects=None)
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
    assert find(KID, policy=BY_METADATA) == IssuerKey(key=SIGNER.public, url=AUDIO)


def test_a_key_that_the_issuer_does_not_publish_is_unknown() -> None:
    with pytest.raises(Refused) as refusal:
        find({**KID, "kid": LEAF_KEY.thumbprint()}, policy=BY_METADATA)
    assert refusal.value.codes == ["issuer-key-unknown"]
    with pytest.raises(Malformed):
        find({**KID, "kid": 1}, policy=BY_METADATA)


def test_the_algorithm_tells_which_of_two_keys_of_one_id_signed() -> None:
    longer = MemorySigner.from_private_bytes(b"\x01" * 48, Curve.P384)
    keys: list[Json] = [{**one.public.jwk(), "kid": "1"} for one in (SIGNER, longer)]
    body = compact_json({"issuer": AUDIO, "jwks": {"keys": keys}})
    fetcher = MemoryFetcher()
    fetcher.serve(AUDIO, lambda _m, _p, _h, _b: Response(200, "application/json", body))

    def found(head: JsonObject) -> PublicKey:
        return find_issuer_key(
            head, AUDIO, WARRANTY, policy=BY_METADATA, fetcher=fetcher, now=NOON
        ).key

    assert found({"alg": "ES256", "kid": "1"}) == SIGNER.public
    assert found({"alg": "ES384", "kid": "1"}) == longer.public
    for head in ({"alg": "ES256K", "kid": "1"}, {"kid": "1"}):
        with pytest.raises(Refused) as refusal:
            found({**head})
        assert refusal.value.codes == ["issuer-key-unknown"]
    with pytest.raises(Malformed):
        found({"alg": None, "kid": "1"})


def test_keys_that_cannot_be_had_leave_the_question_open() -> None:
    with pytest.raises(Unavailable):
        find(KID, policy=BY_METADATA, is_up=False)


def test_nothing_is_fetched_for_an_issuer_or_a_type_that_is_not_trusted() -> None:
    assert codes(KID, "https://shoes.example", policy=BY_METADATA) == ["issuer-not-trusted"]
    assert codes(KID, None, policy=BY_METADATA) == ["issuer-not-trusted"]
    assert codes(KID, vct=RECEIPT, policy=BY_METADATA) == ["issuer-not-trusted-for-type"]
    assert codes(KID, policy=IssuerPolicy()) == ["issuer-not-trusted"]


def test_a_certified_issuer_has_the_key_of_its_certificate() -> None:
    assert find(header(LEAF), policy=BY_CERTIFICATE) == IssuerKey(key=LEAF_KEY, url=AUDIO)


def test_without_iss_the_certificates_subject_names_the_issuer() -> None:
    found = find(header(LEAF), None, policy=BY_CERTIFICATE)
    assert found == IssuerKey(key=LEAF_KEY, subject="CN=Audio")


def test_a_certificate_counts_only_for_the_types_of_its_anchors() -> None:
    assert codes(header(LEAF), vct=RECEIPT, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]
    other = replace(CERTIFIED, anchors=anchors(Party("Root", extensions=authority())))
    policy = IssuerPolicy(by_certificate={WARRANTY: other})
    assert codes(header(LEAF), policy=policy) == ["certificate-untrusted"]


def test_a_certificate_that_is_limited_counts_only_for_a_purpose_of_the_policy() -> None:
    leaf = Party("Audio", by=ROOT, extensions=(*SIGNS, purposes("1.3.6.1.5.5.7.3.1")))
    assert codes(header(leaf), policy=BY_CERTIFICATE) == ["certificate-not-for-this"]
    listed = replace(CERTIFIED, purposes=["1.3.6.1.5.5.7.3.1"])
    assert find(header(leaf), policy=IssuerPolicy(by_certificate={WARRANTY: listed})).url == AUDIO


def test_a_certificate_of_another_names_no_issuer() -> None:
    shoes = "https://shoes.example"
    assert codes(header(LEAF), shoes, policy=BY_CERTIFICATE) == ["issuer-mismatch"]


def test_a_url_and_a_subject_are_never_taken_for_each_other() -> None:
    brand = names(x509.UniformResourceIdentifier("CN=Audio"))
    mallory = header(Party("Mallory", by=ROOT, extensions=(usage(signs=True), brand)))
    assert codes(mallory, "CN=Audio", policy=BY_CERTIFICATE) == ["issuer-url-not-normal"]
    assert codes(mallory, None, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]
    # A policy of one kind of name trusts nobody by the other.
    urls = IssuerPolicy(by_certificate={WARRANTY: replace(CERTIFIED, subjects=())})
    assert codes(header(LEAF), None, policy=urls) == ["issuer-not-trusted"]
    subjects = IssuerPolicy(by_certificate={WARRANTY: replace(CERTIFIED, urls=())})
    assert codes(header(LEAF), policy=subjects) == ["issuer-not-trusted"]


@pytest.mark.parametrize(
    "spelling",
    [
        "https://AUDIO.example",
        "HTTPS://audio.example",
        "https://audio.example:443",
        "https://audio.example/",
        "https://audio.example?x",
        "https://audio.example?",
        "https://audio.example#",
        "https://audio.example.",
        "https://x@audio.example",
        "https://%61udio.example",
        "https://audio.example/.",
        "http://audio.example",
        "https://audio.example\n",
        "\ud800",
        "",
    ],
)
def test_another_spelling_of_an_issuer_does_not_slip_to_its_certificate(spelling: str) -> None:
    both = IssuerPolicy(by_metadata={AUDIO: {RECEIPT}}, by_certificate={WARRANTY: ANYBODY})
    assert codes(header(LEAF), spelling, policy=both) == ["issuer-url-not-normal"]


def test_an_issuer_known_with_a_last_slash_does_not_slip_without_it() -> None:
    both = IssuerPolicy(by_metadata={f"{AUDIO}/": {RECEIPT}}, by_certificate={WARRANTY: ANYBODY})
    assert codes(header(LEAF), policy=both) == ["issuer-not-trusted"]
    alone = IssuerPolicy(by_certificate={WARRANTY: ANYBODY})
    assert find(header(LEAF), policy=alone).url == AUDIO


def test_an_issuer_that_the_anchors_certify_must_also_be_listed_unless_all_are() -> None:
    shoes = "https://shoes.example"
    listed = names(x509.DNSName("shoes.example"))
    leaf = Party("Shoes", by=ROOT, extensions=(usage(signs=True), listed))
    everyone = IssuerPolicy(by_certificate={WARRANTY: ANYBODY})
    nobody = replace(CERTIFIED, urls=(), subjects=())

    assert codes(header(leaf), shoes, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]
    assert codes(header(leaf), None, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]
    assert find(header(leaf), shoes, policy=everyone).url == shoes
    assert find(header(leaf), None, policy=everyone).subject == "CN=Shoes"
    policy = IssuerPolicy(by_certificate={WARRANTY: nobody})
    assert codes(header(leaf), shoes, policy=policy) == ["issuer-not-trusted"]
    assert codes(header(leaf), None, policy=policy) == ["issuer-not-trusted"]


def test_a_credential_cannot_choose_how_its_issuers_key_is_found() -> None:
    both = IssuerPolicy(
        by_metadata={AUDIO: {RECEIPT}},
        by_certificate={WARRANTY: ANYBODY},
    )

    # A good chain does not help an issuer that is known by its metadata,
    assert codes(header(LEAF), policy=both) == ["issuer-not-trusted-for-type"]
    found = find({**KID, **header(LEAF)}, vct=RECEIPT, policy=both)
    assert found.key == SIGNER.public
    # and metadata does not help one that is known by its certificate.
    assert codes(KID, policy=BY_CERTIFICATE) == ["issuer-not-trusted"]


def test_one_text_in_place_of_several_is_our_callers_mistake() -> None:
    with pytest.raises(Misuse):
        IssuerPolicy(by_metadata={AUDIO: WARRANTY})
    with pytest.raises(Misuse, match="found one text"):
        replace(CERTIFIED, urls=AUDIO)
    with pytest.raises(Misuse, match="found one text"):
        replace(CERTIFIED, subjects="CN=Audio")
    with pytest.raises(Misuse, match="found one text"):
        replace(CERTIFIED, purposes="1.3.6.1.5.5.7.3.1")


@pytest.mark.parametrize("url", ["https://AUDIO.example", "http://audio.example", "CN=Audio", ""])
def test_a_policy_spells_its_issuers_in_the_one_way(url: str) -> None:
    with pytest.raises(Misuse):
        IssuerPolicy(by_metadata={url: {WARRANTY}})
    with pytest.raises(Misuse):
        replace(CERTIFIED, urls=[url])
