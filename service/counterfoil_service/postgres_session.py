"""A session on PostgreSQL: one round trip a statement, whatever travels ahead of it.

libpq's pipeline carries the beginning, the marks and a statement's first
preparation together with the statement. psycopg opens the connection; its own
cursors cost as much again as the server does.
"""

import itertools
import select
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from counterfoil_credentials.errors import Malformed, Misuse, Unavailable
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection as EngineConnection
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from counterfoil_service.sessions import COMMIT, MARK, RELEASE, ROLL_BACK, UNDO, Session
from counterfoil_service.statements import Compiled, Row, Value, named_row

CONNECT_TIMEOUT_S: Final = 10
LOCK_TIMEOUT_MS: Final = 10_000
"""How long a writer waits for the one before it."""
HOLD_TIMEOUT_MS: Final = 5_000
"""How long a writer may do nothing while all others wait for it: shorter than they wait.

A worker that is killed lets go at once. One that stands still, or whose machine lost its
network or its power, would keep the lock until the server noticed, which may take hours.
"""
ANSWER_TIMEOUT_MS: Final = 60_000
"""How long an answer may take before the server counts as gone."""

# The answers to so many adds fit between the server and us, though nobody takes them.
_MOST_UNANSWERED: Final = 256

# One writer at a time, in every process: what a transaction read stays true until it
# has written. The lock ends with the transaction.
_LOCK: Final = "SELECT pg_advisory_xact_lock(7165066918273025887)"
_WRITING: Final = ("BEGIN", _LOCK)
_READING: Final = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
_WHOLE_NUMBERS: Final = frozenset({20, 21, 23, 1700})
_DIALECT: Final = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # as SQLAlchemy has it

# SQLSTATE classes (PostgreSQL manual, appendix A): connection, transaction rolled back,
# resources, operator intervention, system error.
_OF_THE_MOMENT: Final = frozenset({"08", "40", "53", "55", "57", "58"})
_HELD_TOO_LONG: Final = "25P03"
_DATA: Final = "22"

# As numbers: an enumeration's names are looked up slowly, and each statement asks.
_PIPELINE_SYNC: Final = int(pq.ExecStatus.PIPELINE_SYNC)
_IN_TRANSACTION: Final = frozenset(
    {
        pq.TransactionStatus.INTRANS,
        pq.TransactionStatus.INERROR,
        # Something was added, and not answered yet.
        pq.TransactionStatus.ACTIVE,
    }
)
_FAILED: Final = frozenset({int(pq.ExecStatus.FATAL_ERROR), int(pq.ExecStatus.PIPELINE_ABORTED)})


def connected(url: str, *, autocommit: bool = True, hold_ms: int = 0) -> psycopg.Connection:
    """Open a connection, whose transactions may stand still for `hold_ms` (0: for ever).

    Raises `Unavailable` without the URL, which may hold a password.
    """
    ours = (
        f"-c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout={ANSWER_TIMEOUT_MS}"
        f" -c idle_in_transaction_session_timeout={hold_ms}"
    )
    try:
        theirs = conninfo_to_dict(url).get("options", "")
        return psycopg.connect(
            url,
            autocommit=autocommit,
            connect_timeout=CONNECT_TIMEOUT_S,
            client_encoding="utf8",
            options=f"{ours} {theirs}",
        )
    except psycopg.OperationalError as error:
        raise Unavailable("expected the database server to answer, found it did not") from error
    except psycopg.ProgrammingError as error:
        raise Misuse("expected a URL as libpq's manual describes it, found another") from error


@contextmanager
def changing_schema(url: str) -> Generator[EngineConnection, None, None]:
    """Give a connection that may change tables, in one transaction, while nobody else writes."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connected(url, autocommit=False),
        poolclass=NullPool,
    )
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(_LOCK)
            yield connection
    except OperationalError as error:
        text = f"expected the database to take part, found {type(error.orig).__name__}"
        raise Unavailable(text) from error
    except ProgrammingError as error:
        # No such schema, or no right to make tables in it.
        named = getattr(getattr(error.orig, "diag", None), "message_primary", None)
        text = f"expected a schema in which tables can be made, found {named or 'an error'}"
        raise Misuse(text) from error


class PostgresSession(Session):
    """A session on the database at `url`. One that is `read_only` sees one moment of it."""

    def __init__(self, url: str, *, read_only: bool) -> None:
        super().__init__(_DIALECT, beginning=_READING if read_only else _WRITING)
        self._opened = connected(url, hold_ms=0 if read_only else HOLD_TIMEOUT_MS)
        self._raw = self._opened.pgconn
        self._prepared: dict[str, bytes] = {}
        for command in (*self._beginning, MARK, RELEASE, UNDO, COMMIT, ROLL_BACK):
            name = self._prepared[command] = b"c%d" % len(self._prepared)
            self._raw.prepare(name, command.encode())
        # Sending may wait; receiving waits in `_results`, where other threads go on.
        self._raw.nonblocking = 0
        self._raw.enter_pipeline_mode()
        self._numbers = itertools.count()
        self._unanswered = 0
        self._fresh: list[str] = []
        self._poll = select.poll()
        self._poll.register(self._raw.socket, select.POLLIN)

    @property
    def is_remote(self) -> bool:
        return True

    @property
    def usable(self) -> bool:
        return self._raw.transaction_status == pq.TransactionStatus.IDLE

    def close(self) -> None:
        self._opened.close()

    @property
    def _in_transaction(self) -> bool:
        status = self._raw.transaction_status
        return status in _IN_TRANSACTION

    def _control(self, command: str) -> None:
        if self._unanswered:
            # Before a commit all are answered, and otherwise it all comes to nothing.
            self._results()
        self._raw.send_query_prepared(self._prepared[command], None)
        (result,) = self._results()
        _require_success(result)
        # A transaction that failed before answers COMMIT with a rollback.
        if command == COMMIT and result.command_status != b"COMMIT":
            raise Unavailable("expected the commit to happen, found it rolled back")

    def _rows(self, compiled: Compiled, values: tuple[Value, ...]) -> list[Row]:
        result = self._run(compiled, values)
        decode = compiled.decode or _decoder(compiled, result)
        columns, get = range(result.nfields), result.get_value
        return [decode([get(row, column) for column in columns]) for row in range(result.ntuples)]

    def _change(self, compiled: Compiled, values: tuple[Value, ...]) -> int:
        return self._run(compiled, values).command_tuples or 0

    def _add(self, compiled: Compiled, values: tuple[Value, ...]) -> None:
        self._send(compiled, values)
        self._unanswered += 1
        if self._unanswered >= _MOST_UNANSWERED:
            self._settle()

    def _settle(self) -> None:
        if self._unanswered:
            for result in self._results():
                _require_success(result)

    def _run(self, compiled: Compiled, values: tuple[Value, ...]) -> PGresult:
        self._send(compiled, values)
        results = self._results()
        for result in results:
            _require_success(result)
        return results[-1]

    def _send(self, compiled: Compiled, values: tuple[Value, ...]) -> None:
        """Send a statement, after what waits to go ahead of it."""
        texts = [None if value is None else str(value).encode() for value in values]
        raw, sql = self._raw, compiled.sql
        for command in self._ahead():
            raw.send_query_prepared(self._prepared[command], None)
        name = self._prepared.get(sql)
        if name is None:
            name = b"" if compiled.once else b"s%d" % next(self._numbers)
            raw.send_prepare(name, sql.encode())
            if name:
                self._prepared[sql] = name
                self._fresh.append(sql)
        raw.send_query_prepared(name, texts)

    def _results(self) -> list[PGresult]:
        """Give what the server answers to all that was sent."""
        raw, results = self._raw, list[PGresult]()
        raw.pipeline_sync()
        while True:
            while raw.is_busy():
                if not self._poll.poll(ANSWER_TIMEOUT_MS):
                    self.close()
                    raise Unavailable("expected the database server to answer, found silence")
                raw.consume_input()
            result = raw.get_result()
            # Nothing stands between the answers to two commands.
            if result is not None:
                if result.status == _PIPELINE_SYNC:
                    break
                results.append(result)
        self._unanswered = 0
        if self._fresh:
            self._keep_prepared(results)
        return results

    def _keep_prepared(self, results: Sequence[PGresult]) -> None:
        # After a failure it is not worth finding out which were prepared before it.
        if any(result.status in _FAILED for result in results):
            for sql in self._fresh:
                del self._prepared[sql]
        self._fresh.clear()

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, UnicodeEncodeError):
            return Malformed("text", "a surrogate", "a value for the database")
        if isinstance(error, psycopg.OperationalError):
            return Unavailable("expected the database server to answer, found it gone")
        return error


def _decoder(compiled: Compiled, result: PGresult) -> Callable[[Sequence[Any]], Row]:
    columns = range(result.nfields)
    row = named_row([(result.fname(column) or b"").decode() for column in columns])
    reads: list[Callable[[bytes], Value]] = [
        int if result.ftype(column) in _WHOLE_NUMBERS else bytes.decode for column in columns
    ]

    def decode(values: Sequence[bytes | None]) -> Row:
        return row(
            [
                None if value is None else read(value)
                for read, value in zip(reads, values, strict=True)
            ]
        )

    compiled.decode = decode
    return decode


def _require_success(result: PGresult) -> None:
    if result.status not in _FAILED:
        return
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    # The primary message names tables and constraints; the detail, which is left
    # where it is, holds values.
    primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
    if state[:2] == _DATA:
        found = f"another ({state})"
        raise Malformed("a value of its column", found, "a value for the database")
    text = f"{primary.decode(errors='replace')} ({state})"
    if state[:2] in _OF_THE_MOMENT or state == _HELD_TOO_LONG:
        raise Unavailable(f"expected the database to take part, found {text}")
    raise Misuse(f"expected a statement that fits the schema, found {text}")
