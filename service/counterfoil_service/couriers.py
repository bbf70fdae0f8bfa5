"""Couriers carry events to endpoints: in order, again and again, two never at one door.

    courier = Courier(db, webhooks, GuardedFetcher(), clock=clock, random=os.urandom)
    app = FastAPI(lifespan=courier.working(workers=4))

A courier takes the lease of an endpoint with something to deliver, sends its next
events through the guarded fetcher one after another, and writes down each outcome
before it sends the next. After `kill -9` the lease ends, and the event whose outcome
was not written is sent again under the same id. No transaction is open while it
waits for a receiver.
"""

import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import b64url, numeric_date
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from sqlalchemy import bindparam, delete, exists, func, insert, or_, select, update

from counterfoil_service.logs import say
from counterfoil_service.outbox import ENDPOINTS, EVENTS, LETTERS, Webhooks
from counterfoil_service.repeating import repeating
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement
from counterfoil_service.webhook_signatures import sign_webhook

AT_ONCE: Final = 20
"""How many events one lease carries."""
DEATHS_TO_PAUSE: Final = 3
_MAX_ANSWER_BYTES: Final = 65_536
_LOGGER: Final = logging.getLogger("counterfoil.webhooks")

_HAS_EVENTS: Final = exists().where(EVENTS.c.sequence > ENDPOINTS.c.position)
_HAS_LETTERS: Final = exists().where(
    (LETTERS.c.endpoint_id == ENDPOINTS.c.endpoint_id) & (LETTERS.c.state == "again")
)
_DUE: Final = Statement(
    select(ENDPOINTS)
    .where(
        (ENDPOINTS.c.state == "active")
        & (ENDPOINTS.c.next_at <= bindparam("moment"))
        & (ENDPOINTS.c.lease_ends_at <= bindparam("moment"))
        & or_(_HAS_EVENTS, _HAS_LETTERS)
    )
    .order_by(ENDPOINTS.c.next_at)
    .limit(1)
)
_LEASE: Final = Statement(
    update(ENDPOINTS)
    .where(ENDPOINTS.c.endpoint_id == bindparam("which"))
    .values(lease=bindparam("token"), lease_ends_at=bindparam("ends"))
)
_LAST: Final = Statement(select(func.max(EVENTS.c.sequence)))
_IN_ORDER: Final = select(EVENTS).order_by(EVENTS.c.sequence).limit(AT_ONCE)
_NEXT: Final = Statement(_IN_ORDER.where(EVENTS.c.sequence > bindparam("after")))
_AGAIN: Final = Statement(
    select(EVENTS)
    .join(LETTERS, LETTERS.c.sequence == EVENTS.c.sequence)
    .where((LETTERS.c.endpoint_id == bindparam("which")) & (LETTERS.c.state == "again"))
    .order_by(EVENTS.c.sequence)
    .limit(AT_ONCE)
)
_HOLDS: Final = (ENDPOINTS.c.endpoint_id == bindparam("which")) & (
    ENDPOINTS.c.lease == bindparam("token")
)
_MOVE: Final = Statement(
    update(ENDPOINTS)
    .where(_HOLDS)
    .values(
        position=bindparam("at"),
        attempts=0,
        # Who waited longest is served first.
        next_at=bindparam("moment"),
        deaths=bindparam("dead"),
        failure=bindparam("because"),
        lease_ends_at=bindparam("ends"),
    )
)
_FAIL: Final = Statement(
    update(ENDPOINTS)
    .where(_HOLDS)
    .values(
        attempts=bindparam("tried"),
        next_at=bindparam("later"),
        failure=bindparam("because"),
        lease_ends_at=bindparam("ends"),
    )
)
_PAUSE: Final = Statement(update(ENDPOINTS).where(_HOLDS).values(state="paused"))
_RENEW: Final = Statement(update(ENDPOINTS).where(_HOLDS).values(lease_ends_at=bindparam("ends")))
_BURY: Final = Statement(insert(LETTERS))
_DELIVERED_LETTER: Final = Statement(
    delete(LETTERS).where(
        (LETTERS.c.endpoint_id == bindparam("which")) & (LETTERS.c.sequence == bindparam("at"))
    )
)
_BURY_AGAIN: Final = Statement(
    update(LETTERS)
    .where((LETTERS.c.endpoint_id == bindparam("which")) & (LETTERS.c.sequence == bindparam("at")))
    .values(state="dead", failure=bindparam("because"), died_at=bindparam("moment"))
)


@dataclass(frozen=True, slots=True)
class Retrying:
    """When to try again: twice as long each time, up to `longest_s`; a day in all.

    Between half and the whole of that is waited, so that endpoints that went down
    together do not come back together.
    """

    first_s: int = 5
    longest_s: int = 21_600
    attempts: int = 17

    def delay_s(self, attempt: int, chance: float) -> int:
        """Give how long to wait after the `attempt`-th failure; `chance` is from 0 to 1."""
        whole = min(self.first_s << min(attempt - 1, 40), self.longest_s)
        return max(1, round(whole * (0.5 + chance / 2)))


class Outcome(StrEnum):
    """How one attempt ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class _Round:
    """What one lease carries."""

    endpoint: Row
    token: str
    letters: list[Row]
    events: list[Row]
    passed: int | None
    """Up to where nothing else is for this endpoint, once `events` are delivered."""


class _LeaseLost(Exception):  # never leaves this module
    """Another courier has taken the endpoint over."""


class Courier:
    """Delivers the events of one database. Any number of them may work at once."""

    def __init__(
        self,
        database: Database,
        webhooks: Webhooks,
        fetcher: Fetcher,
        *,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
        retrying: Retrying | None = None,
        lease_s: int = 60,
        told: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """Set up. `lease_s` is longer than the fetcher waits; `told` hears of each attempt."""
        self._database = database
        self._webhooks = webhooks
        self._fetcher = fetcher
        self._clock = clock
        self._random = random
        self._retrying = retrying or Retrying()
        self._lease_s = lease_s
        self._told = told
        self._stopping = threading.Event()

    def working(
        self, *, workers: int = 4, every_s: float = 1.0
    ) -> Callable[[object], AbstractAsyncContextManager[None]]:
        """Give a lifespan during which `workers` threads deliver what is due."""

        def deliver_all() -> None:
            # A database that is away for a moment is asked again at the next turn.
            try:
                while not self._stopping.is_set() and self.deliver_once():
                    pass
            except CounterfoilError as error:
                say(_LOGGER, logging.WARNING, "round ended early", error=type(error).__name__)

        @asynccontextmanager
        async def lifespan(app: object) -> AsyncGenerator[None, None]:
            self._stopping.clear()
            async with AsyncExitStack() as stack:
                for _ in range(workers):
                    await stack.enter_async_context(repeating(deliver_all, every_s)(app))
                stack.callback(self._stopping.set)
                yield

        return lifespan

    def deliver_once(self) -> bool:
        """Carry one endpoint's next events. Say whether there was an endpoint with any."""
        with self._database.reading() as connection:
            if connection.row(_DUE, moment=self._now()) is None:
                return False
        with self._database.transaction() as connection:
            carried = self._take(connection)
        if carried is None:
            return False
        with suppress(_LeaseLost):
            self._deliver(carried)
        return True

    def _take(self, connection: Connection) -> _Round | None:
        now = self._now()
        endpoint = connection.row(_DUE, moment=now)
        if endpoint is None:
            return None
        token, which = b64url(self._random(12)), endpoint.endpoint_id
        connection.change(_LEASE, which=which, token=token, ends=now + self._lease_s)
        types, after = endpoint.types.split(), endpoint.position
        if "*" in types:
            events = connection.rows(_NEXT, after=after)
        else:
            # Each endpoint has its own list; the compiling is small beside a delivery.
            is_theirs = (EVENTS.c.sequence > after) & EVENTS.c.type.in_(types)
            events = connection.rows(_IN_ORDER.where(is_theirs))
        return _Round(
            endpoint,
            token,
            connection.rows(_AGAIN, which=which),
            events,
            connection.value(_LAST) if len(events) < AT_ONCE else None,
        )

    def _deliver(self, carried: _Round) -> None:
        for event in carried.letters:
            if self._stopping.is_set():
                break
            self._deliver_letter(carried, event)
        attempts, deaths = carried.endpoint.attempts, carried.endpoint.deaths
        position, passed = carried.endpoint.position, carried.passed
        for event in carried.events:
            if self._stopping.is_set():
                passed = None
                break
            failure, wait_s = self._send(carried.endpoint, event)
            if failure is None:
                self._told(Outcome.DELIVERED)
                with self._database.transaction() as connection:
                    self._move(connection, carried, event.sequence)
                position, attempts, deaths = event.sequence, 0, 0
                continue
            attempts += 1
            if failure != _GONE and attempts >= self._retrying.attempts:
                self._told(Outcome.DEAD)
                self._bury(carried, event, failure, deaths + 1)
            else:
                self._told(Outcome.FAILED)
                self._put_off(carried, failure, attempts, wait_s)
            return
        with self._database.transaction() as connection:
            if passed is not None and passed > position:
                self._move(connection, carried, passed, deaths=deaths)
            self._renew(connection, carried, 0)

    def _deliver_letter(self, carried: _Round, event: Row) -> None:
        failure, _ = self._send(carried.endpoint, event)
        self._told(Outcome.DEAD if failure else Outcome.DELIVERED)
        which, now = carried.endpoint.endpoint_id, self._now()
        with self._database.transaction() as connection:
            self._renew(connection, carried, self._lease_s)
            if failure is None:
                connection.change(_DELIVERED_LETTER, which=which, at=event.sequence)
            else:
                connection.change(
                    _BURY_AGAIN, which=which, at=event.sequence, because=failure, moment=now
                )

    def _send(self, endpoint: Row, event: Row) -> tuple[str | None, int]:
        """Send one event. Give why it failed, or None, and how long we are asked to wait."""
        body = event.body.encode()
        try:
            secrets = self._webhooks.secrets_of(endpoint)
        except Malformed:
            return "a secret that this service does not open", 0
        headers = sign_webhook(event.event_id, body, secrets=secrets, at=self._clock())
        try:
            answer = self._fetcher.post(
                endpoint.url,
                body,
                media_type="application/json",
                accept="*/*",
                headers=headers,
                max_bytes=_MAX_ANSWER_BYTES,
            )
        except Unavailable:
            return "no answer", 0
        except (Refused, Malformed):
            return "an address that may not be asked", 0
        if 200 <= answer.status < 300:
            return None, 0
        return (_GONE if answer.status == 410 else f"status {answer.status}"), _asked_to_wait(
            answer
        )

    def _move(
        self,
        connection: Connection,
        carried: _Round,
        position: int,
        *,
        deaths: int = 0,
        failure: str | None = None,
    ) -> None:
        now = self._now()
        moved = connection.change(
            _MOVE,
            which=carried.endpoint.endpoint_id,
            token=carried.token,
            at=position,
            moment=now,
            dead=deaths,
            because=failure,
            ends=now + self._lease_s if failure is None else 0,
        )
        if not moved:
            raise _LeaseLost

    def _bury(self, carried: _Round, event: Row, failure: str, deaths: int) -> None:
        with self._database.transaction() as connection:
            which = carried.endpoint.endpoint_id
            self._move(connection, carried, event.sequence, deaths=deaths, failure=failure)
            if deaths >= DEATHS_TO_PAUSE:
                connection.change(_PAUSE, which=which, token=carried.token)
            connection.change(
                _BURY,
                endpoint_id=which,
                sequence=event.sequence,
                state="dead",
                failure=failure,
                died_at=self._now(),
            )

    def _put_off(self, carried: _Round, failure: str, attempts: int, wait_s: int) -> None:
        chance = int.from_bytes(self._random(2)) / 65_535
        delay_s = max(self._retrying.delay_s(attempts, chance), wait_s)
        which = carried.endpoint.endpoint_id
        with self._database.transaction() as connection:
            connection.change(
                _FAIL,
                which=which,
                token=carried.token,
                tried=attempts,
                later=self._now() + min(delay_s, self._retrying.longest_s),
                because=failure,
                ends=0,
            )
            # The receiver says that there will be nobody any more (RFC 9110, section 15.5.11).
            if failure == _GONE:
                connection.change(_PAUSE, which=which, token=carried.token)

    def _renew(self, connection: Connection, carried: _Round, lasts_s: int) -> None:
        which = carried.endpoint.endpoint_id
        ends = self._now() + lasts_s if lasts_s else 0
        if not connection.change(_RENEW, which=which, token=carried.token, ends=ends):
            raise _LeaseLost

    def _now(self) -> int:
        return numeric_date(self._clock())


_GONE: Final = "status 410"


def _asked_to_wait(answer: Response) -> int:
    asked = answer.headers.get("retry-after", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 8 else 0
