"""Errors as HTTP answers."""

from collections.abc import Iterator
from typing import Literal

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_service.errors import error_response, install_error_handlers
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

SECRET = "0xSECRET"
EXPIRED = Reason("expired", "a term in the future", "one that ended", "credential.exp")
REVOKED = Reason("revoked", "a credential in force", "one that is revoked", "status list")


class Order(BaseModel):
    number: int
    channel: Literal["web", "shop"]


ERRORS: dict[str, Exception] = {
    "malformed": Malformed('a "text"', "a number", "offer.issuer"),
    "refused": Refused(EXPIRED, REVOKED),
    "unavailable": Unavailable("the status list did not arrive"),
    "misuse": Misuse(f"expected no {SECRET}"),
    "bug": ValueError(SECRET),
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    install_error_handlers(app, max_body_bytes=100)

    @app.get("/fails/{kind}")
    def fails(kind: str) -> None:
        raise ERRORS[kind]

    @app.post("/orders")
    def orders(order: Order) -> int:
        return order.number

    @app.post("/bytes")
    async def raw(request: Request) -> int:
        return len(await request.body())

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_answers_400_to_malformed_input(client: TestClient) -> None:
    answer = client.get("/fails/malformed")

    assert answer.status_code == 400
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "error": "invalid_request",
        "error_description": "expected a 'text', found a number (offer.issuer)",
    }


def test_answers_400_with_every_reason_to_a_refusal(client: TestClient) -> None:
    answer = client.get("/fails/refused")

    assert answer.status_code == 400
    assert answer.json()["error"] == "refused"
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["expired", "revoked"]
    assert answer.json()["reasons"][0] == {
        "code": "expired",
        "expected": "a term in the future",
        "found": "one that ended",
        "where": "credential.exp",
    }


def test_answers_503_and_when_to_come_back_when_it_could_not_find_out(client: TestClient) -> None:
    answer = client.get("/fails/unavailable")

    assert answer.status_code == 503
    assert answer.json()["error"] == "temporarily_unavailable"
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("kind", ["misuse", "bug"])
def test_says_nothing_about_its_own_failure(client: TestClient, kind: str) -> None:
    answer = client.get(f"/fails/{kind}")

    assert answer.status_code == 500
    assert answer.json() == {
        "error": "server_error",
        "error_description": "the service failed; its log says where",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"number": "0xSECRET", "channel": "web"}', "body.number"),
        (b'{"number": 1, "channel": "0xSECRET"}', "body.channel"),
        (b'{"number": 1}', "body.channel"),
        (b'{"number": 1, "channel": "web"', "body"),
        (b'"0xSECRET"', "body"),
        (b"", "body"),
        (b"\xff", ""),
    ],
)
def test_names_the_field_of_a_body_that_does_not_fit_and_not_its_value(
    client: TestClient, body: bytes, field: str
) -> None:
    answer = client.post("/orders", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert answer.json()["error_description"].startswith(field)
    assert SECRET not in answer.text


def test_takes_a_body_that_fits(client: TestClient) -> None:
    answer = client.post("/orders", json={"number": 1001, "channel": "web"})

    assert (answer.status_code, answer.json()) == (200, 1001)


@pytest.mark.parametrize("path", ["/nowhere", "/fails/malformed/deeper"])
def test_answers_404_in_the_same_shape(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_answers_405_in_the_same_shape(client: TestClient) -> None:
    answer = client.get("/orders")

    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")


def test_takes_a_body_of_just_the_limit(client: TestClient) -> None:
    assert client.post("/bytes", content=b"a" * 100).json() == 100


def test_refuses_a_body_that_announces_one_byte_more(client: TestClient) -> None:
    answer = client.post("/bytes", content=b"a" * 101)

    assert answer.status_code == 413
    assert answer.json()["error_description"] == "expected a body of at most 100 bytes, found more"


@pytest.mark.parametrize("path", ["/bytes", "/orders"])
def test_refuses_a_body_that_grows_past_the_limit_unannounced(
    client: TestClient, path: str
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b"a" * 10

    answer = client.post(path, content=chunks(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 413


def test_keeps_a_description_within_the_characters_of_oauth() -> None:
    answer = error_response(400, "invalid_request", 'a "b" \\ c\n保修' + "x" * 5_000)

    assert b"a 'b' / c???xxx" in answer.body
    assert len(answer.body) < 1_200
