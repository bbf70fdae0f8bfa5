"""Offers: what an order leads to, how often, and how a code becomes a token once."""

from datetime import timedelta

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.offers import parse_offer
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.records import Dataset, RevocationReason

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, Customer, notification

SECOND = timedelta(seconds=1)


def types(datasets: tuple[Dataset, ...]) -> list[str]:
    return [dataset.type_name for dataset in datasets]


def refused(customer: Customer, form: dict[str, str]) -> str:
    with pytest.raises(Refused) as refusal:
        customer.redeemed(form)
    (code,) = refusal.value.codes
    return code


def test_an_order_of_one_unit_is_one_offer_of_receipt_and_warranty(offer: OpenOffer) -> None:
    said = parse_offer(offer.link)

    assert types(offer.datasets) == ["receipt", "warranty"]
    assert said.issuer == AUDIO
    assert said.configuration_ids == ("receipt", "warranty")
    assert said.tx_code is not None
    assert (said.tx_code.length, said.tx_code.numeric) == (6, True)


def test_every_further_unit_is_an_offer_of_its_own(issuer: Issuer) -> None:
    offers = issuer.offer("#1002").offers

    assert [types(offer.datasets) for offer in offers] == [["receipt", "warranty"], ["warranty"]]
    assert offers[0].datasets[1].serial != offers[1].datasets[0].serial


def test_an_offer_shows_neither_code_nor_tx_code_in_a_log(offer: OpenOffer) -> None:
    assert offer.tx_code is not None
    assert offer.tx_code not in repr(offer)
    assert parse_offer(offer.link).pre_authorized_code not in repr(offer)


def test_an_unknown_order_is_refused(issuer: Issuer) -> None:
    with pytest.raises(Refused) as refusal:
        issuer.offer("#9999")

    assert refusal.value.codes == ["order-unknown"]


def test_a_code_with_its_tx_code_becomes_a_token_for_five_minutes(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.redeemed(customer.form(offer))

    assert token.expires_in_s == 300
    assert len(token.value) == 43
    assert token.value not in repr(token)


def test_a_parameter_that_we_do_not_know_is_ignored(customer: Customer, offer: OpenOffer) -> None:
    form = customer.form(offer) | {"resource": AUDIO, "client_id": "wallet", "x": "y"}

    assert customer.redeemed(form).value


def test_an_offer_may_do_without_a_tx_code(customer: Customer) -> None:
    (offer,) = customer.issuer.offer("#1001", with_tx_code=False).offers

    assert offer.tx_code is None
    assert parse_offer(offer.link).tx_code is None
    assert customer.token(offer)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"pre-authorized_code": None}, "invalid_request"),
        ({"pre-authorized_code": ""}, "invalid_request"),
        ({"pre-authorized_code": "x" * 513}, "invalid_request"),
        ({"pre-authorized_code": "another"}, "invalid_grant"),
        ({"tx_code": None}, "invalid_request"),
        ({"tx_code": "x" * 513}, "invalid_request"),
        ({"tx_code": "12345x"}, "invalid_grant"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
    ],
)
def test_a_token_request_that_is_wrong_in_one_thing_is_refused(
    customer: Customer, offer: OpenOffer, changes: dict[str, str | None], code: str
) -> None:
    form: dict[str, str | None] = {**customer.form(offer), **changes}

    assert refused(customer, {k: v for k, v in form.items() if v is not None}) == code
    assert customer.token(offer), "the offer must still be good for its customer"


def test_a_tx_code_that_nobody_asked_for_is_refused(customer: Customer) -> None:
    (offer,) = customer.issuer.offer("#1001", with_tx_code=False).offers

    assert refused(customer, customer.form(offer) | {"tx_code": "123456"}) == "invalid_request"


def test_a_code_works_once(customer: Customer, offer: OpenOffer) -> None:
    customer.token(offer)

    assert refused(customer, customer.form(offer)) == "invalid_grant"


def test_a_code_ends_after_a_day(customer: Customer, offer: OpenOffer, clock: Clock) -> None:
    clock.advance(timedelta(hours=24) - SECOND)
    assert customer.token(offer)
    (later,) = customer.issuer.offer("#1001").offers
    clock.advance(timedelta(hours=24))

    assert refused(customer, customer.form(later)) == "invalid_grant"


def test_four_wrong_guesses_leave_the_fifth_for_the_right_one(
    customer: Customer, offer: OpenOffer
) -> None:
    for _ in range(4):
        assert refused(customer, customer.form(offer) | {"tx_code": "wrong"}) == "invalid_grant"

    assert customer.token(offer)


def test_after_five_wrong_guesses_the_right_one_is_refused_too(
    customer: Customer, offer: OpenOffer
) -> None:
    for _ in range(5):
        assert refused(customer, customer.form(offer) | {"tx_code": "wrong"}) == "invalid_grant"

    assert refused(customer, customer.form(offer)) == "invalid_grant"
    assert refused(customer, customer.form(offer) | {"tx_code": "wrong"}) == "invalid_grant"


def test_an_offer_without_an_attempt_left_counts_as_open_no_more(
    customer: Customer, offer: OpenOffer
) -> None:
    for open_before in (1, 1, 1, 1, 1, 1):
        assert customer.issuer.summary().offers_open == open_before
        refused(customer, customer.form(offer) | {"tx_code": "wrong"})

    assert customer.issuer.summary().offers_open == 0


def test_offering_again_ends_the_earlier_offer(customer: Customer, offer: OpenOffer) -> None:
    (latest,) = customer.issuer.offer("#1001").offers

    assert refused(customer, customer.form(offer)) == "invalid_grant"
    assert customer.token(latest)
    assert customer.issuer.summary().offers_open == 0


def test_offering_again_ends_the_earlier_offers_token(customer: Customer, offer: OpenOffer) -> None:
    token = customer.token(offer)
    customer.issuer.offer("#1001")

    with pytest.raises(Refused) as refusal:
        customer.issued(token)
    assert refusal.value.codes == ["invalid_token"]


def test_what_a_wallet_has_stored_is_not_offered_again(
    customer: Customer, offer: OpenOffer
) -> None:
    customer.accept(offer)
    again = customer.issuer.offer("#1001")

    assert again.offers == ()
    assert [record.dataset_id for record in again.issued] == [
        dataset.dataset_id for dataset in offer.datasets
    ]


def test_what_was_revoked_is_not_offered_again(customer: Customer, offer: OpenOffer) -> None:
    issued = customer.issued(customer.token(offer))
    customer.issuer.revoke(issued.notification_id, RevocationReason.GOODS_RETURNED)
    again = customer.issuer.offer("#1001")

    assert [types(offer.datasets) for offer in again.offers] == [["receipt"]]
    assert [record.issuance_id for record in again.issued] == [issued.notification_id]


def test_what_was_sent_and_never_acknowledged_is_offered_again(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    customer.store(token, customer.issued(token, "receipt"))
    customer.issued(token, "warranty")
    again = customer.issuer.offer("#1001")

    assert [types(offer.datasets) for offer in again.offers] == [["warranty"]]
    assert [record.type_name for record in again.issued] == ["receipt"]


def test_a_wallet_may_acknowledge_although_the_brand_has_offered_again(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    issued = customer.issued(token)
    (latest,) = customer.issuer.offer("#1001").offers
    customer.told(token, notification(issued))

    with pytest.raises(Refused) as refusal:
        customer.issued(customer.token(latest))
    assert refusal.value.codes == ["credential_request_denied"]
