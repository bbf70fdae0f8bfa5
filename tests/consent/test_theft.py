"""What a thief gets who has everything but one destroyed key file: nothing."""

import logging
from dataclasses import replace
from itertools import product
from pathlib import Path
from shutil import copytree

import pytest
from counterfoil_consent import FileKeyFolder, send_withdrawal, withdraw
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.sealing import OpeningKey, Role, SealedBundle, open_bundle, open_share
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.store import Kept
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused

from tests.consent.street import BENEFITS, CANARIES, FRAME, FRAME_VALUE, RIDER, Street


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def stolen_share(database: Path, grant_id: GrantId) -> bytes:
    store = SqlCustodianStore(database)
    row = store.find(grant_id)
    store.close()
    assert isinstance(row, Kept)
    return row.registration.share


def stolen_bundle(database: Path, grant_id: GrantId) -> SealedBundle:
    store = SqlReceiverStore(database)
    bundle = store.find_bundle(grant_id)
    store.close()
    assert bundle is not None
    return SealedBundle.from_bytes(bundle)


def test_stored_bytes_and_the_receivers_share_open_nothing_after_the_end(
    street_on_disk: Street, tmp_path: Path
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    receiver_before = street.back_up("receiver", tmp_path / "receiver-before")
    custodian_before = street.back_up("custodian", tmp_path / "custodian-before")
    receiver_keys = copytree(street.folder / "receiver-keys", tmp_path / "receiver-keys-before")
    custodian_keys: KeyFolder = street.custodian_keys

    bundle = stolen_bundle(receiver_before / "db.sqlite3", grant_id)
    share = stolen_share(custodian_before / "db.sqlite3", grant_id)
    receiver_key = _only_key(receiver_keys)
    # The theft is complete: with the custodian's key file, everything would open.
    custodian_key = custodian_keys.find(grant_id)
    assert custodian_key is not None
    part = open_share(share, custodian_key, grant_id, Role.CUSTODIAN)
    opened = open_bundle(bundle, receiver_key=receiver_key, custodian_part=part)
    assert RIDER in opened

    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    send_withdrawal(withdrawal, fetcher=street.fetcher)

    # The one file is gone, whole folder searched, and no key left anywhere opens the share.
    assert custodian_keys.find(grant_id) is None
    remains = every_byte(street.folder)
    assert custodian_key.private_bytes() not in remains
    assert receiver_key.private_bytes() not in remains
    keys = [receiver_key, OpeningKey(bytes(31) + b"\1")]
    for key, role in product(keys, Role):
        with pytest.raises(Refused) as refusal:
            open_share(share, key, grant_id, role)
        assert refusal.value.codes == ["share-does-not-open"]
    for guess in (bytes(32), share[:32], share[-32:], bundle.receiver_share[:32]):
        with pytest.raises(Refused) as refusal:
            open_bundle(bundle, receiver_key=receiver_key, custodian_part=guess)
        assert refusal.value.codes == ["bundle-does-not-open"]


def test_a_receipt_that_says_deleted_leaves_no_ciphertext_in_the_receivers_files(
    street_on_disk: Street,
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    bundle = street.receiver_store.find_bundle(grant_id)
    assert bundle is not None
    sealed = b64url(bundle).encode()
    assert sealed[:200] in every_byte(street.folder / "receiver")

    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    send_withdrawal(withdrawal, fetcher=street.fetcher)

    assert street.receiver.erasure_receipt(grant_id)
    # Neither in the tables nor in the journal that the database writes first.
    remains = every_byte(street.folder / "receiver")
    assert not [at for at in range(0, len(sealed) - 200, 100) if sealed[at : at + 200] in remains]


def test_the_custodian_alone_opens_nothing(street_on_disk: Street, tmp_path: Path) -> None:
    street = street_on_disk
    active, _ = street.granted()
    grant_id = active.agreement.grant_id
    custodian = street.back_up("custodian", tmp_path / "custodian")
    receiver = street.back_up("receiver", tmp_path / "receiver")
    key = street.custodian_keys.find(grant_id)
    assert key is not None
    share = stolen_share(custodian / "db.sqlite3", grant_id)
    part = open_share(share, key, grant_id, Role.CUSTODIAN)
    bundle = stolen_bundle(receiver / "db.sqlite3", grant_id)

    with pytest.raises(Refused) as refusal:
        open_bundle(bundle, receiver_key=key, custodian_part=part)

    assert refusal.value.codes == ["share-does-not-open"]


def test_no_planted_value_reaches_a_file_or_a_log(
    street_on_disk: Street, caplog: pytest.LogCaptureFixture
) -> None:
    street = street_on_disk
    assert street.folder is not None
    caplog.set_level(logging.DEBUG)
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    with street.receiver.read(grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE
        during = every_byte(street.folder)
        shown = f"{facts!r} {facts}"
    answer = street.brand.post(
        f"/consent/grants/{grant_id}/read",
        json={"purpose": "dpv:DirectMarketing"},
        headers={"Authorization": "Bearer the bicycle brand's back office key"},
    )
    assert answer.status_code == 400
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    send_withdrawal(withdrawal, fetcher=street.fetcher)
    receipt = street.receiver.erasure_receipt(grant_id)

    everything = [during, every_byte(street.folder), caplog.text.encode(), shown.encode()]
    for canary in CANARIES:
        for place in [*everything, receipt.encode(), answer.content]:
            assert canary.encode() not in place


def test_the_custodian_learns_no_fact_no_terms_and_no_other_receiver(
    street_on_disk: Street,
) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, _ = street.granted()
    stored = every_byte(street.folder / "custodian")

    for known in (RIDER, "frame_size", "Velo", active.agreement.terms.notice.sha256):
        assert known.encode() not in stored
    # The pairwise key is this grant's alone: it joins nothing with anything.
    other, _ = street.granted()
    assert other.agreement.holder != active.agreement.holder


def test_a_changed_byte_of_the_bundle_does_not_open(street: Street) -> None:
    active, _ = street.granted()
    grant_id = active.agreement.grant_id
    stored = street.receiver_store.find_bundle(grant_id)
    grant = street.receiver_store.find_grant(grant_id)
    assert stored is not None
    assert grant is not None
    bundle = SealedBundle.from_bytes(stored)
    spoilt = bundle.ciphertext[:-1] + bytes([bundle.ciphertext[-1] ^ 1])
    changed = replace(bundle, ciphertext=spoilt)
    assert street.receiver_store.advance(grant, grant, changed.to_bytes())

    with pytest.raises(Refused) as refusal, street.receiver.read(grant_id, BENEFITS):
        pass

    assert refusal.value.codes == ["bundle-does-not-open"]


def test_a_destroyed_key_file_is_gone_and_its_name_is_taken(tmp_path: Path) -> None:
    place = tmp_path / "keys"
    folder = FileKeyFolder(place)
    folder.begin(is_new=True)
    name = GrantId("A" * 22)
    key = folder.create(name, lambda size: b"\7" * size)
    assert folder.create(name, lambda size: b"\1" * size) == key
    assert (place / f"{name}.key").stat().st_mode & 0o777 == 0o600

    # Another name for the same bytes on disk shows what became of them.
    witness = tmp_path / "witness"
    witness.hardlink_to(place / f"{name}.key")

    folder.destroy(name)
    folder.destroy(name)

    assert witness.stat().st_size == 32
    assert witness.read_bytes() != key.private_bytes()

    assert sorted(path.name for path in place.iterdir()) == [f"{name}.ended", "in-use"]
    assert folder.find(name) is None
    with pytest.raises(Refused):
        FileKeyFolder(place).create(name, lambda size: b"\1" * size)
    assert folder.inscribe(name, "first") == folder.inscribe(name, "second") == "first"
    assert FileKeyFolder(place).inscription(name) == "first"


def _only_key(folder: Path) -> OpeningKey:
    (path,) = folder.glob("*.key")
    return OpeningKey(path.read_bytes())
