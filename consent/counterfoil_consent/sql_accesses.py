"""The log of reads in the database of the receiver's service: a SQLite file or PostgreSQL."""

from datetime import UTC, datetime
from typing import Final

from counterfoil_service.sql import Database
from counterfoil_service.statements import Row, Statement
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    insert,
    select,
    update,
)

from counterfoil_consent.accesses import Access
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import GrantId, seconds

METADATA: Final = MetaData()
ACCESSES: Final = Table(
    "consent_accesses",
    METADATA,
    Column("place", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("grant_id", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("read", BigInteger),
    UniqueConstraint("grant_id", "request_id", name="an_access_is_logged_once"),
    sqlite_autoincrement=True,
)
Index("consent_accesses_of_grant", ACCESSES.c.grant_id, ACCESSES.c.place)

_ASK: Final = Statement(insert(ACCESSES), columns=("grant_id", "request_id", "purpose", "asked_at"))
_ANSWER: Final = Statement(
    update(ACCESSES)
    .where(
        ACCESSES.c.grant_id == bindparam("this"),
        ACCESSES.c.request_id == bindparam("request"),
        ACCESSES.c.read.is_(None),
    )
    .values(read=bindparam("number"))
)
_OF_GRANT: Final = Statement(
    select(ACCESSES).where(ACCESSES.c.grant_id == bindparam("this")).order_by(ACCESSES.c.place)
)
_COUNT: Final = Statement(
    select(func.count(ACCESSES.c.read)).where(ACCESSES.c.grant_id == bindparam("this"))
)
_LATEST: Final = Statement(
    select(ACCESSES)
    .where(ACCESSES.c.place < bindparam("before"))
    .order_by(ACCESSES.c.place.desc())
    .limit(bindparam("most"))
)
_AFTER_ALL: Final = 2**62


class SqlAccesses:
    """`Accesses` over a database whose schema has `METADATA`'s table."""

    def __init__(self, database: Database) -> None:
        """Use `database`, which its owner opens and closes."""
        self._database = database

    def ask(self, access: Access) -> None:
        with self._database.transaction() as connection:
            connection.change(
                _ASK,
                grant_id=access.grant_id,
                request_id=access.request_id,
                purpose=access.purpose.value,
                asked_at=seconds(access.asked_at),
            )

    def answer(self, grant_id: GrantId, request_id: str, read: int) -> None:
        with self._database.transaction() as connection:
            connection.change(_ANSWER, this=grant_id, request=request_id, number=read)

    def of_grant(self, grant_id: GrantId) -> list[Access]:
        with self._database.reading() as connection:
            return [_access(row) for row in connection.rows(_OF_GRANT, this=grant_id)]

    def count(self, grant_id: GrantId) -> int:
        with self._database.reading() as connection:
            return int(connection.value(_COUNT, this=grant_id) or 0)

    def latest(self, limit: int, before: int | None = None) -> list[tuple[int, Access]]:
        with self._database.reading() as connection:
            rows = connection.rows(
                _LATEST, before=_AFTER_ALL if before is None else before, most=limit
            )
            return [(row.place, _access(row)) for row in rows]


def _access(row: Row) -> Access:
    return Access(
        grant_id=GrantId(row.grant_id),
        request_id=row.request_id,
        purpose=Purpose(row.purpose),
        asked_at=datetime.fromtimestamp(row.asked_at, UTC),
        read=row.read,
    )
