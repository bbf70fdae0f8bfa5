"""The service over HTTP: its documents, the walk of a wallet, the back office, its refusals."""

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from counterfoil_credentials.encoding import JsonObject, object_at
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT
from counterfoil_credentials.status_list_aggregation import parse_aggregation
from counterfoil_issuer.app import create_app
from counterfoil_issuer.batch_rows import MAX_FILE_BYTES
from counterfoil_issuer.catalogue import STANDARD_TYPES
from counterfoil_issuer.exchange import MAX_BODY_BYTES
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.records import RevocationReason
from counterfoil_issuer.store import Held, Store
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, ORDERS, issuer_on, staffed

STAFF = {"Authorization": "Bearer of-the-back-office"}
ASCII = set(range(0x20, 0x7F)) - {0x22, 0x5C}
PATIENCE_S = 60


@pytest.fixture
def client(issuer: Issuer) -> Iterator[TestClient]:
    with TestClient(create_app(issuer, staff=staffed(issuer, "of-the-back-office"))) as client:
        yield client


class Phone:
    """A wallet that has been told an offer's link, and knows the rest from the metadata."""

    def __init__(self, client: TestClient, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self.key = MemorySigner.generate()
        offered = self.staff("/back-office/orders/%231001/offers").json()
        self.offer = offered["offers"][0]
        self.form = {
            "grant_type": PRE_AUTHORIZED_GRANT,
            "pre-authorized_code": parse_offer(self.offer["link"]).pre_authorized_code,
            "tx_code": self.offer["tx_code"],
        }

    def staff(self, path: str, body: object = None) -> Response:
        return self.client.post(path, json=body, headers=STAFF)

    def token(self) -> dict[str, str]:
        answer = self.client.post("/token", data=self.form)
        assert answer.status_code == 200
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def request(self, type_name: str = "warranty") -> JsonObject:
        nonce = self.client.post("/nonce").json()["c_nonce"]
        proof = make_proof(self.key, issuer=AUDIO, nonce=nonce, now=self.clock())
        return {"credential_configuration_id": type_name, "proofs": {"jwt": [proof]}}


@pytest.fixture
def phone(client: TestClient, clock: Clock) -> Phone:
    return Phone(client, clock)


def require_refusal(answer: Response, status: int, error: str) -> None:
    """Check that an answer is a protocol's error: its code, a plain text, and never cached."""
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert set(answer.json()["error_description"].encode()) <= ASCII
    assert answer.headers["cache-control"] == "no-store"
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_metadata_describes_each_type_in_two_languages(client: TestClient) -> None:
    metadata = client.get("/.well-known/openid-credential-issuer").json()
    warranty = metadata["credential_configurations_supported"]["warranty"]

    assert metadata["credential_issuer"] == AUDIO
    assert metadata["credential_endpoint"] == f"{AUDIO}/credential"
    assert metadata["nonce_endpoint"] == f"{AUDIO}/nonce"
    assert metadata["notification_endpoint"] == f"{AUDIO}/notification"
    assert set(metadata["credential_configurations_supported"]) == set(STANDARD_TYPES)
    assert warranty["format"] == "dc+sd-jwt"
    assert warranty["cryptographic_binding_methods_supported"] == ["jwk"]
    assert warranty["proof_types_supported"] == {
        "jwt": {"proof_signing_alg_values_supported": ["ES256"]}
    }
    display = warranty["credential_metadata"]["display"]
    assert [(one["locale"], one["name"]) for one in display] == [
        ("en", "Warranty"),
        ("zh", "保修凭证"),
    ]


def test_the_authorization_server_speaks_the_one_grant_without_a_client(
    client: TestClient,
) -> None:
    metadata = client.get("/.well-known/oauth-authorization-server").json()

    assert metadata["issuer"] == AUDIO
    assert metadata["token_endpoint"] == f"{AUDIO}/token"
    assert metadata["grant_types_supported"] == [PRE_AUTHORIZED_GRANT]
    assert metadata["pre-authorized_grant_anonymous_access_supported"] is True


def test_the_keys_and_the_types_are_published(client: TestClient) -> None:
    keys = client.get("/.well-known/jwt-vc-issuer").json()
    configurations = client.get("/.well-known/openid-credential-issuer").json()[
        "credential_configurations_supported"
    ]

    assert keys["issuer"] == AUDIO
    assert "d" not in keys["jwks"]["keys"][0]
    for configuration in configurations.values():
        vct: str = configuration["vct"]
        kind = client.get(urlsplit(vct).path).json()
        assert kind["vct"] == vct
        described = configuration["credential_metadata"]["claims"]
        assert [claim["path"] for claim in kind["claims"]] == [one["path"] for one in described]
    require_refusal(client.get("/types/licence"), 404, "not_found")


def test_an_identifier_with_a_path_moves_every_route_and_inserts_the_well_known_names(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    issuer = issuer_on(store, clock, random_bytes, url="https://host.example/audio")
    app = create_app(issuer, staff=staffed(issuer, "key"))
    with TestClient(app) as client:
        metadata = client.get("/.well-known/openid-credential-issuer/audio").json()

        assert metadata["credential_issuer"] == "https://host.example/audio"
        assert metadata["nonce_endpoint"] == "https://host.example/audio/nonce"
        assert client.post("/audio/nonce").status_code == 200
        for name in ("oauth-authorization-server", "jwt-vc-issuer"):
            assert client.get(f"/.well-known/{name}/audio").status_code == 200
        assert client.get("/.well-known/openid-credential-issuer").status_code == 404
        assert client.post("/nonce").status_code == 404


def test_a_wallet_walks_from_the_link_to_the_stored_credential(phone: Phone) -> None:
    token = phone.client.post("/token", data=phone.form | {"resource": AUDIO})
    assert token.json().keys() == {"access_token", "token_type", "expires_in"}
    assert (token.json()["token_type"], token.json()["expires_in"]) == ("Bearer", 300)
    bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
    nonce = phone.client.post("/nonce")
    answer = phone.client.post("/credential", json=phone.request(), headers=bearer)
    assert answer.status_code == 200
    (credential,) = answer.json()["credentials"]
    assert credential["credential"].count("~") > 1
    said = {"notification_id": answer.json()["notification_id"], "event": "credential_accepted"}
    noted = phone.client.post("/notification", json=said, headers=bearer)

    assert (noted.status_code, noted.content) == (204, b"")
    for response in (token, nonce, answer, noted):
        assert response.headers["cache-control"] == "no-store"


def test_the_status_list_is_served_signed_and_cacheable(phone: Phone) -> None:
    phone.client.post("/credential", json=phone.request(), headers=phone.token())
    answer = phone.client.get("/status-lists/1")

    assert answer.headers["content-type"] == "application/statuslist+jwt"
    assert answer.headers["cache-control"] == "max-age=300"
    assert answer.text.count(".") == 2
    require_refusal(phone.client.get("/status-lists/2"), 404, "not_found")
    for other in ("0", "01", "-1", "one", "1/", "%201", "\u0661", "9" * 5000, ""):
        require_refusal(phone.client.get(f"/status-lists/{other}"), 404, "not_found")


def test_who_has_the_latest_status_list_gets_no_body(phone: Phone) -> None:
    phone.client.post("/credential", json=phone.request(), headers=phone.token())
    first = phone.client.get("/status-lists/1")
    tag = first.headers["etag"]
    assert tag.startswith('"')

    for known in (tag, f"W/{tag}", f'"another", {tag}', "*"):
        again = phone.client.get("/status-lists/1", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert (again.headers["etag"], again.headers["cache-control"]) == (tag, "max-age=300")
    for other in ('"another"', tag.strip('"'), ""):
        again = phone.client.get("/status-lists/1", headers={"If-None-Match": other})
        assert (again.status_code, again.text) == (200, first.text)


def test_a_list_that_waits_for_a_writer_holds_nobody_else_up(
    phone: Phone, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.client.post("/credential", json=phone.request(), headers=phone.token())
    its_turn, asked, free = issuer.store.transaction, threading.Event(), threading.Event()

    # A writer of the test's own: a database gives up waiting for one, on a slow machine too early.
    @contextmanager
    def behind_a_writer() -> Generator[Held, None, None]:
        asked.set()
        assert free.wait(PATIENCE_S)
        with its_turn() as held:
            yield held

    monkeypatch.setattr(issuer.store, "transaction", behind_a_writer)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(phone.client.get, "/status-lists/1")
        try:
            assert asked.wait(PATIENCE_S)
            assert phone.client.post("/nonce").status_code == 200
            assert not waiting.done()
        finally:
            free.set()
        assert waiting.result().status_code == 200


def test_a_revocation_makes_another_list_with_another_tag(phone: Phone, issuer: Issuer) -> None:
    given = phone.client.post("/credential", json=phone.request(), headers=phone.token()).json()
    before = phone.client.get("/status-lists/1")
    issuer.revoke(given["notification_id"], RevocationReason.FRAUD)
    known = {"If-None-Match": before.headers["etag"]}
    after = phone.client.get("/status-lists/1", headers=known)

    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]


def test_all_status_lists_are_found_from_the_metadata_and_from_each_list(phone: Phone) -> None:
    endpoint: str = phone.client.get("/.well-known/oauth-authorization-server").json()[
        "status_list_aggregation_endpoint"
    ]
    path = urlsplit(endpoint).path
    before = phone.client.get(path)
    phone.client.post("/credential", json=phone.request(), headers=phone.token())
    after = phone.client.get(path)
    token = phone.client.get("/status-lists/1").text
    claims = read_jws(token, typ="statuslist+jwt", where="list").unverified_claims

    assert before.headers["content-type"] == "application/json"
    assert parse_aggregation(before.content) == ()
    assert parse_aggregation(after.content) == (claims["sub"],)
    assert object_at(claims, "status_list", "list")["aggregation_uri"] == endpoint


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("{}", "application/json"),
        ("grant_type", "application/x-www-form-urlencoded"),
        ("grant_type=%ff", "application/x-www-form-urlencoded"),
        ("&".join(f"p{n}=1" for n in range(51)), "application/x-www-form-urlencoded"),
    ],
    ids=["empty", "JSON", "no form", "no UTF-8", "too many fields"],
)
def test_a_token_request_that_is_no_form_is_refused(
    client: TestClient, body: str, media_type: str
) -> None:
    answer = client.post("/token", content=body, headers={"Content-Type": media_type})

    require_refusal(answer, 400, "invalid_request")


def test_a_parameter_sent_twice_is_refused_unless_it_may_be(phone: Phone) -> None:
    twice = [*phone.form.items(), ("tx_code", "000000")]
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def posted(pairs: list[tuple[str, str]]) -> Response:
        return phone.client.post("/token", content=urlencode(pairs), headers=form)

    require_refusal(posted(twice), 400, "invalid_request")
    assert posted([*phone.form.items(), ("resource", "a"), ("resource", "b")]).status_code == 200


@pytest.mark.parametrize("path", ["/credential", "/notification"])
def test_a_wallet_without_a_good_token_is_told_to_bring_one(phone: Phone, path: str) -> None:
    said = {"notification_id": "x", "event": "credential_accepted"} | phone.request()

    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}):
        require_refusal(phone.client.post(path, json=said, headers=headers), 401, "invalid_token")


def test_a_token_in_the_url_is_refused(phone: Phone) -> None:
    bearer = phone.token()
    token = bearer["Authorization"].removeprefix("Bearer ")
    answer = phone.client.post(f"/credential?access_token={token}", json=phone.request())

    require_refusal(answer, 400, "invalid_request")
    assert token not in answer.text


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b"{", "application/json"),
        (b'{"a": 1, "a": 2}', "application/json"),
        (b"[" * 60_000, "application/json"),
        (b"\xff", "application/json"),
        (b"a=b", "application/x-www-form-urlencoded"),
    ],
    ids=["empty", "a list", "cut short", "a name twice", "too deep", "no UTF-8", "a form"],
)
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/credential", "invalid_credential_request"),
        ("/notification", "invalid_notification_request"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    phone: Phone, path: str, code: str, body: bytes, media_type: str
) -> None:
    headers = phone.token() | {"Content-Type": media_type}

    require_refusal(phone.client.post(path, content=body, headers=headers), 400, code)


@pytest.mark.parametrize(
    "path",
    ["/token", "/nonce", "/credential", "/notification", "/back-office/credentials/x/revoke"],
)
def test_the_body_of_somebody_without_a_key_is_bounded(client: TestClient, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post(path, content=b" " * (MAX_BODY_BYTES + 1), headers=headers)

    require_refusal(answer, 413, "invalid_request")


def test_an_orders_file_may_be_larger_and_is_bounded_too(client: TestClient) -> None:
    csv = STAFF | {"Content-Type": "text/csv"}
    large = ORDERS + b"\n" * MAX_BODY_BYTES
    too_large = ORDERS + b"\n" * MAX_FILE_BYTES

    assert client.post("/back-office/orders", content=large, headers=csv).json()["unchanged"] == 2
    answer = client.post("/back-office/orders", content=too_large, headers=csv)
    require_refusal(answer, 413, "invalid_request")


def test_a_credential_that_was_not_offered_is_forbidden(client: TestClient, clock: Clock) -> None:
    phone = Phone(client, clock)
    second = phone.staff("/back-office/orders/%231002/offers").json()["offers"][1]
    phone.form |= {
        "pre-authorized_code": parse_offer(second["link"]).pre_authorized_code,
        "tx_code": second["tx_code"],
    }
    answer = client.post("/credential", json=phone.request("receipt"), headers=phone.token())

    require_refusal(answer, 403, "insufficient_scope")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/back-office/orders"),
        ("POST", "/back-office/orders/search"),
        ("POST", "/back-office/orders/%231001/offers"),
        ("GET", "/back-office/credentials?order=%231001"),
        ("POST", "/back-office/credentials/x/revoke"),
        ("GET", "/back-office/summary"),
    ],
)
def test_the_back_office_is_closed_without_its_key(
    client: TestClient, method: str, path: str
) -> None:
    for headers in ({}, {"Authorization": "Bearer another"}):
        answer = client.request(method, path, headers=headers, json={"reason": "fraud"})
        require_refusal(answer, 401, "invalid_token")


def test_staff_import_find_offer_list_and_revoke(phone: Phone) -> None:
    client = phone.client
    csv = STAFF | {"Content-Type": "text/csv; charset=utf-8"}
    imported = client.post("/back-office/orders", content=ORDERS, headers=csv).json()
    assert imported == {"imported": 0, "unchanged": 2, "error_count": 0, "errors": []}
    search, buyer = "/back-office/orders/search", {"email": "mira@example.org"}
    found = client.post(search, json=buyer, headers=STAFF)
    (order,) = found.json()["orders"]
    assert (order["order"], order["total"], order["total_minor"]) == ("#1001", "369.00", 36900)
    assert "mira" not in found.text.lower(), "who asks by e-mail knows the name already"
    # An address in a URL would stand in the logs of every proxy.
    for path in ("/back-office/orders", search):
        answer = client.get(path, params=buyer, headers=STAFF)
        assert answer.status_code == 405
        assert "369.00" not in answer.text
    require_refusal(client.post(search, params=buyer, headers=STAFF), 400, "invalid_request")

    issued = client.post("/credential", json=phone.request(), headers=phone.token()).json()
    listed = client.get("/back-office/credentials", params={"order": "#1001"}, headers=STAFF)
    (record,) = listed.json()["credentials"]
    assert (record["credential_id"], record["state"]) == (issued["notification_id"], "sent")
    revoke = f"/back-office/credentials/{record['credential_id']}/revoke"
    first = phone.staff(revoke, {"reason": "goods-returned"})
    again = phone.staff(revoke, {"reason": "fraud"})

    assert first.json() == again.json()
    assert (first.json()["state"], first.json()["revocation_reason"]) == (
        "revoked",
        "goods-returned",
    )


def test_the_service_forgets_what_is_past_when_it_starts(issuer: Issuer, clock: Clock) -> None:
    def service() -> TestClient:
        return TestClient(create_app(issuer, staff=staffed(issuer, "of-the-back-office")))

    with service() as client:
        phone = Phone(client, clock)
        client.post("/credential", json=phone.request(), headers=phone.token())
    clock.advance(timedelta(days=2))
    assert issuer.summary().personal_data["credentials.copy"] == 1

    with service():
        deadline = time.monotonic() + 10
        while issuer.summary().personal_data["credentials.copy"] and time.monotonic() < deadline:
            time.sleep(0.01)
    assert issuer.summary().personal_data["credentials.copy"] == 0


def test_staff_read_in_the_summary_that_nothing_was_doubled(phone: Phone) -> None:
    phone.client.post("/credential", json=phone.request(), headers=phone.token())

    assert phone.client.get("/back-office/summary", headers=STAFF).json() == {
        "orders": 2,
        "offers_open": 0,
        "credentials": {"warranty": {"in_force": 1, "revoked": 0, "dropped": 0}},
        "status_indices_used": 1,
        "datasets_issued_twice": 0,
        "personal_data": {
            "orders.buyer_name": 2,
            "orders.buyer_email": 2,
            "datasets.claims": 0,
            "datasets.subject": 5,
            "credentials.copy": 1,
            "credentials.holder": 1,
            "deferrals.keys": 0,
        },
    }


def test_a_bad_orders_file_is_reported_cell_by_cell(client: TestClient) -> None:
    csv = STAFF | {"Content-Type": "text/csv"}
    broken = ORDERS.replace(b"#100", b"#200").replace(b"BUDS,2", b"BUDS,x")
    answer = client.post("/back-office/orders", content=broken, headers=csv)

    assert answer.status_code == 200
    assert answer.json() == {
        "imported": 1,
        "unchanged": 0,
        "error_count": 1,
        "errors": [
            {
                "row": 4,
                "column": "Lineitem quantity",
                "expected": "a whole number from 1 to 50",
                "found": "another text of length 1",
            }
        ],
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/back-office/orders", {"a": 1}, 400, "invalid_request"),
        ("/back-office/orders/%239999/offers", None, 404, "not_found"),
        ("/back-office/orders/%231001/offers", {"tx_code": "maybe?"}, 400, "invalid_request"),
        ("/back-office/orders/%231001/offers", {"pin": True}, 400, "invalid_request"),
        ("/back-office/credentials/x/revoke", {"reason": "fraud"}, 404, "not_found"),
        ("/back-office/credentials/x/revoke", {"reason": "mood"}, 400, "invalid_request"),
        ("/back-office/credentials/x/revoke", None, 400, "invalid_request"),
    ],
)
def test_what_staff_get_wrong_is_said(
    client: TestClient, path: str, body: object, status: int, error: str
) -> None:
    require_refusal(client.post(path, json=body, headers=STAFF), status, error)


def test_an_offer_by_http_is_a_link_that_carries_it_by_value(phone: Phone) -> None:
    link: str = phone.offer["link"]
    (carried,) = parse_qs(urlsplit(link).query)["credential_offer"]
    said = json.loads(carried)

    assert link.startswith("openid-credential-offer://?")
    assert said["credential_issuer"] == AUDIO
    assert [one["type"] for one in phone.offer["credentials"]] == ["receipt", "warranty"]
