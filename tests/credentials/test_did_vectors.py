"""Published vectors of the did:key method and of multibase: each file, or why not.

Of did:key the key material and the identifiers bind; its documents are of types of
2022, so that only their parts that have not changed are compared.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from counterfoil_credentials.bbs_keys import BbsPublicKey
from counterfoil_credentials.did_documents import DidDocument, Relationship
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.did_results import DidError, NotResolved, Resolved
from counterfoil_credentials.dids import Did, did_key, key_id_of, key_of
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Curve, MemorySigner, PublicKey
from counterfoil_credentials.multikey import Multikey, from_multibase, multibase

Vectors = Callable[[str], Path]
Object: TypeAlias = dict[str, Any]

RESOLVER = offline_resolver()
OURS = ["ed25519-x25519.json", "nist-curves.json", "secp256k1.json"]
# Keys that are read and verify nothing here: nobody in this lane signs with RSA or BLS,
# and X25519 cannot sign. Their DIDs must still be told from broken ones.
OTHERS = {"bls12381.json": 3, "rsa.json": 1, "x25519.json": 4}
# The one of nist-curves.json that is not of ours.
P521 = "did:key:z2J9"
BLS12_381_G2 = "did:key:zUC7"
# The bases that a Multikey and a Data Integrity proof may be in; no other one is read.
BASES = {"base58btc": "z", "base64url": "u"}


def published(vectors: Vectors, name: str) -> Object:
    found: Object = json.loads((vectors("did-key") / name).read_text())
    return found.get("didDocument", found) if name == "x25519.json" else found


def ours(vectors: Vectors) -> Iterator[tuple[Did, Object]]:
    for name in OURS:
        for did, case in published(vectors, name).items():
            if not did.startswith(P521):
                yield Did(did), case


def test_every_file_is_used(vectors: Vectors) -> None:
    files = {path.name for path in vectors("did-key").iterdir()} - {"README.md"}

    assert files == {*OURS, *OTHERS}


def test_reads_every_did_of_a_key_that_we_use(vectors: Vectors) -> None:
    curves: list[Curve] = []
    for did, case in ours(vectors):
        key = key_of(did, "did")
        curves.append(key.curve)
        assert did_key(key) == did
        assert key_id_of(did) == case["didDocument"]["verificationMethod"][0]["id"]
        pair = case.get("verificationKeyPair") or case["verificationMethod"]
        if "publicKeyJwk" in pair:
            assert PublicKey.from_jwk(pair["publicKeyJwk"], "jwk") == key
        elif "publicKeyBase58" in pair:
            assert from_multibase("z" + pair["publicKeyBase58"], "key") == key.point
        if "privateKeyJwk" in pair:
            assert MemorySigner.from_jwk(pair["privateKeyJwk"], "jwk").public == key
        if "seed" in case:
            signer = MemorySigner.from_private_bytes(bytes.fromhex(case["seed"]), key.curve)
            assert signer.public == key

    assert {curve: curves.count(curve) for curve in Curve} == {
        Curve.ED25519: 3,
        Curve.P256: 2,
        Curve.P384: 1,
        Curve.SECP256K1: 3,
    }


def test_derives_the_published_agreement_keys(vectors: Vectors) -> None:
    for did, case in published(vectors, "ed25519-x25519.json").items():
        found = RESOLVER.resolve(did, {"enableEncryptionKeyDerivation": True})

        assert isinstance(found, Resolved)
        assert found.json["keyAgreement"] == case["didDocument"]["keyAgreement"]


def test_expands_every_did_to_the_published_relationships(vectors: Vectors) -> None:
    for did, case in ours(vectors):
        document = RESOLVER.document(did)
        for name in set(Relationship) - {Relationship.KEY_AGREEMENT}:
            assert [*document.relationships[name]] == case["didDocument"][name]


def test_reads_the_published_documents(vectors: Vectors) -> None:
    for did, case in ours(vectors):
        document = DidDocument.parse(case["didDocument"], did)
        method = document.methods[key_id_of(did)]

        # The types of before 2020 are kept and give no key.
        old = method.type not in {"JsonWebKey2020", "Ed25519VerificationKey2020"}
        assert old == (method.key != key_of(did, "did"))


def test_tells_a_key_of_another_kind_from_a_broken_one(vectors: Vectors) -> None:
    dids = [did for did in published(vectors, "nist-curves.json") if did.startswith(P521)]
    for name, count in OTHERS.items():
        found = [did for did in published(vectors, name) if did.startswith("did:key:")]
        assert len(found) == count
        dids += found
    for did in dids:
        answer = RESOLVER.resolve(did)

        if did.startswith(BLS12_381_G2):
            assert isinstance(answer, Resolved)
            key = answer.document.methods[key_id_of(Did(did))].key
            assert isinstance(key, BbsPublicKey)
            assert str(Multikey.of(key)) == did.removeprefix("did:key:")
        else:
            assert isinstance(answer, NotResolved)
            assert answer.error is DidError.UNSUPPORTED_PUBLIC_KEY_TYPE
        broken = RESOLVER.resolve(did[:-1] + "0")
        assert isinstance(broken, NotResolved)
        assert broken.error is DidError.INVALID_DID


@pytest.mark.parametrize("name", ["basic.csv", "leading_zero.csv"])
def test_reads_and_writes_the_two_bases_that_we_speak(vectors: Vectors, name: str) -> None:
    (_, text), *rows = _rows(vectors, name)
    data = text.replace("\\x00", "\0").encode()
    spoken = 0
    for base, encoded in rows:
        if base in BASES:
            spoken += 1
            assert from_multibase(encoded, "text") == data
            assert multibase(data, BASES[base]) == encoded
        else:
            with pytest.raises(Malformed):
                from_multibase(encoded, "text")
    assert spoken == 2


def test_reads_no_base_in_another_case(vectors: Vectors) -> None:
    # None of the bases whose case does not matter is ours.
    _, *rows = _rows(vectors, "case_insensitivity.csv")
    assert BASES.keys().isdisjoint(base for base, _ in rows)
    for _, encoded in rows:
        with pytest.raises(Malformed):
            from_multibase(encoded, "text")


def test_the_prefixes_are_those_of_the_table(vectors: Vectors) -> None:
    _, *rows = (
        [cell.strip() for cell in line.split(",")]
        for line in (vectors("multibase") / "multibase.csv").read_text().splitlines()
    )
    prefixes = {row[2]: chr(int(row[0].removeprefix("U+"), 16)) for row in rows}

    assert {base: prefixes[base] for base in BASES} == BASES


def _rows(vectors: Vectors, name: str) -> list[list[str]]:
    lines = (vectors("multibase") / name).read_text().splitlines()
    return [[cell.strip().strip('"') for cell in line.split(",", 1)] for line in lines]
