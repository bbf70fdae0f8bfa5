"""A receiver of a grant is shown a copy of its own, like every verifier."""

import pytest
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import PresentationRequest, read_request
from counterfoil_credentials.x509 import TrustAnchors
from counterfoil_wallet import Joining, MemoryStore, Standing, Trust, Verifier, Wallet

from tests.wallet.conformance.emulated_verifier import EmulatedVerifier, Json, Variant
from tests.wallet.town import CUSTODIAN, SERIAL, VALID_UNTIL, WARRANTY_TYPE, Town, Wire


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(town: Town, store: MemoryStore) -> Wallet:
    """Give a wallet that holds the receipt and the warranty of one order."""
    wallet = town.wallet(store)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


def test_a_grant_takes_a_copy_for_its_receiver(
    town: Town, wallet: Wallet, store: MemoryStore
) -> None:
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    choice = asked.choose()
    (disclosure,) = choice.disclosures
    assert disclosure.joining is Joining.NOTHING

    wallet.grant(choice)

    (showing,) = store.showings(disclosure.credential.credential_id)
    assert showing.verifier == asked.terms.receiver.client_id
    assert showing.copy_id == disclosure.copy.copy_id


def test_a_grant_of_a_copy_that_a_shop_has_seen_is_said(
    town: Town, wallet: Wallet, store: MemoryStore
) -> None:
    (card,) = [one for one in wallet.credentials() if one.vct == WARRANTY_TYPE]
    for number, copy in enumerate(store.copies(card.credential_id)):
        store.show(copy.copy_id, f"decentralized_identifier:{number}", at=town.clock())

    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)

    with pytest.raises(Refused) as refusal:
        asked.choose()
    assert refusal.value.codes == ["only-copies-that-link"]
    in_force = wallet.grant(asked.choose(reuse_that_links=True))
    assert SERIAL in in_force.terms.claim_names


def test_a_claim_beyond_what_the_receiver_registered_is_off(
    town: Town, wallet: Wallet, store: MemoryStore
) -> None:
    known = Verifier(name="Velo", may_ask={WARRANTY_TYPE: [VALID_UNTIL.path]})
    client_id = town.receiver.party.client_id
    trust = Trust(verifiers={client_id: known}, custodians={CUSTODIAN: town.custodian.party.did})
    knowing = Wallet(store, fetcher=town.network, clock=town.clock, trust=trust)

    asked = knowing.asked_terms(town.receiver.request(town.wish()).link)

    assert (asked.asker.standing, asked.beyond) == (Standing.KNOWN, frozenset({SERIAL}))
    with pytest.raises(Refused) as refusal:
        asked.choose()
    assert refusal.value.codes == ["beyond-registration"]
    assert knowing.grant(asked.choose([SERIAL])).terms.claim_names == {SERIAL}


def asked_by(town: Town) -> PresentationRequest:
    """Give what the receiver of the town asks, for another one to copy."""
    opened = town.receiver.request(town.wish())
    token = town.receiver.request_object(opened.request_id)
    client_id = parse_request_link(opened.link).client_id
    return read_request(token, client_id=client_id, now=town.clock())


@pytest.fixture
def another(town: Town) -> EmulatedVerifier:
    """Give a verifier of another kind that asks for the very grant for which a receiver asked."""
    grant = asked_by(town).to_claims()
    verifier = EmulatedVerifier(town.network, town.clock, Variant(mode="direct_post"))

    def bend(claims: Json) -> Json:
        query, data = grant["dcql_query"], grant["transaction_data"]
        return {**claims, "dcql_query": query, "transaction_data": data}

    verifier.bend = bend
    return verifier


@pytest.mark.parametrize("variant", ["x509_san_dns", "x509_hash", "decentralized_identifier"])
def test_terms_of_somebody_else_are_refused_whatever_proves_who_asks_and_that_is_told(
    town: Town, another: EmulatedVerifier, variant: str
) -> None:
    another.variant = Variant(variant, mode="direct_post")
    trust = Trust(
        anchors=TrustAnchors((another.root.certificate,)),
        custodians={CUSTODIAN: town.custodian.party.did},
    )
    wallet = Wallet.in_memory(fetcher=town.network, clock=town.clock, trust=trust)

    with pytest.raises(Refused) as refusal:
        wallet.read(another.link())

    assert set(refusal.value.codes) == {"receiver-mismatch", "endpoint-mismatch"}
    assert another.answers == [{"error": "invalid_transaction_data"}]


def test_an_encrypted_answer_is_no_way_to_a_grant_and_that_is_told(
    town: Town, another: EmulatedVerifier
) -> None:
    another.variant = Variant("decentralized_identifier", mode="direct_post.jwt")
    wallet = Wallet.in_memory(fetcher=town.network, clock=town.clock)

    with pytest.raises(Refused) as refusal:
        wallet.asked_terms(another.link())

    assert refusal.value.codes == ["not-a-consent-request"]
    assert another.answers == [{"error": "invalid_request"}]


def test_terms_that_nobody_could_read_are_told(town: Town, another: EmulatedVerifier) -> None:
    another.variant = Variant("decentralized_identifier", mode="direct_post")
    asked = another.bend
    another.bend = lambda claims: {**asked(claims), "transaction_data": ["bm8"]}
    wallet = Wallet.in_memory(fetcher=town.network, clock=town.clock)

    with pytest.raises(Malformed):
        wallet.asked_terms(another.link())

    assert another.answers == [{"error": "invalid_transaction_data"}]


def test_whom_a_wallet_relies_on_is_not_told_and_can_be_mended(town: Town) -> None:
    wire = Wire(town.network)
    wallet = Wallet.in_memory(fetcher=wire, clock=town.clock)
    link = town.receiver.request(town.wish()).link

    with pytest.raises(Refused) as refusal:
        wallet.asked_terms(link)

    assert refusal.value.codes == ["custodian-not-trusted"]
    assert [method for method, _, _ in wire.sent if method == "POST"] == []
    relying = Trust(custodians={CUSTODIAN: town.custodian.party.did})
    again = Wallet.in_memory(fetcher=wire, clock=town.clock, trust=relying)
    assert again.asked_terms(link).terms.max_reads > 0


def test_a_good_request_to_present_is_told_nothing_when_it_is_taken_for_terms(town: Town) -> None:
    wire = Wire(town.network)
    wallet = Wallet.in_memory(fetcher=wire, clock=town.clock)

    with pytest.raises(Refused) as refusal:
        wallet.asked_terms(town.counter.ask("warranty").link)

    assert refusal.value.codes == ["not-a-consent-request"]
    assert [method for method, _, _ in wire.sent] == ["GET"]
