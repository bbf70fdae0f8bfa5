"""Related resources: what we have of them is what the issuer meant, or the credential is not."""

import hashlib
from base64 import b64encode
from datetime import datetime

import pytest
from counterfoil_credentials.cryptosuites import EDDSA_JCS_2022
from counterfoil_credentials.data_integrity import add_proof
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.multikey import multibase
from counterfoil_credentials.related_resources import related_reasons
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2
from counterfoil_credentials.w3c_verification import (
    VerifiedW3cCredential,
    W3cPolicy,
    verify_w3c_credential,
)

from tests.credentials.provers import Object, options, prover

URL = "https://maker.example/manual.pdf"
DATA = b"how to boil water"
HAVE = {URL: DATA}
SHA_256 = hashlib.sha256(DATA).digest()
SHA_384 = hashlib.sha384(DATA).digest()
SRI = f"sha384-{b64encode(SHA_384).decode()}"


def credential(**entry: object) -> Object:
    return {"relatedResource": {"id": URL, **entry}}


@pytest.mark.parametrize(
    "entry",
    [
        {"digestSRI": SRI},
        {"digestMultibase": f"u{b64url(SHA_256)}"},
        {"digestMultibase": f"u{b64url(bytes.fromhex('1220') + SHA_256)}"},
        {"digestMultibase": multibase(bytes.fromhex("2030") + SHA_384)},
        {"digestMultibase": multibase(bytes.fromhex("1340") + hashlib.sha512(DATA).digest())},
        {"digestSRI": SRI, "digestMultibase": f"u{b64url(SHA_256)}"},
    ],
)
def test_a_resource_is_what_each_of_its_digests_says(entry: Object) -> None:
    assert related_reasons(credential(**entry), HAVE) == []
    (reason, *_) = related_reasons(credential(**entry), {URL: DATA + b"."})
    assert reason.code == "integrity-mismatch"
    assert reason.where.startswith("credential.relatedResource[0].digest")


@pytest.mark.parametrize(
    "digest", [SHA_256[:-1] + bytes([SHA_256[-1] ^ 1]), SHA_256[:-1], SHA_256 + b"\0"]
)
def test_every_byte_of_a_digest_counts(digest: bytes) -> None:
    text = f"u{b64url(bytes.fromhex('1220') + digest)}"

    (reason,) = related_reasons(credential(digestMultibase=text), HAVE)

    assert reason.code == "integrity-mismatch"


def test_one_wrong_digest_of_two_is_a_reason() -> None:
    wrong = f"u{b64url(hashlib.sha256(b'other').digest())}"
    found = related_reasons(credential(digestSRI=SRI, digestMultibase=wrong), HAVE)

    assert [each.where for each in found] == ["credential.relatedResource[0].digestMultibase"]


@pytest.mark.parametrize("head", ["1221", "1e20", "12", ""])
def test_a_digest_of_another_kind_is_never_taken_for_a_match(head: str) -> None:
    data = bytes.fromhex(head) + SHA_256[: 32 if head else 31]
    found = related_reasons(credential(digestMultibase=f"u{b64url(data)}"), HAVE)

    assert [each.code for each in found] == ["integrity-unknown"]


def test_a_resource_that_nobody_retrieved_is_not_judged() -> None:
    entry = credential(digestSRI="sha256-AAAA")

    assert related_reasons(entry, {}) == []
    assert related_reasons({}, HAVE) == []


@pytest.mark.parametrize("digest", ["", "mAAAA", "u===", "not a digest"])
def test_a_digest_that_is_none_is_malformed(digest: str) -> None:
    with pytest.raises(Malformed):
        related_reasons(credential(digestMultibase=digest), HAVE)


def test_a_verifier_believes_no_credential_whose_resource_is_another(now: datetime) -> None:
    signer = prover()
    document: Object = {
        "@context": [CREDENTIALS_V2],
        "type": ["VerifiableCredential"],
        "issuer": str(did_key(signer.public)),
        "credentialSubject": {"id": "urn:kettle"},
        **credential(digestSRI=SRI),
    }
    secured = add_proof(document, suite=EDDSA_JCS_2022, signer=signer, options=options(signer))

    def judged(resources: dict[str, bytes]) -> VerifiedW3cCredential:
        policy = W3cPolicy(suites=[EDDSA_JCS_2022], resources=resources)
        return verify_w3c_credential(secured, policy=policy, keys=offline_resolver(), now=now)

    assert judged({}).credential == judged(HAVE).credential
    with pytest.raises(Refused) as refused:
        judged({URL: b"how to burn it"})
    assert refused.value.codes == ["integrity-mismatch"]
