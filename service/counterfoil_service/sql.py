"""SQLite the way every service uses it: durable, one writer at a time, nothing left half done.

    engine = open_database(Path("issuer.sqlite3"), METADATA)
    with transaction(engine) as connection:
        is_open = (CODES.c.hash == digest) & (CODES.c.state == "open")
        taken = connection.execute(update(CODES).where(is_open).values(state="taken"))
        if taken.rowcount != 1:
            raise Refused(...)

A transaction that returns has reached the disk (`synchronous=FULL`): a one-time
code that was taken stays taken after `kill -9`.
"""

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Misuse, Unavailable
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a writer waits for the one before it."""

_READ_ONLY: Final = "counterfoil_read_only"
_TROUBLE_OF_THE_MOMENT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)

_HOUSE = MetaData()
_SCHEMA_VERSION = Table("schema_version", _HOUSE, Column("version", Integer, nullable=False))


def open_database(path: Path, metadata: MetaData, *, version: int = 1) -> Engine:
    """Give the engine over the SQLite file at `path`, created with its tables when missing.

    The file is readable by its owner alone. `version` is the schema that the
    caller's code knows; it is written once, and a file of another version is
    left untouched.

    Raises `Misuse` for a file of another schema version, `Unavailable` when the
    disk or another process does not let us in.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database beside them. A
    # file that came from a backup with a wider mode is narrowed before it is used.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(path)))
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    try:
        with transaction(engine) as connection:
            _require_version(connection, version, path)
            metadata.create_all(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def transaction(engine: Engine) -> Generator[Connection, None, None]:
    """Give a connection whose changes all happen, on disk, or none does.

    The write lock is taken at the start (`BEGIN IMMEDIATE`), so what was read
    inside is still true when it is written. Keep network calls outside: every
    other writer waits.

    Raises `Unavailable` when the lock or the disk cannot be had.
    """
    with _naming_trouble(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Generator[Connection, None, None]:
    """Give a connection that sees one moment of the database and makes no writer wait.

    A write through it is refused by SQLite.
    """
    readers = engine.execution_options(**{_READ_ONLY: True})
    with _naming_trouble(), readers.connect() as connection:
        yield connection


def _require_version(connection: Connection, version: int, path: Path) -> None:
    _HOUSE.create_all(connection)
    found = connection.scalar(select(_SCHEMA_VERSION.c.version))
    if found is None:
        connection.execute(insert(_SCHEMA_VERSION).values(version=version))
    elif found != version:
        text = f"expected schema version {version}, found {found} ({path.name})"
        raise Misuse(text)


def _prepare(raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Both events are SQLAlchemy's documented recipe: sqlite3 begins nothing on
    # its own, so that `_begin` decides which lock a transaction starts with.
    raw.isolation_level = None
    cursor = raw.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        # Deleted personal data is overwritten, not only unlinked.
        "secure_delete = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    read_only = bool(connection.get_execution_options().get(_READ_ONLY, False))
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def _naming_trouble() -> Generator[None, None, None]:
    try:
        yield
    except OperationalError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        # The low byte is the family; the rest says which kind of it.
        if code is None or code & 0xFF not in _TROUBLE_OF_THE_MOMENT:
            raise
        text = f"expected the database to take part, found {error.orig}"
        raise Unavailable(text) from error
