"""Resolving without a network: did:key, did:jwk, did:pkh, and the answers' shapes."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.did_results import (
    Deactivated,
    Dereferenced,
    DidError,
    NotResolved,
    Resolved,
)
from counterfoil_credentials.dids import Did, did_jwk, did_key, key_id_of
from counterfoil_credentials.encoding import Json, JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.multikey import Multikey
from hypothesis import given
from hypothesis import strategies as st

RESOLVER = offline_resolver()
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
KEYS = {
    curve: MemorySigner.from_private_bytes(b"\x07" * size, curve).public
    for curve, size in zip(Curve, (32, 48, 32, 32), strict=True)
}
KEY = KEYS[Curve.P256]
DID = did_key(KEY)
ACCOUNT = Did("did:pkh:eip155:1:0xb9c5714089478a327f09197987f16f9e5d936e8a")
SIGNING = ["authentication", "assertionMethod", "capabilityInvocation", "capabilityDelegation"]


def resolved(did: str, **options: Json) -> JsonObject:
    found = RESOLVER.resolve(did, options)
    assert isinstance(found, Resolved), found
    return found.json


def error(did: str, **options: Json) -> DidError:
    found = RESOLVER.resolve(did, options)
    assert isinstance(found, NotResolved), found
    return found.error


def jwk_did(jwk: JsonObject) -> str:
    return f"did:jwk:{b64url(compact_json(jwk))}"


@pytest.mark.parametrize("curve", Curve)
def test_a_did_key_is_expanded_as_its_method_says(curve: Curve) -> None:
    did = did_key(KEYS[curve])
    suffix = did.removeprefix("did:key:")

    assert resolved(did) == {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did,
        "verificationMethod": [
            {
                "id": f"{did}#{suffix}",
                "type": "Multikey",
                "controller": did,
                "publicKeyMultibase": suffix,
            }
        ],
        **{name: [f"{did}#{suffix}"] for name in SIGNING},
    }


@pytest.mark.parametrize("curve", Curve)
def test_every_own_key_did_gives_its_key_for_signing_and_not_for_agreement(curve: Curve) -> None:
    for did in (did_key(KEYS[curve]), did_jwk(KEYS[curve])):
        for name in SIGNING:
            found = RESOLVER.key_for(key_id_of(did), Relationship(name), at=NOW, now=NOW)
            assert found == KEYS[curve]
    with pytest.raises(Refused) as refused:
        RESOLVER.key_for(
            key_id_of(did_key(KEYS[curve])), Relationship.KEY_AGREEMENT, at=NOW, now=NOW
        )
    assert refused.value.codes == ["key-relationship-missing"]


def test_a_did_key_is_expanded_in_the_format_that_was_asked() -> None:
    ed = KEYS[Curve.ED25519]
    did = did_key(ed)
    jwk = resolved(did, publicKeyFormat="JsonWebKey2020")
    old = resolved(did, publicKeyFormat="Ed25519VerificationKey2020")

    assert jwk["@context"] == [
        "https://www.w3.org/ns/did/v1",
        "https://w3id.org/security/suites/jws-2020/v1",
    ]
    assert jwk["verificationMethod"] == [
        {
            "id": key_id_of(did),
            "type": "JsonWebKey2020",
            "controller": did,
            "publicKeyJwk": ed.jwk(),
        }
    ]
    assert "Ed25519VerificationKey2020" in str(old["verificationMethod"])


def test_the_agreement_key_of_an_ed25519_key_is_derived_when_asked() -> None:
    # The did:key method's example, section 3.1.
    did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    agreement = f"{did}#z6LSj72tK8brWgZja8NLRwPigth2T9QRiG1uH9oKZuKjdh9p"
    formats = ("Multikey", "JsonWebKey2020", "Ed25519VerificationKey2020")

    for name in formats:
        found = resolved(did, enableEncryptionKeyDerivation=True, publicKeyFormat=name)
        assert found["keyAgreement"] == [agreement]
    assert resolved(did, enableEncryptionKeyDerivation="false") == resolved(did)
    assert resolved(DID, enableEncryptionKeyDerivation=True) == resolved(DID)


@pytest.mark.parametrize(
    ("did", "expected"),
    [
        ("not-a-did", DidError.INVALID_DID),
        ("did:example", DidError.INVALID_DID),
        (DID.replace("did:", "notDid:"), DidError.INVALID_DID),
        (DID.replace("key:z", "key:-4:z"), DidError.INVALID_DID),
        (DID.replace("key:z", "key:1:z"), DidError.INVALID_DID),
        (DID.replace("key:z", "key:"), DidError.INVALID_DID),
        (DID.replace("key:z", "key:u"), DidError.INVALID_DID),
        ("did:key:@", DidError.INVALID_DID),
        ("did:key:z", DidError.INVALID_DID),
        (f"{DID}#0", DidError.INVALID_DID),
        (f"did:key:{Multikey(0x1306, bytes(32))}", DidError.INVALID_DID),
        ("did:unsupported:123456789abcdefghi", DidError.METHOD_NOT_SUPPORTED),
        ("did:web:brand.example", DidError.METHOD_NOT_SUPPORTED),
        ("did:key:zTjsVPtY", DidError.INVALID_PUBLIC_KEY_LENGTH),
        (f"did:key:{Multikey(0x1200, bytes(65))}", DidError.INVALID_PUBLIC_KEY_LENGTH),
        (f"did:key:{Multikey(0xEC, bytes(31))}", DidError.INVALID_PUBLIC_KEY_LENGTH),
        (f"did:key:{Multikey(0x1200, bytes(33))}", DidError.INVALID_PUBLIC_KEY),
        (f"did:key:{Multikey(0xED, bytes(32))}", DidError.INVALID_PUBLIC_KEY),
        (f"did:key:{Multikey(0xEC, bytes(32))}", DidError.UNSUPPORTED_PUBLIC_KEY_TYPE),
        (f"did:key:{Multikey(0x99, bytes(32))}", DidError.UNSUPPORTED_PUBLIC_KEY_TYPE),
        ("did:jwk:", DidError.INVALID_DID),
        ("did:jwk:e30", DidError.INVALID_DID),
        ("did:jwk:W10", DidError.INVALID_DID),
        ("did:jwk:e30%3D", DidError.INVALID_DID),
        (jwk_did({**KEY.jwk(), "d": "AQ"}), DidError.INVALID_DID),
        (jwk_did({"kty": "oct", "k": "AQ"}), DidError.INVALID_DID),
        (jwk_did({**KEY.jwk(), "y": KEY.jwk()["x"]}), DidError.INVALID_DID),
        ("did:pkh:eip155:1", DidError.INVALID_DID),
        ("did:pkh:eip155:01:0xb9c5714089478a327f09197987f16f9e5d936e8a", DidError.INVALID_DID),
        (f"{ACCOUNT}00", DidError.INVALID_DID),
        (ACCOUNT[:-1], DidError.INVALID_DID),
        (ACCOUNT.replace("0xb", "0Xb"), DidError.INVALID_DID),
        (f"{ACCOUNT}:1", DidError.INVALID_DID),
        (
            "did:pkh:bip122:000000000019d6689c085ae165831e93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6",
            DidError.FEATURE_NOT_SUPPORTED,
        ),
    ],
)
def test_names_the_error_of_a_did_that_does_not_resolve(did: str, expected: DidError) -> None:
    assert error(did) == expected
    with pytest.raises((Malformed, Refused)):
        RESOLVER.document(did)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"versionId": "1"}, DidError.FEATURE_NOT_SUPPORTED),
        ({"versionTime": "2020-01-01T00:00:00Z"}, DidError.FEATURE_NOT_SUPPORTED),
        ({"accept": "application/x-strange"}, DidError.REPRESENTATION_NOT_SUPPORTED),
        ({"accept": ""}, DidError.REPRESENTATION_NOT_SUPPORTED),
        ({"accept": 1}, DidError.INVALID_OPTIONS),
        ({"expandRelativeUrls": "perhaps"}, DidError.INVALID_OPTIONS),
        ({"publicKeyFormat": "unknown"}, DidError.UNSUPPORTED_PUBLIC_KEY_TYPE),
        ({"publicKeyFormat": ["Multikey"]}, DidError.INVALID_OPTIONS),
        ({"publicKeyFormat": "Ed25519VerificationKey2018"}, DidError.INVALID_PUBLIC_KEY_TYPE),
        (
            {
                "publicKeyFormat": "Ed25519VerificationKey2018",
                "enableExperimentalPublicKeyTypes": True,
            },
            DidError.UNSUPPORTED_PUBLIC_KEY_TYPE,
        ),
        # The key is of P-256.
        ({"publicKeyFormat": "Ed25519VerificationKey2020"}, DidError.UNSUPPORTED_PUBLIC_KEY_TYPE),
    ],
    ids=str,
)
def test_names_the_error_of_an_option(options: JsonObject, expected: DidError) -> None:
    assert error(DID, **options) == expected


def test_the_options_of_one_method_are_no_other_methods() -> None:
    assert error(did_jwk(KEY), publicKeyFormat="Multikey") is DidError.FEATURE_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/did", "application/did"),
        ("application/did+json", "application/did+json"),
        ("text/html, application/did+ld+json;q=0.9", "application/did+ld+json"),
        ("*/*", "application/did"),
    ],
)
def test_gives_the_representation_that_was_asked(accept: str, content_type: str) -> None:
    found = RESOLVER.resolve(DID, {"accept": accept})

    assert found.to_json()["didResolutionMetadata"] == {"contentType": content_type}


def test_a_did_jwk_is_expanded_as_its_method_says() -> None:
    did = did_jwk(KEY)
    method: JsonObject = {
        "id": f"{did}#0",
        "type": "JsonWebKey2020",
        "controller": did,
        "publicKeyJwk": KEY.jwk(),
    }

    assert resolved(did) == {
        "@context": [
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/suites/jws-2020/v1",
        ],
        "id": did,
        "verificationMethod": [method],
        **{name: [f"{did}#0"] for name in (*SIGNING, "keyAgreement")},
    }


def test_the_use_of_a_did_jwk_says_what_it_is_for() -> None:
    signs = resolved(jwk_did({**KEY.jwk(), "use": "sig"}))
    # The specification's second example: an X25519 key.
    agrees = resolved(
        "did:jwk:eyJrdHkiOiJPS1AiLCJjcnYiOiJYMjU1MTkiLCJ1c2UiOiJlbmMiLCJ4IjoiM3A3YmZYdDl3YlRUVzJIQ"
        "zdPUTFOei1EUThoYmVHZE5yZngtRkctSUswOCJ9"
    )

    assert [name for name in Relationship if name in signs] == [
        name for name in Relationship if name is not Relationship.KEY_AGREEMENT
    ]
    assert [name for name in Relationship if name in agrees] == [Relationship.KEY_AGREEMENT]


def test_an_account_resolves_and_has_no_key() -> None:
    document = resolved(ACCOUNT)

    assert document["verificationMethod"] == [
        {
            "id": f"{ACCOUNT}#blockchainAccountId",
            "type": "EcdsaSecp256k1RecoveryMethod2020",
            "controller": ACCOUNT,
            "blockchainAccountId": ACCOUNT.removeprefix("did:pkh:"),
        }
    ]
    with pytest.raises(Refused) as refused:
        RESOLVER.key_for(f"{ACCOUNT}#blockchainAccountId", Relationship.ASSERTION, at=NOW, now=NOW)
    assert refused.value.codes == ["account-without-key"]


def test_an_error_is_told_as_did_resolution_tells_it() -> None:
    found = RESOLVER.resolve("did:example")

    assert found.http_status == 400
    assert found.to_json() == {
        "@context": "https://w3id.org/did-resolution/v1",
        "didDocument": None,
        "didDocumentMetadata": {},
        "didResolutionMetadata": {
            "error": {
                "type": "https://www.w3.org/ns/did#INVALID_DID",
                "title": "Invalid DID",
                "detail": "expected a DID, found another text (did)",
            }
        },
    }


def test_an_ended_did_is_gone() -> None:
    found = Deactivated(DID)

    assert found.http_status == 410
    assert found.to_json()["didDocument"] is None
    assert found.to_json()["didDocumentMetadata"] == {"deactivated": True}
    assert found.to_dereferencing_json()["contentMetadata"] == {"deactivated": True}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("INVALID_DID", 400),
        ("INVALID_DID_URL", 400),
        ("INVALID_OPTIONS", 400),
        ("NOT_FOUND", 404),
        ("REPRESENTATION_NOT_SUPPORTED", 406),
        ("INVALID_DID_DOCUMENT", 500),
        ("METHOD_NOT_SUPPORTED", 501),
        ("FEATURE_NOT_SUPPORTED", 501),
        ("INTERNAL_ERROR", 500),
    ],
)
def test_each_error_has_its_url_and_its_status(name: str, status: int) -> None:
    assert DidError[name].url == f"https://www.w3.org/ns/did#{name}"
    assert DidError[name].http_status == status


def test_a_did_url_leads_to_its_method() -> None:
    found = RESOLVER.dereference(key_id_of(DID), {"verificationRelationship": "assertionMethod"})

    assert isinstance(found, Dereferenced)
    assert found.to_dereferencing_json() == {
        "dereferencingMetadata": {"contentType": "application/did"},
        "contentStream": {
            "id": key_id_of(DID),
            "type": "Multikey",
            "controller": DID,
            "publicKeyMultibase": DID.removeprefix("did:key:"),
        },
        "contentMetadata": {},
    }
    whole = RESOLVER.dereference(DID)
    assert isinstance(whole, Dereferenced)
    assert whole.content == resolved(DID)


@pytest.mark.parametrize(
    ("did_url", "relationship", "expected"),
    [
        (f"{DID}/^bar^/?query=`#0", None, DidError.INVALID_DID_URL),
        ("did:key:#0", None, DidError.INVALID_DID_URL),
        (f"{DID}#0", None, DidError.NOT_FOUND),
        (f"{DID}/path", None, DidError.NOT_FOUND),
        (f"{DID}?a=b", None, DidError.NOT_FOUND),
        (f"{DID}?service=files", None, DidError.FEATURE_NOT_SUPPORTED),
        (f"{DID}?versionId=1{key_id_of(DID)[len(DID) :]}", None, DidError.FEATURE_NOT_SUPPORTED),
        ("did:unsupported:a#0", None, DidError.METHOD_NOT_SUPPORTED),
        (key_id_of(DID), "keyAgreement", DidError.INVALID_RELATIONSHIP),
        (key_id_of(DID), "strange", DidError.INVALID_OPTIONS),
        (key_id_of(DID), {}, DidError.INVALID_OPTIONS),
        (DID, "assertionMethod", DidError.INVALID_VERIFICATION_METHOD),
    ],
)
def test_names_the_error_of_a_did_url_that_leads_nowhere(
    did_url: str, relationship: Json, expected: DidError
) -> None:
    options = {} if relationship is None else {"verificationRelationship": relationship}
    found = RESOLVER.dereference(did_url, options)

    assert isinstance(found, NotResolved)
    assert found.error is expected
    assert found.to_dereferencing_json()["contentStream"] is None


@given(
    st.text(max_size=40),
    st.sampled_from(["", "did:key:", "did:key:z", "did:jwk:", "did:pkh:eip155:1:0x", "did:x:"]),
    st.dictionaries(
        st.sampled_from(["accept", "expandRelativeUrls", "publicKeyFormat", "strange"]),
        st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.integers(), max_size=1),
    ),
)
def test_any_text_gets_an_answer(text: str, beginning: str, options: JsonObject) -> None:
    for found in (
        RESOLVER.resolve(beginning + text, options),
        RESOLVER.dereference(beginning + text, options),
    ):
        assert found.http_status in (200, 400, 404, 406, 500, 501)
    with suppress(Malformed, Refused):
        RESOLVER.key_for(beginning + text, Relationship.ASSERTION, at=NOW, now=NOW)


@given(st.binary(max_size=60), st.sampled_from([0xED, 0xE7, 0xEC, 0x1200, 0x1201, 0x1205]))
def test_any_bytes_as_a_key_get_an_answer(data: bytes, code: int) -> None:
    found = RESOLVER.resolve(f"did:key:{Multikey(code, data)}")

    assert isinstance(found, Resolved) or found.http_status == 500
