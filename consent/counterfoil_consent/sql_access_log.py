"""Access events in a database of their own: a SQLite file, or a schema on PostgreSQL.

Of its own, so that a receiver's database that comes back from a backup brings no
shorter log with it. A closed chain has an entry without a token.
"""

from pathlib import Path
from typing import Final

from counterfoil_service.sql import Database
from counterfoil_service.statements import Statement
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from counterfoil_consent.wire import GrantId

METADATA: Final = MetaData()
EVENTS: Final = Table(
    "consent_access_events",
    METADATA,
    Column("grant_id", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", String),
    PrimaryKeyConstraint("grant_id", "number"),
)
_CLOSED: Final = 0
_ours: Final = EVENTS.c.grant_id == bindparam("this")
_ADD: Final = Statement(insert(EVENTS), columns=("grant_id", "number", "token"))
_CLOSE: Final = Statement(
    insert(EVENTS).on_conflict_do_nothing(), columns=("grant_id", "number", "token")
)
_LAST: Final = Statement(select(func.max(EVENTS.c.number)).where(_ours))
_END: Final = Statement(
    select(EVENTS.c.number).where(_ours, EVENTS.c.number == bindparam("closed"))
)
_NEWEST: Final = Statement(
    select(EVENTS.c.number, EVENTS.c.token)
    .where(_ours, EVENTS.c.number > _CLOSED)
    .order_by(EVENTS.c.number.desc())
    .limit(1)
)
_ALL: Final = Statement(
    select(EVENTS.c.token).where(_ours, EVENTS.c.number > _CLOSED).order_by(EVENTS.c.number)
)


class SqlAccessEvents:
    """`AccessEvents` over a database, made when missing. Raises like `Database.open`."""

    def __init__(self, where: Path | str) -> None:
        """Open the SQLite file, or the database at a `postgresql://` URL."""
        self.database = Database.open(where, METADATA)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def append(self, grant_id: GrantId, number: int, token: str) -> bool:
        with self.database.transaction() as connection:
            if connection.row(_END, this=grant_id, closed=_CLOSED) is not None:
                return False
            if number != (connection.value(_LAST, this=grant_id) or 0) + 1:
                return False
            connection.change(_ADD, grant_id=grant_id, number=number, token=token)
            return True

    def of_grant(self, grant_id: GrantId) -> list[str]:
        with self.database.reading() as connection:
            return [row.token for row in connection.rows(_ALL, this=grant_id)]

    def last(self, grant_id: GrantId) -> tuple[int, str] | None:
        with self.database.reading() as connection:
            row = connection.row(_NEWEST, this=grant_id)
        return None if row is None else (row.number, row.token)

    def end(self, grant_id: GrantId) -> None:
        with self.database.transaction() as connection:
            connection.change(_CLOSE, grant_id=grant_id, number=_CLOSED, token=None)

    def has_ended(self, grant_id: GrantId) -> bool:
        with self.database.reading() as connection:
            return connection.row(_END, this=grant_id, closed=_CLOSED) is not None
