"""Several workers over one database: whichever took the answer, the till sees it, once."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Reason
from counterfoil_verifier import Held, SessionStore, watching
from counterfoil_verifier.app import create_app
from counterfoil_verifier.held import new_facts_key, open_held, shut_held
from counterfoil_verifier.held_in_memory import FACTS_HELD_FOR
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_verifier.tables import SESSIONS
from sqlalchemy import select

from tests.conftest import Clock
from tests.verifier.scene import INDEX, Scene
from tests.verifier.tills import KEY, Till, next_look, serving, stream

pytestmark = pytest.mark.loopback


@pytest.fixture
def tills(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> Generator[tuple[Till, Till], None, None]:
    """Give two workers of one shop: each has its own memory, and the database is one."""
    with workers(clock, random_bytes, tmp_path / "counter.sqlite3") as both:
        yield both


@contextmanager
def workers(
    clock: Clock, random_bytes: Callable[[int], bytes], where: Path | str
) -> Generator[tuple[Till, Till], None, None]:
    first = Scene(clock, random_bytes, SqlSessionStore(where, is_shared=True))
    stores = [first.store, SqlSessionStore(where, is_shared=True)]
    second = first.open_counter(store=stores[1])
    with (
        serving(first, create_app(first.counter, counter_key=KEY)) as one,
        serving(first, create_app(second, counter_key=KEY)) as other,
    ):
        yield one, other
    for store in stores:
        assert isinstance(store, SqlSessionStore)
        store.close()


def look(till: Till, asked: dict[str, str]) -> dict[str, Any]:
    status, found = till.counter("GET", f"/counter/requests/{asked['id']}")
    assert status == 200
    assert found["id"] == asked["id"]
    return dict(found)


def kept(store: SessionStore) -> list[str]:
    """Give what the database holds for looks that are to come."""
    assert isinstance(store, SqlSessionStore)
    with store.database.reading() as connection:
        rows = connection.rows(select(SESSIONS.c.held))
    return [row.held for row in rows if row.held is not None]


def test_one_worker_takes_the_answer_and_another_is_looked_at(tills: tuple[Till, Till]) -> None:
    one, other = tills
    asked = one.ask()
    assert other.post(*other.answer(asked))[0] == 200
    [shut] = kept(one.scene.store)
    assert "A1-0001" not in shut

    first, second = look(one, asked), look(other, asked)

    assert first["facts"]["item.serial"] == "A1-0001"
    assert first["receipt"] is not None
    assert (second["light"], second["facts"]) == ("green", None)
    assert kept(one.scene.store) == []


def test_the_stream_of_another_worker_is_told_at_once_by_a_server(
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody looks now and then: what is heard here was told.
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 3_600.0)
    with workers(clock, random_bytes, postgres_url) as (one, other):
        asked = one.ask(handback="match-code")
        with stream(other, asked) as response:
            assert next_look(response)["state"] == "waiting"
            code = one.post(*one.answer(asked))[1]["match_code"]
            assert next_look(response)["state"] == "awaited"
            for wrong in range(3):
                one.counter("GET", f"/counter/requests/{asked['id']}?code={wrong}")
            assert next_look(response)["state"] == "refused"
            one.counter("GET", f"/counter/requests/{asked['id']}?code={code}")
            assert response.read() == b""


def test_where_nobody_tells_the_stream_looks_now_and_then(
    tills: tuple[Till, Till], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.02)
    one, other = tills
    asked = one.ask()
    with stream(other, asked) as response:
        assert next_look(response)["state"] == "waiting"
        one.post(*one.answer(asked))
        assert next_look(response)["facts"]["item.serial"] == "A1-0001"


def test_reasons_come_in_full_from_the_other_worker_too(tills: tuple[Till, Till]) -> None:
    one, other = tills
    one.scene.brand.listed[INDEX] = 1
    asked = one.ask()
    assert other.post(*other.answer(asked))[0] == 400

    [reason] = look(one, asked)["reasons"]
    assert (reason["code"], reason["where"]) == ("revoked", "warranty: credential.status")
    [again] = look(one, asked)["reasons"]
    assert (again["code"], again["where"]) == ("revoked", None)


def test_only_the_till_that_asked_sees_what_was_shown(tills: tuple[Till, Till]) -> None:
    one, _ = tills
    asked, another = one.ask(), one.ask()
    session, _, secret = asked["id"].partition(".")
    assert len(secret) == 43
    one.post(*one.answer(asked))

    status, found = one.counter("GET", f"/counter/requests/{session}")
    assert (status, found["light"], found["facts"]) == (200, "green", None)
    assert look(one, asked)["facts"] is not None
    one.post(*one.answer(another))
    stolen = f"{another['id'].partition('.')[0]}.{secret}"
    assert one.counter("GET", f"/counter/requests/{stolen}")[1]["facts"] is None


def test_what_nobody_looked_at_is_gone_after_a_minute(
    tills: tuple[Till, Till], clock: Clock
) -> None:
    one, other = tills
    early, late = one.ask(), one.ask()
    for asked in (early, late):
        other.post(*other.answer(asked))

    clock.advance(FACTS_HELD_FOR - timedelta(microseconds=1))
    assert look(one, early)["facts"] is not None
    clock.advance(timedelta(microseconds=1))
    assert look(one, late)["facts"] is None
    one.scene.counter.tidy()
    assert kept(one.scene.store) == []


def test_what_is_held_is_the_same_when_it_is_opened() -> None:
    secret, public = new_facts_key()
    held = Held(
        facts={"item.name": "商", "list": [1, None, {"a": True}]},
        reasons=(Reason("revoked", "in force", "another", "credential.status"),),
        receipt="a.b.c",
    )
    shut = shut_held(held, public)

    assert open_held(shut, secret) == held
    for other in (new_facts_key()[0], "", "A" * 43, secret[:-2], "no base64!"):
        assert open_held(shut, other) is None


def test_one_process_alone_writes_nothing_of_it(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> None:
    scene = Scene(clock, random_bytes, SqlSessionStore(tmp_path / "counter.sqlite3"))
    with serving(scene, create_app(scene.counter, counter_key=KEY)) as till:
        asked = till.ask()
        till.post(*till.answer(asked))

        assert kept(scene.store) == []
        assert "." not in asked["id"]
        assert look(till, asked)["facts"] is not None
    assert isinstance(scene.store, SqlSessionStore)
    scene.store.close()


def test_a_database_server_is_shared_and_a_file_is_not(where: Path | str) -> None:
    store = SqlSessionStore(where)

    assert store.is_shared is isinstance(where, str)
    store.close()
