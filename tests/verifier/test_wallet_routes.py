"""What a wallet may send and fetch, over HTTP: OpenID4VP 1.0, sections 5.10, 8.2 and 8.5."""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import PresentationRequest, read_request
from counterfoil_verifier.app import create_app
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.conftest import Clock
from tests.verifier.scene import MINUTE, NOON, Scene, answer_form

KEY = {"Authorization": "Bearer of-the-counter"}
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Door:
    """The shop's service, with one open question."""

    http: TestClient
    scene: Scene
    session: str
    link: str

    @property
    def path(self) -> str:
        return urlsplit(parse_request_link(self.link).request_uri).path

    def request(self, token: str | None = None) -> PresentationRequest:
        found = self.http.get(self.path).text if token is None else token
        client_id = parse_request_link(self.link).client_id
        return read_request(found, client_id=client_id, now=self.scene.clock())

    def answer(self, form: Mapping[str, str]) -> Response:
        return self.http.post(urlsplit(self.request().response_uri).path, data=dict(form))

    def good(self) -> dict[str, str]:
        request = self.request()
        return answer_form(self.scene.present(self.scene.warranty(), request), request)

    def look(self) -> dict[str, Any]:
        url = f"/counter/requests/{self.session}"
        return dict(self.http.get(url, headers=KEY).json())


@pytest.fixture
def door(clock: Clock, random_bytes: Callable[[int], bytes]) -> Generator[Door, None, None]:
    scene = Scene(clock, random_bytes)
    with TestClient(create_app(scene.counter, counter_key="of-the-counter")) as http:
        asked = http.post("/counter/requests", json={"preset": "warranty"}, headers=KEY).json()
        yield Door(http, scene, asked["id"], asked["link"])


class TestARequestIsFetched:
    def test_by_post_with_what_the_shop_does_not_know(self, door: Door) -> None:
        """Section 5.10: unrecognised parameters, and members of the metadata, are ignored."""
        formats: dict[str, dict[str, object]] = {"dc+sd-jwt": {}}
        metadata = {"vp_formats_supported": formats, "of_tomorrow": [1]}

        form = {"wallet_metadata": json.dumps(metadata), "more": "of it"}
        answer = door.http.post(door.path, data=form)

        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/oauth-authz-req+jwt"
        assert answer.headers["cache-control"] == "no-store"
        assert door.request(answer.text) == door.request()

    @pytest.mark.parametrize(
        "form",
        [
            {"wallet_metadata": "{"},
            {"wallet_metadata": "[]"},
            {"wallet_metadata": '{"a": 1, "a": 2}'},
            {"wallet_nonce": ""},
            {"wallet_nonce": "n" * 513},
        ],
        ids=["cut", "a list", "one member twice", "no nonce", "a long nonce"],
    )
    def test_by_a_post_that_is_none_it_is_not(self, door: Door, form: Mapping[str, str]) -> None:
        answer = door.http.post(door.path, data=dict(form))

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert door.answer(door.good()).status_code == 200

    def test_by_a_post_of_another_kind_it_is_not(self, door: Door) -> None:
        answer = door.http.post(door.path, json={"wallet_nonce": "n"})

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_as_long_as_it_is_open(self, door: Door, clock: Clock, method: str) -> None:
        def fetched() -> int:
            return door.http.request(method, door.path, headers={"Content-Type": FORM}).status_code

        assert fetched() == 200
        clock.now = NOON + 2 * MINUTE
        assert fetched() == 404
        clock.now = NOON
        assert door.answer(door.good()).status_code == 200
        assert fetched() == 404


class TestAWalletSaysThatItShowsNothing:
    @pytest.mark.parametrize(
        "error", ["access_denied", "invalid_request", "wallet_unavailable", "of_tomorrow"]
    )
    def test_and_is_heard(self, door: Door, error: str) -> None:
        """Section 8.2: an error that was processed is answered with 200 and a JSON object."""
        state = door.request().state or ""

        answer = door.answer({"error": error, "error_description": "no <b>", "state": state})

        assert (answer.status_code, answer.json()) == (200, {})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        look = door.look()
        assert (look["state"], look["light"]) == ("refused", "red")
        assert "<b>" not in json.dumps(look)

    def test_once(self, door: Door) -> None:
        form = {"error": "access_denied", "state": door.request().state or ""}
        path = urlsplit(door.request().response_uri).path
        good = door.good()

        assert door.answer(form).status_code == 200
        for later in (form, good):
            answer = door.http.post(path, data=later)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert door.look()["light"] == "red"

    def test_in_the_name_of_nobody_else(self, door: Door) -> None:
        for state in ({}, {"state": "another"}):
            answer = door.answer({"error": "access_denied", **state})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

        assert door.look()["state"] == "waiting"


def test_what_else_comes_with_an_answer_is_ignored(door: Door) -> None:
    """Section 8.1: unrecognised response parameters, an `iss` or a `code` among them."""
    answer = door.answer({**door.good(), "iss": "https://wallet.example", "code": "c", "more": ""})

    assert answer.status_code == 200
    assert door.look()["light"] == "green"
