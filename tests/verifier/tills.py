"""The shop's service on loopback, and a wallet and a till that speak to it."""

import json
import socket
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

import uvicorn
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import read_request
from counterfoil_service.deadlines import PunctualProtocol
from fastapi import FastAPI

from tests.verifier.scene import Scene, answer_form

KEY: Final = "the-counters-own-key"
FORM: Final = "application/x-www-form-urlencoded"
PATIENCE_S: Final = 20


class Till:
    """The service on loopback, and a wallet that answers it."""

    def __init__(self, scene: Scene, port: int) -> None:
        self.scene = scene
        self.port = port

    def send(
        self, method: str, url: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(url)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, path, body, named)
            response = connection.getresponse()
            text = response.read().decode()
            kind = response.headers.get_content_type()
            found = json.loads(text) if kind == "application/json" else text
            return response.status, found, dict(response.headers.items())
        finally:
            connection.close()

    def counter(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        status, found, _ = self.send(
            method,
            path,
            None if body is None else json.dumps(body).encode(),
            Authorization=f"Bearer {KEY}",
            Content_Type="application/json",
        )
        return status, found

    def ask(self, **changes: object) -> dict[str, str]:
        asking = {"preset": "warranty", **changes}
        status, asked = self.counter("POST", "/counter/requests", asking)
        assert status == 200
        return cast("dict[str, str]", asked)

    def answer(
        self, asked: dict[str, str], audience: str | None = None
    ) -> tuple[str, dict[str, str]]:
        """Fetch the request as a wallet does; give where the answer goes, and the answer."""
        link = parse_request_link(asked["link"])
        status, signed, headers = self.send("GET", link.request_uri)
        assert status == 200
        assert headers["content-type"] == "application/oauth-authz-req+jwt"
        request = read_request(signed, client_id=link.client_id, now=self.scene.clock())
        vp_token = self.scene.present(
            self.scene.warranty(), request, audience=audience or request.client_id
        )
        return request.response_uri, answer_form(vp_token, request)

    def post(self, url: str, form: dict[str, str]) -> tuple[int, Any]:
        status, found, headers = self.send("POST", url, urlencode(form).encode(), Content_Type=FORM)
        assert headers["cache-control"] == "no-store"
        return status, found


@contextmanager
def serving(scene: Scene, app: FastAPI) -> Generator[Till, None, None]:
    """Serve `app`, which is of `scene`'s counter, as `serve` does."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=PunctualProtocol, log_config=None, ws="none", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Till(scene, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
    assert not thread.is_alive()


@contextmanager
def stream(till: Till, asked: dict[str, str]) -> Generator[HTTPResponse, None, None]:
    """Open the stream of a session's events."""
    connection = HTTPConnection("127.0.0.1", till.port, timeout=PATIENCE_S)
    headers = {"Authorization": f"Bearer {KEY}"}
    with closing(connection):
        connection.request("GET", f"/counter/requests/{asked['id']}/events", headers=headers)
        with connection.getresponse() as response:
            yield response


def next_look(response: HTTPResponse) -> dict[str, Any]:
    """Give the next event of a stream."""
    lines = [response.readline().decode().rstrip() for _ in range(3)]
    assert lines[0] == "event: look"
    assert lines[2] == ""
    return dict(json.loads(lines[1].removeprefix("data: ")))
