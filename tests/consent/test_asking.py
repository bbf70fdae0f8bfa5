"""What a wallet accepts as a request for a grant, and what it lets her choose."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_consent import (
    read_consent_request,
)
from counterfoil_consent.terms import parse_transaction_data
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    list_at,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.jose import DecryptionKey
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import (
    PresentationRequest,
    ResponseEncryption,
    read_request,
    sign_request,
)

from tests.consent.street import BIRTHDAY, CUSTODIAN, FRAME, PRODUCT, VELO, Street


@pytest.fixture
def street(street_in_memory: Street) -> Street:
    """Give the parties on one kind of store: nothing here depends on which."""
    return street_in_memory


def request_of(street: Street) -> tuple[PresentationRequest, str]:
    opened = street.ask()
    link = parse_request_link(opened.link)
    token = street.receiver.request_object(opened.request_id)
    return read_request(token, client_id=link.client_id, now=street.clock()), link.client_id


def wallet_reads(
    street: Street,
    request: PresentationRequest,
    *,
    custodians: Mapping[str, Did] | None = None,
    notice: bytes | None = None,
) -> None:
    class Notices:
        def fetch(self, url: str) -> bytes:
            return street.fetcher.get(url, accept="text/plain").body if notice is None else notice

    read_consent_request(
        sign_request(request, street.receiver_signer),
        client_id=request.client_id,
        custodians={CUSTODIAN: street.custodian.party.did} if custodians is None else custodians,
        notices=Notices(),
        now=street.clock(),
    )


def with_terms(
    request: PresentationRequest, change: Callable[[JsonObject], object]
) -> PresentationRequest:
    obj = parse_object(from_b64url(request.transaction_data[0], "x"), "x")
    change(obj)
    return replace(request, transaction_data=(b64url(compact_json(obj)),))


def test_a_wallet_accepts_what_the_receiver_asks(street: Street) -> None:
    request, _ = request_of(street)

    wallet_reads(street, request)


def claim_at(*path: str | int) -> dict[str, object]:
    """Give one claim as it stands in terms."""
    return {
        "pii_type": "https://audio.example/types/rider",
        "necessity": "dpv:Optional",
        "retention_period": 30,
        "pii_attribute_id": [*path],
    }


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("type", "urn:counterfoil:consent:terms:2"),
        ("credential_ids", ["other"]),
        ("purpose", "dpv:SellDataToThirdParties"),
        ("processing_method", ["dpv:Share"]),
        ("pii_information", []),
        ("pii_information", [claim_at("lines", 2**53)]),
        ("pii_information", [claim_at("lines", "a\nb")]),
        ("max_reads", 0),
        ("valid_until", "2027-01-01"),
        ("unheard_of", True),
        ("delivery_endpoint", "http://velo.example/consent/grants/{grant_id}/bundle"),
        ("delivery_endpoint", "https://velo.example/consent/grants"),
        ("sealing_key", {"kty": "OKP", "crv": "Ed25519", "x": b64url(bytes(32))}),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_wallet_refuses_terms_that_it_does_not_understand(
    street: Street, member: str, value: object
) -> None:
    request, _ = request_of(street)

    with pytest.raises(Malformed) as refusal:
        wallet_reads(street, with_terms(request, lambda obj: obj.update({member: value})))  # type: ignore[dict-item]  # any JSON

    assert refusal.value.where.startswith("transaction_data")


@pytest.mark.parametrize("hidden", ["\n", "\x1b[2J", "\u202e", "\u2066", "\u2028"])
def test_a_wallet_refuses_a_name_that_would_not_be_shown_as_it_is(
    street: Street, hidden: str
) -> None:
    def named(name: str) -> PresentationRequest:
        def renames(obj: JsonObject) -> None:
            (controller,) = list_at(obj, "pii_controllers", "terms")
            as_object(controller, "terms")["name"] = name

        return with_terms(replace(request, client_name=name), renames)

    request, _ = request_of(street)
    wallet_reads(street, named("Société\u00a0Vélo · 自行车"))
    with pytest.raises(Malformed) as refusal:
        wallet_reads(street, named(f"Velo{hidden}oleV"))

    assert refusal.value.where.endswith("name")


@pytest.mark.parametrize("member", ["notice", "valid_until", "withdrawal_method", "max_reads"])
def test_a_wallet_refuses_terms_that_lack_a_member(street: Street, member: str) -> None:
    request, _ = request_of(street)
    name = "privacy_notice" if member == "notice" else member

    with pytest.raises(Malformed):
        wallet_reads(street, with_terms(request, lambda obj: obj.pop(name)))


def test_a_wallet_refuses_what_does_not_fit_the_signer(street: Street) -> None:
    request, _ = request_of(street)
    terms, _ids = parse_transaction_data(request.transaction_data[0])
    stranger = f"decentralized_identifier:{did_jwk(MemorySigner.generate().public)}"
    elsewhere = "https://elsewhere.example/{grant_id}"
    past = street.clock() - timedelta(seconds=1)
    far = street.clock() + timedelta(days=367)
    kept_long = tuple(replace(claim, retain_days=3_660) for claim in terms.claims)
    kept_shorter = (replace(terms.claims[0], retain_days=29), *terms.claims[1:])

    for changed, code in (
        (replace(terms, receiver=replace(terms.receiver, client_id=stranger)), "receiver-mismatch"),
        (replace(terms, receiver=replace(terms.receiver, name="Bank")), "receiver-mismatch"),
        (replace(terms, withdrawal_endpoint=elsewhere), "endpoint-mismatch"),
        (replace(terms, delivery_endpoint=elsewhere), "endpoint-mismatch"),
        (replace(terms, valid_until=past), "end-passed"),
        (replace(terms, valid_until=far, claims=kept_long), "end-too-far"),
        (replace(terms, claims=kept_shorter), "retention-exceeded"),
    ):
        asked = replace(request, transaction_data=(changed.to_transaction_data(),))
        with pytest.raises(Refused) as refusal:
            wallet_reads(street, asked)
        assert refusal.value.codes == [code]


def test_a_wallet_refuses_a_custodian_that_it_does_not_know(street: Street) -> None:
    request, _ = request_of(street)
    impostor = did_jwk(MemorySigner.generate().public)

    for custodians in ({}, {CUSTODIAN: impostor}, {VELO: street.custodian.party.did}):
        with pytest.raises(Refused) as refusal:
            wallet_reads(street, request, custodians=custodians)
        assert refusal.value.codes == ["custodian-not-trusted"]


def test_a_wallet_refuses_another_notice_than_the_one_signed(street: Street) -> None:
    request, _ = request_of(street)

    with pytest.raises(Refused) as refusal:
        wallet_reads(street, request, notice=b"We sell everything.")

    assert refusal.value.codes == ["notice-mismatch"]


def test_a_wallet_refuses_a_request_that_wants_data_beside_the_grant(street: Street) -> None:
    request, _ = request_of(street)
    (query,) = request.query.credentials
    other = CredentialQuery("other", ("https://audio.example/types/rider",), ())
    open_claim = replace(query, claims=(ClaimQuery(("terms",)),))

    for queries in ((query, other), (other,), (open_claim,)):
        with pytest.raises(Refused) as refusal:
            wallet_reads(street, replace(request, query=DcqlQuery(queries)))
        assert refusal.value.codes == ["not-a-consent-request"]


def test_a_wallet_refuses_to_grant_where_an_encrypted_answer_is_wanted(street: Street) -> None:
    request, _ = request_of(street)
    key = DecryptionKey.generate("the receiver's").public

    with pytest.raises(Refused) as refusal:
        wallet_reads(street, replace(request, encryption=ResponseEncryption(key)))
    assert refusal.value.codes == ["not-a-consent-request"]


def test_a_wallet_refuses_two_sets_of_terms(street: Street) -> None:
    request, _ = request_of(street)
    twice = request.transaction_data * 2

    for elements in (twice, ()):
        with pytest.raises(Malformed):
            wallet_reads(street, replace(request, transaction_data=elements))


def test_optional_claims_are_off_until_chosen_and_required_ones_cannot_be(
    street: Street,
) -> None:
    asked = street.asked(street.ask())
    holder = did_jwk(MemorySigner.generate().public)

    assert asked.decide([FRAME], holder=holder, random=street.random).terms.claim_names == {FRAME}
    with pytest.raises(Refused) as refusal:
        asked.decide([PRODUCT], holder=holder, random=street.random)
    assert refusal.value.codes == ["required-claim-missing"]
    for claims in ([], [FRAME, BIRTHDAY]):
        with pytest.raises(Misuse):
            asked.decide(claims, holder=holder, random=street.random)


def test_a_presentation_that_discloses_more_never_leaves_the_wallet(street: Street) -> None:
    signer = MemorySigner.generate()
    decided = street.decide(street.ask(), signer)
    generous = street.customer.present_paths
    street.customer.present = lambda ask: generous(ask, (*ask.paths, BIRTHDAY.path))

    with pytest.raises(Misuse):
        street.package(decided, signer)
