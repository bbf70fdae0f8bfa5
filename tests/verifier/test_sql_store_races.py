"""Two workers over one database, and everything at the same moment: once is once."""

import threading
from collections import Counter as Tally
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.sdjwt import disclose
from counterfoil_verifier import Answered, Asked, Counter, Look, SessionId
from counterfoil_verifier.held import new_facts_key
from counterfoil_verifier.requesting import MOST_WRONG_CODES, Handback, Standing
from counterfoil_verifier.sql_store import SqlNames, SqlSessionStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Clock
from tests.verifier.make_database import session
from tests.verifier.scene import ASKED, NOON, SECOND, Scene
from tests.verifier.test_sql_store import NO, YES

T = TypeVar("T")
AT_ONCE = 8
STEPS = ("answer", "late answer", "take", "tidy", "by request")
# What is done, to which of the sessions, by which worker.
ACTS = st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(0, 1))


class Workers(NamedTuple):
    """Two counters of one shop, each with connections of its own to the one database."""

    scene: Scene
    both: tuple[Counter, Counter]
    stores: tuple[SqlSessionStore, SqlSessionStore]

    def everybody(self, act: Callable[[Counter], T]) -> list[T]:
        """Let several threads of each worker do the same at the same moment."""
        start = threading.Barrier(2 * AT_ONCE)

        def run(number: int) -> T:
            start.wait()
            return act(self.both[number % 2])

        with ThreadPoolExecutor(2 * AT_ONCE) as pool:
            return list(pool.map(run, range(2 * AT_ONCE)))


@pytest.fixture
def workers(
    where: Path | str, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Generator[Workers, None, None]:
    if isinstance(where, Path):
        where.parent.mkdir()
    one, two = (SqlSessionStore(where, is_shared=True) for _ in range(2))
    scene = Scene(clock, random_bytes, one)
    counters = tuple(
        scene.open_counter(store=store, names=SqlNames(store.database)) for store in (one, two)
    )
    yield Workers(scene, (counters[0], counters[1]), (one, two))
    one.close()
    two.close()


def refused(act: Callable[[], object]) -> str:
    """Give the code of the one refusal, or nothing."""
    try:
        act()
    except Refused as refusal:
        return " ".join(refusal.codes)
    return ""


def ask(workers: Workers, handback: Handback | None = None) -> tuple[Asked, str]:
    secret, public = new_facts_key()
    return workers.both[0].ask("warranty", facts_key=public, handback=handback), secret


def test_one_answer_at_the_same_moment_at_two_workers_is_taken_once(workers: Workers) -> None:
    asked, _ = ask(workers)
    request_id, form = workers.scene.answer(asked)

    told = workers.everybody(lambda worker: refused(lambda: worker.receive(request_id, form)))

    assert Tally(told) == {"": 1, "already-answered": 2 * AT_ONCE - 1}
    session = workers.stores[1].by_session(asked.session_id)
    assert isinstance(session, Answered)
    assert session.later_answers == 2 * AT_ONCE - 1


def test_two_different_answers_at_two_workers_give_the_verdict_that_one_of_them_heard(
    workers: Workers,
) -> None:
    asked, secret = ask(workers)
    request_id, good = workers.scene.answer(asked)
    _, bad = workers.scene.answer(asked, audience="x509_hash:other")
    forms = {workers.both[0]: good, workers.both[1]: bad}

    told = workers.everybody(
        lambda worker: refused(lambda: worker.receive(request_id, forms[worker]))
    )

    [was] = {"", "audience-mismatch"} & set(told)
    assert Tally(told) == {was: 1, "already-answered": 2 * AT_ONCE - 1}
    look = workers.both[0].look(asked.session_id, facts_secret=secret)
    assert [code for code, _ in look.words] == was.split()
    assert look.held is not None
    assert (look.held.facts != {}) == (was == "")


def test_what_a_holder_shows_at_two_workers_of_one_till_at_once_is_taken_once(
    workers: Workers,
) -> None:
    scene = workers.scene
    text = bind(
        disclose(scene.warranty(), ASKED),
        signer=scene.holder,
        audience="warranty",
        nonce="nonce-1",
        now=scene.clock(),
    )

    def show(worker: Counter) -> tuple[str, ...]:
        look = worker.take_shown("warranty", text, till="1")
        assert isinstance(look, Look)
        return tuple(code for code, _ in look.words)

    assert Tally(workers.everybody(show)) == {(): 1, ("already-shown",): 2 * AT_ONCE - 1}


def test_what_was_shown_is_seen_by_one_of_all_who_look_at_once(workers: Workers) -> None:
    asked, secret = ask(workers)
    workers.both[1].receive(*workers.scene.answer(asked))

    looks = workers.everybody(lambda worker: worker.look(asked.session_id, facts_secret=secret))

    [seen] = [look.held for look in looks if look.held is not None]
    assert seen.facts["item.serial"] == "A1-0001"
    assert {look.light for look in looks} == {"green"}


def test_a_code_that_came_back_wrong_too_often_is_not_right_at_the_other_worker(
    workers: Workers,
) -> None:
    asked, _ = ask(workers, handback=Handback.MATCH_CODE)
    code = workers.both[0].receive(*workers.scene.answer(asked)).match_code
    assert code is not None

    looks = workers.everybody(lambda worker: worker.look(asked.session_id, code=f"x{code}"))

    assert {look.light for look in looks} <= {None, "red"}
    stored = workers.stores[1].by_session(asked.session_id)
    assert isinstance(stored, Answered)
    assert stored.wrong_codes == MOST_WRONG_CODES
    right = workers.both[1].look(asked.session_id, code=code)
    assert (right.light, right.standing) == ("red", Standing.WRONG)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, min_size=12, max_size=24))
def test_whatever_happens_at_once_every_session_has_one_verdict_and_one_first_look(
    workers: Workers, random_bytes: Callable[[int], bytes], acts: list[tuple[str, int, int]]
) -> None:
    end = NOON + timedelta(minutes=2)
    waiting = [
        replace(session(random_bytes, NOON), expires_at=end, facts_key="key") for _ in range(3)
    ]
    for one in waiting:
        workers.stores[0].add(one)
    firsts: list[SessionId] = []
    taken: list[SessionId] = []

    def run(what: tuple[str, int, int]) -> None:
        step, number, which = what
        store, named = workers.stores[which], waiting[number].session_id
        match step:
            case "answer":
                verdict = YES if which else NO
                if store.answer(named, verdict, held=f"held of {which}"):
                    firsts.append(named)
            case "late answer":
                late = replace(YES, checked_at=end)
                assert not store.answer(named, late, held="late")
            case "take":
                held = store.take_held(named, since=NOON)
                assert held in (None, "held of 0", "held of 1")
                if held is not None:
                    taken.append(named)
            case "tidy":
                store.drop_keys(NOON + SECOND, held_since=NOON)
            case _:
                store.by_request(waiting[number].request_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, acts))

    for number, one in enumerate(waiting):
        was_answered = any(step == "answer" and it == number for step, it, _ in acts)
        assert firsts.count(one.session_id) == was_answered
        left = workers.stores[0].take_held(one.session_id, since=NOON)
        assert taken.count(one.session_id) + (left is not None) == was_answered
        assert isinstance(workers.stores[1].by_session(one.session_id), Answered) == was_answered
