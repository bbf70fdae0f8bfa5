"""What the OpenID Foundation's suite asks of a wallet that is issued to: a test for each module.

The modules are those of the plan `oid4vci-1_0-wallet`, named so. The suite plays the issuer and
looks at what the wallet sends; here the real issuer answers, and what the wallet sent is read
again by jwcrypto alone. Where the suite takes one way through a variant, a test takes them all.
"""

import json
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.fetch import Response
from counterfoil_issuer.clients import Demand
from counterfoil_issuer.offering import Grant
from counterfoil_wallet import Accepted, MemoryStore, Wallet

from tests.conftest import Clock
from tests.issuer.conformance.emulated_wallet import JWK, JWS, Json
from tests.wallet.brand_scene import (
    BRAND,
    CALLBACK,
    CLIENT_ID,
    MINUTE,
    TYPE,
    VCT,
    BrandScene,
    Mode,
    Serve,
)

SERVER = "/.well-known/oauth-authorization-server/audio"


def signed(token: str, jwk: Json | None = None) -> tuple[Json, Json]:
    """Give header and claims of a JWT under the key in its header, or under `jwk`."""
    read = JWS()
    read.deserialize(token)
    header = dict(read.jose_header)
    key = jwk or header["jwk"]
    assert "d" not in key
    assert header["alg"] == "ES256"
    read.verify(JWK(**key))
    return header, dict(json.loads(read.payload))


def form(brand: BrandScene, path: str) -> dict[str, str]:
    """Give the one form that was posted to `path`, no field twice."""
    (body,) = brand.bodies(path)
    fields = parse_qsl(body.decode(), strict_parsing=True)
    assert len(dict(fields)) == len(fields)
    return dict(fields)


def proofs(brand: BrandScene) -> list[tuple[Json, Json]]:
    """Give the proofs of the one credential request, each verified (appendix F.1)."""
    (body,) = brand.bodies("/credential")
    request = json.loads(body)
    assert set(request["proofs"]) == {"jwt"}
    found = [signed(token) for token in request["proofs"]["jwt"]]
    for header, claims in found:
        assert header["typ"] == "openid4vci-proof+jwt"
        assert set(header) & {"kid", "x5c"} == set()
        assert claims["aud"] == BRAND
        assert claims["nonce"]
    return found


def login(brand: BrandScene, wallet: Wallet, link: str) -> Accepted:
    begun = wallet.authorize(link, redirect_uri=CALLBACK)
    return wallet.come_back(brand.browse(begun.url))


def accept(brand: BrandScene, wallet: Wallet, grant: Grant, *, by_reference: bool) -> Accepted:
    offer = brand.offer(by=grant)
    link = offer.qr if by_reference else offer.link
    if grant is Grant.PRE_AUTHORIZED:
        return wallet.accept(link, tx_code=offer.tx_code)
    return login(brand, wallet, link)


@pytest.mark.parametrize("pushed", [True, False], ids=["pushed", "not pushed"])
def test_oid4vci_1_0_wallet_happy_path_with_scopes_without_authorization_details_in_token_response(
    serve: Serve, *, pushed: bool
) -> None:
    brand = serve(Mode())
    absent = {"authorization_details_types_supported"}
    if not pushed:
        absent |= {
            "pushed_authorization_request_endpoint",
            "require_pushed_authorization_requests",
        }
    brand.bends[SERVER] = lambda document: {
        name: value for name, value in document.items() if name not in absent
    }
    offer, wallet = brand.offer(by=Grant.AUTHORIZATION_CODE), brand.wallet()

    begun = wallet.authorize(offer.link, redirect_uri=CALLBACK)
    accepted = wallet.come_back(brand.browse(begun.url))

    opened = parse_qs(urlsplit(begun.url).query)
    if pushed:
        asked = form(brand, "/par")
        assert set(opened) == {"client_id", "request_uri"}
    else:
        asked = {name: value for name, (value,) in opened.items()}
    assert asked["client_id"] == CLIENT_ID
    assert asked["response_type"] == "code"
    assert asked["scope"] == TYPE
    assert asked["redirect_uri"] == CALLBACK
    assert asked["code_challenge_method"] == "S256"
    assert "authorization_details" not in asked
    assert asked["issuer_state"]
    redeemed = form(brand, "/token")
    assert redeemed["grant_type"] == "authorization_code"
    assert redeemed["redirect_uri"] == CALLBACK
    challenge = b64url(sha256(redeemed["code_verifier"].encode()).digest())
    assert challenge == asked["code_challenge"]
    assert [card.vct for card in accepted.credentials] == [VCT]


def test_oid4vci_1_0_wallet_test_batch_credential_issuance(serve: Serve) -> None:
    brand, store = serve(Mode(dpop=Demand.OFF)), MemoryStore()
    brand.bends["/.well-known/openid-credential-issuer/audio"] = without_encryption

    (card,) = accept(
        brand, brand.wallet(store), Grant.PRE_AUTHORIZED, by_reference=False
    ).credentials

    sent = proofs(brand)
    keys = {JWK(**header["jwk"]).thumbprint() for header, _ in sent}
    assert len(keys) == len(sent) == 10, "as many as batch_credential_issuance allows"
    assert len({claims["nonce"] for _, claims in sent}) == 1
    assert brand.paths().count("/nonce") == 1
    assert {copy.copy_id for copy in store.copies(card.credential_id)} == keys


def without_encryption(document: JsonObject) -> JsonObject:
    return {name: value for name, value in document.items() if "encryption" not in name}


@pytest.mark.parametrize("grant", list(Grant), ids=["code", "login"])
@pytest.mark.parametrize("asked", [True, False], ids=["challenge endpoint", "in an answer"])
def test_oid4vci_1_0_wallet_test_client_attestation_challenge(
    serve: Serve, grant: Grant, *, asked: bool
) -> None:
    brand = serve(Mode(attests=Demand.REQUIRED, challenge=Demand.REQUIRED))
    if not asked:
        brand.bends[SERVER] = lambda document: {
            name: value for name, value in document.items() if name != "challenge_endpoint"
        }

    accepted = accept(brand, brand.wallet(), grant, by_reference=False)

    assert len(accepted.credentials) == 1
    for path in ("/par", "/token") if grant is Grant.AUTHORIZATION_CODE else ("/token",):
        # Without an endpoint the first answer brings the challenge, and there is one retry.
        assert len(brand.headers(path)) == (1 if asked else 2)
        headers = brand.headers(path)[-1]
        header, attested = signed(headers["oauth-client-attestation"], public(brand))
        assert header["typ"] == "oauth-client-attestation+jwt"
        assert attested["sub"] == CLIENT_ID
        pop_header, pop = signed(headers["oauth-client-attestation-pop"], attested["cnf"]["jwk"])
        assert pop_header["typ"] == "oauth-client-attestation-pop+jwt"
        assert pop["aud"] == BRAND
        assert pop["challenge"]
        assert pop["jti"]
    assert ("/challenge" in brand.paths()) == asked
    jtis = [
        signed_by_nobody(headers["oauth-client-attestation-pop"])["jti"]
        for path in ("/par", "/token")
        for headers in brand.headers(path)
    ]
    assert len(set(jtis)) == len(jtis)


def public(brand: BrandScene) -> Json:
    return dict(brand.maker.public.jwk())


def signed_by_nobody(token: str) -> Json:
    read = JWS()
    read.deserialize(token)
    return dict(json.loads(read.objects["payload"]))


@pytest.mark.parametrize("grant", list(Grant), ids=["code", "login"])
@pytest.mark.parametrize("by_reference", [False, True], ids=["by value", "by reference"])
@pytest.mark.parametrize("defers", [False, True], ids=["immediate", "deferred"])
@pytest.mark.parametrize("encrypts", [False, True], ids=["plain", "encrypted"])
def test_oid4vci_1_0_wallet_test_credential_issuance(
    serve: Serve, clock: Clock, grant: Grant, *, by_reference: bool, defers: bool, encrypts: bool
) -> None:
    brand = serve(
        Mode(
            dpop=Demand.REQUIRED,
            dpop_nonce=Demand.REQUIRED,
            defers=defers,
            encrypts=encrypts,
        )
    )
    if not encrypts:
        brand.bends["/.well-known/openid-credential-issuer/audio"] = without_encryption
    if by_reference and grant is Grant.PRE_AUTHORIZED:
        assert "credential_offer_uri" in brand.offer(by=grant).qr
    offer, wallet = brand.offer(by=grant), brand.wallet()
    link = offer.qr if by_reference else offer.link

    if grant is Grant.PRE_AUTHORIZED:
        wallet.accept(link, tx_code=offer.tx_code)
    else:
        login(brand, wallet, link)
    if defers:
        assert wallet.credentials() == []
        brand.approve(offer)
        clock.advance(MINUTE)
        wallet.resume()

    (card,) = wallet.credentials()
    assert (card.vct, card.issuer) == (VCT, BRAND)
    require_dpop(brand)
    if not encrypts:
        assert {claims.get("iss") for _, claims in proofs(brand)} == {
            CLIENT_ID if grant is Grant.AUTHORIZATION_CODE else None
        }
    for body in [*brand.bodies("/credential"), *brand.bodies("/deferred_credential")]:
        assert body.startswith(b"{") != encrypts


def require_dpop(brand: BrandScene) -> None:
    """Check every DPoP proof (RFC 9449, section 4.2): no jti twice, each for its own request."""
    jtis: list[str] = []
    for path in ("/par", "/token", "/credential", "/deferred_credential", "/notification"):
        for headers in brand.headers(path):
            header, claims = signed(headers["dpop"])
            assert header["typ"] == "dpop+jwt"
            assert (claims["htm"], claims["htu"]) == ("POST", f"{BRAND}{path}")
            scheme, _, token = headers.get("authorization", "").partition(" ")
            assert scheme in ("", "DPoP")
            hashed = b64url(sha256(token.encode()).digest()) if token else None
            assert claims.get("ath") == hashed
            jtis.append(claims["jti"])
    assert len(set(jtis)) == len(jtis)
    assert len(brand.headers("/credential")) == 1, "the nonce of the last answer is used"


@pytest.mark.parametrize("answers", [204, 400, 503])
def test_oid4vci_1_0_wallet_test_credential_issuance_notification(
    serve: Serve, answers: int
) -> None:
    brand = serve(Mode(dpop=Demand.OFF))
    if answers != 204:
        brand.instead["/audio/notification"] = Response(answers, "application/json", b"{}")
    given: list[object] = []
    brand.bends["/.well-known/openid-credential-issuer/audio"] = without_encryption

    def noting(answer: JsonObject) -> JsonObject:
        given.append(answer["notification_id"])
        return answer

    brand.bends["/audio/credential"] = noting
    wallet = brand.wallet()

    (card,) = accept(brand, wallet, Grant.PRE_AUTHORIZED, by_reference=False).credentials

    assert wallet.credentials() == [card]
    expected = {"notification_id": given[0], "event": "credential_accepted"}
    assert [json.loads(body) for body in brand.bodies("/notification")] == [expected]
    brand.instead.clear()
    wallet.resume()
    # Idempotent, so it is told again to whoever did not say that it was heard.
    assert len(brand.bodies("/notification")) == (2 if answers == 503 else 1)
    assert wallet.resume().acceptances == ()
