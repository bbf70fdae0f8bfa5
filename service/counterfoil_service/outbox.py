"""Events: written in the transaction of what they tell, delivered to who asked for them.

    def work(connection: Connection) -> None:
        revoke(connection, credential_id)
        publish(connection, "credential.revoked", {"credential_id": credential_id}, at=now,
                random=os.urandom)

    webhooks = Webhooks(secret, clock=clock, random=os.urandom)
    with db.transaction() as connection:
        made = webhooks.add(connection, "https://shop.example/hooks", types=["credential.revoked"])
    print(made.secret)                               # shown once; the table holds it sealed

`couriers.Courier` delivers. Each endpoint gets its events in their order, each at
least once, under an id that is the same in every attempt. One that cannot be
delivered in about a day is put aside as a dead letter and the next one goes; after
three in a row the endpoint is paused until somebody resumes it. An event holds ids
and no personal data: who may know more asks the API.
"""

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    as_list,
    as_object,
    b64url,
    compact_json,
    int_at,
    numeric_date,
    parse_json,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.fetch_urls import (
    not_allowed,
    origin_of,
    parse_url,
    require_public_name,
)
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from counterfoil_service.sealing import NONCE_BYTES, Seal
from counterfoil_service.statements import Connection, Row, Statement
from counterfoil_service.webhook_signatures import new_secret

MAX_EVENT_BYTES: Final = 65_536
MAX_ENDPOINTS: Final = 100
MAX_LISTED: Final = 1_000
OLD_SECRET_LASTS: Final = timedelta(days=1)
_TYPE: Final = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+){0,5}")
_ALL: Final = "*"

METADATA: Final = MetaData()
# Times are whole seconds since 1970.
EVENTS: Final = Table(
    "outbox_events",
    METADATA,
    # A number that was used once is never used again, also when all events are gone.
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("body", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
ENDPOINTS: Final = Table(
    "webhook_endpoints",
    METADATA,
    Column("endpoint_id", String, primary_key=True),
    Column("url", String, nullable=False),
    Column("types", String, nullable=False),
    Column("secrets", String, nullable=False),
    Column("state", String, nullable=False),
    # The last event that is done with, and how often the next one was tried.
    Column("position", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("failure", String),
    Column("lease", String),
    Column("lease_ends_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
LETTERS: Final = Table(
    "webhook_dead_letters",
    METADATA,
    Column("endpoint_id", String, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("state", String, nullable=False),
    Column("failure", String, nullable=False),
    Column("died_at", BigInteger, nullable=False),
)
Index("webhook_dead_letters_by_event", LETTERS.c.sequence)

_PUBLISH: Final = Statement(insert(EVENTS), columns=("event_id", "type", "body", "at"))
_LAST: Final = Statement(select(func.max(EVENTS.c.sequence)))
_ADD: Final = Statement(insert(ENDPOINTS))
_COUNT: Final = Statement(select(func.count()).select_from(ENDPOINTS))
_IS_IT: Final = ENDPOINTS.c.endpoint_id == bindparam("which")
_FIND: Final = Statement(select(ENDPOINTS).where(_IS_IT))
_REMOVE: Final = Statement(delete(ENDPOINTS).where(_IS_IT))
_REMOVE_LETTERS: Final = Statement(
    delete(LETTERS).where(LETTERS.c.endpoint_id == bindparam("which"))
)
# Without its lease, a courier that is on its way stops at the next event.
_PAUSE: Final = Statement(
    update(ENDPOINTS).where(_IS_IT).values(state="paused", lease=None, lease_ends_at=0)
)
_RESUME: Final = Statement(
    update(ENDPOINTS)
    .where(_IS_IT)
    .values(state="active", attempts=0, deaths=0, next_at=0, failure=None)
)
_SET_SECRETS: Final = Statement(update(ENDPOINTS).where(_IS_IT).values(secrets=bindparam("sealed")))
_WAITING: Final = (
    select(func.count())
    .select_from(EVENTS)
    .where(EVENTS.c.sequence > ENDPOINTS.c.position)
    .scalar_subquery()
)
_DEAD: Final = (
    select(func.count())
    .select_from(LETTERS)
    .where(LETTERS.c.endpoint_id == ENDPOINTS.c.endpoint_id)
    .scalar_subquery()
)
_LIST: Final = Statement(
    select(ENDPOINTS, _WAITING.label("waiting"), _DEAD.label("dead")).order_by(
        ENDPOINTS.c.created_at, ENDPOINTS.c.endpoint_id
    )
)
_LETTERS: Final = Statement(
    select(LETTERS, EVENTS.c.event_id, EVENTS.c.type)
    .join(EVENTS, EVENTS.c.sequence == LETTERS.c.sequence)
    .where(LETTERS.c.endpoint_id == bindparam("which"))
    .order_by(LETTERS.c.sequence)
    .limit(MAX_LISTED)
)
_AGAIN: Final = Statement(
    update(LETTERS)
    .where(
        (LETTERS.c.endpoint_id == bindparam("which"))
        & LETTERS.c.sequence.in_(
            select(EVENTS.c.sequence).where(EVENTS.c.event_id == bindparam("event"))
        )
    )
    .values(state="again")
)
_NEEDED_FROM: Final = Statement(
    select(func.min(ENDPOINTS.c.position)).where(ENDPOINTS.c.state == "active")
)
_FORGET: Final = Statement(
    delete(EVENTS).where(
        EVENTS.c.sequence.in_(
            select(EVENTS.c.sequence)
            .where(
                (EVENTS.c.at < bindparam("before"))
                & (EVENTS.c.sequence <= bindparam("upto"))
                & EVENTS.c.sequence.not_in(select(LETTERS.c.sequence))
            )
            .limit(MAX_LISTED)
        )
    )
)


def add_tables(metadata: MetaData) -> None:
    """Add this module's tables to a service's own."""
    for table in (EVENTS, ENDPOINTS, LETTERS):
        table.to_metadata(metadata)


def publish(
    connection: Connection,
    type_name: str,
    data: JsonObject,
    *,
    at: datetime,
    random: Callable[[int], bytes],
) -> str:
    """Write an event within the transaction of what it tells; give its id.

    `type_name` is words with dots (`credential.revoked`), `data` ids and codes.
    """
    if _TYPE.fullmatch(type_name) is None:
        raise Misuse("expected an event type such as credential.revoked, found another text")
    said: JsonObject = {
        "type": type_name,
        "timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": data,
    }
    body = compact_json(said)
    if len(body) > MAX_EVENT_BYTES:
        raise Misuse(f"expected an event of at most {MAX_EVENT_BYTES} bytes, found more")
    event_id = f"evt_{b64url(random(16))}"
    connection.change(
        _PUBLISH, event_id=event_id, type=type_name, body=body.decode(), at=numeric_date(at)
    )
    return event_id


def forget_delivered(connection: Connection, before: datetime) -> int:
    """Delete events older than `before` that nobody waits for, at most a thousand; give how many.

    A paused endpoint waits for nothing: it loses what is older than that.
    """
    needed_from = connection.value(_NEEDED_FROM)
    upto = connection.value(_LAST) if needed_from is None else needed_from
    return connection.change(_FORGET, before=numeric_date(before), upto=upto or 0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What may be shown of an endpoint. `failure` tells why its last attempt was none."""

    endpoint_id: str
    url: str
    types: tuple[str, ...]
    is_active: bool
    waiting: int
    dead: int
    attempts: int
    failure: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint just made; `secret` is what its receiver checks signatures with."""

    endpoint_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered to one endpoint."""

    event_id: str
    type_name: str
    failure: str
    died_at: datetime
    is_sent_again: bool


class Webhooks:
    """The endpoints of a service. `secret` has 32 bytes or more and lives outside the database."""

    def __init__(
        self,
        secret: bytes,
        *,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
        loopback_origins_unsafely: AbstractSet[str] = frozenset(),
    ) -> None:
        """Set up; origins named here may be plain HTTP on this machine, for development."""
        self._seal = Seal(secret, "webhook secrets")
        self._clock = clock
        self._random = random
        self._unsafe = frozenset(
            origin_of(parse_url(origin)) for origin in loopback_origins_unsafely
        )

    def add(self, connection: Connection, url: str, types: Sequence[str] = (_ALL,)) -> NewEndpoint:
        """Add an endpoint for the events of `types` from now on; `*` means all.

        Raises `Malformed`, and `Refused` (`fetch-not-allowed`, `too-many-endpoints`).
        """
        self._require_url(url)
        if not types or not all(each == _ALL or _TYPE.fullmatch(each) for each in types):
            raise Malformed("event types such as credential.revoked, or *", "others", "types")
        if len(types) > MAX_ENDPOINTS:
            raise Malformed(f"at most {MAX_ENDPOINTS} types", "more", "types")
        if connection.value(_COUNT) >= MAX_ENDPOINTS:
            text = f"at most {MAX_ENDPOINTS} endpoints"
            raise Refused(Reason("too-many-endpoints", text, "one more", "endpoints"))
        now = numeric_date(self._clock())
        endpoint_id, secret = f"end_{b64url(self._random(12))}", new_secret(self._random(32))
        connection.change(
            _ADD,
            endpoint_id=endpoint_id,
            url=url,
            types=" ".join(types),
            secrets=self._shut(endpoint_id, [(secret, 0)]),
            state="active",
            position=connection.value(_LAST) or 0,
            attempts=0,
            next_at=now,
            deaths=0,
            failure=None,
            lease=None,
            lease_ends_at=0,
            created_at=now,
        )
        return NewEndpoint(endpoint_id, secret)

    def rotate_secret(self, connection: Connection, endpoint_id: str) -> NewEndpoint:
        """Give an endpoint a new secret; for a day the old one signs as well."""
        row = _existing(connection, endpoint_id)
        secret = new_secret(self._random(32))
        ends_at = numeric_date(self._clock() + OLD_SECRET_LASTS)
        (newest, *_) = self._opened(row)
        sealed = self._shut(endpoint_id, [(secret, 0), (newest[0], ends_at)])
        connection.change(_SET_SECRETS, which=endpoint_id, sealed=sealed)
        return NewEndpoint(endpoint_id, secret)

    def secrets_of(self, row: Row) -> list[str]:
        """Give the secrets that sign for the endpoint of this row, the newest first."""
        now = numeric_date(self._clock())
        return [text for text, ends_at in self._opened(row) if ends_at == 0 or ends_at > now]

    def pause(self, connection: Connection, endpoint_id: str) -> None:
        """Deliver nothing more to an endpoint; its events wait."""
        _existing(connection, endpoint_id)
        connection.change(_PAUSE, which=endpoint_id)

    def resume(self, connection: Connection, endpoint_id: str) -> None:
        """Deliver again, at once, whatever was tried before."""
        _existing(connection, endpoint_id)
        connection.change(_RESUME, which=endpoint_id)

    def remove(self, connection: Connection, endpoint_id: str) -> None:
        """Forget an endpoint with its dead letters."""
        _existing(connection, endpoint_id)
        connection.change(_REMOVE_LETTERS, which=endpoint_id)
        connection.change(_REMOVE, which=endpoint_id)

    def redeliver(self, connection: Connection, endpoint_id: str, event_id: str) -> None:
        """Send a dead letter once more; it goes before the events that wait."""
        if not connection.change(_AGAIN, which=endpoint_id, event=event_id):
            raise _unknown("a dead letter of this endpoint", "event_id")

    def endpoints(self, connection: Connection) -> list[Endpoint]:
        """Give all endpoints, the oldest first. `waiting` counts events of every type."""
        return [
            Endpoint(
                row.endpoint_id,
                row.url,
                tuple(row.types.split()),
                row.state == "active",
                row.waiting,
                row.dead,
                row.attempts,
                row.failure,
                datetime.fromtimestamp(row.created_at, UTC),
            )
            for row in connection.rows(_LIST)
        ]

    def dead_letters(self, connection: Connection, endpoint_id: str) -> list[DeadLetter]:
        """Give the first thousand dead letters of an endpoint, in their order."""
        return [
            DeadLetter(
                row.event_id,
                row.type,
                row.failure,
                datetime.fromtimestamp(row.died_at, UTC),
                row.state == "again",
            )
            for row in connection.rows(_LETTERS, which=endpoint_id)
        ]

    def _require_url(self, url: str) -> None:
        parts = parse_url(url)
        if parts.fragment:
            raise Malformed("a URL without fragment", "one with it", "url")
        if origin_of(parts) in self._unsafe:
            return
        if parts.scheme != "https":
            raise not_allowed("an https URL", f"{parts.scheme}:")
        # The fetcher checks the addresses behind the name, at each delivery.
        require_public_name(parts.hostname or "")

    def _shut(self, endpoint_id: str, secrets: Sequence[tuple[str, int]]) -> str:
        value = compact_json([{"secret": text, "ends_at": ends_at} for text, ends_at in secrets])
        return self._seal.shut(value, place=endpoint_id, nonce=self._random(NONCE_BYTES))

    def _opened(self, row: Row) -> list[tuple[str, int]]:
        where = "webhook_endpoints.secrets"
        kept = parse_json(self._seal.open(row.secrets, place=row.endpoint_id), where)
        secrets = [as_object(each, where) for each in as_list(kept, where)]
        return [
            (text_at(each, "secret", where), int_at(each, "ends_at", where)) for each in secrets
        ]


def _existing(connection: Connection, endpoint_id: str) -> Row:
    row = connection.row(_FIND, which=endpoint_id)
    if row is None:
        raise _unknown("an endpoint of this service", "endpoint_id")
    return row


def _unknown(expected: str, where: str) -> Refused:
    return Refused(Reason("not-found", expected, "none", where))
