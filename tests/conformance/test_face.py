"""The VC-API face: each issuer, what a holder derives, and that a refusal is a 400."""

import json
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha384
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2
from starlette.testclient import TestClient

from tests.conformance.face import CREDENTIALS_V1, DEREFERENCED, RESULT, Face, Lane, vc_api
from tests.credentials.test_rdfc import published_contexts

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]
Object = dict[str, Any]
BASE = "http://localhost:8080"
SELECTIVE = ("ecdsa-sd-2023/", "bbs-2023/")


@pytest.fixture(scope="module")
def _face() -> list[Face]:
    return []


@pytest.fixture
def face(vectors: Vectors, _face: list[Face]) -> Face:
    if not _face:
        _face.append(Face(published_contexts(vectors, inline=True), BASE, {BASE: b"a file"}))
    return _face[0]


@pytest.fixture
def client(face: Face) -> TestClient:
    return TestClient(vc_api(face), base_url=BASE)


def lane_at(face: Face, path: str) -> Lane:
    return next(lane for lane in face.lanes if lane.path == path)


def credential(issuer: str, **more: object) -> Object:
    return {
        "@context": [CREDENTIALS_V2, {"@vocab": "https://shop.example/terms#"}],
        "type": ["VerifiableCredential"],
        "issuer": issuer,
        "credentialSubject": {"item": "kettle", "weight": 1250},
        **more,
    }


def issued(client: TestClient, lane: Lane, **more: object) -> Object:
    body = {"credential": credential(lane.did, **more)}
    if lane.path in SELECTIVE:
        body["options"] = {"mandatoryPointers": ["/issuer"]}
    answer = client.post(f"/{lane.path}credentials/issue", json=body)
    assert answer.status_code == 201, answer.text
    found: Object = answer.json()
    secured: Object = found.get("verifiableCredential", found)
    return secured


def verdict(client: TestClient, secured: object, path: str = "credentials/verify") -> int:
    return client.post(f"/{path}", json={"verifiableCredential": secured}).status_code


@pytest.mark.parametrize(
    "path",
    [
        "",
        "bare/",
        "eddsa-jcs-2022/",
        "ecdsa-rdfc-2019/p256/",
        "ecdsa-rdfc-2019/p384/",
        "ecdsa-jcs-2019/p256/",
        "ecdsa-jcs-2019/p384/",
        "bsl/",
    ],
)
def test_what_each_issuer_signs_is_believed_and_a_changed_one_is_not(
    client: TestClient, face: Face, path: str
) -> None:
    secured = issued(client, lane_at(face, path))

    assert verdict(client, secured) == 200
    changed = {**secured, "credentialSubject": {"item": "car", "weight": 1250}}
    assert verdict(client, changed) == 400


@pytest.mark.parametrize("path", SELECTIVE)
def test_a_holder_derives_what_is_asked_for_and_no_more(
    client: TestClient, face: Face, path: str
) -> None:
    held = issued(client, lane_at(face, path))
    body = {
        "verifiableCredential": held,
        "options": {"selectivePointers": ["/credentialSubject/weight"]},
    }

    derived = client.post("/credentials/derive", json=body)

    assert derived.status_code == 201
    shown: Object = derived.json()["verifiableCredential"]
    assert shown["credentialSubject"] == {"weight": 1250}
    assert verdict(client, shown) == 200
    assert verdict(client, held) == 400
    assert client.post("/credentials/derive", json={"verifiableCredential": {}}).status_code == 400


def test_presentations_are_believed_as_far_as_their_credentials(
    client: TestClient, face: Face
) -> None:
    lane = lane_at(face, "")
    presentation: Object = {
        "@context": [CREDENTIALS_V2],
        "type": ["VerifiablePresentation"],
        "verifiableCredential": [issued(client, lane)],
    }

    def ask(shown: Object, **options: str) -> int:
        body = {"verifiablePresentation": shown, "options": options}
        return client.post("/presentations/verify", json=body).status_code

    assert ask(presentation) == 200
    changed = {**presentation["verifiableCredential"][0], "id": "urn:another"}
    assert ask({**presentation, "verifiableCredential": [changed]}) == 400
    # A proof for an assertion is none of who shows it.
    assert ask(lane.secured(presentation), challenge="c", domain="d") == 400


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": 1},
        {"type": []},
        {"credentialSubject": []},
        {"unknown:term": "a relative IRI"},
        {"validUntil": "2020-01-01"},
        {"credentialStatus": {"type": "BitstringStatusListEntry", "statusListIndex": True}},
    ],
)
def test_a_credential_of_another_shape_is_not_issued(
    client: TestClient, face: Face, change: Object
) -> None:
    lane = lane_at(face, "bsl/")
    body = {"credential": {**credential(lane.did), **change}}

    answer = client.post("/bsl/credentials/issue", json=body)

    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_one_that_is_out_of_time_is_not_believed_but_by_its_proof_alone(
    client: TestClient, face: Face
) -> None:
    secured = issued(client, lane_at(face, ""), validUntil="2020-01-01T00:00:00Z")

    assert verdict(client, secured) == 400
    assert verdict(client, secured, "proof/credentials/verify") == 200


def test_a_credential_of_the_data_model_1_1_is_issued_with_the_words_of_its_proof(
    client: TestClient, face: Face
) -> None:
    lane = lane_at(face, "")
    old = {
        "@context": [CREDENTIALS_V1],
        "type": ["VerifiableCredential"],
        "issuer": lane.did,
        "issuanceDate": "2020-03-16T22:37:26Z",
        "credentialSubject": {"id": lane.did},
    }
    answer = client.post("/credentials/issue", json={"credential": old})

    assert answer.status_code == 201
    assert verdict(client, answer.json()["verifiableCredential"]) == 200
    del old["issuanceDate"]
    assert client.post("/credentials/issue", json={"credential": old}).status_code == 400


def test_a_related_resource_is_what_its_digest_says_or_nothing_is_issued(
    client: TestClient, face: Face
) -> None:
    lane = lane_at(face, "")

    def ask(data: bytes) -> int:
        digest = f"sha384-{b64encode(sha384(data).digest()).decode()}"
        said = credential(lane.did, relatedResource={"id": BASE, "digestSRI": digest})
        return client.post("/bare/credentials/issue", json={"credential": said}).status_code

    assert ask(b"a file") == 201
    assert ask(b"another") == 400


def test_the_status_list_is_a_signed_credential_that_the_verifier_reads(
    client: TestClient, face: Face
) -> None:
    secured = issued(client, lane_at(face, "bsl/"))
    url: str = secured["credentialStatus"]["statusListCredential"]

    answer = client.get(url, headers={"accept": "application/json"})

    assert answer.headers["content-type"] == "application/json"
    assert client.get(url).headers["content-type"] == "application/vc"
    assert verdict(client, answer.json()) == 200


def test_dids_are_resolved_and_their_parts_dereferenced(client: TestClient, face: Face) -> None:
    for did in face.dids.values():
        found = client.get(f"/1.0/identifiers/{did}", headers={"accept": RESULT})
        assert found.status_code == 200
        assert found.json()["didDocument"]["id"] == did
        plain = client.get(f"/1.0/identifiers/{did}", headers={"accept": "application/did"})
        assert plain.json() == found.json()["didDocument"]
        part = f"/1.0/identifiers/{did}%23{did.removeprefix('did:key:')}"
        got = client.get(part, headers={"accept": DEREFERENCED})
        assert got.json()["contentStream"]["controller"] == did
        assert client.get(part, headers={"accept": "application/json"}).json()["type"] == "Multikey"
    refused = client.get("/1.0/identifiers/did:other:1", headers={"accept": RESULT})
    assert refused.status_code == 501
    bad = client.get(
        f"/1.0/identifiers/{face.dids['p256']}?publicKeyFormat=x", headers={"accept": RESULT}
    )
    assert "UNSUPPORTED_PUBLIC_KEY_TYPE" in bad.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a":1,"a":2}', b"{}", b"[" * 5_000])
@pytest.mark.parametrize(
    "path", ["credentials/issue", "credentials/verify", "presentations/verify"]
)
def test_hostile_bodies_are_refused(client: TestClient, path: str, body: bytes) -> None:
    assert client.post(f"/{path}", content=body).status_code == 400


def test_a_body_is_bounded(client: TestClient) -> None:
    long = json.dumps({"credential": "x" * 300_000})

    assert client.post("/credentials/issue", content=long).status_code == 413
