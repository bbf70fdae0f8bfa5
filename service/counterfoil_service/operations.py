"""What is mounted around every service's application, and what works beside it.

    operations = Operations(
        database=db, log=log, webhooks=webhooks, idempotency=idempotency, fetcher=fetcher,
        checkpoints=CheckpointFile(data / "audit-checkpoints", audit_signer, clock=clock),
        clock=clock, random=os.urandom,
    )
    app = create_app(..., working=operations.working())
    operations.mount(app, guard=access.require(Role.AUDITOR))
    Health({**operations.checks(), "disk": disk_has_room(data)}).mount(app)

GET /metrics for whom `guard` lets pass, a log line and a count for every request.
Beside it work: the couriers, the audit job, and a broom for kept answers and
delivered events past their time.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher
from fastapi import FastAPI

from counterfoil_service.audit import AuditLog
from counterfoil_service.audit_watch import AuditWatch, CheckpointFile
from counterfoil_service.couriers import Courier
from counterfoil_service.health import Check, clock_goes_on, database_answers
from counterfoil_service.idempotency import Idempotency
from counterfoil_service.metrics import Metrics
from counterfoil_service.outbox import Webhooks, forget_delivered
from counterfoil_service.repeating import repeating
from counterfoil_service.request_log import RequestLog
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection

EVENTS_LAST: Final = timedelta(days=30)
AUDIT_EVERY_S: Final = 3_600.0
SWEEP_EVERY_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """One service's operations, in one process."""

    database: Database
    log: AuditLog
    webhooks: Webhooks
    idempotency: Idempotency
    fetcher: Fetcher
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]
    checkpoints: CheckpointFile | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def mount(
        self, app: FastAPI, *, guard: Callable[..., object], metrics_path: str = "/metrics"
    ) -> None:
        """Add the route and, outside all middleware that is there, the request log."""
        self.metrics.webhook_backlog(self.database, self.webhooks)
        self.metrics.mount(app, guard=guard, path=metrics_path)
        app.add_middleware(RequestLog, metrics=self.metrics, random=self.random)

    def checks(self) -> dict[str, Check]:
        """Give what `health.Health` asks of every service: its database and its clock."""
        return {
            "database": database_answers(self.database),
            "clock": clock_goes_on(self.clock, self._last_written),
        }

    def working(self) -> list[Callable[[object], AbstractAsyncContextManager[None]]]:
        """Give the lifespans of what works beside the application."""
        courier = Courier(
            self.database,
            self.webhooks,
            self.fetcher,
            clock=self.clock,
            random=self.random,
            told=self.metrics.webhook_outcomes(),
        )
        watch = AuditWatch(
            self.database,
            self.log,
            self.metrics,
            clock=self.clock,
            checkpoints=self.checkpoints,
        )
        return [
            courier.working(),
            repeating(watch.run, AUDIT_EVERY_S),
            repeating(self.sweep, SWEEP_EVERY_S),
        ]

    def sweep(self) -> None:
        """Delete kept answers and delivered events past their time."""

        def forget_events(connection: Connection) -> int:
            return forget_delivered(connection, self.clock() - EVENTS_LAST)

        # A busy database waits for the next round.
        with suppress(Unavailable):
            for forget in (self.idempotency.forget, forget_events):
                # A thousand at a time, so that no writer waits long.
                while True:
                    with self.database.transaction() as connection:
                        if forget(connection) == 0:
                            break

    def _last_written(self) -> datetime | None:
        with self.database.reading() as connection:
            return self.log.last_at(connection)
