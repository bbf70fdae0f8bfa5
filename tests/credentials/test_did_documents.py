"""DID documents: read strictly, and a key is given only where everything fits."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.did_documents import DidDocument, Relationship, key_for
from counterfoil_credentials.dids import Did, DidUrl
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.multikey import Multikey
from hypothesis import given
from hypothesis import strategies as st

DID = Did("did:web:brand.example")
OTHER = Did("did:web:other.example")
NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEY = MemorySigner.from_private_bytes(b"\x07" * 32).public
ED = MemorySigner.from_private_bytes(b"\x07" * 32, Curve.ED25519).public


def multikey(**changes: Json) -> JsonObject:
    return {
        "id": f"{DID}#1",
        "type": "Multikey",
        "controller": DID,
        "publicKeyMultibase": str(Multikey.of(KEY)),
        **changes,
    }


def jwk_method(**changes: Json) -> JsonObject:
    return {
        "id": f"{DID}#1",
        "type": "JsonWebKey",
        "controller": DID,
        "publicKeyJwk": KEY.jwk(),
        **changes,
    }


def of(*methods: JsonObject, **changes: Json) -> JsonObject:
    return {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": DID,
        "verificationMethod": [*methods],
        "assertionMethod": [method["id"] for method in methods],
        **changes,
    }


def read(*methods: JsonObject, **changes: Json) -> DidDocument:
    return DidDocument.parse(of(*methods, **changes), DID)


def refusal(
    document: DidDocument,
    did_url: str = f"{DID}#1",
    relationship: Relationship = Relationship.ASSERTION,
    at: datetime = NOW,
    now: datetime = NOW,
) -> list[str]:
    with pytest.raises(Refused) as refused:
        key_for(document, did_url, relationship, at=at, now=now)
    return refused.value.codes


@pytest.mark.parametrize(
    "method",
    [
        multikey(),
        jwk_method(),
        jwk_method(type="JsonWebKey2020"),
        jwk_method(publicKeyJwk={**KEY.jwk(), "kid": "1", "alg": "ES256", "use": "sig"}),
        multikey(id="#1"),
    ],
    ids=str,
)
def test_gives_the_key_of_every_type_that_we_read(method: JsonObject) -> None:
    document = read(method)

    assert key_for(document, f"{DID}#1", Relationship.ASSERTION, at=NOW, now=NOW) == KEY
    assert document.unusable == 0


def test_reads_the_older_type_of_ed25519_and_no_other_key_under_its_name() -> None:
    method = multikey(type="Ed25519VerificationKey2020", publicKeyMultibase=str(Multikey.of(ED)))

    assert key_for(read(method), f"{DID}#1", Relationship.ASSERTION, at=NOW, now=NOW) == ED
    assert refusal(read(multikey(type="Ed25519VerificationKey2020"))) == ["key-malformed"]


def test_an_embedded_method_is_for_its_relationship_alone() -> None:
    document = read(authentication=[multikey(id="#in")])

    assert key_for(document, f"{DID}#in", Relationship.AUTHENTICATION, at=NOW, now=NOW) == KEY
    assert refusal(document, f"{DID}#in") == ["key-relationship-missing"]


def test_a_reference_may_be_relative_and_the_key_id_may_not() -> None:
    document = read(multikey(), assertionMethod=["#1"])

    assert document.relationships[Relationship.ASSERTION] == (f"{DID}#1",)
    assert key_for(document, f"{DID}#1", Relationship.ASSERTION, at=NOW, now=NOW) == KEY
    with pytest.raises(Malformed):
        key_for(document, "#1", Relationship.ASSERTION, at=NOW, now=NOW)


def test_refuses_a_key_in_every_other_relationship() -> None:
    document = read(multikey())

    for relationship in set(Relationship) - {Relationship.ASSERTION}:
        assert refusal(document, relationship=relationship) == ["key-relationship-missing"]


def test_refuses_a_key_that_another_did_controls() -> None:
    assert refusal(read(multikey(controller=OTHER))) == ["key-controller-mismatch"]


def test_refuses_the_key_of_another_did_wherever_it_stands() -> None:
    theirs = multikey(id=f"{OTHER}#1", controller=OTHER)
    document = read(theirs)

    assert refusal(document, f"{OTHER}#1") == ["key-of-another-did"]
    assert refusal(document) == ["verification-method-unknown"]


def test_refuses_a_key_that_is_named_and_not_there() -> None:
    document = read(multikey(), assertionMethod=[f"{DID}#1", f"{DID}#2"])

    for did_url in (f"{DID}#2", f"{DID}#", DID, f"{DID}?a#1", f"{DID}/#1", f"{DID}#%31"):
        assert refusal(document, did_url) == ["verification-method-unknown"]


@pytest.mark.parametrize("now", [NOW - SECOND, NOW, NOW + SECOND, NOW + 9_999 * SECOND])
def test_an_expired_key_verifies_what_it_signed_before(now: datetime) -> None:
    document = read(multikey(expires="2026-11-02T13:00:00+01:00"))
    before = key_for(document, f"{DID}#1", Relationship.ASSERTION, at=NOW - SECOND, now=now)

    assert before == KEY
    assert refusal(document, at=NOW, now=now) == ["key-expired"]
    assert refusal(document, at=NOW + SECOND, now=now) == ["key-expired"]


@pytest.mark.parametrize("at", [NOW - timedelta(days=900), NOW - SECOND, NOW, NOW + SECOND])
def test_a_revoked_key_verifies_nothing_whenever_its_signature_says_it_was_made(
    at: datetime,
) -> None:
    document = read(multikey(revoked="2026-11-02T13:00:00+01:00"))

    assert refusal(document, at=at, now=NOW) == ["key-revoked"]
    assert refusal(document, at=at, now=NOW + SECOND) == ["key-revoked"]


def test_a_key_that_will_be_revoked_verifies_until_then_and_nothing_from_later() -> None:
    document = read(multikey(revoked="2026-11-02T13:00:00+01:00"))
    second_before = NOW - SECOND

    for at in (second_before - SECOND, second_before):
        key = key_for(document, f"{DID}#1", Relationship.ASSERTION, at=at, now=second_before)
        assert key == KEY
    assert refusal(document, at=NOW, now=second_before) == ["key-revoked"]


def test_names_every_reason_at_once() -> None:
    document = read(
        multikey(
            controller=OTHER,
            expires="2020-01-01T00:00:00Z",
            revoked="2020-01-01T00:00:00.5Z",
            type="Strange",
        ),
        assertionMethod=[],
    )

    assert refusal(document) == [
        "key-revoked",
        "key-expired",
        "key-controller-mismatch",
        "key-relationship-missing",
        "verification-method-unsupported",
    ]


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (multikey(type="EcdsaSecp256k1RecoveryMethod2020"), "verification-method-unsupported"),
        (
            multikey(type="EcdsaSecp256k1RecoveryMethod2020", blockchainAccountId="eip155:1:0x0"),
            "account-without-key",
        ),
        (multikey(publicKeyMultibase=str(Multikey(0xEC, bytes(32)))), "key-type-unsupported"),
        (jwk_method(publicKeyJwk={"kty": "RSA", "n": "AQ", "e": "AQAB"}), "key-type-unsupported"),
        (jwk_method(publicKeyJwk={**KEY.jwk(), "crv": "P-521"}), "key-type-unsupported"),
        (jwk_method(publicKeyJwk={**KEY.jwk(), "use": "enc"}), "key-not-for-signatures"),
        (jwk_method(publicKeyJwk={**KEY.jwk(), "alg": "ECDH-ES"}), "key-not-for-signatures"),
        (
            jwk_method(publicKeyJwk={**KEY.jwk(), "key_ops": ["deriveKey"]}),
            "key-not-for-signatures",
        ),
        (jwk_method(publicKeyJwk={**KEY.jwk(), "key_ops": 1}), "key-malformed"),
        (jwk_method(publicKeyJwk={**KEY.jwk(), "x": KEY.jwk()["y"]}), "key-malformed"),
        (jwk_method(publicKeyJwk={**KEY.jwk(), "alg": "ES384"}), "key-malformed"),
        (jwk_method(publicKeyJwk={}), "key-malformed"),
        (multikey(publicKeyMultibase="z"), "key-malformed"),
        (multikey(publicKeyMultibase=1), "key-malformed"),
        (multikey(publicKeyMultibase=str(Multikey(0x1200, bytes(33)))), "key-malformed"),
    ],
    ids=str,
)
def test_a_method_without_a_key_for_us_is_counted_and_harms_no_other(
    method: JsonObject, code: str
) -> None:
    document = read(method, multikey(id="#2"))

    assert document.unusable == 1
    assert refusal(document) == [code]
    assert key_for(document, f"{DID}#2", Relationship.ASSERTION, at=NOW, now=NOW) == KEY


SERVICE: JsonObject = {"id": "#s", "type": "T", "serviceEndpoint": {"origins": ["#s"]}}
MANY: list[Json] = [f"#{i}" for i in range(257)]
WRONG: dict[str, JsonObject] = {
    "the document of another DID": of(multikey(), id=OTHER),
    "no id": of(multikey(), id=None),
    "a method twice": of(multikey(), multikey()),
    "a method twice, once relative": of(multikey(), multikey(id="#1")),
    "a method defined and embedded": of(multikey(), authentication=[multikey()]),
    "a method's id for a service": of(multikey(), service=[{**SERVICE, "id": "#1"}]),
    "a method twice in a relationship": of(multikey(), assertionMethod=["#1", f"{DID}#1"]),
    "a relationship that is a text": of(multikey(), assertionMethod="#1"),
    "a reference without a number sign": of(multikey(), assertionMethod=["key-1"]),
    "a null reference": of(multikey(), assertionMethod=[None]),
    "a list as reference": of(multikey(), assertionMethod=[["#1"]]),
    "methods that are an object": of(multikey(), verificationMethod={}),
    "a method that is a number": of(multikey(), verificationMethod=[1]),
    "a method's id that is no URL": of(multikey(id="1")),
    "a method's id that is no DID URL": of(multikey(id="https://brand.example#1")),
    "a controller that is no DID": of(multikey(controller="brand")),
    "two controllers of one method": of(multikey(controller=[DID])),
    "two types of one method": of(multikey(type=["Multikey"])),
    "a private Multikey": of(multikey(secretKeyMultibase="z1")),
    "a private JWK": of(jwk_method(publicKeyJwk={**KEY.jwk(), "d": "AQ"})),
    "a private JWK of another kind": of(jwk_method(publicKeyJwk={"kty": "oct", "k": "AQ"})),
    "a JWK that is a list": of(jwk_method(publicKeyJwk=[])),
    "a day for a moment": of(multikey(expires="2026-11-02")),
    "a moment without a zone": of(multikey(expires="2026-11-02T12:00:00")),
    "a day that never was": of(multikey(expires="2026-02-30T12:00:00Z")),
    "a moment before all years": of(multikey(revoked="0001-01-01T00:00:00+14:00")),
    "a number for a moment": of(multikey(revoked=1)),
    "null for a moment": of(multikey(revoked=None)),
    "a document's controller that is no DID": of(multikey(), controller="brand"),
    "a document's controller that is a number": of(multikey(), controller=[1]),
    "another name that is no list": of(multikey(), alsoKnownAs="https://brand.example"),
    "a service without an endpoint": of(multikey(), service=[{"id": "#s", "type": "T"}]),
    "a service without an id": of(multikey(), service=[{"type": "T", "serviceEndpoint": "s"}]),
    "another context": {**of(multikey()), "@context": "https://www.w3.org/ns/credentials/v2"},
    "no context in the list": {**of(multikey()), "@context": []},
    "another context first": {**of(multikey()), "@context": [{}, "https://www.w3.org/ns/did/v1"]},
    "too many methods": of(*(multikey(id=f"#{i}") for i in range(257))),
    "too many references": of(multikey(), authentication=MANY),
    "too many embedded methods": of(
        *(multikey(id=f"#{i}") for i in range(200)),
        authentication=[multikey(id=f"#in-{i}") for i in range(57)],
    ),
    "too many controllers": of(multikey(), controller=[f"did:a:{i}" for i in range(257)]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_document_of_another_shape_is_malformed(wrong: JsonObject) -> None:
    with pytest.raises(Malformed):
        DidDocument.parse(wrong, DID)


def test_a_document_may_be_large_and_keeps_its_order() -> None:
    document = read(*(multikey(id=f"#{i}") for i in range(256)))

    assert [*document.methods] == [f"{DID}#{i}" for i in range(256)]
    assert key_for(document, f"{DID}#255", Relationship.ASSERTION, at=NOW, now=NOW) == KEY


def test_a_document_needs_no_context_and_no_method() -> None:
    controllers: list[Json] = [DID, *(f"did:a:{i}" for i in range(255))]
    document = DidDocument.parse({"id": DID, "controller": controllers}, DID)

    assert [*document.controllers] == controllers
    assert refusal(document) == ["verification-method-unknown"]


@pytest.mark.parametrize(
    "context", ["https://www.w3.org/ns/did/v1", "https://www.w3.org/ns/did/v1.1"]
)
def test_a_context_may_stand_alone_or_first(context: str) -> None:
    values: list[Json] = [context, [context], [context, {"id": "#x"}]]
    for value in values:
        assert read(multikey(), **{"@context": value}).unusable == 0


def test_gives_the_parts_by_id_and_the_document_with_absolute_ones() -> None:
    document = read(
        multikey(id="#1"),
        assertionMethod=["#1"],
        authentication=[multikey(id="#2")],
        service=[SERVICE],
    )

    assert document.part(DidUrl.parse(f"{DID}#s", "id")) == SERVICE
    assert document.part(DidUrl.parse(f"{DID}#3", "id")) is None
    assert document.expanded() == of(
        multikey(),
        authentication=[multikey(id=f"{DID}#2")],
        service=[{**SERVICE, "id": f"{DID}#s"}],
    )


def test_expands_nothing_but_ids() -> None:
    members: JsonObject = {
        "@context": ["https://www.w3.org/ns/did/v1", {"id": "#x"}],
        "alsoKnownAs": ["#me"],
        "colours": ["#ff0000", ["#00ff00"], {"name": "#0000ff"}, {"id": 1}, {"id": {"id": "#1"}}],
        "service": [{"id": f"{DID}#s", "type": ["#t"], "serviceEndpoint": ["#e", {"uri": "#u"}]}],
        "favourite": "#ff0000",
    }
    document = read(multikey(), **members)

    assert document.expanded() == document.json


def test_expands_the_ids_of_parts_that_an_extension_defines() -> None:
    document = read(multikey(), shops=[{"id": "#a", "is": "#b"}], main={"id": "#a", "of": "#b"})
    absolute = {"shops": [{"id": f"{DID}#a", "is": "#b"}], "main": {"id": f"{DID}#a", "of": "#b"}}

    assert document.expanded() == {**document.json, **absolute}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["#1", DID, OTHER, f"{DID}#1", "Multikey", "2026-11-02T12:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "type", "controller", "publicKeyMultibase", "publicKeyJwk", "expires", "kty"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "@context",
                "verificationMethod",
                "assertionMethod",
                "service",
                "controller",
                "alsoKnownAs",
            ]
        ),
        _JSON,
    )
)
def test_any_json_gives_a_document_or_our_error(members: JsonObject) -> None:
    with suppress(Malformed, Refused):
        document = DidDocument.parse({**of(multikey()), **members}, DID)
        assert document.expanded().keys() == document.json.keys()
        assert key_for(document, f"{DID}#1", Relationship.ASSERTION, at=NOW, now=NOW) == KEY
