"""A damaged wallet is recognised, the damage named, and what is intact brought into a new one."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import IO, Any

import pytest
from counterfoil_credentials.encoding import parse_object
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_wallet import Copy, HeldCredential, Kind, Record, salvaging
from counterfoil_wallet.passphrase import FileKey
from counterfoil_wallet.salvaging import Lost, Salvaged, salvage
from counterfoil_wallet.sqlite_store import (
    DATABASE,
    HEADER,
    HEADER_COPY,
    LOCK,
    SqliteStore,
    connect,
)
from counterfoil_wallet.tables import Connection

from tests.conftest import NOON
from tests.wallet.cards import BRAND, TYPE, card_of, copy_of
from tests.wallet.conftest import CHEAP, PASSPHRASE
from tests.wallet.test_migrations import FILES, VERSIONS

PAGE = 4_096
CARDS = 40
TABLES = ("records", "cards", "copies", "showings", "facts", "words_data")
TILL = "x509_san_dns:till.example"

Salvage = Callable[[], Salvaged]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "damaged"


@pytest.fixture
def cards(folder: Path, random_bytes: Callable[[int], bytes]) -> list[HeldCredential]:
    """Give the cards of a wallet that is about to be damaged."""
    cards = [card_of({"item": f"thing {i}", "serial": f"A{i}"}) for i in range(CARDS)]
    with closing(SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP)) as store:
        for i, card in enumerate(cards):
            store.hold(card, [copy_of({"item": f"thing {i}"})] if i % 10 == 0 else [])
            store.put(Record(Kind.EVENT, f"event {i}", "", b"{}" * 200))
            if i % 4 == 0:
                store.take_copy(card.credential_id, TILL, at=NOON)
        store.search("thing")
    return cards


@pytest.fixture
def saved(folder: Path, random_bytes: Callable[[int], bytes]) -> Salvage:
    """Give the way to salvage the damaged wallet into an empty place."""

    def save() -> Salvaged:
        into = folder.parent / "saved"
        shutil.rmtree(into, ignore_errors=True)
        return salvage(folder, PASSPHRASE, into, random=random_bytes, cost=CHEAP)

    return save


def contents(folder: Path) -> tuple[list[HeldCredential], list[Copy], list[str], int]:
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        cards = store.cards(trashed=None)
        copies = [copy for card in cards for copy in store.copies(card.credential_id)]
        shown = sum(len(store.showings(card.credential_id)) for card in cards)
        store.check()
        return cards, copies, [record.key for record in store.find(Kind.EVENT)], shown


def damage(folder: Path, page: int, offset: int = 1_000) -> None:
    with (folder / DATABASE).open("r+b") as file:
        file.seek((page - 1) * PAGE + offset)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def rows_up_to(folder: Path, table: str, page: int) -> int:
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        ((rows,),) = store.connection.execute(
            "SELECT ifnull(sum(ncell), 0) FROM dbstat"
            " WHERE name = ? AND pagetype = 'leaf' AND pageno <= ?",
            (table, page),
        ).fetchall()
        return int(rows)


def rows_of(salvaged: Salvaged, table: str) -> set[int]:
    return {
        row for one in salvaged.lost if one.table == table for row in range(one.first, one.last + 1)
    }


def root_of(folder: Path, name: str) -> int:
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        rows = store.connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)
        )
        return int(rows.fetchall()[0][0])


def pages_of(folder: Path, table: str) -> list[int]:
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        rows = store.connection.execute("SELECT pageno FROM dbstat WHERE name = ?", (table,))
        return [row[0] for row in rows.fetchall()]


@pytest.mark.parametrize("table", TABLES)
def test_the_damaged_page_and_what_it_is_of_are_named(
    folder: Path, cards: list[HeldCredential], table: str
) -> None:
    page = pages_of(folder, table)[-1]
    damage(folder, page)

    with (
        closing(SqliteStore.open(folder, PASSPHRASE)) as store,
        pytest.raises(Malformed, match=f"page {page}, {table}"),
    ):
        store.check()
    assert len(cards) == CARDS


def test_a_card_without_a_copy_of_its_own_is_told(
    folder: Path, cards: list[HeldCredential]
) -> None:
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        store.check()
        for face in ("(SELECT face FROM cards WHERE position = 2)", str(CARDS * 100)):
            store.connection.execute(f"UPDATE cards SET face = {face} WHERE position = 1")  # noqa: S608  # numbers of our own
            with pytest.raises(Malformed, match="1 without one"):
                store.check()
    assert cards


def test_damage_to_one_page_costs_what_is_on_it_and_nothing_else(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    """Of every table a page in its middle. With the copies of a card, the card is lost too."""
    intact = (folder / DATABASE).read_bytes()
    pages = {name: pages_of(folder, name) for name in TABLES}
    assert len(pages["copies"]) > 10
    for name, page in [(name, of[len(of) // 2]) for name, of in pages.items() if len(of) > 1]:
        damage(folder, page)
        salvaged = saved()
        (folder / DATABASE).write_bytes(intact)

        held, kept, events, _ = contents(folder.parent / "saved")
        assert (salvaged.cards, salvaged.copies, salvaged.records) == (
            *(len(held), len(kept)),
            len(events),
        )
        lost = {"copies": CARDS + 4 - len(kept), "records": CARDS - len(events)}
        lost["cards"] = sum(card.configuration_id == "" for card in held)
        for table, rows in lost.items():
            assert (0 < rows < 30) == (table == name), (name, page)
            told = {one.table for one in salvaged.lost}
            assert (table in told) == (table == name or (table, name) == ("cards", "copies"))
        assert {str(card.claims["serial"]) for card in held} <= {f"A{i}" for i in range(CARDS)}
        assert len(held) >= CARDS - 8
        assert cards


def test_where_the_way_to_its_pages_is_damaged_a_table_is_read_page_by_page(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    """Of every table the root, which holds no row: nothing is lost but the way."""
    intact, before = (folder / DATABASE).read_bytes(), contents(folder)
    roots = [root_of(folder, name) for name in ("cards", "copies", "records")]
    assert [len(pages_of(folder, name)) > 2 for name in ("cards", "copies", "records")]
    for each in ([root] for root in roots), [roots]:
        for pages in each:
            for page in pages:
                damage(folder, page)
            salvaged = saved()
            (folder / DATABASE).write_bytes(intact)

            assert salvaged == Salvaged(cards=CARDS, copies=CARDS + 4, records=CARDS, lost=())
            assert contents(folder.parent / "saved") == before
    assert cards


def test_a_row_that_goes_on_in_a_damaged_page_is_lost_alone(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    large = card_of({"photo": "x" * 3 * PAGE})
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        store.hold(large)
        store.hold(card_of({"item": "one more"}))
        rows = store.connection.execute(
            "SELECT pageno FROM dbstat WHERE name = 'copies' AND pagetype = 'overflow'"
        ).fetchall()
    damage(folder, rows[-1][0])
    damage(folder, root_of(folder, "copies"))

    salvaged = saved()

    assert salvaged.lost == (
        Lost("copies", CARDS + 5, CARDS + 5),
        Lost("cards", CARDS + 1, CARDS + 1, BRAND, TYPE),
    )
    assert (salvaged.cards, salvaged.copies) == (CARDS + 1, CARDS + 5)
    assert large.credential_id not in [
        one.credential_id for one in contents(folder.parent / "saved")[0]
    ]
    assert cards


def test_without_the_index_too_the_end_of_a_table_counts_as_lost_and_the_work_is_bounded(
    folder: Path,
    cards: list[HeldCredential],
    saved: Salvage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("copies", "sqlite_autoindex_copies_1"):
        damage(folder, root_of(folder, name))
    opened: list[Path] = []

    def count(place: Path, key: FileKey, *, damaged: bool) -> Connection:
        opened.append(place)
        return connect(place, key, damaged=damaged)

    monkeypatch.setattr(salvaging, "connect", count)

    assert saved() == Salvaged(
        cards=CARDS,
        copies=CARDS + 4,
        records=CARDS,
        lost=(Lost("copies", CARDS + 5, CARDS + 5),),
    )
    assert len(opened) < 3 * (folder / DATABASE).stat().st_size // PAGE
    assert cards


@pytest.mark.parametrize("cut", [1, 7, 12, 17, 25])
@pytest.mark.parametrize("more", [0, 77])
def test_of_a_file_that_was_cut_every_row_on_the_pages_that_are_left_is_saved(
    folder: Path, cards: list[HeldCredential], saved: Salvage, cut: int, more: int
) -> None:
    pages = (folder / DATABASE).stat().st_size // PAGE - cut
    left = {name: rows_up_to(folder, name, pages) for name in ("cards", "copies", "records")}
    os.truncate(folder / DATABASE, pages * PAGE + more)

    salvaged = saved()

    held, *_ = contents(folder.parent / "saved")
    assert (salvaged.copies, salvaged.records) == (left["copies"], left["records"])
    lost = {name: rows_of(salvaged, name) for name in left}
    # Without its copies a card's row is not enough, and is told of with issuer and type.
    kept = [place for place, card in enumerate(cards, 1) if card in held]
    faceless = [one for one in salvaged.lost if one.vct]
    assert len(kept) + len(faceless) == left["cards"]
    assert {(one.issuer, one.vct) for one in faceless} <= {(BRAND, TYPE)}
    assert lost["records"] >= set(range(left["records"] + 1, CARDS + 1))
    named = sorted([*kept, *lost["cards"]])
    assert named == list(range(1, len(named) + 1))
    assert salvaged.lost


def test_what_the_disk_does_not_give_back_is_a_damaged_page(
    folder: Path,
    cards: list[HeldCredential],
    saved: Salvage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = pages_of(folder, "copies")[-1]
    opening = Path.open

    class Failing(FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == (page - 1) * PAGE:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(-1 if size is None else size)

    def failing(path: Path, mode: str = "r", buffering: int = -1) -> IO[Any]:
        if path == folder / DATABASE:
            return Failing(path)
        return opening(path, mode, buffering)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        salvaged = saved()

    assert {lost.table for lost in salvaged.lost} == {"copies", "cards"}
    assert CARDS - 8 <= salvaged.cards < len(cards)


@pytest.mark.parametrize("is_locked_there", [True, False])
def test_a_wallet_on_a_disk_that_takes_nothing_is_salvaged(
    folder: Path,
    cards: list[HeldCredential],
    saved: Salvage,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_locked_there: bool,
) -> None:
    opening = os.open

    def read_only(path: str, flags: int, mode: int = 0o777, **more: int | None) -> int:
        if Path(path).parent == folder and flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system")
        return opening(path, flags, mode, **more)

    if not is_locked_there:
        (folder / LOCK).unlink()
    before = sorted(path.name for path in folder.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        assert saved().cards == len(cards)
        with pytest.raises(Unavailable):
            SqliteStore.open(folder, PASSPHRASE)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_disk_without_room_for_what_is_saved_is_told(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 * PAGE, hard))
    try:
        with pytest.raises(Unavailable):
            saved()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert {path.name for path in folder.parent.iterdir()} == {"damaged"}
    assert saved().cards == len(cards)


def test_a_wallet_without_its_database_or_with_a_folder_in_its_place_is_told(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    (folder / DATABASE).unlink()
    with pytest.raises(Malformed):
        saved()
    (folder / DATABASE).mkdir()
    with pytest.raises(Malformed):
        saved()
    assert cards
    assert {path.name for path in folder.parent.iterdir()} == {"damaged"}


def test_what_is_lost_is_listed(folder: Path, cards: list[HeldCredential], saved: Salvage) -> None:
    page = pages_of(folder, "copies")[-1]
    damage(folder, page)

    salvaged = saved()

    held, *_ = contents(folder.parent / "saved")
    gone = [place for place, card in enumerate(cards, 1) if card not in held]
    assert {lost.table for lost in salvaged.lost} == {"copies", "cards"}
    assert [lost for lost in salvaged.lost if lost.table == "cards"] == [
        Lost("cards", place, place, BRAND, TYPE) for place in gone
    ]
    assert held == [card for card in cards if card in held]
    assert 1 <= len(gone) <= 8


def test_a_card_whose_row_is_lost_is_made_of_its_copies_again(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    for page in pages_of(folder, "cards"):
        damage(folder, page)

    salvaged = saved()

    held, copies, *_ = contents(folder.parent / "saved")
    assert [card.claims for card in held] == [card.claims for card in cards]
    assert {(card.configuration_id, card.vct) for card in held} == {("", cards[0].vct)}
    assert len(copies) == CARDS + 4
    assert {lost.table for lost in salvaged.lost} == {"cards"}


def test_a_copy_of_which_nobody_knows_who_saw_it_counts_as_shown(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    (page,) = pages_of(folder, "showings")
    damage(folder, page)

    saved()

    with closing(SqliteStore.open(folder.parent / "saved", PASSPHRASE)) as store:
        assert store.copies_left(cards[1].credential_id, at=NOON).fresh == 0
        assert len(store.cards()) == CARDS


def test_an_intact_wallet_is_salvaged_whole_and_stays_as_it_is(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    before = contents(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    salvaged = saved()

    assert salvaged == Salvaged(cards=CARDS, copies=CARDS + 4, records=CARDS, lost=())
    assert contents(folder.parent / "saved") == before
    assert before[0] == cards
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert {path.name for path in folder.parent.iterdir()} == {"damaged", "saved"}


def test_what_was_in_the_journal_when_the_program_died_is_salvaged_too(
    folder: Path, cards: list[HeldCredential], saved: Salvage, tmp_path: Path
) -> None:
    late = card_of({"item": "a late one"})
    store = SqliteStore.open(folder, PASSPHRASE)
    store.hold(late)
    killed = Path(shutil.copytree(folder, tmp_path / "killed"))
    store.close()
    shutil.rmtree(folder)
    killed.rename(folder)
    assert (folder / f"{DATABASE}-wal").stat().st_size > 0

    assert saved().cards == len(cards) + 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_damaged_wallet_of_any_version_is_salvaged(
    folder: Path, saved: Salvage, version: int
) -> None:
    shutil.copytree(FILES / str(version), folder)
    copies = {1: 5}.get(version, 23)
    assert saved() == Salvaged(cards=5, copies=copies, records=14, lost=())


@pytest.mark.parametrize("offset", [None, 50, 150, 200])
def test_a_lost_or_damaged_header_is_read_from_its_copy_and_stays_as_it_is(
    folder: Path, cards: list[HeldCredential], saved: Salvage, offset: int | None
) -> None:
    header = (folder / HEADER).read_bytes()
    assert (folder / HEADER_COPY).read_bytes() == header
    assert "key" in parse_object(header, "header")
    if offset is None:
        (folder / HEADER).unlink()
    else:
        flipped = bytes([header[offset] ^ 1])
        (folder / HEADER).write_bytes(header[:offset] + flipped + header[offset + 1 :])
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert saved().cards == len(cards)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files

    (folder / HEADER).write_bytes(header[:50])
    (folder / HEADER_COPY).write_bytes(b"{}")
    with pytest.raises(Malformed):
        saved()


def test_without_page_1_nothing_is_salvaged_and_nothing_is_made(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    damage(folder, 1)

    with pytest.raises(Malformed):
        saved()

    assert cards
    assert not (folder.parent / "saved").exists()


def test_a_wallet_in_use_is_not_salvaged(
    folder: Path, cards: list[HeldCredential], saved: Salvage
) -> None:
    with closing(SqliteStore.open(folder, PASSPHRASE)), pytest.raises(Unavailable):
        saved()
    assert cards


def test_salvaging_needs_the_passphrase_and_an_empty_place(
    folder: Path, cards: list[HeldCredential], random_bytes: Callable[[int], bytes]
) -> None:
    into = folder.parent / "saved"

    with pytest.raises(Refused) as refusal:
        salvage(folder, "another", into, random=random_bytes, cost=CHEAP)
    assert refusal.value.codes == ["passphrase-wrong"]
    SqliteStore.create(into, PASSPHRASE, random=random_bytes, cost=CHEAP).close()
    with pytest.raises(Refused) as refusal:
        salvage(folder, PASSPHRASE, into, random=random_bytes, cost=CHEAP)
    assert refusal.value.codes == ["wallet-exists"]
    assert cards
