"""A service with everything around it."""

import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_service import audit, idempotency, outbox
from counterfoil_service.access import Access, Role, owner
from counterfoil_service.audit import AuditLog
from counterfoil_service.health import Health
from counterfoil_service.idempotency import Answer, Idempotency
from counterfoil_service.metrics import Metrics
from counterfoil_service.operations import Operations
from counterfoil_service.outbox import Webhooks, publish
from counterfoil_service.sql import Database
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import MetaData, func, select

METADATA = MetaData()
for part in (audit, idempotency, outbox):
    part.add_tables(METADATA)
SECRET = bytes(range(32))
SHOP = "https://shop.example"
KEY = {"Authorization": "Bearer the-owner-s-key"}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def moment() -> Clock:
    return Clock()


@pytest.fixture
def operations(
    where: Path | str, moment: Clock, random_bytes: Callable[[int], bytes]
) -> Iterator[Operations]:
    database = Database.open(where, METADATA)
    yield Operations(
        database=database,
        log=AuditLog(SECRET),
        webhooks=Webhooks(SECRET, clock=moment, random=random_bytes),
        idempotency=Idempotency(SECRET, clock=moment, random=random_bytes),
        fetcher=MemoryFetcher(),
        clock=moment,
        random=random_bytes,
    )
    database.close()


def app_of(operations: Operations) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: object) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            for each in operations.working():
                await stack.enter_async_context(each(app))
            yield

    app = FastAPI(lifespan=lifespan)
    operations.mount(app, guard=Access([owner("the-owner-s-key")]).require(Role.AUDITOR))
    Health(operations.checks()).mount(app)
    return app


def test_a_service_with_its_operations_is_ready_watched_and_delivers(
    operations: Operations, moment: Clock
) -> None:
    arrived = threading.Event()

    def receive(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        arrived.set()
        return Response(204, "", b"")

    assert isinstance(operations.fetcher, MemoryFetcher)
    operations.fetcher.serve(SHOP, receive)
    with operations.database.transaction() as connection:
        operations.webhooks.add(connection, f"{SHOP}/hooks")
        operations.log.append(connection, "owner", "webhook.added", "end_1", moment.now)
        publish(connection, "a", {}, at=moment.now, random=operations.random)
    with TestClient(app_of(operations)) as client:
        assert arrived.wait(60)
        ready = client.get("/health/ready")
        shown = client.get("/metrics", headers=KEY)
        for _ in range(600):  # its first run ends when it can
            if "counterfoil_audit_intact 1.0" in shown.text:
                break
            time.sleep(0.1)
            shown = client.get("/metrics", headers=KEY)

    assert ready.json() == {"status": "ready", "checks": {"database": "ok", "clock": "ok"}}
    assert shown.status_code == 200
    for line in (
        "counterfoil_audit_intact 1.0",
        'counterfoil_http_requests_total{method="GET",route="/health/ready",status="200"} 1.0',
        "counterfoil_webhook_dead 0.0",
    ):
        assert line in shown.text
    other = app_of(replace(operations, metrics=Metrics()))
    assert TestClient(other).get("/metrics").status_code == 401


def test_a_clock_behind_the_last_entry_is_not_ready(operations: Operations, moment: Clock) -> None:
    with operations.database.transaction() as connection:
        later = moment.now + timedelta(minutes=6)
        operations.log.append(connection, "owner", "webhook.added", "end_1", later)
    answer = TestClient(app_of(operations)).get("/health/ready")

    assert (answer.status_code, answer.json()["checks"]["clock"]) == (503, "failed")


def test_the_broom_takes_what_is_past_its_time_and_nothing_else(
    operations: Operations, moment: Clock
) -> None:
    def left() -> tuple[int, int]:
        with operations.database.reading() as connection:
            return (
                connection.value(select(func.count()).select_from(idempotency.KEPT)),
                connection.value(select(func.count()).select_from(outbox.EVENTS)),
            )

    def write(key: str) -> None:
        keyed = operations.idempotency.request(
            caller="shop", keys=[key], method="POST", target="/", body=b""
        )
        with operations.database.transaction() as connection:
            operations.idempotency.once(connection, keyed, lambda _: Answer(200, None))
            publish(connection, "a", {}, at=moment.now, random=operations.random)

    write("first")
    moment.now += timedelta(hours=23)
    write("second")
    operations.sweep()
    assert left() == (2, 2)
    moment.now += timedelta(hours=1)
    operations.sweep()
    assert left() == (1, 2)
    moment.now += timedelta(days=29, seconds=1)
    operations.sweep()
    assert left() == (0, 1)


def test_a_database_that_is_away_is_swept_another_time(
    operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Database) -> None:
        raise Unavailable("expected the database, found none")

    monkeypatch.setattr(Database, "transaction", away)
    operations.sweep()
