"""A session on a SQLite file: write-ahead log, every commit on the disk, one writer at a time."""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from counterfoil_credentials.errors import Malformed, Misuse, Unavailable
from sqlalchemy.dialects import sqlite

from counterfoil_service.sessions import Session
from counterfoil_service.statements import Compiled, Row, Value, named_row

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a writer waits for the one before it."""

PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    # 16 MiB: a page that many groups change goes home once for all of them.
    "wal_autocheckpoint = 4000",
    "foreign_keys = ON",
    # Deleted personal data is overwritten, not only unlinked.
    "secure_delete = ON",
)
_READS: Final = ("query_only = ON",)
# There is one writer, and what it looks up lies anywhere: 64 MiB of it stay at hand.
_WRITES: Final = ("query_only = OFF", "cache_size = -65536")

_DIALECT: Final = sqlite.dialect(paramstyle="qmark")
_TROUBLE_OF_THE_MOMENT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def own_file(path: Path) -> None:
    """Make the database's file when it is missing; nobody but its owner may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database beside them. A
    # file that came from a backup with a wider mode is narrowed before it is used.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def prepare(execute: Callable[[str], object], pragmas: Sequence[str]) -> None:
    """Set up a connection, by what runs a statement on it.

    Of two that give a new file its log at once, SQLite turns one away without the
    timeout's patience, so the patience is ours.
    """
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    for pragma in pragmas:
        while True:
            try:
                execute(f"PRAGMA {pragma}")
                break
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(0.01)


def is_of_the_moment(error: sqlite3.Error) -> bool:
    """Say whether another attempt, later, may do better."""
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the family; the rest says which kind of it.
    return code is not None and code & 0xFF in _TROUBLE_OF_THE_MOMENT


class SqliteSession(Session):
    """A session on the file at `path`. One that is `read_only` sees one moment of it."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        super().__init__(_DIALECT, beginning=["BEGIN" if read_only else "BEGIN IMMEDIATE"])
        try:
            self._raw = sqlite3.connect(
                path,
                timeout=BUSY_TIMEOUT_MS / 1000,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )
        except sqlite3.Error as error:
            raise self._named(error) from error
        try:
            prepare(self._raw.execute, (*PRAGMAS, *(_READS if read_only else _WRITES)))
        except sqlite3.Error as error:
            self._raw.close()
            raise self._named(error) from error

    @property
    def is_remote(self) -> bool:
        return False

    @property
    def usable(self) -> bool:
        return not self._raw.in_transaction

    def close(self) -> None:
        self._raw.close()

    @property
    def _in_transaction(self) -> bool:
        # A full disk or a failed read makes SQLite roll back on its own.
        return self._raw.in_transaction

    def _control(self, command: str) -> None:
        self._raw.execute(command)

    def _rows(self, compiled: Compiled, values: tuple[Value, ...]) -> list[Row]:
        cursor = self._run(compiled, values)
        return [*map(compiled.decode or _decoder(compiled, cursor), cursor)]

    def _change(self, compiled: Compiled, values: tuple[Value, ...]) -> int:
        return self._run(compiled, values).rowcount

    def _add(self, compiled: Compiled, values: tuple[Value, ...]) -> None:
        self._run(compiled, values)

    def _run(self, compiled: Compiled, values: tuple[Value, ...]) -> sqlite3.Cursor:
        for command in self._ahead():
            self._raw.execute(command)
        return self._raw.execute(compiled.sql, values)

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, (UnicodeEncodeError, OverflowError)):
            found = "a surrogate or a number beyond 64 bits"
            return Malformed("text and whole numbers", found, "a value for the database")
        if not isinstance(error, sqlite3.Error):
            return error
        if is_of_the_moment(error):
            return Unavailable(f"expected the database to take part, found {error}")
        # SQLite's texts name tables and columns, never a value.
        return Misuse(f"expected a statement that fits the schema, found {error}")


def _decoder(compiled: Compiled, cursor: sqlite3.Cursor) -> Callable[[Sequence[Any]], Row]:
    compiled.decode = named_row([column[0] for column in cursor.description])
    return compiled.decode
