"""Offers by reference: short enough for a camera, and good until they are used."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from counterfoil_credentials.encoding import JsonObject, object_at, parse_object, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import Grant, OpenOffer
from counterfoil_issuer.records import secret_hash
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, Customer, issuer_on


def reference_of(offer: OpenOffer) -> str:
    """Give the last part of the URL that a camera reads."""
    (url,) = parse_qs(urlsplit(offer.qr).query)["credential_offer_uri"]
    assert url.startswith(f"{AUDIO}/offers/")
    return url.removeprefix(f"{AUDIO}/offers/")


def by_value(offer: OpenOffer) -> JsonObject:
    (text,) = parse_qs(urlsplit(offer.link).query)["credential_offer"]
    return parse_object(text, "offer")


def test_the_reference_leads_to_what_the_link_says(issuer: Issuer, offer: OpenOffer) -> None:
    assert issuer.offered(reference_of(offer)) == by_value(offer)
    assert issuer.offered(reference_of(offer)) == by_value(offer), "as often as it is fetched"
    assert len(offer.qr) < 200 < len(offer.link)


@pytest.mark.parametrize("wrong", ["", "another", "x" * 5_000, "é", "../token"])
def test_another_reference_leads_nowhere(issuer: Issuer, offer: OpenOffer, wrong: str) -> None:
    assert issuer.offered(wrong) is None
    assert issuer.offered(reference_of(offer)[:-1]) is None
    assert issuer.offered(offer.offer_id) is None


def test_a_reference_ends_with_its_offer(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    customer.token(offer)
    assert customer.issuer.offered(reference_of(offer)) is None

    (second,) = customer.issuer.offer("#1001").offers
    (third,) = customer.issuer.offer("#1001").offers
    assert customer.issuer.offered(reference_of(second)) is None
    clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    assert customer.issuer.offered(reference_of(third)) is not None
    clock.advance(timedelta(seconds=1))
    assert customer.issuer.offered(reference_of(third)) is None


def test_six_wrong_guesses_end_the_reference_too(customer: Customer, offer: OpenOffer) -> None:
    for guess in range(6):
        assert customer.issuer.offered(reference_of(offer)), f"open before guess {guess + 1}"
        with pytest.raises(Refused):
            customer.redeemed(customer.form(offer) | {"tx_code": "wrong"})

    assert customer.issuer.offered(reference_of(offer)) is None


def test_the_books_alone_lead_to_no_offer(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes], issuer: Issuer
) -> None:
    (offer,) = issuer.offer("#1001").offers
    code = parse_offer(offer.link).pre_authorized_code
    with store.reading() as held:
        record = held.offer_of_code(secret_hash(code))
        assert record is not None
        assert held.offer_of_reference(secret_hash(reference_of(offer))) == record
    said = repr(record) + repr(offer)

    assert code not in said
    assert reference_of(offer) not in said
    assert issuer_on(store, clock, random_bytes).offered(reference_of(offer)) == by_value(offer)


@pytest.mark.parametrize("grants", [[*Grant], [Grant.AUTHORIZATION_CODE]])
def test_what_is_nobodys_is_not_offered_by_login(issuer: Issuer, grants: list[Grant]) -> None:
    sample = issuer.catalogue.types["tier"].sample
    nobodys, hers = (issuer.add_dataset("tier", sample, subject=name) for name in (None, "c-7"))
    for datasets in ([nobodys], [hers, nobodys]):
        with pytest.raises(Refused) as refusal:
            issuer.offer_datasets(datasets, grants=grants)
        assert refusal.value.codes == ["subject-needed"]

    assert issuer.offer_datasets([hers], grants=grants).datasets == (hers,)
    assert issuer.offer_datasets([nobodys]).datasets == (nobodys,)


def test_an_offer_may_be_for_those_who_log_in_and_for_those_who_have_the_code(
    issuer: Issuer,
) -> None:
    sample = issuer.catalogue.types["tier"].sample
    dataset = issuer.add_dataset("tier", sample, subject="customer-7")
    grants = [Grant.PRE_AUTHORIZED, Grant.AUTHORIZATION_CODE]
    both = object_at(by_value(issuer.offer_datasets([dataset], grants=grants)), "grants", "offer")
    assert both.keys() == {PRE_AUTHORIZED_GRANT, "authorization_code"}

    alone = issuer.offer_datasets([dataset], grants=grants[1:])
    grant = object_at(by_value(alone), "grants", "offer")
    assert grant.keys() == {"authorization_code"}
    assert alone.tx_code is None, "whoever logs in types no code"
    state = text_at(object_at(grant, "authorization_code", "offer"), "issuer_state", "offer")
    with issuer.store.reading() as held:
        found = held.offer_of_issuer_state(secret_hash(state))
        assert found is not None
        assert found.offer_id == alone.offer_id
        assert held.offer_of_code(secret_hash(state)) is None, "a state is no code"
