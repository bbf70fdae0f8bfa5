"""The wallet as custodian of its own grants: attack 8, and what it costs.

The tests of stores, leases and pauses that are brought in below run on its rows.
"""

from base64 import urlsafe_b64decode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from counterfoil_consent import Level
from counterfoil_consent.sealing import Role, open_share
from counterfoil_consent.store import Ended, Kept
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import CounterfoilError, Refused, Unavailable
from counterfoil_wallet import ConsentState, Kind, MemoryStore
from counterfoil_wallet.contents import Contents
from counterfoil_wallet.custody_store import WalletCustodianStore
from counterfoil_wallet.grant_states import InForce, Proved

from tests.conftest import Clock
from tests.consent.street import Street
from tests.consent.test_leases import (  # run here over the wallet's rows
    test_counts_each_lease_and_lets_it_last_a_minute,
    test_fifty_at_once_get_five_leases,
    test_refuses_a_lease_after_the_end_by_its_own_clock,
    test_refuses_a_lease_request_that_was_answered_before,
    test_refuses_the_read_after_the_last,
    test_withholds_the_share_until_the_receipt_is_in,
)
from tests.consent.test_pausing import (
    test_a_paused_grant_can_be_withdrawn_and_is_not_resumed_afterwards,
    test_a_paused_grant_cannot_be_read_until_its_holder_resumes_it,
)
from tests.consent.test_stores import (
    test_an_end_drops_the_share_and_stays_as_it_was_first_said,
    test_counts_to_the_limit_and_not_past_the_end,
    test_names_every_grant_once_page_by_page,
    test_what_is_due,
)
from tests.consent.test_usage import (
    test_the_holder_learns_how_often_and_when_last,
    test_the_holder_learns_that_it_has_ended_and_by_what,
)
from tests.wallet.conftest import Place
from tests.wallet.town import CUSTODIAN, VELO, Town, Wire

# Brought in to run here, over the wallet's rows.
__all__ = [
    "test_a_paused_grant_can_be_withdrawn_and_is_not_resumed_afterwards",
    "test_a_paused_grant_cannot_be_read_until_its_holder_resumes_it",
    "test_an_end_drops_the_share_and_stays_as_it_was_first_said",
    "test_counts_each_lease_and_lets_it_last_a_minute",
    "test_counts_to_the_limit_and_not_past_the_end",
    "test_fifty_at_once_get_five_leases",
    "test_names_every_grant_once_page_by_page",
    "test_refuses_a_lease_after_the_end_by_its_own_clock",
    "test_refuses_a_lease_request_that_was_answered_before",
    "test_refuses_the_read_after_the_last",
    "test_the_holder_learns_how_often_and_when_last",
    "test_the_holder_learns_that_it_has_ended_and_by_what",
    "test_what_is_due",
    "test_withholds_the_share_until_the_receipt_is_in",
]


@pytest.fixture
def street(clock: Clock, random_bytes: Callable[[int], bytes]) -> Street:
    """Give the three parties of the consent tests, the custodian's rows being a wallet's."""
    street = Street(clock, random_bytes, None)
    street.custodian_store = WalletCustodianStore(MemoryStore())
    street.start()
    return street


class Home:
    """A wallet that is its own custodian, and a receiver that names it."""

    def __init__(self, town: Town, place: Place, folder: Path) -> None:
        self.town = town
        self.place = place
        self.folder = folder
        self.wire = Wire(town.network)
        self.open()
        town.receiver = town.receiver_of(VELO)
        town.connect()

    def open(self) -> None:
        """Open the wallet, and let it serve."""
        self.store = self.place.start()
        serving = self.town.wallet(self.store, self.wire)
        self.town.custodian = serving.consent.custodian(CUSTODIAN, self.folder)
        self.town.connect()
        self.wallet = self.town.wallet(self.store, self.wire)

    def lock(self) -> None:
        """Lock the wallet: it answers nobody."""
        self.wallet.lock()
        self.town.network.disconnect(CUSTODIAN)

    def granted(self) -> InForce:
        offer = self.town.offer()
        self.wallet.accept(offer.link, tx_code=offer.tx_code)
        link = self.town.receiver.request(self.town.wish()).link
        return self.wallet.grant(self.wallet.asked_terms(link).choose())

    def read(self, grant: InForce) -> None:
        with self.town.receiver.read(grant.grant_id, grant.terms.purpose):
            pass


@pytest.fixture
def home(town: Town, place: Place, tmp_path: Path) -> Home:
    return Home(town, place, tmp_path / "custody")


def test_her_own_device_lends_and_ends(home: Home) -> None:
    grant = home.granted()
    home.read(grant)
    (seen,) = home.wallet.consent.check()
    assert seen.usage is not None
    assert (seen.usage.reads, seen.state) == (1, ConsentState.ACTIVE)

    ended = home.wallet.withdraw(grant.grant_id)

    assert isinstance(ended, Proved)
    assert ended.level is Level.E2
    with pytest.raises(Refused) as refusal:
        home.read(grant)
    assert refusal.value.codes == ["grant-ended"]


def test_attack_08_no_third_party_ever_holds_a_share(home: Home) -> None:
    grant = home.granted()
    row = WalletCustodianStore(home.store).find(grant.grant_id)
    assert isinstance(row, Kept)
    share = b64url(row.registration.share)
    told = [url for _, url, body in home.wire.sent if share in _opened(body)]
    # Her own device is the only one that was told of the share.
    assert told == [f"{CUSTODIAN}/grants"]

    # A receiver that keeps everything, and a custodian elsewhere that would help it, are
    # left with the sealed share: its one-time key is in her folder, and then nowhere.
    sealing_keys = home.town.receiver_keys
    request_key = sealing_keys.find(sealing_keys.names()[0])
    assert request_key is not None
    with pytest.raises(CounterfoilError):
        open_share(row.registration.share, request_key, grant.grant_id, Role.CUSTODIAN)
    home.wallet.withdraw(grant.grant_id)
    assert not (home.folder / "keys" / f"{grant.grant_id}.key").exists()
    ended = WalletCustodianStore(home.store).find(grant.grant_id)
    assert isinstance(ended, Ended)
    assert ended.statement is not None


def _opened(body: bytes) -> str:
    found = ""
    for part in body.decode("ascii", "replace").split("."):
        with suppress(ValueError):
            found += urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", "replace")
    return found


def test_reads_fail_closed_while_the_wallet_is_locked_and_go_on_afterwards(home: Home) -> None:
    grant = home.granted()
    if isinstance(home.store, MemoryStore):
        home.town.network.disconnect(CUSTODIAN)
    else:
        home.lock()

    with pytest.raises(Unavailable):
        home.read(grant)

    home.open()
    home.read(grant)


def test_a_withdrawal_reaches_the_receiver_whatever_becomes_of_her_own_service(
    home: Home,
) -> None:
    grant = home.granted()
    home.town.network.disconnect(CUSTODIAN)

    home.wallet.withdraw(grant.grant_id)

    with pytest.raises(Refused) as refusal:
        home.read(grant)
    assert refusal.value.codes == ["grant-ended"]
    home.town.connect()
    home.wallet.resume()
    assert home.wallet.consent.one(grant.grant_id).state is ConsentState.ERASED


def test_a_copy_of_the_wallet_holds_rows_and_no_key(home: Home) -> None:
    grant = home.granted()

    copied = Contents.of(home.store)

    rows = [record for record in copied.records if record.kind is Kind.CUSTODY]
    assert {record.label for record in rows} == {"kept", "mark"}
    restored = MemoryStore()
    copied.put_into(restored)
    with pytest.raises(Unavailable):
        home.town.wallet(restored).consent.custodian(CUSTODIAN, home.folder.parent / "new")
    assert grant.grant_id in {record.key for record in rows}
    key = (home.folder / "keys" / f"{grant.grant_id}.key").read_bytes()
    assert not any(key in record.body for record in copied.records)


def test_its_key_is_the_same_at_each_start(home: Home, town: Town) -> None:
    before = town.custodian.party
    home.open()

    assert town.custodian.party == before
    assert before.origin != VELO
