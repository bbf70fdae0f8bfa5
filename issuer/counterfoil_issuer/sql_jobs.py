"""Jobs in the database: how far each has come, what was wrong, and the file while it is needed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from counterfoil_service.statements import Connection, Row, Statement
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from counterfoil_issuer.batch_rows import RowError
from counterfoil_issuer.jobs import Job, JobId
from counterfoil_issuer.tables import METADATA

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("job_id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("made", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("error_count", Integer, nullable=False),
    Column("started_by", String, nullable=False),
    Column("started_at", BigInteger, nullable=False, index=True),
    Column("finished_at", BigInteger),
    # Personal data: erased when the job is finished.
    Column("file", String),
)
JOB_ERRORS: Final = Table(
    "job_errors",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String, ForeignKey(JOBS.c.job_id), nullable=False, index=True),
    Column("row_number", Integer, nullable=False),
    Column("column_name", String, nullable=False),
    Column("expected", String, nullable=False),
    Column("found", String, nullable=False),
)

_SHOWN: Final = [column for column in JOBS.c if column.key != "file"]
_FIND: Final = Statement(select(*_SHOWN).where(JOBS.c.job_id == bindparam("job")))
_FILE: Final = Statement(select(JOBS.c.file).where(JOBS.c.job_id == bindparam("job")))
_ADD: Final = Statement(insert(JOBS))
_PUT: Final = Statement(
    update(JOBS)
    .where(JOBS.c.job_id == bindparam("job"))
    .values(
        done=bindparam("now_done"),
        made=bindparam("now_made"),
        unchanged=bindparam("now_unchanged"),
        error_count=bindparam("now_errors"),
        finished_at=bindparam("ended"),
    )
)
_ERASE: Final = Statement(update(JOBS).where(JOBS.c.job_id == bindparam("job")).values(file=None))
_FORGET: Final = Statement(delete(JOBS).where(JOBS.c.job_id == bindparam("job")))
_FORGET_ERRORS: Final = Statement(delete(JOB_ERRORS).where(JOB_ERRORS.c.job_id == bindparam("job")))
_ADD_ERROR: Final = Statement(
    insert(JOB_ERRORS), columns=("job_id", "row_number", "column_name", "expected", "found")
)
_ERRORS: Final = Statement(
    select(JOB_ERRORS)
    .where(JOB_ERRORS.c.job_id == bindparam("job"))
    .order_by(JOB_ERRORS.c.row_number, JOB_ERRORS.c.position)
    .limit(bindparam("at_most"))
    .offset(bindparam("beginning"))
)
_LATEST: Final = Statement(
    select(*_SHOWN).order_by(JOBS.c.started_at.desc(), JOBS.c.job_id).limit(bindparam("at_most"))
)
_UNFINISHED: Final = Statement(
    select(JOBS.c.job_id)
    .where(JOBS.c.finished_at.is_(None))
    .order_by(JOBS.c.started_at, JOBS.c.job_id)
)


class SqlJobBook:
    """The jobs as one transaction holds them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def job(self, job_id: JobId) -> Job | None:
        row = self._connection.row(_FIND, job=job_id)
        return None if row is None else _job(row)

    def jobs(self, at_most: int) -> list[Job]:
        """Give the jobs begun last, the latest first."""
        return [_job(row) for row in self._connection.rows(_LATEST, at_most=at_most)]

    def unfinished(self) -> list[JobId]:
        """Give the jobs that wait to be done, the oldest first."""
        return [JobId(row.job_id) for row in self._connection.rows(_UNFINISHED)]

    def file(self, job_id: JobId) -> bytes | None:
        """Give the file of an unfinished job."""
        text: str | None = self._connection.value(_FILE, job=job_id)
        return None if text is None else text.encode()

    def add_job(self, job: Job, data: bytes) -> None:
        self._connection.change(
            _ADD,
            job_id=job.job_id,
            kind=job.kind,
            row_count=job.rows,
            done=job.done,
            made=job.made,
            unchanged=job.unchanged,
            error_count=job.error_count,
            started_by=job.started_by,
            started_at=int(job.started_at.timestamp()),
            finished_at=_seconds(job.finished_at),
            # A file that could be read is UTF-8.
            file=None if job.finished else data.decode(),
        )

    def forget(self, job_id: JobId) -> None:
        """Forget a job with what was wrong."""
        self._connection.change(_FORGET_ERRORS, job=job_id)
        self._connection.change(_FORGET, job=job_id)

    def put_job(self, job: Job) -> None:
        self._connection.change(
            _PUT,
            job=job.job_id,
            now_done=job.done,
            now_made=job.made,
            now_unchanged=job.unchanged,
            now_errors=job.error_count,
            ended=_seconds(job.finished_at),
        )
        if job.finished:
            self._connection.change(_ERASE, job=job.job_id)

    def add_errors(self, job_id: JobId, errors: Sequence[RowError]) -> None:
        for error in errors:
            self._connection.change(
                _ADD_ERROR,
                job_id=job_id,
                row_number=error.row,
                column_name=error.column,
                expected=error.expected,
                found=error.found,
            )

    def errors(self, job_id: JobId, *, at_most: int, after: int = 0) -> list[RowError]:
        """Give what was wrong, by row, leaving out the first `after`."""
        return [
            RowError(
                row=row.row_number, column=row.column_name, expected=row.expected, found=row.found
            )
            for row in self._connection.rows(_ERRORS, job=job_id, at_most=at_most, beginning=after)
        ]


def _job(row: Row) -> Job:
    return Job(
        job_id=JobId(row.job_id),
        kind=row.kind,
        rows=row.row_count,
        done=row.done,
        made=row.made,
        unchanged=row.unchanged,
        error_count=row.error_count,
        started_by=row.started_by,
        started_at=datetime.fromtimestamp(row.started_at, UTC),
        finished_at=None
        if row.finished_at is None
        else datetime.fromtimestamp(row.finished_at, UTC),
    )


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
