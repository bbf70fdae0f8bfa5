"""Several keys, several credentials: of one dataset, each with an identity of its own."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner, Signer
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import VerifiedCredential
from counterfoil_credentials.token_status_list import INVALID, VALID
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.records import Dataset, RevocationReason

from tests.conftest import NOON
from tests.issuer.brand import Customer, notification, status_of

# The issuer's metadata name authorization servers (OpenID4VCI 1.0, section 5.1.1).
HERE = '"locations": ["https://audio.example"]'


def details_of(name: str) -> str:
    return f'[{{"type": "openid_credential", {HERE}, "credential_configuration_id": "{name}"}}]'


def signers(count: int) -> list[Signer]:
    return [MemorySigner.generate() for _ in range(count)]


def batch(customer: Customer, keys: Sequence[Signer], type_name: str = "warranty") -> JsonObject:
    """Give a good request for a credential for each of `keys`, all proofs with one nonce."""
    nonce = customer.issuer.nonce()
    request = customer.request(type_name)
    request["proofs"] = {"jwt": [customer.proof(nonce, key=key) for key in keys]}
    return request


def refused(customer: Customer, token: str, request: JsonObject) -> str:
    with pytest.raises(Refused) as refusal:
        customer.asked(token, request)
    (code,) = refusal.value.codes
    return code


def each(customer: Customer, issued: Issued) -> list[VerifiedCredential]:
    """Verify each credential of an answer."""
    return [
        customer.verified(Issued((text,), issued.notification_id)) for text in issued.credentials
    ]


def member(customer: Customer, count: int = 1) -> list[Dataset]:
    """Record memberships."""
    return [
        customer.issuer.add_dataset(
            "membership", customer.issuer.catalogue.types["membership"].sample
        )
        for _ in range(count)
    ]


def test_a_batch_says_the_same_and_shares_nothing_that_could_link_it(
    customer: Customer, offer: OpenOffer
) -> None:
    keys = signers(10)
    issued = customer.asked(customer.token(offer), batch(customer, keys))
    credentials = each(customer, issued)

    assert [one.holder_key for one in credentials] == [key.public for key in keys]
    assert len({str(one.claims["item"]) for one in credentials}) == 1
    assert len({(status_of(one).url, status_of(one).index) for one in credentials}) == 10
    salts = {text for one in issued.credentials for text in SdJwt.parse(one).disclosures}
    assert len(salts) == 10 * len(SdJwt.parse(issued.credentials[0]).disclosures)
    indices = [status_of(one).index for one in credentials]
    assert indices != sorted(indices)
    assert {one.issued_at for one in credentials} == {NOON.replace(hour=0)}
    assert len({one.expires_at for one in credentials}) == 1


def test_a_batch_is_one_issuance_in_the_books_whose_entries_end_together(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    issued = customer.asked(token, batch(customer, signers(3)))
    customer.told(token, notification(issued))
    (record,) = customer.issuer.credentials_of("#1001")

    assert record.issuance_id == issued.notification_id
    assert [one.digest for one in record.credentials] == [
        sha256(SdJwt.parse(text).issuer_jwt.encode()).hexdigest() for text in issued.credentials
    ]
    alone = [Issued((text,), issued.notification_id) for text in issued.credentials]
    assert [customer.status(one) for one in alone] == [VALID] * 3
    customer.issuer.revoke(issued.notification_id, RevocationReason.FRAUD)
    assert [customer.status(one) for one in alone] == [INVALID] * 3


def test_asked_again_with_the_same_keys_in_any_order_it_gives_the_same_batch(
    customer: Customer, offer: OpenOffer
) -> None:
    token, keys = customer.token(offer), signers(3)
    first = customer.asked(token, batch(customer, keys))

    assert customer.asked(token, batch(customer, keys[::-1])) == first
    assert customer.issuer.summary().status_indices_used == 3


def test_a_type_of_smaller_batches_than_announced_gives_as_many_as_it_has(
    customer: Customer, offer: OpenOffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = customer.issuer.catalogue.types
    assert isinstance(types, dict)
    monkeypatch.setitem(types, "warranty", replace(types["warranty"], batch_size=2))
    token, keys = customer.token(offer), signers(4)

    first = customer.asked(token, batch(customer, keys))

    holders = [one.holder_key for one in each(customer, first)]
    assert len(set(holders)) == 2
    assert set(holders) < {key.public for key in keys}
    assert customer.asked(token, batch(customer, keys[::-1])) == first
    assert customer.issuer.summary().status_indices_used == 2


@pytest.mark.parametrize("others", [slice(0, 2), slice(0, 4), slice(1, 4)])
def test_asked_again_with_fewer_more_or_other_keys_it_refuses(
    customer: Customer, offer: OpenOffer, others: slice
) -> None:
    token, keys = customer.token(offer), signers(4)
    first = customer.asked(token, batch(customer, keys[:3]))

    assert refused(customer, token, batch(customer, keys[others])) == "credential_request_denied"
    assert customer.asked(token, batch(customer, keys[:3])) == first


def test_one_key_twice_and_more_keys_than_announced_are_refused(
    customer: Customer, offer: OpenOffer
) -> None:
    token, keys = customer.token(offer), signers(11)

    assert refused(customer, token, batch(customer, [keys[0], keys[0]])) == "invalid_proof"
    assert refused(customer, token, batch(customer, keys)) == "invalid_proof"
    assert customer.issuer.summary().status_indices_used == 0
    assert len(customer.asked(token, batch(customer, keys[:10])).credentials) == 10


def test_one_bad_proof_spoils_its_batch_and_nothing_else(
    customer: Customer, offer: OpenOffer
) -> None:
    token, keys = customer.token(offer), signers(3)
    request = batch(customer, keys)
    proofs = request["proofs"]
    assert isinstance(proofs, dict)
    listed = proofs["jwt"]
    assert isinstance(listed, list)
    listed[1] = str(listed[1]).rpartition(".")[0] + "." + "A" * 86

    assert refused(customer, token, request) == "invalid_proof"
    assert len(customer.asked(token, batch(customer, keys)).credentials) == 3


def test_a_wallet_that_names_what_it_wants_asks_by_identifier(customer: Customer) -> None:
    (dataset,) = member(customer)
    offer = customer.issuer.offer_datasets([dataset])
    details = (
        f'[{{"type": "openid_credential", {HERE}, "credential_configuration_id": "membership"}}]'
    )
    token = customer.redeemed(customer.form(offer) | {"authorization_details": details})

    assert token.authorization_details == [
        {
            "type": "openid_credential",
            "credential_configuration_id": "membership",
            "credential_identifiers": [dataset.dataset_id],
        }
    ]
    by_name = customer.request("membership")
    assert refused(customer, token.value, by_name) == "invalid_credential_request"
    del by_name["credential_configuration_id"]
    unknown = by_name | {"credential_identifier": "membership:another"}
    assert refused(customer, token.value, unknown) == "unknown_credential_identifier"
    by_identifier = by_name | {"credential_identifier": dataset.dataset_id}
    assert customer.asked(token.value, by_identifier).credentials


def test_two_datasets_of_one_type_are_told_apart_by_identifiers(customer: Customer) -> None:
    first, second = member(customer, 2)
    offer = customer.issuer.offer_datasets([first, second])
    token = customer.redeemed(customer.form(offer))

    assert token.authorization_details is not None
    requests = [customer.request("membership") for _ in range(2)]
    for request, dataset in zip(requests, (first, second), strict=True):
        del request["credential_configuration_id"]
        request["credential_identifier"] = dataset.dataset_id
    assert len({customer.asked(token.value, request).notification_id for request in requests}) == 2


@pytest.mark.parametrize(
    "details",
    [
        "",
        "{}",
        "[]",
        "[1]",
        f'[{{"type": "openid_credential", {HERE}}}]',
        f'[{{"type": "payment", {HERE}, "credential_configuration_id": "warranty"}}]',
        f'[{{"type": "openid_credential", {HERE}, "credential_configuration_id": "membership"}}]',
        f'[{{"type": "openid_credential", {HERE}, "credential_configuration_id": "another"}}]',
        *(
            f'[{{"type": "openid_credential", {place}"credential_configuration_id": "warranty"}}]'
            for place in (
                "",
                '"locations": null, ',
                '"locations": [], ',
                '"locations": "https://audio.example", ',
                '"locations": ["https://audio.example/"], ',
                '"locations": ["https://other.example"], ',
            )
        ),
    ],
)
def test_authorization_details_that_the_offer_cannot_meet_are_refused_and_burn_nothing(
    customer: Customer, offer: OpenOffer, details: str
) -> None:
    with pytest.raises(Refused) as refusal:
        customer.redeemed(customer.form(offer) | {"authorization_details": details})

    assert refusal.value.codes == ["invalid_authorization_details"]
    assert customer.token(offer)


def test_a_token_for_part_of_an_offer_is_good_for_that_part(
    customer: Customer, offer: OpenOffer
) -> None:
    details = (
        f'[{{"type": "openid_credential", {HERE}, "credential_configuration_id": "warranty"}}]'
    )
    token = customer.redeemed(customer.form(offer) | {"authorization_details": details})
    request = customer.request()
    del request["credential_configuration_id"]
    receipt, warranty = (dataset.dataset_id for dataset in offer.datasets)

    asked = request | {"credential_identifier": receipt}
    assert refused(customer, token.value, asked) == "unknown_credential_identifier"
    assert customer.asked(token.value, request | {"credential_identifier": warranty}).credentials
