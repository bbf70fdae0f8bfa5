"""Data Integrity over RDF: the published proofs, and all that JSON-LD would lose on the way."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256, sha384
from pathlib import Path

import pytest
from counterfoil_credentials.data_integrity import ProofPolicy, add_proof, verify_proofs
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.json_ld import KNOWN_CONTEXTS, MAX_VALUES, FrozenContexts
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.multikey import from_multibase
from counterfoil_credentials.n_quads import line
from counterfoil_credentials.rdf_canonical import canonicalize
from counterfoil_credentials.rdfc_cryptosuites import (
    RdfcSuite,
    ecdsa_rdfc_2019,
    eddsa_rdfc_2022,
)
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2
from counterfoil_credentials.w3c_verification import W3cPolicy, verify_w3c_credential

from tests.credentials.provers import Object, options, prover, published_key

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]

KEYS = offline_resolver()
SHOP = "https://shop.example/v1"
WORDS = {
    "@context": {
        "@protected": True,
        "Warranty": "https://shop.example/terms#Warranty",
        "item": "https://shop.example/terms#item",
        "weight": "https://shop.example/terms#weight",
        "parts": {"@id": "https://shop.example/terms#parts", "@container": "@list"},
        "maker": {"@id": "https://shop.example/terms#maker", "@type": "@id"},
        "raw": {"@id": "https://shop.example/terms#raw", "@type": "@json"},
    }
}
CONTEXTS = FrozenContexts({SHOP: json.dumps(WORDS).encode()})
SUITE = eddsa_rdfc_2022(CONTEXTS)


def published_contexts(vectors: Vectors, *, inline: bool = False) -> FrozenContexts:
    folder = vectors("contexts")
    index: dict[str, str] = json.loads((folder / "index.json").read_text())
    more = {url: (folder / name).read_bytes() for url, name in index.items()}
    for url in KNOWN_CONTEXTS:
        del more[url]
    return FrozenContexts(more, accept_contexts_in_documents=inline)


PUBLISHED = [
    ("vc-di-eddsa", "eddsa-rdfc-2022", "DataInt", Curve.ED25519, "unsigned.json"),
    ("vc-di-ecdsa", "ecdsa-rdfc-2019-p256", "ECDSAP256", Curve.P256, "unsigned.json"),
    (
        "vc-di-ecdsa",
        "ecdsa-rdfc-2019-p384/employ",
        "ECDSAP384",
        Curve.P384,
        "employmentAuth.json",
    ),
]
HASHES = {Curve.ED25519: sha256, Curve.P256: sha256, Curve.P384: sha384}
PAIRS = {
    Curve.ED25519: "keyPair.json",
    Curve.P256: "p256KeyPair.json",
    Curve.P384: "p384KeyPair.json",
}


@pytest.mark.parametrize("which", PUBLISHED)
def test_makes_and_verifies_the_published_proof(
    vectors: Vectors, which: tuple[str, str, str, Curve, str]
) -> None:
    standard, folder, names, curve, document = which
    root = vectors(standard)
    at = root / folder
    contexts = published_contexts(vectors)
    suite = (eddsa_rdfc_2022 if curve is Curve.ED25519 else ecdsa_rdfc_2019)(contexts)
    unsigned: Object = json.loads((root / document).read_text())
    signed: Object = json.loads((at / f"signed{names}.json").read_text())
    config: Object = json.loads((at / f"proofConfig{names}.json").read_text())
    pair: Object = json.loads((root / PAIRS[curve]).read_text())
    key = published_key(pair.get("privateKeyMultibase") or pair["secretKeyMultibase"], curve)
    said: Object = signed["proof"]
    hashes = suite.signed_bytes(unsigned, config, curve)
    half = len(hashes) // 2

    canonical = canonicalize(
        contexts.quads(unsigned, "document"), "document", hash_of=HASHES[curve]
    )
    assert canonical.data == (at / f"canonDoc{names}.txt").read_bytes()
    spoken = canonicalize(contexts.quads(config, "proof"), "proof", hash_of=HASHES[curve])
    assert spoken.data == (at / f"proofCanon{names}.txt").read_bytes()
    assert hashes.hex() == (at / f"combinedHash{names}.txt").read_text()
    assert hashes[:half].hex() == (at / f"proofHash{names}.txt").read_text()
    assert hashes[half:].hex() == (at / f"docHash{names}.txt").read_text()
    value = (at / f"sigBTC58{names}.txt").read_text()
    assert said["proofValue"] == value
    assert from_multibase(value, "value").hex() == (at / f"sigHex{names}.txt").read_text()

    asked = options(key, created=datetime.fromisoformat(said["created"]))
    made: Object = add_proof(unsigned, suite=suite, signer=key, options=asked)
    same = said if curve is Curve.ED25519 else {**said, "proofValue": made["proof"]["proofValue"]}
    assert made == {**signed, "proof": same}
    for each in (made, signed):
        verified = verify_proofs(
            each,
            policy=ProofPolicy(suites=[suite]),
            keys=KEYS,
            now=datetime(2024, 1, 1, tzinfo=UTC),
        )
        assert verified.document == unsigned
        assert verified.controllers == {did_key(key.public)}


def test_makes_and_verifies_the_published_sets_and_chains(vectors: Vectors) -> None:
    folder = vectors("vc-di-eddsa") / "proof-set-chain"
    suite = eddsa_rdfc_2022(published_contexts(vectors))
    keys: Object = json.loads((folder / "multiKeyPairs.json").read_text())
    unsigned: Object = json.loads((folder / "unsigned.json").read_text())

    def read(name: str) -> Object:
        found: Object = json.loads((folder / f"{name}.json").read_text())
        return found

    def proved(document: Object, config: Object, number: int) -> Object:
        key = published_key(keys[f"keyPair{number}"]["privateKeyMultibase"], Curve.ED25519)
        previous = config.get("previousProof", [])
        asked = options(
            key,
            created=datetime.fromisoformat(config["created"]),
            id=config.get("id"),
            previous=(previous,) if isinstance(previous, str) else tuple(previous),
        )
        return add_proof(document, suite=suite, signer=key, options=asked)

    one = proved(unsigned, read("proofSetConfig1"), 1)
    two = proved(one, read("proofSetConfig2"), 2)
    chain = proved(two, read("proofChainConfig1"), 3)
    longer = proved(chain, read("proofChainConfig2"), 4)

    assert one == read("signedProofSet1")
    assert two == read("signedProofSet2")
    assert chain == read("signedProofChain1")
    assert one["proof"] == read("proofSetConfigSigned1")
    assert two["proof"][1] == read("proofSetConfigSigned2")
    assert chain["proof"][2] == read("proofChainConfigSigned1")
    assert read("proofChainTempDoc1") == two
    assert read("proofChainTempDoc2") == {**unsigned, "proof": [chain["proof"][2]]}
    for number, document in enumerate([one, two, chain, longer], 1):
        verified = verify_proofs(
            document,
            policy=ProofPolicy(suites=[suite]),
            keys=KEYS,
            now=datetime(2024, 1, 1, tzinfo=UTC),
        )
        assert len(verified.proofs) == number


@pytest.mark.parametrize(
    "name",
    [
        "credential-redef-type-fail.json",
        "credential-redef-type2-fail.json",
        "credential-type-mapped-nonurl-fail.json",
        "credential-type-unmapped-fail.json",
    ],
)
def test_the_published_documents_whose_words_are_wrong_are_refused(
    vectors: Vectors, name: str
) -> None:
    document: Object = json.loads((vectors("vcdm2") / name).read_text())
    contexts = published_contexts(vectors, inline=True)
    W3cCredential.parse({**document, "issuer": "did:example:issuer"})

    with pytest.raises((Malformed, Refused)):
        contexts.quads(document, "document")


def test_the_published_documents_that_are_well_formed_lose_nothing(vectors: Vectors) -> None:
    contexts = published_contexts(vectors, inline=True)
    for path in sorted(vectors("vcdm2").rglob("*-ok.json")):
        document: Object = json.loads(path.read_text())
        if path.name == "credential-validUntil-validFrom-ok.json":
            continue  # its moments are to be filled in
        assert contexts.quads(document, path.name), path.name


def warranty(**subject: Json) -> Object:
    return {
        "@context": [CREDENTIALS_V2, SHOP],
        "type": ["VerifiableCredential", "Warranty"],
        "issuer": did_key(prover().public),
        "credentialSubject": {"id": "did:example:holder", "item": "zipper", **subject},
    }


def lines(document: Object) -> str:
    return "".join(sorted(line(quad) for quad in CONTEXTS.quads(document, "document")))


def test_what_is_signed_over_rdf_is_believed_in_the_words_of_the_policy(now: datetime) -> None:
    key = prover()
    secured = add_proof(warranty(), suite=SUITE, signer=key, options=options(key, created=now))
    known = W3cPolicy(suites=[SUITE], contexts=frozenset({(CREDENTIALS_V2, SHOP)}))

    verified = verify_w3c_credential(secured, policy=known, keys=KEYS, now=now)

    assert verified.credential.json == warranty()
    with pytest.raises(Refused) as refusal:
        verify_w3c_credential(secured, policy=W3cPolicy(suites=[SUITE]), keys=KEYS, now=now)
    assert refusal.value.codes == ["context-not-known"]


LOST: list[tuple[Json, str]] = [
    ({"undefined": 1}, "term-not-defined"),
    ({"@undefined": 1}, "term-not-defined"),
    ({"item": {"undefined": {"item": 1}}}, "term-not-defined"),
    ({"type": "Undefined"}, "term-not-defined"),
    ({"maker": "relative"}, "term-not-defined"),
    ({"maker": "//other.example/a"}, "term-not-defined"),
    ({"maker": "../up"}, "term-not-defined"),
    ({"maker": "#here"}, "term-not-defined"),
    ({"maker": ""}, "term-not-defined"),
    ({"maker": {"id": "@undefined"}}, "term-not-defined"),
    ({"parts": [{"id": "relative"}]}, "term-not-defined"),
    ({"id": "relative"}, "term-not-defined"),
    ({"_:b0": 1}, "spelling-not-plain"),
    ({"item": None}, "value-not-signed"),
    ({"item": [1, None]}, "value-not-signed"),
    ({"item": []}, "value-not-signed"),
    ({"item": {"@set": [1]}}, "spelling-not-plain"),
    ({"item": {"@value": "zipper"}}, "spelling-not-plain"),
    ({"https://shop.example/terms#item": "zipper"}, "spelling-not-plain"),
    ({"@id": "did:example:holder"}, "spelling-not-plain"),
    ({"@type": "@json"}, "spelling-not-plain"),
    ({"type": ["Warranty", "@json"]}, "term-not-defined"),
    ({"@nest": {"item": "zipper"}}, "spelling-not-plain"),
    ({"item": ["zipper", "zipper"]}, "spelling-not-plain"),
    ({"item": {"id": "did:example:holder", "item": "a"}}, "spelling-not-plain"),
    ({"type": []}, "value-not-signed"),
    ({"item": {"@value": "a", "@index": "b"}}, "value-not-signed"),
    ({"item": {"@language": "en"}}, "value-not-signed"),
    ({"@graph": ["free floating"]}, "value-not-signed"),
    ({"@included": [{"item": 1}]}, "value-not-signed"),
    ({"@reverse": {"item": {"id": "urn:1"}}}, "value-not-signed"),
]


@pytest.mark.parametrize(("subject", "code"), LOST)
def test_what_json_ld_would_lose_is_refused(subject: dict[str, Json], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        lines(warranty(**subject))

    assert refusal.value.codes == [code]


BROKEN: list[Json] = [
    {"maker": "urn:a b"},
    {"maker": "urn:a\n"},
    {"maker": "urn:a> <urn:p> <urn:b> .\n<urn:c"},
    {"id": "urn:<"},
    {"item": {"@value": "a", "@language": "en us"}},
    {"item": {"@value": "a", "@type": "relative"}},
    {"item": {"@value": {}}},
    {"item": {"@list": [1], "item": 1}},
    {"id": 1},
    {"id": ["urn:1", "urn:2"]},
    {"type": 1},
    {"type": "@undefined"},
    {"weight": 2**53 + 1},
]


@pytest.mark.parametrize("subject", BROKEN)
def test_what_is_no_json_ld_is_malformed(subject: dict[str, Json]) -> None:
    with pytest.raises((Malformed, Refused)):
        lines(warranty(**subject))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ({"weight": 1.5}, '"1.5E0"^^<http://www.w3.org/2001/XMLSchema#double>'),
        ({"weight": 1e-7}, '"1.0E-7"^^<http://www.w3.org/2001/XMLSchema#double>'),
        ({"weight": 2.0}, '"2"^^<http://www.w3.org/2001/XMLSchema#integer>'),
        ({"weight": 1e300}, '"1.0E300"^^<http://www.w3.org/2001/XMLSchema#double>'),
        ({"weight": True}, '"true"^^<http://www.w3.org/2001/XMLSchema#boolean>'),
        ({"item": "a\x01b\u2028c"}, '"a\\u0001b\u2028c"'),
        ({"item": {"@value": "a", "@language": "en"}}, '"a"@en'),
        (
            {"item": {"@value": "a", "@language": "ar-EG", "@direction": "rtl"}},
            '"a"^^<https://www.w3.org/ns/i18n#ar-eg_rtl>',
        ),
        (
            {"raw": {"b": [], "a": "\u00e9"}},
            '"{\\"a\\":\\"\u00e9\\",\\"b\\":[]}"^^<http://www.w3.org/1999/02/22-rdf-syntax-ns#JSON>',
        ),
    ],
)
def test_values_are_written_as_every_other_implementation_writes_them(
    subject: dict[str, Json], expected: str
) -> None:
    assert f" {expected} .\n" in lines(warranty(**subject))


def test_an_empty_list_that_is_a_list_is_signed() -> None:
    assert "rdf-syntax-ns#nil" in lines(warranty(parts=[]))


def test_contexts_that_nobody_gave_do_not_exist() -> None:
    other: list[Json] = ["https://other.example/v1", {"item": "https://other.example/item"}]
    for context in other:
        with pytest.raises(Refused, match="context that is known"):
            lines({**warranty(), "@context": [CREDENTIALS_V2, context]})
        with pytest.raises(Refused, match="context that is known"):
            lines(warranty(maker={"@context": context, "id": "urn:1"}))


def test_two_loaders_never_mix_what_a_url_means() -> None:
    other = json.dumps({"@context": {**WORDS["@context"], "item": "https://other.example/item"}})
    again = FrozenContexts({SHOP: other.encode()})

    before = lines(warranty())

    assert "https://other.example/item" in "".join(map(str, again.quads(warranty(), "document")))
    assert lines(warranty()) == before
    with pytest.raises(Misuse, match="one of them"):
        FrozenContexts({CREDENTIALS_V2: b"{}"})


def test_more_values_than_anybody_signs_are_not_expanded() -> None:
    many: Json = [1 for _ in range(MAX_VALUES)]
    document = warranty(item=many)

    with pytest.raises(Malformed, match="at most"):
        lines(document)


def test_more_contexts_than_anybody_speaks_in_are_not_read() -> None:
    listed: Json = [CREDENTIALS_V2, *[SHOP for _ in range(31)]]
    inside: Json = {"@context": SHOP, "item": "a"}

    assert lines({**warranty(), "@context": listed})
    with pytest.raises(Malformed, match="contexts"):
        lines({**warranty(item=inside), "@context": listed})


def test_deeper_documents_than_anybody_signs_are_not_expanded() -> None:
    value: Json = {"item": 1}
    for _ in range(sys.getrecursionlimit()):
        value = {"item": value}

    with pytest.raises(Malformed, match="levels"):
        lines(warranty(item=value))


def test_a_suite_names_the_curves_that_it_is_for() -> None:
    suites: list[RdfcSuite] = [eddsa_rdfc_2022(CONTEXTS), ecdsa_rdfc_2019(CONTEXTS)]

    assert [suite.name for suite in suites] == ["eddsa-rdfc-2022", "ecdsa-rdfc-2019"]
    assert not suites[0].curves & suites[1].curves
