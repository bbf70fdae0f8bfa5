"""A wallet and its customer's browser, on the way to an authorization code."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from counterfoil_credentials.encoding import b64url
from counterfoil_issuer.authorization_routes import AuthorizationDesk, authorization_router
from counterfoil_issuer.clients import ClientPolicy, Sender
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.login import Login
from counterfoil_issuer.sql_authorization import grants_of
from counterfoil_issuer.tokens import AccessToken
from counterfoil_service.errors import install_error_handlers
from counterfoil_service.sealing import Seal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.issuer.brand import AUDIO, wait
from tests.issuer.provider import Provider

CLIENT: Final = "https://wallet.example"
REDIRECT: Final = "https://wallet.example/cb?from=audio"
VERIFIER: Final = "a-verifier-of-forty-three-characters-at-least"
CHALLENGE: Final = b64url(sha256(VERIFIER.encode()).digest())
POLICY: Final = ClientPolicy(redirect_uris={CLIENT: frozenset({REDIRECT})})

_TICKET: Final = re.compile(r'name="ticket" value="([^"]*)"')


def desk_of(issuer: Issuer, login: Login, policy: ClientPolicy = POLICY) -> AuthorizationDesk:
    """Give the authorization of `issuer`."""
    seal = Seal(issuer.secret, "authorization")
    return AuthorizationDesk(
        issuer=issuer, clients=policy, login=login, grants_of=grants_of, seal=seal
    )


def app_of(desk: AuthorizationDesk) -> FastAPI:
    """Give the routes of `desk` and nothing else."""
    app = FastAPI()
    install_error_handlers(app)
    app.include_router(authorization_router(desk), prefix=urlsplit(desk.url).path)
    return app


def asked(**changes: str | None) -> dict[str, str]:
    """Give a good authorization request; a change to None leaves the parameter out."""
    full = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": REDIRECT,
        "scope": "receipt",
        "state": "a-state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in full.items() if value is not None}


def answer_in(response: Response, redirect: str = REDIRECT) -> dict[str, str]:
    """Give what travelled back to the wallet, after its own query."""
    assert response.status_code == 303, response.text
    location = response.headers["location"]
    assert location.startswith(f"{redirect}{'&' if '?' in redirect else '?'}"), location
    return dict(parse_qsl(urlsplit(location).query))


def ticket_in(page: Response) -> str:
    """Give the ticket in the form of a confirmation page."""
    found = _TICKET.search(page.text)
    assert found is not None, page.text
    return found[1]


@dataclass
class Visitor:
    """One browser, and the wallet behind it."""

    desk: AuthorizationDesk
    provider: Provider
    client: TestClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.browser()

    def browser(self) -> TestClient:
        """Give another browser, without cookies."""
        return TestClient(app_of(self.desk), base_url=AUDIO, follow_redirects=False)

    def push(self, form: dict[str, str], headers: Mapping[str, str] | None = None) -> Response:
        """Push an authorization request."""
        return self.client.post("/par", data=form, headers=dict(headers or {}))

    def pushed(self, form: dict[str, str], headers: Mapping[str, str] | None = None) -> str:
        """Push a good request, and give its reference."""
        answer = self.push(form, headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["request_uri"])

    def arrive(self, query: dict[str, str]) -> Response:
        """Open the authorization endpoint."""
        return self.client.get("/authorize", params=query)

    def callback(self, query: dict[str, str]) -> str:
        """Open it, log in at the provider, and give where that leads."""
        answer = self.arrive(query)
        assert answer.status_code == 303, answer.text
        return self.provider.log_in(answer.headers["location"])

    def page(self, query: dict[str, str] | None = None) -> Response:
        """Log in, and give the page that follows."""
        return self.client.get(self.callback(query or asked()))

    def say(self, page: Response, answer: str = "agree") -> Response:
        """Press a button on the page."""
        form = {"ticket": ticket_in(page), "answer": answer}
        return self.client.post("/authorize/answer", data=form)

    def code(self, query: dict[str, str] | None = None) -> str:
        """Go all the way to a code."""
        return answer_in(self.say(self.page(query)))["code"]

    def token_form(self, code: str, /, **changes: str | None) -> dict[str, str]:
        """Give a good token request."""
        full = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
            "client_id": CLIENT,
            **changes,
        }
        return {name: value for name, value in full.items() if value is not None}

    def redeem(
        self, code: str, sender: Sender | None = None, /, **changes: str | None
    ) -> AccessToken:
        """Turn a code into a token."""
        form = self.token_form(code, **changes)
        return wait(self.desk.redeem(form, sender or Sender(client_id=form.get("client_id"))))


RandomBytes = Callable[[int], bytes]
