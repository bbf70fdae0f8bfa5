"""Two hundred at once: two workers on one database, and what is for once happens once."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.tokens import Presented

from tests.conftest import Clock
from tests.issuer.brand import ORDERS, Customer, issuer_on, wait

AT_ONCE = 200
pytestmark = pytest.mark.loopback


@pytest.fixture
def workers(
    where: Path | str, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Iterator[list[Issuer]]:
    """Give two issuers with one key on one database, as two processes would be."""
    signer = MemorySigner.generate()
    stores = [SqlStore(where) for _ in range(2)]
    issuers = [issuer_on(store, clock, random_bytes, signer=signer) for store in stores]
    issuers[0].import_orders(ORDERS)
    yield issuers
    for store in stores:
        store.close()


@pytest.fixture
def customer(workers: list[Issuer], clock: Clock) -> Customer:
    return Customer(workers[0], clock, MemorySigner.generate())


def credential(worker: Issuer, token: str, request: JsonObject) -> str:
    """Ask for one credential."""
    issued = wait(worker.issue(Presented(token), request))
    assert isinstance(issued, Issued)
    (text,) = issued.credentials
    return text


def at_once(acts: Sequence[Callable[[], str]]) -> Counter[str]:
    """Run `acts` together; count what they gave, or the refusals' codes."""

    def outcome(act: Callable[[], str]) -> str:
        try:
            return act()
        except Refused as refused:
            (reason,) = refused.reasons
            return f"{reason.code}: {reason.expected}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(pool.map(outcome, acts))


def test_one_code_gives_one_token(workers: list[Issuer], customer: Customer) -> None:
    (offer,) = workers[0].offer("#1001", with_tx_code=False).offers
    form = customer.form(offer)

    def redeem(worker: Issuer) -> str:
        return "a token" if wait(worker.redeem(form)).value else "nothing"

    acts = [partial(redeem, workers[n % 2]) for n in range(AT_ONCE)]
    assert at_once(acts) == {
        "a token": 1,
        "invalid_grant: a code not used before": AT_ONCE - 1,
    }


def test_two_hundred_guesses_are_compared_five_times(
    workers: list[Issuer], customer: Customer
) -> None:
    (offer,) = workers[0].offer("#1001").offers
    form = customer.form(offer) | {"tx_code": "wrong"}

    def guess(worker: Issuer) -> str:
        return wait(worker.redeem(form)).value

    acts = [partial(guess, workers[n % 2]) for n in range(AT_ONCE)]

    assert at_once(acts) == {
        "invalid_grant: the offer's transaction code": 5,
        "invalid_grant: at most 5 attempts": AT_ONCE - 5,
    }


def test_one_nonce_gives_one_credential(workers: list[Issuer], customer: Customer) -> None:
    (offer,) = workers[0].offer("#1001").offers
    token, nonce = customer.token(offer), workers[0].nonce()
    requests = [
        customer.request(name, customer.proof(nonce, key=MemorySigner.generate()))
        for name in ["receipt", "warranty"] * (AT_ONCE // 2)
    ]

    def issue(worker: Issuer, request: JsonObject) -> str:
        return "a credential" if credential(worker, token, request) else "nothing"

    acts = [partial(issue, workers[n % 2], request) for n, request in enumerate(requests)]
    assert at_once(acts) == {
        "a credential": 1,
        "invalid_nonce: a nonce not used before": AT_ONCE - 1,
    }
    assert workers[1].summary().status_indices_used == 1


def test_one_token_gives_one_credential_of_a_type_however_often_it_is_asked(
    workers: list[Issuer], customer: Customer
) -> None:
    (offer,) = workers[0].offer("#1001").offers
    token = customer.token(offer)
    requests = [customer.request() for _ in range(AT_ONCE)]

    def issue(worker: Issuer, request: JsonObject) -> str:
        return credential(worker, token, request)

    acts = [partial(issue, workers[n % 2], request) for n, request in enumerate(requests)]

    outcomes = at_once(acts)
    assert list(outcomes.values()) == [AT_ONCE], "all got the same credential"
    assert workers[1].summary().status_indices_used == 1


def test_one_token_and_many_keys_give_one_credential(
    workers: list[Issuer], customer: Customer
) -> None:
    (offer,) = workers[0].offer("#1001").offers
    token = customer.token(offer)
    requests = [
        customer.request(proof=customer.proof(key=MemorySigner.generate())) for _ in range(AT_ONCE)
    ]

    def issue(worker: Issuer, request: JsonObject) -> str:
        return "a credential" if credential(worker, token, request) else "nothing"

    acts = [partial(issue, workers[n % 2], request) for n, request in enumerate(requests)]
    assert at_once(acts) == {
        "a credential": 1,
        "credential_request_denied: the keys of the first request": AT_ONCE - 1,
    }
    assert workers[1].summary().status_indices_used == 1
