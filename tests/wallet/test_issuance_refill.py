"""A card that runs out of copies nobody has seen gets more, where its issuer gives a way to."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_wallet import Finished, MemoryStore, Wallet
from counterfoil_wallet.held import CredentialId

from tests.conftest import Clock
from tests.wallet.strangers import BRAND, StrangeIssuer, json_response
from tests.wallet.town import Killed, Wire

METADATA = "/.well-known/openid-credential-issuer"
SERVER = "/.well-known/oauth-authorization-server"
REFILL_CALLS = ("token", "keys", "credential")


class RefreshingIssuer(StrangeIssuer):
    """An issuer that gives a refresh token, another one each time, and takes the newest alone."""

    refreshed: int = 0

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        given = parse_qs(body.decode()).get("refresh_token") if path == "/token" else None
        if path in self.answers or given in (None, [f"refresh {self.refreshed}"]):
            return super().handle(method, path, headers, body)
        self.received.append((path, body))
        return json_response({"error": "invalid_grant"}, 400)

    def _answer(self, path: str, body: bytes) -> JsonObject:
        answer = super()._answer(path, body)
        if path != "/token":
            return answer
        self.refreshed += 1
        return {**answer, "refresh_token": f"refresh {self.refreshed}"}


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> RefreshingIssuer:
    return RefreshingIssuer(MemoryFetcher(), clock, random_bytes, copies=4)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(issuer: RefreshingIssuer, store: MemoryStore, clock: Clock) -> Wallet:
    return Wallet(store, fetcher=issuer.network, clock=clock)


def show(store: MemoryStore, clock: Clock, count: int) -> CredentialId:
    """Show a copy of the one card to so many verifiers."""
    (card,) = store.cards()
    for i in range(count):
        store.take_copy(card.credential_id, f"verifier {i}", at=clock())
    return card.credential_id


def forms(issuer: RefreshingIssuer) -> list[dict[str, list[str]]]:
    return [parse_qs(body.decode()) for path, body in issuer.received if path == "/token"]


def test_asks_for_more_when_few_fresh_copies_are_left(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    card = show(store, clock, 2)

    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    assert finished.held == (card,)
    assert store.copies_left(card, at=clock()).fresh == 2 + 4
    assert [each.credential_id for each in wallet.credentials()] == [card]
    assert len(wallet.history()) == 1, "more copies are nothing new to the customer"
    assert forms(issuer)[1] == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["refresh 1"],
    }
    assert wallet.resume().acceptances == ()


def test_uses_the_newest_refresh_token(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    show(store, clock, 2)
    wallet.resume()
    show(store, clock, 6)

    wallet.resume()

    assert forms(issuer)[2]["refresh_token"] == ["refresh 2"]
    (card,) = store.cards()
    assert len(store.copies(card.credential_id)) == 12


def test_asks_nobody_while_enough_are_left(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    show(store, clock, 1)

    assert wallet.resume().acceptances == ()
    assert len(forms(issuer)) == 1


def test_asks_for_no_more_of_what_is_in_the_trash(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    wallet.remove(show(store, clock, 4))

    wallet.resume()

    assert len(forms(issuer)) == 1


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
def test_a_refusal_is_final_and_what_is_left_is_left(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock, error: str
) -> None:
    wallet.accept(issuer.link)
    card = show(store, clock, 2)
    issuer.answers["/token"] = json_response({"error": error}, 400)

    for _ in range(2):
        wallet.resume()

    assert len(forms(issuer)) == 2
    assert store.copies_left(card, at=clock()).fresh == 2
    assert len(wallet.credentials()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        json_response({"error": "invalid_request"}, 400),
        json_response({"error": "slow_down"}, 400),
        json_response({"token_type": "Bearer"}),
        Response(404, "text/html", b"<h1>Not Found"),
        Response(302, "", b"", {"location": "https://portal.example"}),
        Response(200, "text/html", b"<p>Please log in"),
    ],
)
def test_any_other_word_leaves_the_way_to_more_copies(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock, answer: Response
) -> None:
    wallet.accept(issuer.link)
    card = show(store, clock, 2)
    issuer.answers["/token"] = answer
    wallet.resume()
    assert store.copies_left(card, at=clock()).fresh == 2
    del issuer.answers["/token"]

    wallet.resume()

    assert store.copies_left(card, at=clock()).fresh == 2 + 4


def test_a_word_about_one_request_is_told(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    show(store, clock, 2)
    issuer.answers["/token"] = json_response({"error": "invalid_request"}, 400)

    (stuck,) = wallet.resume().stuck

    assert [reason.found for reason in stuck.reasons] == ["invalid_request"]


def test_copies_that_are_refused_are_asked_for_once(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    card = show(store, clock, 2)
    issuer.vct = f"{BRAND}/types/voucher"

    for _ in range(2):
        wallet.resume()

    assert [path for path, _ in issuer.received].count("/credential") == 2
    assert len(store.copies(card)) == 4
    assert len(wallet.credentials()) == 1


def test_an_issuer_in_trouble_is_asked_again_later(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    card = show(store, clock, 2)
    for path in ("/token", "/credential"):
        issuer.answers[path] = json_response({}, 503)
        wallet.resume()
        issuer.answers.clear()
        if path == "/token":
            assert store.copies_left(card, at=clock()).fresh == 2

    wallet.resume()

    assert len(store.copies(card)) == 8


@pytest.mark.parametrize("after", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("call", range(1, len(REFILL_CALLS) + 1), ids=REFILL_CALLS)
def test_killed_while_asking_for_more(
    issuer: RefreshingIssuer,
    wallet: Wallet,
    store: MemoryStore,
    clock: Clock,
    call: int,
    *,
    after: bool,
) -> None:
    wallet.accept(issuer.link)
    card = show(store, clock, 2)
    wire = Wire(issuer.network, cut_at=call, cut_after_sending=after)
    with pytest.raises(Killed):
        Wallet(store, fetcher=wire, clock=clock).resume()

    again = Wallet(store, fetcher=issuer.network, clock=clock)
    (finished,) = again.resume().acceptances

    # With the answer the newest token was lost, and the issuer takes no older one.
    is_lost = REFILL_CALLS[call - 1] == "token" and after
    assert isinstance(finished, Finished)
    assert (finished.renewal is None) == is_lost
    assert len(store.copies(card)) == (4 if is_lost else 8)
    assert store.copies_left(card, at=clock()).fresh == (2 if is_lost else 6)
    assert again.resume().acceptances == ()


def tokens_used(issuer: RefreshingIssuer) -> list[str]:
    return [form.get("refresh_token", ["none"])[0] for form in forms(issuer)]


def test_a_token_that_ran_out_while_the_app_was_stopped_is_renewed_once(
    issuer: RefreshingIssuer, wallet: Wallet
) -> None:
    issuer.answers["/credential"] = json_response({}, 503)
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    issuer.answers["/credential"] = json_response({"error": "invalid_token"}, 401)
    wallet.resume()
    assert tokens_used(issuer) == ["none", "refresh 1"]
    assert [path for path, _ in issuer.received].count("/credential") == 3
    assert wallet.credentials() == []
    assert wallet.resume().acceptances == (), "a token that is never good enough is the end"


def test_what_was_late_is_fetched_with_a_new_token(
    issuer: RefreshingIssuer, wallet: Wallet, clock: Clock
) -> None:
    issuer.bends[METADATA] = lambda m: {**m, "deferred_credential_endpoint": f"{BRAND}/deferred"}
    promise = json_response({"transaction_id": "t", "interval": 60}, 202)
    issuer.answers["/credential"] = promise
    issuer.answers["/deferred"] = json_response({"error": "invalid_token"}, 401)
    issuer.bends["/token"] = lambda answer: ready(issuer, answer)
    wallet.accept(issuer.link)
    clock.advance(timedelta(minutes=1))

    wallet.resume()

    assert tokens_used(issuer) == ["none", "refresh 1"]
    assert len(wallet.credentials()) == 1


def ready(issuer: RefreshingIssuer, answer: JsonObject) -> JsonObject:
    """Let a second token be good, and the credential be there under its old request."""
    if issuer.refreshed == 2:
        issuer.answers["/deferred"] = json_response({"error": "invalid_transaction_id"}, 400)
        del issuer.answers["/credential"]
    return answer


def test_expired_copies_are_not_counted(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    issuer.expires_in = timedelta(days=1)
    wallet.accept(issuer.link)
    clock.advance(timedelta(days=2))

    wallet.resume()

    (card,) = store.cards()
    assert store.copies_left(card.credential_id, at=clock()).fresh == 4


def test_an_issuer_whose_copies_last_a_minute_does_not_fill_the_file(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    issuer.expires_in = timedelta(minutes=1)
    wallet.accept(issuer.link)
    (card,) = store.cards()
    store.take_copy(card.credential_id, "a verifier", at=clock())

    for _ in range(5):
        clock.advance(timedelta(minutes=2))
        wallet.resume()

    assert len(forms(issuer)) == 6
    assert len(store.copies(card.credential_id)) == 1 + 4, "the one that was shown, and new ones"
    assert store.copies_left(card.credential_id, at=clock()).fresh == 4


def binds(issuer: RefreshingIssuer, kind: str) -> None:
    """Let the issuer say that it binds tokens to keys, and give one of this kind."""
    issuer.bends[SERVER] = lambda m: {**m, "dpop_signing_alg_values_supported": ["ES256"]}
    issuer.bends["/token"] = lambda answer: {**answer, "token_type": kind}


@pytest.mark.parametrize(
    ("before", "then", "more"),
    [("DPoP", "DPoP", 4), ("DPoP", "Bearer", 0), ("Bearer", "DPoP", 4), ("Bearer", "Bearer", 4)],
)
def test_a_token_bound_to_a_key_is_not_renewed_by_one_that_anybody_can_use(  # noqa: PLR0917
    issuer: RefreshingIssuer,
    wallet: Wallet,
    store: MemoryStore,
    clock: Clock,
    before: str,
    then: str,
    more: int,
) -> None:
    binds(issuer, before)
    wallet.accept(issuer.link)
    card = show(store, clock, 2)
    binds(issuer, then)

    resumed = wallet.resume()

    assert store.copies_left(card, at=clock()).fresh == 2 + more
    reasons = [reason.code for stuck in resumed.stuck for reason in stuck.reasons]
    assert reasons == ([] if more else ["token-type-unknown"])


@pytest.mark.parametrize("then", ["DPoP", "Bearer"])
def test_nor_is_one_that_ran_out_while_the_app_was_stopped(
    issuer: RefreshingIssuer, wallet: Wallet, then: str
) -> None:
    binds(issuer, "DPoP")
    issuer.answers["/credential"] = json_response({}, 503)
    with pytest.raises(Unavailable):
        wallet.accept(issuer.link)
    issuer.answers["/credential"] = json_response({"error": "invalid_token"}, 401)
    binds(issuer, then)

    wallet.resume()

    asked = [path for path, _ in issuer.received].count("/credential")
    assert asked == (3 if then == "DPoP" else 2)
