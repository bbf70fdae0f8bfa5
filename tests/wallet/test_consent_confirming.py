"""A custodian that lost its journal lends again what the wallet says is in force."""

from datetime import timedelta

import pytest
from counterfoil_consent import Custodian, MemoryKeyFolder
from counterfoil_consent import MemoryStore as CustodianStore
from counterfoil_consent.tombstone_journal import MemoryTombstoneJournal
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import ConsentState, MemoryStore, Wallet
from counterfoil_wallet.grant_states import InForce

from tests.wallet.town import CUSTODIAN, VELO, Town


class Forgetful:
    """The town's custodian, which starts again with a journal that is new."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self._signer = MemorySigner.generate()
        self._store = CustodianStore()
        self._keys = MemoryKeyFolder()

    def start(self) -> None:
        self.town.custodian = Custodian(
            origin=CUSTODIAN,
            signer=self._signer,
            store=self._store,
            keys=self._keys,
            journal=MemoryTombstoneJournal(),
            clock=self.town.clock,
            random=self.town.random,
        )
        self.town.connect()


@pytest.fixture
def custodian(town: Town) -> Forgetful:
    forgetful = Forgetful(town)
    forgetful.start()
    town.receiver = town.receiver_of(VELO)
    town.connect()
    return forgetful


@pytest.fixture
def wallet(town: Town, custodian: Forgetful) -> Wallet:
    wallet = town.wallet(MemoryStore())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


def granted(town: Town, wallet: Wallet) -> InForce:
    return wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())


def read(town: Town, grant: InForce) -> None:
    with town.receiver.read(grant.grant_id, grant.terms.purpose):
        pass


def test_the_wallet_confirms_what_is_in_force_when_she_looks(
    town: Town, wallet: Wallet, custodian: Forgetful
) -> None:
    grant = granted(town, wallet)
    read(town, grant)
    custodian.start()
    with pytest.raises(Refused) as refusal:
        read(town, grant)
    assert refusal.value.codes == ["confirmation-missing"]

    (one,) = wallet.consent.check()

    assert one.state is ConsentState.ACTIVE
    read(town, grant)


def test_the_wallet_confirms_nothing_that_she_withdrew(
    town: Town, wallet: Wallet, custodian: Forgetful
) -> None:
    grant = granted(town, wallet)
    for origin in (VELO, CUSTODIAN):
        town.network.disconnect(origin)
    wallet.withdraw(grant.grant_id)
    custodian.start()

    (one,) = wallet.consent.check()

    assert one.state is ConsentState.ERASED
    with pytest.raises(Refused) as refusal:
        read(town, grant)
    assert refusal.value.codes == ["grant-ended"]


def test_the_wallet_confirms_nothing_whose_time_is_over(
    town: Town, wallet: Wallet, custodian: Forgetful
) -> None:
    grant = granted(town, wallet)
    custodian.start()
    town.clock.advance(timedelta(days=30))

    wallet.consent.check()

    with pytest.raises(Refused) as refusal:
        read(town, grant)
    assert refusal.value.codes == ["grant-ended"]
