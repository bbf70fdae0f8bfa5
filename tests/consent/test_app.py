"""The HTTP faces: who may call what, and that bad bodies are answered, not crashed on."""

import json
import threading
from datetime import datetime
from typing import Any

import pytest
from counterfoil_consent import deliver, withdraw
from counterfoil_consent.app import create_app
from counterfoil_consent.requesting import Opened
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.keys import MemorySigner
from fastapi.testclient import TestClient

from tests.consent.street import (
    BENEFITS,
    CUSTODIAN,
    FRAME_VALUE,
    KEY,
    NOTICE,
    PRODUCT_VALUE,
    RIDER,
    WARRANTY,
    Street,
)

STAFF = {"Authorization": f"Bearer {KEY}"}
NEW_REQUEST: dict[str, Any] = {
    "purpose": "dpv:PersonalisedBenefits",
    "claims": [
        {"vct": RIDER, "path": ["frame_size"], "retain_days": 30},
        {"vct": WARRANTY, "path": ["product", "name"], "is_required": False, "retain_days": 30},
    ],
    "notice": {"text": NOTICE.text, "language": "en"},
    "valid_for_s": 30 * 24 * 3600,
    "max_reads": 5,
    "jurisdiction": "EU",
}


@pytest.fixture
def street(street_in_memory: Street) -> Street:
    """Give the parties on one kind of store: nothing here depends on which."""
    return street_in_memory


def test_a_back_office_asks_waits_and_reads(street: Street) -> None:
    asked = street.brand.post("/consent/requests", json=NEW_REQUEST, headers=STAFF)
    assert asked.status_code == 200
    opened = asked.json()
    assert opened["link"].startswith("openid4vp://?client_id=decentralized_identifier")
    desk = f"/consent/desk/requests/{opened['id']}"
    assert street.brand.get(desk, headers=STAFF).json() == {"state": "waiting"}

    signer = MemorySigner.generate()
    request = Opened(
        request_id=GrantId(opened["id"]), link=opened["link"], expires_at=street.clock()
    )
    package = street.package(street.decide(request, signer), signer)
    active = deliver(package, fetcher=street.fetcher)

    state = street.brand.get(desk, headers=STAFF).json()
    assert state == {"state": "active", "grant_id": package.grant_id}
    url = f"/consent/grants/{package.grant_id}/read"
    answer = street.brand.post(url, json={"purpose": BENEFITS.value}, headers=STAFF)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "facts": [
            {"pii_type": RIDER, "pii_attribute_id": ["frame_size"], "values": [FRAME_VALUE]},
            {
                "pii_type": WARRANTY,
                "pii_attribute_id": ["product", "name"],
                "values": [PRODUCT_VALUE],
            },
        ],
        "lease": {"read": 1, "max_reads": 5},
    }
    second = street.brand.post(url, json={"purpose": BENEFITS.value}, headers=STAFF)
    assert second.json()["lease"] == {"read": 2, "max_reads": 5}

    token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token
    ended = street.brand.post(
        f"/consent/grants/{package.grant_id}/end",
        content=token,
        headers={"Content-Type": "application/jwt"},
    )
    assert list(ended.json()) == ["stop_notice"]
    refused = street.brand.post(url, json={"purpose": BENEFITS.value}, headers=STAFF)
    assert refused.status_code == 400
    assert [reason["code"] for reason in refused.json()["reasons"]] == ["grant-ended"]
    assert street.brand.get(desk, headers=STAFF).json()["state"] == "erased"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/consent/requests"),
        ("GET", "/consent/desk/requests/{id}"),
        ("GET", "/consent/desk/summary"),
        ("POST", "/consent/grants/{id}/read"),
        ("POST", "/consent/grants/{id}/complete"),
    ],
)
def test_staff_routes_want_the_key(street: Street, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer another"}):
        answer = street.brand.request(method, path.format(id="A" * 22), headers=headers)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "dpv:SellDataToThirdParties"},
        {"claims": []},
        {"max_reads": 0},
        {"max_reads": "5"},
        {"valid_for_s": 10**9},
        {"unheard_of": 1},
        {"claims": [{"vct": RIDER, "path": [-1], "retain_days": 1}]},
        {"claims": [NEW_REQUEST["claims"][0], NEW_REQUEST["claims"][0]]},
        {"notice": {"text": "", "language": "en"}},
        {"notice": {"text": "half a pair: \ud800", "language": "en"}},
        {"jurisdiction": "\ud800\ud800"},
    ],
    ids=[
        "purpose",
        "none",
        "zero",
        "text",
        "long",
        "more",
        "path",
        "twice",
        "notice",
        "half",
        "eu",
    ],
)
def test_a_bad_wish_is_answered_400(street: Street, change: dict[str, object]) -> None:
    # The spelling of `json.dumps` lets half a surrogate pair travel as an escape.
    body = json.dumps({**NEW_REQUEST, **change}).encode()
    headers = {**STAFF, "Content-Type": "application/json"}
    answer = street.brand.post("/consent/requests", content=body, headers=headers)

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_description"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"a.b.c",
        b"e30.e30.e30",
        b"vp_token=",
        b"vp_token=%7B%7D&vp_token=%7B%7D",
        b"{}",
    ],
)
def test_bad_bodies_are_answered_400_everywhere(street: Street, body: bytes) -> None:
    package, _ = street.packed()
    street.custodian.register(package.registration)
    request_id = package.response_uri.rsplit("/", 1)[1]
    street.receiver.receive(request_id, {"grant": (package.presentation,)})
    grant_id = package.grant_id
    custodian = TestClient(create_app(street.custodian), base_url=CUSTODIAN)

    for client, path in (
        (street.brand, f"/consent/responses/{request_id}"),
        (street.brand, f"/consent/grants/{grant_id}/bundle"),
        (street.brand, f"/consent/grants/{grant_id}/end"),
        (custodian, f"/grants/{grant_id}/key"),
        (custodian, "/grants"),
        (custodian, f"/grants/{grant_id}/receipt"),
        (custodian, f"/grants/{grant_id}/leases"),
        (custodian, f"/grants/{grant_id}/end"),
    ):
        answer = client.post(path, content=body)
        assert answer.status_code == 400, path
        assert answer.json()["error"] in {"invalid_request", "refused"}


@pytest.mark.parametrize("name", ["A" * 22, "x", "%2e%2e"])
def test_unknown_grants_and_requests_are_refused(street: Street, name: str) -> None:
    for path in ("requests/{}", "grants/{}/erasure-receipt", "notices/{}"):
        assert street.brand.get(f"/consent/{path.format(name)}").status_code in {400, 404}


def test_a_wallet_hears_that_a_request_is_over_and_not_that_it_was_wrong(street: Street) -> None:
    answer = street.brand.get(f"/consent/requests/{'A' * 22}")

    assert (answer.status_code, answer.json()) == (404, {"error": "request-unknown"})


def test_there_is_no_erasure_receipt_while_the_grant_is_in_force(street: Street) -> None:
    active, _ = street.granted()

    answer = street.brand.get(f"/consent/grants/{active.agreement.grant_id}/erasure-receipt")

    assert [reason["code"] for reason in answer.json()["reasons"]] == ["not-erased"]


def test_a_running_custodian_ends_grants_by_itself(street: Street) -> None:
    active, _ = street.granted()
    street.clock.now = active.agreement.terms.valid_until
    destroyed = street.custodian_keys.is_destroyed

    with TestClient(create_app(street.custodian, sweep_every_s=0.01)):
        waited = threading.Event()
        for _ in range(500):
            if destroyed(active.agreement.grant_id):
                break
            waited.wait(0.01)

    assert destroyed(active.agreement.grant_id)


def test_the_desk_counts_the_grants_in_force_and_the_ended_ones(street: Street) -> None:
    def summary() -> object:
        return street.brand.get("/consent/desk/summary", headers=STAFF).json()

    assert summary() == {"live": 0, "ended": 0}
    first, _ = street.granted()
    street.granted()
    assert summary() == {"live": 2, "ended": 0}
    street.receiver.complete(first.agreement.grant_id)
    assert summary() == {"live": 1, "ended": 1}


def test_a_sweep_that_fails_once_sweeps_again(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    active, _ = street.granted()
    street.clock.now = active.agreement.terms.valid_until
    failures = [OSError(28, "no room at /secret/place")]
    due = street.custodian_store.due

    def full_for_a_moment(now: datetime, reserved_before: datetime, limit: int) -> list[GrantId]:
        if failures:
            raise failures.pop()
        return due(now, reserved_before, limit)

    street.custodian_store.due = full_for_a_moment  # type: ignore[method-assign]  # a disk that fails once
    destroyed = street.custodian_keys.is_destroyed
    with TestClient(create_app(street.custodian, sweep_every_s=0.01)):
        waited = threading.Event()
        for _ in range(500):
            if destroyed(active.agreement.grant_id):
                break
            waited.wait(0.01)

    assert destroyed(active.agreement.grant_id)
    assert "OSError" in caplog.text
    assert "/secret/place" not in caplog.text
