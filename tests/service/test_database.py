"""The database that every service stands on, as a SQLite file and on PostgreSQL."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, chdir
from pathlib import Path
from typing import TypeAlias, TypeVar

import pytest
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse, Unavailable
from counterfoil_service import postgres_session, sql
from counterfoil_service.group_commit import MAX_GROUP, MAX_WAITING, QUIET_TURNS
from counterfoil_service.postgres_session import connected
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Statement
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or

METADATA = MetaData()
CODES = Table(
    "codes",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("state", String),
)
USES = Table(
    "uses",
    METADATA,
    Column(
        "code",
        BigInteger,
        ForeignKey("codes.id", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
)
ADD = Statement(insert(CODES))
FIND = Statement(select(CODES).where(CODES.c.id == bindparam("code")))
STATE = Statement(select(CODES.c.state).where(CODES.c.id == bindparam("code")))
COUNT = Statement(select(func.count()).select_from(CODES))
USE = Statement(insert(USES))

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection], object]


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    database = Database.open(where, METADATA)
    yield database
    database.close()


def codes(database: Database) -> list[int]:
    with database.reading() as connection:
        return [row.id for row in connection.rows(select(CODES.c.id).order_by(CODES.c.id))]


def adding(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.change(ADD, id=number, state="open")
        return number

    return work


@asynccontextmanager
async def held_up(database: Database) -> AsyncGenerator[None, None]:
    """Keep the writer waiting, with another work, while the block runs."""
    with database.transaction() as connection:
        connection.rows(FIND, code=0)
        busy = asyncio.ensure_future(database.write(lambda _: True))
        # Until the writer has taken it, and waits for this transaction to end.
        for _ in range(10_000):
            await asyncio.sleep(0.001)
            if not database.waiting:
                break
        yield
        # Who asks in the block has handed over when it ends.
        for _ in range(QUIET_TURNS + 3):
            await asyncio.sleep(0)
    assert await busy


async def in_one_group(
    database: Database, *works: Callable[[Connection], object]
) -> list[object | BaseException]:
    """Run `works` in one group: all arrive while the writer is busy."""
    async with held_up(database):
        waiting = [asyncio.ensure_future(database.write(work)) for work in works]
    return await asyncio.gather(*waiting, return_exceptions=True)


def run(coroutine: Coroutine[None, None, T]) -> T:
    return asyncio.run(coroutine)


def test_keeps_what_a_finished_transaction_wrote(where: Path | str, database: Database) -> None:
    with database.transaction() as connection:
        assert connection.change(ADD, id=1, state="open") == 1
    database.close()

    again = Database.open(where, METADATA)

    assert codes(again) == [1]
    again.close()


def test_more_threads_than_connections_wait_for_one(where: Path | str) -> None:
    database = Database.open(where, METADATA)
    lock, inside, together = threading.Lock(), Counter[str](), threading.Barrier(16)

    def look(_: int) -> int:
        with database.reading():
            with lock:
                inside["now"] += 1
                found = inside["now"]
            together.wait(60)
            with lock:
                inside["now"] -= 1
        return found

    with ThreadPoolExecutor(64) as pool:
        assert max(pool.map(look, range(64))) == 16
    database.close()


def test_who_waits_too_long_for_a_connection_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "_FREE_WITHIN_S", 0.0)
    with ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(database.reading())
        with pytest.raises(Unavailable, match="one of 16 connections"):
            codes(database)
    assert codes(database) == []


def test_keeps_nothing_of_a_transaction_that_failed_at_its_end(database: Database) -> None:
    def write_and_fail() -> None:
        with database.transaction() as connection:
            connection.change(ADD, id=1, state="open")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()

    assert codes(database) == []


def test_gives_back_the_values_that_it_was_given(database: Database) -> None:
    states = {1: "开放 €", 2: None, 2**62: "", -(2**63): 'it\'s "so" $1 ?\n'}
    with database.transaction() as connection:
        for number, state in states.items():
            connection.change(ADD, id=number, state=state)

    with database.reading() as connection:
        rows = connection.rows(select(CODES))
        assert {row.id: row.state for row in rows} == states
        assert connection.value(select(func.sum(CODES.c.id))) == sum(states)
        assert connection.row(FIND, code=3) is None
        assert connection.row(FIND, code=1) == (1, "开放 €")


@pytest.mark.parametrize(
    ("number", "state"), [(1, "a\0b"), (1, "\ud800"), (2**63, "open"), (-(2**63) - 1, "open")]
)
def test_calls_a_value_that_no_database_holds_malformed(
    database: Database, number: int, state: str
) -> None:
    with pytest.raises(Malformed), database.transaction() as connection:
        connection.change(ADD, id=number, state=state)

    assert codes(database) == []


@pytest.mark.parametrize("values", [{}, {"id": 1, "code": 1}, {"Code": 1}])
def test_names_the_parameters_that_a_statement_takes(
    database: Database, values: dict[str, int]
) -> None:
    with (
        pytest.raises(Misuse, match=r"expected the parameters \['code'\], found"),
        database.reading() as connection,
    ):
        connection.rows(FIND, **values)


def test_runs_a_statement_with_its_own_values_and_lists(database: Database) -> None:
    with database.transaction() as connection:
        for number in range(1, 6):
            connection.change(ADD, id=number, state="open")
        few = CODES.c.id.in_([1, 2, 9])
        assert connection.change(update(CODES).where(few).values(state="taken")) == 2

        taken = Statement(select(CODES.c.id).where(CODES.c.state == "taken").limit(5))
        assert [row.id for row in connection.rows(taken)] == [1, 2]


def test_inserts_only_what_is_new(database: Database) -> None:
    add_new = Statement(insert_or(CODES).on_conflict_do_nothing())
    row = insert_or(CODES)
    put = Statement(row.on_conflict_do_update(index_elements=[CODES.c.id], set_=dict(row.excluded)))
    with database.transaction() as connection:
        assert connection.change(add_new, id=1, state="first") == 1
        assert connection.change(add_new, id=1, state="second") == 0
        assert connection.value(STATE, code=1) == "first"
        assert connection.change(put, id=1, state="third") == 1
        assert connection.value(STATE, code=1) == "third"


def test_fills_only_the_columns_that_a_statement_names(database: Database) -> None:
    with database.transaction() as connection:
        connection.change(Statement(insert(CODES), columns=["id"]), id=1)

        assert connection.value(STATE, code=1) is None


def test_says_which_rule_of_the_schema_a_statement_broke_and_no_value(database: Database) -> None:
    with database.transaction() as connection:
        connection.change(ADD, id=4711, state="open")

    with pytest.raises(Misuse, match=r"codes") as raised, database.transaction() as connection:
        connection.change(ADD, id=4711, state="open")

    assert "4711" not in str(raised.value)


def test_refuses_a_write_through_a_reading_connection(database: Database) -> None:
    with pytest.raises(Misuse, match=r"read-?only"), database.reading() as connection:
        connection.change(ADD, id=1, state="open")

    with database.transaction() as connection:
        connection.change(ADD, id=1, state="open")
    assert codes(database) == [1]


def test_lets_a_reader_see_one_moment_while_a_writer_works(database: Database) -> None:
    with database.reading() as reader:
        before = reader.value(COUNT)
        with database.transaction() as writer:
            writer.change(ADD, id=1, state="open")
        after = reader.value(COUNT)

    assert (before, after, codes(database)) == (0, 0, [1])


def test_ends_a_connection_with_its_transaction(database: Database) -> None:
    with database.transaction() as connection:
        pass

    with pytest.raises(Misuse, match="ended"):
        connection.change(ADD, id=1, state="open")


def test_writes_on_what_it_read_while_others_write(where: Path | str, database: Database) -> None:
    other = Database.open(where, METADATA)
    with database.transaction() as connection:
        connection.change(ADD, id=1, state="0")

    def count_up(connection: Connection) -> None:
        read = int(connection.value(STATE, code=1))
        connection.change(update(CODES).values(state=str(read + 1)))

    def in_transactions() -> None:
        for _ in range(10):
            with database.transaction() as connection:
                count_up(connection)

    async def in_groups(of: Database) -> None:
        await asyncio.gather(*(of.write(count_up) for _ in range(20)))

    threads = [
        threading.Thread(target=in_transactions),
        threading.Thread(target=in_transactions),
        threading.Thread(target=lambda: asyncio.run(in_groups(database))),
        threading.Thread(target=lambda: asyncio.run(in_groups(other))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.reading() as connection:
        assert connection.value(STATE, code=1) == "60"
    other.close()


def test_answers_a_write_after_its_commit(database: Database) -> None:
    async def one_after_the_other() -> bool:
        async with held_up(database):
            first = asyncio.ensure_future(database.write(adding(1)))
            second = asyncio.ensure_future(database.write(lambda _: first.done()))
        assert await first == 1
        return await second

    assert run(one_after_the_other()) is False
    assert codes(database) == [1]


def test_a_work_that_fails_takes_no_other_with_it(database: Database) -> None:
    mistake = ZeroDivisionError("mine alone")

    def fails_after_writing(connection: Connection) -> None:
        connection.change(ADD, id=10, state="open")
        raise mistake

    def breaks_a_rule(connection: Connection) -> None:
        connection.change(ADD, id=11, state="open")
        connection.change(ADD, id=1, state="open")

    def fails_before_writing(connection: Connection) -> None:
        connection.rows(FIND, code=1)
        raise mistake

    def fails_at_once(_: Connection) -> None:
        raise mistake

    def cannot_be_held(connection: Connection) -> None:
        connection.change(ADD, id=2**70, state="open")

    answers = run(
        in_one_group(
            database,
            adding(1),
            fails_after_writing,
            fails_at_once,
            adding(2),
            breaks_a_rule,
            cannot_be_held,
            fails_before_writing,
            adding(3),
            lambda connection: connection.value(COUNT),
            fails_after_writing,
        )
    )

    assert [answers[i] for i in (0, 3, 7, 8)] == [1, 2, 3, 3]
    assert all(answers[i] is mistake for i in (1, 2, 6, 9))
    assert isinstance(answers[4], Misuse)
    assert isinstance(answers[5], Malformed)
    assert codes(database) == [1, 2, 3]


def test_works_run_once_unless_one_of_them_fails_that_had_written(database: Database) -> None:
    ran: Counter[str] = Counter()

    def work(name: str, *, number: int | None = None, fails: bool = False) -> Work:
        def counted(connection: Connection) -> str:
            ran[name] += 1
            if number is not None:
                connection.add(ADD, id=number, state="open")
            connection.rows(FIND, code=1)
            if fails:
                raise ZeroDivisionError
            return name

        return counted

    answers = run(in_one_group(database, work("one", number=1), work("reads", fails=True)))
    assert (answers[0], type(answers[1]), ran) == ("one", ZeroDivisionError, {"one": 1, "reads": 1})

    again = [work("two", number=2), work("writes", number=3, fails=True), work("four", number=4)]
    answers = run(in_one_group(database, *again))
    assert (answers[0], type(answers[1]), answers[2]) == ("two", ZeroDivisionError, "four")
    assert (ran["two"], ran["writes"], ran["four"]) == (2, 2, 1)
    assert codes(database) == [1, 2, 4]


def test_a_work_that_ends_like_an_iterator_is_answered_too(database: Database) -> None:
    def ends(_: Connection) -> None:
        raise StopIteration

    answers = run(in_one_group(database, ends, adding(1)))

    assert (type(answers[0]), answers[1]) == (RuntimeError, 1)


def test_writes_that_come_one_after_the_other_share_a_commit(database: Database) -> None:
    async def in_turns() -> list[int]:
        waiting: list[asyncio.Future[int]] = []
        for number in range(1, 6):
            waiting.append(asyncio.ensure_future(database.write(adding(number))))
            await asyncio.sleep(0)
        return await asyncio.gather(*waiting)

    before = database.commits

    assert run(in_turns()) == [1, 2, 3, 4, 5]
    assert database.commits == before + 1


def when_written(database: Database) -> list[int]:
    """Give what is on disk, once something is: the loop of who asks stands still."""
    for _ in range(600):
        if found := codes(database):
            return found
        time.sleep(0.1)
    return []


def test_a_write_does_not_wait_until_no_other_comes(database: Database) -> None:
    async def without_a_pause() -> list[int]:
        waiting: list[asyncio.Future[int]] = []
        for number in range(1, MAX_GROUP + 3):
            waiting.append(asyncio.ensure_future(database.write(adding(number))))
            await asyncio.sleep(0)
        seen = when_written(database)
        await asyncio.gather(*waiting)
        return seen

    assert run(without_a_pause())[0] == 1


def test_a_loop_that_does_something_else_is_not_waited_for(database: Database) -> None:
    async def busy() -> list[int]:
        waiting = asyncio.ensure_future(database.write(adding(1)))
        for _ in range(QUIET_TURNS + 3):
            await asyncio.sleep(0)
        seen = when_written(database)
        assert await waiting == 1
        return seen

    assert run(busy()) == [1]


def test_what_an_added_row_breaks_is_its_own_work_s_alone(database: Database) -> None:
    def adds(*numbers: int) -> Work:
        def work(connection: Connection) -> tuple[int, ...]:
            for number in numbers:
                connection.add(ADD, id=number, state="open")
            return numbers

        return work

    def adds_and_reads(connection: Connection, number: int) -> object:
        adds(number, 1)(connection)
        return connection.rows(FIND, code=1)

    answers = run(in_one_group(database, adds(1), adds(2, 1), adds(3), adds(4, 5)))

    assert (answers[0], type(answers[1]), *answers[2:]) == ((1,), Misuse, (3,), (4, 5))
    assert codes(database) == [1, 3, 4, 5]
    for number in (1, 6):
        with pytest.raises(Misuse), database.transaction() as connection:
            adds(number, 1)(connection)
        with pytest.raises(Misuse), database.transaction() as connection:
            adds_and_reads(connection, number)
    assert codes(database) == [1, 3, 4, 5]


def test_any_number_of_rows_is_added_before_anybody_waits(database: Database) -> None:
    with database.transaction() as connection:
        for number in range(1_000):
            connection.add(ADD, id=number, state="x" * 1_000)

    assert codes(database) == [*range(1_000)]


def test_a_work_that_hides_a_failed_statement_is_undone(database: Database) -> None:
    def hides(connection: Connection) -> str:
        connection.change(ADD, id=10, state="open")
        with pytest.raises(Misuse):
            connection.change(ADD, id=10, state="open")
        return "as if nothing had happened"

    def goes_on(connection: Connection) -> int:
        with pytest.raises(Misuse):
            connection.change(text("DELETE FROM no_such_table"))
        return connection.change(ADD, id=11, state="open")

    answers = run(in_one_group(database, adding(1), hides, goes_on, adding(2)))

    assert [answers[0], answers[3]] == [1, 2]
    assert isinstance(answers[1], Misuse)
    assert isinstance(answers[2], Misuse)
    assert codes(database) == [1, 2]
    with pytest.raises(Misuse), database.transaction() as connection:
        hides(connection)
    assert codes(database) == [1, 2]


def test_a_commit_that_fails_fails_for_all_of_its_group(database: Database) -> None:
    def breaks_the_commit(connection: Connection) -> None:
        connection.change(USE, code=7)

    answers = run(in_one_group(database, adding(1), breaks_the_commit, adding(2)))

    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert codes(database) == []
    assert run(database.write(adding(3))) == 3
    assert codes(database) == [3]


def test_a_work_may_not_open_a_transaction_of_its_own(database: Database) -> None:
    def opens(_: Connection) -> None:
        with database.transaction():
            pass

    with pytest.raises(Misuse, match="expected a work to use its own connection"):
        run(database.write(opens))


def test_says_unavailable_when_too_many_writes_wait(database: Database) -> None:
    works = [adding(number) for number in range(MAX_WAITING + 2)]

    answers = run(in_one_group(database, *works))

    assert answers[:MAX_WAITING] == list(range(MAX_WAITING))
    assert [type(answer) for answer in answers[MAX_WAITING:]] == [Unavailable] * 2
    assert codes(database) == list(range(MAX_WAITING))


def test_who_does_not_wait_any_more_stops_nobody(database: Database) -> None:
    async def some_leave() -> list[int]:
        async with held_up(database):
            tasks = [asyncio.ensure_future(database.write(adding(number))) for number in range(4)]
            await asyncio.sleep(0)
            tasks[1].cancel()
        return [await tasks[number] for number in (0, 2, 3)]

    assert run(some_leave()) == [0, 2, 3]
    assert codes(database) == [0, 2, 3]


def test_closing_finishes_what_waits_and_takes_nothing_more(where: Path | str) -> None:
    database = Database.open(where, METADATA)

    async def close_meanwhile() -> list[int]:
        async with held_up(database):
            tasks = [asyncio.ensure_future(database.write(adding(number))) for number in range(9)]
        await asyncio.to_thread(database.close)
        with pytest.raises(Unavailable, match="closed"):
            await database.write(adding(9))
        return await asyncio.gather(*tasks)

    assert run(close_meanwhile()) == list(range(9))
    again = Database.open(where, METADATA)
    assert codes(again) == list(range(9))
    again.close()


def test_closing_finishes_what_is_still_on_its_way(where: Path | str) -> None:
    database = Database.open(where, METADATA)

    async def close_at_once() -> tuple[int, bool]:
        first = asyncio.ensure_future(database.write(adding(1)))
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        return await first, first.done()

    assert run(close_at_once()) == (1, True)
    again = Database.open(where, METADATA)
    assert codes(again) == [1]
    again.close()


def test_closing_in_the_very_loop_ends_too(where: Path | str) -> None:
    database = Database.open(where, METADATA)

    async def close_here() -> None:
        first = asyncio.ensure_future(database.write(adding(1)))
        await asyncio.sleep(0)
        database.close()
        with pytest.raises(Unavailable, match="found it closed"):
            await first

    run(close_here())
    again = Database.open(where, METADATA)
    assert codes(again) == []
    again.close()


def test_leaves_a_database_of_another_schema_version_untouched(
    where: Path | str, database: Database
) -> None:
    newer = MetaData()
    Table("more", newer, Column("id", Integer, primary_key=True))

    with pytest.raises(Misuse, match="expected schema version 2, found 1"):
        Database.open(where, newer, version=2)

    with pytest.raises(Misuse, match="more"), database.reading() as connection:
        connection.rows(text("SELECT * FROM more"))


def test_two_that_open_an_empty_database_at_once_find_one_schema(where: Path | str) -> None:
    start = threading.Barrier(3)
    outcomes: list[CounterfoilError | Database] = []

    def open_one() -> None:
        start.wait()
        outcomes.append(Database.open(where, METADATA))

    threads = [threading.Thread(target=open_one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outcomes) == 3
    for outcome in outcomes:
        assert isinstance(outcome, Database)
        assert codes(outcome) == []
        outcome.close()


def test_keeps_every_reported_write_of_a_process_that_is_killed(where: Path | str) -> None:
    writer = textwrap.dedent(
        """
        import asyncio, itertools, sys
        from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert
        from counterfoil_service.sql import Database
        from counterfoil_service.statements import Statement

        metadata = MetaData()
        codes = Table("codes", metadata, Column("id", BigInteger, primary_key=True),
                      Column("state", String))
        add = Statement(insert(codes))
        database = Database.open(sys.argv[1], metadata)
        numbers = itertools.count(1)

        async def write():
            while True:
                number = next(numbers)
                await database.write(lambda c: c.change(add, id=number, state="open"))
                print(number, flush=True)

        async def main():
            await asyncio.gather(*(write() for _ in range(20)))

        asyncio.run(main())
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", writer, str(where)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(200)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()

    reported = {int(line) for line in lines if line.endswith("\n")}
    assert len(reported) >= 200
    database = Database.open(where, METADATA)
    kept = set(codes(database))
    database.close()
    assert reported <= kept
    # What was not reported had been asked for: one at most for each of the twenty.
    assert len(kept - reported) <= 20


def test_goes_on_after_the_server_closed_its_connections(postgres_url: str) -> None:
    database = Database.open(postgres_url, METADATA)
    end_the_others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    other = Database.open(postgres_url, METADATA)
    assert run(database.write(adding(1))) == 1
    with other.reading() as connection:
        connection.rows(end_the_others)

    with pytest.raises(Unavailable):
        run(database.write(adding(2)))
    assert run(database.write(adding(3))) == 3
    assert codes(database) == [1, 3]
    other.close()
    database.close()


def test_who_stands_still_with_the_lock_loses_it_and_who_reads_goes_on(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert postgres_session.HOLD_TIMEOUT_MS < postgres_session.LOCK_TIMEOUT_MS
    monkeypatch.setattr(postgres_session, "HOLD_TIMEOUT_MS", 100)
    frozen, other = (Database.open(postgres_url, METADATA) for _ in range(2))

    def stand_still(code: int, *later: int) -> None:
        with frozen.transaction() as connection:
            connection.change(ADD, id=code, state="open")
            with other.transaction() as freed:
                freed.change(ADD, id=code + 1, state="open")
            for another in later:
                connection.change(ADD, id=another, state="open")

    with other.reading() as reader:
        assert reader.value(COUNT) == 0
        with pytest.raises(Unavailable):
            stand_still(1)
        assert reader.value(COUNT) == 0
    with pytest.raises(Unavailable):
        stand_still(3, 5)

    assert codes(frozen) == [2, 4]
    assert run(frozen.write(adding(6))) == 6
    frozen.close()
    other.close()


def test_says_unavailable_without_a_server_and_tells_no_password(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as raised:
        Database.open(f"postgresql://brand:hunter2@/issuer?host={tmp_path}", METADATA)

    assert "hunter2" not in f"{raised.value!r} {raised.value.__cause__!r}"


def test_names_a_schema_that_is_not_there(postgres_url: str) -> None:
    with pytest.raises(Misuse, match="expected a schema in which tables can be made"):
        Database.open(f"{postgres_url}&options=-csearch_path%3Dnowhere", METADATA)


def test_keeps_to_the_options_that_a_url_names(postgres_url: str) -> None:
    with connected(postgres_url) as connection:
        connection.execute("CREATE SCHEMA apart")
    database = Database.open(f"{postgres_url}&options=-csearch_path%3Dapart", METADATA)

    with database.transaction() as connection:
        connection.change(ADD, id=1, state="open")
        assert connection.value(text("SELECT count(*) FROM apart.codes")) == 1
    database.close()


@pytest.mark.parametrize("url", ["postgresql+psycopg://h/d", "mysql://h/d", "postgresql://h/d?x=1"])
def test_refuses_a_url_that_it_cannot_open(url: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="URL"), chdir(tmp_path):
        Database.open(url, METADATA)

    assert not [*tmp_path.iterdir()]
