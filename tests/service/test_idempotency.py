"""A write that is sent twice happens once."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_service import idempotency
from counterfoil_service.errors import install_error_handlers
from counterfoil_service.idempotency import Answer, Claim, Idempotency, KeyedRequest
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, update

METADATA = MetaData()
EFFECTS = Table("effects", METADATA, Column("number", Integer, primary_key=True))
idempotency.add_tables(METADATA)
SECRET = bytes(range(32))
KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'
CODE = "a-secret-code-of-an-offer"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    database = Database.open(where, METADATA)
    yield database
    database.close()


@pytest.fixture
def moment() -> Clock:
    return Clock()


@pytest.fixture
def writes(moment: Clock, random_bytes: Callable[[int], bytes]) -> Idempotency:
    return Idempotency(SECRET, clock=moment, random=random_bytes)


def request(
    writes: Idempotency,
    *,
    caller: str = "shop",
    key: str = KEY,
    method: str = "POST",
    target: str = "/offers?",
    body: bytes = b'{"type": "warranty"}',
) -> KeyedRequest:
    return writes.request(caller=caller, keys=[key], method=method, target=target, body=body)


def effect(connection: Connection) -> Answer:
    done = int(connection.value(select(func.count()).select_from(EFFECTS)))
    connection.change(insert(EFFECTS).values(number=done))
    return Answer(201, {"code": CODE}, headers=(("Location", "/offers/7"),))


def effects(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.value(select(func.count()).select_from(EFFECTS)))


def send(database: Database, writes: Idempotency, keyed: KeyedRequest) -> Answer:
    with database.transaction() as connection:
        return writes.once(connection, keyed, effect)


def test_gives_the_same_answer_again_and_does_nothing(
    database: Database, writes: Idempotency
) -> None:
    first = send(database, writes, request(writes))
    again = send(database, writes, request(writes))

    assert (first.replayed, again.replayed) == (False, True)
    assert (again.status, again.content, again.headers) == (
        201,
        {"code": CODE},
        (("Location", "/offers/7"),),
    )
    assert effects(database) == 1


def test_takes_a_quoted_key_and_a_bare_one_for_one(database: Database, writes: Idempotency) -> None:
    send(database, writes, request(writes, key='"order-7"'))

    assert send(database, writes, request(writes, key="order-7")).replayed


@pytest.mark.parametrize(
    "other",
    [
        {"body": b'{"type": "warranty" }'},
        {"body": b""},
        {"target": "/offers?a=1"},
        {"target": "/offer"},
        {"method": "PUT"},
    ],
)
def test_refuses_a_key_that_comes_with_another_request(
    database: Database, writes: Idempotency, other: dict[str, str]
) -> None:
    send(database, writes, request(writes))

    with pytest.raises(Refused) as refusal:
        send(database, writes, request(writes, **other))  # type: ignore[arg-type]  # one field each

    assert refusal.value.codes == ["idempotency-key-reused"]
    assert effects(database) == 1


@pytest.mark.parametrize("other", [{"caller": "till"}, {"key": '"another"'}])
def test_another_caller_or_key_is_another_write(
    database: Database, writes: Idempotency, other: dict[str, str]
) -> None:
    send(database, writes, request(writes))

    assert not send(database, writes, request(writes, **other)).replayed  # type: ignore[arg-type]
    assert effects(database) == 2


def test_tries_again_what_failed(database: Database, writes: Idempotency) -> None:
    def fail(connection: Connection) -> Answer:
        effect(connection)
        raise Malformed("a type", "none", "type")

    with pytest.raises(Malformed), database.transaction() as connection:
        writes.once(connection, request(writes), fail)

    assert effects(database) == 0
    assert not send(database, writes, request(writes)).replayed
    assert effects(database) == 1


@pytest.mark.parametrize(("later", "replayed"), [(86_399, True), (86_400, False)])
def test_keeps_an_answer_for_a_day(
    database: Database, writes: Idempotency, moment: Clock, later: int, *, replayed: bool
) -> None:
    send(database, writes, request(writes))
    moment.now += timedelta(seconds=later)

    assert send(database, writes, request(writes)).replayed is replayed


def test_forgets_only_what_is_past_its_time(
    database: Database, writes: Idempotency, moment: Clock
) -> None:
    send(database, writes, request(writes))
    moment.now += timedelta(hours=1)
    send(database, writes, request(writes, key="later"))
    moment.now += timedelta(hours=23)

    with database.transaction() as connection:
        assert writes.forget(connection) == 1
        assert writes.forget(connection) == 0
    assert send(database, writes, request(writes, key="later")).replayed


def test_the_table_holds_neither_the_answer_nor_the_key_nor_the_request(
    database: Database, writes: Idempotency
) -> None:
    keyed = request(writes)
    send(database, writes, keyed)
    with database.reading() as connection:
        kept = repr(connection.rows(select(idempotency.KEPT)))

    assert keyed.request_id in kept
    for secret in (CODE, KEY.strip('"'), "warranty"):
        assert secret not in kept


def test_an_answer_moved_to_another_request_does_not_open(
    database: Database, writes: Idempotency
) -> None:
    keyed, other = request(writes), request(writes, key="other")
    send(database, writes, keyed)
    send(database, writes, other)

    with database.transaction() as connection:
        table = idempotency.KEPT
        found = connection.value(
            select(table.c.answer).where(table.c.request_id == other.request_id)
        )
        connection.change(
            update(table).where(table.c.request_id == keyed.request_id).values(answer=found)
        )

    with pytest.raises(Malformed, match="sealed"):
        send(database, writes, keyed)


@pytest.mark.parametrize(
    "keys",
    [[], [""], ['""'], ['"a'], ['a"'], ["a b"], ['"ü"'], ["a" * 201], ['"a";x=1'], ["a", "a"]],
)
def test_refuses_a_key_that_is_missing_double_or_misspelled(
    writes: Idempotency, keys: list[str]
) -> None:
    with pytest.raises(Malformed, match="Idempotency-Key"):
        writes.request(caller="shop", keys=keys, method="POST", target="/", body=b"")


def test_where_keys_are_optional_a_request_without_one_is_its_own(
    database: Database, moment: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    writes = Idempotency(SECRET, clock=moment, random=random_bytes, required=False)

    for _ in range(2):
        keyed = writes.request(caller="shop", keys=[], method="POST", target="/", body=b"")
        assert not send(database, writes, keyed).replayed

    assert effects(database) == 2


def test_refuses_a_short_secret(moment: Clock, random_bytes: Callable[[int], bytes]) -> None:
    writes = Idempotency(SECRET[:31], clock=moment, random=random_bytes)

    with pytest.raises(Misuse):
        request(writes)


def test_of_many_at_once_one_has_the_effect(database: Database, writes: Idempotency) -> None:
    answers: list[Answer] = []
    start = threading.Barrier(10)

    def run() -> None:
        start.wait()
        answers.append(send(database, writes, request(writes)))

    threads = [threading.Thread(target=run) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 9
    assert effects(database) == 1


def test_a_claim_keeps_others_out_until_it_is_finished(
    database: Database, writes: Idempotency
) -> None:
    keyed = request(writes)
    with database.transaction() as connection:
        claim = writes.claim(connection, keyed)
    assert isinstance(claim, Claim)

    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            send(database, writes, keyed)
        assert refusal.value.codes == ["idempotency-key-in-use"]
        with pytest.raises(Refused), database.transaction() as connection:
            writes.claim(connection, keyed)

    with database.transaction() as connection:
        writes.finish(connection, keyed, claim, effect(connection))
    assert send(database, writes, keyed).replayed
    assert effects(database) == 1


@pytest.mark.parametrize(("later", "lapsed"), [(59, False), (60, True)])
def test_a_claim_whose_owner_died_lapses_and_its_late_owner_changes_nothing(
    database: Database, writes: Idempotency, moment: Clock, later: int, *, lapsed: bool
) -> None:
    keyed = request(writes)
    with database.transaction() as connection:
        claim = writes.claim(connection, keyed)
    assert isinstance(claim, Claim)
    moment.now += timedelta(seconds=later)

    if not lapsed:
        with pytest.raises(Refused):
            send(database, writes, keyed)
        return
    send(database, writes, keyed)
    with pytest.raises(Refused), database.transaction() as connection:
        writes.finish(connection, keyed, claim, effect(connection))
    assert effects(database) == 1


def test_a_released_claim_can_be_had_at_once(database: Database, writes: Idempotency) -> None:
    keyed = request(writes)
    with database.transaction() as connection:
        claim = writes.claim(connection, keyed)
        assert isinstance(claim, Claim)
        writes.release(connection, keyed, Claim("another"))
        with pytest.raises(Refused):
            writes.claim(connection, keyed)
        writes.release(connection, keyed, claim)
        assert isinstance(writes.claim(connection, keyed), Claim)


def test_after_a_kill_there_are_both_effect_and_answer_or_neither(
    tmp_path: Path, moment: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    program = textwrap.dedent(
        """
        import sys, os
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        import test_idempotency as t
        database = t.Database.open(Path(sys.argv[1]), t.METADATA)
        writes = t.Idempotency(t.SECRET, clock=t.Clock(), random=os.urandom)
        for i in range(100_000):
            t.send(database, writes, t.request(writes, key=f"key-{i}"))
            print(i, flush=True)
        """
    )
    path = tmp_path / "killed.sqlite3"
    child = subprocess.Popen(
        [sys.executable, "-c", program, path, Path(__file__).parent], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    for _ in range(20):
        child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    answered = 20 + len(child.stdout.read().splitlines())
    child.wait()
    child.stdout.close()

    database = Database.open(path, METADATA)
    writes = Idempotency(SECRET, clock=moment, random=random_bytes)
    done = effects(database)
    answers = [send(database, writes, request(writes, key=f"key-{i}")) for i in range(answered + 2)]
    database.close()

    assert done in (answered, answered + 1)
    assert [answer.replayed for answer in answers].count(True) == done


@pytest.fixture
def client(database: Database, writes: Idempotency) -> TestClient:
    app = FastAPI()
    install_error_handlers(app)

    @app.post("/offers")
    async def offers(request: Request) -> Response:
        keyed = await writes.read(request, "shop")
        return send(database, writes, keyed).response()

    return TestClient(app)


def test_over_http_the_answer_says_that_it_was_kept(client: TestClient) -> None:
    first = client.post("/offers", headers={"Idempotency-Key": KEY}, json={"a": 1})
    again = client.post("/offers", headers={"Idempotency-Key": KEY}, json={"a": 1})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json() == {"code": CODE}
    assert again.headers["location"] == "/offers/7"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


def test_over_http_the_refusals_have_the_draft_s_codes(
    client: TestClient, database: Database, writes: Idempotency
) -> None:
    client.post("/offers", headers={"Idempotency-Key": KEY}, json={"a": 1})
    other = client.post("/offers", headers={"Idempotency-Key": KEY}, json={"a": 2})
    none = client.post("/offers", json={"a": 1})
    busy = writes.request(caller="shop", keys=["busy"], method="POST", target="/offers?", body=b"x")
    with database.transaction() as connection:
        writes.claim(connection, busy)
    meanwhile = client.post("/offers", headers={"Idempotency-Key": "busy"}, content=b"x")

    assert [answer.status_code for answer in (other, none, meanwhile)] == [422, 400, 409]
    assert other.json()["reasons"][0]["code"] == "idempotency-key-reused"
    assert KEY.strip('"') not in other.text
