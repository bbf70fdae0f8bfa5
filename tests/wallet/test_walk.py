"""The customer's part of the walks, against the real services."""

from dataclasses import replace

import pytest
from counterfoil_credentials.claims import path_text, values_at
from counterfoil_credentials.errors import Refused
from counterfoil_verifier import WARRANTY
from counterfoil_wallet import Act, InForce, Outcome, Proved, Standing, Wallet

from tests.conftest import Clock
from tests.issuer.brand import AUDIO
from tests.wallet.conftest import Place
from tests.wallet.town import RECEIPT_TYPE, SERIAL, VALID_UNTIL, WARRANTY_TYPE, Town, Wire

ASKED = {path_text(path) for path in WARRANTY.claims}


def test_an_offer_becomes_credentials_that_the_brand_knows_to_have_arrived(
    town: Town, wallet: Wallet
) -> None:
    offer = town.offer()

    accepted = wallet.accept(offer.link, tx_code=offer.tx_code)

    assert [held.vct for held in accepted.credentials] == [RECEIPT_TYPE, WARRANTY_TYPE]
    assert {held.issuer for held in accepted.credentials} == {AUDIO}
    assert not accepted.refused
    assert wallet.credentials() == list(accepted.credentials)
    assert town.in_force() == 2
    assert wallet.resume().acceptances == ()


def test_each_credential_has_a_key_of_its_own(full: Wallet) -> None:
    keys = {held.signer.public for held in full.credentials()}

    assert len(keys) == 2


def test_several_offers_are_accepted_one_after_the_other(town: Town, wallet: Wallet) -> None:
    for order, count in (("#1001", 2), ("#1002", 2)):
        offer = town.offer(order)
        assert len(wallet.accept(offer.link, tx_code=offer.tx_code).credentials) == count

    assert len(wallet.credentials()) == 4


def test_the_same_offer_again_gives_the_same_credentials_and_asks_nobody(
    town: Town, place: Place
) -> None:
    offer = town.offer()
    first = town.wallet(place.start()).accept(offer.link, tx_code=offer.tx_code)
    wire = Wire(town.network)

    again = town.wallet(place.start(), wire).accept(offer.link, tx_code=offer.tx_code)

    assert again == first
    assert wire.sent == []


def test_the_shop_sees_product_serial_and_end_and_says_yes(town: Town, full: Wallet) -> None:
    asked = town.counter.ask("warranty")
    matches = full.matches(asked.link)

    presented = full.present(matches.choose())

    look = town.counter.look(asked.session_id)
    assert look.held is not None
    assert not look.held.reasons
    assert presented.redirect_uri is None
    assert matches.asker.claimed_name == "Corner Shop"
    assert matches.asker.standing is Standing.KEY_ONLY
    assert matches.purpose is not None


def test_a_screen_can_show_every_value_before_anything_is_sent(town: Town, place: Place) -> None:
    offer = town.offer()
    town.wallet(place.start()).accept(offer.link, tx_code=offer.tx_code)
    wire = Wire(town.network)

    matches = town.wallet(place.start(), wire).matches(town.counter.ask("warranty").link)

    (disclosure,) = matches.answers["warranty"]

    assert [method for method, _, _ in wire.sent] == ["GET"]
    assert {claim.name for claim in disclosure.asked} == ASKED
    for claim in disclosure.claims:
        assert values_at(disclosure.credential.claims, claim.path) == [claim.value]


def test_a_customer_who_says_no_tells_the_shop_only_that(town: Town, full: Wallet) -> None:
    asked = town.counter.ask("warranty")

    full.decline(full.matches(asked.link))

    look = town.counter.look(asked.session_id)
    assert look.held is not None
    assert [reason.code for reason in look.held.reasons] == ["declined"]
    assert full.history()[-1].act is Act.DECLINED


def test_a_grant_is_read_until_it_is_withdrawn_and_its_erasure_is_proved(
    town: Town, place: Place
) -> None:
    wallet = town.wallet(place.start())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    opened = town.receiver.request(town.wish())
    asked = wallet.asked_terms(opened.link)

    in_force = wallet.grant(asked.choose([VALID_UNTIL]))

    assert isinstance(in_force, InForce)
    assert asked.notice == town.wish().notice.text
    with town.receiver.read(in_force.grant_id, town.wish().purpose) as facts:
        assert facts is not None
    wallet = town.wallet(place.start())
    ended = wallet.withdraw(in_force.grant_id)
    assert isinstance(ended, Proved)
    assert ended.level.name == "E2"
    assert town.wallet(place.start()).grants() == [ended]


def test_an_optional_claim_is_granted_only_when_it_is_named(town: Town, full: Wallet) -> None:
    asked = full.asked_terms(town.receiver.request(town.wish()).link)

    assert full.grant(asked.choose()).terms.claim_names == {SERIAL}


def test_where_every_claim_is_optional_none_is_granted_by_default(town: Town, full: Wallet) -> None:
    wish = town.wish()
    only_optional = replace(wish, claims=tuple(c for c in wish.claims if not c.is_required))
    asked = full.asked_terms(town.receiver.request(only_optional).link)

    with pytest.raises(Refused) as refusal:
        asked.choose()

    assert refusal.value.codes == ["nothing-chosen"]
    assert full.grant(asked.choose([VALID_UNTIL])).terms.claim_names == {VALID_UNTIL}


def test_a_request_for_a_grant_and_one_to_present_are_not_taken_for_each_other(
    town: Town, full: Wallet
) -> None:
    grant, warranty = town.receiver.request(town.wish()).link, town.counter.ask("warranty").link

    for read, link, code in (
        (full.matches, grant, "asks-for-a-grant"),
        (full.asked_terms, warranty, "not-a-consent-request"),
    ):
        with pytest.raises(Refused) as refusal:
            read(link)
        assert refusal.value.codes == [code]


def test_a_custodian_that_the_app_does_not_vouch_for_is_refused(town: Town, clock: Clock) -> None:
    wallet = Wallet.in_memory(fetcher=town.network, clock=clock)

    with pytest.raises(Refused) as refusal:
        wallet.asked_terms(town.receiver.request(town.wish()).link)

    assert refusal.value.codes == ["custodian-not-trusted"]


def test_the_history_names_claims_and_parties_and_holds_no_value(town: Town, full: Wallet) -> None:
    full.present(full.matches(town.counter.ask("warranty").link).choose())
    asked = full.asked_terms(town.receiver.request(town.wish()).link)
    full.withdraw(full.grant(asked.choose()).grant_id)

    events = full.history()

    assert [event.act for event in events] == [
        Act.ACCEPTED,
        Act.ACCEPTED,
        Act.SHOWN,
        Act.GRANTED,
        Act.WITHDRAWN,
        Act.ERASED,
    ]
    assert {event.outcome for event in events} == {Outcome.DONE}
    assert set(events[2].claims) == ASKED | {"item.gtin"}
    serial = values_at(full.credentials()[1].claims, ("item", "serial"))[0]
    assert str(serial) not in repr(events)
