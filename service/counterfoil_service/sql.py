"""The database of a service: a SQLite file with no set-up, or PostgreSQL through a URL.

    database = Database.open(data / "issuer.sqlite3", METADATA)
    with database.transaction() as connection:
        if connection.change(TAKE, hash=digest) != 1:
            raise Refused(...)
    with database.reading() as connection:
        order = connection.row(ORDER, number="#1001")
    token = await database.write(lambda connection: redeem(connection, form))

There is one writer at a time (`BEGIN IMMEDIATE`, or one advisory lock on
PostgreSQL), so what a transaction read is still true when it writes. A
transaction that returns has reached the disk (`synchronous=FULL`): a one-time code
that was taken stays taken after `kill -9`. `write` shares one commit among all who
wait for one (`group_commit.py`); statements are `statements.py`'s.

`open_database`, `transaction` and `reading` are the same over a SQLAlchemy engine,
for stores that no wallet waits for; they know SQLite alone.
"""

import sqlite3
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from counterfoil_credentials.errors import Misuse, Unavailable
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy import (
    Connection as EngineConnection,
)
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from counterfoil_service.group_commit import GroupCommit
from counterfoil_service.migrations import Migrations
from counterfoil_service.sessions import Session
from counterfoil_service.sqlite_session import (
    BUSY_TIMEOUT_MS,
    PRAGMAS,
    SqliteSession,
    is_of_the_moment,
    own_file,
    prepare,
)
from counterfoil_service.statements import Connection

T = TypeVar("T")

_READ_ONLY: Final = "counterfoil_read_only"
_IDLE: Final = 4
_MOST: Final = 16
_FREE_WITHIN_S: Final = 30.0

_HOUSE = MetaData()
_SCHEMA_VERSION = Table("schema_version", _HOUSE, Column("version", Integer, nullable=False))


class Database:
    """A database whose changes all happen, on disk, or none does."""

    def __init__(self, connect: Callable[[bool], Session]) -> None:
        self._connect = connect
        self._group = GroupCommit(lambda: connect(False))  # noqa: FBT003  # as its type says
        self._idle: dict[bool, list[Session]] = {False: [], True: []}
        # Readers have places of their own: they never wait for those who wait for the lock.
        self._free = {read_only: threading.BoundedSemaphore(_MOST) for read_only in (False, True)}
        self._lock = threading.Lock()
        self._closed = False
        self._commits = 0

    @property
    def commits(self) -> int:
        """How many transactions of this process have ended well: unchanged, so is what it wrote."""
        return self._commits + self._group.commits

    @classmethod
    def open(
        cls,
        where: Path | str,
        schema: MetaData | Migrations,
        *,
        version: int = 1,
        renew: Callable[[EngineConnection], None] | None = None,
    ) -> "Database":
        """Open the SQLite file at `where` or the database at a `postgresql://` URL.

        `schema` brings the tables: `Migrations` to their latest revision, a
        `MetaData` where they are missing, and then `version` is what the caller's
        code knows. What an earlier version of it left is `renew`'s to change, first and
        in the same transaction. Raises `Misuse` for a database that our code is too old for,
        `Unavailable` when the disk, the server or another process does not let us in.
        """
        if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
            # psycopg is needed only by those who have a server.
            from counterfoil_service import postgres_session  # noqa: PLC0415

            url, connect = where, postgres_session.PostgresSession
            with postgres_session.changing_schema(url) as connection:
                _bring(connection, schema, version, renew, "PostgreSQL")
            return cls(lambda read_only: connect(url, read_only=read_only))
        if isinstance(where, str) and "://" in where:
            raise Misuse("expected a path or a postgresql:// URL, found another URL")
        path = Path(where)
        with changing_schema(path) as connection:
            _bring(connection, schema, version, renew, path.name)
        return cls(lambda read_only: SqliteSession(path, read_only=read_only))

    @contextmanager
    def transaction(self) -> Generator[Connection, None, None]:
        """Give a connection whose changes all happen when the block ends well, or none does.

        Keep network calls outside: every other writer waits. Raises `Unavailable`
        when the lock or the disk cannot be had.
        """
        with self._session(read_only=False) as session:
            yield session
        with self._lock:
            self._commits += 1

    @contextmanager
    def reading(self) -> Generator[Connection, None, None]:
        """Give a connection that sees one moment of the database and makes no writer wait.

        A write through it is `Misuse`.
        """
        with self._session(read_only=True) as session:
            yield session

    def write(self, work: Callable[[Connection], T]) -> Coroutine[None, None, T]:
        """Run `work` with others in one transaction and give its answer after the commit.

        `work` decides and writes, in the loop or in another thread and perhaps twice, and
        waits for nothing. What it raises is raised here, and nothing that it wrote
        remains. Raises `Unavailable` when the commit could not be had (ask again: it may
        have happened) or too many writes wait.
        """
        return self._group.write(work)

    @property
    def waiting(self) -> int:
        """How many writes wait for their commit to begin."""
        return self._group.waiting

    def close(self) -> None:
        """Finish the writes that wait and close all connections."""
        self._group.close()
        with self._lock:
            self._closed = True
            idle = [session for sessions in self._idle.values() for session in sessions]
            self._idle = {False: [], True: []}
        for session in idle:
            session.close()

    @contextmanager
    def _session(self, *, read_only: bool) -> Generator[Session, None, None]:
        if self._group.is_here:
            raise Misuse("expected a work to use its own connection, found it open another")
        # A server has a hundred places, and other workers want some: more threads wait.
        free = self._free[read_only]
        if not free.acquire(timeout=_FREE_WITHIN_S):
            raise Unavailable(f"expected one of {_MOST} connections to be free, found none")
        try:
            session = self._idle_or_new(read_only=read_only)
            try:
                session.begin()
                try:
                    yield session
                    session.commit()
                except BaseException:
                    session.roll_back()
                    raise
            finally:
                self._give_back(session, read_only=read_only)
        finally:
            free.release()

    def _idle_or_new(self, *, read_only: bool) -> Session:
        with self._lock:
            idle = self._idle[read_only]
            session = idle.pop() if idle else None
        if session is not None and not session.usable:
            session.close()
            session = None
        return session or self._connect(read_only)

    def _give_back(self, session: Session, *, read_only: bool) -> None:
        with self._lock:
            if session.usable and not self._closed and len(self._idle[read_only]) < _IDLE:
                self._idle[read_only].append(session)
                return
        session.close()


def open_database(path: Path, metadata: MetaData, *, version: int = 1) -> Engine:
    """Give the engine over the SQLite file at `path`, created with its tables when missing.

    The file is readable by its owner alone. `version` is the schema that the
    caller's code knows; it is written once, and a file of another version is
    left untouched.

    Raises `Misuse` for a file of another schema version, `Unavailable` when the
    disk or another process does not let us in.
    """
    with changing_schema(path) as connection:
        _make(connection, metadata, version, path.name)
    return _engine(path)


@contextmanager
def changing_schema(path: Path) -> Generator[EngineConnection, None, None]:
    """Give a connection that may rebuild tables, in one transaction, while nobody else writes.

    A file that is missing is made. Whether rows point to rows that are there is the
    caller's to check: a table that is rebuilt is gone for a moment.
    """
    own_file(path)
    engine = _engine(path, foreign_keys=False)
    try:
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def transaction(engine: Engine) -> Generator[EngineConnection, None, None]:
    """Give a connection whose changes all happen, on disk, or none does.

    The write lock is taken at the start (`BEGIN IMMEDIATE`), so what was read
    inside is still true when it is written. Keep network calls outside: every
    other writer waits.

    Raises `Unavailable` when the lock or the disk cannot be had.
    """
    with _naming_trouble(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Generator[EngineConnection, None, None]:
    """Give a connection that sees one moment of the database and makes no writer wait.

    A write through it is refused by SQLite.
    """
    readers = engine.execution_options(**{_READ_ONLY: True})
    with _naming_trouble(), readers.connect() as connection:
        yield connection


def _bring(
    connection: EngineConnection,
    schema: MetaData | Migrations,
    version: int,
    renew: Callable[[EngineConnection], None] | None,
    where: str,
) -> None:
    if renew is not None:
        renew(connection)
    if isinstance(schema, Migrations):
        schema.upgrade(connection)
    else:
        _make(connection, schema, version, where)


def _make(connection: EngineConnection, metadata: MetaData, version: int, where: str) -> None:
    _HOUSE.create_all(connection)
    found = connection.scalar(select(_SCHEMA_VERSION.c.version))
    if found is None:
        connection.execute(insert(_SCHEMA_VERSION).values(version=version))
    elif found != version:
        raise Misuse(f"expected schema version {version}, found {found} ({where})")
    metadata.create_all(connection)


def _engine(path: Path, *, foreign_keys: bool = True) -> Engine:
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(path)))

    def prepare_new(raw: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # Both events are SQLAlchemy's documented recipe: sqlite3 begins nothing on
        # its own, so that `_begin` decides which lock a transaction starts with.
        raw.isolation_level = None
        cursor = raw.cursor()
        prepare(cursor.execute, (f"busy_timeout = {BUSY_TIMEOUT_MS}", *PRAGMAS))
        if not foreign_keys:
            cursor.execute("PRAGMA foreign_keys = OFF")
        cursor.close()

    event.listen(engine, "connect", prepare_new)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: EngineConnection) -> None:
    read_only = bool(connection.get_execution_options().get(_READ_ONLY, False))
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def _naming_trouble() -> Generator[None, None, None]:
    try:
        yield
    except OperationalError as error:
        if not (isinstance(error.orig, sqlite3.Error) and is_of_the_moment(error.orig)):
            raise
        text = f"expected the database to take part, found {error.orig}"
        raise Unavailable(text) from error
