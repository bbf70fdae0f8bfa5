"""Sessions and one-time names: the same in memory, in SQLite and in PostgreSQL, once for all."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from counterfoil_verifier import (
    Answered,
    MemoryStore,
    Outcome,
    SessionId,
    SessionStore,
    Summary,
    Verdict,
    Waiting,
)
from counterfoil_verifier.requesting import REQUEST_LIFE, RequestId
from counterfoil_verifier.sql_store import SqlNames, SqlSessionStore
from counterfoil_verifier.store import MemoryNames, OneTimeNames

from tests.verifier.make_database import session
from tests.verifier.scene import DAY, NOON, SECOND

MICROSECOND = timedelta(microseconds=1)
YES = Verdict(
    outcome=Outcome.ACCEPTED,
    codes=(),
    checked_at=NOON + 7 * SECOND + MICROSECOND,
    status_as_of=NOON - DAY,
    took_ms=12,
)
NO = replace(
    YES, outcome=Outcome.REFUSED, codes=("revoked", "warranty-ended"), status_as_of=None, took_ms=0
)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if kind == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return tmp_path / "counter.sqlite3"


@pytest.fixture
def store(kind: str, place: Path | str) -> Generator[SessionStore, None, None]:
    if kind == "memory":
        yield MemoryStore()
        return
    store = SqlSessionStore(place)
    yield store
    store.close()


@pytest.fixture
def names(store: SessionStore) -> OneTimeNames:
    return SqlNames(store.database) if isinstance(store, SqlSessionStore) else MemoryNames()


def asked(store: SessionStore, randomness: Callable[[int], bytes], at: datetime = NOON) -> Waiting:
    waiting = session(randomness, at)
    store.add(waiting)
    return waiting


def test_a_session_is_found_by_either_of_its_names_and_by_no_other(
    store: SessionStore, random_bytes: Callable[[int], bytes]
) -> None:
    waiting, other = asked(store, random_bytes), asked(store, random_bytes)

    assert store.by_session(waiting.session_id) == waiting == store.by_request(waiting.request_id)
    assert store.by_session(SessionId(waiting.request_id)) is None
    assert store.by_request(RequestId(waiting.session_id)) is None
    assert store.by_request(other.request_id) == other


@pytest.mark.parametrize("verdict", [YES, NO], ids=["yes", "no"])
def test_what_was_answered_is_given_back_word_for_word(
    store: SessionStore, random_bytes: Callable[[int], bytes], verdict: Verdict
) -> None:
    waiting = asked(store, random_bytes)

    assert store.answer(waiting.session_id, verdict)

    answered = Answered(
        session_id=waiting.session_id, preset="warranty", verdict=verdict, later_answers=0
    )
    assert store.by_session(waiting.session_id) == answered
    assert store.by_request(waiting.request_id) == answered
    store.count_later_answer(waiting.session_id)
    assert store.by_session(waiting.session_id) == replace(answered, later_answers=1)


def test_the_second_answer_changes_nothing(
    store: SessionStore, random_bytes: Callable[[int], bytes]
) -> None:
    waiting = asked(store, random_bytes)
    assert store.answer(waiting.session_id, NO)

    assert not store.answer(waiting.session_id, YES)

    session = store.by_session(waiting.session_id)
    assert isinstance(session, Answered)
    assert session.verdict == NO


def test_an_answer_comes_in_time_or_not_at_all(
    store: SessionStore, random_bytes: Callable[[int], bytes]
) -> None:
    waiting = asked(store, random_bytes)
    last = waiting.asked_at + REQUEST_LIFE

    assert not store.answer(waiting.session_id, replace(YES, checked_at=last))
    assert not store.answer(SessionId("nobody"), YES)
    assert store.by_session(waiting.session_id) == waiting
    assert store.answer(waiting.session_id, replace(YES, checked_at=last - MICROSECOND))


def test_a_late_answer_is_counted_only_where_there_was_one(
    store: SessionStore, random_bytes: Callable[[int], bytes]
) -> None:
    waiting = asked(store, random_bytes)

    store.count_later_answer(waiting.session_id)

    assert store.by_session(waiting.session_id) == waiting


def test_two_hundred_answers_at_once_give_one_verdict(
    store: SessionStore, random_bytes: Callable[[int], bytes]
) -> None:
    waiting = asked(store, random_bytes)
    verdicts = [replace(NO if took % 2 else YES, took_ms=took) for took in range(200)]

    with ThreadPoolExecutor(32) as pool:
        were_first = list(pool.map(partial(store.answer, waiting.session_id), verdicts))

    session = store.by_session(waiting.session_id)
    assert isinstance(session, Answered)
    assert [one for one, was in zip(verdicts, were_first, strict=True) if was] == [session.verdict]
    assert store.summary(NOON) == Summary(verdicts=1, waiting=0)


WORKER = textwrap.dedent(
    """
    import sys
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace
    from pathlib import Path
    from counterfoil_verifier import SessionId
    from counterfoil_verifier.sql_store import SqlNames, SqlSessionStore
    from tests.verifier.test_sql_store import NOON, YES

    where, session_id, base = sys.argv[1:]
    store = SqlSessionStore(where if "://" in where else Path(where))
    names = SqlNames(store.database)
    print("ready", flush=True)
    sys.stdin.readline()
    def answer(number):
        verdict = replace(YES, took_ms=int(base) + number)
        return store.answer(SessionId(session_id), verdict)
    with ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(answer, range(100))), flush=True)
        print(sum(pool.map(lambda _: names.take("nonce", ends_at=NOON), range(100))), flush=True)
    store.close()
    """
)


def test_two_workers_that_answer_at_once_give_one_verdict(
    where: Path | str, random_bytes: Callable[[int], bytes]
) -> None:
    if isinstance(where, Path):
        where.parent.mkdir()
    store = SqlSessionStore(where)
    waiting = asked(store, random_bytes)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(where), waiting.session_id, base],
            cwd=Path(__file__).parent.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for base in ("1000", "2000")
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    told = [worker.communicate()[0].split() for worker in workers]

    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(int(answers) for answers, _ in told) == 1
    assert sum(int(takes) for _, takes in told) == 1
    session = store.by_session(waiting.session_id)
    assert isinstance(session, Answered)
    was_first = [answers for answers, _ in told].index("1")
    assert session.verdict.took_ms // 1000 == was_first + 1
    store.close()


def test_a_verdict_without_a_request_is_kept_once(store: SessionStore) -> None:
    shown = Answered(
        session_id=SessionId("shown at the till"),
        preset="warranty",
        verdict=replace(YES, kind="holder-shown"),
        later_answers=0,
    )

    assert store.keep(shown)
    assert not store.keep(replace(shown, verdict=NO))

    assert store.by_session(shown.session_id) == shown
    assert store.summary(NOON) == Summary(verdicts=1, waiting=0)
    assert store.forget_before(YES.checked_at) == 0
    assert store.forget_before(YES.checked_at + MICROSECOND) == 1


def test_a_kept_verdict_takes_no_open_session_s_place(
    store: SessionStore, random_bytes: Callable[[int], bytes]
) -> None:
    waiting = asked(store, random_bytes)
    forged = Answered(session_id=waiting.session_id, preset="x", verdict=YES, later_answers=0)

    assert not store.keep(forged)

    assert store.by_session(waiting.session_id) == waiting


def test_old_sessions_are_forgotten_and_open_ones_counted(
    store: SessionStore, random_bytes: Callable[[int], bytes]
) -> None:
    old, new = asked(store, random_bytes, NOON - DAY), asked(store, random_bytes)
    store.answer(old.session_id, replace(YES, checked_at=NOON - DAY))

    assert store.summary(NOON) == Summary(verdicts=1, waiting=1)
    assert store.summary(new.expires_at).waiting == 0
    assert store.summary(new.expires_at - MICROSECOND).waiting == 1
    assert store.forget_before(NOON) == 1
    assert store.by_session(old.session_id) is None
    assert store.by_request(old.request_id) is None
    assert store.by_session(new.session_id) == new


def test_a_name_is_taken_once_until_its_end(names: OneTimeNames) -> None:
    end = NOON + 30 * SECOND
    assert names.take("nonce", ends_at=end)
    assert not names.take("nonce", ends_at=end)
    assert not names.take("nonce", ends_at=end + DAY)
    assert names.take("Nonce", ends_at=end)

    assert names.forget_names(end - MICROSECOND) == 0
    assert not names.take("nonce", ends_at=end)
    assert names.forget_names(end) == 2
    assert names.take("nonce", ends_at=end)


def test_of_two_hundred_who_take_a_name_at_once_one_has_it(names: OneTimeNames) -> None:
    with ThreadPoolExecutor(32) as pool:
        had = list(pool.map(partial(names.take, ends_at=NOON), ["nonce"] * 200))

    assert sum(had) == 1


def test_the_database_knows_no_name_that_was_taken(tmp_path: Path) -> None:
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    SqlNames(store.database).take("planted-nonce", ends_at=NOON)
    store.close()

    assert b"planted-nonce" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
