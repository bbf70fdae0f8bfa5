"""The vectors of did:key and of multibase: the same key material, under the same names.

The documents of did:key's vectors have the shapes of 2022; the identifiers and the keys
are what binds (their README says so).
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from counterfoil_credentials.dids import did_key, key_of
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.multikey import Multikey, from_multibase, multibase

Vectors = Callable[[str], Path]
Object: TypeAlias = dict[str, Any]

OURS = ("z6Mk", "zDn", "z82", "zQ3s")  # Ed25519, P-256, P-384, secp256k1


def published(vectors: Vectors) -> Iterator[tuple[str, Object]]:
    found = sorted(vectors("did-key").glob("*.json"))
    assert found
    for path in found:
        entries = json.loads(path.read_text())
        yield from entries.get("didDocument", entries).items()


def is_ours(did: str) -> bool:
    return did.removeprefix("did:key:").startswith(OURS)


def test_reads_the_published_keys_and_names_them_alike(vectors: Vectors) -> None:
    curves: set[Curve] = set()
    for did, entry in published(vectors):
        if not is_ours(did):
            continue
        key = key_of(did, "did")
        curves.add(key.curve)

        assert did_key(key) == did
        pair = entry.get("verificationKeyPair") or entry["verificationMethod"]
        if "publicKeyJwk" in pair:
            assert key.jwk().items() <= pair["publicKeyJwk"].items(), did
            signer = MemorySigner.from_jwk(pair["privateKeyJwk"], "jwk")
            assert signer.public == key, did
        else:
            assert key.point == from_base58(pair["publicKeyBase58"]), did
        if "seed" in entry:
            secret = bytes.fromhex(entry["seed"])
            assert MemorySigner.from_private_bytes(secret, key.curve).public == key, did

    assert curves == set(Curve)


def test_refuses_the_published_keys_of_other_kinds_as_such(vectors: Vectors) -> None:
    tried = 0
    for did, _ in published(vectors):
        if is_ours(did):
            continue
        tried += 1

        with pytest.raises(Refused) as refusal:
            key_of(did, "did")

        assert refusal.value.codes == ["key-type-unsupported"], did
        text = did.removeprefix("did:key:")
        assert str(Multikey.parse(text, "key")) == text

    assert tried > 5  # P-521, X25519, RSA and BLS12-381


def test_reads_and_writes_the_bases_of_multikey_and_no_other(vectors: Vectors) -> None:
    letters = {row["encoding"]: row["character"] for row in rows(vectors, "multibase.csv")}
    ours = {"base58btc": letters["base58btc"], "base64url": letters["base64url"]}
    for name in ("basic.csv", "leading_zero.csv", "case_insensitivity.csv"):
        # The head of the second column is the text itself, with its zero byte escaped.
        (_, head), *encodings = listed(vectors, name)
        data = head.replace("\\x00", "\0").encode()
        for encoding, text in encodings:
            if encoding in ours:
                assert text.startswith(ours[encoding])
                assert from_multibase(text, "text") == data, f"{name}: {encoding}"
                assert multibase(data, ours[encoding]) == text, f"{name}: {encoding}"
            else:
                with pytest.raises(Malformed, match="multibase prefix"):
                    from_multibase(text, "text")


def from_base58(text: str) -> bytes:
    return from_multibase(f"z{text}", "key")


def rows(vectors: Vectors, name: str) -> list[dict[str, str]]:
    (head, *below) = listed(vectors, name)
    return [dict(zip(head, row, strict=True)) for row in below]


def listed(vectors: Vectors, name: str) -> list[list[str]]:
    text = (vectors("multibase") / name).read_text(encoding="utf-8")
    found = csv.reader(text.splitlines(), skipinitialspace=True)
    return [[cell.strip() if name == "multibase.csv" else cell for cell in row] for row in found]
