"""Who is away, and what then holds: each row of the offline matrix of a grant.

wallet  receiver  custodian
on      on        on          an end is effective within two seconds, and acknowledged
off     on        on          the end waits, signed; the custodian's clock ends by itself
on      off       on          no lease; the end waits in the poll queue, and is heard first
on      on        off         no lease, no read; a withdrawal stops the receiver all the same
off     off       any         phone and till in one room: a proof of the moment, used once
the receiver's database comes back from a backup: nothing comes back with it
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent import (
    Active,
    Facts,
    Pause,
    Withdrawal,
    send_pause,
    send_withdrawal,
    sign_pause,
    withdraw,
)
from counterfoil_consent.states import Granted
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_verifier import WARRANTY, Light
from counterfoil_verifier.looks import Look
from counterfoil_verifier.requesting import Answered

from tests.conftest import Clock
from tests.consent.street import BENEFITS, CUSTODIAN, FRAME, FRAME_VALUE, VELO, Street
from tests.consent.test_ending import withdrawal_of
from tests.consent.wires import WiredStreet
from tests.walks.test_offline_rows import Offline
from tests.wallet.town import Town

TIMES = 20
TWO_SECONDS = 2.0
Random = Callable[[int], bytes]


def refused_read(street: Street, active: Active) -> list[str]:
    with pytest.raises(Refused) as refusal, read(street, active):
        pass
    return refusal.value.codes


def read(street: Street, active: Active) -> AbstractContextManager[Facts]:
    return street.receiver.read(active.agreement.grant_id, BENEFITS)


def has_ended(street: Street, active: Active) -> bool:
    grant = street.receiver_store.find_grant(active.agreement.grant_id)
    assert grant is not None
    return not isinstance(grant.state, Granted)


def withdrawn(street: Street, active: Active, signer: MemorySigner) -> Withdrawal:
    return withdraw(active, signer=signer, now=street.clock(), random=street.random)


# All are there.


@pytest.fixture
def wired(clock: Clock, random_bytes: Random, tmp_path: Path) -> Iterator[WiredStreet]:
    street = WiredStreet(clock, random_bytes, tmp_path / "street")
    yield street
    street.close()


@pytest.mark.loopback
def test_with_all_there_nineteen_withdrawals_of_twenty_are_effective_within_two_seconds(
    wired: WiredStreet,
) -> None:
    took_s: list[float] = []
    for _ in range(TIMES):
        active, signer = wired.granted()
        started = time.monotonic()

        ending = send_withdrawal(withdrawn(wired, active, signer), fetcher=wired.fetcher)

        took_s.append(time.monotonic() - started)
        assert ending.stopped_at == ending.key_destroyed_at == wired.clock()
        assert refused_read(wired, active) == ["grant-ended"]
    assert sorted(took_s)[TIMES * 95 // 100 - 1] < TWO_SECONDS


# The wallet is away.


def test_with_the_wallet_away_its_withdrawal_waits_signed_and_counts_when_it_is_sent(
    street: Street,
) -> None:
    active, signer = street.granted()
    signed_at = street.clock()
    queued = withdrawn(street, active, signer).to_json()
    street.fetcher.disconnect(CUSTODIAN)
    street.fetcher.disconnect(VELO)
    nobody = send_withdrawal(Withdrawal.from_json(queued), fetcher=street.fetcher)
    assert (nobody.stopped_at, nobody.key_destroyed_at) == (None, None)

    street.connect()
    sent_at = street.clock.advance(timedelta(hours=3))
    ending = send_withdrawal(Withdrawal.from_json(queued), fetcher=street.fetcher)

    # What was signed is when she asked; what ended is when they heard.
    assert (ending.stopped_at, ending.key_destroyed_at) == (sent_at, sent_at)
    grant = street.receiver_store.find_grant(active.agreement.grant_id)
    assert grant is not None
    assert grant.ending is not None
    assert grant.ending.requested_at == signed_at
    assert refused_read(street, active) == ["grant-ended"]


def test_with_the_wallet_away_the_custodians_clock_ends_what_is_over(street: Street) -> None:
    active, _ = street.granted()
    street.clock.advance(timedelta(days=30))

    assert street.custodian.end_due() == 1

    assert street.custodian_keys.is_destroyed(active.agreement.grant_id)
    assert refused_read(street, active) == ["grant-ended"]


def test_with_the_wallet_lost_a_second_device_can_suspend_and_nothing_else(
    street: Street,
) -> None:
    active, signer = street.granted()
    grant_id, later = active.agreement.grant_id, Pause(1_000, is_suspended=True)
    # Signed in advance; the second device holds this one paper and no key.
    paper = sign_pause(
        active.agreement, later, signer=signer, now=street.clock(), random=street.random
    )

    paused = send_pause(active.agreement, paper, fetcher=street.fetcher)

    assert (paused.custodian, paused.receiver) == (later, later)
    assert refused_read(street, active) == ["grant-suspended"]
    for end in (street.custodian.end, street.receiver.end):
        with pytest.raises(Refused) as refusal:
            end(grant_id, paper)
        assert refusal.value.codes == ["signed-by-another"]
    assert not has_ended(street, active)


# The receiver is away.


def test_with_the_receiver_away_the_end_waits_for_it_and_is_heard_before_the_first_read(
    street_stored: Street,
) -> None:
    street = street_stored
    active, signer = street.granted()
    other, _ = street.granted()
    street.fetcher.disconnect(VELO)
    ending = send_withdrawal(withdrawn(street, active, signer), fetcher=street.fetcher)
    assert (ending.stopped_at, ending.key_destroyed_at) == (None, street.clock())
    receiver = did_jwk(street.receiver_signer.public)
    assert len(street.custodian_store.outbox.waiting(receiver, 10)) == 1

    street.clock.advance(timedelta(days=3))
    street.start()
    assert not has_ended(street, active)
    with read(street, other):
        assert has_ended(street, active)

    assert street.receiver_store.find_bundle(active.agreement.grant_id) is None
    assert street.custodian_store.outbox.waiting(receiver, 10) == []


def test_with_the_receiver_away_it_cannot_skip_what_it_missed(street_stored: Street) -> None:
    street = street_stored
    active, _ = street.granted()
    street.start()
    street.fetcher.disconnect(CUSTODIAN)

    with pytest.raises(Unavailable), read(street, active):
        pass

    assert street.custodian_keys.reads(active.agreement.grant_id) == 0


def test_with_the_receiver_cut_off_a_lease_that_it_has_dies_within_its_minute(
    street: Street,
) -> None:
    active, signer = street.granted()
    with read(street, active) as facts:
        street.fetcher.disconnect(VELO)
        street.custodian.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
        street.clock.advance(timedelta(seconds=59))
        assert facts.one(FRAME) == FRAME_VALUE
        street.clock.advance(timedelta(seconds=1))
        with pytest.raises(Refused) as refusal:
            facts.one(FRAME)
        assert refusal.value.codes == ["lease-expired"]

    assert refused_read(street, active) == ["grant-ended"]


# The custodian is away.


def test_with_the_custodian_away_nothing_is_read_but_under_a_lease_that_still_runs(
    street: Street,
) -> None:
    active, _ = street.granted()
    with read(street, active) as facts:
        street.fetcher.disconnect(CUSTODIAN)
        assert facts.one(FRAME) == FRAME_VALUE
        with pytest.raises(Unavailable), read(street, active):
            pass

    with pytest.raises(Unavailable), read(street, active):
        pass


def test_with_the_custodian_away_a_withdrawal_stops_the_receiver_on_its_own(
    street: Street,
) -> None:
    active, signer = street.granted()
    street.fetcher.disconnect(CUSTODIAN)

    ending = send_withdrawal(withdrawn(street, active, signer), fetcher=street.fetcher)

    assert (ending.stopped_at, ending.key_destroyed_at) == (street.clock(), None)
    assert has_ended(street, active)
    assert refused_read(street, active) == ["grant-ended"]
    # And the receiver tells the custodian when it is back, without the wallet.
    street.connect()
    street.receiver.pusher.push_all()
    assert street.custodian_keys.is_destroyed(active.agreement.grant_id)


# Wallet and receiver are away from everything, and meet.


@pytest.fixture
def offline(clock: Clock, random_bytes: Random, tmp_path: Path) -> Offline:
    return Offline(Town(clock, random_bytes, tmp_path), clock, random_bytes)


@pytest.mark.loopback
def test_with_all_offline_phone_and_till_do_without_a_grant_and_the_proof_is_used_once(
    offline: Offline,
) -> None:
    session_id, codes = offline.asked()
    *_, look = [offline.counter.scan(session_id, code) for code in codes]
    assert isinstance(look, Look)
    assert look.light is Light.GREEN

    other_id, _ = offline.asked()
    *parts, last = codes
    for part in parts:
        offline.counter.scan(other_id, part)
    with pytest.raises(Refused) as refusal:
        offline.counter.scan(other_id, last)

    assert refusal.value.codes == ["state-mismatch"]
    assert offline.nothing_went_out()


@pytest.mark.loopback
def test_with_all_offline_a_status_list_that_is_too_old_gives_a_date_and_no_green(
    offline: Offline, clock: Clock
) -> None:
    gathered_at = offline.preload.made_at
    clock.advance(WARRANTY.status_max_age)
    assert offline.verdict().light is Light.GREEN

    clock.advance(timedelta(seconds=1))
    offline.flags.as_of = clock()
    look = offline.verdict()

    assert isinstance(look.session, Answered)
    assert (look.light, look.session.verdict.codes) == (Light.AMBER, ("status-too-old",))
    assert look.as_of is not None
    assert f"{gathered_at:%Y-%m-%d %H:%M}" in look.as_of.en
    assert offline.nothing_went_out()


# A database comes back.


def test_with_the_receivers_database_restored_nothing_comes_back(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    active, signer = street.granted()
    backup = street.back_up("receiver", tmp_path / "yesterday")
    send_withdrawal(withdrawn(street, active, signer), fetcher=street.fetcher)

    street.restore("receiver", backup)

    assert refused_read(street, active) == ["grant-ended"]
    assert has_ended(street, active)
    assert street.receiver_store.find_bundle(active.agreement.grant_id) is None


def test_with_the_receivers_database_restored_from_before_an_end_that_it_never_heard(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    active, signer = street.granted()
    other, _ = street.granted()
    backup = street.back_up("receiver", tmp_path / "yesterday")
    street.fetcher.disconnect(VELO)
    send_withdrawal(withdrawn(street, active, signer), fetcher=street.fetcher)

    street.restore("receiver", backup)
    with read(street, other):
        pass

    assert has_ended(street, active)
    assert street.receiver_store.find_bundle(active.agreement.grant_id) is None
