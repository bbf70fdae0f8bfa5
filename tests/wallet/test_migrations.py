"""Every version of the file opens, goes to the newest version and back, and loses nothing."""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_wallet import CredentialId, Record, Wallet, migrations
from counterfoil_wallet.history import Act, Event, EventId
from counterfoil_wallet.migrations import Migration, count, migrate, version_of
from counterfoil_wallet.schema import VERSION
from counterfoil_wallet.sqlite_store import (
    DATABASE,
    SqliteStore,
    change_version,
    connect,
    key_of,
)
from counterfoil_wallet.store import Kind, Showing
from counterfoil_wallet.tables import Connection, Tables

from tests.conftest import NOON
from tests.wallet.cards import card_of, copy_of
from tests.wallet.conftest import PASSPHRASE

FILES = Path(__file__).parent / "files"
VERSIONS = sorted(int(path.name) for path in FILES.iterdir() if path.is_dir())
SHOP = "https://shop.example"
CLAIMS: JsonObject = {"item": "Auricle One"}


def folder_of(version: int, tmp_path: Path) -> Path:
    """Give a copy of the wallet folder of one version."""
    return Path(shutil.copytree(FILES / str(version), tmp_path / "wallet"))


@pytest.fixture(params=VERSIONS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a copy of the wallet folder of each version."""
    return folder_of(request.param, tmp_path)


def dump(tables: Tables) -> list[object]:
    """Give everything that a wallet holds, as values to compare."""
    cards = tables.cards(trashed=None)
    return [
        [tables.find(kind) for kind in Kind],
        sorted(cards, key=lambda card: card.credential_id),
        [tables.copies(card.credential_id) for card in cards],
        [tables.showings(card.credential_id) for card in cards],
    ]


def test_there_is_a_folder_of_every_version() -> None:
    assert list(range(1, VERSION + 1)) == VERSIONS
    assert [migration.version for migration in migrations.MIGRATIONS] == VERSIONS[1:]


@pytest.mark.parametrize(("version", "copies"), [(1, [1, 1, 1, 1, 1]), (2, [10, 10, 1, 1, 1])])
def test_every_version_opens_with_everything_in_it(
    tmp_path: Path, version: int, copies: list[int]
) -> None:
    with closing(SqliteStore.open(folder_of(version, tmp_path), PASSPHRASE)) as store:
        cards = store.cards()
        assert [card.claims.get("price") for card in cards[2:]] == ["199.00", "200.00", "201.00"]
        assert [len(store.copies(card.credential_id)) for card in cards] == copies
        assert [len(store.find(kind)) for kind in Kind][:5] == [0, 5, 1, 7, 1]
        assert store.search("洗衣") == [cards[2]]
        assert store.cards_with(("item", "serial"), "CM-17") == [cards[3]]
        assert Wallet(store).damaged() == []
        assert version_of(store.connection) == VERSION
        store.check()


def test_what_version_1_may_have_shown_counts_as_shown(tmp_path: Path) -> None:
    with closing(SqliteStore.open(folder_of(1, tmp_path), PASSPHRASE)) as store:
        (event,) = map(Event.from_record, store.find(Kind.EVENT, [Act.SHOWN]))
        (grant,) = map(Event.from_record, store.find(Kind.EVENT, [Act.GRANTED]))
        receipt, granted, *shown = store.cards()
        assert store.showings(receipt.credential_id) == []
        assert store.showings(granted.credential_id) == [
            Showing(granted.copy.copy_id, grant.party, grant.at)
        ]
        assert [store.showings(card.credential_id) for card in shown] == [
            [Showing(card.copy.copy_id, event.party, NOON)] for card in shown
        ]


def show_at_version_1(folder: Path, vct: str, party: str, act: Act = Act.SHOWN) -> None:
    """Write down that a credential of a type was shown, as an older program does."""
    event = Event(event_id=EventId(party), at=NOON, act=act, party=party, types=(vct,))
    record = event.to_record()
    with closing(connect(folder, key_of(folder, PASSPHRASE))) as connection:
        assert version_of(connection) == 1
        connection.execute(
            "INSERT INTO records (kind, key, label, body) VALUES (?, ?, ?, ?)",
            (record.kind, record.key, record.label, record.body),
        )


@pytest.mark.parametrize("act", [Act.SHOWN, Act.GRANTED])
@pytest.mark.parametrize("vct", ["urn:short", "urn:" + "long:" * 100])
def test_what_an_older_program_may_have_shown_in_between_counts_as_shown(
    tmp_path: Path, vct: str, act: Act
) -> None:
    folder = folder_of(2, tmp_path)
    card, other = card_of(CLAIMS, vct=vct), card_of(CLAIMS, vct="urn:other")
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        store.hold(card, [card_of(CLAIMS, vct=vct).copy])
        store.hold(other)
        store.take_copy(card.credential_id, "before", at=NOON)
        seen = Event(event_id=EventId("x"), at=NOON, act=act, party="not this copy", types=(vct,))
        store.put(seen.to_record())
        first, second = store.copies(card.credential_id)
    change_version(folder, PASSPHRASE, 1)
    show_at_version_1(folder, vct, SHOP, act)

    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        assert {(one.copy_id, one.verifier) for one in store.showings(card.credential_id)} == {
            (first.copy_id, "before"),
            (first.copy_id, SHOP),
            (second.copy_id, SHOP),
        }
        assert store.copies_left(card.credential_id, at=NOON).fresh == 0
        assert store.copies_left(other.credential_id, at=NOON).fresh == 1


def test_a_wallet_goes_back_to_every_version_and_comes_again_without_a_loss(folder: Path) -> None:
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        first, second = store.cards()[:2]
        store.hold(card_of(CLAIMS), [copy_of(CLAIMS), copy_of(CLAIMS)])
        # Read from another copy than its first, like a card that was refilled.
        fresh = replace(card_of({"item": "anew"}), credential_id=second.credential_id)
        store.hold(replace(fresh, configuration_id=second.configuration_id))
        kept = replace(card_of(CLAIMS).copy, keeper="hsm", key=b"label")
        store.hold(replace(card_of(CLAIMS), credential_id=CredentialId("hsm"), copy=kept))
        store.trash(first.credential_id, NOON)
        store.mark(second.credential_id, '{"status":1}')
        for verifier in (SHOP, "another"):
            store.take_copy(second.credential_id, verifier, at=NOON, reuse_that_links=True)
        before, counted = dump(store), count(store.connection)

    for version in range(VERSION - 1, 0, -1):
        change_version(folder, PASSPHRASE, version)

    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        assert count(store.connection) == counted
        assert dump(store) == before
        assert len(store.search("anew")) == 1


def test_a_credential_of_version_1_that_cannot_be_read_stays_and_is_named(tmp_path: Path) -> None:
    folder = folder_of(1, tmp_path)
    broken = Record(Kind.CREDENTIAL, "broken", "a type", b'{"sd_jwt":"none"}')
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        store.put(broken)
    change_version(folder, PASSPHRASE, 1)

    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        assert store.find(Kind.CREDENTIAL) == [broken]
        assert len(store.cards()) == 5
        (stuck,) = Wallet(store).damaged()
        assert (stuck.kind, stuck.key) == (Kind.CREDENTIAL, "broken")


@pytest.mark.parametrize("version", [-1, 0, VERSION + 1])
def test_there_is_no_way_to_a_version_that_never_was(folder: Path, version: int) -> None:
    with pytest.raises(Misuse):
        change_version(folder, PASSPHRASE, version)

    SqliteStore.open(folder, PASSPHRASE).close()


def test_a_file_of_a_newer_program_is_told_and_left_as_it_is(folder: Path) -> None:
    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        store.connection.pragma("user_version", str(VERSION + 1))
    before = (folder / DATABASE).read_bytes()

    with pytest.raises(Malformed, match=f"version 1 to {VERSION}"):
        SqliteStore.open(folder, PASSPHRASE)

    assert (folder / DATABASE).read_bytes() == before


def losing(connection: Connection) -> None:
    connection.execute("DELETE FROM records WHERE kind = 'secret'")


def adding(connection: Connection) -> None:
    connection.execute("INSERT INTO records VALUES (NULL, 'event', 'made up', '', x'7b7d')")


def failing(connection: Connection) -> None:
    losing(connection)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("fault", "error"),
    [(losing, Malformed), (adding, Malformed), (failing, KeyboardInterrupt)],
)
def test_a_migration_that_loses_or_doubles_or_stops_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Connection], None],
    error: type[BaseException],
) -> None:
    folder = folder_of(1, tmp_path)
    (migration,) = migrations.MIGRATIONS

    def faulty(connection: Connection) -> None:
        migration.up(connection)
        fault(connection)

    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", (Migration(2, faulty, migration.down),))
        with pytest.raises(error):
            SqliteStore.open(folder, PASSPHRASE)

    with closing(SqliteStore.open(folder, PASSPHRASE)) as store:
        migrate(store.connection, 1)
        kinds = store.connection.execute("SELECT kind, count(*) FROM records GROUP BY kind")
        assert dict(kinds.fetchall()) == {
            "acceptance": 5,
            "credential": 5,
            "event": 7,
            "grant": 1,
            "secret": 1,
        }
