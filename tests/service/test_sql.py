"""The database that every service stands on."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse, Unavailable
from counterfoil_service.sql import open_database, reading, transaction
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

METADATA = MetaData()
CODES = Table(
    "codes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("state", String, nullable=False),
)
USES = Table(
    "uses",
    METADATA,
    Column("code", Integer, ForeignKey("codes.id"), nullable=False),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "codes.sqlite3"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_database(path, METADATA)
    yield engine
    engine.dispose()


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalars(select(func.count()).select_from(CODES)).one()


def test_keeps_what_a_finished_transaction_wrote(path: Path, engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(insert(CODES).values(id=1, state="open"))
    engine.dispose()

    again = open_database(path, METADATA)

    assert count(again) == 1
    again.dispose()


def test_keeps_nothing_of_a_transaction_that_failed_at_its_end(engine: Engine) -> None:
    def write_and_fail() -> None:
        with transaction(engine) as connection:
            connection.execute(insert(CODES).values(id=1, state="open"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()

    assert count(engine) == 0


def test_writes_through_to_the_disk_in_write_ahead_mode(engine: Engine) -> None:
    with reading(engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }

    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
    }


def test_keeps_its_files_from_other_users(path: Path, engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(insert(CODES).values(id=1, state="open"))

    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}

    assert modes == {
        "codes.sqlite3": "0o600",
        "codes.sqlite3-shm": "0o600",
        "codes.sqlite3-wal": "0o600",
    }


def test_narrows_a_file_that_others_could_read(path: Path, engine: Engine) -> None:
    engine.dispose()
    path.chmod(0o644)

    open_database(path, METADATA).dispose()

    assert path.stat().st_mode & 0o777 == 0o600


def test_refuses_a_row_that_points_to_nothing(engine: Engine) -> None:
    with pytest.raises(IntegrityError), transaction(engine) as connection:
        connection.execute(insert(USES).values(code=7))


def test_refuses_a_write_through_a_reading_connection(engine: Engine) -> None:
    with pytest.raises(OperationalError), reading(engine) as connection:
        connection.execute(insert(CODES).values(id=1, state="open"))

    with transaction(engine) as connection:
        connection.execute(insert(CODES).values(id=1, state="open"))
    assert count(engine) == 1


def test_lets_a_reader_see_one_moment_while_a_writer_works(engine: Engine) -> None:
    with reading(engine) as reader:
        before = reader.scalars(select(func.count()).select_from(CODES)).one()
        with transaction(engine) as writer:
            writer.execute(insert(CODES).values(id=1, state="open"))
        after = reader.scalars(select(func.count()).select_from(CODES)).one()

    assert (before, after, count(engine)) == (0, 0, 1)


def test_takes_a_one_time_code_once_among_eight_threads(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(insert(CODES).values(id=1, state="open"))
    start = threading.Barrier(8)
    taken: list[int] = []

    def take() -> None:
        start.wait()
        with transaction(engine) as connection:
            is_open = (CODES.c.id == 1) & (CODES.c.state == "open")
            taken.append(
                connection.execute(update(CODES).where(is_open).values(state="taken")).rowcount
            )

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == [0] * 7 + [1]


def test_writes_on_what_it_read_while_others_write(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(insert(CODES).values(id=1, state="0"))
    start = threading.Barrier(4)

    def count_up() -> None:
        start.wait()
        for _ in range(10):
            with transaction(engine) as connection:
                read = int(connection.scalars(select(CODES.c.state)).one())
                connection.execute(update(CODES).values(state=str(read + 1)))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with reading(engine) as connection:
        assert connection.scalars(select(CODES.c.state)).one() == "40"


def test_says_unavailable_when_another_process_holds_the_lock(
    path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil_service.sql.BUSY_TIMEOUT_MS", 50)
    impatient = open_database(path, METADATA)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable), transaction(impatient):
        pass

    holder.execute("ROLLBACK")
    with transaction(impatient) as connection:
        connection.execute(insert(CODES).values(id=1, state="open"))
    holder.close()
    impatient.dispose()


def test_does_not_call_our_own_bad_statement_unavailable(engine: Engine) -> None:
    with pytest.raises(OperationalError), transaction(engine) as connection:
        connection.exec_driver_sql("SELECT * FROM no_such_table")


def test_leaves_a_database_of_another_schema_version_untouched(path: Path, engine: Engine) -> None:
    engine.dispose()
    newer = MetaData()
    Table("more", newer, Column("id", Integer, primary_key=True))

    with pytest.raises(Misuse, match="expected schema version 2, found 1"):
        open_database(path, newer, version=2)

    with sqlite3.connect(path) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "more" not in tables


def test_keeps_every_reported_write_of_a_process_that_is_killed(path: Path) -> None:
    writer = textwrap.dedent(
        f"""
        from pathlib import Path
        from sqlalchemy import Column, Integer, MetaData, String, Table, insert
        from counterfoil_service.sql import open_database, transaction

        metadata = MetaData()
        codes = Table("codes", metadata, Column("id", Integer, primary_key=True),
                      Column("state", String, nullable=False))
        engine = open_database(Path({str(path)!r}), metadata)
        number = 0
        while True:
            number += 1
            with transaction(engine) as connection:
                connection.execute(insert(codes).values(id=number, state="open"))
            print(number, flush=True)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", writer], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()

    reported = [int(line) for line in lines if line.endswith("\n")]
    engine = open_database(path, METADATA)
    kept = count(engine)
    engine.dispose()
    assert kept in {len(reported), len(reported) + 1}
