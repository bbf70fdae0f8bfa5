"""What is kept for a wallet that stays silent, and when it is forgotten."""

from datetime import timedelta

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.token_status_list import INVALID, VALID
from counterfoil_issuer.issuer import IssuerOptions
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.records import secret_hash
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import Customer

SECOND = timedelta(seconds=1)
TOKEN_SERVES = IssuerOptions().token_lasts + IssuerOptions().notification_lasts
OFFER_SERVES = IssuerOptions().offer_lasts + IssuerOptions().notification_lasts


def copies(customer: Customer) -> tuple[int, int]:
    held = customer.issuer.summary().personal_data
    return held["credentials.copy"], held["credentials.holder"]


def refused(customer: Customer, form: dict[str, str]) -> str:
    with pytest.raises(Refused) as refusal:
        customer.redeemed(form)
    (reason,) = refusal.value.reasons
    return reason.found


def test_a_silent_wallets_copy_goes_when_it_can_be_acknowledged_no_more(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    token = customer.token(offer)
    issued = customer.issued(token)
    clock.advance(TOKEN_SERVES - SECOND)
    customer.issuer.tidy()
    assert copies(customer) == (1, 1)

    clock.advance(SECOND)
    customer.issuer.tidy()
    assert copies(customer) == (0, 0)
    assert customer.status(issued) == VALID, "whoever holds it may go on showing it"
    with pytest.raises(Refused) as refusal:
        customer.store(token, issued)
    assert refusal.value.codes == ["invalid_token"]


def test_a_wallet_may_acknowledge_up_to_the_last_second_whoever_tidied(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    token = customer.token(offer)
    issued = customer.issued(token)
    clock.advance(TOKEN_SERVES - SECOND)
    customer.issuer.tidy()
    customer.store(token, issued)

    (record,) = customer.issuer.credentials_of("#1001")
    assert record.acknowledged_at == clock()


def test_after_that_the_credential_is_offered_and_issued_anew_and_one_is_in_force(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    lost = customer.issued(customer.token(offer))
    clock.advance(TOKEN_SERVES)
    customer.issuer.tidy()
    (again,) = customer.issuer.offer("#1001").offers
    issued = customer.issued(customer.token(again))

    assert issued.notification_id != lost.notification_id
    assert [customer.status(one) for one in (lost, issued)] == [INVALID, VALID]


def test_dead_offers_and_tokens_go_and_living_ones_stay(
    customer: Customer, offer: OpenOffer, clock: Clock, store: Store
) -> None:
    token = customer.token(offer)
    (first, second) = customer.issuer.offer("#1002").offers
    clock.advance(OFFER_SERVES - SECOND)
    customer.issuer.tidy()
    assert refused(customer, customer.form(first)) == "an expired code"

    with store.reading() as held:
        assert held.session_of(secret_hash(token)) is None
    (latest,) = customer.issuer.offer("#1001").offers
    clock.advance(SECOND)
    customer.issuer.tidy()
    for dead in (offer, first, second):
        assert refused(customer, customer.form(dead)) == "another code"
    assert customer.token(latest)


def test_an_offer_stays_as_long_as_its_token(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    clock.advance(timedelta(hours=24) - SECOND)
    token = customer.token(offer)
    issued = customer.issued(token)
    clock.advance(TOKEN_SERVES - SECOND)
    customer.issuer.tidy()
    customer.store(token, issued)

    clock.advance(SECOND)
    customer.issuer.tidy()
    assert refused(customer, customer.form(offer)) == "another code"


def test_what_was_spent_stays_spent_while_a_slow_request_may_still_be_answered(
    customer: Customer, clock: Clock, store: Store
) -> None:
    proof, ends_at = secret_hash("a proof"), clock() + SECOND
    with store.transaction() as held:
        assert held.spend_nonce(proof, ends_at)

    clock.advance(timedelta(minutes=10))
    customer.issuer.tidy()
    with store.transaction() as held:
        assert not held.spend_nonce(proof, ends_at)

    clock.advance(SECOND)
    customer.issuer.tidy()
    with store.transaction() as held:
        assert held.spend_nonce(proof, ends_at)
