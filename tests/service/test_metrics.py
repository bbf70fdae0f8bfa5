"""What a service counts, and what it never says in a label or a log line."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service import audit, outbox
from counterfoil_service.access import Access, Role, owner
from counterfoil_service.audit import LOG, AuditLog, Checkpoint
from counterfoil_service.audit_watch import AuditWatch, CheckpointFile
from counterfoil_service.couriers import Outcome
from counterfoil_service.errors import install_error_handlers
from counterfoil_service.logs import REQUESTS, JsonFormatter, log_as_json, say
from counterfoil_service.metrics import Metrics
from counterfoil_service.outbox import Webhooks, publish
from counterfoil_service.request_log import RequestLog
from counterfoil_service.sql import Database
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import MetaData, delete, update
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

METADATA = MetaData()
audit.add_tables(METADATA)
outbox.add_tables(METADATA)
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
KEY = "the-owner-s-key"


def value_of(metrics: Metrics, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Give what was logged as JSON, and leave logging as it was found."""
    root, requests = logging.getLogger(), logging.getLogger(REQUESTS)
    before = root.handlers[:], root.level, requests.level
    stream = io.StringIO()
    log_as_json(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = before[0], before[1]
    requests.setLevel(before[2])


@pytest.fixture
def client(metrics: Metrics, random_bytes: Callable[[int], bytes]) -> TestClient:
    app = FastAPI()
    install_error_handlers(app)
    router = APIRouter(prefix="/back-office")

    @router.get("/orders/{number}")
    async def order(number: str, request: Request) -> str:
        return str(request.state.request_id)

    @router.get("/broken/{number}")
    async def broken(number: str) -> str:
        raise ZeroDivisionError(number)

    async def token(_: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("token")

    inner = FastAPI()

    @inner.get("/of/{brand}")
    async def of(brand: str) -> str:
        return brand

    app.include_router(router)
    app.mount("/inner", inner)
    app.router.routes.append(Route("/token/{kind}", token, methods=["POST"]))
    metrics.mount(app, guard=Access([owner(KEY)]).require(Role.AUDITOR))
    app.add_middleware(RequestLog, metrics=metrics, random=random_bytes)
    return TestClient(app, raise_server_exceptions=False)


def test_a_request_is_one_line_with_its_template_and_none_of_its_values(
    client: TestClient, lines: Callable[[], list[dict[str, object]]]
) -> None:
    answer = client.get(
        "/back-office/orders/1001?email=mei@brand.example",
        headers={"Authorization": "Bearer secret", "X-Request-Id": "mine"},
    )

    (line,) = [line for line in lines() if line["event"] == "request"]
    assert line["request_id"] == answer.headers["x-request-id"] == answer.json()
    assert len(answer.json()) == 32
    duration = line["duration_ms"]
    assert isinstance(duration, float)
    assert duration >= 0
    assert {name: line[name] for name in ("level", "logger", "method", "route", "status")} == {
        "level": "info",
        "logger": "counterfoil.requests",
        "method": "GET",
        "route": "/back-office/orders/{number}",
        "status": 200,
    }
    for secret in ("1001", "mei", "secret", "mine", "testclient"):
        assert secret not in json.dumps(line)


@pytest.mark.parametrize(
    ("asked", "route", "status"),
    [
        ("POST /token/plain", "/token/{kind}", "200"),
        ("GET /inner/of/mei", "/inner/of/{brand}", "200"),
        ("GET /nowhere/mei", "(none)", "404"),
        ("PUT /back-office/orders/1001", "/back-office/orders/{number}", "405"),
        ("GET /back-office/broken/1001", "/back-office/broken/{number}", "500"),
        ("GET /metrics", "/metrics", "401"),
    ],
)
def test_requests_are_counted_under_their_templates(
    client: TestClient, metrics: Metrics, asked: str, route: str, status: str
) -> None:
    method, path = asked.split()
    client.get("/nowhere")
    client.request(method, path)

    counted = value_of(
        metrics, "counterfoil_http_requests_total", method=method, route=route, status=status
    )
    assert counted == (2 if route == "(none)" else 1)
    # Labels alone: the digits of a time may be any.
    labels = b"".join(re.findall(rb"\{.*?\} ", metrics.text()))
    assert labels
    assert b"mei" not in labels
    assert b"1001" not in labels


def test_a_made_up_method_is_no_new_series(
    client: TestClient, metrics: Metrics, lines: Callable[[], list[dict[str, object]]]
) -> None:
    for method in ("BREW", "MEI", "1-2"):
        client.request(method, "/nowhere")

    assert (
        value_of(
            metrics,
            "counterfoil_http_requests_total",
            method="other",
            route="(none)",
            status="404",
        )
        == 3
    )
    assert b"BREW" not in metrics.text()


def test_an_id_of_a_trace_is_kept_and_any_other_text_is_not(client: TestClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    good = f"00-{trace}-00f067aa0ba902b7-01"

    def id_for(header: str) -> str:
        answer = client.get("/back-office/orders/1", headers={"traceparent": header})
        return str(answer.headers["x-request-id"])

    assert id_for(good) == trace
    for wrong in (good.upper(), f"{good} ", good[:-1] + "x", f"00-{'m' * 32}-00f067aa0ba902b7-01"):
        assert id_for(wrong) not in (trace, "m" * 32)


def test_an_error_is_logged_by_class_and_place_without_its_text(
    lines: Callable[[], list[dict[str, object]]],
) -> None:
    logger = logging.getLogger("counterfoil.test")

    def fail() -> None:
        raise Malformed("a name", "Li Mei", "claims.name")

    try:
        fail()
    except Malformed:
        logger.exception("it went wrong")
    logger.warning("said %s", "Li Mei")
    say(logger, logging.WARNING, "row", where="audit_log[7]", count=3)

    first, second, third = lines()
    assert (first["event"], first["error"]) == ("it went wrong", "Malformed")
    assert second["event"] == "said %s"
    assert (third["event"], third["where"], third["count"]) == ("row", "audit_log[7]", 3)
    assert "Mei" not in json.dumps([first, second, third])


def test_a_line_end_in_a_field_does_not_end_the_line() -> None:
    record = logging.makeLogRecord(
        {"msg": "a", "levelname": "INFO", "counterfoil_fields": {"where": "a\nb"}}
    )

    assert "\n" not in JsonFormatter().format(record)


def test_the_metrics_are_shown_to_whom_they_are_for(client: TestClient) -> None:
    assert client.get("/metrics").status_code == 401
    shown = client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"})

    assert shown.status_code == 200
    assert shown.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "counterfoil_http_requests_total" in shown.text
    assert "/metrics" not in client.get("/openapi.json").json()["paths"]


def test_a_word_outside_the_set_is_no_new_series(metrics: Metrics) -> None:
    refusals = metrics.counted("refusals", "Refusals", label="code", values={"invalid_grant"})
    assert value_of(metrics, "refusals_total", code="invalid_grant") == 0
    refusals.add("invalid_grant")
    refusals.add("mei@brand.example")
    refusals.add("other", 2)

    assert value_of(metrics, "refusals_total", code="invalid_grant") == 1
    assert value_of(metrics, "refusals_total", code="other") == 3
    assert b"mei" not in metrics.text()


def test_a_measured_value_is_read_when_somebody_looks(metrics: Metrics) -> None:
    waiting = [3]
    metrics.measured("waiting", "Events that wait", read=lambda: waiting[0])
    assert value_of(metrics, "waiting") == 3
    waiting[0] = 4
    assert value_of(metrics, "waiting") == 4


def test_couriers_tell_their_outcomes(metrics: Metrics) -> None:
    told = metrics.webhook_outcomes()
    told(Outcome.DELIVERED)
    told(Outcome.DEAD)

    for outcome, count in (("delivered", 1), ("dead", 1), ("failed", 0)):
        assert value_of(metrics, "counterfoil_webhook_attempts_total", outcome=outcome) == count


def test_a_backlog_of_webhooks_is_shown(
    database: Database, metrics: Metrics, random_bytes: Callable[[int], bytes]
) -> None:
    webhooks = Webhooks(bytes(32), clock=lambda: NOON, random=random_bytes)
    metrics.webhook_backlog(database, webhooks)
    with database.transaction() as connection:
        ids = [
            webhooks.add(connection, f"https://{name}.example/").endpoint_id
            for name in ("shop", "till")
        ]
        publish(connection, "credential.revoked", {}, at=NOON, random=random_bytes)
        webhooks.pause(connection, ids[0])
        connection.change(
            outbox.LETTERS.insert().values(
                endpoint_id=ids[1], sequence=1, state="dead", failure="status 500", died_at=0
            )
        )

    for name, count in (("waiting", 2), ("dead", 1), ("paused", 1)):
        assert value_of(metrics, f"counterfoil_webhook_{name}") == count


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    database = Database.open(where, METADATA)
    yield database
    database.close()


def test_row_A13_the_audit_job_names_the_tampered_row_within_one_run_and_counts_it(  # noqa: N802
    database: Database, metrics: Metrics, lines: Callable[[], list[dict[str, object]]]
) -> None:
    log = AuditLog(bytes(range(32)))
    watch = AuditWatch(database, log, metrics, clock=lambda: NOON)
    with database.transaction() as connection:
        for i in range(9):
            log.append(connection, "ops-key", "credential.revoked/lost", f"credential-{i}", NOON)
    assert watch.run() is None
    assert value_of(metrics, "counterfoil_audit_intact") == 1
    assert value_of(metrics, "counterfoil_audit_entries") == 9
    assert value_of(metrics, "counterfoil_audit_checked_timestamp_seconds") == NOON.timestamp()

    with database.transaction() as connection:
        connection.change(update(LOG).where(LOG.c.sequence == 7).values(subject="credential-0"))
    found = watch.run()

    assert found is not None
    assert found.where == "audit_log[7]"
    assert value_of(metrics, "counterfoil_audit_intact") == 0
    assert value_of(metrics, "counterfoil_audit_findings_total", code="audit-row-altered") == 1
    (line,) = lines()
    assert (line["level"], line["where"]) == ("error", "audit_log[7]")


@pytest.fixture
def kept(tmp_path: Path) -> CheckpointFile:
    path = tmp_path / "audit-checkpoints"
    return CheckpointFile(path, MemorySigner.generate(), clock=lambda: NOON)


def test_the_audit_job_finds_a_log_that_was_emptied(
    database: Database, metrics: Metrics, kept: CheckpointFile
) -> None:
    log = AuditLog(bytes(range(32)))
    watch = AuditWatch(database, log, metrics, clock=lambda: NOON, checkpoints=kept)
    for grown in (3, 3, 6):
        with database.transaction() as connection:
            for i in range(len(log.entries(connection)), grown):
                log.append(connection, "ops-key", "credential.issued", f"credential-{i}", NOON)
        assert watch.run() is None
    assert [each.sequence for each in kept.read()] == [3, 6]

    with database.transaction() as connection:
        connection.change(delete(LOG))
        connection.change(delete(audit.MARKS))
    found = watch.run()
    assert found is not None
    assert (found.code, found.where) == ("audit-row-missing", "audit_log[1]")
    assert [each.sequence for each in kept.read()] == [3, 6]


@pytest.mark.parametrize("text", ["another line", "ÿ", "a.b.c", "x" * 2_000_000])
def test_the_audit_job_finds_a_checkpoint_file_that_was_changed(
    database: Database, metrics: Metrics, kept: CheckpointFile, tmp_path: Path, text: str
) -> None:
    log = AuditLog(bytes(range(32)))
    watch = AuditWatch(database, log, metrics, clock=lambda: NOON, checkpoints=kept)
    assert watch.run() is None
    (tmp_path / "audit-checkpoints").write_text(text, "utf-8")
    found = watch.run()

    assert found is not None
    assert found.code == "audit-checkpoint-unreadable"
    assert value_of(metrics, "counterfoil_audit_findings_total", code=found.code) == 1


def test_the_checkpoint_file_is_its_owner_s_and_does_not_grow_for_ever(
    kept: CheckpointFile, tmp_path: Path
) -> None:
    path = tmp_path / "audit-checkpoints"
    kept.keep(Checkpoint(1, "A"))
    first = path.read_text()
    path.write_text(first * 1_000)
    kept.keep(Checkpoint(2, "B"))

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(kept.read()) == 1_000
    assert kept.read()[-1] == Checkpoint(2, "B")


def test_a_database_that_is_away_is_no_finding(database: Database, metrics: Metrics) -> None:
    class Away(Database):
        def reading(self) -> object:  # type: ignore[override]  # it fails before it gives any
            raise Unavailable("expected the database, found none")

    away = Away.__new__(Away)
    watch = AuditWatch(away, AuditLog(bytes(32)), metrics, clock=lambda: NOON)

    assert watch.run() is None
    assert value_of(metrics, "counterfoil_audit_checked_timestamp_seconds") == 0
