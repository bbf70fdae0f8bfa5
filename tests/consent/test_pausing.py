"""Only the holder pauses and resumes, and only a later word counts."""

import errno
import os
from collections.abc import Callable
from datetime import datetime

import pytest
from counterfoil_consent import Active, Pause, send_pause, sign_pause
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, CUSTODIAN, Street
from tests.consent.test_ending import withdrawal_of
from tests.consent.test_leases import lease, lease_request

SUSPENDED, RESUMED = Pause(1, is_suspended=True), Pause(2, is_suspended=False)


def word(street: Street, active: Active, pause: Pause, signer: MemorySigner) -> str:
    return sign_pause(
        active.agreement, pause, signer=signer, now=street.clock(), random=street.random
    )


def refused(act: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refusal:
        act()
    return refusal.value.codes


def read(street: Street, active: Active) -> None:
    with street.receiver.read(active.agreement.grant_id, BENEFITS):
        pass


def test_a_paused_grant_cannot_be_read_until_its_holder_resumes_it(street: Street) -> None:
    active, signer = street.granted()

    paused = send_pause(
        active.agreement, word(street, active, SUSPENDED, signer), fetcher=street.fetcher
    )
    assert (paused.custodian, paused.receiver) == (SUSPENDED, SUSPENDED)
    assert refused(lambda: read(street, active)) == ["grant-suspended"]

    send_pause(active.agreement, word(street, active, RESUMED, signer), fetcher=street.fetcher)
    read(street, active)


@pytest.mark.parametrize("hears", ["custodian", "receiver"])
def test_one_party_that_heard_is_enough(street: Street, hears: str) -> None:
    active, signer = street.granted()
    party = street.custodian if hears == "custodian" else street.receiver

    party.pause(active.agreement.grant_id, word(street, active, SUSPENDED, signer))

    assert refused(lambda: read(street, active)) == ["grant-suspended"]


def test_an_old_word_sent_again_changes_nothing(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    resumed = word(street, active, RESUMED, signer)
    suspended_again = word(street, active, Pause(3, is_suspended=True), signer)

    for party in (street.custodian, street.receiver):
        party.pause(grant_id, resumed)
        party.pause(grant_id, suspended_again)
        assert party.pause(grant_id, resumed) == Pause(3, is_suspended=True)

    assert refused(lambda: read(street, active)) == ["grant-suspended"]


def test_of_two_words_with_one_sequence_the_pause_holds_at_the_custodian(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id

    street.custodian.pause(grant_id, word(street, active, Pause(7, is_suspended=True), signer))
    street.custodian.pause(grant_id, word(street, active, Pause(7, is_suspended=False), signer))

    assert refused(lambda: read(street, active)) == ["grant-suspended"]


def test_nobody_else_pauses_a_grant(street: Street) -> None:
    active, _ = street.granted()
    for signer in (MemorySigner.generate(), street.receiver_signer):
        forged = word(street, active, SUSPENDED, signer)
        for party in (street.custodian, street.receiver):
            codes = refused(lambda p=party, t=forged: p.pause(active.agreement.grant_id, t))  # type: ignore[misc]  # bound at once
            assert codes == ["signed-by-another"]

    read(street, active)


def test_a_pause_of_one_grant_does_not_pause_another(street: Street) -> None:
    one, signer = street.granted()
    other, _ = street.granted()
    token = word(street, one, SUSPENDED, signer)

    codes = refused(lambda: street.custodian.pause(other.agreement.grant_id, token))

    assert codes == ["signed-by-another"]


def test_a_pause_is_no_end_and_an_end_no_pause(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    pause, end = word(street, active, SUSPENDED, signer), withdrawal_of(street, active, signer)
    for party in (street.custodian, street.receiver):
        assert refused(lambda p=party: p.end(grant_id, pause)) == ["signed-by-another"]  # type: ignore[misc]  # bound at once
        assert refused(lambda p=party: p.pause(grant_id, end)) == ["signed-by-another"]  # type: ignore[misc]  # bound at once


@pytest.mark.parametrize("sequence", [0, -1, 2**53])
def test_refuses_a_sequence_out_of_range(street: Street, sequence: int) -> None:
    active, signer = street.granted()
    token = word(street, active, Pause(sequence, is_suspended=True), signer)

    with pytest.raises(Malformed, match="sequence"):
        street.custodian.pause(active.agreement.grant_id, token)


def test_a_paused_grant_can_be_withdrawn_and_is_not_resumed_afterwards(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    for party in (street.custodian, street.receiver):
        party.pause(grant_id, word(street, active, SUSPENDED, signer))
    for party in (street.custodian, street.receiver):
        party.end(grant_id, withdrawal_of(street, active, signer))

    for party in (street.custodian, street.receiver):
        token = word(street, active, RESUMED, signer)
        assert refused(lambda p=party, t=token: p.pause(grant_id, t)) == ["grant-ended"]  # type: ignore[misc]  # bound at once


def test_a_pause_outlives_a_restart_and_a_restored_database(street_on_disk: Street) -> None:
    street = street_on_disk
    active, signer = street.granted()
    assert street.folder is not None
    backup = street.back_up("custodian", street.folder.parent / "before")
    street.custodian.pause(active.agreement.grant_id, word(street, active, SUSPENDED, signer))

    street.close()
    for file in (street.folder / "custodian").iterdir():
        file.unlink()
    for file in backup.iterdir():
        (street.folder / "custodian" / file.name).write_bytes(file.read_bytes())
    street.start()

    codes = refused(lambda: lease(street, lease_request(street, active)))
    assert codes == ["grant-suspended"]


def test_what_a_power_cut_left_of_a_pause_is_not_read(street_on_disk: Street) -> None:
    street = street_on_disk
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    street.custodian.pause(grant_id, word(street, active, SUSPENDED, signer))
    assert street.folder is not None
    with (street.folder / "custodian-keys" / f"{grant_id}.pauses").open("a") as file:
        file.write("9 0")

    street.start()

    assert refused(lambda: lease(street, lease_request(street, active))) == ["grant-suspended"]


@pytest.mark.parametrize("torn", ["9", "9 ", "9 0"])
def test_a_pause_after_a_power_cut_holds_as_it_was_said(street_on_disk: Street, torn: str) -> None:
    street = street_on_disk
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    assert street.folder is not None
    (street.folder / "custodian-keys" / f"{grant_id}.pauses").write_text(torn)
    later = Pause(10, is_suspended=True)

    assert street.custodian.pause(grant_id, word(street, active, later, signer)) == later

    assert street.custodian_keys.pause(grant_id) == later
    assert refused(lambda: lease(street, lease_request(street, active))) == ["grant-suspended"]


def test_a_pause_that_the_disk_does_not_take_is_not_said_to_hold(
    street_on_disk: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = street_on_disk
    active, signer = street.granted()
    grant_id = active.agreement.grant_id

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(Unavailable):
            street.custodian_keys.add_pause(grant_id, SUSPENDED)
    assert street.custodian_keys.pause(grant_id) is None

    street.custodian.pause(grant_id, word(street, active, SUSPENDED, signer))
    assert street.custodian_keys.pause(grant_id) == SUSPENDED


def test_a_word_that_is_sent_again_and_again_takes_no_room(street_on_disk: Street) -> None:
    street = street_on_disk
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    assert street.folder is not None
    path = street.folder / "custodian-keys" / f"{grant_id}.pauses"
    sizes: list[int] = []

    for sequence in (1, 1, 1, 2, 3, 3):
        pause = Pause(sequence, is_suspended=True)
        assert street.custodian.pause(grant_id, word(street, active, pause, signer)) == pause
        sizes.append(path.stat().st_size)

    assert len({*sizes}) == 1


def test_a_read_that_a_pause_refuses_is_not_counted(street: Street) -> None:
    active, signer = street.granted(max_reads=1)
    grant_id = active.agreement.grant_id
    street.custodian.pause(grant_id, word(street, active, SUSPENDED, signer))
    assert refused(lambda: lease(street, lease_request(street, active))) == ["grant-suspended"]

    street.custodian.pause(grant_id, word(street, active, RESUMED, signer))

    assert lease(street, lease_request(street, active)).read == 1


def test_a_pause_that_comes_while_a_read_is_counted_holds_it_back(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, signer = street.granted()
    count = street.custodian_store.count_read

    def paused_meanwhile(
        grant_id: GrantId, request_id: str, now: datetime, counted: int
    ) -> int | None:
        counted_now = count(grant_id, request_id, now, counted)
        street.custodian.pause(grant_id, word(street, active, SUSPENDED, signer))
        return counted_now

    monkeypatch.setattr(street.custodian_store, "count_read", paused_meanwhile)

    assert refused(lambda: lease(street, lease_request(street, active))) == ["grant-suspended"]


def test_tells_the_receiver_also_while_the_custodian_is_away(street: Street) -> None:
    active, signer = street.granted()
    street.fetcher.disconnect(CUSTODIAN)

    paused = send_pause(
        active.agreement, word(street, active, SUSPENDED, signer), fetcher=street.fetcher
    )

    assert (paused.custodian, paused.receiver) == (None, SUSPENDED)
