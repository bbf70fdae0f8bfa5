"""Sessions and one-time names in a database, so that what was answered stays answered.

`tables.py` says what it looks like there. The database decides for every process
which answer was first, and a verdict that was given is on disk.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_service import audit, idempotency, outbox
from counterfoil_service.migrations import Migrations
from counterfoil_service.outbox import publish
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement, Value
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from counterfoil_verifier.migrations import FOLDER, HEAD
from counterfoil_verifier.requesting import (
    MOST_WRONG_CODES,
    Answered,
    Handback,
    RequestId,
    SessionId,
    Waiting,
)
from counterfoil_verifier.store import NameTaken, OneTimeName, Summary
from counterfoil_verifier.tables import METADATA, ONE_TIME_NAMES, SESSIONS
from counterfoil_verifier.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from counterfoil_service.listening import Listener

__all__ = ["MIGRATIONS", "SqlNames", "SqlSessionStore"]

for module in (audit, idempotency, outbox):
    module.add_tables(METADATA)

MIGRATIONS: Final = Migrations(METADATA, folder=FOLDER, head=HEAD)

EVENT: Final = "verification.ended"
"""What a webhook is told of: a verdict that counts, without anything that was shown."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WAITING: Final = "waiting"
_ANSWERED: Final = "answered"
_VERDICT: Final = ("outcome", "kind", "codes", "checked_at_us", "status_as_of_us", "took_ms")

_this_session: Final = SESSIONS.c.session_id == bindparam("this")
_is_waiting: Final = SESSIONS.c.state == _WAITING
_is_answered: Final = SESSIONS.c.state == _ANSWERED
_is_open: Final = _is_waiting & (SESSIONS.c.expires_at_us > bindparam("now_us"))

_ADD: Final = Statement(
    insert(SESSIONS),
    columns=(
        "session_id",
        "request_id",
        "language",
        "preset",
        "state",
        "nonce",
        "wallet_state",
        "response_key",
        "transaction_data",
        "facts_key",
        "handback",
        "till",
        "asked_at_us",
        "expires_at_us",
        "later_answers",
    ),
)
_KEEP: Final = Statement(
    insert(SESSIONS).on_conflict_do_nothing(),
    columns=(
        "session_id",
        "preset",
        "state",
        "asked_at_us",
        "expires_at_us",
        *_VERDICT,
        "later_answers",
        "till",
    ),
)
_BY_REQUEST: Final = Statement(select(SESSIONS).where(SESSIONS.c.request_id == bindparam("this")))
_BY_SESSION: Final = Statement(select(SESSIONS).where(_this_session))
_ANSWER: Final = Statement(
    update(SESSIONS)
    .where(_this_session, _is_open)
    .values(
        state=_ANSWERED,
        nonce=None,
        wallet_state=None,
        response_key=None,
        transaction_data=None,
        facts_key=None,
        held=bindparam("shut"),
        code_hash=bindparam("code"),
        **{name: bindparam(name) for name in _VERDICT},
    )
)
_wrong_codes: Final = func.coalesce(SESSIONS.c.wrong_codes, 0)
_is_awaited: Final = SESSIONS.c.code_hash.is_not(None) & (_wrong_codes < MOST_WRONG_CODES)
_HAND_BACK: Final = Statement(
    update(SESSIONS)
    .where(_this_session, _is_awaited, SESSIONS.c.code_hash == bindparam("code"))
    .values(code_hash=None)
)
_COUNT_WRONG: Final = Statement(
    update(SESSIONS).where(_this_session, _is_awaited).values(wrong_codes=_wrong_codes + 1)
)
_DROP_KEYS: Final = Statement(
    update(SESSIONS)
    .where(_is_waiting, SESSIONS.c.expires_at_us <= bindparam("now_us"))
    .where(SESSIONS.c.response_key.is_not(None) | SESSIONS.c.transaction_data.is_not(None))
    .values(response_key=None, transaction_data=None)
)
_has_held: Final = SESSIONS.c.held.is_not(None)
_HELD: Final = Statement(
    select(SESSIONS.c.held).where(
        _this_session, _has_held, SESSIONS.c.checked_at_us > bindparam("since_us")
    )
)
_ERASE_HELD: Final = Statement(update(SESSIONS).where(_this_session).values(held=None))
_DROP_HELD: Final = Statement(
    update(SESSIONS)
    .where(_has_held, SESSIONS.c.checked_at_us <= bindparam("since_us"))
    .values(held=None)
)
_COUNT_LATER: Final = Statement(
    update(SESSIONS)
    .where(_this_session, _is_answered)
    .values(later_answers=SESSIONS.c.later_answers + 1)
)
_UNSENT: Final = Statement(
    select(SESSIONS)
    .where(_is_answered, SESSIONS.c.code_hash.is_(None), SESSIONS.c.sent_at_us.is_(None))
    .order_by(SESSIONS.c.checked_at_us, SESSIONS.c.session_id)
    .limit(bindparam("at_most"))
)
_SENT: Final = Statement(
    update(SESSIONS)
    .where(_this_session, SESSIONS.c.sent_at_us.is_(None))
    .values(sent_at_us=bindparam("at_us"))
)
_FORGET: Final = Statement(delete(SESSIONS).where(SESSIONS.c.asked_at_us < bindparam("before_us")))
_COUNT_ANSWERED: Final = Statement(select(func.count()).select_from(SESSIONS).where(_is_answered))
_COUNT_OPEN: Final = Statement(select(func.count()).select_from(SESSIONS).where(_is_open))
_CHANNEL: Final = "counterfoil_sessions"
_RING: Final = Statement(select(func.pg_notify(_CHANNEL, bindparam("this"))))
_LISTENERS: Final = Statement(select(func.count()).select_from(outbox.ENDPOINTS))
_TAKE: Final = Statement(insert(ONE_TIME_NAMES).on_conflict_do_nothing())
_FORGET_NAMES: Final = Statement(
    delete(ONE_TIME_NAMES).where(ONE_TIME_NAMES.c.ends_at_us <= bindparam("now_us"))
)


class SqlSessionStore:
    """The `SessionStore` over a database, made when missing.

    `where` is the path of a SQLite file, or the `postgresql://` URL of a database
    that any number of processes share; `is_shared` says so of a file. Raises like
    `Database.open`.
    """

    def __init__(self, where: Path | str, *, is_shared: bool | None = None) -> None:
        is_server = isinstance(where, str) and where.startswith(("postgresql://", "postgres://"))
        self.is_shared = is_server if is_shared is None else is_shared
        self.database = Database.open(where, MIGRATIONS)
        self._url = str(where) if is_server else None
        self._hearers: list[Callable[[SessionId], None]] = []
        self._listener: Listener | None = None

    def close(self) -> None:
        """Close the database."""
        if self._listener is not None:
            self._listener.close()
        self.database.close()

    def add(self, waiting: Waiting) -> None:
        with self.database.transaction() as connection:
            connection.change(
                _ADD,
                session_id=waiting.session_id,
                request_id=waiting.request_id,
                language=waiting.language,
                preset=waiting.preset,
                state=_WAITING,
                nonce=waiting.nonce,
                wallet_state=waiting.state,
                response_key=waiting.response_key,
                # Base64url texts, which hold no space.
                transaction_data=" ".join(waiting.transaction_data) or None,
                facts_key=waiting.facts_key,
                handback=waiting.handback,
                till=waiting.till,
                asked_at_us=_microseconds(waiting.asked_at),
                expires_at_us=_microseconds(waiting.expires_at),
                later_answers=0,
            )

    def by_request(self, request_id: RequestId) -> Waiting | Answered | None:
        return self._found(_BY_REQUEST, request_id)

    def by_session(self, session_id: SessionId) -> Waiting | Answered | None:
        return self._found(_BY_SESSION, session_id)

    def answer(
        self,
        session_id: SessionId,
        verdict: Verdict,
        *,
        code_hash: str | None = None,
        held: str | None = None,
        spends: OneTimeName | None = None,
    ) -> bool:
        now_us = _microseconds(verdict.checked_at)
        with self.database.transaction() as connection:
            told = _columns(verdict)
            if not connection.change(
                _ANSWER, this=session_id, now_us=now_us, code=code_hash, shut=held, **told
            ):
                return False
            if spends is not None and not _take(connection, spends.name, spends.ends_at):
                raise NameTaken
            self._notify(connection, session_id)
            if code_hash is None:
                self._tell(connection, session_id)
        self._ring_here(session_id)
        return True

    def take_held(self, session_id: SessionId, *, since: datetime) -> str | None:
        with self.database.transaction() as connection:
            held = connection.value(_HELD, this=session_id, since_us=_microseconds(since))
            if held is None:
                return None
            connection.change(_ERASE_HELD, this=session_id)
            return str(held)

    def hand_back(self, session_id: SessionId, code_hash: str) -> bool:
        with self.database.transaction() as connection:
            is_right = connection.change(_HAND_BACK, this=session_id, code=code_hash) == 1
            self._notify(connection, session_id)
            if is_right:
                self._tell(connection, session_id)
            else:
                connection.change(_COUNT_WRONG, this=session_id)
        self._ring_here(session_id)
        return is_right

    def drop_keys(self, now: datetime, *, held_since: datetime) -> int:
        with self.database.transaction() as connection:
            connection.change(_DROP_HELD, since_us=_microseconds(held_since))
            return connection.change(_DROP_KEYS, now_us=_microseconds(now))

    def keep(self, answered: Answered) -> bool:
        at_us = _microseconds(answered.verdict.checked_at)
        with self.database.transaction() as connection:
            kept = connection.change(
                _KEEP,
                session_id=answered.session_id,
                preset=answered.preset,
                state=_ANSWERED,
                asked_at_us=at_us,
                expires_at_us=at_us,
                **_columns(answered.verdict),
                later_answers=answered.later_answers,
                till=answered.till,
            )
            if kept == 1:
                self._tell(connection, answered.session_id)
            return kept == 1

    def count_later_answer(self, session_id: SessionId) -> None:
        with self.database.transaction() as connection:
            connection.change(_COUNT_LATER, this=session_id)

    def listen(self, heard: Callable[[SessionId], None]) -> None:
        self._hearers.append(heard)
        if self._url is not None and self._listener is None:
            # psycopg is needed only by those who have a server.
            from counterfoil_service.listening import Listener  # noqa: PLC0415

            self._listener = Listener(self._url, _CHANNEL, self._ring)

    def unsent(self, at_most: int) -> Sequence[Answered]:
        with self.database.reading() as connection:
            found = [_session(row) for row in connection.rows(_UNSENT, at_most=at_most)]
        return [one for one in found if isinstance(one, Answered)]

    def mark_sent(self, session_ids: Sequence[SessionId], *, at: datetime) -> None:
        with self.database.transaction() as connection:
            for session_id in session_ids:
                connection.change(_SENT, this=session_id, at_us=_microseconds(at))

    def forget_before(self, moment: datetime) -> int:
        with self.database.transaction() as connection:
            return connection.change(_FORGET, before_us=_microseconds(moment))

    def summary(self, now: datetime) -> Summary:
        with self.database.reading() as connection:
            return Summary(
                verdicts=connection.value(_COUNT_ANSWERED),
                waiting=connection.value(_COUNT_OPEN, now_us=_microseconds(now)),
            )

    def _notify(self, connection: Connection, session_id: SessionId) -> None:
        """Tell every process that listens, once this transaction has ended well."""
        if self._url is not None:
            connection.add(_RING, this=session_id)

    def _ring_here(self, session_id: SessionId) -> None:
        # Where there is a server, this process hears from it too.
        if self._url is None:
            self._ring(session_id)

    def _ring(self, session_id: str) -> None:
        for heard in self._hearers:
            heard(SessionId(session_id))

    def _tell(self, connection: Connection, session_id: SessionId) -> None:
        """Write the event of a verdict that counts, in its transaction, if anybody listens."""
        row = connection.row(_BY_SESSION, this=session_id) if connection.value(_LISTENERS) else None
        if row is None:
            return
        checked_at = _instant(row.checked_at_us)
        said: JsonObject = {
            "id": session_id,
            "preset": row.preset,
            "kind": row.kind,
            "outcome": row.outcome,
            "codes": [*row.codes.split()],
            "checked_at": checked_at.isoformat(),
            "till": row.till,
        }
        publish(connection, EVENT, said, at=checked_at, random=os.urandom)

    def _found(self, statement: Statement, name: str) -> Waiting | Answered | None:
        with self.database.reading() as connection:
            row = connection.row(statement, this=name)
        return None if row is None else _session(row)


class SqlNames:
    """The `OneTimeNames` in the database of a `SqlSessionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, *, ends_at: datetime) -> bool:
        with self._database.transaction() as connection:
            return _take(connection, name, ends_at)

    def forget_names(self, now: datetime) -> int:
        with self._database.transaction() as connection:
            return connection.change(_FORGET_NAMES, now_us=_microseconds(now))


def _take(connection: Connection, name: str, ends_at: datetime) -> bool:
    name_hash = b64url(hashlib.sha256(name.encode()).digest())
    return connection.change(_TAKE, name_hash=name_hash, ends_at_us=_microseconds(ends_at)) == 1


def _columns(verdict: Verdict) -> dict[str, Value]:
    as_of = verdict.status_as_of
    return {
        "outcome": verdict.outcome.value,
        "kind": verdict.kind,
        "codes": " ".join(verdict.codes),
        "checked_at_us": _microseconds(verdict.checked_at),
        "status_as_of_us": None if as_of is None else _microseconds(as_of),
        "took_ms": verdict.took_ms,
    }


def _session(row: Row) -> Waiting | Answered:
    if row.state == _WAITING:
        return Waiting(
            session_id=SessionId(row.session_id),
            request_id=RequestId(row.request_id),
            preset=row.preset,
            language=row.language,
            nonce=row.nonce,
            state=row.wallet_state,
            asked_at=_instant(row.asked_at_us),
            expires_at=_instant(row.expires_at_us),
            response_key=row.response_key,
            transaction_data=tuple((row.transaction_data or "").split()),
            facts_key=row.facts_key,
            handback=None if row.handback is None else Handback(row.handback),
            till=row.till,
        )
    return Answered(
        session_id=SessionId(row.session_id),
        preset=row.preset,
        verdict=Verdict(
            outcome=Outcome(row.outcome),
            codes=tuple(row.codes.split()),
            checked_at=_instant(row.checked_at_us),
            status_as_of=None if row.status_as_of_us is None else _instant(row.status_as_of_us),
            took_ms=row.took_ms,
            kind=row.kind,
        ),
        later_answers=row.later_answers,
        till=row.till,
        awaited=None if row.code_hash is None else Handback(row.handback),
        wrong_codes=row.wrong_codes or 0,
    )


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
