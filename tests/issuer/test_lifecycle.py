"""After the issue: suspended, lost, sold on, brought back. Each is one step."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import pytest
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import INVALID, SUSPENDED, VALID
from counterfoil_issuer.catalogue import StatusUse, parse_catalogue
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.lifecycle import without
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.records import RevocationReason
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import CATALOGUE, ORDERS, Customer, issuer_on, notification

RETURNED = RevocationReason.GOODS_RETURNED


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refusal:
        act()
    (code,) = refusal.value.codes
    return code


def another(customer: Customer) -> Customer:
    """Give somebody else, with a key of his own."""
    return Customer(customer.issuer, customer.clock, MemorySigner.generate())


def test_a_suspended_credential_is_suspended_at_once_and_valid_again_when_reinstated(
    customer: Customer, offer: OpenOffer
) -> None:
    receipt, warranty = customer.accept(offer)
    for _ in range(2):
        assert customer.issuer.suspend(warranty.notification_id).suspended_at == customer.clock()
        assert [customer.status(one) for one in (receipt, warranty)] == [VALID, SUSPENDED]
        customer.issuer.suspend(warranty.notification_id)

        assert customer.issuer.reinstate(warranty.notification_id).suspended_at is None
        assert customer.status(warranty) == VALID
        customer.issuer.reinstate(warranty.notification_id)


def test_a_suspended_credential_that_nobody_acknowledged_is_not_replaced(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    silent = customer.issued(token)
    # Offered before the suspension, and redeemed after it.
    (again,) = customer.issuer.offer("#1001").offers
    customer.issuer.suspend(silent.notification_id)
    holder = another(customer)
    assert refused(lambda: holder.issued(holder.token(again))) == "credential_request_denied"
    assert [one.issuance_id for one in customer.issuer.offer("#1001").issued] == [
        silent.notification_id
    ]

    customer.told(token, notification(silent, "credential_failure"))
    assert customer.status(silent) == SUSPENDED
    customer.issuer.reinstate(silent.notification_id)
    assert customer.status(silent) == VALID
    assert len(customer.issuer.offer("#1001").offers) == 1


def test_what_is_revoked_is_neither_suspended_nor_reinstated(
    customer: Customer, offer: OpenOffer
) -> None:
    _, warranty = customer.accept(offer)
    customer.issuer.suspend(warranty.notification_id)
    customer.issuer.revoke(warranty.notification_id, RETURNED)

    for act in (customer.issuer.suspend, customer.issuer.reinstate, customer.issuer.reissue):
        assert refused(partial[object](act, warranty.notification_id)) == "credential-ended"
        assert refused(partial[object](act, "another")) == "credential-unknown"
    assert customer.status(warranty) == INVALID


def test_a_type_says_whether_it_can_be_suspended_or_revoked(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    catalogue = parse_catalogue(CATALOGUE)
    types = {
        name: replace(kind, status=StatusUse.NONE) if name == "tier" else kind
        for name, kind in catalogue.types.items()
    }
    issuer = issuer_on(store, clock, random_bytes, catalogue=replace(catalogue, types=types))
    issuer.import_orders(ORDERS)
    customer = Customer(issuer, clock, MemorySigner.generate())
    receipt, _ = customer.accept(issuer.offer("#1001").offers[0])
    tier_offer = issuer.offer_datasets([issuer.add_dataset("tier", types["tier"].sample)])
    (tier,) = customer.accept(tier_offer)

    assert customer.verified(tier).status is None
    assert refused(lambda: issuer.suspend(receipt.notification_id)) == "not-suspendable"
    for act in (issuer.transfer, partial(issuer.revoke, reason=RETURNED)):
        assert refused(partial[object](act, tier.notification_id)) == "not-revocable"
    assert issuer.revoke(receipt.notification_id, RETURNED).revoked_at == clock()


@pytest.mark.parametrize(
    ("given", "kept"), [("AbC-9", "AbC-9"), ("Ada@Example.org", "ada@example.org"), (None, None)]
)
def test_a_transfer_keeps_the_case_of_a_customer_id_and_folds_an_address(
    customer: Customer, offer: OpenOffer, given: str | None, kept: str | None
) -> None:
    _, sold = customer.accept(offer)
    (dataset,) = customer.issuer.transfer(sold.notification_id, subject=given).datasets
    assert dataset.subject == kept


def test_what_was_lost_ends_and_is_offered_again_in_one_step(
    customer: Customer, offer: OpenOffer
) -> None:
    _, lost = customer.accept(offer)
    again = customer.issuer.reissue(lost.notification_id)
    assert customer.status(lost) == INVALID

    (found,) = another(customer).accept(again)
    assert [customer.status(one) for one in (lost, found)] == [INVALID, VALID]
    assert customer.verified(found).claims["item"] == customer.verified(lost).claims["item"]
    assert customer.issuer.summary().datasets_issued_twice == 0
    records = customer.issuer.credentials_of("#1001")
    assert [record.revocation_reason for record in records] == [None, "device-lost", None]


def test_a_new_offer_of_what_was_lost_replaces_the_one_before(
    customer: Customer, offer: OpenOffer
) -> None:
    _, lost = customer.accept(offer)
    first = customer.issuer.reissue(lost.notification_id)
    (second,) = customer.issuer.offer("#1001").offers

    assert refused(lambda: customer.token(first)) == "invalid_grant"
    assert customer.accept(second)


def test_a_warranty_goes_to_another_holder_without_what_the_first_could_withhold(
    customer: Customer, offer: OpenOffer
) -> None:
    _, mine = customer.accept(offer)
    passed_on = customer.issuer.transfer(mine.notification_id, subject="Jun@Example.org")
    assert customer.status(mine) == INVALID
    jun = another(customer)
    (his,) = jun.accept(passed_on)

    before, after = customer.verified(mine), customer.verified(his)
    assert after.claims["item"] == before.claims["item"]
    assert after.claims["valid_until"] == before.claims["valid_until"]
    assert after.expires_at == before.expires_at
    assert not {"buyer", "price", "valid_from"} & after.claims.keys()
    assert after.holder_key == jun.key.public
    assert [customer.status(one) for one in (mine, his)] == [INVALID, VALID]


def test_what_was_sold_on_is_offered_to_the_first_buyer_no_more(
    customer: Customer, offer: OpenOffer
) -> None:
    _, mine = customer.accept(offer)
    passed_on = customer.issuer.transfer(mine.notification_id)

    assert customer.issuer.offer("#1001").offers == ()
    assert another(customer).accept(passed_on)
    assert customer.issuer.offer("#1001").offers == ()


def test_the_brand_may_say_something_else_of_the_new_holder_but_nothing_unknown(
    customer: Customer, offer: OpenOffer
) -> None:
    _, mine = customer.accept(offer)
    claims = customer.verified(mine).claims
    said: JsonObject = {name: claims[name] for name in ("item", "valid_until")}

    with pytest.raises(Malformed):
        customer.issuer.transfer(mine.notification_id, claims=said | {"colour": "red"})
    assert customer.status(mine) == VALID, "a transfer that failed has ended nothing"
    said["buyer"] = {"name": "Jun Sample"}
    passed_on = customer.issuer.transfer(mine.notification_id, claims=said)
    (his,) = another(customer).accept(passed_on)
    assert values_at(customer.verified(his).claims, ("buyer", "name")) == ["Jun Sample"]


def test_one_of_two_units_comes_back_and_the_receipt_says_what_was_kept(
    customer: Customer,
) -> None:
    first, second = customer.issuer.offer("#1002").offers
    receipt, kept = customer.accept(first)
    (gone,) = customer.accept(second)
    serial = second.datasets[0].serial
    assert serial is not None
    again = customer.issuer.return_units("#1002", line=1, serials=[serial])

    assert again is not None
    assert [customer.status(one) for one in (receipt, kept, gone)] == [INVALID, VALID, INVALID]
    (smaller,) = customer.accept(again)
    claims = customer.verified(smaller).claims
    assert (claims["total"], claims["tax"]) == ("14900", "1355")
    assert values_at(claims, ("lines", None, "serial")) == [first.datasets[1].serial]
    assert customer.issuer.offer("#1002").offers == ()
    assert customer.issuer.import_orders(ORDERS).unchanged == 2, "the shop's file is what it was"


def test_when_every_unit_came_back_nothing_of_the_order_is_left(customer: Customer) -> None:
    first, second = customer.issuer.offer("#1002").offers
    issued = [*customer.accept(first), *customer.accept(second)]
    serials = [
        dataset.serial
        for offer in (first, second)
        for dataset in offer.datasets
        if dataset.serial is not None
    ]

    answer = customer.issuer.return_units("#1002", line=1, serials=serials, quantity=2)
    assert answer is None
    assert [customer.status(one) for one in issued] == [INVALID] * 3
    assert customer.issuer.offer("#1002").offers == ()


def test_units_without_a_serial_number_come_back_by_count(
    customer: Customer, offer: OpenOffer
) -> None:
    receipt, _ = customer.accept(offer)
    again = customer.issuer.return_units("#1001", line=2)

    assert again is not None
    assert customer.status(receipt) == INVALID
    (smaller,) = customer.accept(again)
    claims = customer.verified(smaller).claims
    assert values_at(claims, ("lines", None, "name")) == ["Auricle One"]
    assert (claims["total"], claims["tax"]) == ("349.00", "55.72")


def test_what_nobody_had_taken_yet_is_simply_not_offered_any_more(customer: Customer) -> None:
    _, second = customer.issuer.offer("#1002").offers
    serial = second.datasets[0].serial
    assert serial is not None

    assert customer.issuer.return_units("#1002", line=1, serials=[serial]) is None
    assert refused(lambda: customer.token(second)) == "invalid_grant"
    (left,) = customer.issuer.offer("#1002").offers
    receipt, _ = customer.accept(left)
    assert customer.verified(receipt).claims["total"] == "14900"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order_number": "#9999"}, "order-unknown"),
        ({"line": 0}, "line-unknown"),
        ({"line": 2}, "line-unknown"),
        ({"serials": ["AB-X"]}, "units-unknown"),
        ({"serials": []}, "units-unknown"),
        ({"quantity": 2}, "units-unknown"),
        ({"quantity": 0}, "units-unknown"),
    ],
)
def test_units_that_cannot_come_back_are_refused_and_nothing_changes(
    customer: Customer, changes: dict[str, object], code: str
) -> None:
    first, _ = customer.issuer.offer("#1002").offers
    receipt, _ = customer.accept(first)
    good = {"order_number": "#1002", "line": 1, "serials": [first.datasets[1].serial]}
    back = cast("Callable[..., object]", customer.issuer.return_units)

    assert refused(lambda: back(**(good | changes))) == code
    assert customer.status(receipt) == VALID
    assert back(**good)
    assert refused(lambda: back(**good)) == "units-unknown", "a unit comes back once"


def test_what_a_holder_could_withhold_is_left_out_wherever_it_stands() -> None:
    claims: JsonObject = {"a": {"b": 1, "c": 2}, "d": {"e": 1}, "f": [{"g": 1, "h": 2}, {"g": 3}]}
    paths = (("a", "b"), ("d", "e"), ("f", None, "g"), ("x", "y"), ("a", None))

    assert without(claims, paths) == {"a": {"c": 2}, "f": [{"h": 2}]}
    assert without(claims, [("f", None)]) == {"a": {"b": 1, "c": 2}, "d": {"e": 1}}


def test_what_is_revoked_for_good_leaves_no_claims_behind(customer: Customer) -> None:
    sample = customer.issuer.catalogue.types["membership"].sample
    before = customer.issuer.summary().personal_data["datasets.subject"]
    dataset = customer.issuer.add_dataset("membership", sample, subject="mira@example.org")
    (issued,) = customer.accept(customer.issuer.offer_datasets([dataset]))
    customer.issuer.tidy()
    assert customer.issuer.summary().personal_data["datasets.claims"] == 1

    customer.issuer.revoke(issued.notification_id, RevocationReason.FRAUD)
    customer.issuer.tidy()
    left = customer.issuer.summary().personal_data
    assert (left["datasets.claims"], left["datasets.subject"]) == (0, before)
    assert refused(lambda: customer.issuer.reissue(issued.notification_id)) == "credential-ended"


def test_a_type_that_is_gone_from_the_catalogue_is_issued_and_passed_on_no_more(
    customer: Customer,
) -> None:
    issuer = customer.issuer
    sample = issuer.catalogue.types["membership"].sample
    first, second = (issuer.add_dataset("membership", sample) for _ in range(2))
    (held,) = customer.accept(issuer.offer_datasets([first]))
    details = (
        '[{"type": "openid_credential", "locations": ["https://audio.example"],'
        ' "credential_configuration_id": "membership"}]'
    )
    form = customer.form(issuer.offer_datasets([second])) | {"authorization_details": details}
    token = customer.redeemed(form).value
    types = {name: kind for name, kind in issuer.catalogue.types.items() if name != "membership"}
    later = issuer_on(
        issuer.store,
        customer.clock,
        issuer.random,
        catalogue=replace(issuer.catalogue, types=types),
    )
    customer.issuer = later

    request = customer.request() | {"credential_identifier": second.dataset_id}
    del request["credential_configuration_id"]
    assert refused(lambda: customer.asked(token, request)) == "credential_request_denied"
    assert refused(lambda: later.transfer(held.notification_id)) == "type-unknown"
    assert later.revoke(held.notification_id, RETURNED).revoked_at == customer.clock()


def test_a_wallet_that_deleted_what_it_got_may_be_offered_it_again(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    issued = customer.issued(token)
    customer.told(token, notification(issued, "credential_deleted"))

    (again,) = customer.issuer.offer("#1001").offers
    assert isinstance(customer.issued(customer.token(again)), Issued)
