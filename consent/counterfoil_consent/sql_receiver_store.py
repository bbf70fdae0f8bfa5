"""A receiver's rows in a database: a SQLite file, or PostgreSQL that any number share.

`receiver_tables.py` says what it looks like there. It is a database, or on a server a
schema, of its own, also where the brand or the shop that mounts the receiver has one.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import b64url, canonical_json, from_b64url, parse_object
from counterfoil_service.migrations import Migrations
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement, Value
from sqlalchemy import bindparam, case, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from counterfoil_consent import sql_accesses, sql_set_outbox
from counterfoil_consent.receiver_migrations import FOLDER, HEAD
from counterfoil_consent.receiver_store import (
    Cursor,
    Listing,
    OpenRequest,
    ReceivedGrant,
    Summary,
)
from counterfoil_consent.receiver_tables import GRANTS, LIVE, METADATA, REQUESTS
from counterfoil_consent.set_outbox import Letter, SetOutbox
from counterfoil_consent.sql_set_outbox import SqlSetOutbox, put_letters
from counterfoil_consent.sqlite_file import fold_in
from counterfoil_consent.states import Granted, name_of
from counterfoil_consent.wire import Digest, GrantId, seconds

__all__ = ["MIGRATIONS", "SqlReceiverStore"]

for tables in (sql_set_outbox.METADATA, sql_accesses.METADATA):
    for table in tables.sorted_tables:
        table.to_metadata(METADATA)

MIGRATIONS: Final = Migrations(METADATA, folder=FOLDER, head=HEAD)

_this_request: Final = REQUESTS.c.request_id == bindparam("this")
_this_grant: Final = GRANTS.c.grant_id == bindparam("this")
_is_open: Final = REQUESTS.c.answered_by.is_(None)
_is_live: Final = or_(*(GRANTS.c.state == state for state in LIVE))

# Every grant has its request.
_ANY: Final = Statement(select(REQUESTS.c.request_id).limit(1))
_ADD_REQUEST: Final = Statement(
    insert(REQUESTS), columns=("request_id", "notice_sha256", "expires_at", "body")
)
_FIND_REQUEST: Final = Statement(select(REQUESTS).where(_this_request))
_FIND_NOTICE: Final = Statement(
    select(REQUESTS).where(REQUESTS.c.notice_sha256 == bindparam("digest")).limit(1)
)
_ANSWER: Final = Statement(
    update(REQUESTS).where(_this_request, _is_open).values(answered_by=bindparam("grant"))
)
_ADD_GRANT: Final = Statement(
    insert(GRANTS),
    columns=(
        *("grant_id", "request_id", "valid_until"),
        *("revision", "state", "has_papers", "due_at", "keeps", "body"),
    ),
)
_FIND_GRANT: Final = Statement(
    select(GRANTS.c.request_id, GRANTS.c.revision, GRANTS.c.body).where(_this_grant)
)
_AFTER: Final = Statement(
    select(GRANTS.c.grant_id)
    .where(GRANTS.c.grant_id > bindparam("after"))
    .order_by(GRANTS.c.grant_id)
    .limit(bindparam("at_most"))
)
_FIND_BUNDLE: Final = Statement(select(GRANTS.c.bundle).where(_this_grant))
_ADVANCE: Final = Statement(
    update(GRANTS)
    .where(_this_grant, GRANTS.c.revision == bindparam("before"))
    .values(
        bundle=bindparam("sealed"),
        **{
            name: bindparam(name)
            for name in ("revision", "state", "has_papers", "due_at", "keeps", "body")
        },
    )
)
# What must end comes before what only lacks a paper.
_DUE: Final = Statement(
    select(GRANTS.c.grant_id)
    .where(GRANTS.c.due_at <= bindparam("now"))
    .order_by(case((_is_live, 0), else_=1))
    .limit(bindparam("at_most"))
)
_UNANSWERED: Final = Statement(
    select(REQUESTS.c.request_id)
    .where(_is_open, REQUESTS.c.expires_at <= bindparam("by"))
    .limit(bindparam("at_most"))
)
_DROP: Final = Statement(delete(REQUESTS).where(_this_request, _is_open))
_position: Final = tuple_(GRANTS.c.valid_until, GRANTS.c.grant_id)
_PAGES: Final = {
    listing: Statement(
        select(GRANTS.c.request_id, GRANTS.c.revision, GRANTS.c.body)
        .where(is_listed, _position > tuple_(bindparam("after"), bindparam("after_id")))
        .order_by(GRANTS.c.valid_until, GRANTS.c.grant_id)
        .limit(bindparam("at_most"))
    )
    for listing, is_listed in (
        (Listing.LIVE, _is_live),
        (Listing.PENDING, ~_is_live & (GRANTS.c.state != "erased")),
        (Listing.UNPROVED, (GRANTS.c.state == "erased") & (GRANTS.c.has_papers == 0)),
        (Listing.KEEPING, GRANTS.c.keeps == 1),
        (Listing.ERASED, GRANTS.c.state == "erased"),
    )
}
_WAITING: Final = Statement(
    select(REQUESTS)
    .where(
        _is_open,
        REQUESTS.c.expires_at > bindparam("now"),
        tuple_(REQUESTS.c.expires_at, REQUESTS.c.request_id)
        > tuple_(bindparam("after"), bindparam("after_id")),
    )
    .order_by(REQUESTS.c.expires_at, REQUESTS.c.request_id)
    .limit(bindparam("at_most"))
)
_COUNT: Final = Statement(
    select(func.count().label("total"), func.count(case((_is_live, 1))).label("live")).select_from(
        GRANTS
    )
)


class SqlReceiverStore:
    """The `ReceiverStore` over a database, made when missing.

    `where` is the path of a SQLite file, or the `postgresql://` URL of a database.
    Raises like `Database.open`.
    """

    def __init__(self, where: Path | str) -> None:
        self.database = Database.open(where, MIGRATIONS)
        self.outbox: SetOutbox = SqlSetOutbox(self.database)
        self._file = None if isinstance(where, str) and "://" in where else Path(where)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def is_empty(self) -> bool:
        with self.database.reading() as connection:
            return connection.row(_ANY) is None

    def add_request(self, request: OpenRequest) -> None:
        with self.database.transaction() as connection:
            connection.change(
                _ADD_REQUEST,
                request_id=request.request_id,
                notice_sha256=request.requested.terms.notice.sha256,
                expires_at=seconds(request.requested.expires_at),
                body=canonical_json(request.to_json()).decode(),
            )

    def find_request(self, request_id: GrantId) -> OpenRequest | None:
        with self.database.reading() as connection:
            return _request(connection.row(_FIND_REQUEST, this=request_id))

    def find_notice(self, sha256: Digest) -> str | None:
        with self.database.reading() as connection:
            found = _request(connection.row(_FIND_NOTICE, digest=sha256))
        return None if found is None else found.notice

    def answer(
        self, request_id: GrantId, granted: Granted, presentation: str
    ) -> ReceivedGrant | None:
        grant_id = granted.agreement.grant_id
        grant = ReceivedGrant(request_id=request_id, state=granted, presentation=presentation)
        with self.database.transaction() as connection:
            request = _request(connection.row(_FIND_REQUEST, this=request_id))
            if request is None:
                return None
            if request.answered_by is not None:
                return _grant(connection, request.answered_by)
            if _grant(connection, grant_id) is not None:
                return None
            connection.change(_ANSWER, this=request_id, grant=grant_id)
            connection.change(
                _ADD_GRANT,
                grant_id=grant_id,
                request_id=request_id,
                valid_until=seconds(grant.terms.valid_until),
                **_changing(grant, 0),
            )
        return grant

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        with self.database.reading() as connection:
            rows = connection.rows(_AFTER, after=after or "", at_most=limit)
        return [GrantId(row.grant_id) for row in rows]

    def find_grant(self, grant_id: GrantId) -> ReceivedGrant | None:
        with self.database.reading() as connection:
            return _grant(connection, grant_id)

    def advance(
        self,
        before: ReceivedGrant,
        after: ReceivedGrant,
        bundle: bytes | None,
        letters: Sequence[Letter] = (),
    ) -> bool:
        with self.database.transaction() as connection:
            changed = connection.change(
                _ADVANCE,
                this=before.grant_id,
                before=before.revision,
                sealed=None if bundle is None else b64url(bundle),
                **_changing(after, before.revision + 1),
            )
            if changed:
                put_letters(connection, letters)
            return changed == 1

    def find_bundle(self, grant_id: GrantId) -> bytes | None:
        with self.database.reading() as connection:
            found = connection.value(_FIND_BUNDLE, this=grant_id)
        return None if found is None else from_b64url(found, "stored_bundle")

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        with self.database.reading() as connection:
            rows = connection.rows(_DUE, now=seconds(now), at_most=limit)
        return [GrantId(row.grant_id) for row in rows]

    def unanswered(self, expired_by: datetime, limit: int) -> list[GrantId]:
        with self.database.reading() as connection:
            rows = connection.rows(_UNANSWERED, by=seconds(expired_by), at_most=limit)
        return [GrantId(row.request_id) for row in rows]

    def drop_request(self, request_id: GrantId) -> None:
        with self.database.transaction() as connection:
            connection.change(_DROP, this=request_id)

    def scrub(self) -> None:
        # A server keeps what was deleted in its pages and its log until it writes over them:
        # ciphertext, and neither of its two keys is left.
        if self._file is not None:
            fold_in(self._file)

    def page(self, listing: Listing, after: Cursor, limit: int) -> list[ReceivedGrant]:
        with self.database.reading() as connection:
            rows = connection.rows(
                _PAGES[listing], after=after.at_s, after_id=after.name, at_most=limit
            )
        return [_read_grant(row) for row in rows]

    def waiting(self, now: datetime, after: Cursor, limit: int) -> list[OpenRequest]:
        with self.database.reading() as connection:
            rows = connection.rows(
                _WAITING, now=seconds(now), after=after.at_s, after_id=after.name, at_most=limit
            )
        return [request for request in map(_request, rows) if request is not None]

    def summary(self) -> Summary:
        with self.database.reading() as connection:
            ((total, live),) = connection.rows(_COUNT)
        return Summary(live=live, ended=total - live)


def _request(row: Row | None) -> OpenRequest | None:
    if row is None:
        return None
    body = parse_object(row.body, "stored_request")
    return OpenRequest.from_json(body, GrantId(row.request_id), row.answered_by)


def _grant(connection: Connection, grant_id: GrantId) -> ReceivedGrant | None:
    row = connection.row(_FIND_GRANT, this=grant_id)
    return None if row is None else _read_grant(row)


def _read_grant(row: Row) -> ReceivedGrant:
    body = parse_object(row.body, "stored_grant")
    return ReceivedGrant.from_json(body, GrantId(row.request_id), row.revision)


def _changing(grant: ReceivedGrant, revision: int) -> dict[str, Value]:
    due_at = grant.due_at
    return {
        "revision": revision,
        "state": name_of(grant.state),
        "has_papers": int(grant.has_all_papers),
        "due_at": None if due_at is None else seconds(due_at),
        "keeps": int(bool(grant.kept)),
        "body": canonical_json(grant.to_json()).decode(),
    }
