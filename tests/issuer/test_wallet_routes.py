"""The wallet's endpoints: bound tokens, encryption, what is not ready, offers by reference."""

import json
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import pytest
from counterfoil_credentials.dpop import make_dpop
from counterfoil_credentials.encoding import Json, JsonObject, compact_json, object_at
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.issuer_keys import parse_issuer_keys
from counterfoil_credentials.jose import DecryptionKey, decrypt_jwe, encrypt_jwe, encryption_key
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT
from counterfoil_issuer.app import create_app
from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.credential_request import Secrecy
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.public_routes import prefers_token
from counterfoil_issuer.records import DatasetState
from counterfoil_issuer.store import Store
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.conftest import Clock
from tests.issuer.brand import AUDIO

WALLETS = DecryptionKey.from_private_bytes(b"\x03" * 32, "wallets")
HOLDER = MemorySigner.from_private_bytes(b"\x07" * 32)
BOUND = MemorySigner.from_private_bytes(b"\x08" * 32)
STRANGER = MemorySigner.from_private_bytes(b"\x09" * 32)
JWT = {"Content-Type": "application/jwt"}


def app_of(
    issuer: Issuer, clients: ClientPolicy | None = None, secrecy: Secrecy | None = None
) -> FastAPI:
    return create_app(issuer, clients=clients, secrecy=secrecy or Secrecy())


class Wallet:
    """A wallet with an offer, whose tokens may be bound to a key."""

    def __init__(self, client: TestClient, issuer: Issuer, offer: OpenOffer, clock: Clock) -> None:
        self.client = client
        self.issuer = issuer
        self.offer = offer
        self.clock = clock
        self._jti = 0

    @property
    def form(self) -> dict[str, str]:
        return {
            "grant_type": PRE_AUTHORIZED_GRANT,
            "pre-authorized_code": parse_offer(self.offer.link).pre_authorized_code,
            "tx_code": self.offer.tx_code or "",
        }

    def dpop(
        self,
        path: str,
        *,
        token: str | None = None,
        signer: MemorySigner = BOUND,
        nonce: str | None = None,
        method: str = "POST",
    ) -> str:
        self._jti += 1
        return make_dpop(
            signer,
            method=method,
            url=AUDIO + path,
            jti=f"jti-{self._jti}",
            now=self.clock(),
            access_token=token,
            nonce=nonce,
        )

    def bearer(self) -> dict[str, str]:
        answer = self.client.post("/token", data=self.form)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def bound_token(self, nonce: str | None = None) -> str:
        proof = self.dpop("/token", nonce=nonce)
        answer = self.client.post("/token", data=self.form, headers={"DPoP": proof})
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "DPoP"
        return str(answer.json()["access_token"])

    def request(self, type_name: str = "warranty", **more: Json) -> JsonObject:
        nonce = self.client.post("/nonce").json()["c_nonce"]
        proof = make_proof(HOLDER, issuer=AUDIO, nonce=nonce, now=self.clock())
        return {"credential_configuration_id": type_name, "proofs": {"jwt": [proof]}, **more}

    def ask(self, headers: dict[str, str], path: str = "/credential") -> Response:
        return self.client.post(path, json=self.request(), headers=headers)


@pytest.fixture
def wallet(issuer: Issuer, offer: OpenOffer, clock: Clock) -> Iterator[Wallet]:
    with TestClient(app_of(issuer)) as client:
        yield Wallet(client, issuer, offer, clock)


def require_refusal(answer: Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


class TestBoundTokens:
    def test_a_token_bound_to_a_key_works_with_a_proof_of_the_key_once(
        self, wallet: Wallet
    ) -> None:
        token = wallet.bound_token()
        proof = wallet.dpop("/credential", token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}

        answer = wallet.ask(headers)
        assert answer.status_code == 200, answer.text
        again = wallet.ask(headers)
        require_refusal(again, 401, "invalid_dpop_proof")
        assert again.headers["www-authenticate"] == 'DPoP error="invalid_dpop_proof", algs="ES256"'
        fresh = {
            "Authorization": f"DPoP {token}",
            "DPoP": wallet.dpop("/notification", token=token),
        }
        said = {
            "notification_id": answer.json()["notification_id"],
            "event": "credential_accepted",
        }
        assert wallet.client.post("/notification", json=said, headers=fresh).status_code == 204

    def test_a_bound_token_is_of_no_use_without_its_key(self, wallet: Wallet) -> None:
        token = wallet.bound_token()
        other = wallet.dpop("/credential", token=token, signer=STRANGER)
        scheme = {"Authorization": f"DPoP {token}"}

        bearer = wallet.ask({"Authorization": f"Bearer {token}"})
        require_refusal(bearer, 401, "invalid_token")
        assert bearer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        require_refusal(wallet.ask({**scheme, "DPoP": other}), 401, "invalid_token")
        require_refusal(wallet.ask(scheme), 401, "invalid_dpop_proof")

    def test_a_bearer_token_does_not_become_bound(self, wallet: Wallet) -> None:
        token = wallet.bearer()["Authorization"].removeprefix("Bearer ")
        proof = wallet.dpop("/credential", token=token)

        refused = wallet.ask({"Authorization": f"DPoP {token}", "DPoP": proof})
        require_refusal(refused, 401, "invalid_token")

    def test_a_proof_for_another_request_is_refused(self, wallet: Wallet) -> None:
        token = wallet.bound_token()
        for proof in (
            wallet.dpop("/token", token=token),
            wallet.dpop("/credential", token=token, method="GET"),
            wallet.dpop("/credential", token=token + "A"),
            wallet.dpop("/credential"),
            "x",
        ):
            refused = wallet.ask({"Authorization": f"DPoP {token}", "DPoP": proof})
            require_refusal(refused, 401, "invalid_dpop_proof")
            assert refused.headers["dpop-nonce"]

    def test_two_proofs_are_no_proof(self, wallet: Wallet) -> None:
        token = wallet.bound_token()
        answer = wallet.client.post(
            "/credential",
            json=wallet.request(),
            headers=[
                ("Authorization", f"DPoP {token}"),
                ("DPoP", wallet.dpop("/credential", token=token)),
                ("DPoP", wallet.dpop("/credential", token=token)),
            ],
        )
        require_refusal(answer, 401, "invalid_dpop_proof")

    def test_where_nonces_are_required_a_wallet_is_told_the_one_to_use(
        self, issuer: Issuer, offer: OpenOffer, clock: Clock
    ) -> None:
        app = app_of(issuer, ClientPolicy(dpop=Demand.REQUIRED, dpop_nonce=Demand.REQUIRED))
        wallet = Wallet(TestClient(app), issuer, offer, clock)
        headers = {"DPoP": wallet.dpop("/token")}
        first = wallet.client.post("/token", data=wallet.form, headers=headers)
        require_refusal(first, 400, "use_dpop_nonce")
        require_refusal(wallet.client.post("/token", data=wallet.form), 400, "invalid_dpop_proof")

        token = wallet.bound_token(first.headers["dpop-nonce"])
        scheme = {"Authorization": f"DPoP {token}"}
        without = wallet.ask({**scheme, "DPoP": wallet.dpop("/credential", token=token)})
        require_refusal(without, 401, "use_dpop_nonce")
        assert without.headers["www-authenticate"].startswith('DPoP error="use_dpop_nonce"')
        for nonce in (
            without.headers["dpop-nonce"],
            wallet.client.post("/nonce").headers["dpop-nonce"],
        ):
            proof = wallet.dpop("/credential", token=token, nonce=nonce)
            assert wallet.ask({**scheme, "DPoP": proof}).status_code == 200
        wrong = wallet.client.post("/nonce").json()["c_nonce"]
        proof = wallet.dpop("/credential", token=token, nonce=wrong)
        require_refusal(wallet.ask({**scheme, "DPoP": proof}), 401, "use_dpop_nonce")

    def test_a_refused_request_spends_no_proof(self, wallet: Wallet) -> None:
        token = wallet.bound_token()
        headers = {
            "Authorization": f"DPoP {token}",
            "DPoP": wallet.dpop("/credential", token=token),
        }
        bad = wallet.client.post("/credential", json={}, headers=headers)
        require_refusal(bad, 400, "invalid_credential_request")

        assert wallet.ask(headers).status_code == 200


class TestEncryption:
    def sealed(self, wallet: Wallet, content: JsonObject) -> bytes:
        metadata = wallet.client.get("/.well-known/openid-credential-issuer").json()
        key = encryption_key(metadata["credential_request_encryption"]["jwks"], "jwks")
        return encrypt_jwe(compact_json(content), key=key).encode()

    def test_a_wallet_may_encrypt_what_it_asks_and_have_the_answer_encrypted(
        self, wallet: Wallet
    ) -> None:
        wanted: JsonObject = {"jwk": WALLETS.jwk(), "enc": "A256GCM"}
        asked = wallet.request(credential_response_encryption=wanted)
        answer = wallet.client.post(
            "/credential", content=self.sealed(wallet, asked), headers=wallet.bearer() | JWT
        )

        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jwt")
        assert answer.headers["cache-control"] == "no-store"
        opened = json.loads(decrypt_jwe(answer.text, keys=[WALLETS], where="answer"))
        assert opened["credentials"][0]["credential"].count("~") > 1

    def test_an_encrypted_request_without_a_key_is_answered_in_json(self, wallet: Wallet) -> None:
        answer = wallet.client.post(
            "/credential",
            content=self.sealed(wallet, wallet.request()),
            headers=wallet.bearer() | JWT,
        )
        assert answer.json().keys() == {"credentials", "notification_id"}

    def test_a_refusal_is_never_encrypted(self, wallet: Wallet) -> None:
        wanted: JsonObject = {"jwk": WALLETS.jwk(), "enc": "A256GCM"}
        asked = wallet.request("licence", credential_response_encryption=wanted)
        answer = wallet.client.post(
            "/credential", content=self.sealed(wallet, asked), headers=wallet.bearer() | JWT
        )
        require_refusal(answer, 400, "unknown_credential_configuration")

    def test_a_request_that_our_key_does_not_open_is_refused(self, wallet: Wallet) -> None:
        bearer = wallet.bearer()
        other = encrypt_jwe(compact_json(wallet.request()), key=WALLETS.public)
        for content in (other, "x", "a.b.c.d.e"):
            answer = wallet.client.post("/credential", content=content, headers=bearer | JWT)
            require_refusal(answer, 400, "invalid_encryption_parameters")

    def test_an_issuer_that_requires_encryption_says_so_and_means_it(
        self, issuer: Issuer, offer: OpenOffer, clock: Clock
    ) -> None:
        app = app_of(issuer, secrecy=Secrecy(requests=True, responses=True))
        wallet = Wallet(TestClient(app), issuer, offer, clock)
        metadata = wallet.client.get("/.well-known/openid-credential-issuer").json()
        for direction in ("request", "response"):
            assert metadata[f"credential_{direction}_encryption"]["encryption_required"] is True

        require_refusal(wallet.ask(wallet.bearer()), 400, "invalid_encryption_parameters")


class TestWhatIsNotReady:
    @pytest.fixture
    def waiting(self, wallet: Wallet) -> Wallet:
        (dataset,) = (each for each in wallet.offer.datasets if each.type_name == "warranty")
        with wallet.issuer.store.transaction() as held:
            held.change_dataset(replace(dataset, state=DatasetState.WAITING))
        return wallet

    def test_the_wallet_asks_again_until_it_is_ready(self, waiting: Wallet) -> None:
        bearer = waiting.bearer()
        first = waiting.ask(bearer)
        assert first.status_code == 202
        asked = {"transaction_id": first.json()["transaction_id"]}
        assert first.json() == {**asked, "interval": 60}

        second = waiting.client.post("/deferred_credential", json=asked, headers=bearer)
        assert (second.status_code, second.json()) == (202, first.json())
        (dataset,) = (each for each in waiting.offer.datasets if each.type_name == "warranty")
        with waiting.issuer.store.transaction() as held:
            held.release_dataset(dataset.dataset_id)
        third = waiting.client.post("/deferred_credential", json=asked, headers=bearer)
        assert third.status_code == 200
        assert len(third.json()["credentials"]) == 1
        fourth = waiting.client.post("/deferred_credential", json=asked, headers=bearer)
        require_refusal(fourth, 400, "invalid_transaction_id")

    def test_a_transaction_of_nobody_is_refused(self, waiting: Wallet) -> None:
        bearer = waiting.bearer()
        for said, code in (
            ({"transaction_id": "x"}, "invalid_transaction_id"),
            ({"transaction_id": 7}, "invalid_credential_request"),
            ({}, "invalid_credential_request"),
        ):
            answer = waiting.client.post("/deferred_credential", json=said, headers=bearer)
            require_refusal(answer, 400, code)
        none = waiting.client.post("/deferred_credential", json={"transaction_id": "x"})
        require_refusal(none, 401, "invalid_token")


class TestOffersAndDocuments:
    def test_an_offer_is_read_at_its_url_while_it_is_open(self, wallet: Wallet) -> None:
        (url,) = parse_qs(urlsplit(wallet.offer.qr).query)["credential_offer_uri"]
        assert url.startswith(f"{AUDIO}/offers/")
        path = urlsplit(unquote(url)).path
        answer = wallet.client.get(path)

        assert answer.json()["credential_issuer"] == AUDIO
        assert answer.headers["cache-control"] == "no-store"
        (carried,) = parse_qs(urlsplit(wallet.offer.link).query)["credential_offer"]
        assert answer.json() == json.loads(carried)
        wallet.bearer()
        require_refusal(wallet.client.get(path), 404, "not_found")
        for other in (path[:-1], f"{path}/", "/offers/", "/offers/ü", f"/offers/{'a' * 5000}"):
            require_refusal(wallet.client.get(other), 404, "not_found")

    def test_the_metadata_comes_signed_to_whoever_asks_for_a_token(self, wallet: Wallet) -> None:
        path = "/.well-known/openid-credential-issuer"
        plain = wallet.client.get(path)
        signed = wallet.client.get(path, headers={"Accept": "application/jwt"})

        assert plain.headers["content-type"] == "application/json"
        assert signed.headers["content-type"] == "application/jwt"
        assert plain.headers["vary"] == signed.headers["vary"] == "Accept"
        token = read_jws(signed.text, typ="openidvci-issuer-metadata+jwt", where="metadata")
        document = wallet.client.get("/.well-known/jwt-vc-issuer").json()
        keys = parse_issuer_keys(document, AUDIO)
        claims = token.verify(keys[str(token.header["kid"])])
        assert claims["sub"] == AUDIO
        said = plain.json()
        assert {name: claims[name] for name in said} == said

    @pytest.mark.parametrize(
        ("accept", "token"),
        [
            ("", False),
            ("*/*", False),
            ("application/*", False),
            ("application/json", False),
            ("application/jwt", True),
            ("APPLICATION/JWT ; q=0.5", True),
            ("application/json, application/jwt", True),
            ("application/json, application/jwt;q=0.9", False),
            ("application/json;q=0.1, application/jwt;q=0.2", True),
            ("application/jwt;q=0", False),
            ("application/jwt;q=x", False),
            ("application/jwts", False),
        ],
    )
    def test_json_is_for_everybody_who_does_not_ask_for_a_token(
        self, accept: str, *, token: bool
    ) -> None:
        assert prefers_token(accept) is token

    def test_the_metadata_announces_what_the_service_takes(self, wallet: Wallet) -> None:
        issuer = wallet.client.get("/.well-known/openid-credential-issuer").json()
        server = wallet.client.get("/.well-known/oauth-authorization-server").json()

        assert issuer["deferred_credential_endpoint"] == f"{AUDIO}/deferred_credential"
        assert issuer["batch_credential_issuance"]["batch_size"] >= 2
        assert server["dpop_signing_alg_values_supported"] == ["ES256"]
        assert "authorization_endpoint" not in server

    def test_the_openapi_document_lists_every_endpoint(self, wallet: Wallet) -> None:
        document = wallet.client.get("/openapi.json").json()

        for path in (
            "/token",
            "/nonce",
            "/credential",
            "/deferred_credential",
            "/notification",
            "/offers/{reference}",
            "/status-lists",
            "/status-lists/{number}",
            "/types/{name}",
            "/.well-known/openid-credential-issuer",
            "/.well-known/oauth-authorization-server",
            "/.well-known/jwt-vc-issuer",
        ):
            assert document["paths"][path], path
        ids = [
            operation["operationId"]
            for item in document["paths"].values()
            for operation in item.values()
        ]
        assert len(set(ids)) == len(ids)
        security = object_at(document["paths"]["/credential"], "post", "document")["security"]
        assert security == [{"accessToken": []}]


class TestTheHotPath:
    def test_another_method_is_told_which_ones_there_are(self, wallet: Wallet) -> None:
        answer = wallet.client.get("/token")
        require_refusal(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"
        answer = wallet.client.post("/status-lists")
        require_refusal(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD"

    def test_head_tells_the_length_and_nothing_more(self, wallet: Wallet) -> None:
        wallet.ask(wallet.bearer())
        whole = wallet.client.get("/status-lists/1")
        head = wallet.client.head("/status-lists/1")

        assert head.status_code == 200
        assert head.headers["content-length"] == str(len(whole.content))
        assert head.headers["etag"] == whole.headers["etag"]

    def test_a_database_that_is_away_is_503_with_a_word_when_to_come_again(
        self, wallet: Wallet, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bearer = wallet.bearer()

        async def away(_: object) -> None:
            raise Unavailable("expected the database to take part, found it locked")

        monkeypatch.setattr(store, "write", away)
        answer = wallet.ask(bearer)
        require_refusal(answer, 503, "temporarily_unavailable")
        assert answer.headers["retry-after"] == "5"

    @pytest.mark.parametrize("path", ["/token", "/credential", "/notification", "/nonce"])
    def test_a_body_cut_short_is_not_taken_for_a_whole_one(self, wallet: Wallet, path: str) -> None:
        token = wallet.bearer()["Authorization"]
        sent = answered(
            wallet.client.app,
            path,
            [
                {"type": "http.request", "body": b"grant_type=x", "more_body": True},
                {"type": "http.disconnect"},
            ],
            token,
        )
        assert sent[0]["status"] == 400

    @pytest.mark.parametrize("announced", [b"65537", b"9" * 5000, None])
    def test_a_body_that_is_too_long_is_refused_announced_or_not(
        self, wallet: Wallet, announced: bytes | None
    ) -> None:
        chunk = {"type": "http.request", "body": b"x" * 40_000, "more_body": True}
        sent = answered(
            wallet.client.app,
            "/nonce",
            [chunk, chunk, chunk] if announced is None else [],
            length=announced,
        )
        assert sent[0]["status"] == 413

    def test_a_form_cut_into_pieces_is_put_together(self, wallet: Wallet) -> None:
        sent = answered(
            wallet.client.app,
            "/nonce",
            [
                {"type": "http.request", "body": b"x", "more_body": True},
                {"type": "http.request"},
            ],
        )
        assert sent[0]["status"] == 200


def answered(
    app: Callable[..., Any],
    path: str,
    arriving: list[dict[str, Any]],
    authorization: str = "",
    length: bytes | None = None,
) -> list[MutableMapping[str, Any]]:
    """Send the raw messages of one request and give those of its answer."""
    sent: list[MutableMapping[str, Any]] = []
    arriving = [*arriving]
    headers = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"authorization", authorization.encode()),
    ]
    if length is not None:
        headers.append((b"content-length", length))
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": headers,
    }

    async def receive() -> dict[str, Any]:
        return arriving.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    anyio.run(app, scope, receive, send)
    return sent


def test_a_token_of_five_minutes_ends_over_http_too(wallet: Wallet) -> None:
    bearer = wallet.bearer()
    wallet.clock.advance(timedelta(minutes=5))

    require_refusal(wallet.ask(bearer), 401, "invalid_token")
