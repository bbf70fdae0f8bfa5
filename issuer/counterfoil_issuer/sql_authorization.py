"""Codes and given answers in the database."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.errors import Misuse
from counterfoil_service.audit import AuditLog
from counterfoil_service.statements import Connection, Row, Statement
from sqlalchemy import (
    bindparam,
    delete,
    insert,
    select,
    update,
)

from counterfoil_issuer.authorization_desk import Note
from counterfoil_issuer.grants import CodeRecord
from counterfoil_issuer.records import Clock, DatasetId, OfferId, SecretHash
from counterfoil_issuer.sql_store import SqlHeld
from counterfoil_issuer.store import Held
from counterfoil_issuer.tables import CODES, DEFERRALS, SPENT_NONCES, TOKENS

# A code is remembered past its end, so that a second use ends the token of the first.
_REMEMBERED: Final = timedelta(minutes=10)

_IS_SPENT: Final = Statement(
    select(SPENT_NONCES.c.expires_at).where(SPENT_NONCES.c.nonce_hash == bindparam("answer"))
)

_ADD_CODE: Final = Statement(insert(CODES))
_FIND_CODE: Final = Statement(select(CODES).where(CODES.c.code_hash == bindparam("code")))
_REDEEM: Final = Statement(
    update(CODES)
    .where(CODES.c.code_hash == bindparam("code"), CODES.c.token_hash.is_(None))
    .values(token_hash=bindparam("token"))
)
_DROP_CODES: Final = Statement(delete(CODES).where(CODES.c.expires_at <= bindparam("before")))
_END_TOKEN: Final = Statement(
    update(TOKENS).where(TOKENS.c.token_hash == bindparam("token")).values(ended=1)
)
_END_WAITING: Final = Statement(
    delete(DEFERRALS).where(
        DEFERRALS.c.token_hash == bindparam("token"), DEFERRALS.c.done_at.is_(None)
    )
)


class SqlGrants:
    """`Grants` inside the transaction of `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_spent(self, answer_hash: SecretHash) -> bool:
        return self._connection.row(_IS_SPENT, answer=answer_hash) is not None

    def add_code(self, code: CodeRecord, now: datetime) -> None:
        self._connection.change(_DROP_CODES, before=_seconds(now - _REMEMBERED))
        self._connection.change(
            _ADD_CODE,
            code_hash=code.code_hash,
            client_id=code.client_id,
            redirect_uri=code.redirect_uri,
            code_challenge=code.code_challenge,
            dpop_jkt=code.dpop_jkt,
            instance_jkt=code.instance_jkt,
            by_identifier=int(code.by_identifier),
            dataset_ids=json.dumps(code.dataset_ids),
            offer_id=code.offer_id,
            token_hash=code.token_hash,
            expires_at=_seconds(code.expires_at),
        )

    def code(self, code_hash: SecretHash) -> CodeRecord | None:
        row = self._connection.row(_FIND_CODE, code=code_hash)
        return None if row is None else _code(row)

    def redeem_code(self, code_hash: SecretHash, token_hash: SecretHash) -> bool:
        return self._connection.change(_REDEEM, code=code_hash, token=token_hash) == 1

    def end_token(self, token_hash: SecretHash) -> None:
        for statement in (_END_TOKEN, _END_WAITING):
            self._connection.change(statement, token=token_hash)

    def forget(self, now: datetime) -> None:
        self._connection.change(_DROP_CODES, before=_seconds(now - _REMEMBERED))


def grants_of(held: Held) -> SqlGrants:
    """Give the grants inside the transaction of `held`."""
    if not isinstance(held, SqlHeld):
        raise Misuse("expected the state in a database, found another")
    return SqlGrants(held.connection)


def note_in(log: AuditLog, clock: Clock) -> Note:
    """Give what writes logins and answers into `log` (see `AuthorizationDesk.note`)."""

    def note(held: Held, actor: str, action: str, subject: str) -> None:
        if not isinstance(held, SqlHeld):
            raise Misuse("expected the state in a database, found another")
        log.append(held.connection, actor, action, subject, clock())

    return note


def _code(row: Row) -> CodeRecord:
    return CodeRecord(
        code_hash=SecretHash(row.code_hash),
        client_id=row.client_id,
        redirect_uri=row.redirect_uri,
        code_challenge=row.code_challenge,
        dpop_jkt=row.dpop_jkt,
        instance_jkt=row.instance_jkt,
        by_identifier=bool(row.by_identifier),
        dataset_ids=tuple(DatasetId(each) for each in json.loads(row.dataset_ids)),
        offer_id=None if row.offer_id is None else OfferId(row.offer_id),
        token_hash=None if row.token_hash is None else SecretHash(row.token_hash),
        expires_at=_instant(row.expires_at),
    )


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
