"""What a hostile verifier may try on a wallet: crash it, hang it, fill it, send it inside, have it
sign what was not on the screen, or learn what else it holds."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, cast

import pytest
from counterfoil_credentials.client_ids import MAX_CLIENT_ID
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.did_web import did_web
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import (
    MAX_BYTES,
    Fetcher,
    GuardedFetcher,
    Handler,
    MemoryFetcher,
    Response,
)
from counterfoil_credentials.jws import MAX_TOKEN_BYTES, sign_jws
from counterfoil_credentials.request_links import UriMethod, request_link
from counterfoil_credentials.requests import client_id_of
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from counterfoil_wallet import Kind, Matches, MemoryStore, Outcome, Wallet
from counterfoil_wallet.held import Copy, whole

from tests.conftest import Clock
from tests.wallet.conformance.emulated_verifier import (
    REQUEST_TYPE,
    EmulatedVerifier,
    Json,
    Variant,
)
from tests.wallet.strangers import BRAND, SHOP, TYPE, StrangeIssuer, StrangeShop
from tests.wallet.town import Wire

INSIDE = [
    "https://127.0.0.1/x",
    "https://localhost/x",
    "https://[::1]/x",
    "https://10.0.0.1/x",
    "https://192.168.1.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://router.local/x",
    "https://2130706433/x",
    "http://127.0.0.1:8080/x",
]


@dataclass
class Outside:
    """The brand and the shop in memory; every other address as in earnest, with closed sockets."""

    memory: MemoryFetcher
    guarded: Fetcher

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        return self._for(url).get(url, accept=accept, headers=headers, max_bytes=max_bytes)

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        return self._for(url).post(
            url, body, media_type=media_type, headers=headers, accept=accept, max_bytes=max_bytes
        )

    def _for(self, url: str) -> Fetcher:
        return self.memory if url.startswith((BRAND, SHOP)) else self.guarded


@pytest.fixture
def shop(clock: Clock) -> StrangeShop:
    return StrangeShop(MemoryFetcher(), clock)


@pytest.fixture
def issuer(shop: StrangeShop, clock: Clock, random_bytes: Callable[[int], bytes]) -> StrangeIssuer:
    return StrangeIssuer(shop.network, clock, random_bytes, copies=2)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(issuer: StrangeIssuer, store: MemoryStore) -> Wallet:
    """Give a wallet with a warranty, which reaches addresses as in earnest."""
    wallet = Wallet(store, fetcher=Outside(issuer.network, GuardedFetcher()), clock=issuer.clock)
    wallet.accept(issuer.link)
    return wallet


def told(wallet: Wallet, link: str) -> Matches | CounterfoilError:
    """Give what the wallet makes of a link: an error of ours, or a screen; nothing else."""
    try:
        return wallet.matches(link)
    except CounterfoilError as error:
        return error


def always(response: Response) -> Handler:
    """Give a service with one answer to everything."""

    def answer(_method: str, _path: str, _headers: Mapping[str, str], _body: bytes) -> Response:
        return response

    return answer


# Crash it.

ODD: list[object] = [
    None, True, 7, -1, 1.5, 2**63, "", "x" * 5_000, "\u0000", "\u202e", [], [[]], {}, {"": None},
    ["x"], [{}], [None], {"keys": [{}]}, {"credentials": [{}]}, "https://[", "é",
]  # fmt: skip


@pytest.mark.parametrize("method", ["request_uri_unsigned", "url_query"])
def test_no_member_of_a_request_crashes_the_wallet(issuer: StrangeIssuer, method: str) -> None:
    network = issuer.network
    verifier = EmulatedVerifier(
        network, issuer.clock, Variant("redirect_uri", method, "direct_post"), vct=TYPE
    )
    anywhere = Wallet.in_memory(fetcher=network, clock=issuer.clock)
    good = verifier.claims()
    members = [*good, "state", "purpose", "retention", "transaction_data", "iat", "exp", "scope"]
    for name in members:
        for value in ODD:
            verifier.bend = lambda claims, name=name, value=value: {**claims, name: value}  # type: ignore[misc]  # bound now
            told(anywhere, verifier.link())

    verifier.bend = lambda claims: claims
    assert isinstance(told(anywhere, verifier.link()), Matches)


def test_no_part_of_a_query_crashes_the_wallet(issuer: StrangeIssuer) -> None:
    verifier = EmulatedVerifier(
        issuer.network,
        issuer.clock,
        Variant("redirect_uri", "request_uri_unsigned", "direct_post"),
        vct=TYPE,
    )
    anywhere = Wallet.in_memory(fetcher=issuer.network, clock=issuer.clock)
    anywhere.accept(issuer.link)
    chance = random.Random("a query")
    screens = 0
    for _ in range(400):

        def bend(claims: Json) -> Json:
            claims["dcql_query"] = mutated(claims["dcql_query"], chance)
            return claims

        verifier.bend = bend
        seen = told(anywhere, verifier.link())
        if isinstance(seen, Matches):
            screens += 1
            try:
                seen.choose()
            except Refused:
                continue
    assert screens > 0


def mutated(value: Any, chance: random.Random) -> Any:  # noqa: ANN401  # as json gives it
    """Give the JSON with one thing in it changed."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:  # noqa: ANN401  # as json gives it
        for key, below in parts_of(node):
            places.append((node, key))
            walk(below)

    copied = json.loads(json.dumps(value))
    walk(copied)
    node, key = chance.choice(places)
    node[key] = chance.choice(ODD)
    return copied


def parts_of(node: object) -> list[tuple[Any, Any]]:
    """Give what a JSON value holds, by name or by number."""
    if isinstance(node, dict):
        return [*cast("Json", node).items()]
    return [*enumerate(cast("list[object]", node))] if isinstance(node, list) else []


@pytest.mark.parametrize(
    "status", [100, 199, 204, 301, 302, 307, 308, 400, 401, 418, 429, 500, 999]
)
@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 50_000, b'{"redirect_uri":{}}'])
def test_no_answer_crashes_the_wallet(
    wallet: Wallet, shop: StrangeShop, status: int, body: bytes
) -> None:
    shop.answer = Response(status, "application/json", body)
    asked = wallet.matches(shop.link)

    try:
        wallet.present(asked.choose())
    except (Refused, Malformed, Unavailable):
        assert wallet.history()[-1].outcome in (Outcome.REFUSED, Outcome.SENT)
    else:
        assert 200 <= status < 300
    shop.nonce = "a nonce of another request"
    wallet.decline(wallet.matches(shop.link))


# Hang it.


def test_the_largest_query_over_the_longest_list_is_read(
    wallet: Wallet, issuer: StrangeIssuer, shop: StrangeShop
) -> None:
    """A wallet that looked at everything for every combination would sit there for hours."""
    issuer.claims = {"lines": [{"serial": str(i)} for i in range(990)]}
    issuer.concealed = (("lines",),)
    issuer.code = "another"
    wallet.accept(issuer.link)
    claims = tuple(ClaimQuery(("lines", None, "serial"), f"c{i}", (str(i),)) for i in range(100))
    everything = tuple(f"c{i}" for i in range(100))
    sets = tuple(everything[: 60 - i] for i in range(40))
    shop.query = DcqlQuery(
        tuple(CredentialQuery(f"q{n}", (TYPE,), claims, claim_sets=sets[n:]) for n in range(2))
    )
    assert 30_000 < len(json.dumps(shop.request().to_claims())) < MAX_TOKEN_BYTES * 3 / 4

    asked = told(wallet, shop.link)

    assert isinstance(asked, Matches)
    assert {len(fitting) for fitting in asked.answers.values()} == {1}


def test_a_redirect_is_followed_nowhere(wallet: Wallet, shop: StrangeShop) -> None:
    wire = Wire(shop.network)
    careful = Wallet.in_memory(fetcher=wire, clock=shop.clock)
    shop.network.serve(SHOP, always(Response(302, "", b"", {"location": f"{SHOP}/request?again"})))

    for method in UriMethod:
        link = request_link(shop.client_id, f"{SHOP}/request", method)
        assert isinstance(told(careful, link), (Refused, Unavailable))

    assert [url for _, url, _ in wire.sent] == [f"{SHOP}/request"] * 2


# Fill it.


def test_requests_that_come_to_nothing_leave_nothing(
    wallet: Wallet, shop: StrangeShop, store: MemoryStore
) -> None:
    before = [store.find(kind) for kind in Kind]
    showings = store.showings(wallet.credentials()[0].credential_id)
    for i in range(50):
        shop.nonce, shop.purpose = f"n{i}", "x" * 2_000
        shop.transaction_data = () if i % 2 else ("no transaction",)
        told(wallet, shop.link)

    assert [store.find(kind) for kind in Kind] == before
    assert store.showings(wallet.credentials()[0].credential_id) == showings == []


def test_a_name_that_would_fill_the_history_is_no_name(wallet: Wallet, shop: StrangeShop) -> None:
    prefix = "redirect_uri:https://shop.example/"
    for length, is_one in ((MAX_CLIENT_ID, True), (MAX_CLIENT_ID + 1, False)):
        client_id = prefix + "x" * (length - len(prefix))
        refusal = told(wallet, request_link(client_id, f"{SHOP}/request"))
        # The shop's request is signed, which this prefix forbids.
        assert isinstance(refusal, Refused if is_one else Malformed)


def test_an_endless_request_is_read_to_its_bound(wallet: Wallet, shop: StrangeShop) -> None:
    shop.network.serve(SHOP, always(Response(200, REQUEST_TYPE, b"x" * MAX_BYTES)))

    for method in UriMethod:
        link = request_link(shop.client_id, f"{SHOP}/request", method)
        assert isinstance(told(wallet, link), (Malformed, Refused, Unavailable))


@pytest.mark.parametrize("method", UriMethod)
def test_a_request_that_calls_itself_a_page_is_none(
    wallet: Wallet, shop: StrangeShop, method: UriMethod
) -> None:
    """Whatever a site lets strangers upload to it could pass for a request of the site."""
    page = shop.handle("GET", "/request", {}, b"")
    shop.network.serve(SHOP, always(replace(page, media_type="text/html")))

    refusal = told(wallet, request_link(shop.client_id, f"{SHOP}/request", method))

    assert isinstance(refusal, Refused)
    assert refusal.codes == ["media-type-not-accepted"]


# Send it inside.


@pytest.mark.parametrize("url", INSIDE)
def test_no_request_is_fetched_from_inside(wallet: Wallet, shop: StrangeShop, url: str) -> None:
    for method in UriMethod:
        refusal = told(wallet, request_link(shop.client_id, url, method))
        assert isinstance(refusal, (Refused, Malformed))


@pytest.mark.parametrize("url", INSIDE)
def test_nothing_is_presented_or_told_inside(wallet: Wallet, shop: StrangeShop, url: str) -> None:
    shop.response_uri = url
    shop.transaction_data = ("no transaction",)
    assert isinstance(told(wallet, shop.link), (Refused, Malformed))

    shop.transaction_data = ()
    asked = told(wallet, shop.link)
    if isinstance(asked, Matches):
        with pytest.raises((Refused, Malformed)):
            wallet.present(asked.choose())
        shop.nonce = "a nonce of another request"
        assert not wallet.decline(wallet.matches(shop.link)).is_heard


@pytest.mark.parametrize("host", ["localhost", "router.local", "printer.home.arpa"])
def test_no_document_of_a_did_is_fetched_from_inside(
    wallet: Wallet, shop: StrangeShop, host: str
) -> None:
    shop.claimed_client_id = client_id_of(did_web(host))
    request = resigned(shop, f"{did_web(host)}#1")
    shop.network.serve(SHOP, always(Response(200, REQUEST_TYPE, request)))

    refusal = told(wallet, request_link(shop.claimed_client_id, f"{SHOP}/request"))

    assert isinstance(refusal, Refused)
    assert refusal.codes == ["fetch-not-allowed"]


def resigned(shop: StrangeShop, key_id: str) -> bytes:

    token = sign_jws(
        shop.request().to_claims(),
        typ="oauth-authz-req+jwt",
        signer=shop.signer,
        header={"kid": key_id},
    )
    return token.encode()


# Have it sign what was not on the screen.


def test_a_request_that_changes_after_the_screen_changes_nothing(
    wallet: Wallet, shop: StrangeShop
) -> None:
    choice = wallet.matches(shop.link).choose()
    shop.claims = (ClaimQuery(("buyer", "name")),)
    shop.response_uri = "https://elsewhere.example/x"
    shop.signer = type(shop.signer).generate()

    wallet.present(choice)

    (form,) = shop.forms
    assert "Mira Sample" not in str(form)
    assert list(json.loads(form["vp_token"][0])) == ["warranty"]


def test_a_copy_that_says_something_else_is_not_shown_in_the_place_of_another(
    wallet: Wallet, issuer: StrangeIssuer, shop: StrangeShop, store: MemoryStore
) -> None:
    """The brand is in league with the verifier: its second copy names the buyer to all."""
    (card,) = wallet.credentials()
    choice = wallet.matches(shop.link).choose()
    league = Wallet.in_memory(fetcher=issuer.network, clock=issuer.clock)
    issuer.concealed = tuple(path for path in issuer.concealed if path != ("buyer", "name"))
    issuer.code = "another"
    (other,) = league.accept(issuer.link).credentials
    shown: Copy = whole(other).copy
    for copy in store.copies(card.credential_id):
        store.show(copy.copy_id, "decentralized_identifier:another", at=issuer.clock())
    store.hold(replace(card, copy=shown))

    with pytest.raises(Refused) as refusal:
        wallet.present(choice)

    assert refusal.value.codes == ["copy-differs"]
    assert shop.forms == []
    assert shop.client_id not in {one.verifier for one in store.showings(card.credential_id)}


# Learn what else it holds.


def test_what_leaves_before_the_customer_agrees_is_the_same_from_every_wallet(
    wallet: Wallet, issuer: StrangeIssuer, shop: StrangeShop
) -> None:
    seen: list[list[tuple[str, str, bytes]]] = []
    guesses = [
        CredentialQuery("warranty", (TYPE,), (ClaimQuery(("item", "serial"), None, (serial,)),))
        for serial in ("A1-0001", "A1-0002")
    ]
    for holds in (True, False):
        nonces = count()
        wire = Wire(shop.network)
        one = Wallet.in_memory(fetcher=wire, clock=shop.clock)
        if holds:
            issuer.code = "another"
            one.accept(issuer.link)
            wire.sent.clear()
        for guess in guesses:
            shop.query = DcqlQuery((guess,))
            for data in ((), ("no transaction",)):
                shop.transaction_data = data
                shop.nonce = f"nonce {next(nonces)}"
                screen = told(one, shop.link)
                if isinstance(screen, Matches):
                    one.decline(screen)
        seen.append(wire.sent)

    assert seen[0] == seen[1]


def test_an_answer_holds_nothing_of_the_credentials_that_were_not_chosen(
    wallet: Wallet, issuer: StrangeIssuer, shop: StrangeShop
) -> None:
    issuer.code = "another"
    issuer.claims = {"item": {"serial": "B2-0002"}, "price": "1.00"}
    issuer.concealed = (("item", "serial"), ("price",))
    wallet.accept(issuer.link)
    asked = wallet.matches(shop.link)
    chosen, other = asked.answers["warranty"]

    wallet.present(asked.choose({"warranty": chosen.credential.credential_id}))

    (form,) = shop.forms
    sent = str(form)
    assert chosen.copy.signer.public.thumbprint() not in sent
    for copy in (other.copy, other.credential.copy):
        assert copy.issued.split("~")[0] not in sent
    assert set(form) == {"vp_token", "state"}
