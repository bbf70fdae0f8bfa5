"""The job that checks the audit log, and says so where machines look.

    kept = CheckpointFile(data / "audit-checkpoints", audit_signer, clock=clock)
    watch = AuditWatch(db, log, metrics, clock=clock, checkpoints=kept)
    app = FastAPI(lifespan=repeating(watch.run, every_s=3600))

    counterfoil_audit_findings_total{code="audit-row-altered"} 1.0
    counterfoil_audit_intact 0.0

One run names the first wrong row, in the log and to whoever calls `run`. After each
good one the log's end is kept in a file: a database that is put back to an older
state is found by the next run. Copy that file to another machine as well: it stops
whoever can write this one's disk.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.key_file import replace_private
from counterfoil_credentials.keys import Signer

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
        "audit-checkpoint-unreadable",
    }
)
MAX_KEPT: Final = 1_000
_MAX_FILE_BYTES: Final = 1_048_576
_LOGGER: Final = logging.getLogger("counterfoil.audit")


class CheckpointFile:
    """The newest thousand checkpoints, each a line, in a file that its owner alone reads."""

    def __init__(self, path: Path, signer: Signer, *, clock: Callable[[], datetime]) -> None:
        """Set up; `signer` is the audit log's own, which is never rotated."""
        self._path = path
        self._signer = signer
        self._clock = clock

    def read(self) -> list[Checkpoint]:
        """Give what was kept; `Refused` (`audit-checkpoint-unreadable`) for a changed file."""
        return [self._read(line) for line in self._lines()]

    def keep(self, checkpoint: Checkpoint) -> None:
        """Add a line, on the disk before it returns, unless the log has not grown."""
        lines = self._lines()
        if lines and self._read(lines[-1]).sequence >= checkpoint.sequence:
            return
        line = checkpoint.sign(self._signer, self._clock())
        data = "".join(f"{each}\n" for each in [*lines, line][-MAX_KEPT:])
        replace_private(self._path, data.encode("ascii"))

    def _lines(self) -> list[str]:
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_FILE_BYTES + 1)
            if len(data) > _MAX_FILE_BYTES:
                raise _unreadable(self._path)
            return data.decode("ascii").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as cause:
            raise _unreadable(self._path) from cause

    def _read(self, line: str) -> Checkpoint:
        try:
            return Checkpoint.read(line, self._signer.public)
        except (Malformed, Refused) as cause:
            raise _unreadable(self._path) from cause


class AuditWatch:
    """Checks one log, again and again."""

    def __init__(
        self,
        database: Database,
        log: AuditLog,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        checkpoints: CheckpointFile | None = None,
    ) -> None:
        """Set up; `checkpoints` keeps the log's earlier ends."""
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

        A database or a disk that is away is no finding: `counterfoil_audit_checked…` stays
        behind, and the next run finds out.
        """
        try:
            kept = self._checkpoints.read() if self._checkpoints else ()
            with self._database.reading() as connection:
                end = self._log.check(connection, kept)
            if self._checkpoints:
                self._checkpoints.keep(end)
        except (Unavailable, OSError):
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


def _unreadable(path: Path) -> Refused:
    expected = "checkpoints that this service signed"
    return Refused(Reason("audit-checkpoint-unreadable", expected, "others", path.name))
