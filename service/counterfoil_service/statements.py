"""SQLAlchemy Core statements that are compiled once and run on the driver's own cursor.

    ADD = Statement(insert(CODES), columns=("hash", "state"))
    TAKE = Statement(update(CODES).where(is_open).values(state="taken"))   # bindparam("hash")
    FIND = Statement(select(CODES).where(CODES.c.hash == bindparam("hash")))

    connection.change(ADD, hash=digest, state="open")       # rows changed
    connection.row(FIND, hash=digest).state                 # a row, or None
    connection.value(select(func.count()).select_from(CODES))   # compiled on the spot

Core's own `execute` costs more than a signature; this path costs little more than
the database does. Columns hold text, whole numbers and nothing (`None`): JSON is
text, times are whole seconds (`BigInteger`: 32 bits of them end in 2038).
`sqlalchemy.dialects.postgresql.insert` with its `on_conflict_…` runs on both
databases.
"""

from abc import ABC, abstractmethod
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from counterfoil_credentials.errors import Malformed, Misuse
from sqlalchemy import ClauseElement, SelectBase
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Value: TypeAlias = str | int | None
Row: TypeAlias = Any
"""A named tuple with the names of the selected columns: `row.state`, or `hash, state = row`."""


class Statement:
    """A Core statement, built once beside the tables, compiled once for each database.

    `columns` names the columns that an `insert` without `values` fills; left out,
    it fills all of them.
    """

    __slots__ = ("_clause", "_columns", "_compiled")

    def __init__(self, clause: ClauseElement, *, columns: Sequence[str] | None = None) -> None:
        self._clause = clause
        self._columns = columns
        self._compiled: dict[str, Compiled] = {}

    def on(self, dialect: Dialect) -> "Compiled":
        """Give the statement's text and parameters for `dialect`."""
        known = self._compiled.get(dialect.name)
        if known is None:
            known = Compiled(self._clause, dialect, self._columns)
            self._compiled[dialect.name] = known
        return known


class Compiled:
    """One statement's text for one database, and how its parameters stand in it."""

    __slots__ = ("_arrange", "_defaults", "_names", "decode", "once", "sql", "writes")

    def __init__(
        self,
        clause: ClauseElement,
        dialect: Dialect,
        columns: Sequence[str] | None = None,
        *,
        once: bool = False,
    ) -> None:
        compiled = clause.compile(
            dialect=dialect,
            column_keys=None if columns is None else list(columns),
            # An IN list becomes as many parameters as it holds.
            compile_kwargs={"render_postcompile": True},
        )
        if not isinstance(compiled, SQLCompiler):
            raise Misuse(f"expected a statement with parameters, found {type(clause).__name__}")
        names = tuple(compiled.positiontup or ())
        required = {bind.key for bind in compiled.binds.values() if bind.required}
        self.sql: Final = compiled.string
        self.once: Final = once
        """Whether this run is its only one, so that nothing need be kept of it."""
        self.writes: Final = not isinstance(clause, SelectBase)
        """Whether it may change something, though it gives rows."""
        self.decode: Callable[[Sequence[Any]], Row] | None = None
        """Makes a row of the driver's; set by the driver at the first run."""
        self._names = frozenset(names)
        self._defaults: dict[str, Any] = {
            name: value for name, value in compiled.params.items() if name not in required
        }
        self._arrange: Callable[[Mapping[str, Value]], tuple[Value, ...]]
        match names:
            case ():
                self._arrange = lambda _: ()
            case (only,):
                self._arrange = lambda values: (values[only],)
            case _:
                self._arrange = itemgetter(*names)

    def arranged(self, values: Mapping[str, Value]) -> tuple[Value, ...]:
        """Give `values` in the order of the text's parameters.

        Raises `Malformed` for text that a database cannot hold.
        """
        given = {**self._defaults, **values} if self._defaults else values
        try:
            arranged = self._arrange(given)
        except KeyError:
            arranged = None
        # As many as are named, and each that is named: these and no other.
        if arranged is None or len(given) != len(self._names):
            expected, found = sorted(self._names - set(self._defaults)), sorted(values)
            raise Misuse(f"expected the parameters {expected}, found {found}")
        for value in arranged:
            # PostgreSQL's text ends at U+0000; SQLite is held to the same.
            if isinstance(value, str) and "\0" in value:
                raise Malformed("text without U+0000", "text with it", "a value for the database")
        return arranged


def named_row(names: Sequence[str]) -> Callable[[Sequence[Any]], Row]:
    """Give what turns a driver's row with these columns into a named tuple."""
    # The names are known only now, so no class statement can spell them.
    made: Any = namedtuple("Row", [*names], rename=True)  # type: ignore[misc]  # pyright: ignore[reportUntypedNamedTuple]  # noqa: PYI024
    return made._make


class Connection(ABC):
    """Runs statements inside one transaction: what a piece of work is given.

    A broken constraint that the statement did not provide for is `Misuse`, a
    database that cannot be reached `Unavailable`.
    """

    @abstractmethod
    def rows(self, statement: Statement | ClauseElement, /, **values: Value) -> list[Row]:
        """Run a query and give its rows."""

    @abstractmethod
    def change(self, statement: Statement | ClauseElement, /, **values: Value) -> int:
        """Run a change and give the number of rows it met."""

    @abstractmethod
    def add(self, statement: Statement, /, **values: Value) -> None:
        """Run an insert whose outcome nobody waits for.

        A database across a network is not waited for: what the insert breaks is raised
        by one of the next statements, or by the commit.
        """

    def row(self, statement: Statement | ClauseElement, /, **values: Value) -> Row | None:
        """Run a query and give its one row, or None. More than one is `Misuse`."""
        found = self.rows(statement, **values)
        if len(found) > 1:
            raise Misuse(f"expected one row at most, found {len(found)}")
        return found[0] if found else None

    def value(self, statement: Statement | ClauseElement, /, **values: Value) -> Any:  # noqa: ANN401  # as the column
        """Run a query and give the one value of its one row, or None without a row."""
        found = self.row(statement, **values)
        return None if found is None else found[0]
