"""Two hundred at once over HTTP: two processes, one database, and each thing happens once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection

import pytest
from counterfoil_credentials.keys import MemorySigner

from tests.issuer.crowd import Answer, Wallet, all_at_once, connected
from tests.issuer.running import RunningIssuer, init, serving
from tests.postgres import made_on

pytestmark = [pytest.mark.loopback, pytest.mark.once]

AT_ONCE = 200


@dataclass(frozen=True)
class Pair:
    """One issuer in two processes, each with an address of its own."""

    first: RunningIssuer
    second: RunningIssuer

    @property
    def addresses(self) -> list[str]:
        return [self.first.listens, self.second.listens]

    def wallets(self, count: int, *, tx_code: bool = False) -> list[Wallet]:
        """Give wallets with an offer each."""
        offers = self.first.offers(count, tx_code=tx_code)
        return [Wallet(self.first.url, offer.link, offer.tx_code) for offer in offers]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp(request.param) / "brand"
    is_postgres = request.param == "postgres"
    init(folder, made_on(request.getfixturevalue("postgres"), "crowds") if is_postgres else None)
    with serving(folder) as first, serving(folder, "--public-url", first.url) as second:
        yield Pair(first, second)


def outcomes(answers: list[Answer]) -> Counter[str]:
    return Counter(answer.outcome for answer in answers)


def test_one_code_gives_one_token(pair: Pair) -> None:
    (wallet,) = pair.wallets(1)

    answers = all_at_once([wallet.redeem] * AT_ONCE, pair.addresses)

    assert outcomes(answers) == {"200": 1, "400 invalid_grant": AT_ONCE - 1}


def test_guesses_are_compared_five_times_and_end_the_code(pair: Pair) -> None:
    (wallet,) = pair.wallets(1, tx_code=True)
    assert wallet.tx_code is not None
    wrong = f"{(int(wallet.tx_code[0]) + 1) % 10}{wallet.tx_code[1:]}"

    guesses = [partial(wallet.redeem, tx_code=wrong)] * AT_ONCE
    answers = all_at_once(guesses, pair.addresses)

    assert outcomes(answers) == {"400 invalid_grant": AT_ONCE}
    compared = [one for one in answers if "transaction code" in one.body["error_description"]]
    assert len(compared) == 5
    with connected(pair.addresses[1]) as connection:
        right = wallet.redeem(connection)
    assert right.outcome == "400 invalid_grant"


def test_one_nonce_gives_one_credential_whoever_comes_with_it(pair: Pair) -> None:
    wallets = pair.wallets(10)
    with connected(pair.addresses[0]) as connection:
        for wallet in wallets:
            assert wallet.redeem(connection).status == 200
        nonce = wallets[0].nonce(connection)

    def ask(wallet: Wallet, connection: HTTPConnection) -> Answer:
        return wallet.ask(connection, nonce, MemorySigner.generate())

    acts = [partial(ask, wallets[number % 10]) for number in range(AT_ONCE)]
    answers = all_at_once(acts, pair.addresses)

    assert outcomes(answers) == {"200": 1, "400 invalid_nonce": AT_ONCE - 1}


def test_one_token_gives_one_credential_however_many_keys_ask(pair: Pair) -> None:
    (wallet,) = pair.wallets(1)
    with connected(pair.addresses[0]) as connection:
        assert wallet.redeem(connection).status == 200

    def ask(connection: HTTPConnection) -> Answer:
        return wallet.ask(connection, wallet.nonce(connection), MemorySigner.generate())

    answers = all_at_once([ask] * AT_ONCE, pair.addresses)

    assert outcomes(answers)["200"] == 1
    assert outcomes(answers)["400 credential_request_denied"] == AT_ONCE - 1
