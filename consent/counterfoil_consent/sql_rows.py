"""A receiver's own SQL rows as a registered system: any SQLAlchemy engine, table and column.

    SqlRows(engine, table_name="customers", column_name="grant_id", place=Place(...), clock=clock)

Every row whose `column` is the grant's id is deleted. On SQLite what was deleted is
overwritten (`secure_delete`) and the journal folded in before the answer. PostgreSQL
keeps old rows and its journal until it reuses the space: give `Place.backups_kept` for
as long as that and the backups last, or keep facts there sealed.
"""

from typing import Final

from counterfoil_credentials.errors import Misuse, Unavailable
from sqlalchemy import (
    ColumnClause,
    Connection,
    Engine,
    String,
    column,
    delete,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from counterfoil_consent.erased_system import ErasedSystem, Method
from counterfoil_consent.systems import Place
from counterfoil_consent.wire import Clock, GrantId

_OLD_JOURNAL: Final = "PRAGMA wal_checkpoint(TRUNCATE)"


class SqlRows:
    """`RegisteredSystem` over the rows of one table."""

    def __init__(
        self,
        engine: Engine,
        *,
        table_name: str,
        column_name: str,
        place: Place,
        clock: Clock,
        schema: str | None = None,
    ) -> None:
        """Look whether table and column are there.

        Raises `Misuse` when they are not: a name that is wrong erases nothing, for ever.
        `Unavailable` when the database does not answer.
        """
        self.place = place
        self._engine = engine
        self._clock = clock
        try:
            looking = inspect(engine)
            known = looking.has_table(table_name, schema=schema) and column_name in {
                found["name"] for found in looking.get_columns(table_name, schema=schema)
            }
        except SQLAlchemyError as cause:
            raise _trouble(cause) from cause
        if not known:
            raise Misuse("expected a table with the column that names the grant, found none")
        self._column: ColumnClause[str] = column(column_name, String)
        self._table = table(table_name, self._column, schema=schema)

    def erase(self, grant_id: GrantId) -> ErasedSystem:
        """Delete the rows, all of them or none."""
        is_sqlite = self._engine.dialect.name == "sqlite"
        try:
            with self._engine.connect() as connection:
                if is_sqlite:
                    connection.exec_driver_sql("PRAGMA secure_delete = ON")
                    connection.commit()
                connection.execute(delete(self._table).where(self._column == grant_id))
                connection.commit()
            if is_sqlite:
                _fold_in(self._engine)
        except SQLAlchemyError as cause:
            raise _trouble(cause) from cause
        return self.place.erased(Method.DELETED, self._clock())

    def holds(self, grant_id: GrantId) -> bool:
        """Say whether there is such a row."""
        counted = select(func.count()).select_from(self._table).where(self._column == grant_id)
        try:
            with self._engine.connect() as connection:
                return bool(connection.scalar(counted))
        except SQLAlchemyError as cause:
            raise _trouble(cause) from cause


def _fold_in(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if _is_memory(connection):
            return
        answer = connection.exec_driver_sql(_OLD_JOURNAL).one()
    # One row: whether somebody was in the way, and two sizes.
    if answer[0] != 0:
        raise Unavailable("expected the journal to be folded in, found it in use")


def _is_memory(connection: Connection) -> bool:
    # The first is always `main`; a database without a file has no name.
    return not connection.exec_driver_sql("PRAGMA database_list").all()[0][2]


def _trouble(cause: SQLAlchemyError) -> Unavailable:
    # The database's own words may quote a row: its class says enough.
    kind = type(cause.orig if isinstance(cause, DBAPIError) else cause).__name__
    return Unavailable(f"expected the database to answer, found {kind}")
