"""A batch of many rows as a job that survives a kill: each row is done exactly once.

    batch = desk.batch(kind, data)                    # what each good row does
    job = desk.begin(batch, by="mei")                 # the same file again is the same job
    while not job.finished:
        job = desk.advance(batch)                     # job_desk.py

Rows are done a hundred to a transaction, which also writes down how far the job
has come. Whoever goes on after a kill, in whatever process, goes on there. What is
wrong with a row is kept with its row and column; it takes no other row with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NewType

from counterfoil_credentials.encoding import b64url

from counterfoil_issuer.batch_rows import RowError
from counterfoil_issuer.records import DatasetId

if TYPE_CHECKING:
    from counterfoil_issuer.sql_store import SqlHeld

JobId = NewType("JobId", str)

ROWS_AT_ONCE: Final = 100
"""How many rows share a transaction: wallets that write meanwhile wait for one of these."""

ORDERS: Final = "orders"
"""The kind of a job that takes in an orders file."""

APPROVED: Final = "approved"
"""The kind of a job that does an approved proposal. Every other kind is a credential type."""


class RowOutcome(StrEnum):
    """What became of a good row."""

    MADE = "made"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A good row: its number in the file, and what it does inside a transaction.

    `act` writes nothing before it raises `Refused` or `Malformed`.
    """

    number: int
    act: "Callable[[SqlHeld, datetime], RowOutcome]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A file that was read: the good rows in the file's order, and what was wrong in the others."""

    kind: str
    data: bytes = field(repr=False)
    rows: Sequence[BatchRow]
    errors: Sequence[RowError]
    error_count: int
    dataset_ids: Sequence[tuple[int, DatasetId]] = ()
    """The datasets that the rows of a batch of credentials make, each with its row."""

    @property
    def job_id(self) -> JobId:
        """Give the job of this file: the same for the same bytes and kind, whoever asks."""
        return JobId(b64url(sha256(self.kind.encode() + b"\0" + self.data).digest()[:16]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How far a batch has come: `done` of `rows` good rows; a thousand errors are kept."""

    job_id: JobId
    kind: str
    rows: int
    done: int
    made: int
    unchanged: int
    error_count: int
    started_by: str
    started_at: datetime
    finished_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Say whether every good row was done."""
        return self.finished_at is not None
