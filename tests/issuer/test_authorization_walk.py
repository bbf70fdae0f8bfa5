"""A strict brand's whole service over HTTP: pushed, attested, sender-constrained."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
from counterfoil_credentials.client_attestation import (
    make_client_attestation,
    make_client_attestation_pop,
)
from counterfoil_credentials.dpop import make_dpop
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.app import create_app
from counterfoil_issuer.authorization_routes import authorization_router
from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.spec import AUTHORIZATION_CODE_GRANT
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.conftest import Clock
from tests.issuer.brand import AUDIO
from tests.issuer.provider import Provider
from tests.issuer.visitor import CLIENT, REDIRECT, VERIFIER, answer_in, asked, desk_of, ticket_in

ATTESTER = MemorySigner.from_private_bytes(b"\x05" * 32)
STRICT = ClientPolicy(
    attestation=Demand.REQUIRED,
    attesters=frozenset({ATTESTER.public}),
    dpop=Demand.REQUIRED,
    dpop_nonce=Demand.REQUIRED,
)


class Wallet:
    """An attested wallet that knows the service by its metadata and answers its nonces."""

    def __init__(self, http: TestClient, clock: Clock, provider: Provider) -> None:
        self.http, self.clock, self.provider = http, clock, provider
        self.instance, self.key = MemorySigner.generate(), MemorySigner.generate()
        self.holder = MemorySigner.generate()
        self.server: dict[str, Any] = http.get("/.well-known/oauth-authorization-server").json()
        self.nonce: str | None = None
        self.jti = map(str, count())

    def headers(
        self, url: str, *, token: str | None = None, combined: bool = False
    ) -> dict[str, str]:
        challenge = str(
            self.http.post(self.server["challenge_endpoint"]).json()["attestation_challenge"]
        )
        attestation = make_client_attestation(
            ATTESTER,
            client_id=CLIENT,
            instance_key=self.instance.public,
            now=self.clock(),
            lasts=timedelta(hours=1),
        )
        proof = make_dpop(
            self.instance if combined else self.key,
            method="POST",
            url=url,
            jti=next(self.jti),
            now=self.clock(),
            access_token=token,
            nonce=self.nonce,
        )
        if token is not None:
            return {"DPoP": proof, "Authorization": f"DPoP {token}"}
        headers = {"OAuth-Client-Attestation": attestation, "DPoP": proof}
        if not combined:
            headers["OAuth-Client-Attestation-PoP"] = make_client_attestation_pop(
                self.instance,
                client_id=CLIENT,
                audience=AUDIO,
                jti=next(self.jti),
                now=self.clock(),
                challenge=challenge,
            )
        return headers

    def post(self, endpoint: str, form: dict[str, str], *, combined: bool = False) -> Response:
        """Post to an endpoint of the metadata; once again when a nonce is asked for."""
        url = str(self.server[endpoint])
        answer = self.http.post(url, data=form, headers=self.headers(url, combined=combined))
        asks = ("use_dpop_nonce", "use_attestation_challenge")
        if answer.status_code == 400 and answer.json()["error"] in asks:
            self.nonce = answer.headers["dpop-nonce"]
            answer = self.http.post(url, data=form, headers=self.headers(url, combined=combined))
        return answer

    def code(self, *, combined: bool = False) -> str:
        pushed = self.post("pushed_authorization_request_endpoint", asked(), combined=combined)
        assert pushed.status_code == 201, pushed.text
        query = {"client_id": CLIENT, "request_uri": pushed.json()["request_uri"]}
        began = self.http.get(self.server["authorization_endpoint"], params=query)
        page = self.http.get(self.provider.log_in(began.headers["location"]))
        form = {"ticket": ticket_in(page), "answer": "agree"}
        return answer_in(self.http.post(f"{AUDIO}/authorize/answer", data=form))["code"]

    def token_form(self, code: str) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }

    def credential(self, token: str, headers: dict[str, str] | None = None) -> Response:
        nonce = self.http.post(f"{AUDIO}/nonce")
        self.nonce = nonce.headers["dpop-nonce"]
        proof = make_proof(
            self.holder, issuer=AUDIO, nonce=nonce.json()["c_nonce"], now=self.clock()
        )
        body = {"credential_configuration_id": "receipt", "proofs": {"jwt": [proof]}}
        url = f"{AUDIO}/credential"
        return self.http.post(url, json=body, headers=headers or self.headers(url, token=token))


@pytest.fixture
def provider(now: datetime) -> Provider:
    return Provider(now)


@pytest.fixture
def wallet(issuer: Issuer, clock: Clock, provider: Provider) -> Iterator[Wallet]:
    desk = desk_of(issuer, provider.login(), STRICT)
    app = create_app(
        issuer,
        clients=desk.clients,
        grants={AUTHORIZATION_CODE_GRANT: desk.redeem},
        routers=[authorization_router(desk)],
    )
    with TestClient(app, base_url=AUDIO, follow_redirects=False) as http:
        yield Wallet(http, clock, provider)


def test_the_metadata_says_all_that_is_demanded(wallet: Wallet) -> None:
    server = wallet.server

    assert server["require_pushed_authorization_requests"] is True
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert server["authorization_response_iss_parameter_supported"] is True
    assert server["dpop_signing_alg_values_supported"] == ["ES256"]
    assert server["token_endpoint_auth_methods_supported"] == [
        "attest_jwt_client_auth",
        "attest_jwt_client_auth_dpop",
    ]
    assert {urlsplit(str(server[name])).path for name in server if name.endswith("_endpoint")} > {
        "/authorize",
        "/par",
        "/token",
        "/challenge",
    }


@pytest.mark.parametrize("combined", [False, True])
def test_an_attested_wallet_gets_a_bound_token_and_its_credential(
    wallet: Wallet, *, combined: bool
) -> None:
    answer = wallet.post("token_endpoint", wallet.token_form(wallet.code(combined=combined)))
    if combined:
        # The code is for the key of the one proof; another does not get its token.
        assert answer.json()["error"] == "invalid_grant"
        code = wallet.code(combined=True)
        answer = wallet.post("token_endpoint", wallet.token_form(code), combined=True)
        wallet.key = wallet.instance

    assert answer.status_code == 200, answer.text
    token = answer.json()
    assert token["token_type"] == "DPoP"
    credential = wallet.credential(token["access_token"])
    assert credential.status_code == 200, credential.text
    assert len(credential.json()["credentials"]) == 1


def test_the_token_is_of_no_use_without_its_key(wallet: Wallet) -> None:
    token = wallet.post("token_endpoint", wallet.token_form(wallet.code())).json()["access_token"]

    bearer = wallet.credential(token, {"Authorization": f"Bearer {token}"})
    assert (bearer.status_code, bearer.json()["error"]) == (401, "invalid_token")
    ours, wallet.key = wallet.key, MemorySigner.generate()
    theirs = wallet.credential(token)
    assert (theirs.status_code, theirs.json()["error"]) == (401, "invalid_token")
    wallet.key = ours
    headers = wallet.headers(f"{AUDIO}/credential", token=token)
    assert wallet.credential(token, headers).status_code == 200


def test_a_proof_of_one_request_does_not_serve_another(wallet: Wallet) -> None:
    token = wallet.post("token_endpoint", wallet.token_form(wallet.code())).json()["access_token"]
    headers = wallet.headers(f"{AUDIO}/credential", token=token)
    assert wallet.credential(token, headers).status_code == 200

    again = wallet.credential(token, headers)

    assert again.json()["error"] == "invalid_dpop_proof"


def test_nobody_else_uses_the_code(wallet: Wallet) -> None:
    code = wallet.code()
    ours, wallet.instance = wallet.instance, MemorySigner.generate()
    stolen = wallet.post("token_endpoint", wallet.token_form(code))
    assert stolen.json()["error"] == "invalid_grant"

    bare = wallet.http.post(
        wallet.server["token_endpoint"], data={**wallet.token_form(code), "client_id": CLIENT}
    )
    assert bare.json()["error"] == "invalid_client"

    wallet.instance = ours
    assert wallet.post("token_endpoint", wallet.token_form(code)).status_code == 200
