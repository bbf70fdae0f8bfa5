"""Issuers, servers and links that lie while a wallet is issued to: bounded and not believed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    compact_json,
    from_b64url,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher, Response
from counterfoil_credentials.offers import parse_offer
from counterfoil_issuer.clients import Demand
from counterfoil_issuer.offering import Grant
from counterfoil_wallet import Authorizing, Wallet
from counterfoil_wallet.attesting import ANONYMOUS

from tests.conftest import Clock
from tests.wallet.brand_scene import BRAND, CALLBACK, MINUTE, TYPE, BrandScene, Mode, Serve
from tests.wallet.strangers import json_response

METADATA = "/.well-known/openid-credential-issuer/audio"
SERVER = "/.well-known/oauth-authorization-server/audio"
OTHER = "https://other.example"


def accepting(brand: BrandScene) -> tuple[Wallet, Callable[[], object]]:
    """Give a wallet, and how it accepts an offer."""
    offer, wallet = brand.offer(), brand.wallet()
    return wallet, lambda: wallet.accept(offer.link, tx_code=offer.tx_code)


def refused(wallet: Wallet, act: Callable[[], object]) -> list[str]:
    """Give the codes of a refusal, having seen that nothing is held and nothing goes on."""
    with pytest.raises(Refused) as refusal:
        act()
    assert wallet.credentials() == []
    assert wallet.resume().acceptances == ()
    return refusal.value.codes


# Nonces, proofs of possession.


@pytest.mark.parametrize("path", ["/audio/token", "/audio/credential"])
def test_a_server_that_always_wants_another_nonce_is_asked_twice(serve: Serve, path: str) -> None:
    brand = serve(Mode(dpop=Demand.REQUIRED))
    brand.instead[path] = Response(
        401,
        "application/json",
        b'{"error":"use_dpop_nonce"}',
        {"dpop-nonce": "another", "www-authenticate": 'DPoP error="use_dpop_nonce"'},
    )
    wallet, accept = accepting(brand)

    code = "offer-not-redeemed" if path == "/audio/token" else "token-not-accepted"
    assert refused(wallet, accept) == [code]
    assert len(brand.bodies(path.removeprefix("/audio"))) == 2


def test_a_server_that_always_wants_another_challenge_is_asked_twice(serve: Serve) -> None:
    brand = serve(Mode(attests=Demand.REQUIRED))
    brand.instead["/audio/token"] = Response(
        400,
        "application/json",
        b'{"error":"use_attestation_challenge"}',
        {"oauth-client-attestation-challenge": "another"},
    )
    wallet, accept = accepting(brand)

    assert refused(wallet, accept) == ["offer-not-redeemed"]
    assert len(brand.bodies("/token")) == 2


@pytest.mark.parametrize("nonce", ["x" * 513, "a\x7fb", "ä"])
def test_a_nonce_out_of_shape_is_not_sent_back(serve: Serve, nonce: str) -> None:
    brand = serve(Mode(dpop=Demand.REQUIRED))
    brand.instead["/audio/nonce"] = Response(
        200, "application/json", b'{"c_nonce":"n"}', {"dpop-nonce": nonce}
    )
    wallet, accept = accepting(brand)

    refused(wallet, accept)
    headers, *_ = brand.headers("/credential")
    claims = parse_object(from_b64url(headers["dpop"].split(".")[1], "dpop"), "dpop")
    assert claims.get("nonce") != nonce


def test_a_token_of_a_kind_that_was_not_asked_for_is_not_used(serve: Serve) -> None:
    brand = serve(Mode(dpop=Demand.OFF))
    brand.bends["/audio/token"] = lambda answer: {**answer, "token_type": "DPoP"}
    wallet, accept = accepting(brand)

    assert refused(wallet, accept) == ["offer-not-redeemed"]
    assert "/credential" not in brand.paths()


# Batches.


def plain(brand: BrandScene) -> None:
    """Let requests and answers travel open, so that a test can bend them."""
    brand.bends[METADATA] = lambda document: {
        name: value for name, value in document.items() if "encryption" not in name
    }


def listed(answer: JsonObject) -> list[Json]:
    credentials = answer["credentials"]
    assert isinstance(credentials, list)
    return credentials


BENT_BATCHES: dict[str, tuple[Callable[[list[Json]], list[Json]], list[str]]] = {
    "one twice": (
        lambda batch: [batch[0], batch[0]],
        [
            "copies-share-a-key",
            "copies-share-a-salt",
            "copies-share-a-digest",
            "copies-share-a-signature",
            "copies-share-a-status",
        ],
    ),
    "more than keys": (lambda batch: [*batch, batch[0]], ["malformed"]),
    "none": (lambda _: [], ["malformed"]),
    "one out of shape": (lambda batch: [batch[0], {"credential": "none~"}], ["malformed"]),
    "one of another form": (lambda batch: [batch[0], "a text"], ["malformed"]),
}


@pytest.mark.parametrize(("bend", "codes"), BENT_BATCHES.values(), ids=BENT_BATCHES)
def test_refuses_a_batch_that_is_none(
    serve: Serve, bend: Callable[[list[Json]], list[Json]], codes: list[str]
) -> None:
    brand = serve(Mode(batch_size=2))
    plain(brand)
    brand.bends["/audio/credential"] = lambda answer: {
        **answer,
        "credentials": bend(listed(answer)),
    }
    wallet, accept = accepting(brand)

    assert refused(wallet, accept) == codes


def test_takes_fewer_copies_than_it_gave_keys(serve: Serve) -> None:
    brand = serve(Mode(batch_size=3))
    plain(brand)
    brand.bends["/audio/credential"] = lambda answer: {
        **answer,
        "credentials": listed(answer)[1:],
    }
    wallet, accept = accepting(brand)

    accept()

    assert len(wallet.credentials()) == 1


def test_tells_the_issuer_that_a_batch_with_one_bad_copy_failed(serve: Serve) -> None:
    brand = serve(Mode(batch_size=2))
    plain(brand)
    brand.bends["/audio/credential"] = lambda answer: {
        **answer,
        "credentials": [listed(answer)[0], {"credential": "none~"}],
    }
    wallet, accept = accepting(brand)

    refused(wallet, accept)

    (said,) = [parse_object(body, "body") for body in brand.bodies("/notification")]
    assert said["event"] == "credential_failure"


@pytest.mark.parametrize("size", [0, -1, 2**40])
def test_a_batch_of_any_size_is_ten_copies_at_most(serve: Serve, size: int) -> None:
    brand = serve(Mode())
    plain(brand)
    bend = brand.bends[METADATA]
    brand.bends[METADATA] = lambda document: {
        **bend(document),
        "batch_credential_issuance": {"batch_size": size},
    }
    _, accept = accepting(brand)

    accept()

    (body,) = brand.bodies("/credential")
    assert body.count(b"eyJ") <= 2 * 10


# Covers.


def test_refuses_an_open_answer_to_a_request_for_an_encrypted_one(serve: Serve) -> None:
    brand = serve(Mode(encrypts=True))
    brand.instead["/audio/credential"] = json_response({"credentials": [{"credential": "x~"}]})
    wallet, accept = accepting(brand)

    assert refused(wallet, accept) == ["answer-not-encrypted"]


@pytest.mark.parametrize(
    "body", [b"", b"a.b.c.d.e", b"\xff" * 100, b"eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA"]
)
def test_refuses_an_answer_that_only_looks_encrypted(serve: Serve, body: bytes) -> None:
    brand = serve(Mode(encrypts=True))
    brand.instead["/audio/credential"] = Response(200, "application/jwt", body)
    wallet, accept = accepting(brand)

    assert len(refused(wallet, accept)) == 1


@pytest.mark.parametrize("side", ["request", "response"])
def test_refuses_an_issuer_that_demands_encryption_that_nobody_here_knows(
    serve: Serve, side: str
) -> None:
    brand = serve(Mode(encrypts=True))
    name = f"credential_{side}_encryption"

    def bend(document: JsonObject) -> JsonObject:
        asked = document[name]
        assert isinstance(asked, dict)
        return {**document, name: {**asked, "enc_values_supported": ["A128CBC-HS256"]}}

    brand.bends[METADATA] = bend
    wallet, accept = accepting(brand)

    assert refused(wallet, accept) == ["encryption-not-ours"]
    assert "/token" not in brand.paths()


# Promises.


def promised(interval: Json, transaction_id: str = "t") -> Response:
    return json_response({"transaction_id": transaction_id, "interval": interval}, 202)


@pytest.mark.parametrize(
    ("interval", "waits"),
    [
        (0.001, timedelta(seconds=1)),
        (1, timedelta(seconds=1)),
        (90.5, timedelta(seconds=90.5)),
        (10**12, timedelta(days=7)),
        (1e300, timedelta(days=7)),
    ],
)
def test_waits_a_second_to_a_week_whatever_is_asked(
    serve: Serve, clock: Clock, interval: Json, waits: timedelta
) -> None:
    brand = serve(Mode())
    plain(brand)
    brand.instead["/audio/credential"] = promised(interval)
    offer = brand.offer()

    accepted = brand.wallet().accept(offer.link, tx_code=offer.tx_code)

    assert accepted.waits_until == clock() + waits


@pytest.mark.parametrize("interval", [0, -5, "60", None, True, []])
def test_refuses_a_promise_without_a_time(serve: Serve, interval: Json) -> None:
    brand = serve(Mode())
    plain(brand)
    brand.instead["/audio/credential"] = promised(interval)
    wallet, accept = accepting(brand)

    assert refused(wallet, accept) == ["malformed"]


def test_refuses_a_promise_under_another_id(serve: Serve, clock: Clock) -> None:
    brand = serve(Mode(defers=True))
    plain(brand)
    wallet, accept = accepting(brand)
    accept()
    brand.instead["/audio/deferred_credential"] = promised(5, "another")
    clock.advance(MINUTE)

    (dropped,) = wallet.resume().acceptances

    assert type(dropped).__name__ == "Dropped"


def test_a_promise_is_given_up_after_ninety_days(serve: Serve, clock: Clock) -> None:
    brand = serve(Mode())
    plain(brand)
    brand.instead["/audio/credential"] = promised(10**9)
    brand.instead["/audio/deferred_credential"] = promised(10**9)
    wallet, accept = accepting(brand)
    accept()

    states: list[str] = []
    for _ in range(14):
        clock.advance(timedelta(days=7))
        states += [type(state).__name__ for state in wallet.resume().acceptances]

    assert states == ["Waiting"] * 12 + ["Dropped"]
    assert len(brand.bodies("/deferred_credential")) == 13


def test_an_issuer_in_trouble_keeps_the_wallet_waiting(serve: Serve, clock: Clock) -> None:
    brand = serve(Mode(defers=True))
    offer, wallet = brand.offer(), brand.wallet()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    brand.approve(offer)
    clock.advance(MINUTE)
    brand.instead["/audio/deferred_credential"] = Response(503, "text/plain", b"")
    (waiting,) = wallet.resume().acceptances
    assert type(waiting).__name__ == "Waiting"
    brand.instead.clear()

    wallet.resume()

    assert len(wallet.credentials()) == 1


# Logins.


def begun(brand: BrandScene, wallet: Wallet) -> tuple[Authorizing, str]:
    """Give a login, and where the browser ends after it."""
    offer = brand.offer(by=Grant.AUTHORIZATION_CODE)
    login = wallet.authorize(offer.link, redirect_uri=CALLBACK)
    return login, brand.browse(login.url)


def changed(url: str, **changes: str | None) -> str:
    """Give the address with other parameters; None leaves one out."""
    query = {**dict(parse_qsl(urlsplit(url).query)), **changes}
    kept = {name: value for name, value in query.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(kept)}"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iss": OTHER}, "issuer-mismatch"),
        ({"iss": f"{BRAND}/"}, "issuer-mismatch"),
        ({"iss": None}, "issuer-mismatch"),
        ({"error": "access_denied", "code": None}, "login-refused"),
        ({"error": "access_denied"}, "login-refused"),
    ],
)
def test_refuses_an_answer_that_another_server_or_a_refusal_brings(
    serve: Serve, change: Mapping[str, str | None], code: str
) -> None:
    brand = serve(Mode())
    wallet = brand.wallet()
    _, back = begun(brand, wallet)

    with pytest.raises(Refused) as refusal:
        wallet.come_back(changed(back, **change))

    assert refusal.value.codes == [code]
    assert "/token" not in brand.paths(), "no code goes anywhere"
    assert wallet.resume().acceptances == ()
    with pytest.raises(Refused):
        wallet.come_back(back)


def test_an_unknown_answer_changes_nothing(serve: Serve) -> None:
    brand = serve(Mode())
    wallet = brand.wallet()
    login, back = begun(brand, wallet)

    with pytest.raises(Refused) as refusal:
        wallet.come_back(changed(back, state="of somebody else"))

    assert refusal.value.codes == ["login-unknown"]
    assert wallet.resume().acceptances == (login,)
    assert len(wallet.come_back(back).credentials) == 1


BENT: dict[str, Callable[[str], str]] = {
    "another address": lambda url: url.replace("/callback", "/callbacks"),
    "a state twice": lambda url: f"{url}&state=again",
    "a code twice": lambda url: f"{url}&code=again",
    "no state": lambda url: changed(url, state=None),
    "no code": lambda url: changed(url, code=None),
    "no query": lambda url: url.partition("?")[0],
    "a fragment": lambda url: url.replace("?", "#"),
    "very long": lambda url: f"{url}&x={'y' * 20_000}",
    "not ascii": lambda url: f"{url}&x=ä",
}


@pytest.mark.parametrize("end", ["#", "#_=_", "#x?code=another", "#&code=another"])
def test_what_stands_behind_the_answer_is_no_part_of_it(serve: Serve, end: str) -> None:
    brand = serve(Mode())
    wallet = brand.wallet()
    _, back = begun(brand, wallet)

    assert len(wallet.come_back(back + end).credentials) == 1


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT)
def test_refuses_an_answer_out_of_shape(serve: Serve, bend: Callable[[str], str]) -> None:
    brand = serve(Mode())
    wallet = brand.wallet()
    _, back = begun(brand, wallet)

    with pytest.raises((Malformed, Refused)) as error:
        wallet.come_back(bend(back))

    assert "/token" not in brand.paths()
    assert dict(parse_qsl(urlsplit(back).query))["code"] not in str(error.value)


def test_a_login_is_over_after_an_hour(serve: Serve, clock: Clock) -> None:
    brand = serve(Mode())
    wallet = brand.wallet()
    _, back = begun(brand, wallet)
    clock.advance(timedelta(hours=1) - timedelta(seconds=1))
    assert [type(state).__name__ for state in wallet.resume().acceptances] == ["Authorizing"]
    clock.advance(timedelta(seconds=1))

    assert [type(state).__name__ for state in wallet.resume().acceptances] == ["Dropped"]
    with pytest.raises(Refused) as refusal:
        wallet.come_back(back)
    assert refusal.value.codes == ["login-over"]


@pytest.mark.parametrize("methods", [[], ["plain"], None])
def test_logs_in_nowhere_without_a_challenge_that_is_hashed(
    serve: Serve, methods: list[Json] | None
) -> None:
    brand = serve(Mode())
    brand.bends[SERVER] = lambda document: {
        **document,
        "code_challenge_methods_supported": methods or [],
    }
    offer, wallet = brand.offer(by=Grant.AUTHORIZATION_CODE), brand.wallet()

    assert refused(wallet, lambda: wallet.authorize(offer.link, redirect_uri=CALLBACK)) == [
        "login-not-offered"
    ]


def test_a_wallet_without_a_name_cannot_log_in(serve: Serve) -> None:
    brand = serve(Mode())
    offer, wallet = brand.offer(by=Grant.AUTHORIZATION_CODE), brand.wallet(client=ANONYMOUS)

    with pytest.raises(Refused) as refusal:
        wallet.authorize(offer.link, redirect_uri=CALLBACK)

    assert refusal.value.codes == ["client-id-needed"]


@pytest.mark.parametrize(
    "address",
    ["http://wallet.example/cb", "javascript:alert(1)", "/cb", "", f"{CALLBACK}#x", "https://"],
)
def test_a_browser_comes_back_to_the_app_alone(serve: Serve, address: str) -> None:
    brand = serve(Mode())
    offer, wallet = brand.offer(by=Grant.AUTHORIZATION_CODE), brand.wallet()

    with pytest.raises(Misuse):
        wallet.authorize(offer.link, redirect_uri=address)


def test_a_server_that_does_not_take_the_request_says_why(serve: Serve) -> None:
    brand = serve(Mode())
    offer, wallet = brand.offer(by=Grant.AUTHORIZATION_CODE), brand.wallet()

    with pytest.raises(Refused) as refusal:
        wallet.authorize(offer.link, redirect_uri="https://elsewhere.example/callback")

    assert [(each.code, each.found) for each in refusal.value.reasons] == [
        ("peer-refused", "invalid_request")
    ]


# Offers that are elsewhere.


def link_to(url: str) -> str:
    return f"openid-credential-offer://?credential_offer_uri={quote(url, safe='')}"


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/offer",
        "https://[::1]/offer",
        "https://localhost/offer",
        "file:///etc/passwd",
        "http://audio.example/offer",
        "https://user@audio.example/offer",
    ],
)
def test_an_offer_is_not_fetched_from_an_address_inside(url: str) -> None:
    wallet = Wallet.in_memory(fetcher=GuardedFetcher())

    with pytest.raises((Refused, Malformed)):
        wallet.accept(link_to(url))


@pytest.mark.parametrize(
    "answer",
    [
        Response(302, "", b"", {"location": OTHER}),
        Response(404, "application/json", b"{}"),
        Response(200, "application/json", b"[]"),
        Response(200, "application/json", b"{}"),
        Response(200, "application/json", compact_json({"credential_offer_uri": OTHER})),
        Response(200, "application/json", b"[" * 5_000),
    ],
)
def test_refuses_what_is_no_offer_where_the_link_leads(serve: Serve, answer: Response) -> None:
    brand = serve(Mode())
    brand.instead["/audio/offers/x"] = answer
    wallet = brand.wallet()

    with pytest.raises((Refused, Malformed, Unavailable)):
        wallet.accept(link_to(f"{BRAND}/offers/x"))

    assert wallet.resume().acceptances == ()


@pytest.mark.parametrize("by", list(Grant), ids=["code", "login"])
def test_what_was_shown_is_accepted_whatever_its_link_leads_to_later(
    serve: Serve, by: Grant
) -> None:
    """The code that the customer types in, and the browser, go to the issuer on the screen."""
    brand = serve(Mode())
    asked_elsewhere: list[str] = []

    def elsewhere(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        asked_elsewhere.append(f"{method} {path}")
        return Response(503, "text/plain", b"")

    brand.network.serve(OTHER, elsewhere)
    offer, wallet = brand.offer(by=by), brand.wallet()
    link = link_to(f"{BRAND}/offers/x")
    real = parse_offer(offer.link)
    of_another = replace(real, issuer=OTHER)
    brand.instead["/audio/offers/x"] = json_response(real.to_json())
    shown = wallet.offered(link)
    brand.instead["/audio/offers/x"] = json_response(of_another.to_json())

    if by is Grant.PRE_AUTHORIZED:
        accepted = wallet.accept(shown, tx_code=offer.tx_code)
        assert wallet.accept(shown, tx_code=offer.tx_code) == accepted
    else:
        login = wallet.authorize(shown, redirect_uri=CALLBACK)
        accepted = wallet.come_back(brand.browse(login.url))

    assert [card.issuer for card in accepted.credentials] == [shown.issuer] == [BRAND]
    assert asked_elsewhere == []
    with pytest.raises(Unavailable):
        wallet.offered(link)
    assert asked_elsewhere, "the link leads to what it says now"


def test_what_a_brand_calls_itself_is_shown_on_one_line(serve: Serve) -> None:
    brand = serve(Mode())
    offer = brand.offer()
    brand.bends[METADATA] = lambda document: {
        **document,
        "display": [{"name": "Bank\u202e\n  of\x1b[2J everybody" + "x" * 1_000}],
    }

    shown = brand.wallet().offered(offer.link)

    assert shown.issuer_name is not None
    assert shown.issuer_name.isprintable()
    assert len(shown.issuer_name) <= 200
    assert [each.vct for each in shown.credentials] == [f"{BRAND}/types/{TYPE}"]
