"""Letters in the database of their service: a SQLite file or PostgreSQL.

    with database.transaction() as connection:
        ...                                       the end of a grant
        put_letters(connection, letters)     and who must be told of it
    outbox = SqlSetOutbox(database)

Times are whole seconds since 1970; a lease and a retry may so come a second early.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from counterfoil_consent.set_outbox import (
    AT_ONCE,
    MAX_STREAMS,
    DeadLetter,
    Letter,
    LetterState,
    OutboxCounts,
    Round,
)
from counterfoil_consent.wire import GrantId, seconds

METADATA: Final = MetaData()
LETTERS: Final = Table(
    "set_letters",
    METADATA,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("destination", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("grant_id", String, nullable=False),
    Column("token", String, nullable=False),
    Column("endpoint", String),
    Column("rank", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("failure", String, nullable=False),
    Column("died_at", BigInteger, nullable=False),
    UniqueConstraint("destination", "event_id", name="set_letters_once"),
    sqlite_autoincrement=True,
)
Index("set_letters_in_order", LETTERS.c.destination, LETTERS.c.state, LETTERS.c.sequence)
DESTINATIONS: Final = Table(
    "set_destinations",
    METADATA,
    Column("destination", String, primary_key=True),
    Column("endpoint", String),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("lease", String),
    Column("lease_ends_at", BigInteger, nullable=False),
)
REQUESTS: Final = Table(
    "set_requests",
    METADATA,
    Column("caller", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("until", BigInteger, nullable=False, index=True),
    PrimaryKeyConstraint("caller", "request_id"),
)

_LETTER: Final = (
    *("destination", "event_id", "grant_id", "token", "endpoint"),
    *("rank", "state", "failure", "died_at"),
)
_IS_ITS: Final = LETTERS.c.destination == bindparam("where_to")
_IS_LETTER: Final = _IS_ITS & (LETTERS.c.event_id == bindparam("event"))
_IS_WAITING: Final = LETTERS.c.state == LetterState.WAITING.value
_ADD: Final = Statement(
    insert(LETTERS).on_conflict_do_nothing(index_elements=["destination", "event_id"]),
    columns=_LETTER,
)
_KNOWN: Final = Statement(select(LETTERS.c.sequence).where(_IS_LETTER))
_IS_PAUSE: Final = _IS_ITS & (LETTERS.c.rank > 0) & (LETTERS.c.grant_id == bindparam("grant"))
_HIGHEST: Final = Statement(select(func.max(LETTERS.c.rank)).where(_IS_PAUSE))
_DROP_PAUSES: Final = Statement(delete(LETTERS).where(_IS_PAUSE))
_ADD_DESTINATION: Final = Statement(
    insert(DESTINATIONS).on_conflict_do_nothing(index_elements=["destination"])
)
_IS_IT: Final = DESTINATIONS.c.destination == bindparam("where_to")
_FIND_DESTINATION: Final = Statement(select(DESTINATIONS.c.destination).where(_IS_IT))
_COUNT_DESTINATIONS: Final = Statement(select(func.count()).select_from(DESTINATIONS))
_SET_ENDPOINT: Final = Statement(
    update(DESTINATIONS).where(_IS_IT).values(endpoint=bindparam("url"))
)
_HAS_PUSH: Final = exists().where(
    (LETTERS.c.destination == DESTINATIONS.c.destination)
    & _IS_WAITING
    & or_(LETTERS.c.endpoint.is_not(None), DESTINATIONS.c.endpoint.is_not(None))
)
_IS_DUE: Final = (
    (DESTINATIONS.c.next_at <= bindparam("moment"))
    & (DESTINATIONS.c.lease_ends_at <= bindparam("moment"))
    & _HAS_PUSH
)
_DUE: Final = (
    select(DESTINATIONS)
    .order_by(case((DESTINATIONS.c.attempts > 0, 1), else_=0), DESTINATIONS.c.next_at)
    .limit(1)
)
_DUE_ANY: Final = Statement(_DUE.where(_IS_DUE))
_DUE_STEADY: Final = Statement(_DUE.where(_IS_DUE & (DESTINATIONS.c.attempts == 0)))
_LEASE: Final = Statement(
    update(DESTINATIONS)
    .where(_IS_IT)
    .values(lease=bindparam("token"), lease_ends_at=bindparam("ends"))
)
_TO_PUSH: Final = Statement(
    select(LETTERS).where(_IS_ITS & _IS_WAITING).order_by(LETTERS.c.sequence).limit(AT_ONCE)
)
_HOLDS: Final = _IS_IT & (DESTINATIONS.c.lease == bindparam("token"))
_WENT_WELL: Final = Statement(
    update(DESTINATIONS)
    .where(_HOLDS)
    .values(attempts=0, next_at=bindparam("moment"), lease_ends_at=bindparam("ends"))
)
_WENT_WRONG: Final = Statement(
    update(DESTINATIONS)
    .where(_HOLDS)
    .values(
        attempts=DESTINATIONS.c.attempts + 1,
        next_at=bindparam("later"),
        lease=None,
        lease_ends_at=0,
    )
)
_RELEASE: Final = Statement(update(DESTINATIONS).where(_HOLDS).values(lease=None, lease_ends_at=0))
_DROP: Final = Statement(delete(LETTERS).where(_IS_LETTER))
_DIES: Final[dict[str, BindParameter[Any]]] = {
    "failure": bindparam("because"),
    "died_at": bindparam("moment"),
}
_REFUSE: Final = Statement(
    update(LETTERS).where(_IS_LETTER).values(state=LetterState.REFUSED.value, **_DIES)
)
_BURY: Final = Statement(
    update(LETTERS).where(_IS_ITS & _IS_WAITING).values(state=LetterState.DEAD.value, **_DIES)
)
_REVIVE: Final = Statement(
    update(LETTERS)
    .where(_IS_ITS & (LETTERS.c.state == LetterState.DEAD.value))
    .values(state=LetterState.WAITING.value)
)
_AT_ONCE: Final = Statement(update(DESTINATIONS).where(_IS_IT).values(attempts=0, next_at=0))
_IN_ORDER: Final = (
    select(LETTERS)
    .where(_IS_ITS & (LETTERS.c.state != LetterState.REFUSED.value))
    .order_by(LETTERS.c.sequence)
)
_UNDELIVERED: Final = select(LETTERS).where(~_IS_WAITING).order_by(LETTERS.c.sequence)
_COUNT: Final = Statement(
    select(LETTERS.c.state, func.count().label("many")).group_by(LETTERS.c.state)
)
_TAKE_ONCE: Final = Statement(
    insert(REQUESTS).on_conflict_do_nothing(index_elements=["caller", "request_id"])
)
_FORGET_REQUESTS: Final = Statement(delete(REQUESTS).where(REQUESTS.c.until <= bindparam("moment")))


def put_letters(connection: Connection, letters: Sequence[Letter]) -> None:
    """Write letters within the transaction of what they tell. See `SetOutbox.put`."""
    for letter in letters:
        _add_destination(connection, letter.destination)
        if letter.rank:
            if connection.row(_KNOWN, where_to=letter.destination, event=letter.event_id):
                continue
            pauses = {"where_to": letter.destination, "grant": letter.grant_id}
            if (connection.value(_HIGHEST, **pauses) or 0) > letter.rank:
                continue
            connection.change(_DROP_PAUSES, **pauses)
        connection.change(
            _ADD,
            destination=letter.destination,
            event_id=letter.event_id,
            grant_id=letter.grant_id,
            token=letter.token,
            endpoint=letter.endpoint,
            rank=letter.rank,
            state=LetterState.WAITING.value,
            failure="",
            died_at=0,
        )


class SqlSetOutbox:
    """`SetOutbox` over a service's database, which has the tables above."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, letters: Sequence[Letter]) -> None:
        with self._database.transaction() as connection:
            put_letters(connection, letters)

    def set_endpoint(self, destination: str, endpoint: str | None) -> bool:
        with self._database.transaction() as connection:
            if connection.row(_FIND_DESTINATION, where_to=destination) is None:
                if connection.value(_COUNT_DESTINATIONS) >= MAX_STREAMS:
                    return False
                _add_destination(connection, destination)
            connection.change(_SET_ENDPOINT, where_to=destination, url=endpoint)
            _send_again(connection, destination)
            return True

    def take(self, now: datetime, ends: datetime, lease: str, *, steady_only: bool) -> Round | None:
        due, moment = _DUE_STEADY if steady_only else _DUE_ANY, seconds(now)
        # Mostly there is nothing, and then no writer waits for us.
        with self._database.reading() as connection:
            if connection.row(due, moment=moment) is None:
                return None
        with self._database.transaction() as connection:
            found = connection.row(due, moment=moment)
            if found is None:
                return None
            connection.change(_LEASE, where_to=found.destination, token=lease, ends=seconds(ends))
            rows = connection.rows(_TO_PUSH, where_to=found.destination)
            letters = [
                replace(_letter(row), endpoint=row.endpoint or found.endpoint) for row in rows
            ]
            return Round(
                destination=found.destination,
                lease=lease,
                attempts=found.attempts,
                letters=tuple(letter for letter in letters if letter.endpoint is not None),
            )

    def delivered(
        self,
        round_: Round,
        event_id: str,
        now: datetime,
        ends: datetime,
        *,
        refusal: str | None = None,
    ) -> bool:
        where_to, moment = round_.destination, seconds(now)
        with self._database.transaction() as connection:
            if not connection.change(
                _WENT_WELL,
                where_to=where_to,
                token=round_.lease,
                moment=moment,
                ends=seconds(ends),
            ):
                return False
            if refusal is None:
                connection.change(_DROP, where_to=where_to, event=event_id)
            else:
                connection.change(
                    _REFUSE, where_to=where_to, event=event_id, because=refusal, moment=moment
                )
            connection.change(_REVIVE, where_to=where_to)
            return True

    def put_off(self, round_: Round, until: datetime) -> None:
        with self._database.transaction() as connection:
            _went_wrong(connection, round_, until)

    def give_up(self, round_: Round, failure: str, now: datetime, until: datetime) -> None:
        with self._database.transaction() as connection:
            if _went_wrong(connection, round_, until):
                connection.change(
                    _BURY, where_to=round_.destination, because=failure, moment=seconds(now)
                )

    def release(self, round_: Round) -> None:
        with self._database.transaction() as connection:
            connection.change(_RELEASE, where_to=round_.destination, token=round_.lease)

    def waiting(self, destination: str, limit: int) -> list[Letter]:
        with self._database.reading() as connection:
            rows = connection.rows(_IN_ORDER.limit(limit), where_to=destination)
            return [_letter(row) for row in rows]

    def acknowledge(
        self,
        destination: str,
        event_ids: Collection[str],
        refused: Mapping[str, str],
        now: datetime,
    ) -> None:
        moment = seconds(now)
        with self._database.transaction() as connection:
            for event_id in event_ids:
                connection.change(_DROP, where_to=destination, event=event_id)
            for event_id, failure in refused.items():
                connection.change(
                    _REFUSE, where_to=destination, event=event_id, because=failure, moment=moment
                )

    def take_once(self, caller: str, request_id: str, now: datetime, until: datetime) -> bool:
        with self._database.transaction() as connection:
            connection.change(_FORGET_REQUESTS, moment=seconds(now))
            taken = connection.change(
                _TAKE_ONCE, caller=caller, request_id=request_id, until=seconds(until)
            )
            return taken == 1

    def send_again(self, destination: str) -> None:
        with self._database.transaction() as connection:
            _send_again(connection, destination)

    def undelivered(self, limit: int) -> list[DeadLetter]:
        with self._database.reading() as connection:
            return [
                DeadLetter(
                    destination=row.destination,
                    event_id=row.event_id,
                    grant_id=GrantId(row.grant_id),
                    state=LetterState(row.state),
                    failure=row.failure,
                    died_at=datetime.fromtimestamp(row.died_at, UTC),
                )
                for row in connection.rows(_UNDELIVERED.limit(limit))
            ]

    def counts(self) -> OutboxCounts:
        with self._database.reading() as connection:
            many = {row.state: row.many for row in connection.rows(_COUNT)}
        return OutboxCounts(
            waiting=many.get(LetterState.WAITING.value, 0),
            dead=many.get(LetterState.DEAD.value, 0),
            refused=many.get(LetterState.REFUSED.value, 0),
        )


def _add_destination(connection: Connection, destination: str) -> None:
    connection.change(
        _ADD_DESTINATION,
        destination=destination,
        endpoint=None,
        attempts=0,
        next_at=0,
        lease=None,
        lease_ends_at=0,
    )


def _send_again(connection: Connection, destination: str) -> None:
    connection.change(_REVIVE, where_to=destination)
    connection.change(_AT_ONCE, where_to=destination)


def _went_wrong(connection: Connection, round_: Round, until: datetime) -> int:
    return connection.change(
        _WENT_WRONG, where_to=round_.destination, token=round_.lease, later=seconds(until)
    )


def _letter(row: Row) -> Letter:
    return Letter(
        destination=row.destination,
        event_id=row.event_id,
        grant_id=GrantId(row.grant_id),
        token=row.token,
        endpoint=row.endpoint,
        rank=row.rank,
    )
