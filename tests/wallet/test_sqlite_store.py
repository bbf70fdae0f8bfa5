"""The encrypted file: nothing readable without the passphrase, one writer, damage is told."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest
from counterfoil_credentials.encoding import JsonObject, b64url, compact_json, parse_object
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.keys import PublicKey
from counterfoil_wallet import Wallet, passphrase
from counterfoil_wallet import envelope as envelope_module
from counterfoil_wallet.envelope import Envelope, seal
from counterfoil_wallet.passphrase import Cost, FileKey, KeyRecipe
from counterfoil_wallet.salvaging import salvage
from counterfoil_wallet.sqlite_store import (
    DATABASE,
    HEADER,
    HEADER_COPY,
    LOCK,
    SqliteStore,
    change_version,
    exists,
    key_of,
)
from counterfoil_wallet.store import Kind, Record
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tests.conftest import NOON
from tests.wallet.cards import TYPE, card_of
from tests.wallet.conftest import CHEAP, PASSPHRASE

PLANTED = b"canary-serial-A1-0001"
RECORD = Record(Kind.CREDENTIAL, "canary-key", "canary-label", PLANTED * 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "wallet"


@pytest.fixture
def store(folder: Path, random_bytes: Callable[[int], bytes]) -> Iterator[SqliteStore]:
    store = SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP)
    store.put(RECORD)
    yield store
    store.close()


def refused_codes(folder: Path, passphrase: str) -> list[str]:
    with pytest.raises(Refused) as refusal:
        SqliteStore.open(folder, passphrase)
    assert passphrase not in str(refusal.value)
    return refusal.value.codes


def test_no_planted_value_is_in_any_file_open_or_closed(store: SqliteStore, folder: Path) -> None:
    for at in ("open", "closed"):
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert DATABASE in files
        for name, contents in files.items():
            for planted in (PLANTED, b"canary-key", b"canary-label", b"SQLite format", b"records"):
                assert planted not in contents, f"{at}: {planted!r} in {name}"
        store.close()


def test_no_name_serial_or_key_is_in_any_file_at_any_moment(
    tmp_path: Path, random_bytes: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, temporary = tmp_path / "wallet", tmp_path / "temporary"
    temporary.mkdir()
    for name in ("SQLITE_TMPDIR", "TMPDIR"):
        monkeypatch.setenv(name, str(temporary))
    claims: JsonObject = {
        "buyer": "Mira Canary",
        "serial": "canary-A1-0001",
        "item": "金丝雀洗衣机",
    }
    cards = [card_of({**claims, "photo": "canary" * 3_000}) for _ in range(40)]
    words = ("Mira", "canary", "Canary", "金丝雀", "丝雀", "SQLite format", "CREATE TABLE", "till")
    keys = [cards[0].copy.key, cards[-1].copy.key]
    planted = [word.encode() for word in (*words, cards[0].issuer, cards[0].copy.issued[-60:])]
    planted += [form for key in keys for form in (key, key.hex().encode(), b64url(key).encode())]

    def scan() -> None:
        found = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert found
        for path in found:
            contents = path.read_bytes()
            assert [value for value in planted if value in contents] == [], path.name

    store = SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP)
    with store.step():
        for card in cards:
            store.hold(card)
        scan()
    scan()
    assert len(store.search("金丝雀 canary")) == 40
    assert len(store.cards([TYPE, "x509_san_dns:till"])) == 40
    store.take_copy(cards[0].credential_id, "x509_san_dns:till", at=NOON)
    scan()
    store.close()
    scan()
    change_version(folder, PASSPHRASE, 1)
    scan()
    SqliteStore.open(folder, PASSPHRASE).close()
    salvage(folder, PASSPHRASE, tmp_path / "saved", random=random_bytes, cost=CHEAP)
    scan()


def test_while_it_is_open_the_newest_values_are_in_the_journal_and_encrypted(
    store: SqliteStore, folder: Path
) -> None:
    before = (folder / f"{DATABASE}-wal").stat().st_size

    store.put(Record(Kind.EVENT, "new", "", PLANTED * 20))

    journal = (folder / f"{DATABASE}-wal").read_bytes()
    assert len(journal) > before
    assert PLANTED not in journal


def test_gives_back_what_was_put(store: SqliteStore, folder: Path) -> None:
    store.close()
    store = SqliteStore.open(folder, PASSPHRASE)

    assert store.find(Kind.CREDENTIAL) == [RECORD]
    assert store.find(Kind.CREDENTIAL, ["canary-label"]) == [RECORD]
    assert store.find(Kind.CREDENTIAL, ["another"]) == []
    assert store.find(Kind.GRANT) == []
    store.close()


def test_a_wrong_passphrase_is_refused_by_name(store: SqliteStore, folder: Path) -> None:
    store.close()

    assert refused_codes(folder, "Correct horse battery staple") == ["passphrase-wrong"]


def test_the_same_passphrase_typed_on_another_keyboard_opens(
    folder: Path, random_bytes: Callable[[int], bytes]
) -> None:
    SqliteStore.create(folder, "caf\u00e9", random=random_bytes, cost=CHEAP).close()

    SqliteStore.open(folder, "cafe\u0301").close()


def test_an_empty_passphrase_makes_no_wallet(
    folder: Path, random_bytes: Callable[[int], bytes]
) -> None:
    with pytest.raises(Misuse):
        SqliteStore.create(folder, "", random=random_bytes, cost=CHEAP)

    assert not exists(folder)


def test_a_wallet_is_not_made_over_another(
    store: SqliteStore, folder: Path, random_bytes: Callable[[int], bytes]
) -> None:
    store.close()

    with pytest.raises(Refused) as refusal:
        SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP)

    assert refusal.value.codes == ["wallet-exists"]


def test_there_is_none_where_none_was_made(tmp_path: Path) -> None:
    assert refused_codes(tmp_path, PASSPHRASE) == ["wallet-missing"]


def test_one_program_at_a_time(store: SqliteStore, folder: Path) -> None:
    with pytest.raises(Unavailable):
        SqliteStore.open(folder, PASSPHRASE)

    store.close()
    SqliteStore.open(folder, PASSPHRASE).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a child is forked")
def test_a_forked_child_neither_keeps_the_lock_nor_lets_go_of_it(
    store: SqliteStore, folder: Path
) -> None:
    store.close()
    program = f"""
import os
from pathlib import Path
from counterfoil_credentials.errors import Unavailable
from counterfoil_wallet.sqlite_store import FolderLock
folder = Path({str(folder)!r})
lock = FolderLock(folder)
ends, begins = os.pipe()
if os.fork() == 0:
    os.close(begins)
    os.read(ends, 1)
    os._exit(0)
if (child := os.fork()) == 0:
    lock.close()
    os._exit(0)
os.waitpid(child, 0)
try:
    FolderLock(folder)
except Unavailable:
    print("kept")
lock.close()
FolderLock(folder).close()
print("free")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["kept", "free"]


def test_a_wallet_whose_lock_was_taken_away_is_still_one_program_s(
    store: SqliteStore, folder: Path
) -> None:
    (folder / LOCK).unlink()

    with pytest.raises(Unavailable, match="in another program"):
        SqliteStore.open(folder, PASSPHRASE)

    store.put(RECORD)


@pytest.mark.parametrize("offset", [40, 4_096 + 100])
def test_a_damaged_database_is_told_from_a_wrong_passphrase(
    store: SqliteStore, folder: Path, offset: int
) -> None:
    store.close()
    contents = bytearray((folder / DATABASE).read_bytes())
    contents[offset] ^= 1
    (folder / DATABASE).write_bytes(contents)

    with pytest.raises(Malformed, match="an intact wallet file"):
        read_all(folder)


def test_damage_anywhere_is_told_or_harmless(store: SqliteStore, folder: Path) -> None:
    store.close()
    intact, told = (folder / DATABASE).read_bytes(), 0
    for offset in range(0, len(intact), 499):
        contents = bytearray(intact)
        contents[offset] ^= 0x10
        (folder / DATABASE).write_bytes(contents)
        try:
            assert read_all(folder) == [RECORD]
        except Malformed:
            told += 1
    # The salt of page 1 is not used with a raw key, and a free page holds nothing.
    assert told > len(intact) // 499 // 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("cipher", "none"),
        ("format", "another"),
        ("memory_kib", 2_000_000),
        ("iterations", 0),
        ("salt", "AAAA"),
        ("kdf", "pbkdf2"),
    ],
)
def test_a_damaged_header_is_told(
    store: SqliteStore, folder: Path, name: str, value: str | int
) -> None:
    store.close()
    header = parse_object((folder / HEADER).read_bytes(), "header")
    recipe = header["key"]
    assert isinstance(recipe, dict)
    (header if name in header else recipe)[name] = value
    for file in (HEADER, HEADER_COPY):
        (folder / file).write_bytes(compact_json(header))

    with pytest.raises(Malformed):
        SqliteStore.open(folder, PASSPHRASE)


def lost(path: Path) -> None:
    path.unlink()


def bent(path: Path) -> None:
    """Turn one bit of the salt: what the right passphrase leads to is another key."""
    text = path.read_bytes()
    at = text.index(b'"salt":"') + 8
    path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("spoil", [lost, bent, cut])
def test_a_wallet_whose_header_is_lost_or_bent_opens_by_its_copy_and_has_both_again(
    store: SqliteStore,
    folder: Path,
    random_bytes: Callable[[int], bytes],
    spoil: Callable[[Path], None],
) -> None:
    store.put(RECORD)
    store.close()
    key = key_of(folder, PASSPHRASE)
    header = (folder / HEADER).read_bytes()
    spoil(folder / HEADER)

    assert exists(folder)
    with pytest.raises(Refused) as refusal:
        SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP)
    assert refusal.value.codes == ["wallet-exists"]
    assert refused_codes(folder, "a wrong passphrase") == ["passphrase-wrong"]
    assert key_of(folder, PASSPHRASE) == key
    SqliteStore.open(folder, key).close()
    assert read_all(folder) == [RECORD]
    assert (folder / HEADER).read_bytes() == header

    spoil(folder / HEADER_COPY)
    assert read_all(folder) == [RECORD]


@pytest.mark.parametrize("spoil", [bent, cut])
def test_a_wallet_whose_headers_are_both_damaged_is_told(
    store: SqliteStore, folder: Path, spoil: Callable[[Path], None]
) -> None:
    store.close()
    spoil(folder / HEADER)
    spoil(folder / HEADER_COPY)

    with pytest.raises((Malformed, Refused)):
        SqliteStore.open(folder, PASSPHRASE)
    assert exists(folder)


@pytest.mark.parametrize(("memory_kib", "iterations"), [(1_048_576, 13), (125_830, 100)])
def test_a_header_that_asks_for_minutes_of_work_is_refused_before_it_begins(
    store: SqliteStore, folder: Path, memory_kib: int, iterations: int
) -> None:
    store.close()
    header = parse_object((folder / HEADER).read_bytes(), "header")
    recipe = header["key"]
    assert isinstance(recipe, dict)
    recipe |= {"memory_kib": memory_kib, "iterations": iterations}
    for file in (HEADER, HEADER_COPY):
        (folder / file).write_bytes(compact_json(header))

    with (
        patch.object(KeyRecipe, "key", side_effect=AssertionError("a derivation")),
        pytest.raises(Malformed, match="bounded cost"),
    ):
        SqliteStore.open(folder, PASSPHRASE)


def test_a_lost_database_is_told_and_not_replaced_by_an_empty_one(
    store: SqliteStore, folder: Path
) -> None:
    store.close()
    (folder / DATABASE).unlink()

    with pytest.raises(Malformed):
        SqliteStore.open(folder, PASSPHRASE)

    assert not (folder / DATABASE).exists()


def test_what_a_killed_create_left_behind_is_no_wallet(
    folder: Path, random_bytes: Callable[[int], bytes]
) -> None:
    folder.mkdir()
    (folder / DATABASE).write_bytes(b"half a database")

    assert not exists(folder)
    SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP).close()
    assert exists(folder)


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 100)


@pytest.mark.parametrize(
    ("name", "put"),
    [(LOCK, a_folder), (HEADER, garbage), (HEADER, a_folder), (DATABASE, a_folder)],
)
def test_a_foreign_thing_under_a_name_of_ours_is_told(
    store: SqliteStore, folder: Path, name: str, put: Callable[[Path], None]
) -> None:
    store.close()
    for file in {name, HEADER_COPY}:
        (folder / file).unlink()
    put(folder / name)

    with pytest.raises(Malformed):
        SqliteStore.open(folder, PASSPHRASE)


@pytest.mark.parametrize("name", [LOCK, DATABASE])
def test_a_wallet_is_not_made_among_foreign_things(
    tmp_path: Path, random_bytes: Callable[[int], bytes], name: str
) -> None:
    a_folder(tmp_path / name)

    with pytest.raises((Malformed, Unavailable)):
        SqliteStore.create(tmp_path, PASSPHRASE, random=random_bytes, cost=CHEAP)

    assert not exists(tmp_path)


def test_a_wallet_is_not_made_where_a_file_is(
    tmp_path: Path, random_bytes: Callable[[int], bytes]
) -> None:
    (tmp_path / "file").write_text("a letter")

    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Refused) as refusal:
            SqliteStore.create(place, PASSPHRASE, random=random_bytes, cost=CHEAP)
        assert refusal.value.codes == ["not-a-folder"]
        assert refused_codes(place, PASSPHRASE) == ["wallet-missing"]
    assert (tmp_path / "file").read_text() == "a letter"


@pytest.mark.parametrize("name", ["a\0b", "\udc80"])
def test_a_path_that_is_no_text_is_malformed(
    tmp_path: Path, random_bytes: Callable[[int], bytes], name: str
) -> None:
    with pytest.raises(Malformed):
        SqliteStore.create(tmp_path / name, PASSPHRASE, random=random_bytes, cost=CHEAP)
    with pytest.raises(Malformed):
        SqliteStore.open(tmp_path / name, PASSPHRASE)


def test_a_disk_that_does_not_take_a_wallet_makes_it_unavailable(
    tmp_path: Path, random_bytes: Callable[[int], bytes]
) -> None:
    with pytest.raises(Unavailable):
        SqliteStore.create(tmp_path / ("x" * 300), PASSPHRASE, random=random_bytes, cost=CHEAP)


def test_a_full_disk_undoes_the_whole_step_and_says_so(store: SqliteStore) -> None:
    pages = store.connection.pragma("page_count")
    assert isinstance(pages, int)
    store.connection.pragma("max_page_count", str(pages + 3))
    too_large = Record(Kind.EVENT, "too large", "", b"x" * 100_000)
    small = Record(Kind.EVENT, "small", "", b"{}")

    def step_over(error: type[Exception] | None) -> None:
        with store.step():
            store.put(small)
            with suppress(Unavailable) if error is None else nullcontext():
                store.put(too_large)
            # Whoever goes on after the error does not begin a step of his own by that.
            store.put(small)

    for error in (Unavailable, None):
        with pytest.raises(Unavailable):
            step_over(error)
        assert store.find(Kind.EVENT) == []
    with pytest.raises(Unavailable):
        store.put(too_large)
    store.put(small)
    assert store.find(Kind.EVENT) == [small]


def test_a_passphrase_that_is_no_text_is_malformed_and_not_told(
    store: SqliteStore, folder: Path, tmp_path: Path, random_bytes: Callable[[int], bytes]
) -> None:
    store.close()
    passphrase = "a secret \udc80"

    with pytest.raises(Malformed) as opening:
        SqliteStore.open(folder, passphrase)
    with pytest.raises(Malformed) as making:
        SqliteStore.create(tmp_path / "new", passphrase, random=random_bytes, cost=CHEAP)

    for error in (opening.value, making.value):
        assert error.__context__ is None
        assert "secret" not in str(error)
    assert not exists(tmp_path / "new")
    SqliteStore.open(folder, PASSPHRASE).close()


def test_a_locked_wallet_answers_nothing(store: SqliteStore) -> None:
    wallet = Wallet(store)
    wallet.lock()
    wallet.lock()

    with pytest.raises(Misuse, match="locked"):
        wallet.credentials()
    with pytest.raises(Misuse, match="locked"):
        wallet.secret("points")


def test_only_its_owner_can_read_the_files(store: SqliteStore, folder: Path) -> None:
    assert folder.stat().st_mode & 0o077 == 0
    for name in (DATABASE, HEADER):
        assert (folder / name).stat().st_mode & 0o077 == 0


def test_a_key_of_another_length_is_never_handed_to_the_cipher() -> None:
    for size in (0, 16, 31, 33, 48):
        with pytest.raises(Misuse):
            FileKey(bytearray(size))


def test_the_key_opens_what_its_passphrase_opens(store: SqliteStore, folder: Path) -> None:
    store.close()
    key = key_of(folder, PASSPHRASE)

    with patch.object(KeyRecipe, "key", side_effect=AssertionError("a derivation")):
        SqliteStore.open(folder, key).close()
        SqliteStore.open(folder, key).close()

    assert any(key.raw), "the key is the caller's"
    assert key_of(folder, PASSPHRASE) == key


def test_another_key_is_refused_by_name(store: SqliteStore, folder: Path) -> None:
    store.close()
    key = key_of(folder, PASSPHRASE)
    key.raw[31] ^= 1

    with pytest.raises(Refused) as refusal:
        SqliteStore.open(folder, key)
    assert refusal.value.codes == ["key-wrong"]

    with pytest.raises(Refused) as refusal:
        key_of(folder, "another passphrase")
    assert refusal.value.codes == ["passphrase-wrong"]
    with pytest.raises(Refused) as refusal:
        key_of(folder / "nowhere", PASSPHRASE)
    assert refusal.value.codes == ["wallet-missing"]


def test_what_is_kept_is_on_the_disk_and_what_is_forgotten_is_not(
    store: SqliteStore, folder: Path
) -> None:
    """A lost power supply cannot be had here; what SQLite then promises, it says itself."""
    wanted = {
        "synchronous": 2,
        "journal_mode": "wal",
        "temp_store": 2,
        "secure_delete": 1,
        "locking_mode": "exclusive",
        "cipher": "aegis",
    }
    assert {name: store.connection.pragma(name) for name in wanted} == wanted
    store.close()
    with closing(SqliteStore.open(folder, PASSPHRASE)) as again:
        assert {name: again.connection.pragma(name) for name in wanted} == wanted


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    """Give every buffer in which a key is made from now on."""
    made: list[bytearray] = []
    making = FileKey.__post_init__

    def remember(key: FileKey) -> None:
        making(key)
        made.append(key.raw)

    class Derivation:
        def __init__(
            self, *, salt: bytes, length: int, iterations: int, lanes: int, memory_cost: int
        ) -> None:
            self._inner = Argon2id(
                salt=salt,
                length=length,
                iterations=iterations,
                lanes=lanes,
                memory_cost=memory_cost,
            )

        def derive_into(self, secret: bytes, root: bytearray) -> None:
            self._inner.derive_into(secret, root)
            assert any(root)
            made.append(root)

    monkeypatch.setattr(FileKey, "__post_init__", remember)
    monkeypatch.setattr(passphrase, "Argon2id", Derivation)
    return made


def test_every_key_buffer_is_overwritten_whatever_it_was_made_for_and_however_that_ended(
    folder: Path,
    buffers: list[bytearray],
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sealed(recovery: PublicKey | None = None) -> bytes:
        return seal(
            b"all", passphrase=PASSPHRASE, recovery=recovery, random=random_bytes, cost=CHEAP
        )

    def failing(*_: object) -> bytes:
        raise ValueError("no")

    def fails(store: SqliteStore) -> None:
        raise Unavailable("expected room, found none")

    def made(count: int) -> None:
        """Require that so many were made, and that none of them holds a key any more."""
        assert [bytes(buffer) for buffer in buffers] == [bytes(32)] * count
        buffers.clear()

    SqliteStore.create(folder, PASSPHRASE, random=random_bytes, cost=CHEAP).close()
    made(2)
    SqliteStore.open(folder, PASSPHRASE).close()
    made(2)
    with pytest.raises(Refused):
        SqliteStore.open(folder, "another")
    made(1)
    with pytest.raises(Unavailable):
        SqliteStore.create(folder / "x", PASSPHRASE, random=random_bytes, cost=CHEAP, fill=fails)
    made(2)
    envelope = Envelope.parse(sealed())
    made(2)
    assert envelope.open(PASSPHRASE) == b"all"
    made(2)
    with pytest.raises(Refused):
        envelope.open("another")
    made(1)
    with pytest.raises(Malformed):
        replace(envelope, _sealed=bytes(40)).open(PASSPHRASE)
    made(2)
    salvage(folder, PASSPHRASE, folder.parent / "saved", random=random_bytes, cost=CHEAP)
    made(4)
    with pytest.raises(Refused):
        salvage(folder, PASSPHRASE, folder.parent / "saved", random=random_bytes, cost=CHEAP)
    made(2)
    monkeypatch.setattr(envelope_module, "aes_key_wrap", failing)
    with pytest.raises(ValueError, match="no"):
        sealed()
    made(2)


def test_a_key_that_was_forgotten_opens_nothing(store: SqliteStore, folder: Path) -> None:
    store.close()
    key = key_of(folder, PASSPHRASE)
    key.forget()
    assert key.raw == bytes(32)
    with pytest.raises(Refused):
        SqliteStore.open(folder, key)


def test_two_wallets_with_one_passphrase_have_two_keys() -> None:
    recipes = [KeyRecipe.fresh(PASSPHRASE, salt=bytes([i] * 16), cost=CHEAP) for i in (1, 2)]

    assert recipes[0][1].raw != recipes[1][1].raw
    assert recipes[0][0].check not in bytes(recipes[0][1].raw)


def test_the_default_cost_is_the_recommended_one() -> None:
    assert Cost() == Cost(memory_kib=65_536, iterations=3, lanes=4)


def test_a_module_apsw_without_a_cipher_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ModuleType("apsw")
    vars(plain).update(SQLITE_OPEN_READWRITE=2, SQLITE_OPEN_CREATE=4)
    monkeypatch.setitem(sys.modules, "apsw", plain)
    monkeypatch.delitem(sys.modules, "counterfoil_wallet.sqlite_store")

    with pytest.raises(Misuse, match="apsw-sqlite3mc"):
        Wallet.exists("anywhere")


def test_a_secret_is_made_once_and_kept(store: SqliteStore, folder: Path) -> None:
    secret = Wallet(store).secret("points")
    store.close()

    store = SqliteStore.open(folder, PASSPHRASE)
    assert Wallet(store).secret("points") == secret
    assert Wallet(store).secret("another") != secret
    assert len(secret) == 32
    store.close()


def read_all(folder: Path) -> list[Record]:
    store = SqliteStore.open(folder, PASSPHRASE)
    try:
        by_label = [record for kind in Kind for record in store.find(kind, ["canary-label"])]
        assert by_label == [record for kind in Kind for record in store.find(kind)]
        store.check()
        return by_label
    finally:
        store.close()
