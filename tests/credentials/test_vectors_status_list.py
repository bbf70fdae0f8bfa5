"""The published Token Status Lists: what each entry says, and the signed token of one.

The forms in CBOR are not ours: this lane speaks JWT (see `test_vectors_account.py`).
"""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import from_b64url, parse_object
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import pack, read_status_list, status_at

Vectors = Callable[[str], Path]


def test_packs_and_reads_the_published_status_lists(vectors: Vectors) -> None:
    found = sorted(vectors("token-status-list").glob("*bit.json"))
    assert found
    for path in found:
        published = json.loads(path.read_text())
        bits = published["bits"]
        statuses = {int(index): value for index, value in published["status"].items()}
        entries = zlib.decompress(from_b64url(published["json"]["lst"], "lst"))

        packed = pack([statuses.get(i, 0) for i in range(published["size"])], bits=bits)

        assert packed == entries, path.name
        for index, value in statuses.items():
            assert status_at(entries, index, bits=bits) == value, path.name
            for beside in {index - 1, index + 1} - statuses.keys():
                if 0 <= beside < published["size"]:
                    assert status_at(entries, beside, bits=bits) == 0, path.name
        with pytest.raises(Refused, match="index"):
            status_at(entries, published["size"], bits=bits)


def test_verifies_the_published_status_list_token(vectors: Vectors) -> None:
    folder = vectors("token-status-list")
    token = (folder / "status_list_token_jwt.txt").read_text().strip()
    jwk = parse_object((folder / "example_key.jwk.json").read_bytes(), "jwk")
    public = MemorySigner.from_jwk(jwk, "jwk").public
    claims = read_jws(token, typ="statuslist+jwt", where="token").unverified_claims
    issued_at = datetime.fromtimestamp(int(str(claims["iat"])), UTC)
    published = json.loads((folder / "short_1bit.json").read_text())

    listed = read_status_list(token, url=str(claims["sub"]), issuer_key=public, now=issued_at)

    assert listed.listed_at == issued_at
    statuses = {int(index): value for index, value in published["status"].items()}
    assert {index: listed.status_at(index) for index in statuses} == statuses
    with pytest.raises(Refused, match="expected the list that was asked for"):
        read_status_list(token, url="https://other.example/1", issuer_key=public, now=issued_at)
    with pytest.raises(Refused, match="signature"):
        read_status_list(
            token,
            url=str(claims["sub"]),
            issuer_key=MemorySigner.generate().public,
            now=issued_at,
        )
