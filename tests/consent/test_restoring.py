"""Backups that come back, disks that are away, and what must end all the same."""

import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from counterfoil_consent import (
    Active,
    FileKeyFolder,
    Level,
    MemoryKeyFolder,
    Trigger,
    deliver,
    fetch_custodian_key,
    fetch_erasure_receipt,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.artefacts import KeyDestruction, KeyRequest, Registration
from counterfoil_consent.custodian import MAX_VALIDITY, Custodian
from counterfoil_consent.key_folder import KeyFolder, KeyNote
from counterfoil_consent.spec import REGISTRATION_TYP
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sqlite_file import back_up
from counterfoil_consent.store import Ended
from counterfoil_consent.usage import Custodial, UsageRequest, fetch_usage
from counterfoil_consent.wire import Digest, GrantId, fresh_grant_id
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, CUSTODIAN, FRAME, FRAME_VALUE, Street

NAME = GrantId("A" * 22)


def restore(street: Street, backup: Path, what: str = "custodian") -> None:
    street.restore(what, backup)


def read(street: Street, active: Active) -> object:
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        return facts.one(FRAME)


def codes_of_read(street: Street, active: Active) -> list[str]:
    with pytest.raises(Refused) as refusal:
        read(street, active)
    return refusal.value.codes


def key_request(street: Street, grant_id: GrantId, signer: MemorySigner) -> str:
    return KeyRequest(
        grant_id=grant_id, holder=did_jwk(signer.public), asked_at=street.clock()
    ).sign(signer, audience=CUSTODIAN)


def statement_of(street: Street, active: Active, signer: MemorySigner) -> KeyDestruction:
    token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token
    grant_id = active.agreement.grant_id
    party = street.custodian.party
    return KeyDestruction.read(
        street.custodian.end(grant_id, token), custodian=party.did, grant_id=grant_id
    )


def test_a_restored_custodian_counts_on_from_where_it_was(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    active, signer = street.granted(max_reads=3)
    backup = street.back_up("custodian", tmp_path / "yesterday")
    assert [read(street, active) for _ in range(2)] == [FRAME_VALUE] * 2

    restore(street, backup)

    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.lease.read == 3
    assert codes_of_read(street, active) == ["reads-used-up"]
    restore(street, backup)
    assert codes_of_read(street, active) == ["reads-used-up"]
    assert statement_of(street, active, signer).leases == 3


def test_a_grant_younger_than_the_backup_is_closed_and_its_end_proved(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    street.granted()
    backup = street.back_up("custodian", tmp_path / "yesterday")
    active, signer = street.granted()
    read(street, active)

    restore(street, backup)

    # Nobody knows its limits any more: the key goes at once, the proof follows.
    assert street.custodian_keys.is_destroyed(active.agreement.grant_id)
    assert codes_of_read(street, active) == ["grant-unknown"]
    # Nor does the custodian sign that it stands where nothing stands any more.
    with pytest.raises(Refused) as refusal:
        fetch_usage(active.agreement, signer=signer, fetcher=street.fetcher, now=street.clock())
    assert refusal.value.codes == ["grant-ended"]
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)
    assert ending.key_destroyed_at == street.clock()
    proof = fetch_erasure_receipt(active.agreement, fetcher=street.fetcher, now=street.clock())
    assert (proof.erased.level, proof.erased.trigger) == (Level.E2, Trigger.WITHDRAWN)
    assert statement_of(street, active, signer).leases == 1


def test_the_end_of_a_grant_that_a_restored_database_forgot_is_written_down_once(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    backup = street.back_up("custodian", tmp_path / "yesterday")
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    read(street, active)
    restore(street, backup)
    token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token

    said = {street.custodian.end(grant_id, token) for _ in range(3)}

    assert [tombstone.grant_id for tombstone in street.journal.since(None)] == [grant_id]
    assert said == {street.journal.since(None)[0].statement}
    used, _ = fetch_usage(
        active.agreement, signer=signer, fetcher=street.fetcher, now=street.clock()
    )
    assert (used.state, used.ended_by, used.reads) == (Custodial.ENDED, Trigger.WITHDRAWN, 1)


def test_a_stranger_cannot_end_a_grant_that_a_restored_database_forgot(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    backup = street.back_up("custodian", tmp_path / "yesterday")
    active, signer = street.granted()
    restore(street, backup)
    stranger = MemorySigner.generate()
    agreement = replace(active.agreement, holder=did_jwk(stranger.public))

    with pytest.raises(Refused) as refusal:
        statement_of(street, Active(agreement, active.receipt), stranger)

    assert refusal.value.codes == ["signed-by-another"]
    assert statement_of(street, active, signer).trigger is Trigger.WITHDRAWN


def test_a_grant_registered_after_the_backup_ends_with_the_same_proof(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    package, signer = street.packed()
    backup = street.back_up("custodian", tmp_path / "yesterday")
    active = deliver(package, fetcher=street.fetcher)
    read(street, active)

    restore(street, backup)

    assert codes_of_read(street, active) == ["grant-unknown"]
    statement = statement_of(street, active, signer)
    assert (statement.leases, statement.grant_digest) == (1, active.agreement.grant_digest)


def test_a_restored_receiver_takes_no_ended_grant_in_again(
    street_on_disk: Street, tmp_path: Path
) -> None:
    street = street_on_disk
    package, signer = street.packed()
    asked = street.back_up("receiver", tmp_path / "asked")
    active = deliver(package, fetcher=street.fetcher)
    granted = street.back_up("receiver", tmp_path / "granted")
    # The custodian has not heard of the end: the receiver is alone with what it knows.
    street.fetcher.disconnect(CUSTODIAN)
    street.receiver.end(
        package.grant_id,
        withdraw(active, signer=signer, now=street.clock(), random=street.random).token,
    )

    for backup in (asked, granted):
        restore(street, backup, "receiver")
        # Neither half of what is delivered is taken in.
        request_id = package.response_uri.rsplit("/", 1)[1]
        with pytest.raises(Refused) as refusal:
            street.receiver.receive(request_id, {"grant": (package.presentation,)})
        assert refusal.value.codes == ["grant-ended"]
        if backup is granted:
            with pytest.raises(Refused) as refusal:
                street.receiver.accept_bundle(package.grant_id, package.bundle)
            assert refusal.value.codes == ["grant-ended"]
        with pytest.raises(Refused) as refusal:
            deliver(package, fetcher=street.fetcher)
        assert refusal.value.codes == ["grant-ended"]


@pytest.mark.parametrize("is_key_left", [True, False], ids=["key", "tombstone"])
def test_a_stolen_share_is_not_registered_again_by_the_thief(
    street_stored: Street, tmp_path: Path, *, is_key_left: bool
) -> None:
    street = street_stored
    assert street.folder is not None
    backup = street.back_up("custodian", tmp_path / "yesterday")
    package, _ = street.packed()
    street.custodian.register(package.registration)
    stolen = Registration.read(package.registration, audience=CUSTODIAN)
    restore(street, backup)
    thief = MemorySigner.generate()
    if is_key_left:
        # Whatever removed the tombstone and brought the key back: the note still says whose.
        (street.folder / "custodian-keys" / f"{package.grant_id}.ended").unlink()
        (street.folder / "custodian-keys" / f"{package.grant_id}.key").write_bytes(bytes(32))

    with pytest.raises(Refused) as refusal:
        street.custodian.issue_key(package.grant_id, key_request(street, package.grant_id, thief))
    assert refusal.value.codes == ["signed-by-another" if is_key_left else "grant-ended"]
    assert street.custodian_store.find(package.grant_id) is None
    own = replace(stolen, holder=did_jwk(thief.public))
    with pytest.raises(Refused) as refusal:
        street.custodian.register(own.sign(thief, audience=CUSTODIAN, now=street.clock()))
    assert refusal.value.codes == ["key-not-issued"]


@pytest.mark.parametrize("party", ["custodian", "receiver"])
def test_a_service_does_not_start_without_the_key_folder_it_had(
    street_stored: Street, tmp_path: Path, party: str
) -> None:
    street = street_stored
    assert street.folder is not None
    active, signer = street.granted()
    folder = street.folder / f"{party}-keys"
    folder.rename(tmp_path / "unmounted")

    for is_mount_point_there in (False, True):
        if is_mount_point_there:
            folder.mkdir()
        with pytest.raises(Unavailable):
            street.start()

    folder.rmdir()
    (tmp_path / "unmounted").rename(folder)
    street.start()
    assert read(street, active) == FRAME_VALUE
    assert statement_of(street, active, signer).trigger is Trigger.WITHDRAWN


@pytest.mark.parametrize("party", ["custodian", "receiver"])
def test_a_key_folder_that_goes_away_makes_nobody_sign_that_keys_are_destroyed(
    street_on_disk: Street, tmp_path: Path, party: str
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    folder = street.folder / f"{party}-keys"
    folder.rename(tmp_path / "unmounted")
    with pytest.raises(Unavailable):
        read(street, active)

    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)

    assert ending.stopped_at == street.clock()
    if party == "custodian":
        assert ending.key_destroyed_at is None
        row = street.custodian_store.find(grant_id)
        assert isinstance(row, Ended)
        assert row.statement is None
    else:
        with pytest.raises(Refused) as refusal:
            street.receiver.erasure_receipt(grant_id)
        assert refusal.value.codes == ["not-erased"]

    # The disk is back: the key goes, and then it is said.
    (tmp_path / "unmounted").rename(folder)
    assert street.custodian.end_due() + street.receiver.end_due() >= 1
    assert street.receiver.end_due() == 0
    assert not list(folder.glob("*.key"))
    proof = fetch_erasure_receipt(active.agreement, fetcher=street.fetcher, now=street.clock())
    assert proof.erased.level is Level.E2


def test_a_key_that_is_neither_there_nor_destroyed_is_not_said_to_be_destroyed(
    street_on_disk: Street, tmp_path: Path
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, signer = street.granted()
    key = street.folder / "custodian-keys" / f"{active.agreement.grant_id}.key"
    key.rename(tmp_path / "elsewhere")

    with pytest.raises(Unavailable):
        read(street, active)
    for _ in range(2):
        with pytest.raises(Unavailable):
            statement_of(street, active, signer)

    (tmp_path / "elsewhere").rename(key)
    assert street.custodian.end_due() == 1
    assert not key.exists()


def test_a_key_that_comes_back_after_its_end_is_destroyed_at_the_next_start(
    street_on_disk: Street,
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, signer = street.granted()
    key = street.folder / "custodian-keys" / f"{active.agreement.grant_id}.key"
    raw = key.read_bytes()
    statement_of(street, active, signer)

    key.write_bytes(raw)
    street.start()
    assert not key.exists()

    key.write_bytes(raw)
    statement_of(street, active, signer)
    assert not key.exists()


def test_one_grant_that_cannot_be_ended_does_not_stop_the_others(street_on_disk: Street) -> None:
    street = street_on_disk
    assert street.folder is not None
    actives = [street.granted()[0] for _ in range(3)]
    names = sorted(active.agreement.grant_id for active in actives)
    broken = street.receiver_store.find_grant(names[0])
    assert broken is not None
    for party, name in (("custodian", names[0]), ("receiver", broken.request_id)):
        key = street.folder / f"{party}-keys" / f"{name}.key"
        key.unlink()
        key.mkdir()
    street.clock.advance(timedelta(days=30))

    assert street.custodian.end_due() == 2
    assert street.receiver.end_due() == 2
    for name in names[1:]:
        assert street.custodian_keys.is_destroyed(name)
        assert street.receiver.erasure_receipt(name)


def test_the_trouble_of_a_disk_is_unavailable_and_names_no_path(tmp_path: Path) -> None:
    keys = FileKeyFolder(tmp_path / "keys")
    keys.begin(is_new=True)
    (tmp_path / "keys" / f"{NAME}.key").mkdir()

    with pytest.raises(Unavailable) as trouble:
        keys.find(NAME)

    assert str(tmp_path) not in str(trouble.value)


@pytest.fixture(params=["memory", "files"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyFolder:
    """Give an empty key folder of either kind, not yet in use."""
    return MemoryKeyFolder() if request.param == "memory" else FileKeyFolder(tmp_path / "keys")


def test_a_key_is_its_first_holders(keys: KeyFolder, random_bytes: Callable[[int], bytes]) -> None:
    with pytest.raises(Unavailable):
        keys.begin(is_new=False)
    keys.begin(is_new=True)
    keys.begin(is_new=False)
    first, thief = (KeyNote(holder=did_jwk(MemorySigner.generate().public)) for _ in range(2))
    key = keys.create(NAME, random_bytes, first)
    assert keys.create(NAME, random_bytes, first) == key

    for note in (thief, replace(thief, receiver=first.holder)):
        with pytest.raises(Refused) as refusal:
            keys.create(NAME, random_bytes, note)
        assert refusal.value.codes == ["signed-by-another"]
        with pytest.raises(Refused) as refusal:
            keys.annotate(NAME, note)
        assert refusal.value.codes == ["signed-by-another"]

    full = replace(first, receiver=thief.holder, grant_digest=Digest(b64url(bytes(32))))
    keys.annotate(NAME, full)
    keys.annotate(NAME, full)
    with pytest.raises(Refused) as refusal:
        keys.annotate(NAME, replace(full, receiver=first.holder))
    assert refusal.value.codes == ["already-registered"]
    keys.count_read(NAME)
    keys.count_read(NAME)
    keys.destroy(NAME)
    # What a restored database must not forget outlives the key.
    assert (keys.note(NAME), keys.reads(NAME), keys.names()) == (full, 2, [])


def test_two_processes_over_one_key_folder_say_the_same_of_each_end(tmp_path: Path) -> None:
    # What a process holds in memory parts it from the others: so does each of these.
    folders = [FileKeyFolder(tmp_path / "keys") for _ in range(4)]
    folders[0].begin(is_new=True)

    def inscribed(at: int) -> str:
        together.wait()
        return folders[at].inscribe(name, f"statement {at}")

    for number in range(20):
        name = GrantId(f"{number:021}A")
        folders[0].forbid(name)
        together = Barrier(len(folders))
        with ThreadPoolExecutor(len(folders)) as pool:
            said = set(pool.map(inscribed, range(len(folders))))
        assert said == {folders[0].inscription(name)}


def test_two_processes_over_one_key_folder_take_one_registration(tmp_path: Path) -> None:
    folders = [FileKeyFolder(tmp_path / "keys") for _ in range(4)]
    folders[0].begin(is_new=True)
    first = KeyNote(holder=did_jwk(MemorySigner.generate().public))
    receivers = [did_jwk(MemorySigner.generate().public) for _ in folders]

    def registers(at: int) -> bool:
        together.wait()
        try:
            folders[at].annotate(name, replace(first, receiver=receivers[at]))
        except Refused:
            return False
        return True

    for number in range(20):
        name = GrantId(f"{number:021}A")
        folders[0].create(name, secrets.token_bytes, first)
        together = Barrier(len(folders))
        with ThreadPoolExecutor(len(folders)) as pool:
            taken = list(pool.map(registers, range(len(folders))))
        assert sum(taken) == 1


def test_a_receiver_whose_sealing_key_is_away_asks_for_no_lease(
    street_on_disk: Street, tmp_path: Path
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, _ = street.granted(max_reads=1)
    (key,) = (street.folder / "receiver-keys").glob("*.key")
    away = key.rename(tmp_path / "away")

    for _ in range(2):
        with pytest.raises(Unavailable):
            read(street, active)

    # Away is not destroyed: it comes back with its disk, and nothing was counted.
    away.rename(key)
    assert read(street, active) == FRAME_VALUE


def test_a_key_of_an_end_that_a_crash_interrupted_is_given_to_nobody(street: Street) -> None:
    signer = MemorySigner.generate()
    decided = street.decide(street.ask(), signer)
    fetch_custodian_key(decided, signer=signer, fetcher=street.fetcher, now=street.clock())
    street.custodian_store.end(decided.grant_id, Trigger.EXPIRED, street.clock())

    with pytest.raises(Refused) as refusal:
        street.custodian.issue_key(decided.grant_id, key_request(street, decided.grant_id, signer))

    assert refusal.value.codes == ["grant-ended"]


def test_a_registration_for_ever_is_refused(street: Street) -> None:
    package, signer = street.packed()
    claims = read_jws(
        package.registration, typ=REGISTRATION_TYP, where="registration"
    ).unverified_claims
    longest = street.clock() + MAX_VALIDITY

    def registered(ends_at: datetime) -> None:
        changed = {**claims, "valid_until": int(ends_at.timestamp())}
        street.custodian.register(sign_jws(changed, typ=REGISTRATION_TYP, signer=signer))

    with pytest.raises(Refused) as refusal:
        registered(longest + timedelta(seconds=1))
    assert refusal.value.codes == ["end-too-far"]
    registered(longest)


def test_what_was_never_registered_is_unknown_whatever_is_asked(street: Street) -> None:
    package, signer = street.packed()
    nobody, now = fresh_grant_id(street.random), street.clock()
    word = UsageRequest(
        grant_id=package.grant_id, holder=did_jwk(signer.public), asked_at=now
    ).sign(signer, audience=CUSTODIAN)

    for ask in (
        street.custodian.acknowledge,
        street.custodian.lease,
        street.custodian.pause,
        street.custodian.confirm,
        street.custodian.usage,
        street.custodian.end,
    ):
        with pytest.raises(Refused) as refusal:
            ask(nobody, word)
        assert refusal.value.codes == ["grant-unknown"]
    # Nor is one grant's word taken under the path of another.
    other, _ = street.packed()
    with pytest.raises(Refused) as refusal:
        street.custodian.usage(other.grant_id, word)
    assert refusal.value.codes == ["signed-by-another"]
    with pytest.raises(Refused) as refusal:
        street.custodian.issue_key(nobody, key_request(street, package.grant_id, signer))
    assert refusal.value.codes == ["grant-mismatch"]


def test_no_end_is_said_of_a_key_that_was_never_seen(keys: KeyFolder) -> None:
    keys.begin(is_new=True)

    with pytest.raises(Unavailable):
        keys.destroy(NAME)
    assert not keys.is_destroyed(NAME)
    keys.forbid(NAME)
    assert keys.is_destroyed(NAME)


def test_sealing_keys_of_unanswered_requests_go_with_the_requests(street: Street) -> None:
    opened = [street.ask() for _ in range(3)]
    active, _ = street.granted()
    assert len(street.receiver_keys.names()) == 4
    street.clock.advance(timedelta(minutes=15, hours=1, seconds=-1))
    street.receiver.end_due()
    assert len(street.receiver_keys.names()) == 4
    assert street.receiver.answer_to(opened[0].request_id) is None

    street.clock.advance(timedelta(seconds=1))
    street.receiver.end_due()

    assert len(street.receiver_keys.names()) == 1
    with pytest.raises(Refused) as refusal:
        street.receiver.answer_to(opened[0].request_id)
    assert refusal.value.codes == ["request-unknown"]
    assert read(street, active) == FRAME_VALUE


def test_a_request_for_longer_than_the_data_may_be_kept_is_not_made(street: Street) -> None:
    street.ask(valid_for=timedelta(days=30))
    before = street.receiver_keys.names()

    with pytest.raises(Refused) as refusal:
        street.ask(valid_for=timedelta(days=30, seconds=1))

    assert set(refusal.value.codes) == {"retention-exceeded"}
    assert street.receiver_keys.names() == before


def test_keys_that_wait_for_their_registration_are_bounded(street: Street) -> None:
    custodian = Custodian(
        origin=CUSTODIAN,
        signer=street.custodian_signer,
        store=street.custodian_store,
        keys=street.custodian_keys,
        journal=street.journal,
        clock=street.clock,
        random=street.random,
        max_reservations=2,
    )
    signer = MemorySigner.generate()
    names = [GrantId(b64url(street.random(16))) for _ in range(3)]
    for name in names[:2]:
        custodian.issue_key(name, key_request(street, name, signer))

    with pytest.raises(Unavailable):
        custodian.issue_key(names[2], key_request(street, names[2], signer))
    assert street.custodian_store.find(names[2]) is None

    # Asking again is no new reservation, and a day later there is room.
    custodian.issue_key(names[0], key_request(street, names[0], signer))
    street.clock.advance(timedelta(hours=24, seconds=1))
    assert custodian.end_due() == 2
    custodian.issue_key(names[2], key_request(street, names[2], signer))


def test_grants_end_before_abandoned_keys_do(street: Street) -> None:
    street.packed()
    active, _ = street.granted()
    street.packed()
    street.clock.advance(timedelta(days=30))
    now = street.clock()

    assert street.custodian_store.due(now, now, 1) == [active.agreement.grant_id]
    assert len(street.custodian_store.due(now, now, 10)) == 3


def test_grants_end_before_papers_that_are_late_are_asked_for(street: Street) -> None:
    street.fetcher.disconnect(CUSTODIAN)
    street.connect()
    late, _ = street.granted()
    active, _ = street.granted()
    street.fetcher.disconnect(CUSTODIAN)
    street.receiver.complete(late.agreement.grant_id)
    street.clock.advance(timedelta(days=30))

    assert street.receiver_store.due(street.clock(), 1) == [active.agreement.grant_id]


def test_what_a_receipt_calls_deleted_is_in_no_file(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    bundle = street.receiver_store.find_bundle(grant_id)
    assert bundle is not None
    token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token

    street.receiver.end(grant_id, token)

    assert street.receiver.erasure_receipt(grant_id)
    assert street.receiver_store.find_bundle(grant_id) is None
    if street.folder is not None and not street.servers:
        # The service still runs: database, journal and index as they are now.
        files = sorted((street.folder / "receiver").iterdir())
        assert files[0].name == "db.sqlite3"
        sealed = b64url(bundle).encode()
        for path in files:
            raw = path.read_bytes()
            for start in range(0, len(sealed) - 64, 64):
                assert sealed[start : start + 64] not in raw, path.name


def test_no_receipt_says_deleted_while_a_reader_holds_the_journal(street_on_disk: Street) -> None:
    street = street_on_disk
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token
    scrub = street.receiver_store.scrub

    def held() -> None:
        raise Unavailable("expected the journal to be folded in, found it in use")

    street.receiver_store.scrub = held  # type: ignore[method-assign]  # a backup that runs just now
    assert street.receiver.end(grant_id, token)
    with pytest.raises(Refused) as refusal:
        street.receiver.erasure_receipt(grant_id)
    assert refusal.value.codes == ["not-erased"]

    street.receiver_store.scrub = scrub  # type: ignore[method-assign]  # the backup is done
    assert street.receiver.end_due() == 1
    assert street.receiver.erasure_receipt(grant_id)


def test_a_backup_of_a_running_custodian_holds_its_rows(
    street_on_disk: Street, tmp_path: Path
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, _ = street.granted()

    back_up(street.folder / "custodian" / "db.sqlite3", tmp_path / "copy.sqlite3")

    assert (tmp_path / "copy.sqlite3").stat().st_mode & 0o777 == 0o600
    store = SqlCustodianStore(tmp_path / "copy.sqlite3")
    assert store.find(active.agreement.grant_id) == street.custodian_store.find(
        active.agreement.grant_id
    )
    store.close()
    with pytest.raises(FileExistsError):
        back_up(street.folder / "custodian" / "db.sqlite3", tmp_path / "copy.sqlite3")
    with pytest.raises(Unavailable):
        back_up(tmp_path / "nothing.sqlite3", tmp_path / "more.sqlite3")
    assert not (tmp_path / "more.sqlite3").exists()


def test_a_closed_database_is_one_file(street_on_disk: Street) -> None:
    street = street_on_disk
    assert street.folder is not None
    street.granted()

    street.close()

    for party, table in (("custodian", "custodian_grants"), ("receiver", "consent_grants")):
        folder = street.folder / party
        assert [path.name for path in folder.iterdir()] == ["db.sqlite3"]
        connection = sqlite3.connect(folder / "db.sqlite3")
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)  # noqa: S608  # two names above
        connection.close()
