"""A receiver of a grant is shown a copy of its own, like every verifier."""

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_wallet import Joining, MemoryStore, Standing, Trust, Verifier, Wallet

from tests.wallet.town import CUSTODIAN, SERIAL, VALID_UNTIL, WARRANTY_TYPE, Town


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
