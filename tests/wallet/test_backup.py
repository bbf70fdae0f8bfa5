"""A backup: one encrypted file that brings everything back, and nothing by halves."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import apsw
import pytest
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    compact_json,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import Kind, MemoryStore, Record, Store, Wallet
from counterfoil_wallet.backup import read_backup, write_backup
from counterfoil_wallet.contents import Contents
from counterfoil_wallet.envelope import recovery_public, seal
from counterfoil_wallet.recovery import split
from counterfoil_wallet.schema import HEAD
from counterfoil_wallet.sqlite_store import SqliteStore, exists
from counterfoil_wallet.tables import Connection
from counterfoil_wallet.whole_files import write_whole

from tests.conftest import NOON
from tests.readme_stages import STAGES
from tests.test_readme import blocks
from tests.wallet.conftest import CHEAP, PASSPHRASE, Place
from tests.wallet.lives import a_life, live
from tests.wallet.town import TILL, Town

Random = Callable[[int], bytes]
PAGE = "docs/backup.md"


@pytest.fixture
def lived() -> Store:
    store = MemoryStore()
    a_life().put_into(store)
    return store


@pytest.fixture
def file(lived: Store, tmp_path: Path, random_bytes: Random) -> Path:
    file = tmp_path / "one.backup"
    write_backup(lived, file, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    return file


def test_restores_the_same_state_on_a_clean_device(
    town: Town, place: Place, tmp_path: Path, random_bytes: Random
) -> None:
    lived, file = place.start(), tmp_path / "backup"
    live(town, lived)
    write_backup(lived, file, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    contents = read_backup(file, PASSPHRASE)
    store = SqliteStore.create(
        tmp_path / "new",
        PASSPHRASE,
        random=random_bytes,
        cost=CHEAP,
        fill=contents.put_into,
    )
    store.close()
    store = SqliteStore.open(tmp_path / "new", PASSPHRASE)

    assert Contents.of(store) == Contents.of(lived) == contents
    assert {record.kind for record in contents.records} == set(Kind)
    assert any(whole.showings for whole in contents.cards)
    assert any(whole.card.trashed_at for whole in contents.cards)
    assert any(whole.card.state for whole in contents.cards)
    for name in ("Auricle", "One"):  # what is found by words is made anew
        assert [card.credential_id for card in store.search(name)] == [
            card.credential_id for card in lived.search(name)
        ]
    store.close()


def test_no_column_of_the_file_is_forgotten() -> None:
    """A column that is added to the file is added to `contents.py`, or follows from the rest."""
    connection = cast("Connection", apsw.Connection(":memory:"))
    connection.execute(HEAD)
    columns = connection.execute(
        "SELECT t.name, group_concat(c.name, ' ' ORDER BY c.cid)"
        " FROM pragma_table_list t JOIN pragma_table_info(t.name) c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' GROUP BY t.name"
    )
    kept = {
        "records": "position kind key label body",
        "cards": "position card_id issuer vct configuration_id accepted_at expires_at"
        " status_url status_index state trashed_at face",
        "copies": "position card copy_id sd_jwt key keeper expires_at",
        "showings": "copy verifier shown_at",
    }

    assert dict(columns.fetchall()) == {**kept, "facts": "path value card"}


def test_a_card_of_many_copies_comes_back_in_its_order_with_its_face(
    lived: Store, random_bytes: Random, tmp_path: Path
) -> None:
    kept = lived.cards()
    batch = MemoryStore()
    # Copies of one card are other credentials of the same shape: here, all that were issued.
    batch.hold(kept[0], [card.copy for card in kept[1:]])
    batch.hold(replace(kept[0], copy=kept[-1].copy))
    verifiers = (TILL, "x509_san_dns:shop.example")
    for i, verifier in enumerate(verifiers):
        batch.take_copy(kept[0].credential_id, verifier, at=NOON + timedelta(seconds=i))
    before = Contents.of(batch)
    assert len(before.cards[0].copies) == len(kept)
    assert before.cards[0].card.copy == before.cards[0].copies[-1]
    assert len({shown.copy_id for shown in before.cards[0].showings}) == 2

    write_backup(batch, tmp_path / "b", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    again = MemoryStore()
    read_backup(tmp_path / "b", PASSPHRASE).put_into(again)

    assert Contents.of(again) == before
    for i, verifier in enumerate(verifiers):
        assert again.peek_copy(kept[0].credential_id, verifier, at=NOON) == batch.peek_copy(
            kept[0].credential_id, verifier, at=NOON
        ), i


def test_the_page_reads_it_without_this_package(lived: Store, file: Path) -> None:
    _, reader = blocks(PAGE, "python")
    assert "counterfoil_" not in reader
    assert len(reader.strip().splitlines()) < 30
    names: dict[str, object] = {"backup_file": file, "passphrase": PASSPHRASE}

    exec(compile(reader, PAGE, "exec"), names)  # noqa: S102

    everything = cast("list[dict[str, Any]]", names["everything"])
    found = [copy["sd_jwt"] for line in everything if "card" in line for copy in line["copies"]]
    assert found == [
        copy.issued
        for card in lived.cards(trashed=None)
        for copy in lived.copies(card.credential_id)
    ]


def test_what_the_page_shows_brings_every_card_back(tmp_path: Path) -> None:
    names = dict(STAGES[PAGE](tmp_path))

    exec(compile(blocks(PAGE, "python")[0], PAGE, "exec"), names)  # noqa: S102

    before = cast("Wallet", names["wallet"])
    recovery = before.recovery()
    assert recovery is not None
    assert (recovery.threshold, recovery.contacts) == (2, ("Mei", "Jun", "Ana"))
    for name in ("restored", "recovered", "another_wallet"):
        after = cast("Wallet", names[name])
        assert after.credentials() == before.credentials() != []
        assert after.history() == before.history()
        assert after.recovery() == recovery
        after.lock()
    with Wallet.open(tmp_path / "newer-phone", "a new passphrase") as wallet:
        assert wallet.credentials() == before.credentials()


def test_contacts_bring_it_back_and_the_passphrase_still_does(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    recovery, shares = split(["Mei", "Jun", "Ana"], 2, random=random_bytes, at=NOON)
    lived.put(recovery.to_record())
    file = tmp_path / "backup"
    write_backup(lived, file, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    words = [share.words for share in shares]

    assert read_backup(file, "", words[1:]) == read_backup(file, PASSPHRASE) == Contents.of(lived)
    with pytest.raises(Refused) as refusal:
        read_backup(file, PASSPHRASE, words[:1])
    assert refusal.value.codes == ["shares-too-few"]


def test_shares_of_a_later_split_do_not_open_an_earlier_backup(
    lived: Store, file: Path, random_bytes: Random
) -> None:
    _, shares = split(["Mei", "Jun"], 2, random=random_bytes, at=NOON)

    with pytest.raises(Refused) as refusal:
        read_backup(file, "", [share.words for share in shares])

    assert refusal.value.codes == ["shares-of-another-key"]


def test_nothing_that_is_held_can_be_read_in_the_file(lived: Store, file: Path) -> None:
    data = file.read_bytes()
    planted = [card.copy.issued for card in lived.cards()] + [TILL, "Auricle", "contacts"]

    assert not any(text.encode() in data for text in planted)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_wrong_passphrase_is_told(file: Path) -> None:
    with pytest.raises(Refused) as refusal:
        read_backup(file, "another")

    assert refusal.value.codes == ["passphrase-wrong"]
    assert "another (passphrase)" in str(refusal.value)


def test_a_backup_that_is_not_there_or_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        read_backup(tmp_path / "none", PASSPHRASE)
    assert refusal.value.codes == ["file-missing"]
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Malformed):
            read_backup(path, PASSPHRASE)


def test_a_file_that_is_too_long_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil_wallet.backup.MAX_SEALED_BYTES", 1_000)

    with pytest.raises(Malformed, match="at most 1000 bytes"):
        read_backup(file, PASSPHRASE)


@pytest.mark.parametrize("target", ["another", "nowhere"])
def test_a_link_that_was_planted_beside_a_backup_is_not_written_through(
    lived: Store, tmp_path: Path, random_bytes: Random, target: str
) -> None:
    another, file = tmp_path / "another", tmp_path / "b"
    another.write_text("a letter")
    planted = tmp_path / ".b.aaaaaaaa.part"
    planted.symlink_to(tmp_path / target)

    write_backup(lived, file, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)

    assert another.read_text() == "a letter"
    assert {path.name for path in tmp_path.iterdir()} == {"another", "b", planted.name}
    assert not file.is_symlink()
    assert read_backup(file, PASSPHRASE) == Contents.of(lived)


def test_two_who_write_one_file_write_two_drafts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, syncing = tmp_path / "b", os.fsync
    began: list[bytes] = []

    def meet(descriptor: int) -> None:
        """While the first draft is brought to the disk, let another program write the file."""
        syncing(descriptor)
        if not began:
            began.append(b"first")
            write_whole(file, b"second " * 1_000)
            assert file.read_bytes() == b"second " * 1_000
            assert len(list(tmp_path.iterdir())) == 2

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", meet)
        write_whole(file, b"first")

    assert file.read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_draft_that_was_left_behind_goes_with_the_next_and_others_stay(tmp_path: Path) -> None:
    names = (
        ".b.aaaaaaaa.part",
        ".c.aaaaaaaa.part",
        ".b.part",
        ".b.aaaaaaaa.txt",
        "b.aaaaaaaa.part",
    )
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    os.mkfifo(tmp_path / ".b.bbbbbbbb.part")

    write_whole(tmp_path / "b", b"whole")

    assert {path.name for path in tmp_path.iterdir()} == {"b", *names[1:]}
    write_whole(tmp_path / "[b]", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"b", "[b]", *names[1:]}


def test_a_backup_is_for_its_owner_also_where_a_file_for_everybody_was_planted(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    file, planted = tmp_path / "b", tmp_path / ".b.aaaaaaaa.part"
    planted.touch()
    planted.chmod(0o666)
    with planted.open("rb") as watched:
        write_backup(lived, file, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
        assert watched.read() == b""

    assert file.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_backup_of_before(
    lived: Store, file: Path, random_bytes: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable):
        write_backup(lived, file, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)

    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir() if "backup" in path.name] == [file.name]


@pytest.mark.parametrize(
    ("name", "error"),
    [("", Refused), ("none/one", Unavailable), ("a\0b", Malformed), ("x" * 300, Unavailable)],
)
def test_a_place_that_takes_no_file_is_told(
    lived: Store, tmp_path: Path, random_bytes: Random, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        write_backup(lived, tmp_path / name, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)


def test_a_backup_takes_the_place_of_a_backup_and_of_nothing_else(
    lived: Store, file: Path, tmp_path: Path, random_bytes: Random
) -> None:
    before = file.read_bytes()
    write_backup(lived, file, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    assert file.read_bytes() != before
    (tmp_path / "empty").touch()
    write_backup(lived, tmp_path / "empty", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)
    SqliteStore.create(tmp_path / "w", PASSPHRASE, random=random_bytes, cost=CHEAP).close()
    (tmp_path / "notes").write_text("about. five. parts. in. it")
    os.mkfifo(tmp_path / "pipe")

    ours = ("wallet.db", "wallet.json", "wallet.lock", "wallet.db-journal", "a-backup")
    for taken in (*(f"w/{name}" for name in ours), "notes", "pipe", "w"):
        with pytest.raises(Refused) as refusal:
            write_backup(
                lived, tmp_path / taken, PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP
            )
        assert refusal.value.codes in (["not-a-backup"], ["not-a-file"])
    SqliteStore.open(tmp_path / "w", PASSPHRASE).close()


def test_a_locked_wallet_is_not_backed_up(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    lived.close()

    with pytest.raises(Misuse):
        write_backup(lived, tmp_path / "b", PASSPHRASE, at=NOON, random=random_bytes, cost=CHEAP)

    assert not (tmp_path / "b").exists()


def test_a_backup_is_of_one_moment_while_others_write(place: Place) -> None:
    store, stop = place.start(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            store.put(
                Record(Kind.EVENT, f"{number}", "", b"e"), Record(Kind.GRANT, f"{number}", "", b"g")
            )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            kinds = [record.kind for record in Contents.of(store).records]
            assert kinds.count(Kind.EVENT) == kinds.count(Kind.GRANT)
    finally:
        stop.set()
        writer.join()


# What somebody may have put into a file whose passphrase he knows.


def hostile(lines: list[bytes], random: Random) -> bytes:
    return seal(
        b"".join(line + b"\n" for line in lines),
        passphrase=PASSPHRASE,
        recovery=recovery_public(b"\1" * 32),
        random=random,
        cost=CHEAP,
    )


def changed(lived: Store, number: int, members: JsonObject) -> list[bytes]:
    """Give the lines of a wallet with one of them changed: a card's own members, or the line's."""
    lines = [_object(line) for line in Contents.of(lived).to_lines(NOON).splitlines()]
    line = lines[number]
    card = line.get("card")
    for name, value in members.items():
        inside = isinstance(card, dict) and name not in ("card", "copies", "shown")
        (card if isinstance(card, dict) and inside else line)[name] = value
    return [compact_json(line) for line in lines]


HOSTILE: list[tuple[int, dict[str, Json]]] = [
    (0, {"format": "another"}),
    (0, {"cards": 1}),
    (0, {"records": 10**30}),
    (1, {"card": None}),
    (1, {"face": "another"}),
    (1, {"accepted_at": 10**30}),
    (1, {"accepted_at": "yesterday"}),
    (1, {"status": {"uri": 1, "idx": 2}}),
    (1, {"copies": []}),
    (1, {"copies": [{"id": "../../x", "sd_jwt": "~", "key": "", "keeper": ""}]}),
    (1, {"copies": [{"id": "x", "sd_jwt": "~", "key": "AA", "keeper": "a key store"}]}),
    (-1, {"record": "plan"}),
    (-1, {"body": 1, "bytes": "AA"}),
    (-1, {"key": None}),
]


def test_content_that_does_not_hold_together_makes_no_wallet(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    file, folder = tmp_path / "hostile", tmp_path / "new"
    for number, members in HOSTILE:
        file.write_bytes(hostile(changed(lived, number, members), random_bytes))

        with pytest.raises(Malformed):
            SqliteStore.create(
                folder,
                PASSPHRASE,
                random=random_bytes,
                cost=CHEAP,
                fill=read_backup(file, PASSPHRASE).put_into,
            )

        assert not exists(folder), members


def test_a_card_that_nobody_can_read_is_named_and_hides_no_other(
    lived: Store, tmp_path: Path, random_bytes: Random
) -> None:
    key = MemorySigner.generate()
    copy: JsonObject = {
        "id": key.public.thumbprint(),
        "sd_jwt": "no.credential.~",
        "key": b64url(key.private_bytes()),
        "keeper": "",
    }
    members: JsonObject = {"copies": [copy], "shown": [], "face": key.public.thumbprint()}
    file, store = tmp_path / "hostile", MemoryStore()
    file.write_bytes(hostile(changed(lived, 1, members), random_bytes))
    unreadable, *rest = lived.cards(trashed=None)

    read_backup(file, PASSPHRASE).put_into(store)

    assert unreadable.credential_id in [stuck.key for stuck in Wallet(store).damaged()]
    assert [card for card in store.cards(trashed=None) if card in rest] == rest
    assert [card for card in store.search("Auricle") if card in rest] == [
        card for card in lived.search("Auricle") if card in rest
    ]


def _object(line: bytes) -> JsonObject:
    return parse_object(line, "line")


@pytest.mark.parametrize(
    "lines",
    [[], [b"[]"], [b"null"], [b"\xff"], [b"[" * 100_000], [b'{"format":"x","format":"y"}']],
)
def test_content_that_is_no_list_of_lines_is_told(
    lines: list[bytes], tmp_path: Path, random_bytes: Random
) -> None:
    (tmp_path / "hostile").write_bytes(hostile(lines, random_bytes))

    with pytest.raises(Malformed):
        read_backup(tmp_path / "hostile", PASSPHRASE)


def test_one_card_or_record_twice_is_told(lived: Store) -> None:
    lines = Contents.of(lived).to_lines(NOON).splitlines(keepends=True)
    head = _object(lines[0])
    cards, records = int(str(head["cards"])), int(str(head["records"]))
    for again, more in ((lines[1], (1, 0)), (lines[-1], (0, 1))):
        counts: JsonObject = {"cards": cards + more[0], "records": records + more[1]}
        told = compact_json({**head, **counts}) + b"\n"
        with pytest.raises(Malformed, match="each thing once"):
            Contents.from_lines(b"".join([told, *lines[1:], again]))


def test_content_of_a_later_version_is_told(lived: Store) -> None:
    lines = changed(lived, 0, {"version": 2})

    with pytest.raises(Refused) as refusal:
        Contents.from_lines(b"".join(line + b"\n" for line in lines))

    assert refusal.value.codes == ["contents-too-new"]


def test_a_restore_that_fails_leaves_nothing_and_can_be_tried_again(
    lived: Store, file: Path, tmp_path: Path, random_bytes: Random
) -> None:
    contents, folder = read_backup(file, PASSPHRASE), tmp_path / "new"

    def full(store: Store) -> None:
        contents.put_into(store)
        raise Unavailable("expected the disk to take it, found it full")

    with pytest.raises(Unavailable):
        SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP, fill=full)
    assert not exists(folder)
    assert not any("wallet.db" in path.name for path in folder.iterdir())

    store = SqliteStore.create(
        folder, PASSPHRASE, random=random_bytes, cost=CHEAP, fill=contents.put_into
    )
    assert Contents.of(store) == Contents.of(lived)
    store.close()
