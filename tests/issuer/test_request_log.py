"""What the log and the metrics call the issuer's requests."""

from collections.abc import Callable

import pytest
from counterfoil_issuer.app import create_app
from counterfoil_issuer.issuer import Issuer
from counterfoil_service.metrics import Metrics
from counterfoil_service.request_log import RequestLog
from fastapi.testclient import TestClient

from tests.issuer.brand import staffed

STAFF = {"Authorization": "Bearer of-the-back-office"}


@pytest.mark.parametrize(
    ("asked", "route", "status"),
    [
        ("POST /nonce", "/nonce", 200),
        ("POST /token", "/token", 400),
        ("DELETE /token", "/token", 405),
        ("GET /status-lists/731", "/status-lists/...", 404),
        ("GET /types/li-mei", "/types/...", 404),
        ("GET /back-office/credentials/li-mei", "/back-office/credentials/{credential_id}", 404),
        ("GET /li-mei", "(none)", 404),
    ],
)
def test_each_request_is_counted_under_a_name_of_ours(
    issuer: Issuer, random_bytes: Callable[[int], bytes], asked: str, route: str, status: int
) -> None:
    app = create_app(issuer, staff=staffed(issuer, "of-the-back-office"))
    metrics = Metrics()
    app.add_middleware(RequestLog, metrics=metrics, random=random_bytes)
    method, path = asked.split()
    answer = TestClient(app).request(method, path, headers=STAFF)
    counted = [line for line in metrics.text().decode().splitlines() if "_total{" in line]

    assert answer.status_code == status
    labels = f'method="{method}",route="{route}",status="{status}"'
    assert counted == [f"counterfoil_http_requests_total{{{labels}}} 1.0"]


def test_a_failure_that_nobody_foresaw_is_told_and_counted_as_one(
    issuer: Issuer, random_bytes: Callable[[int], bytes]
) -> None:
    def out_of_randomness(_: int) -> bytes:
        raise ZeroDivisionError

    issuer.random = out_of_randomness
    app = create_app(issuer)
    metrics = Metrics()
    app.add_middleware(RequestLog, metrics=metrics, random=random_bytes)
    answer = TestClient(app, raise_server_exceptions=False).post("/nonce")
    counted = [line for line in metrics.text().decode().splitlines() if "_total{" in line]

    assert answer.status_code == 500
    assert answer.json() == {
        "error": "server_error",
        "error_description": "the service failed; its log says where",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert "x-request-id" in answer.headers
    labels = 'method="POST",route="/nonce",status="500"'
    assert counted == [f"counterfoil_http_requests_total{{{labels}}} 1.0"]
    with pytest.raises(ZeroDivisionError):
        # The server behind it writes it down.
        TestClient(app).post("/nonce")
