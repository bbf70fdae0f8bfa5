"""The audit log names whoever touched it."""

import random
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service import audit
from counterfoil_service.audit import LOG, MARKS, AuditLog, Checkpoint
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection
from sqlalchemy import MetaData, Table, delete, insert, select, update

METADATA = MetaData()
audit.add_tables(METADATA)
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
ROWS = 12


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    database = Database.open(where, METADATA)
    yield database
    database.close()


@pytest.fixture
def log() -> AuditLog:
    return AuditLog(bytes(range(32)))


@pytest.fixture
def written(database: Database, log: AuditLog) -> Database:
    with database.transaction() as connection:
        fill(connection, log, ROWS)
    return database


def fill(connection: Connection, log: AuditLog, count: int, at: datetime = NOON) -> None:
    for i in range(count):
        later = at + timedelta(minutes=i)
        log.append(connection, f"key-{i % 3}", "credential.revoked/lost", f"credential-{i}", later)


def put(connection: Connection, table: Table, rows: Sequence[Sequence[str | int]]) -> None:
    for row in rows:
        connection.change(insert(table).values(dict(zip(table.c.keys(), row, strict=True))))


def check(database: Database, log: AuditLog, *checkpoints: Checkpoint) -> Checkpoint:
    with database.reading() as connection:
        return log.check(connection, checkpoints)


def finding(database: Database, log: AuditLog, *checkpoints: Checkpoint) -> tuple[str, str]:
    with pytest.raises(Refused) as refusal:
        check(database, log, *checkpoints)
    (reason,) = refusal.value.reasons
    return reason.code, reason.where


def test_a_log_that_nobody_touched_is_whole(written: Database, log: AuditLog) -> None:
    assert check(written, log).sequence == ROWS


def test_an_empty_log_is_whole(database: Database, log: AuditLog) -> None:
    assert check(database, log).sequence == 0


@pytest.mark.parametrize("row", [1, 5, ROWS])
@pytest.mark.parametrize(
    "change",
    [
        {"actor": "key-9"},
        {"action": "credential.revoked/losT"},
        {"subject": "credential-99"},
        {"at": 1},
        {"chain": "A" * 43},
    ],
)
def test_names_the_row_that_was_edited(
    written: Database, log: AuditLog, row: int, change: dict[str, object]
) -> None:
    with written.transaction() as connection:
        connection.change(update(LOG).where(LOG.c.sequence == row).values(**change))

    assert finding(written, log) == ("audit-row-altered", f"audit_log[{row}]")


@pytest.mark.parametrize("row", [1, 5, ROWS - 1, ROWS])
def test_names_the_row_that_was_removed(written: Database, log: AuditLog, row: int) -> None:
    with written.transaction() as connection:
        connection.change(delete(LOG).where(LOG.c.sequence == row))

    assert finding(written, log) == ("audit-row-missing", f"audit_log[{row}]")


def test_names_the_first_row_whose_successors_closed_a_gap(
    written: Database, log: AuditLog
) -> None:
    with written.transaction() as connection:
        connection.change(delete(LOG).where(LOG.c.sequence == 5))
        for row in range(6, ROWS + 1):
            moved = update(LOG).where(LOG.c.sequence == row).values(sequence=row - 1)
            connection.change(moved)

    assert finding(written, log) == ("audit-row-altered", "audit_log[5]")


def test_names_the_first_of_two_rows_that_changed_places(written: Database, log: AuditLog) -> None:
    with written.transaction() as connection:
        for row, place in ((4, 100), (9, 4), (100, 9)):
            connection.change(update(LOG).where(LOG.c.sequence == row).values(sequence=place))

    assert finding(written, log) == ("audit-row-altered", "audit_log[4]")


def test_names_the_first_row_of_a_tail_that_was_cut_off(written: Database, log: AuditLog) -> None:
    with written.transaction() as connection:
        connection.change(delete(LOG).where(LOG.c.sequence > 8))

    assert finding(written, log) == ("audit-row-missing", "audit_log[9]")


def test_a_head_moved_back_with_the_tail_is_no_head_of_this_log(
    written: Database, log: AuditLog
) -> None:
    with written.transaction() as connection:
        connection.change(delete(LOG).where(LOG.c.sequence > 8))
        chain = connection.value(select(LOG.c.chain).where(LOG.c.sequence == 8))
        connection.change(update(MARKS).values(sequence=8, chain=chain))

    assert finding(written, log) == ("audit-mark-altered", "audit_marks[head]")
    with pytest.raises(Unavailable), written.transaction() as connection:
        fill(connection, log, 1)


def test_names_a_row_that_was_added_without_the_key(written: Database, log: AuditLog) -> None:
    with written.transaction() as connection:
        (row,) = connection.rows(select(LOG).where(LOG.c.sequence == ROWS))
        put(connection, LOG, [(ROWS + 1, *row[1:])])

    assert finding(written, log) == ("audit-row-altered", f"audit_log[{ROWS + 1}]")


def test_a_log_under_another_key_is_another_log(written: Database) -> None:
    assert finding(written, AuditLog(bytes(32))) == ("audit-row-altered", "audit_log[1]")


def test_a_checkpoint_kept_elsewhere_finds_an_older_copy_put_back(
    database: Database, log: AuditLog
) -> None:
    with database.transaction() as connection:
        fill(connection, log, 8)
        rows = connection.rows(select(LOG))
        marks = connection.rows(select(MARKS))
        fill(connection, log, 4)
    kept = check(database, log)

    with database.transaction() as connection:
        connection.change(delete(LOG))
        connection.change(delete(MARKS))
        put(connection, LOG, rows)
        put(connection, MARKS, marks)

    assert check(database, log).sequence == 8
    assert finding(database, log, kept) == ("audit-row-missing", "audit_log[9]")


def test_a_checkpoint_finds_a_chain_written_anew_with_the_stolen_key(
    written: Database, log: AuditLog
) -> None:
    kept = check(written, log)
    with written.transaction() as connection:
        connection.change(delete(LOG))
        connection.change(delete(MARKS))
        fill(connection, log, ROWS + 5, NOON + timedelta(seconds=1))

    assert check(written, log).sequence == ROWS + 5
    assert finding(written, log, kept) == ("audit-checkpoint-missed", f"audit_log[{ROWS}]")


def test_a_checkpoint_of_this_log_stays_true_while_it_grows(
    written: Database, log: AuditLog
) -> None:
    kept = check(written, log)
    with written.transaction() as connection:
        fill(connection, log, 3)

    assert check(written, log, kept).sequence == ROWS + 3


def test_a_checkpoint_travels_as_text_under_a_signature(written: Database, log: AuditLog) -> None:
    signer, other = MemorySigner.generate(), MemorySigner.generate()
    kept = check(written, log)

    text = kept.sign(signer, NOON)

    assert Checkpoint.read(text + "\n", signer.public) == kept
    with pytest.raises(Refused):
        Checkpoint.read(text, other.public)


def test_an_entry_and_what_it_tells_are_one_transaction(written: Database, log: AuditLog) -> None:
    def act_and_fail(connection: Connection) -> None:
        fill(connection, log, 3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), written.transaction() as connection:
        act_and_fail(connection)

    assert check(written, log).sequence == ROWS


def test_trimmed_entries_leave_a_log_that_checks(written: Database, log: AuditLog) -> None:
    before = check(written, log)
    with written.transaction() as connection:
        assert log.trim(connection, NOON + timedelta(minutes=5)) == 5
        assert log.trim(connection, NOON + timedelta(minutes=5)) == 0
        assert log.trim(connection, NOON + timedelta(minutes=6)) == 1
        fill(connection, log, 2)
        entries = log.entries(connection)

    assert check(written, log, before).sequence == ROWS + 2
    assert [entry.sequence for entry in entries] == list(range(7, ROWS + 3))


def test_the_last_entry_is_never_trimmed(written: Database, log: AuditLog) -> None:
    with written.transaction() as connection:
        assert log.trim(connection, NOON + timedelta(days=1)) == ROWS - 1
    assert check(written, log).sequence == ROWS


def test_a_row_removed_as_if_it_were_trimmed_is_named(written: Database, log: AuditLog) -> None:
    with written.transaction() as connection:
        log.trim(connection, NOON + timedelta(minutes=3))
        connection.change(delete(LOG).where(LOG.c.sequence == 4))

    assert finding(written, log) == ("audit-row-missing", "audit_log[4]")


def test_does_not_trim_a_tampered_row_away(written: Database, log: AuditLog) -> None:
    with written.transaction() as connection:
        connection.change(update(LOG).where(LOG.c.sequence == 2).values(actor="key-9"))

    with pytest.raises(Refused), written.transaction() as connection:
        log.trim(connection, NOON + timedelta(minutes=5))


def test_gives_the_entries_about_one_thing_in_order(written: Database, log: AuditLog) -> None:
    with written.transaction() as connection:
        log.append(connection, "key-1", "credential.reinstated", "credential-4", NOON)
        about = log.entries(connection, subject="credential-4")
        page = log.entries(connection, after=3, limit=2)

    assert [(entry.action, entry.sequence) for entry in about] == [
        ("credential.revoked/lost", 5),
        ("credential.reinstated", ROWS + 1),
    ]
    assert [entry.sequence for entry in page] == [4, 5]
    assert about[0].at == NOON + timedelta(minutes=4)


@pytest.mark.parametrize(
    "wrong", ["", "Li Mei", "a" * 201, "姓名", "a\nb", "{}", "mei@brand.example"]
)
def test_refuses_what_is_no_plain_id(database: Database, log: AuditLog, wrong: str) -> None:
    for texts in ((wrong, "a", "a"), ("a", wrong, "a"), ("a", "a", wrong)):
        with pytest.raises(Misuse) as misuse, database.transaction() as connection:
            log.append(connection, *texts, NOON)
        assert not wrong or wrong not in str(misuse.value)


def test_any_single_change_of_any_cell_is_found(
    written: Database, log: AuditLog, random_bytes: Callable[[int], bytes]
) -> None:
    source = random.Random(random_bytes(8))
    for _ in range(60):
        row, column = source.randrange(1, ROWS + 1), source.choice(LOG.c.keys())
        value = source.randrange(1000, 2000) if column in ("sequence", "at") else "other"
        with written.reading() as connection:
            before = connection.rows(select(LOG))
        with written.transaction() as connection:
            connection.change(update(LOG).where(LOG.c.sequence == row).values({column: value}))
        assert finding(written, log)[1] == f"audit_log[{row}]"
        with written.transaction() as connection:
            connection.change(delete(LOG))
            put(connection, LOG, before)


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "chain"])
@pytest.mark.parametrize("value", [b"\xff", float("inf"), "\u00e9"])
def test_a_cell_that_we_never_write_is_an_altered_row(
    tmp_path: Path, log: AuditLog, column: str, value: object
) -> None:
    # SQLite keeps any kind of value in any column; PostgreSQL refuses it itself.
    path = tmp_path / "audit.sqlite3"
    database = Database.open(path, METADATA)
    with database.transaction() as connection:
        fill(connection, log, ROWS)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(f"UPDATE audit_log SET {column} = ? WHERE sequence = 5", (value,))  # noqa: S608  # our own columns

    assert finding(database, log) == ("audit-row-altered", "audit_log[5]")
    database.close()


@pytest.mark.parametrize("column", ["sequence", "chain", "mac"])
@pytest.mark.parametrize("value", [b"\xff", float("inf"), "\u00e9"])
def test_a_mark_that_we_never_write_is_an_altered_mark(
    tmp_path: Path, log: AuditLog, column: str, value: object
) -> None:
    path = tmp_path / "audit.sqlite3"
    database = Database.open(path, METADATA)
    with database.transaction() as connection:
        fill(connection, log, ROWS)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(f"UPDATE audit_marks SET {column} = ?", (value,))  # noqa: S608  # our own columns

    assert finding(database, log)[0] == "audit-mark-altered"
    database.close()


def test_checks_a_long_log_in_bounded_memory(database: Database, log: AuditLog) -> None:
    with database.transaction() as connection:
        fill(connection, log, 400)
    check(database, log)

    def peak(read_at_once: int) -> int:
        reader = AuditLog(bytes(range(32)), read_at_once=read_at_once)
        tracemalloc.start()
        try:
            assert check(database, reader).sequence == 400
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(7) < peak(400) / 2


def test_of_two_checkpoints_at_one_place_the_wrong_one_is_not_passed_over(
    written: Database, log: AuditLog
) -> None:
    kept = check(written, log)
    wrong = Checkpoint(kept.sequence, "A" * 43)

    assert check(written, log, kept, kept) == kept
    for pair in ((kept, wrong), (wrong, kept)):
        assert finding(written, log, *pair)[0] == "audit-checkpoint-missed"
