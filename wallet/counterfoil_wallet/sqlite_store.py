"""The wallet on disk: one folder, one encrypted SQLite file, one writer.

    wallet.json         the recipe from passphrase to key; nothing secret
    wallet.json.copy    the same once more, read where the first is lost or bent
    wallet.db           SQLite3 Multiple Ciphers, AEGIS: every page encrypted and authenticated
    wallet.lock         locked by whoever has the wallet open; free when the process has ended

The only module that loads apsw; the wallet's face loads it only when a wallet on
disk is made or opened. The package is `apsw-sqlite3mc`; it installs the module
`apsw`, which another package of that name may have taken: then importing this
module says so, rather than write in the clear.
"""

import errno
import hmac
import os
import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import apsw
from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)

from counterfoil_wallet.migrations import migrate
from counterfoil_wallet.passphrase import SALT_BYTES, Cost, FileKey, KeyRecipe, recipe_at
from counterfoil_wallet.schema import HEAD
from counterfoil_wallet.tables import Connection, Tables
from counterfoil_wallet.whole_files import read_whole, write_whole

HEADER: Final = "wallet.json"
DATABASE: Final = "wallet.db"
HEADER_COPY: Final = "wallet.json.copy"
LOCK: Final = "wallet.lock"
_HEADERS: Final = (HEADER, HEADER_COPY)
_FORMAT: Final = "counterfoil-wallet"
_VERSION: Final = 1
_CIPHER: Final = "aegis"
_MAX_HEADER_BYTES: Final = 4_096
# A page at hand is not decrypted again: what a list of thousands of cards reads.
_CACHE_KIB: Final = 32_768
_SIDE_FILES: Final = ("", "-wal", "-shm", "-journal")


if sys.platform == "win32":
    import msvcrt

    def _lock_whole(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock_whole(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock_whole(descriptor: int) -> None:
        # Not SQLite's kind of lock: that one ends when any descriptor of the file is closed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock_whole(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FolderLock:
    """A lock on one file of the folder, which ends with the process however it ends.

    Without `writing`, a disk that takes nothing is no obstacle: nobody else writes there.
    """

    def __init__(self, folder: Path, *, writing: bool = True) -> None:
        self._descriptor: int | None = None
        with telling(LOCK):
            try:
                descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as cause:
                if writing or cause.errno not in (errno.EROFS, errno.EACCES):
                    raise
                if not (folder / LOCK).exists():
                    return
                descriptor = os.open(folder / LOCK, os.O_RDONLY)
        try:
            _lock_whole(descriptor)
        except OSError as cause:
            os.close(descriptor)
            raise Unavailable("expected a free wallet, found it open in another program") from cause
        self._descriptor = descriptor
        self._process = os.getpid()

    def close(self) -> None:
        """Let go of it; twice is once."""
        if self._descriptor is not None:
            # A forked child has the same lock: it goes with its owner, and not with the child.
            if os.getpid() == self._process:
                _unlock_whole(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


class SqliteStore(Tables):
    """A wallet's store in an encrypted file. Made by `create` or `open`."""

    def __init__(self, connection: Connection, lock: FolderLock) -> None:
        """Take over an unlocked database and the folder's lock."""
        super().__init__(connection, telling)
        self._folder_lock = lock

    @classmethod
    def create(
        cls,
        folder: Path,
        passphrase: str,
        *,
        random: Callable[[int], bytes],
        cost: Cost | None = None,
        fill: Callable[["SqliteStore"], None] = lambda _: None,
    ) -> "SqliteStore":
        """Make a new wallet in `folder`, which is made too, with what `fill` puts into it.

        The header is written last and whole: a wallet is there when its header
        is, and then it is filled. Raises `Refused` with `wallet-exists` when one
        is there already, or with `not-a-folder`; `Unavailable` when the disk does
        not take it; `Malformed` for a path or passphrase that is none, or a
        foreign file under one of our names.
        """
        _require_path(folder)
        with telling():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FolderLock(folder)
        try:
            _require_none(folder)
            recipe, key = KeyRecipe.fresh(passphrase, salt=random(SALT_BYTES), cost=cost or Cost())
            try:
                with telling():
                    # What a killed `create` left has neither header and so no key: nothing to lose.
                    _discard(folder)
                    connection = connect(folder, key, new=True)
                header = _header(recipe, key)
            finally:
                key.forget()
            try:
                store = cls(connection, lock)
                with telling():
                    connection.execute(HEAD)
                fill(store)
                with telling():
                    _write_header(folder, header)
            except BaseException:
                connection.close()
                for name in _HEADERS:
                    (folder / name).unlink(missing_ok=True)
                _discard(folder)
                raise
        except BaseException:
            lock.close()
            raise
        return store

    @classmethod
    def open(cls, folder: Path, secret: str | FileKey) -> "SqliteStore":
        """Open the wallet in `folder`, with its passphrase or with the key derived from it.

        A file of an older version is migrated, and a header that is lost or bent is
        written anew from its copy. Raises `Refused` with `wallet-missing`, `passphrase-wrong` or
        `key-wrong`, `Unavailable` while another program has it open, and `Malformed`
        when both headers or the database are damaged, or of a newer version.
        """
        if not exists(folder):
            raise _missing()
        lock = FolderLock(folder)
        try:
            with _file_key(folder, secret) as (key, header):
                try:
                    connection = connect(folder, key)
                except Malformed:
                    # Another wallet's key finds what looks damaged.
                    if key is secret:
                        _require_its_key(folder, key)
                    raise
            try:
                with telling():
                    migrate(connection)
                if header == HEADER_COPY and isinstance(secret, str):
                    _mend_header(folder)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.close()
            raise
        return cls(connection, lock)

    @property
    def connection(self) -> Connection:
        """Give the open connection, for what is done to the file as a whole."""
        return self._open_connection()

    def close(self) -> None:
        """Let go of the file, its key and its lock."""
        super().close()
        self._folder_lock.close()


def change_version(folder: Path, passphrase: str, version: int) -> None:
    """Bring the wallet in `folder` to an older version of its file, for an older program.

    Nothing is lost, and `SqliteStore.open` brings it back. Raises as `open` does,
    and `Misuse` for a version that there never was.
    """
    with closing(SqliteStore.open(folder, passphrase)) as store, telling():
        migrate(store.connection, version)


def key_of(folder: Path, passphrase: str) -> FileKey:
    """Give the key of the wallet in `folder`, to open it without the passphrase next time.

    Whoever has it can read the wallet: it belongs into the keychain of the platform.
    Raises as `SqliteStore.open` does.
    """
    if not exists(folder):
        raise _missing()
    key, _ = _first_of(folder, lambda recipe, _: recipe.key(passphrase))
    return key


def exists(folder: Path) -> bool:
    """Say whether `folder` holds a wallet; `Unavailable` when it may not be looked into.

    One that has lost its header is a wallet, as long as the header's copy is there.
    """
    _require_path(folder)
    with telling():
        return (folder / HEADER).exists() or all(
            (folder / name).exists() for name in (HEADER_COPY, DATABASE)
        )


def _discard(folder: Path) -> None:
    for suffix in _SIDE_FILES:
        (folder / f"{DATABASE}{suffix}").unlink(missing_ok=True)


def _missing() -> Refused:
    return Refused(Reason("wallet-missing", "a wallet", "none", HEADER))


@contextmanager
def _file_key(folder: Path, secret: str | FileKey) -> Generator[tuple[FileKey, str], None, None]:
    """Give the key and which header led to it; one derived here is overwritten afterwards."""
    if isinstance(secret, FileKey):
        yield secret, HEADER
        return
    key, header = _first_of(folder, lambda recipe, _: recipe.key(secret))
    try:
        yield key, header
    finally:
        key.forget()


def _require_its_key(folder: Path, key: FileKey) -> None:
    def require(_: KeyRecipe, check: bytes | None) -> FileKey:
        # Wallets made before the check was kept have none.
        if check is not None and not hmac.compare_digest(key.check(), check):
            raise Refused(Reason("key-wrong", "this wallet's key", "another", "key"))
        return key

    _first_of(folder, require)


def _first_of(
    folder: Path, key_by: Callable[[KeyRecipe, bytes | None], FileKey]
) -> tuple[FileKey, str]:
    """Give the key by the header, or by its copy where that one is lost, bent or of another key."""
    errors: list[CounterfoilError] = []
    tried: list[tuple[KeyRecipe, bytes | None]] = []
    for name in _HEADERS:
        try:
            header = _read_header(folder, name)
            # The same once more would only cost the derivation once more.
            if header not in tried:
                tried.append(header)
                return key_by(*header), name
        except CounterfoilError as error:
            errors.append(error)
    # What an intact header says of the passphrase is more than that the other one is damaged.
    raise next((error for error in errors if isinstance(error, Refused)), errors[0])


def _require_path(folder: Path) -> None:
    # Checked once, here: otherwise each call below would fail in its own way.
    text = str(folder)
    if "\0" in text or text.encode("utf-8", "replace").decode("utf-8") != text:
        raise Malformed("a path of whole characters", "another text", "path")


def _connection(path: Path, flags: int) -> Connection:
    return cast("Connection", apsw.Connection(str(path), flags=flags))


def _require_none(folder: Path) -> None:
    if exists(folder):
        raise Refused(Reason("wallet-exists", "no wallet yet", "one", HEADER))


def _require_cipher() -> None:
    if not hasattr(apsw, "mc_version"):
        raise Misuse(
            "expected the module apsw from apsw-sqlite3mc (with a cipher), found another:"
            " pip uninstall apsw, then pip install --force-reinstall apsw-sqlite3mc"
        )


def connect(folder: Path, key: FileKey, *, new: bool = False, damaged: bool = False) -> Connection:
    """Give a connection to the database in `folder`, at whatever version it is.

    A `damaged` one may be shorter than its first page says.
    """
    path = folder / DATABASE
    if new:
        path.touch(mode=0o600)
    with telling():
        try:
            connection = _connection(path, apsw.SQLITE_OPEN_READWRITE)
        except apsw.CantOpenError:
            if path.is_file():
                raise
            raise Malformed("the wallet's database", "none", DATABASE) from None
    try:
        with telling():
            _unlock(connection, key, "PRAGMA writable_schema = on;" if damaged else "")
    except BaseException:
        connection.close()
        raise
    return connection


def _unlock(connection: Connection, key: FileKey, more: str) -> None:
    # The lock of this connection lasts as long as it does, so the index of the
    # WAL stays in memory: no shared-memory file. The text holds the key, so it
    # is not kept among the prepared statements.
    answers = connection.execute(
        f"PRAGMA cipher = {_CIPHER}; PRAGMA key = 'raw:{key.raw.hex()}'; {more}"
        " PRAGMA temp_store = memory; PRAGMA locking_mode = exclusive;"
        " PRAGMA journal_mode = wal; PRAGMA synchronous = full;"
        f" PRAGMA cache_size = -{_CACHE_KIB}",
        can_cache=False,
    ).fetchall()
    if answers[:1] != [(_CIPHER,)]:
        raise Misuse(f"expected the cipher {_CIPHER}, found another")


def _header(recipe: KeyRecipe, key: FileKey) -> JsonObject:
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "cipher": _CIPHER,
        "key": recipe.to_json(),
        "key_check": b64url(key.check()),
    }


def _write_header(folder: Path, header: JsonObject) -> None:
    # Twice, for without it the database is lost.
    for name in _HEADERS:
        write_whole(folder / name, compact_json(header) + b"\n")


def _mend_header(folder: Path) -> None:
    # Where that cannot be done, the copy opens the wallet next time too.
    with suppress(CounterfoilError):
        write_whole(folder / HEADER, read_whole(folder / HEADER_COPY, _MAX_HEADER_BYTES))


def _read_header(folder: Path, name: str) -> tuple[KeyRecipe, bytes | None]:
    with telling(name), (folder / name).open("rb") as file:
        data = file.read(_MAX_HEADER_BYTES + 1)
    header = parse_object(data, HEADER, max_bytes=_MAX_HEADER_BYTES, max_depth=3)
    if text_at(header, "format", HEADER) != _FORMAT or text_at(header, "cipher", HEADER) != _CIPHER:
        raise Malformed(f"a {_FORMAT} under {_CIPHER}", "another format", HEADER)
    if int_at(header, "version", HEADER) != _VERSION:
        raise Malformed(f"version {_VERSION}", "another", f"{HEADER}.version")
    check = optional_text_at(header, "key_check", HEADER)
    return (
        recipe_at(header, "key", HEADER),
        None if check is None else from_b64url(check, f"{HEADER}.key_check"),
    )


@contextmanager
def telling(name: str = DATABASE) -> Generator[None, None, None]:
    """Say what went wrong with the wallet's files in our own words."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as cause:
        raise Malformed("an intact wallet file", "a damaged one", name) from cause
    except apsw.BusyError as cause:
        raise Unavailable("expected a free wallet, found it open in another program") from cause
    except IsADirectoryError as cause:
        raise Malformed("a file of the wallet", "a folder in its place", name) from cause
    except (FileExistsError, NotADirectoryError) as cause:
        raise Refused(Reason("not-a-folder", "a folder", "a file in its place", "path")) from cause
    except (
        OSError,
        apsw.CantOpenError,
        apsw.FullError,
        apsw.IOError,
        apsw.PermissionsError,
        apsw.ReadOnlyError,
    ) as cause:
        found = type(cause).__name__
        raise Unavailable(f"expected the disk to serve {name}, found {found}") from cause


_require_cipher()
