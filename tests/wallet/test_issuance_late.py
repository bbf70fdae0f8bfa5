"""What an issuer has not ready is asked for in its own time, and never keeps the wallet busy."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from counterfoil_credentials.encoding import JsonObject, parse_object
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_wallet import Waiting, Wallet

from tests.conftest import Clock
from tests.wallet.strangers import BRAND, StrangeIssuer, json_response

SECOND = timedelta(seconds=1)
METADATA = "/.well-known/openid-credential-issuer"
CREDENTIAL = "/credential"
DEFERRED = "/deferred"


class LateIssuer(StrangeIssuer):
    """An issuer that is never ready, and takes longer to say so than it asks to be left alone."""

    takes: timedelta = 2 * SECOND
    datasets: int = 1
    polled: int = 0
    forgets: str | None = None

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if path != DEFERRED:
            return super().handle(method, path, headers, body)
        self.polled += 1
        assert self.polled <= 9, "asked without an end"
        assert isinstance(self.clock, Clock)
        self.clock.advance(self.takes)
        transaction_id = str(parse_object(body, "body")["transaction_id"])
        if transaction_id == self.forgets:
            return json_response({"error": "invalid_transaction_id"}, 400)
        return promised(transaction_id)

    def _answer(self, path: str, body: bytes) -> JsonObject:
        answer = super()._answer(path, body)
        if path == METADATA:
            return {**answer, "deferred_credential_endpoint": f"{BRAND}{DEFERRED}"}
        if path == "/token":
            detail: JsonObject = {
                "type": "openid_credential",
                "credential_configuration_id": "warranty",
                "credential_identifiers": [f"warranty {i}" for i in range(self.datasets)],
            }
            return {**answer, "authorization_details": [detail]}
        return answer


def promised(transaction_id: str) -> Response:
    return json_response({"transaction_id": transaction_id, "interval": 1}, 202)


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> LateIssuer:
    issuer = LateIssuer(MemoryFetcher(), clock, random_bytes)
    issuer.answers[CREDENTIAL] = promised("t")
    return issuer


@pytest.fixture
def wallet(issuer: LateIssuer, clock: Clock) -> Wallet:
    return Wallet.in_memory(fetcher=issuer.network, clock=clock)


def test_a_slow_issuer_is_asked_once_and_left_alone_from_its_answer_on(
    issuer: LateIssuer, wallet: Wallet, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    clock.advance(SECOND)

    (waiting,) = wallet.resume().acceptances

    assert isinstance(waiting, Waiting)
    assert issuer.polled == 1
    assert waiting.due == clock() + SECOND


def test_nobody_is_asked_before_it_is_due(issuer: LateIssuer, wallet: Wallet, clock: Clock) -> None:
    wallet.accept(issuer.link)
    clock.advance(SECOND - timedelta(milliseconds=1))

    wallet.resume()

    assert issuer.polled == 0


def test_several_late_ones_take_turns(issuer: LateIssuer, wallet: Wallet, clock: Clock) -> None:
    """By the time that the last was asked the first is due again: that waits for another day."""
    issuer.datasets = 3
    wallet.accept(issuer.link)
    clock.advance(SECOND)

    for times in (1, 2, 3):
        wallet.resume()
        assert issuer.polled == times


def test_what_is_promised_anew_is_asked_for_under_its_new_id(
    issuer: LateIssuer, wallet: Wallet, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    issuer.forgets = "t"
    issuer.answers[CREDENTIAL] = promised("another")

    for _ in range(3):
        clock.advance(SECOND)
        wallet.resume()

    asked = [body for path, body in issuer.received if path == CREDENTIAL]
    assert len(asked) == 2, "the issuer opens one new transaction, and no third"
    assert issuer.polled == 3
