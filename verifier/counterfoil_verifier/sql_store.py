"""Sessions in SQLite, so that a request stays answered after a crash."""

from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_service.sql import reading, transaction
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from counterfoil_verifier.requesting import Answered, RequestId, SessionId, Waiting
from counterfoil_verifier.store import Summary
from counterfoil_verifier.verdict import Outcome, Verdict

METADATA: Final = MetaData()

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False, unique=True),
    Column("preset", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Needed while waiting, and gone with the answer.
    Column("nonce", Text),
    Column("wallet_state", Text),
    Column("asked_at_us", Integer, nullable=False, index=True),
    Column("expires_at_us", Integer, nullable=False),
    Column("outcome", Text),
    Column("codes", Text),
    Column("checked_at_us", Integer),
    Column("status_as_of_us", Integer),
    Column("took_ms", Integer),
    Column("later_answers", Integer, nullable=False, default=0),
    CheckConstraint("state IN ('waiting', 'answered')"),
    CheckConstraint("(state = 'waiting') = (outcome IS NULL)"),
    CheckConstraint("(state = 'waiting') = (nonce IS NOT NULL)"),
)


class SqlSessionStore:
    """The `SessionStore` over one SQLite database (`open_database(path, METADATA)`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, waiting: Waiting) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                insert(_SESSIONS).values(
                    session_id=waiting.session_id,
                    request_id=waiting.request_id,
                    preset=waiting.preset,
                    language=waiting.language,
                    state="waiting",
                    nonce=waiting.nonce,
                    wallet_state=waiting.state,
                    asked_at_us=_microseconds(waiting.asked_at),
                    expires_at_us=_microseconds(waiting.expires_at),
                )
            )

    def by_request(self, request_id: RequestId) -> Waiting | Answered | None:
        with reading(self._engine) as connection:
            found = select(_SESSIONS).where(_SESSIONS.c.request_id == request_id)
            return _session(connection.execute(found).one_or_none())

    def by_session(self, session_id: SessionId) -> Waiting | Answered | None:
        with reading(self._engine) as connection:
            found = select(_SESSIONS).where(_SESSIONS.c.session_id == session_id)
            return _session(connection.execute(found).one_or_none())

    def answer(self, session_id: SessionId, verdict: Verdict) -> bool:
        checked_at_us = _microseconds(verdict.checked_at)
        as_of = verdict.status_as_of
        with transaction(self._engine) as connection:
            answered = connection.execute(
                update(_SESSIONS)
                .where(_SESSIONS.c.session_id == session_id, _SESSIONS.c.state == "waiting")
                .where(_SESSIONS.c.expires_at_us > checked_at_us)
                .values(
                    state="answered",
                    nonce=None,
                    wallet_state=None,
                    outcome=verdict.outcome.value,
                    codes=" ".join(verdict.codes),
                    checked_at_us=checked_at_us,
                    status_as_of_us=None if as_of is None else _microseconds(as_of),
                    took_ms=verdict.took_ms,
                )
            )
            return answered.rowcount == 1

    def count_later_answer(self, session_id: SessionId) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                update(_SESSIONS)
                .where(_SESSIONS.c.session_id == session_id, _SESSIONS.c.state == "answered")
                .values(later_answers=_SESSIONS.c.later_answers + 1)
            )

    def forget_before(self, moment: datetime) -> int:
        old = _SESSIONS.c.asked_at_us < _microseconds(moment)
        with transaction(self._engine) as connection:
            return connection.execute(delete(_SESSIONS).where(old)).rowcount

    def summary(self, now: datetime) -> Summary:
        waiting = (_SESSIONS.c.state == "waiting") & (
            _SESSIONS.c.expires_at_us > _microseconds(now)
        )
        counting = select(func.count()).select_from(_SESSIONS)
        with reading(self._engine) as connection:
            verdicts = connection.scalar(counting.where(_SESSIONS.c.state == "answered"))
            return Summary(
                verdicts=verdicts or 0, waiting=connection.scalar(counting.where(waiting)) or 0
            )


def _session(row: Row[tuple[object, ...]] | None) -> Waiting | Answered | None:
    if row is None:
        return None
    if row.state == "waiting":
        return Waiting(
            session_id=SessionId(row.session_id),
            request_id=RequestId(row.request_id),
            preset=row.preset,
            language=row.language,
            nonce=row.nonce,
            state=row.wallet_state,
            asked_at=_instant(row.asked_at_us),
            expires_at=_instant(row.expires_at_us),
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
        ),
        later_answers=row.later_answers,
    )


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
