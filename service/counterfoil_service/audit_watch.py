"""The job that checks the audit log, and says so where machines look.

    watch = AuditWatch(db, log, metrics, clock=clock, checkpoints=read_checkpoints)
    app = FastAPI(lifespan=repeating(watch.run, every_s=3600))

    counterfoil_audit_findings_total{code="audit-row-altered"} 1.0
    counterfoil_audit_intact 0.0

One run names the first wrong row, in the log and to whoever calls `run`.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from counterfoil_credentials.errors import Reason, Refused, Unavailable

from counterfoil_service.audit import AuditLog, Checkpoint
from counterfoil_service.logs import say
from counterfoil_service.metrics import Metrics
from counterfoil_service.sql import Database

FINDINGS: Final = frozenset(
    {
        "audit-row-altered",
        "audit-row-missing",
        "audit-row-added",
        "audit-mark-altered",
        "audit-checkpoint-missed",
    }
)
_LOGGER: Final = logging.getLogger("counterfoil.audit")


class AuditWatch:
    """Checks one log, again and again."""

    def __init__(
        self,
        database: Database,
        log: AuditLog,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        checkpoints: Callable[[], Sequence[Checkpoint]] = tuple,
    ) -> None:
        """Set up; `checkpoints` gives the log's earlier ends, from where they are kept."""
        self._database = database
        self._log = log
        self._clock = clock
        self._checkpoints = checkpoints
        self._findings = metrics.counted(
            "counterfoil_audit_findings",
            "Runs that found the audit log altered",
            label="code",
            values=FINDINGS,
        )
        self._intact = metrics.gauge("counterfoil_audit_intact", "1 when the last run found it so")
        self._entries = metrics.gauge("counterfoil_audit_entries", "Entries up to the log's head")
        self._checked_at = metrics.gauge(
            "counterfoil_audit_checked_timestamp_seconds", "When the last run ended"
        )

    def run(self) -> Reason | None:
        """Check the whole log once. Give the first wrong row, or None when it is whole.

        A database that is away is no finding: `counterfoil_audit_checked…` stays behind.
        """
        try:
            with self._database.reading() as connection:
                end = self._log.check(connection, self._checkpoints())
        except Unavailable:
            say(_LOGGER, logging.WARNING, "audit log not checked")
            return None
        except Refused as refusal:
            reason = refusal.reasons[0]
            self._findings.add(reason.code)
            self._intact.set(0)
            self._checked_at.set(self._clock().timestamp())
            say(_LOGGER, logging.ERROR, "audit log altered", code=reason.code, where=reason.where)
            return reason
        self._intact.set(1)
        self._entries.set(end.sequence)
        self._checked_at.set(self._clock().timestamp())
        return None
