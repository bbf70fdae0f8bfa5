"""Whom a receiver may hand facts to is named in the terms, and the customer may name fewer."""

from collections.abc import Callable

import pytest
from counterfoil_consent import Operation, RecipientParty, Terms
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import Street

SHARING = (Operation.USE, Operation.STORE, Operation.SHARE)


def recipient(name: str) -> RecipientParty:
    return RecipientParty(
        did=did_jwk(MemorySigner.generate().public),
        name=name,
        endpoint="https://workshop.example/consent/{grant_id}/end",
    )


def asked(street: Street, *recipients: RecipientParty) -> Terms:
    opened = street.ask(recipients=recipients, operations=SHARING)
    return street.asked(opened).terms


def names_of(terms: Terms) -> list[str]:
    return [party.name for party in terms.recipients]


def test_recipients_travel_from_wish_to_grant(street_in_memory: Street) -> None:
    street = street_in_memory
    workshop, carrier = recipient("Workshop"), recipient("Carrier")

    active, _ = street.granted(recipients=(workshop, carrier), operations=SHARING)

    assert active.agreement.terms.recipients == (workshop, carrier)
    received = street.receiver_store.find_grant(active.agreement.grant_id)
    assert received is not None
    assert received.terms.recipients == (workshop, carrier)


def test_the_customer_allows_some_of_them(street_in_memory: Street) -> None:
    workshop, carrier = recipient("Workshop"), recipient("Carrier")
    terms = asked(street_in_memory, workshop, carrier)

    narrowed = terms.narrow(terms.claim_names, recipients=[carrier.did])

    assert names_of(narrowed) == ["Carrier"]
    assert not narrowed.widening_reasons(terms)
    assert [reason.code for reason in terms.widening_reasons(narrowed)] == ["recipients-wider"]


def test_whoever_allows_none_allows_no_sharing(street_in_memory: Street) -> None:
    terms = asked(street_in_memory, recipient("Workshop"))

    narrowed = terms.narrow(terms.claim_names, recipients=[])

    assert Operation.SHARE not in narrowed.operations
    assert Terms.from_json(narrowed.to_json()) == narrowed


def test_the_customer_cannot_add_one(street_in_memory: Street) -> None:
    terms = asked(street_in_memory, recipient("Workshop"))

    with pytest.raises(Misuse):
        terms.narrow(terms.claim_names, recipients=[recipient("Stranger").did])


def _without_sharing(terms: JsonObject) -> None:
    terms["processing_method"] = ["dpv:Use"]


def _without_recipients(terms: JsonObject) -> None:
    del terms["recipient_third_parties"]


def _nobody(terms: JsonObject) -> None:
    terms["recipient_third_parties"] = []


def _one_twice(terms: JsonObject) -> None:
    found = terms["recipient_third_parties"]
    assert isinstance(found, list)
    found.append(found[0])


def _plain_http(terms: JsonObject) -> None:
    found = terms["recipient_third_parties"]
    assert isinstance(found, list)
    assert isinstance(found[0], dict)
    found[0]["endpoint"] = "http://workshop.example/{grant_id}"


def _no_place_for_the_grant(terms: JsonObject) -> None:
    found = terms["recipient_third_parties"]
    assert isinstance(found, list)
    assert isinstance(found[0], dict)
    found[0]["endpoint"] = "https://workshop.example/end"


@pytest.mark.parametrize(
    "spoil",
    [
        _without_sharing,
        _without_recipients,
        _nobody,
        _one_twice,
        _plain_http,
        _no_place_for_the_grant,
    ],
)
def test_refuses_terms_whose_recipients_do_not_fit(
    street_in_memory: Street, spoil: Callable[[JsonObject], None]
) -> None:
    terms = asked(street_in_memory, recipient("Workshop")).to_json()
    Terms.from_json(terms)
    spoil(terms)

    with pytest.raises(Malformed):
        Terms.from_json(terms)
