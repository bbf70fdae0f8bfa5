"""The custodian's and the receiver's rows in SQLite.

    custodian_grants    one row a grant; `share` is NULL once ended
    custodian_reads     the lease requests that were answered
    consent_requests    the receiver's requests
    consent_grants      the receiver's grants; `bundle` is NULL once ended

No column holds a claim value. Keys are in key folders, never here.
"""

import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import canonical_json, parse_object
from counterfoil_credentials.errors import Unavailable
from counterfoil_service.sql import open_database, reading, transaction
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from counterfoil_consent.artefacts import Registration
from counterfoil_consent.receiver_store import (
    STATEMENT_PATIENCE,
    OpenRequest,
    ReceivedGrant,
    Summary,
)
from counterfoil_consent.states import Granted, Trigger, name_of
from counterfoil_consent.store import Custody, Ended, Kept, Reserved
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import Digest, GrantId, seconds

CUSTODIAN: Final = MetaData()
RECEIVER: Final = MetaData()
RECEIVER_VERSION: Final = 2

_CUSTODY: Final = Table(
    "custodian_grants",
    CUSTODIAN,
    Column("grant_id", String, primary_key=True),
    Column("state", String, nullable=False, index=True),  # reserved, kept, ended
    Column("holder", String, nullable=False),
    Column("reserved_at", Integer),
    Column("receiver", String),
    Column("grant_digest", String),
    Column("purpose", String),
    Column("valid_until", Integer, index=True),
    Column("max_reads", Integer),
    Column("share", LargeBinary),
    Column("completer", String),
    Column("authority", String),
    Column("is_single_use", Integer, nullable=False, default=0),
    Column("is_receipted", Integer, nullable=False, default=0),
    Column("reads", Integer, nullable=False, default=0),
    Column("last_read_at", Integer),
    Column("trigger", String),
    Column("ended_at", Integer),
    Column("statement", String),
)
_READS: Final = Table(
    "custodian_reads",
    CUSTODIAN,
    Column("grant_id", String, ForeignKey("custodian_grants.grant_id"), nullable=False),
    Column("request_id", String, nullable=False),
    PrimaryKeyConstraint("grant_id", "request_id"),
)
_REQUESTS: Final = Table(
    "consent_requests",
    RECEIVER,
    Column("request_id", String, primary_key=True),
    Column("notice_sha256", String, nullable=False, index=True),
    Column("expires_at", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("answered_by", String),
)
Index(
    "ix_consent_requests_unanswered",
    _REQUESTS.c.expires_at,
    sqlite_where=_REQUESTS.c.answered_by.is_(None),
)
_GRANTS: Final = Table(
    "consent_grants",
    RECEIVER,
    Column("grant_id", String, primary_key=True),
    Column("request_id", String, ForeignKey("consent_requests.request_id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("valid_until", Integer, nullable=False, index=True),
    Column("has_statement", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("bundle", LargeBinary),
)


class SqlCustodianStore:
    """`CustodianStore` over one SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open the database at `path`, made when missing."""
        self._engine: Engine = open_database(path, CUSTODIAN)

    def close(self) -> None:
        """Let go of the file, with nothing left in its journal."""
        _close(self._engine)

    def is_empty(self) -> bool:
        with reading(self._engine) as connection:
            return connection.execute(select(_CUSTODY.c.grant_id).limit(1)).first() is None

    def reserve(self, reserved: Reserved, limit: int) -> Custody | None:
        with transaction(self._engine) as connection:
            if (known := _find(connection, reserved.grant_id)) is not None:
                return known
            is_waiting = _CUSTODY.c.state == "reserved"
            waiting = select(func.count()).select_from(_CUSTODY).where(is_waiting)
            if connection.execute(waiting).scalar_one() >= limit:
                return None
            connection.execute(
                insert(_CUSTODY).values(
                    grant_id=reserved.grant_id,
                    state="reserved",
                    holder=reserved.holder,
                    reserved_at=seconds(reserved.reserved_at),
                )
            )
            return _find(connection, reserved.grant_id)

    def keep(self, registration: Registration) -> Custody | None:
        with transaction(self._engine) as connection:
            connection.execute(
                update(_CUSTODY)
                .where(
                    (_CUSTODY.c.grant_id == registration.grant_id)
                    & (_CUSTODY.c.state == "reserved")
                    & (_CUSTODY.c.holder == registration.holder)
                )
                .values(
                    state="kept",
                    receiver=registration.receiver,
                    grant_digest=registration.grant_digest,
                    purpose=registration.purpose.value,
                    valid_until=seconds(registration.valid_until),
                    max_reads=registration.max_reads,
                    share=registration.share,
                    completer=registration.completer,
                    authority=registration.authority,
                    is_single_use=int(registration.is_single_use),
                )
            )
            return _find(connection, registration.grant_id)

    def find(self, grant_id: GrantId) -> Custody | None:
        with reading(self._engine) as connection:
            return _find(connection, grant_id)

    def receipt(self, grant_id: GrantId) -> None:
        with transaction(self._engine) as connection:
            is_kept = (_CUSTODY.c.grant_id == grant_id) & (_CUSTODY.c.state == "kept")
            connection.execute(update(_CUSTODY).where(is_kept).values(is_receipted=1))

    def count_read(
        self, grant_id: GrantId, request_id: str, now: datetime, counted: int
    ) -> int | None:
        reads = func.max(_CUSTODY.c.reads, counted)
        with transaction(self._engine) as connection:
            answered = (_READS.c.grant_id == grant_id) & (_READS.c.request_id == request_id)
            if connection.execute(select(_READS.c.grant_id).where(answered)).first() is not None:
                return None
            changed = connection.execute(
                update(_CUSTODY)
                .where(
                    (_CUSTODY.c.grant_id == grant_id)
                    & (_CUSTODY.c.state == "kept")
                    & (_CUSTODY.c.is_receipted == 1)
                    & (reads < _CUSTODY.c.max_reads)
                    & (_CUSTODY.c.valid_until > now.timestamp())
                )
                .values(reads=reads + 1, last_read_at=seconds(now))
            )
            if changed.rowcount != 1:
                return None
            connection.execute(insert(_READS).values(grant_id=grant_id, request_id=request_id))
            found = _find(connection, grant_id)
            return found.reads if isinstance(found, Kept) else None

    def end(self, grant_id: GrantId, trigger: Trigger, at: datetime) -> Custody | None:
        with transaction(self._engine) as connection:
            connection.execute(
                update(_CUSTODY)
                .where((_CUSTODY.c.grant_id == grant_id) & (_CUSTODY.c.state != "ended"))
                .values(state="ended", trigger=trigger.value, ended_at=seconds(at), share=None)
            )
            return _find(connection, grant_id)

    def state_destruction(self, grant_id: GrantId, statement: str) -> Custody | None:
        with transaction(self._engine) as connection:
            connection.execute(
                update(_CUSTODY)
                .where(
                    (_CUSTODY.c.grant_id == grant_id)
                    & (_CUSTODY.c.state == "ended")
                    & _CUSTODY.c.statement.is_(None)
                )
                .values(statement=statement)
            )
            return _find(connection, grant_id)

    def due(self, now: datetime, reserved_before: datetime, limit: int) -> list[GrantId]:
        column = _CUSTODY.c
        is_due = or_(
            (column.state == "kept")
            & or_(
                column.valid_until <= now.timestamp(),
                (column.is_single_use == 1) & (column.reads > 0),
            ),
            (column.state == "reserved") & (column.reserved_at < seconds(reserved_before)),
            (column.state == "ended") & column.statement.is_(None),
        )
        with reading(self._engine) as connection:
            # Abandoned reservations come last: anybody can make them, and none can be read.
            turn = case((column.state == "kept", 0), (column.state == "ended", 1), else_=2)
            wanted = select(column.grant_id).where(is_due).order_by(turn).limit(limit)
            rows = connection.execute(wanted)
            return [GrantId(row.grant_id) for row in rows]


class SqlReceiverStore:
    """`ReceiverStore` over one SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open the database at `path`, made when missing."""
        self._engine: Engine = open_database(path, RECEIVER, version=RECEIVER_VERSION)

    def close(self) -> None:
        """Let go of the file, with nothing left in its journal."""
        _close(self._engine)

    def is_empty(self) -> bool:
        # Every grant has its request.
        with reading(self._engine) as connection:
            return connection.execute(select(_REQUESTS.c.request_id).limit(1)).first() is None

    def add_request(self, request: OpenRequest) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                insert(_REQUESTS).values(
                    request_id=request.request_id,
                    notice_sha256=request.requested.terms.notice.sha256,
                    expires_at=seconds(request.requested.expires_at),
                    body=canonical_json(request.to_json()),
                )
            )

    def find_request(self, request_id: GrantId) -> OpenRequest | None:
        with reading(self._engine) as connection:
            return _request(connection, _REQUESTS.c.request_id == request_id)

    def find_notice(self, sha256: Digest) -> str | None:
        with reading(self._engine) as connection:
            found = _request(connection, _REQUESTS.c.notice_sha256 == sha256)
        return None if found is None else found.notice

    def answer(self, request_id: GrantId, granted: Granted) -> ReceivedGrant | None:
        grant_id = granted.agreement.grant_id
        grant = ReceivedGrant(request_id=request_id, state=granted)
        with transaction(self._engine) as connection:
            request = _request(connection, _REQUESTS.c.request_id == request_id)
            if request is None:
                return None
            if request.answered_by is not None:
                return _grant(connection, request.answered_by)
            if _grant(connection, grant_id) is not None:
                return None
            connection.execute(
                update(_REQUESTS)
                .where(_REQUESTS.c.request_id == request_id)
                .values(answered_by=grant_id)
            )
            connection.execute(
                insert(_GRANTS).values(
                    grant_id=grant_id,
                    request_id=request_id,
                    valid_until=seconds(grant.terms.valid_until),
                    **_changing(grant, 0),
                )
            )
        return grant

    def find_grant(self, grant_id: GrantId) -> ReceivedGrant | None:
        with reading(self._engine) as connection:
            return _grant(connection, grant_id)

    def advance(self, before: ReceivedGrant, after: ReceivedGrant, bundle: bytes | None) -> bool:
        is_same = (_GRANTS.c.grant_id == before.grant_id) & (_GRANTS.c.revision == before.revision)
        with transaction(self._engine) as connection:
            changed = connection.execute(
                update(_GRANTS)
                .where(is_same)
                .values(bundle=bundle, **_changing(after, before.revision + 1))
            )
            return changed.rowcount == 1

    def find_bundle(self, grant_id: GrantId) -> bytes | None:
        with reading(self._engine) as connection:
            of_grant = select(_GRANTS.c.bundle).where(_GRANTS.c.grant_id == grant_id)
            found: bytes | None = connection.scalar(of_grant)
            return found

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        is_live = _GRANTS.c.state.in_(("granted", "active", "suspended"))
        is_due = or_(
            is_live & (_GRANTS.c.valid_until <= now.timestamp()),
            ~is_live & (_GRANTS.c.state != "erased"),
            (_GRANTS.c.state == "erased")
            & (_GRANTS.c.has_statement == 0)
            & (_GRANTS.c.valid_until > (now - STATEMENT_PATIENCE).timestamp()),
        )
        with reading(self._engine) as connection:
            # What must end comes before what only lacks a paper.
            wanted = select(_GRANTS.c.grant_id).where(is_due).order_by(~is_live).limit(limit)
            return [GrantId(row.grant_id) for row in connection.execute(wanted)]

    def unanswered(self, expired_by: datetime, limit: int) -> list[GrantId]:
        column = _REQUESTS.c
        is_old = column.answered_by.is_(None) & (column.expires_at <= expired_by.timestamp())
        with reading(self._engine) as connection:
            rows = connection.execute(select(column.request_id).where(is_old).limit(limit))
            return [GrantId(row.request_id) for row in rows]

    def drop_request(self, request_id: GrantId) -> None:
        is_open = (_REQUESTS.c.request_id == request_id) & _REQUESTS.c.answered_by.is_(None)
        with transaction(self._engine) as connection:
            connection.execute(delete(_REQUESTS).where(is_open))

    def scrub(self) -> None:
        _checkpoint(self._engine)

    def summary(self) -> Summary:
        is_live = _GRANTS.c.state.in_(("granted", "active", "suspended"))
        with reading(self._engine) as connection:
            counted = select(func.count(), func.count(case((is_live, 1)))).select_from(_GRANTS)
            total, live = connection.execute(counted).one()
        return Summary(live=live, ended=total - live)


def back_up(source: Path, target: Path) -> None:
    """Write the database at `source` to the new file `target`, as of one moment.

    What a running service has written stands partly in its journal: a copy of the
    one file is not a copy of the database.

    Raises `Unavailable` when there is no database or no room.
    """
    # SQLite writes into an empty file that is there, and keeps its mode.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as opened:
            opened.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as cause:
        target.unlink()
        raise Unavailable(f"expected a database to back up, found {cause}") from cause


def _close(engine: Engine) -> None:
    # Whoever closes last folds the journal into the file; a reader elsewhere may keep it.
    with suppress(Unavailable):
        _checkpoint(engine)
    engine.dispose()


def _checkpoint(engine: Engine) -> None:
    """Move the journal into the database file and empty it (`secure_delete` is on)."""
    # Not within a transaction, which every connection of the engine would begin.
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        answer = cursor.fetchone()
        cursor.close()
    except sqlite3.OperationalError as cause:
        raise Unavailable(f"expected the journal to be folded in, found {cause}") from cause
    finally:
        raw.close()
    # One row: whether somebody was in the way, and two sizes.
    if answer is None or answer[0] != 0:
        raise Unavailable("expected the journal to be folded in, found it in use")


def _find(connection: Connection, grant_id: GrantId) -> Custody | None:
    row = connection.execute(select(_CUSTODY).where(_CUSTODY.c.grant_id == grant_id)).first()
    return None if row is None else _custody(row)


def _custody(row: Row[Any]) -> Custody:
    grant_id, holder = GrantId(row.grant_id), Did(row.holder)
    if row.state == "reserved":
        return Reserved(grant_id=grant_id, holder=holder, reserved_at=_instant(row.reserved_at))
    if row.state == "kept":
        registration = Registration(
            grant_id=grant_id,
            holder=holder,
            receiver=Did(row.receiver),
            grant_digest=Digest(row.grant_digest),
            purpose=Purpose(row.purpose),
            valid_until=_instant(row.valid_until),
            max_reads=row.max_reads,
            share=row.share,
            completer=None if row.completer is None else Did(row.completer),
            authority=None if row.authority is None else Did(row.authority),
            is_single_use=bool(row.is_single_use),
        )
        return Kept(
            registration=registration,
            is_receipted=bool(row.is_receipted),
            reads=row.reads,
            last_read_at=_maybe_instant(row.last_read_at),
        )
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


def _request(connection: Connection, which: Any) -> OpenRequest | None:  # noqa: ANN401  # SQLAlchemy's own generic
    row = connection.execute(select(_REQUESTS).where(which)).first()
    if row is None:
        return None
    body = parse_object(row.body, "stored_request")
    return OpenRequest.from_json(body, GrantId(row.request_id), row.answered_by)


def _grant(connection: Connection, grant_id: GrantId) -> ReceivedGrant | None:
    row = connection.execute(select(_GRANTS).where(_GRANTS.c.grant_id == grant_id)).first()
    if row is None:
        return None
    body = parse_object(row.body, "stored_grant")
    return ReceivedGrant.from_json(body, GrantId(row.request_id), row.revision)


def _changing(grant: ReceivedGrant, revision: int) -> dict[str, Any]:
    has_statement = grant.ending is not None and grant.ending.destruction is not None
    return {
        "revision": revision,
        "state": name_of(grant.state),
        "has_statement": int(has_statement),
        "body": canonical_json(grant.to_json()),
    }


def _maybe_instant(value: int | None) -> datetime | None:
    return None if value is None else _instant(value)


def _instant(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)
