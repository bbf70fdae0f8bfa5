"""Results of a till that was offline: each reaches the shop's service once."""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_verifier import Answered, MemoryStore, Outcome, SessionId, Verdict
from counterfoil_verifier.app import create_app
from counterfoil_verifier.requesting import Handback
from counterfoil_verifier.results import (
    AT_ONCE,
    Service,
    keep_results,
    parse_results,
    results_json,
    sync,
)
from counterfoil_verifier.sql_store import SqlSessionStore
from fastapi.testclient import TestClient

from tests.verifier.scene import DAY, NOON, SECOND, Scene

CENTRAL = "https://central.example"
KEY = "a key that tills carry"


def result(number: int) -> Answered:
    return Answered(
        session_id=SessionId(f"session-{number:04d}"),
        preset="warranty",
        verdict=Verdict(
            outcome=Outcome.REFUSED if number % 2 else Outcome.ACCEPTED,
            codes=("revoked", "warranty-ended") if number % 2 else (),
            checked_at=NOON + number * SECOND,
            status_as_of=NOON - DAY if number % 2 else None,
            took_ms=number,
            kind="holder-shown" if number % 3 else "asked",
        ),
        later_answers=number % 2,
        till="3" if number % 2 else None,
    )


Queueing: TypeAlias = MemoryStore | SqlSessionStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Queueing, None, None]:
    if request.param == "memory":
        yield MemoryStore()
        return
    found = SqlSessionStore(tmp_path / "till.sqlite3")
    yield found
    found.close()


class Central:
    """The shop's service behind a network that can fail before or after it has kept."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.fails: list[str] = []
        self.taken: list[int] = []

    def take(self, results: Sequence[Answered]) -> None:
        fails = self.fails.pop(0) if self.fails else ""
        if fails == "before":
            raise Unavailable("expected an answer, found nobody there")
        self.taken.append(keep_results(self.store, compact_json(results_json(results))))
        if fails == "after":
            raise Unavailable("expected an answer, found none")


def filled(store: Queueing, count: int) -> list[Answered]:
    made = [result(number) for number in range(count)]
    for one in reversed(made):
        store.keep(one)
    return made


def test_results_wait_for_a_network_and_go_once_oldest_first(store: Queueing) -> None:
    made, central = filled(store, 5), Central()
    central.fails = ["before"]

    with pytest.raises(Unavailable):
        sync(store, central, now=NOON + DAY)
    assert store.unsent(3) == made[:3]

    assert sync(store, central, now=NOON + DAY) == 5
    assert sync(store, central, now=NOON + DAY) == 0
    assert central.taken == [5]
    for one in made:
        assert central.store.by_session(one.session_id) == one


def test_what_was_kept_and_not_confirmed_is_sent_again_and_kept_once(store: Queueing) -> None:
    filled(store, 3)
    central = Central()
    central.fails = ["after"]
    with pytest.raises(Unavailable):
        sync(store, central, now=NOON + DAY)
    store.keep(result(3))

    assert sync(store, central, now=NOON + DAY) == 4

    assert central.taken == [3, 1]
    assert central.store.summary(NOON).verdicts == 4


def test_a_long_queue_goes_in_parts_and_goes_on_where_it_stopped(store: Queueing) -> None:
    filled(store, AT_ONCE + 7)
    central = Central()
    central.fails = ["", "before"]

    with pytest.raises(Unavailable):
        sync(store, central, now=NOON + DAY)
    assert sync(store, central, now=NOON + DAY) == 7

    assert central.taken == [AT_ONCE, 7]


def test_a_restarted_till_knows_what_it_has_sent(tmp_path: Path) -> None:
    till = SqlSessionStore(tmp_path / "till.sqlite3")
    till.keep(result(0))
    central = Central()
    sync(till, central, now=NOON)
    till.keep(result(1))
    till.close()

    again = SqlSessionStore(tmp_path / "till.sqlite3")
    assert again.unsent(9) == [result(1)]
    assert sync(again, central, now=NOON) == 1
    again.close()


def test_a_verdict_counts_only_once_its_code_has_come_back(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", handback=Handback.MATCH_CODE)
    request_id, form = scene.answer(asked)
    received = scene.counter.receive(request_id, form)
    assert isinstance(scene.store, MemoryStore)
    assert scene.store.unsent(9) == []

    scene.counter.look(asked.session_id, code=received.match_code)

    (found,) = scene.store.unsent(9)
    assert found.session_id == asked.session_id


@pytest.fixture
def network(scene: Scene) -> MemoryFetcher:
    network = MemoryFetcher()
    client = TestClient(create_app(scene.counter, counter_key=KEY), base_url=CENTRAL)

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = client.request(method, path, headers=dict(headers), content=body)
        media_type = answer.headers.get("content-type", "").split(";")[0]
        return Response(answer.status_code, media_type, answer.content)

    network.serve(CENTRAL, handle)
    return network


def test_the_shops_service_takes_them_with_its_key(
    store: Queueing, scene: Scene, network: MemoryFetcher
) -> None:
    made = filled(store, 3)

    with pytest.raises(Refused):
        sync(store, Service(network, CENTRAL, "another key"), now=NOON)
    assert len(store.unsent(9)) == 3
    assert sync(store, Service(network, CENTRAL, KEY), now=NOON) == 3

    assert scene.store.by_session(made[1].session_id) == made[1]
    assert scene.counter.look(made[1].session_id, till="3").words[0][0] == "revoked"


def test_the_service_refuses_a_broken_message_whole(scene: Scene, network: MemoryFetcher) -> None:
    good = results_json([result(0), replace(result(1), preset="no name")])

    answer = network.post(
        f"{CENTRAL}/counter/results",
        compact_json(good),
        media_type="application/json",
        headers={"Authorization": f"Bearer {KEY}"},
    )

    assert answer.status == 400
    assert scene.store.summary(NOON).verdicts == 0


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", "null"),
        ("id", f'"{"x" * 129}"'),
        ("id", '"a b"'),
        ("checked_at", "null"),
        ("checked_at", '"noon"'),
        ("checked_at", '"2026-11-02T12:00:00"'),
        ("checked_at", '"0001-01-01T00:00:00+23:59"'),
        ("status_as_of", '"9999-12-31T23:59:59-23:59"'),
        ("preset", '""'),
        ("outcome", '"perhaps"'),
        ("kind", '"guessed"'),
        ("codes", '["Not A Code"]'),
        ("codes", json.dumps(["a"] * 51)),
        ("codes", '"revoked"'),
        ("status_as_of", "7"),
        ("took_ms", "-1"),
        ("later_answers", "2147483648"),
        ("till", json.dumps("\x1b[31m")),
        ("till", f'"{"x" * 65}"'),
    ],
)
def test_a_result_out_of_shape_is_malformed(member: str, value: str) -> None:
    message = json.loads(compact_json(results_json([result(1)])))
    assert parse_results(json.dumps(message).encode()) == [result(1)]
    message["results"][0][member] = json.loads(value)

    with pytest.raises(Malformed):
        parse_results(json.dumps(message).encode())


def test_a_message_of_too_many_results_is_malformed() -> None:
    many = [result(number) for number in range(AT_ONCE + 1)]

    assert len(parse_results(compact_json(results_json(many[1:])))) == AT_ONCE
    with pytest.raises(Malformed):
        parse_results(compact_json(results_json(many)))
