"""Batches as jobs: each row once, whatever is killed when; what is wrong stays with its row."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.job_desk import JobDesk
from counterfoil_issuer.jobs import ORDERS, BatchRow, Job, RowOutcome
from counterfoil_issuer.orders import OrderNumber
from counterfoil_issuer.sql_jobs import JOBS
from counterfoil_issuer.sql_store import SqlHeld, SqlStore
from counterfoil_issuer.tables import DATASETS
from sqlalchemy import func, select

from tests.conftest import Clock
from tests.issuer.brand import ORDER_1001, ORDER_1002, issuer_on, orders_file
from tests.issuer.brand import ORDERS as ORDERS_FILE
from tests.issuer.office import desk_of

pytestmark = pytest.mark.once

HEADER = "programme,level,valid_until,since,member_number,@subject"
ROWS = 10_000
BAD_ROWS = 37


@pytest.fixture
def desk(issuer: Issuer, store: SqlStore) -> JobDesk:
    return desk_of(issuer, store)


def members(count: int, *, bad: dict[int, str] | None = None) -> bytes:
    """Give a batch of members; the rows in `bad` (as a spreadsheet counts) are as given."""
    rows = [HEADER]
    for number in range(2, count + 2):
        good = f"Auricle Circle,gold,2027-02-01,2026-02-01,AC-{number:06},m{number}@example.org"
        rows.append((bad or {}).get(number, good))
    return ("\n".join(rows) + "\n").encode()


def done(desk: JobDesk, kind: str, data: bytes) -> Job:
    *_, last = desk.run(desk.batch(kind, data), by="mei")
    return last


def datasets_in(store: SqlStore, type_name: str) -> int:
    counted = select(func.count()).where(DATASETS.c.type_name == type_name)
    with store.reading() as held:
        count: int = held.connection.value(counted)
    return count


def test_orders_are_taken_in_once(desk: JobDesk) -> None:
    known = done(desk, ORDERS, ORDERS_FILE)
    third = "\n".join(ORDER_1001).replace("#1001", "#1003").splitlines()
    more = done(desk, ORDERS, orders_file(*ORDER_1002, *third))

    assert (known.made, known.unchanged, known.error_count) == (0, 2, 0)
    assert (more.made, more.unchanged, more.error_count) == (1, 1, 0)


def test_the_same_file_is_the_same_job_and_makes_nothing_twice(
    desk: JobDesk, store: SqlStore
) -> None:
    first = done(desk, "tier", members(3))
    again = done(desk, "tier", members(3))

    assert (first.made, again.made, again.unchanged) == (3, 0, 3)
    assert [job.job_id for job in desk.jobs(9)] == [first.job_id]
    assert datasets_in(store, "tier") == 3
    assert done(desk, "tier", members(4)).job_id != first.job_id


def test_a_file_that_another_catalogue_reads_is_begun_anew(desk: JobDesk) -> None:
    batch = desk.batch("tier", members(150))
    desk.begin(batch, by="mei")
    assert desk.advance(batch).done == 100
    fewer = replace(batch, rows=batch.rows[:120])
    *_, job = desk.run(fewer, by="mei")

    assert (job.rows, job.made, job.unchanged) == (120, 20, 100)


def test_a_job_that_cannot_go_on_ends_and_says_why(
    desk: JobDesk, store: SqlStore, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    batch = desk.batch("tier", members(3))
    desk.begin(batch, by="mei")
    other = issuer_on(store, clock, random_bytes)
    other.catalogue = replace(other.catalogue, types={})
    desk_of(other, store).run_waiting()

    job = desk.job(batch.job_id)
    assert (job.finished, job.made, job.error_count) == (True, 0, 1)
    (error,) = desk.errors(job.job_id)
    assert error.column == "type"


def test_a_corrected_file_makes_what_is_new_alone(desk: JobDesk, store: SqlStore) -> None:
    broken = done(desk, "tier", members(5, bad={4: "Auricle Circle,,2027-02-01,2026-02-01,AC-4,x"}))
    mended = done(desk, "tier", members(5))

    assert (broken.made, broken.error_count) == (4, 1)
    assert (mended.made, mended.unchanged, mended.error_count) == (1, 4, 0)
    assert datasets_in(store, "tier") == 5


def test_two_rows_that_say_the_same_are_two_credentials(desk: JobDesk, store: SqlStore) -> None:
    row = "Auricle Circle,gold,2027-02-01,2026-02-01,AC-1,m@example.org"
    twins = f"{HEADER}\n{row}\n{row}\n".encode()

    assert done(desk, "tier", twins).made == 2
    assert datasets_in(store, "tier") == 2


def test_an_item_has_one_warranty_whatever_a_later_file_says(desk: JobDesk) -> None:
    header = "item.name,item.gtin,item.serial,valid_from,valid_until,scope[0]"
    row = "Auricle One,4006381333931,A1-7QK2MX,2026-03-01,{},parts"
    first = done(desk, "warranty", f"{header}\n{row.format('2028-03-01')}\n".encode())
    other = done(desk, "warranty", f"{header}\n{row.format('2029-03-01')}\n".encode())

    assert (first.made, other.made, other.error_count) == (1, 0, 1)
    (error,) = desk.errors(other.job_id)
    assert (error.row, error.column) == (2, "item.serial")
    assert "A1-7QK2MX" not in str(error)


def test_of_ten_thousand_rows_the_37_bad_ones_are_told_by_row_and_column(
    desk: JobDesk, store: SqlStore
) -> None:
    chosen = sorted(random.Random(37).sample(range(2, ROWS + 2), BAD_ROWS))
    ways = {
        "level": "Auricle Circle,,2027-02-01,2026-02-01,AC-1,m@example.org",
        "since": "Auricle Circle,gold,2027-02-01,in spring,AC-1,m@example.org",
        "programme": ",gold,2027-02-01,2026-02-01,AC-1,m@example.org",
        "(row)": "Auricle Circle,gold",
    }
    planted = {row: [*ways][i % len(ways)] for i, row in enumerate(chosen)}
    job = done(desk, "tier", members(ROWS, bad={row: ways[how] for row, how in planted.items()}))

    assert (job.made, job.error_count) == (ROWS - BAD_ROWS, BAD_ROWS)
    assert {error.row: error.column for error in desk.errors(job.job_id)} == planted
    assert datasets_in(store, "tier") == ROWS - BAD_ROWS


def test_two_workers_at_one_job_do_no_row_twice(
    desk: JobDesk, issuer: Issuer, store: SqlStore
) -> None:
    batch = desk.batch("tier", members(1_500))
    desk.begin(batch, by="mei")

    threads = [threading.Thread(target=desk_of(issuer, store).run_waiting) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    job = desk.job(batch.job_id)
    assert (job.made, job.unchanged, job.error_count, job.finished) == (1_500, 0, 0, True)


def test_a_row_that_breaks_a_rule_of_the_database_takes_no_other_with_it(
    desk: JobDesk,
) -> None:
    batch = desk.batch("tier", members(150))
    rows = [*batch.rows]

    def breaks(held: SqlHeld, now: datetime) -> RowOutcome:
        order = held.order(OrderNumber("#1001"))
        assert order is not None
        held.add_order(order, now)
        return RowOutcome.MADE

    rows[70] = BatchRow(rows[70].number, breaks)
    *_, job = desk.run(replace(batch, rows=rows), by="mei")

    assert (job.made, job.error_count, job.done) == (149, 1, 150)
    assert [error.row for error in desk.errors(job.job_id)] == [72]


def test_the_file_of_a_finished_job_is_erased(desk: JobDesk) -> None:
    data = members(3).replace(b"m2@", b"canary@")
    batch = desk.batch("tier", data)
    desk.begin(batch, by="mei")
    assert _column(desk, "file") == [data.decode()]
    done(desk, "tier", data)
    assert _column(desk, "file") == [None]


def test_an_unknown_type_and_a_file_that_is_none_are_refused(desk: JobDesk) -> None:
    with pytest.raises(Refused) as refusal:
        desk.batch("passport", b"{}")
    assert refusal.value.codes == ["type-unknown"]
    with pytest.raises(Malformed, match="programme"):
        desk.batch("tier", b"level,since\n")
    with pytest.raises(Refused) as unknown:
        desk.job("none")
    assert unknown.value.codes == ["job-unknown"]


IMPORT = """
import sys
from pathlib import Path
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.catalogue import parse_catalogue
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.sql_store import SqlHeld, SqlStore
from tests.issuer.brand import AUDIO, CATALOGUE, SECRET
from tests.issuer.office import desk_of

store = SqlStore(Path(sys.argv[1]))
issuer = Issuer(url=AUDIO, catalogue=parse_catalogue(CATALOGUE), signer=MemorySigner.generate(),
                secret=SECRET, store=store)
desk = desk_of(issuer, store)
for job in desk.run(desk.batch("tier", sys.stdin.buffer.read()), by="mei"):
    print(job.done, flush=True)
"""


def test_a_job_that_was_killed_in_the_middle_goes_on_where_it_was(
    tmp_path: Path, issuer: Issuer
) -> None:
    path, data = tmp_path / "killed.sqlite3", members(3_000, bad={77: ",", 2_900: ","})
    told = [-1]
    for lines in (4, 6):
        with subprocess.Popen(
            [sys.executable, "-c", IMPORT, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=False,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(data)
            child.stdin.close()
            begun, *further = [int(child.stdout.readline()) for _ in range(lines)]
            child.send_signal(signal.SIGKILL)
        # What was told before the kill was on disk.
        assert begun >= told[-1]
        told = further

    store = SqlStore(path)
    desk = desk_of(issuer, store)
    job = done(desk, "tier", data)

    assert (job.made, job.unchanged, job.error_count) == (2_998, 0, 2)
    assert datasets_in(store, "tier") == 2_998
    assert {error.row for error in desk.errors(job.job_id)} == {77, 2_900}
    store.close()


def _column(desk: JobDesk, name: str) -> list[object]:
    with desk.store.reading() as held:
        return [row[0] for row in held.connection.rows(select(JOBS.c[name]))]
