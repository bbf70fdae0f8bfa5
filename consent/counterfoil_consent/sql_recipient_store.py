"""A recipient's rows in a database of its own: a SQLite file or PostgreSQL.

One table; a row that has ended holds no ciphertext, by a constraint. Keys are in the
key folder, never here.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    canonical_json,
    from_b64url,
    parse_object,
)
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    MetaData,
    String,
    Table,
    bindparam,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from counterfoil_consent.erased_system import systems_at
from counterfoil_consent.recipient import Held
from counterfoil_consent.sqlite_file import fold_in
from counterfoil_consent.wire import GrantId, seconds

METADATA: Final = MetaData()
HANDED: Final = Table(
    "consent_handed",
    METADATA,
    Column("grant_id", String, primary_key=True),
    Column("token", String, nullable=False),
    Column("sealed", String),
    Column("valid_until", BigInteger, nullable=False, index=True),
    Column("stopped_at", BigInteger),
    Column("systems", String, nullable=False),
    Column("receipt", String),
    CheckConstraint(
        "(sealed IS NULL) = (stopped_at IS NOT NULL)", name="what_has_ended_has_no_ciphertext"
    ),
    CheckConstraint("receipt IS NULL OR stopped_at IS NOT NULL", name="no_receipt_before_the_end"),
)
_WHERE: Final = "stored_handover"
_CHANGING: Final = ("sealed", "stopped_at", "systems", "receipt")
_this: Final = HANDED.c.grant_id == bindparam("this")
_ANY: Final = Statement(select(HANDED.c.grant_id).limit(1))
_FIND: Final = Statement(select(HANDED).where(_this))
_ADD: Final = Statement(
    insert(HANDED).on_conflict_do_nothing(index_elements=["grant_id"]),
    columns=("grant_id", "token", "valid_until", *_CHANGING),
)
_ADVANCE: Final = Statement(
    update(HANDED).where(_this).values(**{name: bindparam(f"its_{name}") for name in _CHANGING})
)
_DUE: Final = Statement(
    select(HANDED.c.grant_id)
    .where(
        or_(
            HANDED.c.stopped_at.is_(None) & (HANDED.c.valid_until <= bindparam("now")),
            HANDED.c.stopped_at.is_not(None) & HANDED.c.receipt.is_(None),
        )
    )
    .order_by(HANDED.c.stopped_at.is_not(None))
    .limit(bindparam("at_most"))
)


class SqlRecipientStore:
    """The `RecipientStore` over a database, made when missing. Raises like `Database.open`."""

    def __init__(self, where: Path | str) -> None:
        self.database = Database.open(where, METADATA)
        self._file = None if isinstance(where, str) and "://" in where else Path(where)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def is_empty(self) -> bool:
        with self.database.reading() as connection:
            return connection.row(_ANY) is None

    def add(self, held: Held) -> Held:
        with self.database.transaction() as connection:
            connection.change(
                _ADD,
                grant_id=held.grant_id,
                token=held.token,
                valid_until=seconds(held.valid_until),
                **_changing(held),
            )
            return _find(connection, held.grant_id) or held

    def find(self, grant_id: GrantId) -> Held | None:
        with self.database.reading() as connection:
            return _find(connection, grant_id)

    def advance(self, before: Held, after: Held) -> bool:
        with self.database.transaction() as connection:
            if _find(connection, before.grant_id) != before:
                return False
            changes = {f"its_{name}": value for name, value in _changing(after).items()}
            return connection.change(_ADVANCE, this=before.grant_id, **changes) == 1

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        with self.database.reading() as connection:
            rows = connection.rows(_DUE, now=seconds(now), at_most=limit)
        return [GrantId(row.grant_id) for row in rows]

    def scrub(self) -> None:
        # A server keeps what was deleted until it writes over it: ciphertext without its key.
        if self._file is not None:
            fold_in(self._file)


def _find(connection: Connection, grant_id: GrantId) -> Held | None:
    row: Row | None = connection.row(_FIND, this=grant_id)
    if row is None:
        return None
    return Held(
        grant_id=GrantId(row.grant_id),
        token=row.token,
        sealed=None if row.sealed is None else from_b64url(row.sealed, _WHERE),
        valid_until=_instant(row.valid_until),
        stopped_at=None if row.stopped_at is None else _instant(row.stopped_at),
        systems=systems_at(parse_object(row.systems, _WHERE), _WHERE),
        receipt=row.receipt,
    )


def _changing(held: Held) -> dict[str, str | int | None]:
    systems: JsonObject = {"systems": [system.to_json() for system in held.systems]}
    return {
        "sealed": None if held.sealed is None else b64url(held.sealed),
        "stopped_at": None if held.stopped_at is None else seconds(held.stopped_at),
        "systems": canonical_json(systems).decode(),
        "receipt": held.receipt,
    }


def _instant(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)
