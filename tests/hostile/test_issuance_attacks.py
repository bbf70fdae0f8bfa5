"""Attacks on an issuer, each named as in the threat list, over HTTP against the whole service.

Everything here is sent by somebody who may send: a stranger, or a customer with a good offer.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from counterfoil_credentials.errors import CounterfoilError
from counterfoil_credentials.fetch import MAX_BYTES, GuardedFetcher
from counterfoil_credentials.fetch import Response as Fetched
from counterfoil_issuer.login import attempt_of
from counterfoil_issuer.oidc_login import OidcLogin
from httpx2 import Response

from tests.conftest import NOON
from tests.issuer.conformance.emulated_wallet import (
    CALLBACK,
    CLIENT_ID,
    JWE,
    JWK,
    PRE_AUTHORIZED,
    EmulatedWallet,
    Json,
    new_key,
    public,
    signed,
)
from tests.issuer.conformance.stage import TYPE, Stage

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def error(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def token(stage: Stage, wallet: EmulatedWallet) -> Json:
    offer = stage.offer()
    answer = wallet.redeem(offer.link, offer.tx_code)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused_then_good(stage: Stage, request: Callable[[EmulatedWallet], Json]) -> Response:
    """Give the answer to a bad request; the same customer's good one is answered afterwards."""
    wallet = stage.wallet()
    access = token(stage, wallet)
    answer = wallet.ask(access, wallet.request(TYPE, access) | request(wallet))
    assert wallet.ask(access, wallet.request(TYPE, access)).status_code == 200
    return answer


# Replay.


def test_code_replay(plain: Stage) -> None:
    wallet, thief, offer = plain.wallet(), plain.wallet(), plain.offer()
    assert wallet.redeem(offer.link).status_code == 200

    assert error(thief.redeem(offer.link)) == (400, "invalid_grant")


def test_nonce_replay_by_another_customer(plain: Stage) -> None:
    wallet, thief = plain.wallet(), plain.wallet()
    nonce = wallet.nonce()
    mine, theirs = token(plain, wallet), token(plain, thief)
    good = wallet.ask(mine, wallet.request(TYPE, mine, proofs=[wallet.proof(nonce)]))
    assert good.status_code == 200

    answer = thief.ask(theirs, thief.request(TYPE, theirs, proofs=[thief.proof(nonce)]))

    assert error(answer) == (400, "invalid_nonce")


def test_replay_of_a_whole_request_under_a_stolen_token_gives_the_thief_nothing(
    plain: Stage,
) -> None:
    wallet = plain.wallet(sender_constrained=True)
    access = token(plain, wallet)
    request = wallet.request(TYPE, access)
    thief = plain.wallet()

    assert error(thief.ask(access, request)) == (401, "invalid_token")
    other_key = plain.wallet(sender_constrained=True)
    assert other_key.ask(access, request).status_code == 401
    assert wallet.ask(access, request).status_code == 200


def test_pin_guessing(plain: Stage) -> None:
    wallet, offer = plain.wallet(), plain.offer(tx_code=True)
    assert offer.tx_code is not None
    wrong = f"{(int(offer.tx_code[-1]) + 1) % 10}"

    guesses = [wallet.redeem(offer.link, offer.tx_code[:-1] + wrong) for _ in range(5)]

    assert [error(guess) for guess in guesses] == [(400, "invalid_grant")] * 5
    assert error(wallet.redeem(offer.link, offer.tx_code)) == (400, "invalid_grant")


def test_four_wrong_pins_do_not_lock_the_customer_out(plain: Stage) -> None:
    wallet, offer = plain.wallet(), plain.offer(tx_code=True)
    assert offer.tx_code is not None
    for _ in range(4):
        assert error(wallet.redeem(offer.link, "x")) == (400, "invalid_grant")

    assert wallet.redeem(offer.link, offer.tx_code).status_code == 200


def test_a_code_without_its_pin_is_not_burnt(plain: Stage) -> None:
    wallet, offer = plain.wallet(), plain.offer(tx_code=True)

    for _ in range(6):
        assert error(wallet.redeem(offer.link)) == (400, "invalid_request")
        # A parameter without a value is as if it were not there (RFC 6749, section 3.2).
        assert error(wallet.redeem(offer.link, "")) == (400, "invalid_request")
    assert wallet.redeem(offer.link, offer.tx_code).status_code == 200


# Proofs.


def with_header(**header: object) -> Callable[[EmulatedWallet], Json]:
    def request(wallet: EmulatedWallet) -> Json:
        return {"proofs": {"jwt": [wallet.proof(wallet.nonce(), header=header)]}}

    return request


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "did:jwk:e30#0"},
        {"x5c": ["MIIB"]},
        {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
        {"typ": "kb+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": "dc+sd-jwt"},
        {"typ": "JWT"},
        {"crit": ["exp"], "exp": 0},
        {"jku": "https://127.0.0.1/keys", "jwk": None},
        {"x5u": "http://169.254.169.254/latest", "jwk": None},
        {"kid": "did:web:localhost", "jwk": None},
    ],
    ids=str,
)
def test_proof_of_a_key_that_is_not_named_once_and_plainly(plain: Stage, header: Json) -> None:
    # With closed sockets: whoever followed `jku`, `x5u` or did:web would fail otherwise.
    assert error(refused_then_good(plain, with_header(**header))) == (400, "invalid_proof")


def test_proof_with_a_private_key(plain: Stage) -> None:
    def request(wallet: EmulatedWallet) -> Json:
        private = wallet.key.export_private(as_dict=True)
        return with_header(jwk=private)(wallet)

    assert error(refused_then_good(plain, request)) == (400, "invalid_proof")


def test_proof_without_a_signature(plain: Stage) -> None:
    def request(wallet: EmulatedWallet) -> Json:
        proof = wallet.proof(wallet.nonce())
        _, claims, _ = proof.split(".")
        header = {"typ": "openid4vci-proof+jwt", "alg": "none", "jwk": public(wallet.key)}
        head = urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        return {"proofs": {"jwt": [f"{head}.{claims}."]}}

    assert error(refused_then_good(plain, request)) == (400, "invalid_proof")


def test_algorithm_confusion_with_the_public_key_as_secret(plain: Stage) -> None:
    def request(wallet: EmulatedWallet) -> Json:
        secret = JWK(kty="oct", k=public(wallet.key)["x"])
        header = {"typ": "openid4vci-proof+jwt", "alg": "HS256", "jwk": public(wallet.key)}
        claims = {"aud": wallet.issuer, "iat": wallet.now, "nonce": wallet.nonce()}
        return {"proofs": {"jwt": [signed(header, claims, secret)]}}

    assert error(refused_then_good(plain, request)) == (400, "invalid_proof")


def test_two_proof_types_two_nonces_or_no_proof_at_all(plain: Stage) -> None:
    def types(wallet: EmulatedWallet) -> Json:
        proof = wallet.proof(wallet.nonce())
        return {"proofs": {"jwt": [proof], "attestation": [proof]}}

    def nonces(wallet: EmulatedWallet) -> Json:
        other = wallet.proof(wallet.nonce(), new_key())
        return {"proofs": {"jwt": [wallet.proof(wallet.nonce()), other]}}

    def twice(wallet: EmulatedWallet) -> Json:
        proof = wallet.proof(wallet.nonce())
        return {"proofs": {"jwt": [proof, proof]}}

    def empty(_: EmulatedWallet) -> Json:
        return {"proofs": {"jwt": []}}

    for request in (types, nonces, twice, empty):
        answer = refused_then_good(plain, request)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"] in {"invalid_proof", "invalid_nonce"}, request.__name__


def test_more_proofs_than_a_batch(plain: Stage) -> None:
    def request(wallet: EmulatedWallet) -> Json:
        size = wallet.metadata["batch_credential_issuance"]["batch_size"]
        nonce = wallet.nonce()
        return {"proofs": {"jwt": [wallet.proof(nonce, new_key()) for _ in range(size + 1)]}}

    status, code = error(refused_then_good(plain, request))

    assert (status, code) in {(400, "invalid_proof"), (400, "invalid_credential_request")}


# Encryption.


def test_response_key_substitution(plain: Stage) -> None:
    """Whoever changes a plain request on its way must not be able to name the answer's key."""

    def request(_: EmulatedWallet) -> Json:
        jwk = public(new_key()) | {"alg": "ECDH-ES", "use": "enc", "kid": "thief"}
        return {"credential_response_encryption": {"jwk": jwk, "enc": "A128GCM"}}

    answer = refused_then_good(plain, request)

    assert error(answer) == (400, "invalid_encryption_parameters")


def test_response_key_that_is_private(plain: Stage) -> None:
    wallet = plain.wallet()
    access = token(plain, wallet)
    key = new_key().export_private(as_dict=True) | {"alg": "ECDH-ES", "use": "enc", "kid": "k"}

    answer, _ = wallet.ask_encrypted(access, wallet.request(TYPE, access), jwk=key)

    assert error(answer) == (400, "invalid_encryption_parameters")


def encrypted(wallet: EmulatedWallet, content: bytes, **header: object) -> str:
    asked = wallet.metadata["credential_request_encryption"]
    jwk = JWK(**asked["jwks"]["keys"][0])
    head = {"alg": "ECDH-ES", "enc": "A128GCM", "kid": jwk["kid"], **header}
    jwe = JWE(content, protected=json.dumps(head), recipient=jwk)
    return str(jwe.serialize(compact=True))


def test_decompression_bomb_in_an_encrypted_request(plain: Stage) -> None:
    wallet = plain.wallet()
    access = token(plain, wallet)
    request = json.dumps(wallet.request(TYPE, access)).encode()
    bomb = request[:-1] + b" " * 30_000_000 + b"}"
    url = wallet.metadata["credential_endpoint"]
    headers = {"Content-Type": "application/jwt"} | bearer(access)
    # jwcrypto deflates when the header says so.
    body = encrypted(wallet, bomb, zip="DEF")
    assert len(body) < 65_536

    answer = plain.http.post(url, content=body, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_encryption_parameters", "invalid_credential_request"}


@pytest.mark.parametrize(
    "body",
    ["", "a.b.c.d.e", "....", "e30....", "x" * 60_000, "é.é.é.é.é"],
    ids=["empty", "five words", "dots", "no header", "long", "no ascii"],
)
def test_bytes_that_are_no_encrypted_request(plain: Stage, body: str) -> None:
    wallet = plain.wallet()
    access = token(plain, wallet)
    headers = {"Content-Type": "application/jwt"} | bearer(access)

    answer = plain.http.post(
        wallet.metadata["credential_endpoint"], content=body.encode(), headers=headers
    )

    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_encryption_parameters", "invalid_credential_request"}


def bearer(access: Json) -> dict[str, str]:
    return {"Authorization": f"Bearer {access['access_token']}"}


# Bodies.

BODIES = {
    "nested arrays": b"[" * 30_000 + b"]" * 30_000,
    "nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "not a number": b'{"credential_configuration_id": NaN}',
    "a very large number": b'{"credential_configuration_id": 1e999999}',
    "a number of 20,000 digits": b'{"a": ' + b"9" * 20_000 + b"}",
    "a lone surrogate": b'{"credential_configuration_id": "\\ud800"}',
    "a name twice": b'{"proofs": {}, "proofs": {"jwt": []}}',
    "no UTF-8": b'{"a": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "nothing": b"",
    "an array": b"[]",
    "null": b"null",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_hostile_json_is_answered_400(plain: Stage, body: bytes) -> None:
    wallet = plain.wallet()
    access = token(plain, wallet)
    for name in ("credential_endpoint", "notification_endpoint", "deferred_credential_endpoint"):
        answer = plain.http.post(wallet.metadata[name], content=body, headers=JSON | bearer(access))
        assert answer.status_code == 400, name
        assert answer.headers["content-type"].partition(";")[0] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=" + b"a" * 60_000,
        b"&".join(b"a%d=1" % number for number in range(5_000)),
        b"grant_type=a&grant_type=b",
        b"grant_type=%ff%fe",
        b"\xff\xfe=1",
        b"&&&&==;;",
        b"",
    ],
    ids=["long", "many", "twice", "no UTF-8", "raw bytes", "signs", "nothing"],
)
def test_hostile_forms_are_answered_400(plain: Stage, body: bytes) -> None:
    wallet = plain.wallet()
    for name in ("token_endpoint", "pushed_authorization_request_endpoint"):
        answer = plain.http.post(wallet.server[name], content=body, headers=FORM)
        assert answer.status_code in {400, 401}, name
        assert answer.json()["error"]


def test_a_huge_body_is_refused_before_it_is_read(plain: Stage) -> None:
    wallet = plain.wallet()
    for url in (wallet.metadata["credential_endpoint"], wallet.server["token_endpoint"]):
        announced = plain.http.post(url, content=b" " * 3_000_000, headers=JSON)
        unannounced = plain.http.post(url, content=iter([b" " * 65_536] * 50), headers=JSON)
        assert (announced.status_code, unannounced.status_code) == (413, 413)


# Phishing.


def test_offer_phishing_the_link_does_not_carry_the_pin(plain: Stage) -> None:
    offer = plain.offer(tx_code=True)
    assert offer.tx_code is not None

    grant = plain.wallet().offered(offer.link)["grants"][PRE_AUTHORIZED]

    assert grant["tx_code"]["length"] == len(offer.tx_code) >= 6
    assert offer.tx_code not in json.dumps(grant)


def test_offer_phishing_a_login_page_goes_into_no_frame_and_runs_no_script(plain: Stage) -> None:
    wallet = plain.wallet()
    pushed, _ = wallet.push(scope=TYPE)
    query = urlencode({"client_id": CLIENT_ID, "request_uri": pushed.json()["request_uri"]})

    answer = plain.http.get(f"{wallet.server['authorization_endpoint']}?{query}")

    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "uri",
    [
        "https://thief.example/callback",
        f"{CALLBACK}/../thief",
        f"{CALLBACK}?to=thief",
        f"{CALLBACK}#thief",
        "javascript:alert(1)",
        "http://wallet.example/callback",
    ],
)
def test_an_answer_goes_to_no_address_that_the_wallet_did_not_register(
    plain: Stage, uri: str
) -> None:
    wallet = plain.wallet()

    pushed, _ = wallet.push(scope=TYPE, redirect_uri=uri)

    assert error(pushed) == (400, "invalid_request")
    query = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": uri,
        "scope": TYPE,
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    url = f"{wallet.server['authorization_endpoint']}?{urlencode(query)}"
    answer = plain.http.get(url, follow_redirects=False)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge": "short"},
        {"response_type": "token"},
        {"scope": "another"},
        {"request_uri": "https://127.0.0.1/request"},
    ],
    ids=str,
)
def test_an_authorization_request_that_would_be_weaker_is_refused(
    plain: Stage, changes: dict[str, str]
) -> None:
    pushed, _ = plain.wallet().push(**({"scope": TYPE} | changes))

    assert pushed.status_code == 400, pushed.text


def test_a_pushed_request_is_used_once_and_by_its_own_wallet(plain: Stage) -> None:
    wallet = plain.wallet()
    pushed, _ = wallet.push(scope=TYPE)
    uri = pushed.json()["request_uri"]

    def url_for(client_id: str) -> str:
        query = urlencode({"client_id": client_id, "request_uri": uri})
        return f"{wallet.server['authorization_endpoint']}?{query}"

    def opened(client_id: str) -> int:
        return plain.http.get(url_for(client_id), follow_redirects=False).status_code

    assert opened("https://another.example") == 400
    # A page may be loaded again until it is answered (RFC 9126, section 4).
    assert [opened(CLIENT_ID), opened(CLIENT_ID)] == [303, 303]
    assert "code=" in wallet.browse(url_for(CLIENT_ID), plain.customer())
    assert opened(CLIENT_ID) == 400


# What a login provider says of itself.

INSIDE = [
    "http://169.254.169.254/latest/meta-data",
    "https://169.254.169.254/token",
    "https://127.0.0.1/token",
    "https://[::1]/token",
    "https://[::ffff:10.0.0.1]/token",
    "https://localhost/token",
    "https://10.0.0.8:8443/token",
    "file:///etc/passwd",
    "gopher://10.0.0.8/token",
]
PROVIDER = "https://login.example"


class Provider:
    """A provider whose discovery document is here, and whose endpoints lie where it says."""

    def __init__(self, **endpoints: str) -> None:
        self._endpoints = endpoints
        self._guarded = GuardedFetcher()

    def get(self, url: str, *, accept: str, max_bytes: int = MAX_BYTES, **more: Any) -> Fetched:  # noqa: ANN401  # passed on
        if url == f"{PROVIDER}/.well-known/openid-configuration":
            document = {"issuer": PROVIDER, **self._endpoints}
            return Fetched(200, "application/json", json.dumps(document).encode())
        return self._guarded.get(url, accept=accept, max_bytes=max_bytes, **more)

    def post(self, url: str, body: bytes, **more: Any) -> Fetched:  # noqa: ANN401  # passed on
        if url == f"{PROVIDER}/token":
            return Fetched(200, "application/json", b'{"id_token": "e30.e30.e30"}')
        return self._guarded.post(url, body, **more)


@pytest.mark.parametrize("url", INSIDE)
@pytest.mark.parametrize("endpoint", ["token_endpoint", "jwks_uri"])
def test_ssrf_through_login_provider_metadata(endpoint: str, url: str) -> None:
    good = {
        "authorization_endpoint": f"{PROVIDER}/authorize",
        "token_endpoint": f"{PROVIDER}/token",
        "jwks_uri": f"{PROVIDER}/keys",
    }
    fetcher = Provider(**(good | {endpoint: url}))
    login = OidcLogin(issuer=PROVIDER, client_id="brand", fetcher=fetcher, secret="kept")
    attempt = attempt_of(bytes(32), "visit", callback=f"{PROVIDER}/back", language="en")

    # Sockets are closed here: whoever tried one would raise what is no answer of ours.
    with pytest.raises(CounterfoilError):
        login.finish(attempt, {"code": "of-the-provider"}, now=NOON)


@pytest.mark.parametrize("url", INSIDE)
def test_ssrf_by_the_configured_provider_itself(url: str) -> None:
    login = OidcLogin(issuer=url, client_id="brand", fetcher=GuardedFetcher())
    attempt = attempt_of(bytes(32), "visit", callback=f"{PROVIDER}/back", language="en")

    with pytest.raises(CounterfoilError):
        login.begin(attempt, now=NOON)
