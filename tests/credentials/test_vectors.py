"""Published vectors: what nobody here wrote must come out as its authors say."""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.encoding import JsonObject, b64url, from_b64url, parse_object
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt import SdJwt, reveal, unverified_payload
from counterfoil_credentials.token_status_list import pack, read_status_list, status_at

Vectors = Callable[[str], Path]

RFC9901 = [
    "address_only_flat",
    "address_only_recursive",
    "address_only_structured",
    "arf-pid",
    "complex_ekyc",
    "jsonld",
    "simple",
    "simple_structured",
    "w3c-vc",
]
PYTHON = [
    "array_data_types",
    "array_in_sd",
    "array_none_disclosed",
    "array_of_objects",
    "array_recursive_sd",
    "header_mod",
    "key_binding",
    "no_sd",
]


@pytest.mark.parametrize(
    ("folder", "case"),
    [("sd-jwt-rfc9901", case) for case in RFC9901]
    + [("sd-jwt-python-testcases", case) for case in PYTHON]
    + [("sd-jwt-vc-draft", case) for case in ("01", "03-pid")],
)
def test_reveals_what_the_published_presentation_discloses(
    vectors: Vectors, folder: str, case: str
) -> None:
    directory = vectors(folder) / case
    presentation = SdJwt.parse((directory / "sd_jwt_presentation.txt").read_text().strip())

    claims = reveal(unverified_payload(presentation), presentation.disclosures).claims

    assert claims == json.loads((directory / "verified_contents.json").read_text())


@pytest.mark.parametrize("case", ["A.1", "A.3", "A.4"])
def test_reveals_the_appendix_of_rfc_9901(vectors: Vectors, case: str) -> None:
    published = json.loads((vectors("sd-jwt-rfc9901") / "appendix" / f"{case}.json").read_text())
    presentation = SdJwt.parse(published["presentation"])

    claims = reveal(unverified_payload(presentation), presentation.disclosures).claims

    assert claims == published["processed_payload"]


@pytest.mark.parametrize("name", ["short_1bit", "short_2bit", "long_1bit", "long_4bit"])
def test_packs_and_reads_the_published_status_lists(vectors: Vectors, name: str) -> None:
    published = json.loads((vectors("token-status-list") / f"{name}.json").read_text())
    bits = published["bits"]
    statuses = {int(index): value for index, value in published["status"].items()}
    entries = zlib.decompress(from_b64url(published["json"]["lst"], "lst"))

    assert pack([statuses.get(i, 0) for i in range(published["size"])], bits=bits) == entries
    for index, value in statuses.items():
        assert status_at(entries, index, bits=bits) == value


def test_verifies_the_published_status_list_token(vectors: Vectors) -> None:
    folder = vectors("token-status-list")
    token = (folder / "status_list_token_jwt.txt").read_text().strip()
    jwk = parse_object((folder / "example_key.jwk.json").read_bytes(), "jwk")
    public = PublicKey.from_jwk({n: jwk[n] for n in ("kty", "crv", "x", "y")}, "jwk")
    claims = read_jws(token, typ="statuslist+jwt", where="token").unverified_claims
    issued_at = datetime.fromtimestamp(int(str(claims["iat"])), UTC)

    listed = read_status_list(token, url=str(claims["sub"]), issuer_key=public, now=issued_at)

    assert listed.listed_at == issued_at
    with pytest.raises(Refused, match="expected the list that was asked for"):
        read_status_list(token, url="https://other.example/1", issuer_key=public, now=issued_at)


def test_agrees_with_wycheproof_on_every_raw_p256_signature(vectors: Vectors) -> None:
    published = json.loads(
        (vectors("wycheproof") / "ecdsa_secp256r1_sha256_p1363_test.json").read_text()
    )
    disagreements: list[Any] = []
    tried = 0
    for group in published["testGroups"]:
        key = group["publicKey"]
        coordinates = bytes.fromhex(key["uncompressed"])[1:]
        public = PublicKey.from_jwk(_jwk(coordinates), "jwk")
        for case in group["tests"]:
            tried += 1
            try:
                public.verify(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
                verified = True
            except Refused:
                verified = False
            if verified != (case["result"] == "valid"):
                disagreements.append(case["tcId"])

    assert tried > 100
    assert disagreements == []


def _jwk(coordinates: bytes) -> JsonObject:
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": b64url(coordinates[:32]),
        "y": b64url(coordinates[32:]),
    }
