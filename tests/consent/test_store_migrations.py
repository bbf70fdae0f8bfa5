"""Every schema that was released becomes today's, and goes back, with nothing lost."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from counterfoil_consent import Trigger, sql_custodian_store, sql_receiver_store
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.states import name_of
from counterfoil_consent.store import Ended, Kept, Reserved
from counterfoil_consent.wire import Digest, GrantId, seconds
from counterfoil_credentials.encoding import Json, from_b64url, parse_object
from counterfoil_credentials.errors import Misuse
from counterfoil_service.migrations import Migrations, revision_of
from sqlalchemy import Connection, MetaData, insert, select, text

from tests.conftest import NOON
from tests.consent.street import Street
from tests.verifier.test_sql_store_migrations import changing, counts, shape, tables

DATABASES = Path(__file__).parent / "databases"


@dataclass(frozen=True)
class Kind:
    """One of the two databases."""

    name: str
    migrations: Migrations
    open: Callable[[Path | str], SqlCustodianStore | SqlReceiverStore]

    def revisions(self) -> list[str]:
        return sorted(
            path.stem.removeprefix(f"{self.name}_") for path in DATABASES.glob(f"{self.name}_*")
        )

    def file(self, revision: str) -> Path:
        return DATABASES / f"{self.name}_{revision}.sqlite3"


CUSTODIAN = Kind("custodian", sql_custodian_store.MIGRATIONS, SqlCustodianStore)
RECEIVER = Kind("receiver", sql_receiver_store.MIGRATIONS, SqlReceiverStore)
KINDS = (CUSTODIAN, RECEIVER)
OLD = [(kind, revision) for kind in KINDS for revision in kind.revisions()]
by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
by_revision = pytest.mark.parametrize(
    ("kind", "revision"), OLD, ids=[f"{kind.name} {revision}" for kind, revision in OLD]
)


def everything(connection: Connection) -> dict[str, list[str]]:
    """Give each row with its columns by name: a server adds new ones at the end."""
    return {
        table.name: sorted(
            repr(sorted(row.items())) for row in connection.execute(select(table)).mappings()
        )
        for table in tables(connection)
    }


def put(kind: Kind, revision: str, where: Path | str, folder: Path) -> None:
    """Put a database there as that revision's code left it."""
    copy = Path(shutil.copy(kind.file(revision), folder / "copy.sqlite3"))
    if isinstance(where, Path):
        where.parent.mkdir(exist_ok=True)
        copy.rename(where)
        return
    with changing(copy) as left, changing(where) as connection:
        kind.migrations.move(connection, revision)
        made = {table.name: table for table in tables(connection)}
        for table in tables(left):
            for row in left.execute(select(table)).mappings():
                connection.execute(insert(made[table.name]), dict(row))


def rows_of(kind: Kind, revision: str, query: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"{kind.file(revision).as_uri()}?mode=ro", uri=True)) as opened:
        opened.row_factory = sqlite3.Row
        return opened.execute(query).fetchall()


@by_kind
def test_each_revision_has_its_database(kind: Kind) -> None:
    assert kind.revisions() == [str(number) for number in range(1, int(kind.migrations.head) + 1)]


@by_revision
def test_goes_up_to_today_and_back_with_nothing_lost(
    kind: Kind, revision: str, where: Path | str, tmp_path: Path
) -> None:
    put(kind, revision, where, tmp_path)
    with changing(where) as connection:
        before, rows = counts(connection), everything(connection)
        kind.migrations.upgrade(connection)
        assert revision_of(connection) == kind.migrations.head
    with changing(where) as connection:
        kind.migrations.move(connection, revision)

        assert counts(connection) == before
        assert everything(connection) == rows
    assert sum(before.values()) > 20


@by_revision
def test_the_revisions_lead_to_the_tables_of_the_code(
    kind: Kind, revision: str, where: Path | str, tmp_path: Path
) -> None:
    put(kind, revision, where, tmp_path)
    with changing(where) as connection:
        kind.migrations.upgrade(connection)
        moved = shape(connection)
        found = MetaData()
        found.reflect(connection)
        found.drop_all(connection)
        kind.migrations.upgrade(connection)

        assert shape(connection) == moved


@by_kind
def test_goes_back_to_nothing(kind: Kind, where: Path | str) -> None:
    with changing(where) as connection:
        kind.migrations.move(connection, kind.migrations.head)
        kind.migrations.move(connection, "base")

        assert tables(connection) == []


@by_kind
def test_leaves_a_database_of_a_later_revision_untouched(kind: Kind, where: Path | str) -> None:
    with changing(where) as connection:
        kind.migrations.upgrade(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '999'"))
        before = everything(connection)

    with pytest.raises(Misuse, match="expected a schema revision up to"):
        kind.open(where)

    with changing(where) as connection:
        assert everything(connection) == before
        assert revision_of(connection) == "999"


def test_a_custodian_goes_on_with_what_its_first_schema_held(
    where: Path | str, tmp_path: Path
) -> None:
    put(CUSTODIAN, "1", where, tmp_path)
    store = SqlCustodianStore(where)
    met: set[str] = set()

    for row in rows_of(CUSTODIAN, "1", "SELECT * FROM custodian_grants"):
        grant_id = GrantId(row["grant_id"])
        found = store.find(grant_id)
        assert found is not None
        assert found.holder == row["holder"]
        met.add(row["state"])
        match found:
            case Reserved():
                assert row["state"] == "reserved"
                assert seconds(found.reserved_at) == row["reserved_at"]
            case Kept():
                rules = found.registration
                assert row["state"] == "kept"
                assert rules.share == row["share"]
                assert (rules.receiver, rules.grant_digest) == (
                    row["receiver"],
                    row["grant_digest"],
                )
                assert (rules.purpose.value, rules.max_reads) == (row["purpose"], row["max_reads"])
                assert seconds(rules.valid_until) == row["valid_until"]
                assert (found.is_receipted, found.reads) == (row["is_receipted"], row["reads"])
                assert (rules.completer, rules.authority, rules.is_single_use) == (
                    None,
                    None,
                    False,
                )
                # What was answered stays answered, and the count goes on.
                answered = rows_of(
                    CUSTODIAN,
                    "1",
                    f"SELECT request_id FROM custodian_reads WHERE grant_id = '{grant_id}'",  # noqa: S608
                )
                assert len(answered) == found.reads
                for (request_id,) in answered:
                    assert store.count_read(grant_id, request_id, NOON, 0) is None
                counted = store.count_read(grant_id, "new", NOON, 0)
                assert counted == (found.reads + 1 if found.is_receipted else None)
            case Ended():
                assert row["state"] == "ended"
                assert (found.trigger.value, found.reads) == (row["trigger"], row["reads"])
                assert seconds(found.ended_at) == row["ended_at"]
                assert found.statement == row["statement"]
                assert store.end(grant_id, Trigger.TERMINATED, NOON) == found
    store.close()
    assert met == {"reserved", "kept", "ended"}


@pytest.mark.parametrize("revision", RECEIVER.revisions())
def test_a_receiver_goes_on_with_what_its_earlier_schemas_held(
    revision: str, where: Path | str, tmp_path: Path
) -> None:
    put(RECEIVER, revision, where, tmp_path)
    store = SqlReceiverStore(where)
    met: set[str] = set()

    for row in rows_of(RECEIVER, revision, "SELECT * FROM consent_requests"):
        request = store.find_request(GrantId(row["request_id"]))
        assert request is not None
        assert _holds(request.to_json(), parse_object(row["body"], "row"))
        assert request.answered_by == row["answered_by"]
        assert store.find_notice(Digest(row["notice_sha256"])) == request.notice
    for row in rows_of(RECEIVER, revision, "SELECT * FROM consent_grants"):
        grant = store.find_grant(GrantId(row["grant_id"]))
        assert grant is not None
        assert _holds(grant.to_json(), parse_object(row["body"], "row"))
        assert (grant.request_id, grant.revision) == (row["request_id"], row["revision"])
        assert name_of(grant.state) == row["state"]
        # The first two schemas held its bytes, later ones hold them in base64url.
        held = row["bundle"]
        bundle = from_b64url(held, "row") if isinstance(held, str) else held
        assert store.find_bundle(grant.grant_id) == bundle
        met.add(row["state"])
        assert store.advance(grant, grant, bundle)
    open_ones = "SELECT * FROM consent_requests WHERE answered_by IS NULL"
    waiting = {row["request_id"] for row in rows_of(RECEIVER, revision, open_ones)}
    assert {*store.unanswered(NOON.replace(year=2030), 100)} == waiting
    store.close()
    assert met == {"active", "erased"}


def _holds(now: Json, before: Json) -> bool:
    """Say whether everything that was said before is said now."""
    if isinstance(now, dict) and isinstance(before, dict):
        return all(name in now and _holds(now[name], value) for name, value in before.items())
    return now == before


@by_kind
@pytest.mark.parametrize("workers", [2, 8])
def test_workers_that_start_at_once_on_an_empty_server_make_one_schema(
    kind: Kind, postgres_url: str, workers: int
) -> None:
    start = threading.Barrier(workers)

    def begin(_: int) -> None:
        start.wait()
        kind.open(postgres_url).close()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(begin, range(workers)))

    with changing(postgres_url) as connection:
        assert revision_of(connection) == kind.migrations.head


def test_does_not_go_back_when_something_would_be_lost(street_stored: Street) -> None:
    street = street_stored
    active, _ = street.granted()
    assert street.custodian_store.count_read(active.agreement.grant_id, "one", NOON, 0) == 1
    street.close()
    where = street.place("custodian")
    with changing(where) as connection:
        before = everything(connection)

    with (
        pytest.raises(Misuse, match="expected only what revision 1 can hold, found 1 rows more"),
        changing(where) as connection,
    ):
        CUSTODIAN.migrations.move(connection, "1")

    with changing(where) as connection:
        assert everything(connection) == before
