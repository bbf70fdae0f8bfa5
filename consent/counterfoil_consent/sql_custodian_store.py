"""The custodian's rows in a database: a SQLite file, or PostgreSQL that any number share.

`custodian_tables.py` says what it looks like there. The database decides for every
process which read was the last and which end was first; what was answered is on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_service.migrations import Migrations
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement
from sqlalchemy import BigInteger, bindparam, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from counterfoil_consent import sql_set_outbox
from counterfoil_consent.artefacts import Registration
from counterfoil_consent.custodian_migrations import FOLDER, HEAD
from counterfoil_consent.custodian_tables import GRANTS, JOURNAL, METADATA, READS
from counterfoil_consent.set_outbox import Letter, SetOutbox
from counterfoil_consent.sql_set_outbox import SqlSetOutbox, put_letters
from counterfoil_consent.states import Trigger
from counterfoil_consent.store import Custody, Ended, Kept, Reserved
from counterfoil_consent.terms import Purpose
from counterfoil_consent.tombstone_journal import Mark
from counterfoil_consent.wire import Digest, GrantId, seconds

__all__ = ["MIGRATIONS", "SqlCustodianStore"]

for table in sql_set_outbox.METADATA.sorted_tables:
    table.to_metadata(METADATA)

MIGRATIONS: Final = Migrations(METADATA, folder=FOLDER, head=HEAD)

_this: Final = GRANTS.c.grant_id == bindparam("this")
_is_reserved: Final = GRANTS.c.state == "reserved"
_is_kept: Final = GRANTS.c.state == "kept"
_is_ended: Final = GRANTS.c.state == "ended"

_ANY: Final = Statement(select(GRANTS.c.grant_id).limit(1))
_FIND: Final = Statement(select(GRANTS).where(_this))
_AFTER: Final = Statement(
    select(GRANTS.c.grant_id)
    .where(GRANTS.c.grant_id > bindparam("after"))
    .order_by(GRANTS.c.grant_id)
    .limit(bindparam("at_most"))
)
_WAITING: Final = Statement(select(func.count()).select_from(GRANTS).where(_is_reserved))
_RESERVE: Final = Statement(
    insert(GRANTS),
    columns=(
        "grant_id",
        "state",
        "holder",
        "reserved_at",
        "is_single_use",
        "is_receipted",
        "is_confirmed",
        "reads",
    ),
)
_REGISTERED: Final = (
    *("receiver", "grant_digest", "purpose", "valid_until", "max_reads", "share"),
    *("completer", "authority", "is_single_use"),
)
_KEEP: Final = Statement(
    update(GRANTS)
    .where(_this, _is_reserved, GRANTS.c.holder == bindparam("its_holder"))
    .values(state="kept", **{name: bindparam(name) for name in _REGISTERED})
)
_RECEIPT: Final = Statement(update(GRANTS).where(_this, _is_kept).values(is_receipted=1))
_IS_ANSWERED: Final = Statement(
    select(READS.c.request_id).where(
        READS.c.grant_id == bindparam("this"), READS.c.request_id == bindparam("request")
    )
)
_ANSWERED: Final = Statement(insert(READS))
# `max` of two is SQLite's, `greatest` PostgreSQL's.
_counted: Final = bindparam("counted", type_=BigInteger)
_reads: Final = case((GRANTS.c.reads > _counted, GRANTS.c.reads), else_=_counted)
_COUNT: Final = Statement(
    update(GRANTS)
    .where(
        _this,
        _is_kept,
        GRANTS.c.is_receipted == 1,
        GRANTS.c.is_confirmed == 1,
        _reads < GRANTS.c.max_reads,
        # Ends are whole seconds, so the second that runs decides.
        GRANTS.c.valid_until > bindparam("now"),
    )
    .values(reads=_reads + 1, last_read_at=bindparam("now"))
)
_END: Final = Statement(
    update(GRANTS)
    .where(_this, ~_is_ended)
    .values(state="ended", share=None, trigger=bindparam("because"), ended_at=bindparam("at"))
)
_STATE: Final = Statement(
    update(GRANTS)
    .where(_this, _is_ended, GRANTS.c.statement.is_(None))
    .values(statement=bindparam("said"))
)
_is_due: Final = or_(
    _is_kept
    & or_(
        GRANTS.c.valid_until <= bindparam("now"),
        (GRANTS.c.is_single_use == 1) & (GRANTS.c.reads > 0),
    ),
    _is_reserved & (GRANTS.c.reserved_at < bindparam("before")),
    _is_ended & GRANTS.c.statement.is_(None),
)
# Abandoned reservations come last: anybody can make them, and none can be read.
_DUE: Final = Statement(
    select(GRANTS.c.grant_id)
    .where(_is_due)
    .order_by(case((_is_kept, 0), (_is_ended, 1), else_=2))
    .limit(bindparam("at_most"))
)
_MARK: Final = Statement(select(JOURNAL.c.lines, JOURNAL.c.chain))
_add_mark: Final = insert(JOURNAL)
_SET_MARK: Final = Statement(
    _add_mark.on_conflict_do_update(
        index_elements=["name"],
        set_={"lines": _add_mark.excluded.lines, "chain": _add_mark.excluded.chain},
    ),
    columns=("name", "lines", "chain"),
)
_UNCONFIRM: Final = Statement(update(GRANTS).where(_is_kept).values(is_confirmed=0))
_COUNTS: Final = Statement(
    select(
        func.count(case((_is_reserved, 1))).label("reserved"),
        func.count(case((_is_kept, 1))).label("kept"),
        func.count(case((_is_kept & (GRANTS.c.is_confirmed == 0), 1))).label("unconfirmed"),
        func.count(case((_is_ended & GRANTS.c.statement.is_(None), 1))).label("unfinished"),
    )
)
_CONFIRM: Final = Statement(update(GRANTS).where(_this, _is_kept).values(is_confirmed=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyCounts:
    """How many rows there are: of those `kept`, `unconfirmed`; of the ends, `unfinished`."""

    reserved: int
    kept: int
    unconfirmed: int
    unfinished: int


class SqlCustodianStore:
    """The `CustodianStore` over a database, made when missing.

    `where` is the path of a SQLite file, or the `postgresql://` URL of a database.
    Raises like `Database.open`.
    """

    def __init__(self, where: Path | str) -> None:
        self.database = Database.open(where, MIGRATIONS)
        self.outbox: SetOutbox = SqlSetOutbox(self.database)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def is_empty(self) -> bool:
        with self.database.reading() as connection:
            return connection.row(_ANY) is None

    def reserve(self, reserved: Reserved, limit: int) -> Custody | None:
        with self.database.transaction() as connection:
            if (known := _find(connection, reserved.grant_id)) is not None:
                return known
            if connection.value(_WAITING) >= limit:
                return None
            connection.change(
                _RESERVE,
                grant_id=reserved.grant_id,
                state="reserved",
                holder=reserved.holder,
                reserved_at=seconds(reserved.reserved_at),
                is_single_use=0,
                is_receipted=0,
                is_confirmed=1,
                reads=0,
            )
            return _find(connection, reserved.grant_id)

    def keep(self, registration: Registration) -> Custody | None:
        with self.database.transaction() as connection:
            connection.change(
                _KEEP,
                this=registration.grant_id,
                its_holder=registration.holder,
                receiver=registration.receiver,
                grant_digest=registration.grant_digest,
                purpose=registration.purpose.value,
                valid_until=seconds(registration.valid_until),
                max_reads=registration.max_reads,
                share=b64url(registration.share),
                completer=registration.completer,
                authority=registration.authority,
                is_single_use=int(registration.is_single_use),
            )
            return _find(connection, registration.grant_id)

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        with self.database.reading() as connection:
            rows = connection.rows(_AFTER, after=after or "", at_most=limit)
        return [GrantId(row.grant_id) for row in rows]

    def find(self, grant_id: GrantId) -> Custody | None:
        with self.database.reading() as connection:
            return _find(connection, grant_id)

    def receipt(self, grant_id: GrantId) -> None:
        with self.database.transaction() as connection:
            connection.change(_RECEIPT, this=grant_id)

    def count_read(
        self, grant_id: GrantId, request_id: str, now: datetime, counted: int
    ) -> int | None:
        with self.database.transaction() as connection:
            if connection.row(_IS_ANSWERED, this=grant_id, request=request_id) is not None:
                return None
            if connection.change(_COUNT, this=grant_id, now=seconds(now), counted=counted) != 1:
                return None
            connection.change(_ANSWERED, grant_id=grant_id, request_id=request_id)
            found = _find(connection, grant_id)
            return found.reads if isinstance(found, Kept) else None

    def end(
        self, grant_id: GrantId, trigger: Trigger, at: datetime, letters: Sequence[Letter] = ()
    ) -> Custody | None:
        with self.database.transaction() as connection:
            if connection.change(_END, this=grant_id, because=trigger.value, at=seconds(at)):
                put_letters(connection, letters)
            return _find(connection, grant_id)

    def state_destruction(self, grant_id: GrantId, statement: str) -> Custody | None:
        with self.database.transaction() as connection:
            connection.change(_STATE, this=grant_id, said=statement)
            return _find(connection, grant_id)

    def due(self, now: datetime, reserved_before: datetime, limit: int) -> list[GrantId]:
        with self.database.reading() as connection:
            rows = connection.rows(
                _DUE, now=seconds(now), before=seconds(reserved_before), at_most=limit
            )
        return [GrantId(row.grant_id) for row in rows]

    def journal_mark(self) -> Mark | None:
        with self.database.reading() as connection:
            row = connection.row(_MARK)
        return None if row is None else Mark(row.lines, Digest(row.chain))

    def set_journal_mark(self, mark: Mark) -> None:
        with self.database.transaction() as connection:
            connection.change(_SET_MARK, name="journal", lines=mark.lines, chain=mark.chain)

    def require_confirmations(self) -> int:
        with self.database.transaction() as connection:
            return connection.change(_UNCONFIRM)

    def confirm(self, grant_id: GrantId) -> None:
        with self.database.transaction() as connection:
            connection.change(_CONFIRM, this=grant_id)

    def counts(self) -> CustodyCounts:
        """Count the rows, for whoever operates the custodian."""
        with self.database.reading() as connection:
            (row,) = connection.rows(_COUNTS)
        return CustodyCounts(
            reserved=row.reserved,
            kept=row.kept,
            unconfirmed=row.unconfirmed,
            unfinished=row.unfinished,
        )


def _find(connection: Connection, grant_id: GrantId) -> Custody | None:
    row = connection.row(_FIND, this=grant_id)
    return None if row is None else _custody(row)


def _custody(row: Row) -> Custody:
    grant_id, holder = GrantId(row.grant_id), Did(row.holder)
    match row.state:
        case "reserved":
            return Reserved(grant_id=grant_id, holder=holder, reserved_at=_instant(row.reserved_at))
        case "kept":
            registration = Registration(
                grant_id=grant_id,
                holder=holder,
                receiver=Did(row.receiver),
                grant_digest=Digest(row.grant_digest),
                purpose=Purpose(row.purpose),
                valid_until=_instant(row.valid_until),
                max_reads=row.max_reads,
                share=from_b64url(row.share, "stored_share"),
                completer=None if row.completer is None else Did(row.completer),
                authority=None if row.authority is None else Did(row.authority),
                is_single_use=bool(row.is_single_use),
            )
            return Kept(
                registration=registration,
                is_receipted=bool(row.is_receipted),
                reads=row.reads,
                last_read_at=_maybe_instant(row.last_read_at),
                is_confirmed=bool(row.is_confirmed),
            )
        case _:
            return Ended(
                grant_id=grant_id,
                holder=holder,
                receiver=None if row.receiver is None else Did(row.receiver),
                grant_digest=None if row.grant_digest is None else Digest(row.grant_digest),
                trigger=Trigger(row.trigger),
                ended_at=_instant(row.ended_at),
                reads=row.reads,
                statement=row.statement,
                last_read_at=_maybe_instant(row.last_read_at),
            )


def _maybe_instant(value: int | None) -> datetime | None:
    return None if value is None else _instant(value)


def _instant(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)
