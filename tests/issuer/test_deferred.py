"""What is not ready: the wallet waits under one id, and gets it once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import INVALID, VALID
from counterfoil_issuer.catalogue import parse_catalogue
from counterfoil_issuer.deferred import Deferred
from counterfoil_issuer.issuer import Issuer, IssuerOptions
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.records import DatasetState
from counterfoil_issuer.store import Store
from counterfoil_issuer.tokens import Presented

from tests.conftest import Clock
from tests.issuer.brand import (
    CATALOGUE,
    ORDERS,
    STATUS_LIST_SIZE,
    Customer,
    issuer_on,
    notification,
    wait,
)

DAY = timedelta(days=1)
TYPE = "tier"


@pytest.fixture
def issuer(store: Store, clock: Clock, random_bytes: Callable[[int], bytes]) -> Issuer:
    """Give an issuer whose tiers wait for the brand's approval."""
    catalogue = parse_catalogue(CATALOGUE)
    deferred = replace(catalogue.types[TYPE], deferred=True)
    return issuer_on(
        store,
        clock,
        random_bytes,
        catalogue=replace(catalogue, types={**catalogue.types, TYPE: deferred}),
        options=IssuerOptions(status_list_size=STATUS_LIST_SIZE, deferred_lasts=30 * DAY),
    )


@pytest.fixture
def offer(issuer: Issuer) -> OpenOffer:
    """Give an offer of one tier that waits."""
    dataset = issuer.add_dataset(TYPE, issuer.catalogue.types[TYPE].sample)
    assert dataset.state is DatasetState.WAITING
    return issuer.offer_datasets([dataset])


def dataset_of(offer: OpenOffer) -> str:
    return offer.datasets[0].dataset_id


def asks(customer: Customer, token: str) -> Issued | Deferred:
    """Send a good credential request."""
    return wait(customer.issuer.issue(Presented(token), customer.request(TYPE)))


def waits(customer: Customer, token: str) -> str:
    """Send a credential request that cannot be answered yet."""
    told = asks(customer, token)
    assert isinstance(told, Deferred)
    assert told.interval_s > 0
    return told.transaction_id


def asks_again(customer: Customer, token: str, transaction_id: object) -> Issued | Deferred:
    request: JsonObject = {"transaction_id": transaction_id}  # type: ignore[dict-item]  # pyright: ignore[reportAssignmentType]  # a test sends anything
    return wait(customer.issuer.deferred(Presented(token), request))


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refusal:
        act()
    (code,) = refusal.value.codes
    return code


def test_a_wallet_waits_under_one_id_until_the_brand_agrees(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    assert waits(customer, token) == transaction_id, "an answer that was lost is given again"
    again = asks_again(customer, token, transaction_id)
    assert isinstance(again, Deferred)
    assert again.transaction_id == transaction_id
    assert customer.issuer.summary().status_indices_used == 0

    customer.issuer.approve(dataset_of(offer))
    issued = asks_again(customer, token, transaction_id)
    assert isinstance(issued, Issued)
    assert customer.verified(issued).holder_key == customer.key.public
    customer.told(token, notification(issued))


def test_an_id_is_good_for_one_answer(customer: Customer, offer: OpenOffer) -> None:
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    customer.issuer.approve(dataset_of(offer))
    issued = asks_again(customer, token, transaction_id)

    again = refused(lambda: asks_again(customer, token, transaction_id))
    assert again == "invalid_transaction_id"
    assert asks(customer, token) == issued, "whose answer was lost asks as before"
    assert customer.issuer.summary().status_indices_used == 1


def test_the_id_outlives_the_token_and_ends_in_its_time(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    clock.advance(30 * DAY - timedelta(seconds=1))
    customer.issuer.tidy()
    assert isinstance(asks_again(customer, token, transaction_id), Deferred)

    clock.advance(timedelta(seconds=1))
    over = refused(lambda: asks_again(customer, token, transaction_id))
    assert over == "invalid_transaction_id"
    clock.advance(2 * DAY)
    customer.issuer.tidy()
    assert customer.issuer.summary().personal_data["deferrals.keys"] == 0


def test_a_wallet_that_waited_long_may_still_acknowledge(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    clock.advance(20 * DAY)
    customer.issuer.tidy()
    customer.issuer.approve(dataset_of(offer))
    issued = asks_again(customer, token, transaction_id)
    assert isinstance(issued, Issued)
    clock.advance(DAY - timedelta(seconds=1))
    customer.issuer.tidy()

    customer.told(token, notification(issued))
    assert customer.issuer.summary().personal_data["credentials.copy"] == 0


def test_whoever_waited_and_stays_silent_is_forgotten_a_day_after_the_answer(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    customer.issuer.approve(dataset_of(offer))
    asks_again(customer, token, transaction_id)
    clock.advance(DAY - timedelta(seconds=1))
    customer.issuer.tidy()
    assert customer.issuer.summary().personal_data["credentials.copy"] == 1

    clock.advance(timedelta(minutes=5, seconds=1))
    customer.issuer.tidy()
    assert customer.issuer.summary().personal_data["credentials.copy"] == 0


def test_what_the_brand_denies_is_never_issued(customer: Customer, offer: OpenOffer) -> None:
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    customer.issuer.deny(dataset_of(offer))

    for act in (lambda: asks_again(customer, token, transaction_id), lambda: asks(customer, token)):
        assert refused(act) == "credential_request_denied"
    assert refused(lambda: customer.issuer.approve(dataset_of(offer))) == "dataset-denied"


def test_what_was_approved_is_revoked_and_not_denied(issuer: Issuer, offer: OpenOffer) -> None:
    issuer.approve(dataset_of(offer))
    issuer.approve(dataset_of(offer))

    assert refused(lambda: issuer.deny(dataset_of(offer))) == "dataset-ready"
    assert refused(lambda: issuer.deny("another")) == "dataset-unknown"
    assert refused(lambda: issuer.approve("another")) == "dataset-unknown"


@pytest.mark.parametrize("wrong", ["another", "", None, 7])
def test_another_id_is_refused(customer: Customer, offer: OpenOffer, wrong: object) -> None:
    token = customer.token(offer)
    waits(customer, token)
    code = refused(lambda: asks_again(customer, token, wrong))

    assert code == (
        "invalid_transaction_id" if isinstance(wrong, str) else "invalid_credential_request"
    )


def test_an_id_is_good_with_the_token_that_it_was_given_with(
    customer: Customer, offer: OpenOffer
) -> None:
    transaction_id = waits(customer, customer.token(offer))
    sample = customer.issuer.catalogue.types[TYPE].sample
    other = customer.issuer.offer_datasets([customer.issuer.add_dataset(TYPE, sample)])
    stranger = Customer(customer.issuer, customer.clock, MemorySigner.generate())
    token = stranger.token(other)

    assert refused(lambda: asks_again(stranger, token, transaction_id)) == "invalid_transaction_id"
    assert refused(lambda: asks_again(stranger, "another", transaction_id)) == "invalid_token"


def test_a_newer_offer_ends_what_waits_under_an_older_one(
    customer: Customer, offer: OpenOffer
) -> None:
    issuer = customer.issuer
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    newer = issuer.offer_datasets(offer.datasets)
    assert issuer.summary().personal_data["deferrals.keys"] == 0
    issuer.approve(dataset_of(offer))

    assert refused(lambda: asks_again(customer, token, transaction_id)) == "invalid_token"
    holder = Customer(issuer, customer.clock, MemorySigner.generate())
    (issued,) = holder.accept(newer)
    assert holder.status(issued) == VALID


def test_whoever_sold_it_gets_nothing_for_a_request_that_waited(
    customer: Customer, offer: OpenOffer
) -> None:
    issuer = customer.issuer
    token = customer.token(offer)
    transaction_id = waits(customer, token)
    # Two wallets of the seller wait; one is answered.
    newer = issuer.offer_datasets(offer.datasets)
    second = Customer(issuer, customer.clock, MemorySigner.generate())
    its_token = second.token(newer)
    its_id = waits(second, its_token)
    issuer.approve(dataset_of(offer))
    sold = asks_again(second, its_token, its_id)
    assert isinstance(sold, Issued)
    second.told(its_token, notification(sold))
    bought = issuer.transfer(sold.notification_id)

    for wallet, old, waiting in ((customer, token, transaction_id), (second, its_token, its_id)):
        assert refused(partial(asks_again, wallet, old, waiting)) == "invalid_token"
    buyer = Customer(issuer, customer.clock, MemorySigner.generate())
    (issued,) = buyer.accept(bought)
    assert [second.status(sold), buyer.status(issued)] == [INVALID, VALID]


def test_an_order_of_a_type_that_waits_is_not_issued_before_the_brand_agrees(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    catalogue = parse_catalogue(CATALOGUE)
    deferred = replace(catalogue.types["warranty"], deferred=True)
    issuer = issuer_on(
        store,
        clock,
        random_bytes,
        catalogue=replace(catalogue, types={**catalogue.types, "warranty": deferred}),
    )
    assert not issuer.import_orders(ORDERS).errors

    (offer, *_) = issuer.offer("#1001").offers
    states = {each.type_name: each.state for each in offer.datasets}
    assert states == {"receipt": DatasetState.READY, "warranty": DatasetState.WAITING}
    customer = Customer(issuer, clock, MemorySigner.generate())
    token = customer.token(offer)
    told = wait(issuer.issue(Presented(token), customer.request("warranty")))
    assert isinstance(told, Deferred)

    (warranty,) = (each for each in offer.datasets if each.type_name == "warranty")
    issuer.approve(warranty.dataset_id)
    assert isinstance(asks_again(customer, token, told.transaction_id), Issued)
