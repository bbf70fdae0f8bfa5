"""Requests in every form, what the screen says of who asks, and where the customer goes on."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from counterfoil_credentials.did_web import DatedKey, did_web, did_web_document
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import UriMethod, request_link
from counterfoil_credentials.requests import client_id_of, sign_request
from counterfoil_credentials.x509 import TrustAnchors
from counterfoil_verifier import WARRANTY, Light
from counterfoil_wallet import Act, Outcome, Standing, Trust, Verifier, Wallet

from tests.conftest import Clock
from tests.wallet.conformance.emulated_verifier import (
    QUERY_ID,
    RESPONSE_URI,
    EmulatedVerifier,
    Json,
    Variant,
)
from tests.wallet.strangers import SHOP, TYPE, StrangeIssuer, StrangeShop
from tests.wallet.town import Town, Wire


@pytest.fixture
def network() -> MemoryFetcher:
    return MemoryFetcher()


@pytest.fixture
def issuer(
    network: MemoryFetcher, clock: Clock, random_bytes: Callable[[int], bytes]
) -> StrangeIssuer:
    return StrangeIssuer(network, clock, random_bytes)


@pytest.fixture
def verifier(network: MemoryFetcher, clock: Clock) -> EmulatedVerifier:
    return EmulatedVerifier(network, clock, vct=TYPE)


@pytest.fixture
def shop(network: MemoryFetcher, clock: Clock) -> StrangeShop:
    return StrangeShop(network, clock)


def wallet_of(issuer: StrangeIssuer, trust: Trust | None = None) -> Wallet:
    wallet = Wallet.in_memory(fetcher=issuer.network, clock=issuer.clock, trust=trust)
    wallet.accept(issuer.link)
    return wallet


class TestWhoAsks:
    def test_a_certified_name_is_shown_beside_the_claimed_one(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier
    ) -> None:
        trust = Trust(anchors=TrustAnchors((verifier.root.certificate,)))

        def bend(claims: Json) -> Json:
            claims["client_metadata"]["client_name"] = "Your bank\u202e"
            return claims

        verifier.bend = bend

        asker = wallet_of(issuer, trust).matches(verifier.link()).asker

        assert (asker.standing, asker.proved_name) == (Standing.CERTIFIED, "verifier.example")
        assert asker.claimed_name == "Your bank\N{REPLACEMENT CHARACTER}"
        assert asker.known_as is None

    def test_a_certificate_that_the_app_knows_needs_no_anchor(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier
    ) -> None:
        verifier.variant = Variant("x509_hash")
        trust = Trust(verifiers={verifier.client_id: Verifier(name="Corner shop")})

        asker = wallet_of(issuer, trust).matches(verifier.link()).asker

        assert (asker.standing, asker.known_as) == (Standing.KNOWN, "Corner shop")

    def test_a_request_that_nobody_signed_is_never_more_than_an_address(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier
    ) -> None:
        verifier.variant = Variant("redirect_uri", "url_query", "direct_post")
        trust = Trust(verifiers={verifier.client_id: Verifier(name="Corner shop")})

        for wallet in (wallet_of(issuer), wallet_of(issuer, trust)):
            matches = wallet.matches(verifier.link())
            assert (matches.asker.standing, matches.asker.known_as) == (Standing.UNPROVED, None)
            wallet.decline(matches)
            assert wallet.history()[-1].party_name is None

    def test_a_domain_that_publishes_its_key_is_shown(
        self, issuer: StrangeIssuer, shop: StrangeShop, network: MemoryFetcher
    ) -> None:
        did = did_web("club.example")
        document = compact_json(did_web_document(did, [DatedKey(shop.signer.public)]))

        def publish(*_: object) -> Response:
            return Response(200, "application/did+json", document)

        def ask(_m: str, _p: str, _h: Mapping[str, str], body: bytes) -> Response:
            shop.claimed_client_id = client_id_of(did)
            token = sign_request(shop.request(), shop.signer)
            head = {"alg": "ES256", "typ": "oauth-authz-req+jwt"}
            key_id = f"{did}#{shop.signer.public.thumbprint()}"
            return Response(200, REQUEST, signed_again(token, {**head, "kid": key_id}, shop.signer))

        network.serve("https://club.example", publish)
        network.serve(SHOP, ask)

        asker = wallet_of(issuer).matches(request_link(client_id_of(did), f"{SHOP}/request")).asker

        assert (asker.standing, asker.proved_name) == (Standing.DOMAIN, "club.example")

    def test_a_domain_that_cannot_be_reached_has_not_asked(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        did = client_id_of(did_web("club.example"))
        shop.claimed_client_id = did

        with pytest.raises((Unavailable, Refused)):
            wallet_of(issuer).matches(request_link(did, f"{SHOP}/request"))
        assert shop.forms == []


REQUEST = "application/oauth-authz-req+jwt"


def signed_again(token: str, head: Json, signer: MemorySigner) -> bytes:
    """Give the token with another header, signed again."""
    from counterfoil_credentials.encoding import b64url  # for this alone

    text = f"{b64url(json.dumps(head).encode())}.{token.split('.')[1]}"
    return f"{text}.{b64url(signer.sign(text.encode()))}".encode()


class TestTheWallet:
    def test_a_fetch_by_get_says_nothing_and_by_post_what_every_wallet_says(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier, network: MemoryFetcher
    ) -> None:
        verifier.variant = Variant("decentralized_identifier", mode="direct_post")
        wire = Wire(network)
        holding = wallet_of(issuer)
        empty = Wallet.in_memory(fetcher=wire, clock=issuer.clock)
        posts = [
            request_link(verifier.client_id, "https://verifier.example/requests/1", method)
            for method in UriMethod
        ]
        for wallet in (holding, empty):
            for link in posts:
                wallet.matches(link)

        (get, post), (again, post_again) = verifier.fetched[:2], verifier.fetched[2:]
        assert get == again == ("GET", {})
        assert post[1]["wallet_metadata"] == post_again[1]["wallet_metadata"]
        assert post[1]["wallet_nonce"] != post_again[1]["wallet_nonce"]
        assert all(not body for method, _, body in wire.sent if method == "GET")

    def test_presenting_calls_the_verifier_and_nobody_else(
        self, issuer: StrangeIssuer, shop: StrangeShop
    ) -> None:
        wire = Wire(issuer.network)
        wallet = Wallet.in_memory(fetcher=wire, clock=issuer.clock)
        wallet.accept(issuer.link)
        wire.sent.clear()

        wallet.present(wallet.matches(shop.link).choose())

        assert [(method, url) for method, url, _ in wire.sent] == [
            ("GET", f"{SHOP}/request"),
            ("POST", f"{SHOP}/response"),
        ]

    @pytest.mark.parametrize(
        ("variant", "code"),
        [
            (Variant("x509_san_dns", mode="direct_post"), "response-uri-mismatch"),
            (Variant("redirect_uri", "url_query", "direct_post"), "response-uri-mismatch"),
        ],
        ids=str,
    )
    def test_an_error_is_told_only_where_the_client_may_be_answered(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier, variant: Variant, code: str
    ) -> None:
        verifier.variant = variant
        verifier.bend = lambda claims: {**claims, "response_uri": "https://victim.example/x"}
        wire = Wire(issuer.network)
        trust = Trust(anchors=TrustAnchors((verifier.root.certificate,)))
        wallet = Wallet.in_memory(fetcher=wire, clock=issuer.clock, trust=trust)

        with pytest.raises(Refused) as refusal:
            wallet.matches(verifier.link())

        assert refusal.value.codes == [code]
        assert not [url for _, url, _ in wire.sent if "victim" in url]

    @pytest.mark.parametrize(("size", "is_sent"), [(2_048, True), (2_049, False)])
    def test_a_malformed_request_in_the_open_sends_no_long_text_anywhere(
        self,
        issuer: StrangeIssuer,
        verifier: EmulatedVerifier,
        size: int,
        *,
        is_sent: bool,
    ) -> None:
        # Whoever wrote the link names the address and the text that this wallet posts there.
        verifier.variant = Variant("redirect_uri", "url_query", "direct_post")
        verifier.bend = lambda claims: {**claims, "nonce": "", "state": "s" * size}
        wallet = wallet_of(issuer)

        with pytest.raises(Malformed):
            wallet.matches(verifier.link())

        (answer,) = verifier.answers
        assert answer["error"] == "invalid_request"
        assert ("state" in answer) is is_sent


class TestAnswers:
    @pytest.mark.parametrize("mode", ["direct_post", "direct_post.jwt"])
    def test_a_no_goes_the_way_of_an_answer(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier, mode: str
    ) -> None:
        verifier.variant = Variant("decentralized_identifier", mode=mode)
        verifier.bend = lambda claims: {**claims, "state": "s"}
        verifier.redirect_uri = f"{RESPONSE_URI}/over"
        wallet = wallet_of(issuer)

        declined = wallet.decline(wallet.matches(verifier.link()))

        assert verifier.answer() == {"error": "access_denied", "state": "s"}
        assert (declined.is_heard, declined.redirect_uri) == (True, f"{RESPONSE_URI}/over")

    def test_nothing_is_sent_in_the_open_where_no_key_can_be_used(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier
    ) -> None:
        verifier.variant = Variant("decentralized_identifier")

        def bend(claims: Json) -> Json:
            claims["client_metadata"]["jwks"]["keys"] = [{"kty": "AKP", "kid": "1", "alg": "x"}]
            return claims

        verifier.bend = bend
        wallet = wallet_of(issuer)

        with pytest.raises(Refused) as refusal:
            wallet.matches(verifier.link())

        assert refusal.value.codes == ["no-usable-key"]
        assert verifier.answers == [{"error": "invalid_request"}]

    @pytest.mark.parametrize(
        "uri",
        [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://shop.example/done",
            "data:text/html,x",
            "https://",
            "//shop.example",
            f"https://shop.example/{'x' * 2_048}",
            7,
        ],
        ids=lambda uri: str(uri)[:30],
    )
    def test_an_app_is_handed_no_address_that_is_not_of_the_web(
        self, issuer: StrangeIssuer, shop: StrangeShop, uri: str | int
    ) -> None:
        shop.answer = Response(200, "application/json", compact_json({"redirect_uri": uri}))
        wallet = wallet_of(issuer)

        assert wallet.present(wallet.matches(shop.link).choose()).redirect_uri is None
        assert wallet.history()[-1].outcome is Outcome.DONE

    def test_a_request_by_value_needs_no_fetch(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier
    ) -> None:
        verifier.variant = Variant("decentralized_identifier", mode="direct_post")
        token = verifier.request_object()
        verifier.bend_link = lambda given: {"client_id": given["client_id"], "request": token}
        wallet = wallet_of(issuer)

        asked = wallet.matches(verifier.link())
        wallet.present(asked.choose())

        assert wallet.history()[-1].event_id == asked.event_id
        assert verifier.fetched == []
        assert list(verifier.answer()["vp_token"]) == [QUERY_ID]
        with pytest.raises(Refused) as refusal:
            wallet.present(wallet.matches(verifier.link()).choose())
        assert refusal.value.codes == ["already-shown"]

    def test_a_request_by_value_ends_like_every_other(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier, clock: Clock
    ) -> None:
        verifier.variant = Variant("decentralized_identifier", mode="direct_post")
        ends_at = int((clock() + timedelta(minutes=1)).timestamp())
        verifier.bend = lambda claims: {**claims, "exp": ends_at}
        token = verifier.request_object()
        verifier.bend_link = lambda given: {"client_id": given["client_id"], "request": token}
        wallet = wallet_of(issuer)
        clock.advance(timedelta(minutes=1))

        with pytest.raises(Refused) as refusal:
            wallet.matches(verifier.link())

        assert refusal.value.codes == ["request-expired"]
        assert verifier.answers == []

    def test_what_is_refused_at_once_is_no_act_of_the_customer(
        self, issuer: StrangeIssuer, verifier: EmulatedVerifier
    ) -> None:
        verifier.variant = Variant("redirect_uri", "url_query", "direct_post")
        verifier.bend = lambda claims: {**claims, "nonce": ""}
        wallet = wallet_of(issuer)

        with pytest.raises(Malformed):
            wallet.matches(verifier.link())

        assert [event.act for event in wallet.history()] == [Act.ACCEPTED]


class TestOurVerifier:
    def test_the_shop_of_this_project_is_answered_and_says_what_it_keeps(
        self, town: Town, full: Wallet
    ) -> None:
        asked = town.counter.ask("warranty")

        matches = full.matches(asked.link)
        full.present(matches.choose())

        look = town.counter.look(asked.session_id)
        assert look.light is Light.GREEN
        assert (matches.purpose, matches.retention) == (
            WARRANTY.purpose.en,
            WARRANTY.retention.en,
        )
        assert {claim.name for claim in matches.answers["warranty"][0].asked} == {
            "item.name",
            "item.serial",
            "valid_until",
        }
        assert matches.asker.standing is Standing.KEY_ONLY

    def test_it_hears_a_no_and_nothing_else(self, town: Town, full: Wallet) -> None:
        asked = town.counter.ask("warranty")

        declined = full.decline(full.matches(asked.link))

        assert declined.redirect_uri is None
        look = town.counter.look(asked.session_id)
        assert look.held is not None
        assert [reason.code for reason in look.held.reasons] == ["declined"]
