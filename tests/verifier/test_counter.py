"""One question, one answer, one light; the same on both stores."""

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import from_b64url
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import response_form
from counterfoil_verifier import (
    Answered,
    Asked,
    Counter,
    Expired,
    Held,
    Light,
    Look,
    MemoryStore,
    NotOpen,
    Outcome,
    RequestId,
    SessionId,
    SessionStore,
    Summary,
    Verdict,
    Waiting,
)
from counterfoil_verifier.counter import MOST_COUNTED
from counterfoil_verifier.held_in_memory import FACTS_HELD_FOR
from counterfoil_verifier.requesting import REQUEST_LIFE
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_verifier.store import OneTimeName
from counterfoil_verifier.verdict import VERDICTS_KEPT_FOR
from counterfoil_verifier.verifier import CouldNotCheck

from tests.conftest import Clock
from tests.verifier.scene import DAY, INDEX, NOON, SECOND, Scene


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[SessionStore, None, None]:
    if request.param == "memory":
        yield MemoryStore()
        return
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    yield store
    store.close()


@pytest.fixture
def scene(clock: Clock, random_bytes: Callable[[int], bytes], store: SessionStore) -> Scene:
    return Scene(clock, random_bytes, store)


def refusal(act: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value.codes


def codes(look: Look) -> list[str]:
    return [code for code, _ in look.words]


def held(look: Look) -> Held:
    assert look.held is not None
    return look.held


def test_a_good_answer_turns_the_light_green(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    assert isinstance(scene.counter.look(asked.session_id).session, Waiting)
    assert scene.counter.look(asked.session_id).light is None

    scene.counter.receive(*scene.answer(asked))

    look = scene.counter.look(asked.session_id)
    assert look.light is Light.GREEN
    assert look.words == ()
    assert held(look).facts == {
        "item.name": "Auricle One",
        "item.serial": "A1-0001",
        "valid_until": "2028-11-02",
    }
    assert isinstance(look.session, Answered)
    assert look.session.verdict.status_as_of == NOON


def test_facts_are_shown_once(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    scene.counter.receive(*scene.answer(asked))

    assert held(scene.counter.look(asked.session_id)).facts
    again = scene.counter.look(asked.session_id)
    assert again.held is None
    assert again.light is Light.GREEN


def test_facts_nobody_came_for_are_gone_after_a_minute(scene: Scene, clock: Clock) -> None:
    first, second = scene.counter.ask("warranty"), scene.counter.ask("warranty")
    scene.counter.receive(*scene.answer(first))
    scene.counter.receive(*scene.answer(second))

    clock.advance(FACTS_HELD_FOR - SECOND)
    assert scene.counter.look(first.session_id).held is not None
    clock.advance(SECOND)
    assert scene.counter.look(second.session_id).held is None


def test_facts_are_gone_when_the_clock_goes_back(scene: Scene, clock: Clock) -> None:
    """Otherwise they would stay for as long as the clock is behind, and a minute."""
    first, second = scene.counter.ask("warranty"), scene.counter.ask("warranty")
    scene.counter.receive(*scene.answer(first))
    scene.counter.receive(*scene.answer(second))

    clock.advance(SECOND - FACTS_HELD_FOR)
    scene.counter.tidy()
    assert scene.counter.look(first.session_id).held is not None
    clock.advance(-SECOND)
    scene.counter.tidy()
    clock.advance(FACTS_HELD_FOR)
    assert scene.counter.look(second.session_id).held is None


class Ajar(MemoryStore):
    """A store that lets somebody look between an answer and what follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.between: Callable[[], None] = lambda: None

    def answer(
        self,
        session_id: SessionId,
        verdict: Verdict,
        *,
        code_hash: str | None = None,
        held: str | None = None,
        spends: OneTimeName | None = None,
    ) -> bool:
        is_first = super().answer(
            session_id, verdict, code_hash=code_hash, held=held, spends=spends
        )
        self.between()
        return is_first


def test_whoever_sees_the_light_sees_the_facts_with_it(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    store = Ajar()
    scene = Scene(clock, random_bytes, store)
    asked = scene.counter.ask("warranty")
    looks: list[Look] = []
    store.between = lambda: looks.append(scene.counter.look(asked.session_id))
    scene.counter.receive(*scene.answer(asked))

    assert held(looks[0]).facts["item.serial"] == "A1-0001"


def test_an_answer_that_came_too_late_leaves_nothing_to_look_at(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    store = Ajar()
    scene = Scene(clock, random_bytes, store)
    asked = scene.counter.ask("warranty")
    request_id, good = scene.answer(asked)
    _, bad = scene.answer(asked, nonce="another")

    def overtake() -> None:
        store.between = lambda: None
        assert refusal(lambda: scene.counter.receive(request_id, bad)) == ["already-answered"]

    store.between = overtake
    scene.counter.receive(request_id, good)

    look = scene.counter.look(asked.session_id)
    assert (look.light, held(look).reasons) == (Light.GREEN, ())
    assert held(look).facts["item.serial"] == "A1-0001"


def test_an_answer_that_the_store_could_not_take_is_held_by_nobody(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    store = Ajar()
    scene = Scene(clock, random_bytes, store)
    asked = scene.counter.ask("warranty")

    def be_busy() -> None:
        raise Unavailable("expected the database, found it busy")

    store.between = be_busy
    with pytest.raises(Unavailable):
        scene.counter.receive(*scene.answer(asked))

    assert scene.counter.look(asked.session_id).held is None


def test_the_summary_counts_verdicts_and_those_who_still_wait(scene: Scene, clock: Clock) -> None:
    assert scene.counter.summary() == Summary(verdicts=0, waiting=0)
    answered, refused, _ = (scene.counter.ask("warranty") for _ in range(3))
    scene.counter.receive(*scene.answer(answered))
    refusal(lambda: scene.counter.receive(*scene.answer(refused, nonce="another")))
    assert scene.counter.summary() == Summary(verdicts=2, waiting=1)

    clock.advance(REQUEST_LIFE - SECOND)
    assert scene.counter.summary().waiting == 1
    clock.advance(SECOND)
    assert scene.counter.summary() == Summary(verdicts=2, waiting=0)


def test_tidying_drops_facts_and_old_verdicts(scene: Scene, clock: Clock) -> None:
    asked = scene.counter.ask("warranty")
    scene.counter.receive(*scene.answer(asked))

    clock.advance(VERDICTS_KEPT_FOR)
    scene.counter.tidy()
    assert scene.counter.look(asked.session_id).held is None

    clock.advance(timedelta(hours=1))
    scene.counter.tidy()
    assert refusal(lambda: scene.counter.look(asked.session_id)) == ["request-unknown"]


def test_a_clock_that_was_ahead_for_a_moment_keeps_no_verdict_longer(
    scene: Scene, clock: Clock
) -> None:
    clock.advance(1000 * DAY)
    scene.counter.tidy()
    clock.advance(-1000 * DAY)
    asked = scene.counter.ask("warranty")
    scene.counter.receive(*scene.answer(asked))

    clock.advance(VERDICTS_KEPT_FOR + SECOND)
    scene.counter.tidy()

    assert refusal(lambda: scene.counter.look(asked.session_id)) == ["request-unknown"]


def test_a_refused_answer_turns_it_red_and_says_why(scene: Scene) -> None:
    scene.brand.listed[INDEX] = 1
    asked = scene.counter.ask("warranty")

    assert refusal(lambda: scene.counter.receive(*scene.answer(asked))) == ["revoked"]

    look = scene.counter.look(asked.session_id)
    assert look.light is Light.RED
    assert codes(look) == ["revoked"]
    assert dict(look.words)["revoked"].zh
    assert [reason.code for reason in held(look).reasons] == ["revoked"]


def test_what_could_not_be_found_out_turns_it_amber(scene: Scene) -> None:
    scene.brand.is_reachable = False
    asked = scene.counter.ask("warranty")

    with pytest.raises(Unavailable):
        scene.counter.receive(*scene.answer(asked))

    look = scene.counter.look(asked.session_id)
    assert look.light is Light.AMBER
    assert codes(look) == ["status-unreachable"]


def test_the_same_answer_counts_once(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    scene.counter.receive(request_id, form)

    for _ in range(2):
        assert refusal(lambda: scene.counter.receive(request_id, form)) == ["already-answered"]

    session = scene.counter.look(asked.session_id).session
    assert isinstance(session, Answered)
    assert session.verdict.outcome is Outcome.ACCEPTED
    assert session.later_answers == 2


def test_a_good_answer_cannot_follow_a_bad_one(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, good = scene.answer(asked)
    _, bad = scene.answer(asked, nonce="another")
    assert refusal(lambda: scene.counter.receive(request_id, bad)) == ["nonce-mismatch"]

    assert refusal(lambda: scene.counter.receive(request_id, good)) == ["already-answered"]
    assert scene.counter.look(asked.session_id).light is Light.RED


def test_an_answer_does_not_fit_the_next_request(scene: Scene) -> None:
    first, second = scene.counter.ask("warranty"), scene.counter.ask("warranty")
    first_id, form = scene.answer(first)
    second_id, request = scene.fetch_request(second)
    assert request.state is not None

    assert refusal(lambda: scene.counter.receive(second_id, form)) == ["state-mismatch"]
    replayed = {**form, "state": request.state}
    assert refusal(lambda: scene.counter.receive(second_id, replayed)) == ["nonce-mismatch"]
    scene.counter.receive(first_id, form)


def test_of_fifty_copies_at_once_one_is_the_answer(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)

    def send(_: int) -> str:
        try:
            scene.counter.receive(request_id, form)
        except NotOpen as late:
            return late.codes[0]
        return "accepted"

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(send, range(50)))

    assert sorted(results) == ["accepted"] + ["already-answered"] * 49
    session = scene.counter.look(asked.session_id).session
    assert isinstance(session, Answered)
    assert session.later_answers == 49


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ({}, "vp_token"),
        ({"vp_token": "x"}, "vp_token"),
        ({"vp_token": "[]"}, "vp_token"),
        ({"vp_token": '{"warranty": "a text, not a list"}'}, "vp_token"),
        ({"vp_token": '{"warranty": []}'}, "vp_token"),
        ({"vp_token": '{"warranty": [1]}'}, "vp_token"),
    ],
    ids=["nothing", "no JSON", "a list", "a text", "empty", "a number"],
)
def test_bytes_that_are_no_answer_leave_the_request_open(
    scene: Scene, form: dict[str, str], kind: str
) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)
    state = {"state": request.state or ""}

    with pytest.raises(Malformed):
        scene.counter.receive(request_id, {**form, **state})

    assert isinstance(scene.counter.look(asked.session_id).session, Waiting)
    scene.counter.receive(*scene.answer(asked))


def test_a_presentation_that_cannot_be_read_is_an_answer_and_a_red_light(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)
    form = response_form({"warranty": ["x"]}, request.state)

    # `Malformed` would say that the request is still open.
    assert refusal(lambda: scene.counter.receive(request_id, form)) == ["malformed"]

    assert codes(scene.counter.look(asked.session_id)) == ["malformed"]
    assert refusal(lambda: scene.counter.receive(request_id, form)) == ["already-answered"]


def test_of_very_many_later_answers_so_many_are_counted(scene: Scene) -> None:
    """Whoever photographed the code must not write to the shop's database without end."""
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    scene.counter.receive(request_id, form)

    for _ in range(MOST_COUNTED + 5):
        again = refusal(lambda: scene.counter.receive(request_id, form))
        assert again == ["already-answered"]

    session = scene.counter.look(asked.session_id).session
    assert isinstance(session, Answered)
    assert session.later_answers == MOST_COUNTED


def test_only_who_fetched_the_request_can_answer_it(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    for state in ({}, {"state": ""}, {"state": form["state"][:-1]}, {"state": "密"}):
        stateless = {"vp_token": form["vp_token"], **state}
        assert refusal(partial(scene.counter.receive, request_id, stateless)) == ["state-mismatch"]

    scene.counter.receive(request_id, form)


def test_a_customer_may_decline(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)

    scene.counter.receive(request_id, {"error": "access_denied", "state": request.state or ""})

    look = scene.counter.look(asked.session_id)
    assert look.light is Light.RED
    assert codes(look) == ["declined"]
    assert refusal(lambda: scene.counter.receive(request_id, {})) == ["already-answered"]


def test_a_request_lives_two_minutes(scene: Scene, clock: Clock) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)

    clock.advance(REQUEST_LIFE - SECOND)
    assert scene.counter.request_object(request_id)
    clock.advance(SECOND)

    assert refusal(lambda: scene.counter.request_object(request_id)) == ["request-expired"]
    assert refusal(lambda: scene.counter.receive(request_id, form)) == ["request-expired"]
    look = scene.counter.look(asked.session_id)
    assert isinstance(look.session, Expired)
    assert codes(look) == ["request-expired"]
    assert look.light is None


def test_an_answer_in_the_last_second_counts(scene: Scene, clock: Clock) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)

    clock.advance(REQUEST_LIFE - SECOND)
    scene.counter.receive(request_id, form)


def test_the_request_may_be_fetched_twice_and_is_gone_once_answered(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    _, first = scene.fetch_request(asked)
    request_id, second = scene.fetch_request(asked)
    assert first == second

    scene.counter.receive(*scene.answer(asked))
    assert refusal(lambda: scene.counter.request_object(request_id)) == ["already-answered"]


def test_the_two_ids_open_different_doors(scene: Scene) -> None:
    """Who saw the QR code cannot read the result; who has the result's id cannot answer."""
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    swapped = RequestId(asked.session_id)

    assert refusal(lambda: scene.counter.look(SessionId(request_id))) == ["request-unknown"]
    assert refusal(lambda: scene.counter.receive(swapped, form)) == ["request-unknown"]
    assert refusal(lambda: scene.counter.request_object(swapped)) == ["request-unknown"]
    assert asked.session_id not in asked.link


def test_every_random_value_is_its_own(scene: Scene) -> None:
    values: list[str] = []
    for _ in range(3):
        asked = scene.counter.ask("warranty")
        request_id, request = scene.fetch_request(asked)
        values += [asked.session_id, request_id, request.nonce, request.state or ""]

    assert len(set(values)) == 12
    assert all(len(from_b64url(value, "random")) >= 16 for value in values)


def test_the_request_says_who_asks_what_for_and_under_its_full_name(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", "zh")
    _, request = scene.fetch_request(asked)
    signed = scene.counter.request_object(scene.fetch_request(asked)[0])
    claims = json.loads(from_b64url(signed.split(".")[1], "payload"))

    assert request.client_id.startswith("decentralized_identifier:did:jwk:")
    assert parse_request_link(asked.link).client_id == request.client_id
    assert request.client_name == "Corner Shop"
    assert request.purpose == asked.purpose.zh
    assert claims["client_metadata"]["vp_formats_supported"] == {
        "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
    }
    assert claims["dcql_query"]["credentials"][0]["claims"] == [
        {"path": ["item", "name"]},
        {"path": ["item", "serial"]},
        {"path": ["valid_until"]},
    ]


def test_an_unknown_preset_is_refused(scene: Scene) -> None:
    assert refusal(lambda: scene.counter.ask("anything")) == ["preset-unknown"]


def test_a_pasted_presentation_is_an_answer_too(scene: Scene) -> None:
    def pasted(asked: Asked, nonce: str | None = None) -> Look:
        _, request = scene.fetch_request(asked)
        chosen = request.nonce if nonce is None else nonce
        text = scene.present(scene.warranty(), request, nonce=chosen)["warranty"][0]
        return scene.counter.check(asked.session_id, text)

    good, bad = scene.counter.ask("warranty"), scene.counter.ask("warranty")

    assert pasted(good).light is Light.GREEN
    assert codes(pasted(bad, nonce="another")) == ["nonce-mismatch"]
    assert refusal(lambda: scene.counter.check(good.session_id, "x")) == ["already-answered"]
    assert refusal(lambda: scene.counter.check(SessionId("x"), "x")) == ["request-unknown"]


def test_a_session_stays_answered_after_a_restart(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    scene.counter.receive(request_id, form)

    restarted: Counter = scene.open_counter()

    assert refusal(lambda: restarted.receive(request_id, form)) == ["already-answered"]
    look = restarted.look(asked.session_id)
    assert look.light is Light.GREEN
    assert look.held is None


def test_what_a_killed_process_had_answered_stays_answered(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "counter.sqlite3"
    store = SqlSessionStore(path)
    scene = Scene(clock, random_bytes, store)
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    program = textwrap.dedent(
        """
        import os, signal, sys
        from datetime import datetime
        from pathlib import Path
        from counterfoil_verifier import Outcome, SessionId, Verdict
        from counterfoil_verifier.sql_store import SqlSessionStore

        store = SqlSessionStore(Path(sys.argv[1]))
        verdict = Verdict(
            outcome=Outcome.ACCEPTED, codes=(), checked_at=datetime.fromisoformat(sys.argv[3]),
            status_as_of=None, took_ms=1,
        )
        assert store.answer(SessionId(sys.argv[2]), verdict)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )

    died = subprocess.run(
        [sys.executable, "-c", program, str(path), asked.session_id, str(clock())], check=False
    )

    assert died.returncode == -signal.SIGKILL
    assert refusal(lambda: scene.counter.receive(request_id, form)) == ["already-answered"]
    assert scene.counter.look(asked.session_id).light is Light.GREEN
    store.close()


def test_an_answer_that_is_checked_when_time_runs_out_is_too_late(
    scene: Scene, clock: Clock
) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    ticks = iter([clock(), clock() + REQUEST_LIFE])
    slow = scene.open_counter(clock=lambda: next(ticks, NOON + REQUEST_LIFE))

    assert refusal(lambda: slow.receive(request_id, form)) == ["request-expired"]
    clock.advance(REQUEST_LIFE)
    assert isinstance(scene.counter.look(asked.session_id).session, Expired)


def test_the_database_holds_no_fact_no_nonce_and_no_token(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "counter.sqlite3"
    store = SqlSessionStore(path)
    scene = Scene(clock, random_bytes, store)
    asked, refused = scene.counter.ask("warranty"), scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    _, request = scene.fetch_request(asked)
    scene.counter.receive(request_id, form)
    refusal(lambda: scene.counter.receive(*scene.answer(refused, now=NOON - DAY)))
    scene.counter.look(asked.session_id)
    store.close()

    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT * FROM sessions").fetchall()
    connection.close()
    assert len(rows) == 2
    assert b"key-binding-too-old" in everything
    for planted in ("Auricle One", "A1-0001", "2028-11-02", "Li Na", "199.00", "audio.example"):
        assert planted.encode() not in everything
    assert request.nonce not in repr(rows)
    assert (request.state or "?") not in repr(rows)
    assert form["vp_token"][40:80].encode() not in everything


def test_a_counter_goes_on_with_other_presets_while_it_serves(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    shorter = replace(scene.preset, status_max_age=timedelta(seconds=30))
    scene.brand.listed_at = NOON - timedelta(seconds=31)

    scene.counter.serve([shorter])
    with pytest.raises(CouldNotCheck) as unknown:
        scene.counter.receive(*scene.answer(asked))
    assert unknown.value.codes == ["status-too-old"]

    scene.counter.serve([])
    with pytest.raises(Refused) as refused:
        scene.counter.ask("warranty")
    assert refused.value.codes == ["preset-unknown"]
    scene.counter.serve([scene.preset])
    assert scene.counter.receive(*scene.answer(scene.counter.ask("warranty"))).receipt
