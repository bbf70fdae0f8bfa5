"""An issuer in trouble, or a stranger on the way to it, costs neither a credential nor an hour."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import Finished, Waiting, Wallet

from tests.conftest import Clock
from tests.wallet.brand_scene import MINUTE, Mode, Serve
from tests.wallet.strangers import BRAND, StrangeIssuer, json_response

KEYS = "/.well-known/jwt-vc-issuer"
METADATA = "/.well-known/openid-credential-issuer"


class SlowIssuer(StrangeIssuer):
    """An issuer of several datasets that gives each of them once, each answer after a while."""

    takes: timedelta = timedelta(0)
    datasets: int = 1

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        assert isinstance(self.clock, Clock)
        self.clock.advance(self.takes)
        return super().handle(method, path, headers, body)

    def _answer(self, path: str, body: bytes) -> JsonObject:
        answer = super()._answer(path, body)
        if path != "/token":
            return answer
        detail: JsonObject = {
            "type": "openid_credential",
            "credential_configuration_id": "warranty",
            "credential_identifiers": [f"warranty {i}" for i in range(self.datasets)],
        }
        return {**answer, "authorization_details": [detail]}

    def calls(self, path: str) -> int:
        """Count the calls of a path."""
        return [called for called, _ in self.received].count(path)


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> SlowIssuer:
    return SlowIssuer(MemoryFetcher(), clock, random_bytes)


@pytest.fixture
def wallet(issuer: SlowIssuer, clock: Clock) -> Wallet:
    return Wallet.in_memory(fetcher=issuer.network, clock=clock)


# The keys that a credential is judged by.


def test_a_key_that_was_published_as_it_first_signed_is_one_of_them(
    issuer: SlowIssuer, wallet: Wallet
) -> None:
    old = MemorySigner.generate()

    def publish(answer: JsonObject) -> JsonObject:
        has_signed = issuer.calls("/credential") > 0
        return answer if has_signed else issuer_keys_document(BRAND, [old.public])

    issuer.bends[KEYS] = publish

    assert len(wallet.accept(issuer.link).credentials) == 1
    assert (issuer.calls(KEYS), issuer.calls("/credential")) == (2, 1)


@pytest.mark.parametrize(
    "answer",
    [
        json_response({}, 503),
        json_response({}, 404),
        Response(200, "text/html", b"<p>Back soon"),
        json_response({"issuer": BRAND}),
    ],
    ids=["in trouble", "not found", "a page", "no keys"],
)
def test_no_credential_is_asked_for_that_could_not_be_judged(
    issuer: SlowIssuer, wallet: Wallet, answer: Response
) -> None:
    issuer.answers[KEYS] = answer
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    assert issuer.calls("/credential") == 0
    del issuer.answers[KEYS]

    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    assert len(wallet.credentials()) == issuer.calls("/credential") == 1


def test_the_keys_are_fetched_once_for_all_that_is_accepted_together(
    issuer: SlowIssuer, wallet: Wallet
) -> None:
    issuer.datasets = 5

    assert len(wallet.accept(issuer.link).credentials) == 5

    assert issuer.calls(KEYS) == 1


# An issuer that takes its time.


def test_a_slow_issuer_keeps_no_call_waiting_much_longer_than_a_minute(
    issuer: SlowIssuer, wallet: Wallet, clock: Clock
) -> None:
    issuer.takes, issuer.datasets = timedelta(seconds=10), 20
    began = clock()
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    assert clock() - began <= timedelta(seconds=80)
    held = [len(wallet.credentials())]
    assert held > [0]

    while held[-1] < issuer.datasets:
        began = clock()
        wallet.resume()
        assert clock() - began <= timedelta(seconds=80)
        held.append(len(wallet.credentials()))
        assert held[-1] > held[-2], "each call brings it on"

    assert wallet.resume().acceptances == ()
    assert issuer.calls("/credential") == issuer.datasets


def test_an_issuer_slow_to_hear_what_was_kept_is_told_the_rest_later(
    issuer: SlowIssuer, wallet: Wallet, clock: Clock
) -> None:
    issuer.datasets = 20
    issuer.bends[METADATA] = lambda m: {**m, "notification_endpoint": f"{BRAND}/notification"}
    issuer.bends["/credential"] = lambda answer: {**answer, "notification_id": "n"}

    def slow_to_hear(answer: JsonObject) -> JsonObject:
        clock.advance(timedelta(seconds=10))
        return answer

    issuer.bends["/notification"] = slow_to_hear

    assert len(wallet.accept(issuer.link).credentials) == 20

    assert len(issuer.events) == 6
    for _ in range(3):
        wallet.resume()
    assert len(issuer.events) == 20
    assert wallet.resume().acceptances == ()


def test_an_issuer_just_fast_enough_is_asked_for_everything_at_once(
    issuer: SlowIssuer, wallet: Wallet
) -> None:
    issuer.takes, issuer.datasets = timedelta(seconds=2), 20

    assert len(wallet.accept(issuer.link).credentials) == 20


# Answers that nobody gave who could.

NOBODYS_WORD = {
    "a page": Response(200, "text/html", b"<p>Please log in"),
    "a redirect": Response(302, "", b"", {"location": "https://portal.example"}),
    "not found": Response(404, "text/html", b"<h1>Not Found"),
    "not found, in JSON": json_response({"status": 404, "error": "Not Found"}, 404),
    "forbidden": Response(403, "text/html", b"<p>Checking your browser"),
    "a proxy's login": Response(401, "text/html", b"", {"www-authenticate": "Basic realm=x"}),
    "too many": Response(429, "", b""),
}


@pytest.mark.parametrize("path", ["/token", "/nonce", "/credential"])
@pytest.mark.parametrize("answer", NOBODYS_WORD.values(), ids=NOBODYS_WORD)
def test_a_strangers_word_ends_nothing(
    issuer: SlowIssuer, wallet: Wallet, path: str, answer: Response
) -> None:
    issuer.bends[METADATA] = lambda m: {**m, "nonce_endpoint": f"{BRAND}/nonce"}
    issuer.answers[path] = answer
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    del issuer.answers[path]

    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    assert len(wallet.credentials()) == 1


@pytest.mark.parametrize("path", [METADATA, "/deferred"])
@pytest.mark.parametrize("answer", NOBODYS_WORD.values(), ids=NOBODYS_WORD)
def test_a_strangers_word_does_not_end_the_wait(
    serve: Serve, clock: Clock, path: str, answer: Response
) -> None:
    brand = serve(Mode(defers=True, encrypts=True))
    offer, wallet = brand.offer(), brand.wallet()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    brand.approve(offer)
    clock.advance(MINUTE)
    called = f"{METADATA}/audio" if path == METADATA else "/audio/deferred_credential"
    brand.instead[called] = answer

    (waiting,) = wallet.resume().acceptances

    assert isinstance(waiting, Waiting)
    brand.instead.clear()
    wallet.resume()
    assert len(wallet.credentials()) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (json_response({"error": "credential_request_denied"}, 400), "peer-refused"),
        (json_response({"error": "not_found"}, 404), "peer-refused"),
        (json_response({"error": "invalid_token"}, 401), "token-not-accepted"),
        (Response(401, "", b"", {"www-authenticate": "Bearer"}), "token-not-accepted"),
        (
            Response(403, "", b"", {"www-authenticate": 'DPoP error="insufficient_scope"'}),
            "token-not-accepted",
        ),
    ],
)
def test_the_issuers_own_no_ends_it(
    issuer: SlowIssuer, wallet: Wallet, answer: Response, code: str
) -> None:
    issuer.answers["/credential"] = answer

    with pytest.raises(Refused) as refusal:
        wallet.accept(issuer.link)

    assert refusal.value.codes == [code]
    assert wallet.resume().acceptances == ()
