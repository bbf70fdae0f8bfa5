"""Whether a service says that it lives, and that it can work."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service.health import (
    EARLIEST,
    Check,
    Health,
    clock_goes_on,
    database_answers,
    disk_has_room,
    key_signs,
)
from counterfoil_service.sql import Database
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import MetaData

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


class Asked:
    """A check that counts, and says what it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.count += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def seconds() -> list[float]:
    return [0.0]


def client_of(
    seconds: list[float], checks: Mapping[str, Check], patience_s: float = 5.0
) -> TestClient:
    app = FastAPI()
    Health(checks, monotonic=lambda: seconds[0], patience_s=patience_s).mount(app)
    return TestClient(app)


def test_a_process_that_answers_lives(seconds: list[float]) -> None:
    broken = Asked()
    broken.error = Unavailable("expected a disk, found none")
    answer = client_of(seconds, {"disk": broken}).get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "live"})
    assert broken.count == 0


@pytest.mark.parametrize(
    "error", [None, Unavailable("secret place"), ZeroDivisionError("secret place")]
)
def test_readiness_names_each_check_and_says_no_more(
    seconds: list[float], error: Exception | None
) -> None:
    disk = Asked()
    disk.error = error
    answer = client_of(seconds, {"database": Asked(), "disk": disk}).get("/health/ready")

    if error is None:
        expected: dict[str, object] = {
            "status": "ready",
            "checks": {"database": "ok", "disk": "ok"},
        }
    else:
        expected = {"status": "not ready", "checks": {"database": "ok", "disk": "failed"}}
    assert answer.json() == expected
    assert answer.status_code == (503 if error else 200)
    assert answer.headers["cache-control"] == "no-store"


def test_many_who_ask_cost_one_check_in_two_seconds(seconds: list[float]) -> None:
    check = Asked()
    with client_of(seconds, {"database": check}) as client:
        for _ in range(5):
            client.get("/health/ready")
        assert check.count == 1

        check.error = Unavailable("away")
        seconds[0] = 1.99
        assert client.get("/health/ready").status_code == 200
        seconds[0] = 2.0
        assert client.get("/health/ready").status_code == 503
        assert check.count == 2


def test_a_check_that_hangs_is_not_ready_and_is_not_joined_by_another(
    seconds: list[float],
) -> None:
    go_on = threading.Event()
    started = Asked()

    def hang() -> None:
        started()
        go_on.wait(20)

    with client_of(seconds, {"database": hang}, patience_s=0.05) as client:
        first = [client.get("/health/ready") for _ in range(3)]
        go_on.set()
        later = client.get("/health/ready")
        for _ in range(100):
            if later.status_code == 200:
                break
            later = client.get("/health/ready")

    assert [answer.status_code for answer in first] == [503] * 3
    assert first[0].json()["checks"] == {"database": "failed"}
    assert later.status_code == 200
    assert started.count == 1


def test_refuses_to_be_ready_without_a_check() -> None:
    with pytest.raises(Misuse):
        Health({})


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    database = Database.open(where, MetaData())
    yield database
    database.close()


def test_a_database_answers(database: Database) -> None:
    database_answers(database)()


def test_a_database_whose_folder_is_gone_does_not(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    database = Database.open(tmp_path / "data" / "a.sqlite3", MetaData())
    database_answers(database)()
    database.close()
    for path in (tmp_path / "data").iterdir():
        path.unlink()
    (tmp_path / "data").rmdir()

    with pytest.raises(Unavailable):
        database_answers(database)()


def test_a_key_that_signs_for_another_is_not_ready() -> None:
    signer, other = MemorySigner.generate(), MemorySigner.generate()
    key_signs(signer)()
    object.__setattr__(signer, "public", other.public)

    with pytest.raises(Exception, match="signature"):
        key_signs(signer)()


@pytest.mark.parametrize(
    ("now", "last", "well"),
    [
        (NOON, None, True),
        (EARLIEST, None, True),
        (EARLIEST - timedelta(seconds=1), None, False),
        (NOON, NOON + timedelta(minutes=5), True),
        (NOON, NOON + timedelta(minutes=5, seconds=1), False),
        (NOON, NOON - timedelta(days=300), True),
        (datetime(1970, 1, 1, tzinfo=UTC), None, False),
    ],
)
def test_a_clock_goes_on(now: datetime, last: datetime | None, *, well: bool) -> None:
    check = clock_goes_on(lambda: now, lambda: last)

    if well:
        check()
        return
    with pytest.raises(Unavailable):
        check()


def test_a_disk_has_room_or_not(tmp_path: Path) -> None:
    disk_has_room(tmp_path, bytes_free=1)()
    for check in (disk_has_room(tmp_path, bytes_free=10**18), disk_has_room(tmp_path / "none")):
        with pytest.raises(Unavailable):
            check()


def test_ready_is_what_a_whole_service_is(
    seconds: list[float], database: Database, tmp_path: Path
) -> None:
    makers: dict[str, Callable[[], Check]] = {
        "database": lambda: database_answers(database),
        "signing_key": lambda: key_signs(MemorySigner.generate()),
        "clock": lambda: clock_goes_on(lambda: NOON),
        "disk": lambda: disk_has_room(tmp_path, bytes_free=1),
    }
    checks = {name: make() for name, make in makers.items()}
    answer = client_of(seconds, checks).get("/health/ready")

    assert answer.json()["checks"] == dict.fromkeys(makers, "ok")
