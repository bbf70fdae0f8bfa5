"""The journal of ends: what it says has ended stays ended, and without it nothing is lent."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from shutil import copy, copytree, rmtree

import pytest
from counterfoil_consent import (
    Active,
    FileKeyFolder,
    Level,
    Trigger,
    fetch_erasure_receipt,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.confirmation import Confirmation, confirm_grant
from counterfoil_consent.custodian_tables import JOURNAL
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.store import Ended
from counterfoil_consent.tombstone_journal import (
    FileTombstoneJournal,
    Mark,
    MemoryTombstoneJournal,
    Tombstone,
    TombstoneJournal,
)
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner
from sqlalchemy import delete

from tests.consent.street import BENEFITS, CUSTODIAN, FRAME, FRAME_VALUE, Street
from tests.consent.test_leases import lease, lease_request

NAMES = [GrantId(letter * 21 + "A") for letter in "abcdef"]


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> TombstoneJournal:
    if request.param == "memory":
        return MemoryTombstoneJournal()
    return FileTombstoneJournal(tmp_path / "tombstones.journal")


def said(number: int) -> Tombstone:
    return Tombstone(NAMES[number], f"statement-{number}")


def filled(path: Path) -> FileTombstoneJournal:
    journal = FileTombstoneJournal(path)
    journal.begin("first")
    for number in range(3):
        journal.append(said(number))
    return journal


def read(street: Street, active: Active) -> object:
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        return facts.one(FRAME)


def codes(street: Street, active: Active) -> list[str]:
    with pytest.raises(Refused) as refusal:
        read(street, active)
    return refusal.value.codes


def lent(street: Street, active: Active) -> list[str]:
    """Ask for a lease as a receiver does that knows of no end."""
    try:
        lease(street, lease_request(street, active))
    except Refused as refusal:
        return refusal.codes
    return []


def end(street: Street, active: Active, signer: MemorySigner) -> None:
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    assert send_withdrawal(withdrawal, fetcher=street.fetcher).key_destroyed_at is not None


def journal_of(street: Street) -> Path:
    assert street.folder is not None
    return street.folder / "tombstones.journal"


def test_gives_what_was_added_since_a_mark(journal: TombstoneJournal) -> None:
    assert journal.name() is None
    assert list(journal.since(None)) == []
    begun = journal.begin("first")
    marks = [begun, *(journal.append(said(number)) for number in range(3))]

    assert journal.name() == "first"
    for number, mark in enumerate(marks):
        assert journal.holds(mark)
        assert list(journal.since(mark)) == [said(left) for left in range(number, 3)]
    assert list(journal.since(None)) == [said(number) for number in range(3)]
    assert journal.end_mark() == marks[-1]
    journal.begin("second")
    assert journal.name() == "second"
    assert journal.holds(marks[-1])


def test_a_journal_does_not_hold_the_mark_of_another(
    journal: TombstoneJournal, tmp_path: Path
) -> None:
    journal.begin("first")
    mark = journal.append(said(0))
    other = filled(tmp_path / "other")
    shorter = FileTombstoneJournal(tmp_path / "shorter")
    shorter.begin("first")

    assert journal.holds(mark)
    assert not journal.holds(other.end_mark())
    assert not shorter.holds(mark)
    assert not FileTombstoneJournal(tmp_path / "none").holds(mark)


@pytest.mark.parametrize(
    "torn", [b"x", b"AAAA ended ", bytes(300)], ids=["letter", "half", "zeros"]
)
def test_a_line_that_the_power_cut_off_is_as_if_never_begun(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal"
    mark = filled(path).end_mark()
    whole = path.read_bytes()
    path.write_bytes(whole + torn)

    journal = FileTombstoneJournal(path)

    assert journal.end_mark() == mark
    assert path.read_bytes() == whole
    journal.append(said(3))
    assert list(FileTombstoneJournal(path).since(mark)) == [said(3)]


@pytest.mark.parametrize("where", range(0, 400, 7))
def test_a_changed_byte_is_found(tmp_path: Path, where: int) -> None:
    path = tmp_path / "journal"
    filled(path)
    raw = bytearray(path.read_bytes())
    raw[where % (len(raw) - 1)] ^= 1
    path.write_bytes(raw)

    with pytest.raises(Unavailable, match="expected an unbroken journal"):
        FileTombstoneJournal(path).name()


@pytest.mark.parametrize("line", range(4))
def test_a_line_that_is_left_out_is_found_or_the_mark_is_not(tmp_path: Path, line: int) -> None:
    path = tmp_path / "journal"
    mark = filled(path).end_mark()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))

    if line == 3:
        assert not FileTombstoneJournal(path).holds(mark)
    else:
        with pytest.raises(Unavailable):
            FileTombstoneJournal(path).holds(mark)


def _append_many(path: str, number: int) -> None:
    journal = FileTombstoneJournal(Path(path))
    for _ in range(50):
        journal.append(said(number))


def test_processes_that_add_at_once_keep_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = FileTombstoneJournal(path)
    journal.begin("first")
    spawn = get_context("spawn")
    processes = [spawn.Process(target=_append_many, args=(str(path), n)) for n in range(3)]
    for process in processes:
        process.start()
    _append_many(str(path), 3)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0

    found = list(FileTombstoneJournal(path).since(None))
    assert len(found) == 200
    assert {each.grant_id for each in found} == set(NAMES[:4])
    # Who had it open before reads on.
    assert list(journal.since(None)) == found


def test_a_journal_that_goes_away_takes_no_end(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = filled(path)
    path.unlink()

    with pytest.raises(Unavailable):
        journal.append(said(3))
    with pytest.raises(Unavailable):
        FileTombstoneJournal(tmp_path / "nowhere" / "journal").begin("first")


def test_nobody_hears_of_an_end_that_the_journal_does_not_say(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, signer = street.granted()

    def full(_: Tombstone) -> None:
        raise Unavailable("expected the journal to take part, found OSError")

    with monkeypatch.context() as patch:
        patch.setattr(street.journal, "append", full)
        withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
        assert send_withdrawal(withdrawal, fetcher=street.fetcher).key_destroyed_at is None
    assert codes(street, active) == ["grant-ended"]

    assert street.custodian.end_due() == 1
    [tombstone] = street.journal.since(None)
    assert tombstone.grant_id == active.agreement.grant_id


def test_ends_at_once_leave_the_rows_at_the_journals_last_line(
    street_in_memory: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = street_in_memory
    given = [street.granted() for _ in range(4)]
    tokens = [
        (withdrawal.withdrawn.agreement.grant_id, withdrawal.token)
        for withdrawal in (
            withdraw(active, signer=signer, now=street.clock(), random=street.random)
            for active, signer in given
        )
    ]
    set_mark, first = street.custodian_store.set_journal_mark, threading.Event()

    def slow_at_first(mark: Mark) -> None:
        if not first.is_set():
            first.set()
            # The others have every chance to pass.
            threading.Event().wait(0.3)
        set_mark(mark)

    monkeypatch.setattr(street.custodian_store, "set_journal_mark", slow_at_first)
    with ThreadPoolExecutor(4) as pool:
        for ending in [pool.submit(street.custodian.end, *told) for told in tokens]:
            ending.result()

    assert street.custodian_store.journal_mark() == street.journal.end_mark()


def test_a_custodian_whose_rows_and_keys_are_from_yesterday_learns_every_end_from_its_journal(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    assert street.folder is not None
    ended, signer = street.granted()
    live, _ = street.granted()
    # The whole machine but the journal's disk: the rows, and the keys that never should be.
    backup = street.back_up("custodian", tmp_path / "rows")
    keys = copytree(street.folder / "custodian-keys", tmp_path / "keys")
    end(street, ended, signer)
    statement = street.journal.since(None)[-1].statement

    rmtree(street.folder / "custodian-keys")
    copytree(keys, street.folder / "custodian-keys")
    street.restore("custodian", backup)

    grant_id = ended.agreement.grant_id
    row = street.custodian_store.find(grant_id)
    assert isinstance(row, Ended)
    assert (row.trigger, row.statement) == (Trigger.WITHDRAWN, statement)
    assert not (street.folder / "custodian-keys" / f"{grant_id}.key").exists()
    assert street.custodian_keys.inscription(grant_id) == statement
    assert codes(street, ended) == ["grant-ended"]
    # Nobody else has to do anything.
    assert read(street, live) == FRAME_VALUE
    withdrawn = withdraw(ended, signer=signer, now=street.clock(), random=street.random).token
    assert street.custodian.end(grant_id, withdrawn) == statement


@pytest.mark.parametrize("loss", ["gone", "older"])
def test_without_its_journal_a_custodian_lends_what_its_holder_confirms(
    street_stored: Street, tmp_path: Path, loss: str
) -> None:
    street = street_stored
    assert street.folder is not None
    early, early_signer = street.granted()
    end(street, early, early_signer)
    older = copy(journal_of(street), tmp_path / "older")
    ended, ended_signer = street.granted()
    live, signer = street.granted()
    assert read(street, live) == FRAME_VALUE
    backup = street.back_up("custodian", tmp_path / "rows")
    keys = copytree(street.folder / "custodian-keys", tmp_path / "keys")
    end(street, ended, ended_signer)

    # Everything of the machine is from before the end, and the database knows a later journal.
    rmtree(street.folder / "custodian-keys")
    copytree(keys, street.folder / "custodian-keys")
    journal_of(street).unlink()
    if loss == "older":
        Path(older).rename(journal_of(street))
        # That journal is whole up to where these rows know it: it has to be told apart.
        lines = journal_of(street).read_bytes().splitlines(keepends=True)
        journal_of(street).write_bytes(b"".join(lines[:-1]))
    street.restore("custodian", backup)

    assert isinstance(street.custodian_store, SqlCustodianStore)
    counts = street.custodian_store.counts()
    assert (counts.kept, counts.unconfirmed, counts.unfinished) == (2, 2, 0)
    assert codes(street, live) == ["confirmation-missing"]
    assert lent(street, ended) == ["confirmation-missing"]
    street.start()
    assert codes(street, live) == ["confirmation-missing"]
    confirm_grant(live, signer=signer, fetcher=street.fetcher, now=street.clock())
    assert read(street, live) == FRAME_VALUE
    street.start()
    assert read(street, live) == FRAME_VALUE
    assert lent(street, ended) == ["confirmation-missing"]
    # What is new needs no confirmation, and an end needs none either.
    assert read(street, street.granted()[0]) == FRAME_VALUE
    end(street, ended, ended_signer)
    assert lent(street, ended) == ["grant-ended"]


def lost(street: Street) -> None:
    journal_of(street).unlink()
    street.start()


def test_a_confirmation_is_the_holders_own_for_this_grant_and_this_journal(
    street_stored: Street,
) -> None:
    street = street_stored
    active, signer = street.granted()
    other, _ = street.granted()
    agreement = active.agreement
    before = street.custodian.journal_name
    lost(street)

    def confirmation(**changes: object) -> Confirmation:
        plain = {
            "grant_id": agreement.grant_id,
            "grant_digest": agreement.grant_digest,
            "journal": street.custodian.journal_name,
            "confirmed_at": street.clock(),
        }
        return Confirmation(**{**plain, **changes})  # type: ignore[arg-type]  # the tests name its fields

    def refused(token: str) -> list[str]:
        with pytest.raises(Refused) as refusal:
            street.custodian.confirm(agreement.grant_id, token)
        return refusal.value.codes

    wrong: list[tuple[str, dict[str, object]]] = [
        ("journal-differs", {"journal": before}),
        ("grant-mismatch", {"grant_digest": other.agreement.grant_digest}),
        ("grant-mismatch", {"grant_id": other.agreement.grant_id}),
        ("confirmation-not-fresh", {"confirmed_at": street.clock() - timedelta(seconds=121)}),
        ("confirmation-not-fresh", {"confirmed_at": street.clock() + timedelta(seconds=61)}),
    ]
    for code, changes in wrong:
        assert refused(confirmation(**changes).sign(signer, audience=CUSTODIAN)) == [code]
    assert refused(confirmation().sign(MemorySigner.generate(), audience=CUSTODIAN)) == [
        "signed-by-another"
    ]
    assert refused(confirmation().sign(signer, audience="https://other.example")) == [
        "audience-mismatch"
    ]
    assert codes(street, active) == ["confirmation-missing"]

    token = confirmation().sign(signer, audience=CUSTODIAN)
    street.custodian.confirm(agreement.grant_id, token)
    assert read(street, active) == FRAME_VALUE
    # The next loss asks anew, and what was said before it says nothing.
    lost(street)
    assert refused(token) == ["journal-differs"]
    assert codes(street, active) == ["confirmation-missing"]


def test_a_grant_that_has_ended_is_not_confirmed(street_stored: Street) -> None:
    street = street_stored
    active, signer = street.granted()
    lost(street)
    end(street, active, signer)

    with pytest.raises(Refused) as refusal:
        confirm_grant(active, signer=signer, fetcher=street.fetcher, now=street.clock())

    assert refusal.value.codes == ["grant-ended"]


def test_a_custodian_from_before_there_was_a_journal_goes_on_without_confirmations(
    street_stored: Street,
) -> None:
    street = street_stored
    assert street.folder is not None
    ended, signer = street.granted()
    live, _ = street.granted()
    end(street, ended, signer)
    # As it was: no journal, and a database that never heard of one.
    journal_of(street).unlink()
    assert isinstance(street.custodian_store, SqlCustodianStore)
    with street.custodian_store.database.transaction() as connection:
        connection.change(delete(JOURNAL))
    street.start()

    assert read(street, live) == FRAME_VALUE
    # Its tombstones stood beside the keys; now they stand in the journal too.
    assert [each.grant_id for each in street.journal.since(None)] == [ended.agreement.grant_id]


def test_a_journal_that_somebody_changed_stops_the_start(street_stored: Street) -> None:
    street = street_stored
    active, signer = street.granted()
    end(street, active, signer)
    path = journal_of(street)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)

    with pytest.raises(Unavailable, match="unbroken journal"):
        street.start()


def test_a_restored_receiver_holds_no_ciphertext_of_what_has_ended(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    ended, signer = street.granted()
    live, _ = street.granted()
    backup = street.back_up("receiver", tmp_path / "yesterday")
    end(street, ended, signer)

    street.restore("receiver", backup)

    grant_id = ended.agreement.grant_id
    assert street.receiver_store.find_bundle(grant_id) is None
    assert codes(street, ended) == ["grant-ended"]
    assert street.receiver.end_due() == 1
    # The custodian knows who ended it, and its word is in the receipt.
    proof = fetch_erasure_receipt(ended.agreement, fetcher=street.fetcher, now=street.clock())
    assert (proof.erased.level, proof.erased.trigger) == (Level.E2, Trigger.WITHDRAWN)
    assert read(street, live) == FRAME_VALUE


def test_a_receiver_that_got_its_keys_back_too_erases_at_the_first_refusal(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    assert street.folder is not None
    ended, signer = street.granted()
    backup = street.back_up("receiver", tmp_path / "yesterday")
    keys = copytree(street.folder / "receiver-keys", tmp_path / "keys")
    end(street, ended, signer)
    rmtree(street.folder / "receiver-keys")
    copytree(keys, street.folder / "receiver-keys")
    street.restore("receiver", backup)

    grant_id = ended.agreement.grant_id
    assert street.receiver_store.find_bundle(grant_id) is not None
    assert codes(street, ended) == ["grant-ended"]

    assert street.receiver_store.find_bundle(grant_id) is None
    assert not list((street.folder / "receiver-keys").glob("*.key"))
    street.receiver.end_due()
    proof = fetch_erasure_receipt(ended.agreement, fetcher=street.fetcher, now=street.clock())
    assert (proof.erased.level, proof.erased.trigger) == (Level.E2, Trigger.WITHDRAWN)


def test_the_journal_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        filled(tmp_path / "journal")
    finally:
        os.umask(before)

    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


def test_tombstones_are_listed_without_drafts(
    tmp_path: Path, random_bytes: Callable[[int], bytes]
) -> None:
    keys = FileKeyFolder(tmp_path / "keys")
    keys.begin(is_new=True)
    keys.create(NAMES[0], random_bytes)
    keys.destroy(NAMES[0])
    keys.forbid(NAMES[1])
    (tmp_path / "keys" / f".{NAMES[2]}.ended.0123").write_text("draft")

    assert sorted(keys.tombstones()) == NAMES[:2]
