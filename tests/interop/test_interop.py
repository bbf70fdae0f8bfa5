"""Strangers at the door: a wallet that is not ours at our services, ours at services of others.

The clock is the machine's: the strangers have no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    compact_json,
    int_at,
    list_at,
    object_at,
    text_at,
)

from tests.interop.node import require_strangers, stranger_s_wallet
from tests.interop.services import Brand, Offer, Till, our_issuer, our_verifier

pytestmark = pytest.mark.loopback


@pytest.fixture(autouse=True, scope="module")
def _strangers() -> None:
    require_strangers()


@pytest.fixture(scope="module")
def brand(_strangers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brand]:
    with our_issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def till(brand: Brand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with our_verifier(tmp_path_factory.mktemp("verifier"), brand) as verifier:
        yield verifier


@dataclass(frozen=True)
class Held:
    """What the stranger's wallet got for one order, and the key that it is bound to."""

    order: str
    warranty: str
    claims: JsonObject
    key: str


@pytest.fixture(scope="module")
def held(brand: Brand) -> Held:
    order = brand.order()
    return held_of(order, stranger_s_wallet("accept", *brand.offer(order)))


def held_of(order: str, told: JsonObject) -> Held:
    assert "refused" not in told, told
    warranty = object_at(object_at(told, "credentials", "wallet"), "warranty", "wallet")
    return Held(
        order,
        text_at(warranty, "credential", "wallet"),
        object_at(warranty, "claims", "wallet"),
        compact_json(object_at(told, "key", "wallet")).decode(),
    )


def refusal(told: JsonObject) -> tuple[int, str]:
    """Give the HTTP status and the error code with which the peer refused."""
    refused = object_at(told, "refused", "wallet")
    return int_at(refused, "status", "wallet"), text_at(refused, "error", "wallet")


def codes(look: JsonObject) -> list[str]:
    reasons = list_at(look, "reasons", "counter")
    return [text_at(as_object(reason, "counter"), "code", "counter") for reason in reasons]


# A stranger's wallet at our doors.


def test_a_stranger_s_wallet_gets_what_the_order_says_and_the_brand_hears_that_it_arrived(
    brand: Brand,
) -> None:
    order = brand.order()

    held = held_of(order, stranger_s_wallet("accept", *brand.offer(order)))

    assert held.claims["iss"] == brand.url
    assert held.claims["vct"] == brand.warranty_type
    assert object_at(held.claims, "item", "claims")["name"] == "Auricle One"
    assert held.claims["price"] == "199.00"
    issued = brand.issued(order)
    assert [record["type"] for record in issued] == ["receipt", "warranty"]
    assert [record["state"] for record in issued] == ["stored", "stored"]


def test_our_counter_accepts_a_stranger_s_proof(held: Held, till: Till) -> None:
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, held.key)

    assert told == {"answered": {}}
    look = till.look(session)
    assert (look["state"], look["light"], codes(look)) == ("accepted", "green", [])
    serial = object_at(held.claims, "item", "claims")["serial"]
    assert object_at(look, "facts", "counter")["item.serial"] == serial


def test_our_issuer_refuses_a_wrong_transaction_code_and_then_takes_the_right_one(
    brand: Brand,
) -> None:
    offer = brand.offer(brand.order())

    wrong = stranger_s_wallet("accept", offer.link, another(offer).tx_code)
    right = stranger_s_wallet("accept", *offer)

    assert refusal(wrong) == (400, "invalid_grant")
    assert "credentials" in right


def test_our_issuer_refuses_a_code_that_was_used(brand: Brand) -> None:
    offer = brand.offer(brand.order())
    assert "credentials" in stranger_s_wallet("accept", *offer)

    again = stranger_s_wallet("accept", *offer)

    assert refusal(again) == (400, "invalid_grant")


def test_our_issuer_refuses_a_proof_with_a_nonce_that_it_never_gave(brand: Brand) -> None:
    order = brand.order()

    told = stranger_s_wallet("accept", *brand.offer(order), "--nonce", "made-up")

    assert refusal(told) == (400, "invalid_nonce")
    assert brand.issued(order) == []


@pytest.mark.parametrize(
    ("misbehaviour", "code"),
    [
        (["--nonce", "made-up"], "nonce-mismatch"),
        (["--audience", "decentralized_identifier:did:jwk:e30"], "audience-mismatch"),
        (["--tamper", "price"], "disclosure-unreferenced"),
    ],
)
def test_our_counter_refuses_a_stranger_s_proof_that_was(
    held: Held, till: Till, misbehaviour: list[str], code: str
) -> None:
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, held.key, *misbehaviour)

    assert refusal(told) == (400, "access_denied")
    look = till.look(session)
    assert (look["state"], codes(look)) == ("refused", [code])


def test_our_counter_refuses_a_proof_bound_with_another_key(
    held: Held, brand: Brand, till: Till
) -> None:
    order = brand.order()
    thief = held_of(order, stranger_s_wallet("accept", *brand.offer(order)))
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, thief.key)

    assert refusal(told) == (400, "access_denied")
    assert codes(till.look(session)) == ["key-binding-signature-invalid"]


def test_our_counter_takes_one_answer_to_a_request(held: Held, till: Till) -> None:
    session, link = till.ask()

    told = stranger_s_wallet("present", link, held.warranty, held.key, "--twice")

    assert told["answered"] == {}
    assert refusal(object_at(told, "second", "wallet")) == (400, "invalid_request")
    look = till.look(session)
    assert (look["state"], look["later_answers"]) == ("accepted", 1)


def test_a_stranger_reads_in_our_status_list_that_the_goods_went_back(brand: Brand) -> None:
    order = brand.order()
    held = held_of(order, stranger_s_wallet("accept", *brand.offer(order)))
    assert stranger_s_wallet("check", held.warranty, brand.url) == {"status": 0}

    brand.revoke(order)

    assert stranger_s_wallet("check", held.warranty, brand.url) == {
        "invalid": "Status is not valid"
    }


def another(offer: Offer) -> Offer:
    """Give the offer with its transaction code's last digit changed."""
    last = str((int(offer.tx_code[-1]) + 1) % 10)
    return offer._replace(tx_code=offer.tx_code[:-1] + last)
