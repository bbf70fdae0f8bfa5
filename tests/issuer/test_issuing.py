"""Token and proof to credential: what it says, to whom, and never twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.token_status_list import INVALID, VALID
from counterfoil_issuer.nonces import NonceUse, make_nonce
from counterfoil_issuer.offering import OpenOffer

from tests.conftest import NOON, Clock
from tests.issuer.brand import AUDIO, Customer, notification, status_indices

MINUTE = timedelta(minutes=1)


def refused(customer: Customer, token: str | None, request: JsonObject) -> str:
    with pytest.raises(Refused) as refusal:
        customer.asked(token, request)
    (code,) = refusal.value.codes
    return code


def without_disclosures(credential: str) -> JsonObject:
    return read_credential(SdJwt(SdJwt.parse(credential).issuer_jwt, ())).revealed.claims


def test_a_warranty_says_what_was_bought_and_until_when(
    customer: Customer, offer: OpenOffer
) -> None:
    warranty = customer.verified(customer.issued(customer.token(offer)))

    assert (warranty.issuer, warranty.vct) == (AUDIO, f"{AUDIO}/types/warranty")
    assert warranty.holder_key == customer.key.public
    assert warranty.claims["item"] == {
        "gtin": "4006381333931",
        "serial": offer.datasets[1].serial,
        "name": "Auricle One",
    }
    assert warranty.claims["valid_until"] == "2028-03-01"
    assert warranty.claims["price"] == "349.00"
    assert values_at(warranty.claims, ("buyer", "name")) == ["Mira Sample"]


def test_a_warranty_can_be_shown_without_price_and_name(
    customer: Customer, offer: OpenOffer
) -> None:
    shown = without_disclosures(customer.issued(customer.token(offer)).credentials[0])

    assert {"item", "valid_until"} <= shown.keys()
    assert not {"price", "currency", "valid_from"} & shown.keys()
    assert values_at(shown, ("buyer", "name")) == []


def test_a_warranty_credential_outlives_the_warranty_by_a_year(
    customer: Customer, offer: OpenOffer
) -> None:
    warranty = customer.verified(customer.issued(customer.token(offer)))

    assert warranty.expires_at is not None
    assert warranty.expires_at.isoformat() == "2029-03-02T00:00:00+00:00"


def test_a_receipt_says_what_was_paid_for_what(customer: Customer, offer: OpenOffer) -> None:
    claims = customer.verified(customer.issued(customer.token(offer), "receipt")).claims

    assert (claims["order"], claims["paid_at"]) == ("#1001", "2026-03-01T11:34:56Z")
    assert (claims["total"], claims["tax"], claims["currency"]) == ("369.00", "58.91", "EUR")
    assert claims["lines"] == [
        {
            "name": "Auricle One",
            "gtin": "4006381333931",
            "serial": offer.datasets[1].serial,
            "quantity": 1,
            "price": "349.00",
            "tax": "55.72",
        },
        {
            "name": "Ear pads",
            "gtin": "4012345000016",
            "quantity": 1,
            "price": "20.00",
            "tax": "3.19",
        },
    ]
    assert claims["buyer"] == {"name": "Mira Sample", "email": "mira@example.org"}


def test_a_receipt_shows_nothing_but_its_currency_by_itself(
    customer: Customer, offer: OpenOffer
) -> None:
    shown = without_disclosures(customer.issued(customer.token(offer), "receipt").credentials[0])

    assert shown.pop("lines") == []
    assert shown.pop("buyer") == {}
    assert shown.keys() == {"iss", "iat", "exp", "vct", "cnf", "status", "currency"}


def test_each_unit_of_a_receipt_stands_in_a_line_of_its_own(customer: Customer) -> None:
    offer = customer.issuer.offer("#1002").offers[0]
    claims = customer.verified(customer.issued(customer.token(offer), "receipt")).claims

    assert values_at(claims, ("lines", None, "quantity")) == [1, 1]
    assert len(set(map(str, values_at(claims, ("lines", None, "serial"))))) == 2
    assert values_at(claims, ("lines", None, "tax")) == ["1355", "1355"]


def test_the_time_of_issue_is_the_days_so_that_it_singles_nobody_out(
    customer: Customer, offer: OpenOffer
) -> None:
    credential = customer.verified(customer.issued(customer.token(offer)))

    assert credential.issued_at == NOON.replace(hour=0)


def test_each_credential_has_a_status_index_of_its_own(customer: Customer) -> None:
    token = customer.token(customer.issuer.offer("#1001").offers[0])
    other = customer.token(customer.issuer.offer("#1002").offers[1])
    issued = [
        customer.issued(token, "receipt"),
        customer.issued(token, "warranty"),
        customer.issued(other),
    ]

    assert len(set(status_indices(customer, issued))) == 3
    assert [customer.status(one) for one in issued] == [VALID] * 3


@pytest.mark.parametrize("token", [None, "", "another"])
def test_no_token_and_a_strange_token_are_refused(customer: Customer, token: str | None) -> None:
    assert refused(customer, token, customer.request()) == "invalid_token"


def test_a_token_ends_after_five_minutes(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    token = customer.token(offer)
    clock.advance(5 * MINUTE - timedelta(seconds=1))
    assert customer.issued(token, "receipt").credentials
    clock.advance(timedelta(seconds=1))

    assert refused(customer, token, customer.request()) == "invalid_token"


def test_a_token_is_good_for_what_was_offered_and_nothing_else(customer: Customer) -> None:
    token = customer.token(customer.issuer.offer("#1002").offers[1])

    assert refused(customer, token, customer.request("receipt")) == "insufficient_scope"
    assert customer.issued(token, "warranty").credentials


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"credential_configuration_id": "licence"}, "unknown_credential_configuration"),
        ({"credential_configuration_id": 7}, "invalid_credential_request"),
        ({"credential_configuration_id": None}, "invalid_credential_request"),
        ({"credential_identifier": "a"}, "invalid_credential_request"),
        (
            {"credential_configuration_id": None, "credential_identifier": "a"},
            "unknown_credential_identifier",
        ),
        ({"proofs": None}, "invalid_proof"),
        ({"proofs": {}}, "invalid_proof"),
        ({"proofs": "x"}, "invalid_proof"),
        ({"proofs": {"jwt": []}}, "invalid_proof"),
        ({"proofs": {"jwt": "x"}}, "invalid_proof"),
        ({"proofs": {"jwt": [7]}}, "invalid_proof"),
        ({"proofs": {"jwt": ["x"]}}, "invalid_proof"),
        ({"proofs": {"attestation": ["x"]}}, "invalid_proof"),
        ({"proof": {"proof_type": "jwt"}}, "invalid_proof"),
    ],
)
def test_a_credential_request_that_is_wrong_in_one_thing_is_refused(
    customer: Customer, offer: OpenOffer, changes: dict[str, Any], code: str
) -> None:
    token = customer.token(offer)
    request = {k: v for k, v in (customer.request() | changes).items() if v is not None}

    assert refused(customer, token, request) == code
    assert customer.issuer.summary().status_indices_used == 0
    assert customer.issued(token).credentials, "the token must still be good for its customer"


def test_two_proofs_are_refused_while_no_batch_is_announced(
    customer: Customer, offer: OpenOffer
) -> None:
    other = customer.proof(key=MemorySigner.generate())
    request = customer.request()
    request["proofs"] = {"jwt": [customer.proof(), other]}

    assert refused(customer, customer.token(offer), request) == "invalid_proof"


MISTAKES: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "another audience": (lambda _, claims: claims.update(aud="https://x.example"), "invalid_proof"),
    "no audience": (lambda _, claims: claims.pop("aud"), "invalid_proof"),
    "a list of audiences": (lambda _, claims: claims.update(aud=[AUDIO]), "invalid_proof"),
    "no nonce": (lambda _, claims: claims.pop("nonce"), "invalid_proof"),
    "no time": (lambda _, claims: claims.pop("iat"), "invalid_proof"),
    "too old": (lambda _, claims: claims.update(iat=claims["iat"] - 301), "invalid_proof"),
    "from the future": (lambda _, claims: claims.update(iat=claims["iat"] + 61), "invalid_proof"),
    "another type": (lambda header, _: header.update(typ="JWT"), "invalid_proof"),
    "a shared key": (lambda header, _: header.update(alg="HS256"), "invalid_proof"),
    "no algorithm": (lambda header, _: header.update(alg="none"), "invalid_proof"),
    "two key headers": (lambda header, _: header.update(kid="0"), "invalid_proof"),
    "no key": (lambda header, _: header.pop("jwk"), "invalid_proof"),
    "a private key": (lambda header, _: header["jwk"].update(d="AA"), "invalid_proof"),
    "another's key": (
        lambda header, _: header.update(jwk=MemorySigner.generate().public.jwk()),
        "invalid_proof",
    ),
    "a text for a nonce": (lambda _, claims: claims.update(nonce="x"), "invalid_nonce"),
    "an empty nonce": (lambda _, claims: claims.update(nonce=""), "invalid_nonce"),
    "a nonce with another MAC": (
        lambda _, claims: claims.update(nonce=claims["nonce"][:32] + "A" * 22),
        "invalid_nonce",
    ),
    "a nonce with another time": (
        lambda _, claims: claims.update(nonce="B" + claims["nonce"][1:]),
        "invalid_nonce",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_proof_that_is_wrong_in_one_thing_is_refused(
    customer: Customer, offer: OpenOffer, mistake: str
) -> None:
    change, code = MISTAKES[mistake]
    header: JsonObject = {
        "alg": "ES256",
        "jwk": customer.key.public.jwk(),
        "typ": "openid4vci-proof+jwt",
    }
    claims: JsonObject = {
        "aud": AUDIO,
        "iat": int(customer.clock().timestamp()),
        "nonce": customer.issuer.nonce(),
    }
    token = customer.token(offer)
    change(header, claims)
    # By hand: what signs for us writes neither another algorithm nor another type.
    signed = f"{b64url(compact_json(header))}.{b64url(compact_json(claims))}"
    proof = f"{signed}.{b64url(customer.key.sign(signed.encode()))}"

    assert refused(customer, token, customer.request(proof=proof)) == code
    assert customer.issued(token).credentials, "the token must still be good for its customer"


def test_a_nonce_works_once(customer: Customer, offer: OpenOffer) -> None:
    token, nonce = customer.token(offer), customer.issuer.nonce()
    customer.asked(token, customer.request("receipt", customer.proof(nonce)))

    again = customer.request("warranty", customer.proof(nonce))
    assert refused(customer, token, again) == "invalid_nonce"


def test_a_refused_request_does_not_spend_its_nonce(customer: Customer, offer: OpenOffer) -> None:
    token, nonce = customer.token(offer), customer.issuer.nonce()
    bad = make_proof(customer.key, issuer="https://x.example", nonce=nonce, now=customer.clock())
    assert refused(customer, token, customer.request(proof=bad)) == "invalid_proof"

    assert customer.asked(token, customer.request(proof=customer.proof(nonce))).credentials


def test_a_nonce_ends_after_five_minutes(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    nonce = customer.issuer.nonce()
    clock.advance(5 * MINUTE)
    token = customer.token(offer)

    assert (
        refused(customer, token, customer.request(proof=customer.proof(nonce))) == "invalid_nonce"
    )


def test_a_nonce_of_another_brand_is_refused(customer: Customer, offer: OpenOffer) -> None:
    other = make_nonce(b"another secret", NonceUse.PROOF, now=customer.clock(), random=bytes)
    request = customer.request(proof=customer.proof(other))

    assert refused(customer, customer.token(offer), request) == "invalid_nonce"


def test_asked_again_with_the_same_key_it_gives_the_same_credential(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    first = customer.issued(token)

    assert customer.issued(token) == first
    assert customer.issuer.summary().status_indices_used == 1


def test_asked_again_it_neither_signs_nor_takes_a_status_index(
    customer: Customer, offer: OpenOffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = customer.token(offer)
    first = customer.issued(token)
    monkeypatch.setattr("counterfoil_issuer.issuing.issue_credential", None)

    assert customer.issued(token) == first
    with customer.issuer.store.reading() as held:
        newest = held.last_list()
    assert newest is not None
    assert newest.used == 1


def test_asked_again_with_another_key_it_refuses(customer: Customer, offer: OpenOffer) -> None:
    token = customer.token(offer)
    first = customer.issued(token)
    other = customer.request(proof=customer.proof(key=MemorySigner.generate()))

    assert refused(customer, token, other) == "credential_request_denied"
    assert customer.issued(token) == first


def test_a_new_offer_gives_the_same_key_the_same_credential(
    customer: Customer, offer: OpenOffer
) -> None:
    first = customer.issued(customer.token(offer))
    (latest,) = customer.issuer.offer("#1001").offers
    token = customer.token(latest)

    assert customer.issued(token) == first
    customer.store(token, first)
    assert customer.issuer.summary().status_indices_used == 1


def test_a_new_offer_to_another_key_ends_the_credential_that_nobody_acknowledged(
    customer: Customer, offer: OpenOffer
) -> None:
    lost = customer.issued(customer.token(offer))
    (latest,) = customer.issuer.offer("#1001").offers
    new_phone = Customer(customer.issuer, customer.clock, MemorySigner.generate())
    found = new_phone.issued(new_phone.token(latest))

    assert (customer.status(lost), customer.status(found)) == (INVALID, VALID)
    counts = customer.issuer.summary()
    assert (counts.credentials["warranty"].in_force, counts.datasets_issued_twice) == (1, 0)


def test_what_is_acknowledged_is_forgotten_but_for_what_revoking_needs(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    issued = customer.issued(token)
    assert customer.issuer.summary().personal_data["credentials.copy"] == 1
    customer.store(token, issued)

    (record,) = customer.issuer.credentials_of("#1001")
    assert [(one.copy, one.holder) for one in record.credentials] == [(None, None)]
    assert record.acknowledged_at == customer.clock()
    assert customer.issuer.summary().personal_data["credentials.copy"] == 0
    assert refused(customer, token, customer.request()) == "credential_request_denied"


def test_a_notification_again_is_the_same_as_once(customer: Customer, offer: OpenOffer) -> None:
    token = customer.token(offer)
    issued = customer.issued(token)
    customer.store(token, issued)
    before = customer.issuer.credentials_of("#1001")
    customer.store(token, issued)

    assert customer.issuer.credentials_of("#1001") == before


@pytest.mark.parametrize("event", ["credential_failure", "credential_deleted"])
def test_a_credential_that_reached_no_wallet_ends_and_is_offered_again(
    customer: Customer, offer: OpenOffer, event: str
) -> None:
    token = customer.token(offer)
    lost = customer.issued(token)
    customer.told(token, notification(lost, event))
    customer.told(token, notification(lost, event))

    assert refused(customer, token, customer.request()) == "credential_request_denied"
    (latest,) = customer.issuer.offer("#1001").offers
    found = customer.accept(latest)
    assert [customer.status(one) for one in (lost, *found)] == [INVALID, VALID, VALID]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("credential_accepted", "credential_deleted"),
        ("credential_failure", "credential_accepted"),
    ],
)
def test_a_notification_that_contradicts_the_first_is_refused(
    customer: Customer, offer: OpenOffer, first: str, second: str
) -> None:
    token = customer.token(offer)
    issued = customer.issued(token)
    customer.told(token, notification(issued, first))

    with pytest.raises(Refused) as refusal:
        customer.told(token, notification(issued, second))
    assert refusal.value.codes == ["invalid_notification_request"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"notification_id": None}, "invalid_notification_request"),
        ({"notification_id": 7}, "invalid_notification_request"),
        ({"notification_id": "another"}, "invalid_notification_id"),
        ({"event": None}, "invalid_notification_request"),
        ({"event": "credential_stored"}, "invalid_notification_request"),
    ],
)
def test_a_notification_that_is_wrong_in_one_thing_is_refused(
    customer: Customer, offer: OpenOffer, changes: dict[str, Any], code: str
) -> None:
    token = customer.token(offer)
    said = notification(customer.issued(token)) | changes

    with pytest.raises(Refused) as refusal:
        customer.told(token, {k: v for k, v in said.items() if v is not None})
    assert refusal.value.codes == [code]


def test_a_notification_needs_the_token_that_the_credential_came_with(customer: Customer) -> None:
    offers = customer.issuer.offer("#1002").offers
    mine, other = customer.token(offers[0]), customer.token(offers[1])
    issued = customer.issued(mine)

    for token, code in ((other, "invalid_notification_id"), (None, "invalid_token")):
        with pytest.raises(Refused) as refusal:
            customer.told(token, notification(issued))
        assert refusal.value.codes == [code]


def test_a_wallet_that_was_away_may_acknowledge_for_a_day(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    token = customer.token(offer)
    receipt, warranty = customer.issued(token, "receipt"), customer.issued(token)
    clock.advance(timedelta(hours=24))
    customer.store(token, receipt)
    clock.advance(5 * MINUTE)

    with pytest.raises(Refused) as refusal:
        customer.store(token, warranty)
    assert refusal.value.codes == ["invalid_token"]
