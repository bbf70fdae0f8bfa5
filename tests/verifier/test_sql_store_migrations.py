"""Every schema that was released becomes today's, and goes back, with nothing lost."""

import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_service import postgres_session, sql
from counterfoil_service.migrations import revision_of
from counterfoil_verifier import Answered, Outcome, SessionId, Summary, Verdict
from counterfoil_verifier.sql_store import MIGRATIONS, SqlNames, SqlSessionStore
from sqlalchemy import Connection, MetaData, Table, func, insert, inspect, select, text

from tests.verifier.make_database import session
from tests.verifier.scene import NOON

DATABASES = Path(__file__).parent / "databases"
REVISIONS = sorted(int(file.stem) for file in DATABASES.glob("*.sqlite3"))
BOOKKEEPING = {"alembic_version", "schema_version"}


def changing(where: Path | str) -> AbstractContextManager[Connection]:
    if isinstance(where, Path):
        return sql.changing_schema(where)
    return postgres_session.changing_schema(where)


def tables(connection: Connection) -> list[Table]:
    """Give the tables, those that others point to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in BOOKKEEPING]


def counts(connection: Connection) -> dict[str, int]:
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in tables(connection)
    }


def everything(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    return {
        table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
        for table in tables(connection)
    }


def shape(connection: Connection) -> Mapping[str, object]:
    """Tell everything about the tables that matters to a statement."""
    found = inspect(connection)
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
    if connection.dialect.name == "sqlite":
        indexes = "SELECT name FROM sqlite_master WHERE type = 'index'"
    names = [name for name in connection.scalars(text(indexes)) if "alembic" not in name]
    described: dict[str, object] = {"names of indexes": sorted(names)}
    for name in found.get_table_names():
        if name in BOOKKEEPING:
            continue
        described[name] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(name)
            },
            "key": found.get_pk_constraint(name)["constrained_columns"],
            "pointers": sorted(
                (key["constrained_columns"], key["referred_table"], key["referred_columns"])
                for key in found.get_foreign_keys(name)
            ),
            "unique": sorted(
                unique["column_names"] for unique in found.get_unique_constraints(name)
            ),
            "indexes": {
                index["name"]: (
                    index["column_names"],
                    index["unique"],
                    {key: str(value) for key, value in index.get("dialect_options", {}).items()},
                )
                for index in found.get_indexes(name)
            },
        }
    return described


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old(revision: str, where: Path | str, tmp_path: Path) -> Path | str:
    """Give the place of a database as that revision's code left it."""
    put(revision, where, tmp_path)
    return where


def put(revision: str, where: Path | str, folder: Path) -> None:
    copy = Path(shutil.copy(DATABASES / f"{revision}.sqlite3", folder / "copy.sqlite3"))
    if isinstance(where, Path):
        where.parent.mkdir()
        copy.rename(where)
        return
    with changing(copy) as left, changing(where) as connection:
        MIGRATIONS.move(connection, revision)
        # As wide as the columns are there: SQLite's whole numbers have no width.
        made = {table.name: table for table in tables(connection)}
        for table in tables(left):
            for row in left.execute(select(table)).mappings():
                connection.execute(insert(made[table.name]), dict(row))


def test_each_revision_has_its_database() -> None:
    assert [int(MIGRATIONS.head), *REVISIONS] == [REVISIONS[-1], *range(1, len(REVISIONS) + 1)]


def test_goes_up_to_today_and_back_with_nothing_lost(old: Path | str, revision: str) -> None:
    with changing(old) as connection:
        before, rows = counts(connection), everything(connection)
        MIGRATIONS.upgrade(connection)
        assert revision_of(connection) == MIGRATIONS.head
    with changing(old) as connection:
        MIGRATIONS.move(connection, revision)

        assert counts(connection) == before
        assert everything(connection) == rows
    assert sum(before.values()) > 20


def test_the_revisions_lead_to_the_tables_of_the_code(old: Path | str) -> None:
    with changing(old) as connection:
        MIGRATIONS.upgrade(connection)
        moved = shape(connection)
        everything = MetaData()
        everything.reflect(connection)
        everything.drop_all(connection)
        MIGRATIONS.upgrade(connection)

        assert shape(connection) == moved


def test_leaves_a_database_of_a_later_revision_untouched(where: Path | str) -> None:
    with changing(where) as connection:
        MIGRATIONS.upgrade(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '999'"))
        before = everything(connection)

    with pytest.raises(Misuse, match="expected a schema revision up to"):
        SqlSessionStore(where)

    with changing(where) as connection:
        assert everything(connection) == before
        assert revision_of(connection) == "999"


def test_goes_back_to_nothing(where: Path | str) -> None:
    with changing(where) as connection:
        MIGRATIONS.move(connection, MIGRATIONS.head)
        MIGRATIONS.move(connection, "base")

        assert tables(connection) == []


def test_a_counter_goes_on_with_what_its_first_schema_held(
    where: Path | str, tmp_path: Path
) -> None:
    put("1", where, tmp_path)
    with changing(where) as connection:
        sessions = connection.execute(text("SELECT * FROM sessions ORDER BY asked_at_us")).all()
    store = SqlSessionStore(where)

    assert store.summary(NOON + timedelta(minutes=33)) == Summary(verdicts=20, waiting=1)
    asked, (first, second, *_) = sessions[-1], sessions
    waiting = store.by_request(asked.request_id)
    assert waiting is not None
    assert waiting.session_id == asked.session_id
    verdict = Verdict(
        outcome=Outcome.REFUSED,
        codes=("revoked",),
        checked_at=NOON + timedelta(minutes=1, seconds=9, microseconds=1),
        status_as_of=None,
        took_ms=1,
    )
    assert store.by_session(second.session_id) == Answered(
        session_id=second.session_id, preset="warranty", verdict=verdict, later_answers=1
    )
    assert not store.answer(first.session_id, verdict)
    late = Verdict(
        outcome=Outcome.ACCEPTED,
        codes=(),
        checked_at=NOON + timedelta(minutes=33),
        status_as_of=None,
        took_ms=1,
    )
    assert store.answer(asked.session_id, late)
    store.close()


@pytest.mark.parametrize("workers", [2, 8])
def test_workers_that_start_at_once_on_an_empty_server_make_one_schema(
    postgres_url: str, workers: int
) -> None:
    start = threading.Barrier(workers)

    def begin(number: int) -> None:
        start.wait()
        store = SqlSessionStore(postgres_url)
        store.add(session(random.Random(number).randbytes, NOON))
        store.close()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(begin, range(workers)))

    with changing(postgres_url) as connection:
        assert revision_of(connection) == MIGRATIONS.head
        assert counts(connection)["sessions"] == workers


def test_workers_that_start_at_once_bring_an_old_schema_up_once(
    postgres_url: str, tmp_path: Path
) -> None:
    put("1", postgres_url, tmp_path)
    with changing(postgres_url) as connection:
        before = counts(connection)["sessions"]

    # alembic keeps what it works on in its module, so each worker is a process.
    program = "import sys; from counterfoil_verifier.sql_store import SqlSessionStore as S; S("
    started = [
        subprocess.Popen([sys.executable, "-c", f"{program}sys.argv[1])", postgres_url])
        for _ in range(2)
    ]
    assert [one.wait(timeout=60) for one in started] == [0, 0]

    with changing(postgres_url) as connection:
        assert revision_of(connection) == MIGRATIONS.head
        assert counts(connection)["sessions"] == before


@pytest.mark.parametrize("new", ["a verdict", "a name", "a key"])
def test_does_not_go_back_when_something_would_be_lost(where: Path | str, new: str) -> None:
    store = SqlSessionStore(where)
    if new == "a name":
        assert SqlNames(store.database).take("nonce", ends_at=NOON)
    elif new == "a key":
        store.add(replace(session(random.Random(1).randbytes, NOON), response_key="sealed"))
    else:
        verdict = Verdict(
            outcome=Outcome.ACCEPTED,
            kind="holder-shown",
            codes=(),
            checked_at=NOON,
            status_as_of=None,
            took_ms=1,
        )
        assert store.keep(
            Answered(
                session_id=SessionId("shown"), preset="warranty", verdict=verdict, later_answers=0
            )
        )
    store.close()
    with changing(where) as connection:
        before = everything(connection)

    with (
        pytest.raises(Misuse, match="expected only what revision 1 can hold, found 1 rows more"),
        changing(where) as connection,
    ):
        MIGRATIONS.move(connection, "1")

    with changing(where) as connection:
        assert everything(connection) == before
        assert revision_of(connection) == MIGRATIONS.head
