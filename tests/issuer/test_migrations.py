"""Every schema that was released becomes today's, and goes back, with nothing lost."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.issuer_keys import parse_issuer_keys
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import read_status_list
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.records import TypeCounts
from counterfoil_issuer.sql_store import MIGRATIONS, SqlStore
from counterfoil_service import postgres_session, sql
from counterfoil_service.migrations import revision_of
from sqlalchemy import Connection, MetaData, Table, func, insert, inspect, select, text

from tests.conftest import Clock
from tests.issuer.brand import ORDERS, Customer, issuer_on

DATABASES = Path(__file__).parent / "databases"
REVISIONS = sorted(int(file.stem) for file in DATABASES.glob("*.sqlite3"))
# SQLAlchemy cannot describe an index of lower(...) on SQLite; `shape` asks for its name.
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
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
        for table in tables(left):
            for row in left.execute(select(table)).mappings():
                connection.execute(insert(table), dict(row))


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
        SqlStore(where)

    with changing(where) as connection:
        assert everything(connection) == before
        assert revision_of(connection) == "999"


def test_goes_back_to_nothing(where: Path | str) -> None:
    with changing(where) as connection:
        MIGRATIONS.move(connection, MIGRATIONS.head)
        MIGRATIONS.move(connection, "base")

        assert tables(connection) == []


def test_an_issuer_goes_on_with_what_its_first_schema_held(
    where: Path | str,
    tmp_path: Path,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> None:
    put("1", where, tmp_path)
    clock.advance(timedelta(minutes=10))
    store = SqlStore(where)
    # The key that signed what the database tells of.
    signer = MemorySigner.from_private_bytes(b"\x01".rjust(32, b"\0"))
    issuer = issuer_on(store, clock, random_bytes, signer=signer)

    summary = issuer.summary()
    assert (summary.orders, summary.offers_open, summary.status_indices_used) == (3, 1, 7)
    assert summary.credentials == {
        "receipt": TypeCounts(in_force=3),
        "warranty": TypeCounts(in_force=2, revoked=1, dropped=1),
    }
    assert statuses(issuer, clock(), range(64)) == {48: 1, 62: 1}

    # What a wallet has stored is not offered, nor is what was revoked.
    assert not issuer.offer("#1001").offers
    assert not issuer.offer("#1003").offers
    # What was sent and never acknowledged is, and takes the place of what was sent.
    customer = Customer(issuer, clock, MemorySigner.generate())
    offered = issuer.offer("#1002").offers
    assert [[d.type_name for d in offer.datasets] for offer in offered] == [
        ["receipt", "warranty"],
        ["warranty"],
    ]
    issued = [one for offer in offered for one in customer.accept(offer)]
    assert [customer.status(one) for one in issued] == [0, 0, 0]
    assert statuses(issuer, clock(), [13, 20, 45, 48, 50, 51, 62]) == {13: 1, 48: 1, 51: 1, 62: 1}
    summary = issuer.summary()
    assert (summary.status_indices_used, summary.datasets_issued_twice) == (10, 0)
    store.close()


def test_does_not_go_back_when_something_would_be_lost(
    where: Path | str, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    store = SqlStore(where)
    issuer = issuer_on(store, clock, random_bytes)
    issuer.import_orders(ORDERS)
    issuer.offer("#1001")
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


def statuses(issuer: Issuer, at: datetime, indices: Iterable[int]) -> dict[int, int]:
    """Give those entries of the first list that are not valid."""
    token = issuer.status_list(1)
    assert token is not None
    (key,) = parse_issuer_keys(issuer.keys_document(), issuer.url).values()
    url = f"{issuer.url}/status-lists/1"
    listed = read_status_list(token, url=url, issuer_key=key, now=at)
    return {index: listed.status_at(index) for index in indices if listed.status_at(index)}
