"""The export: open formats for everybody, and nothing lost on the way into a second wallet."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject, b64url, object_at
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_wallet import CredentialId, Event, Kind, MemoryStore, Record, Store, Wallet
from counterfoil_wallet.backup import write_backup
from counterfoil_wallet.contents import Contents
from counterfoil_wallet.envelope import Envelope
from counterfoil_wallet.exporting import (
    KEYS_FILE,
    WALLET_FILE,
    Imported,
    bring_in,
    read_export,
    write_export,
)
from counterfoil_wallet.grant_states import from_record
from counterfoil_wallet.leaves import leaves
from jwcrypto.jwk import JWK, JWKSet  # type: ignore[import-untyped]  # it ships no types

from tests.conftest import NOON
from tests.wallet.cards import card_of, copy_of
from tests.wallet.conftest import CHEAP, PASSPHRASE
from tests.wallet.lives import a_life, live
from tests.wallet.town import Town

Random = Callable[[int], bytes]


@pytest.fixture
def lived() -> Store:
    store = MemoryStore()
    a_life().put_into(store)
    return store


@pytest.fixture
def folder(lived: Store, tmp_path: Path, random_bytes: Random) -> Path:
    folder = tmp_path / "my-data"
    write_export(lived, folder, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    return folder


def test_a_second_wallet_gets_everything(lived: Store, folder: Path) -> None:
    second, contents = MemoryStore(), Contents.of(lived)

    imported = bring_in(read_export(folder, PASSPHRASE), second)

    assert Contents.of(second) == contents
    assert imported == Imported(len(contents.cards) + len(contents.records), 0, 0)


def test_to_import_twice_is_to_import_once(lived: Store, folder: Path) -> None:
    second, contents = MemoryStore(), read_export(folder, PASSPHRASE)
    bring_in(contents, second)

    again = bring_in(contents, second)

    assert (again.added, again.differing) == (0, 0)
    assert Contents.of(second) == Contents.of(lived)


def test_what_a_wallet_holds_stays_as_it_is(
    town: Town, tmp_path: Path, random_bytes: Random
) -> None:
    lived, folder = MemoryStore(), tmp_path / "my-data"
    live(town, lived)
    write_export(lived, folder, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    wallet = town.wallet(lived)
    in_force = next(grant for grant in wallet.grants() if type(grant).__name__ == "InForce")
    wallet.withdraw(in_force.grant_id)
    taken_from, *_ = lived.cards()
    lived.mark(taken_from.credential_id, "revoked")
    lived.put(Record(Kind.SECRET, "its own", "", b"x"))
    before = Contents.of(lived)

    imported = bring_in(read_export(folder, PASSPHRASE), lived)

    assert Contents.of(lived) == before
    assert imported.added == 0
    assert imported.differing >= 1


def test_what_is_imported_is_no_news_and_an_unreadable_event_no_error(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    lived.put(Record(Kind.EVENT, "unreadable", "", b"{"))
    write_backup(lived, tmp_path / "b", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    second, told = Wallet.in_memory(), list[Event]()
    second.listen(told.append)

    second.import_from(tmp_path / "b", PASSPHRASE)

    assert len(second.history()) + 1 == len(lived.find(Kind.EVENT))
    assert [stuck.key for stuck in second.damaged() if stuck.kind is Kind.EVENT] == ["unreadable"]
    second.lock()
    assert told == []


def test_a_card_that_is_here_gains_the_copies_and_who_saw_them(lived: Store, folder: Path) -> None:
    second = MemoryStore()
    contents = read_export(folder, PASSPHRASE)
    whole = next(whole for whole in contents.cards if whole.showings)
    second.hold(whole.card)

    bring_in(contents, second)

    assert second.copies(whole.card.credential_id) == list(whole.copies)
    assert second.showings(whole.card.credential_id) == list(whole.showings)


def test_a_card_that_was_salvaged_under_another_id_is_not_brought_in_twice() -> None:
    first, second = MemoryStore(), MemoryStore()
    card, more = card_of({"item": "one"}), copy_of({"item": "one"})
    first.hold(card, [more])
    first.show(card.copy.copy_id, "till", at=NOON)
    salvaged = replace(card, credential_id=CredentialId(more.copy_id), copy=more)
    second.hold(salvaged)

    imported = bring_in(Contents.of(first), second)

    assert imported == Imported(0, 1, 0)
    assert second.cards() == [salvaged]
    assert second.copies(salvaged.credential_id) == [more, card.copy]
    assert [one.copy_id for one in second.showings(salvaged.credential_id)] == [card.copy.copy_id]
    second.check()


def test_a_backup_file_can_be_imported_too(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    write_backup(lived, tmp_path / "b", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    second = MemoryStore()

    bring_in(read_export(tmp_path / "b", PASSPHRASE), second)

    assert Contents.of(second) == Contents.of(lived)


def test_each_copy_is_there_as_issued_and_its_key_opens_for_any_library(
    lived: Store, folder: Path
) -> None:
    keys = JWKSet.from_json(Envelope.parse((folder / KEYS_FILE).read_bytes()).open(PASSPHRASE))
    cards = json.loads((folder / "credentials.json").read_bytes())
    files = [name for card in cards for name in card["copies"]]

    issued = [len(lived.copies(card.credential_id)) for card in lived.cards(trashed=None)]
    assert len(files) == len(list((folder / "credentials").iterdir())) == sum(issued)
    for card in cards:
        for name in card["copies"]:
            credential = read_credential(SdJwt.parse((folder / name).read_text(), name))
            assert credential.unverified_vct == card["type"]
            of_the_copy = {"cnf": credential.revealed.claims["cnf"]}
            of_the_copy["status"] = credential.revealed.claims["status"]
            assert credential.revealed.claims == {**card["claims"], **of_the_copy}
            key = keys.get_key(Path(name).stem)
            assert key is not None
            bound = object_at(credential.revealed.claims, "cnf", "cnf")
            assert key.thumbprint() == JWK(**object_at(bound, "jwk", "cnf")).thumbprint()
            assert key.has_private
    assert [to["verifier"] for card in cards for to in card["shown"]]


def test_no_secret_is_open(lived: Store, folder: Path) -> None:
    secrets = [card.copy.key for card in lived.cards(trashed=None)]
    secrets += [record.body for record in lived.find(Kind.SECRET)]
    grant_keys = [
        json.loads(record.body)["key"]
        for record in lived.find(Kind.GRANT)
        if "key" in json.loads(record.body)
    ]
    assert grant_keys
    texts = [b64url(secret) for secret in secrets] + grant_keys
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(text.encode() in data for text in texts), path.name
            assert path.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_each_grant_is_a_consent_record_of_iso_27560(lived: Store, folder: Path) -> None:
    grants = {str(grant.grant_id): grant for grant in map(from_record, lived.find(Kind.GRANT))}
    records = {path.stem: json.loads(path.read_bytes()) for path in (folder / "consents").iterdir()}

    assert records.keys() == grants.keys()
    statuses: set[str] = set()
    for grant_id, record in records.items():
        terms = grants[grant_id].terms
        assert record["@type"] == "dpv:ConsentRecord"
        assert record["dct:identifier"] == grant_id
        assert terms.receiver.name in json.dumps(record)
        statuses |= set(re.findall(r'"(dpv:Consent(?:Given|Withdrawn))"', json.dumps(record)))
        _require_every_prefix_is_declared(record)
    assert statuses == {"dpv:ConsentGiven", "dpv:ConsentWithdrawn"}


def _require_every_prefix_is_declared(record: JsonObject) -> None:
    declared = set(object_at(record, "@context", "record"))
    prefixes = {
        str(path[-1] if path and path[-1] != "@value" else "").partition(":")[0]
        for path, _ in leaves({name: record[name] for name in record if name != "@context"})
        if isinstance(path[-1], str) and not path[-1].startswith("@")
    }
    named = {
        str(value).partition(":")[0]
        for path, value in leaves(record)
        if path[0] != "@context" and {"@type", "@id"} & {str(part) for part in path[-2:]}
    }

    assert prefixes <= declared
    assert named <= declared | {"https", "urn", "did"}


def test_the_history_names_claims_and_never_their_values(lived: Store, folder: Path) -> None:
    history = (folder / "history.json").read_text()
    acts = [event["act"] for event in json.loads(history)]

    assert {"accepted", "shown", "declined", "granted", "withdrawn"} <= set(acts)
    assert len(acts) == len(lived.find(Kind.EVENT))
    serials = [
        item["serial"]
        for card in lived.cards(trashed=None)
        if isinstance(item := card.claims.get("item"), dict) and "serial" in item
    ]
    assert serials
    assert not any(str(serial) in history for serial in serials)


def test_a_place_that_is_taken_is_left_alone(
    lived: Store, folder: Path, random_bytes: Random
) -> None:
    before = sorted(path.name for path in folder.parent.iterdir())

    with pytest.raises(Refused) as refusal:
        write_export(lived, folder, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)

    assert refusal.value.codes == ["path-taken"]
    assert sorted(path.name for path in folder.parent.iterdir()) == before


def test_of_two_exports_to_one_place_one_is_there_whole_and_the_other_is_told(
    lived: Store, tmp_path: Path, random_bytes: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, syncing, synced = tmp_path / "place" / "my-data", os.fsync, list[int]()
    folder.parent.mkdir()

    def export() -> None:
        write_export(lived, folder, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)

    def meet(descriptor: int) -> None:
        """After a few files of the first, let another program export everything."""
        syncing(descriptor)
        synced.append(descriptor)
        if len(synced) == 3:
            export()
            assert len(list(folder.parent.iterdir())) == 2

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", meet)
        with pytest.raises(Unavailable):
            export()

    assert [path.name for path in folder.parent.iterdir()] == ["my-data"]
    assert read_export(folder, PASSPHRASE) == Contents.of(lived)
    assert len(list((folder / "credentials").iterdir())) == sum(
        len(lived.copies(card.credential_id)) for card in lived.cards(trashed=None)
    )


def test_what_a_killed_export_left_goes_with_the_next_one(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    names = (".my-data.aaaaaaaa.part", ".other.aaaaaaaa.part", ".my-data")
    for name in names:
        (tmp_path / name / "credentials").mkdir(parents=True)
        (tmp_path / name / "credentials" / "one.sd-jwt").write_text("a name")

    write_export(lived, tmp_path / "my-data", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)

    assert {path.name for path in tmp_path.iterdir()} == {"my-data", *names[1:]}


def test_an_export_that_fails_leaves_nothing(
    lived: Store, tmp_path: Path, random_bytes: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    written: list[int] = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 5:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable):
            write_export(lived, place / "x", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    with pytest.raises(Unavailable):
        write_export(
            lived, place / "none" / "x", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP
        )
    with pytest.raises(Misuse):
        write_export(lived, place / "x", "", at=NOON, random=random_bytes, cost=CHEAP)

    assert len(written) > 5
    assert list(place.iterdir()) == []


def test_the_open_files_are_not_what_is_imported(lived: Store, folder: Path) -> None:
    for path in (folder / "credentials").iterdir():
        path.write_text("changed")
    (folder / "credentials.json").unlink()
    second = MemoryStore()

    bring_in(read_export(folder, PASSPHRASE), second)

    assert Contents.of(second) == Contents.of(lived)


def test_an_export_without_its_heart_or_with_another_is_told(folder: Path) -> None:
    (folder / WALLET_FILE).write_bytes((folder / KEYS_FILE).read_bytes())
    with pytest.raises(Malformed):
        read_export(folder, PASSPHRASE)
    (folder / WALLET_FILE).unlink()
    with pytest.raises(Refused) as refusal:
        read_export(folder, PASSPHRASE)
    assert refusal.value.codes == ["file-missing"]


def test_an_id_cannot_lead_out_of_the_folder(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    grant = lived.find(Kind.GRANT, ["proved"])[0]
    abandoned = json.dumps({"terms": json.loads(grant.body)["erased"]["agreement"]["terms"]})
    body = json.dumps({**json.loads(abandoned), "reasons": []}).encode()
    lived.put(Record(Kind.GRANT, "../../../escaped", "abandoned", body))
    place = tmp_path / "a" / "b" / "c"
    place.mkdir(parents=True)

    write_export(lived, place / "x", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)

    assert len(list((place / "x" / "consents").iterdir())) == 3
    assert not any("escaped" in path.name for path in tmp_path.rglob("*"))
