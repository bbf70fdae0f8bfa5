"""Does batches row by row: orders, credentials of one type, what a second person approved."""

import hmac
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from counterfoil_credentials.encoding import JsonObject, canonical_json
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused

from counterfoil_issuer.approvals import Proposal, ProposalState
from counterfoil_issuer.back_office import SERIAL, BackOffice, Sitting, serial_in
from counterfoil_issuer.batch_rows import WHOLE_ROW, Row, RowError, parse_rows
from counterfoil_issuer.credential_type import CredentialType
from counterfoil_issuer.datasets import new_dataset
from counterfoil_issuer.importing import MAX_ERRORS, NAME, parse_orders
from counterfoil_issuer.jobs import (
    APPROVED,
    ORDERS,
    ROWS_AT_ONCE,
    Batch,
    BatchRow,
    Job,
    JobId,
    RowOutcome,
)
from counterfoil_issuer.lifecycle import known_issuance
from counterfoil_issuer.orders import Order
from counterfoil_issuer.records import Clock, Dataset, DatasetId, IssuanceId
from counterfoil_issuer.sql_jobs import SqlJobBook
from counterfoil_issuer.sql_store import SqlHeld, SqlStore


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDesk:
    """Begins and does the jobs of one issuer. `secret` is the issuer's."""

    office: BackOffice
    store: SqlStore
    clock: Clock

    def batch(self, kind: str, data: bytes) -> Batch:
        """Give what each good row of a file does, and what is wrong with the others.

        Raises `Malformed` when it is no such file at all, `Refused` with `type-unknown`.
        What a second person approved is no file: `approved` gives its batch.
        """
        if kind == ORDERS:
            return self._orders(data)
        return self._credentials(self.office.type_named(kind), data)

    def begin(self, batch: Batch, *, by: str) -> Job:
        """Give the job of `batch`: begun now, or how far it has come when it was stopped."""
        with self.store.transaction() as held:
            return self.begin_in(Sitting(held.connection, by, self.clock()), batch)

    def begin_in(self, sitting: Sitting, batch: Batch) -> Job:
        """Begin a job in a transaction that is open."""
        book = SqlJobBook(sitting.connection)
        known = book.job(batch.job_id)
        if known is not None:
            is_same = not known.finished and known.rows == len(batch.rows)
            # What was approved is done once: who was reinstated since stays so.
            if is_same or batch.kind == APPROVED:
                return known
        # A finished one is begun anew, and one that was read by another catalogue: what
        # was done finds itself unchanged.
        book.forget(batch.job_id)
        job = Job(
            job_id=batch.job_id,
            kind=batch.kind,
            rows=len(batch.rows),
            done=0,
            made=0,
            unchanged=0,
            error_count=batch.error_count,
            started_by=sitting.actor,
            started_at=sitting.now,
            finished_at=None if batch.rows else sitting.now,
        )
        book.add_job(job, batch.data)
        book.add_errors(job.job_id, batch.errors)
        self.office.note(sitting, f"job.begun/{job.kind}", f"job:{job.job_id}")
        return job

    def advance(self, batch: Batch, *, at_once: int = ROWS_AT_ONCE) -> Job:
        """Do the next rows of a job that was begun, in one transaction, and give how far it is.

        Raises `Unavailable` when the database cannot be had; nothing happened then.
        """
        try:
            return self._advance(batch, at_once, _act)
        except Misuse:
            # A row broke a rule of the database. Alone it takes no other with it.
            if at_once == 1:
                return self._advance(batch, 1, _refuse)
        for _ in range(at_once - 1):
            if self.advance(batch, at_once=1).finished:
                break
        return self.advance(batch, at_once=1)

    def run(self, batch: Batch, *, by: str) -> Iterator[Job]:
        """Do all of `batch`, giving the job as it comes along; the last one is finished."""
        job = self.begin(batch, by=by)
        yield job
        while not job.finished:
            job = self.advance(batch)
            yield job

    def run_waiting(self) -> None:
        """Do every job that was begun and is not finished, whoever began it, and stopped."""
        with self.store.reading() as held:
            book = SqlJobBook(held.connection)
            waiting = [(book.job(job_id), book.file(job_id)) for job_id in book.unfinished()]
        for job, data in waiting:
            if job is None or data is None:
                continue
            try:
                batch = self._begun(job.kind, data)
                while not self.advance(batch).finished:
                    pass
            except (Malformed, Refused) as error:
                # The catalogue is not what it was when the job began.
                self._give_up(job, error)

    def job(self, job_id: str) -> Job:
        """Give a job; raises `Refused` with `job-unknown`."""
        with self.store.reading() as held:
            known = SqlJobBook(held.connection).job(JobId(job_id))
        if known is None:
            raise Refused(Reason("job-unknown", "a job's id", "another", "job_id"))
        return known

    def jobs(self, at_most: int) -> list[Job]:
        """Give the jobs begun last, the latest first."""
        with self.store.reading() as held:
            return SqlJobBook(held.connection).jobs(at_most)

    def errors(self, job_id: str, *, at_most: int = MAX_ERRORS, after: int = 0) -> list[RowError]:
        """Give what was wrong with a job's rows, by row."""
        with self.store.reading() as held:
            return SqlJobBook(held.connection).errors(JobId(job_id), at_most=at_most, after=after)

    def _advance(
        self, batch: Batch, at_once: int, act: Callable[[BatchRow, SqlHeld, datetime], RowOutcome]
    ) -> Job:
        now = self.clock()
        with self.store.transaction() as held:
            book = SqlJobBook(held.connection)
            job = book.job(batch.job_id)
            if job is None or len(batch.rows) != job.rows:
                raise Malformed("the batch that was begun", "another", "job")
            if job.finished:
                return job
            errors: list[RowError] = []
            outcomes: list[RowOutcome] = []
            for row in batch.rows[job.done : job.done + at_once]:
                try:
                    outcomes.append(act(row, held, now))
                except (Malformed, Refused) as error:
                    errors.append(_row_error(row.number, error))
            book.add_errors(job.job_id, errors[: max(0, MAX_ERRORS - job.error_count)])
            done = job.done + len(outcomes) + len(errors)
            job = replace(
                job,
                done=done,
                made=job.made + outcomes.count(RowOutcome.MADE),
                unchanged=job.unchanged + outcomes.count(RowOutcome.UNCHANGED),
                error_count=job.error_count + len(errors),
                finished_at=now if done == job.rows else None,
            )
            book.put_job(job)
            if job.finished:
                sitting = Sitting(held.connection, job.started_by, now)
                self.office.note(sitting, f"job.finished/{job.kind}", f"job:{job.job_id}")
                facts: JsonObject = {"job_id": job.job_id, "kind": job.kind, "made": job.made}
                self.office.tell(sitting, "job.finished", facts)
            return job

    def _give_up(self, job: Job, error: Malformed | Refused) -> None:
        with self.store.transaction() as held:
            book = SqlJobBook(held.connection)
            book.add_errors(job.job_id, [_row_error(0, error)])
            book.put_job(replace(job, error_count=job.error_count + 1, finished_at=self.clock()))

    # The three kinds.

    def _begun(self, kind: str, data: bytes) -> Batch:
        """Give the batch of a job that was begun, from what was kept of it."""
        if kind != APPROVED:
            return self.batch(kind, data)
        with self.store.reading() as held:
            proposal = self.office.proposal(held.connection, data.decode())
        return self.approved(proposal)

    def _orders(self, data: bytes) -> Batch:
        issuer = self.office.issuer
        parsed = parse_orders(data, issuer.catalogue.assortment, serial_key=issuer.secret)

        def take_in(order: Order, held: SqlHeld, _now: datetime) -> RowOutcome:
            known = held.order(order.number)
            if known is None:
                issuer.add_order(held, order)
                return RowOutcome.MADE
            if known.as_filed() != order.as_filed():
                raise Malformed("the order as it was imported before", "other contents", NAME)
            return RowOutcome.UNCHANGED

        rows = [BatchRow(row, partial(take_in, order)) for row, order in parsed.orders]
        return Batch(
            kind=ORDERS,
            data=data,
            rows=rows,
            errors=parsed.errors,
            error_count=parsed.error_count,
        )

    def _credentials(self, kind: CredentialType, data: bytes) -> Batch:
        issuer = self.office.issuer
        rows: list[BatchRow] = []
        errors: list[RowError] = []
        error_count = 0
        seen: Counter[bytes] = Counter()
        names: list[tuple[int, DatasetId]] = []

        def record(dataset: Dataset, held: SqlHeld, now: datetime) -> RowOutcome:
            if held.add_dataset(dataset, now):
                return RowOutcome.MADE
            known = held.dataset(dataset.dataset_id)
            if known is None or known.claims != dataset.claims or known.subject != dataset.subject:
                expected = f"one {kind.name} for each item"
                raise Malformed(expected, "other claims than before", ".".join(SERIAL))
            return RowOutcome.UNCHANGED

        for row in parse_rows(data, kind):
            if isinstance(row, RowError):
                error_count += 1
                if error_count <= MAX_ERRORS:
                    errors.append(row)
                continue
            # A row is named by what it says, so that a corrected file makes only what is new;
            # rows that say the same are told apart by which of them they are.
            said = canonical_json([kind.name, row.claims, row.subject])
            seen[said] += 1
            text = b"dataset\0" + said + b"\0%d" % seen[said]
            name = hmac.digest(issuer.secret, text, "sha256")
            dataset = self._dataset(kind, row, name)
            names.append((row.number, dataset.dataset_id))
            rows.append(BatchRow(row.number, partial(record, dataset)))
        return Batch(
            kind=kind.name,
            data=data,
            rows=rows,
            errors=errors,
            error_count=error_count,
            dataset_ids=names,
        )

    def _dataset(self, kind: CredentialType, row: Row, name: bytes) -> Dataset:
        return new_dataset(
            self.office.issuer.catalogue,
            kind.name,
            row.claims,
            ends_at=None,
            serial=serial_in(row.claims),
            subject=row.subject,
            random=lambda size: name[:size],
        )

    def approved(self, proposal: Proposal) -> Batch:
        """Give the batch that does an approved proposal to its frozen list."""
        if proposal.state is not ProposalState.APPROVED or proposal.decided_by is None:
            raise Misuse("expected an approved proposal, found another")
        approver = proposal.decided_by

        def do(one: IssuanceId, held: SqlHeld, now: datetime) -> RowOutcome:
            # What ended since it was proposed is passed over.
            if not known_issuance(held, one).in_force:
                return RowOutcome.UNCHANGED
            sitting = Sitting(held.connection, approver, now)
            self.office.act(sitting, proposal.act, one, proposal.reason)
            return RowOutcome.MADE

        rows = [BatchRow(i, partial(do, one)) for i, one in enumerate(proposal.issuances, start=1)]
        name = proposal.proposal_id.encode()
        return Batch(kind=APPROVED, data=name, rows=rows, errors=(), error_count=0)


def _act(row: BatchRow, held: SqlHeld, now: datetime) -> RowOutcome:
    return row.act(held, now)


def _refuse(_row: BatchRow, _held: SqlHeld, _now: datetime) -> RowOutcome:
    raise Malformed("a row that goes with what is there", "one that does not", WHOLE_ROW)


def _row_error(number: int, error: Malformed | Refused) -> RowError:
    told: Malformed | Reason = error if isinstance(error, Malformed) else error.reasons[0]
    return RowError(row=number, column=told.where, expected=told.expected, found=told.found)
