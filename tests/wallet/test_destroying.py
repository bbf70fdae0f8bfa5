"""What was destroyed is gone: it does not come back, and nothing that led to more of it stays."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_wallet import Finished, Kind, MemoryStore, Wallet

from tests.conftest import Clock
from tests.wallet.strangers import BRAND, json_response
from tests.wallet.test_issuance_refill import METADATA, RefreshingIssuer, show


@pytest.fixture
def issuer(clock: Clock, random_bytes: Callable[[int], bytes]) -> RefreshingIssuer:
    return RefreshingIssuer(MemoryFetcher(), clock, random_bytes, copies=4)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(issuer: RefreshingIssuer, store: MemoryStore, clock: Clock) -> Wallet:
    return Wallet(store, fetcher=issuer.network, clock=clock)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_card_that_was_destroyed_while_more_was_asked_for_does_not_come_back(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock, *, is_late: bool
) -> None:
    issuer.bends[METADATA] = lambda m: {**m, "deferred_credential_endpoint": f"{BRAND}/deferred"}
    wallet.accept(issuer.link)
    card = show(store, clock, 3)
    promise = json_response({"transaction_id": "t", "interval": 60}, 202)
    issuer.answers["/credential"] = promise if is_late else json_response({}, 503)
    wallet.resume()
    wallet.remove(card)
    wallet.empty_trash()
    issuer.answers.clear()
    issuer.answers["/deferred"] = json_response({"error": "invalid_transaction_id"}, 400)
    clock.advance(timedelta(minutes=1))

    (finished,) = wallet.resume().acceptances

    assert isinstance(finished, Finished)
    assert [path for path, _ in issuer.received].count("/credential") == 3
    assert store.cards(trashed=None) == []
    assert store.copies(card) == []
    assert wallet.resume().acceptances == ()
    assert not any(b'"refresh' in record.body for record in store.find(Kind.ACCEPTANCE))


def test_the_way_to_more_copies_is_gone_with_the_card(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    wallet.remove(show(store, clock, 1))
    assert wallet.empty_trash() == 1

    (record,) = store.find(Kind.ACCEPTANCE)
    assert record.label == "finished"
    assert b"refresh 1" not in record.body


def test_the_way_to_more_copies_stays_with_a_card_in_the_trash(
    issuer: RefreshingIssuer, wallet: Wallet, store: MemoryStore, clock: Clock
) -> None:
    wallet.accept(issuer.link)
    card = show(store, clock, 4)
    wallet.remove(card)
    wallet.resume()
    wallet.take_back(card)

    wallet.resume()

    assert len(store.copies(card)) == 8
