"""A receiver of a grant is shown a copy of its own, like every verifier."""

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_wallet import Joining, MemoryStore, Wallet

from tests.wallet.town import SERIAL, WARRANTY_TYPE, Town


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
