"""Awards that wait: seen before they are in a balance, and what became of each."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object
from counterfoil_credentials.fetch import Response
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import Action, AwardPoints, CancelAward, ReleaseAward
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.intents import Award, sign_by_brand
from counterfoil_loyalty.issuing import Cancellation
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.pending_awards import AwardState
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_loyalty.store import MemoryStore, PointsStore
from counterfoil_service.sql import Database

from tests.loyalty.customer_scene import ORIGIN, CustomerScene, customer_scene
from tests.loyalty.programme import AUDIO, DAY, NOW, Clock, seeded


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PointsStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    where: Path | str = tmp_path / "points.sqlite3"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres_url")
    database = Database.open(where, METADATA, version=SCHEMA_VERSION)
    yield SqlStore(database)
    database.close()


@pytest.fixture
def scene(store: PointsStore, clock: Clock) -> Iterator[CustomerScene]:
    ledger = MemoryLedger(now=NOW, random=seeded("pending"))
    with customer_scene(ledger, store, clock) as scene:
        yield scene


def act(scene: CustomerScene, action: Action) -> None:
    scene.relayer.accept(action)
    scene.relayer.make_block()


def award(scene: CustomerScene, account: str, number: int, *, days: int = 14) -> bytes:
    """Award something that waits; give its ref."""
    token, ref = scene.client.programme(AUDIO).token, number.to_bytes(32, "big")
    given = Award(
        token=token,
        to=Account(account),
        amount=100 + number,
        ref=ref,
        available_at=scene.clock.now + days * DAY,
    )
    act(scene, AwardPoints(given, sign_by_brand(given, scene.client.venue(), scene.audio)))
    return ref


def cancel(scene: CustomerScene, ref: bytes) -> None:
    it = Cancellation(token=scene.client.programme(AUDIO).token, ref=ref)
    act(scene, CancelAward(it, sign_by_brand(it, scene.client.venue(), scene.audio)))


def test_she_sees_what_waits_and_what_was_released_or_cancelled(scene: CustomerScene) -> None:
    points, other = scene.points(scene.wallet()), scene.points(scene.wallet())
    account = points.join(AUDIO)
    kept, gone, still = (award(scene, account, it, days=20 - it) for it in (1, 2, 3))
    award(scene, other.join(AUDIO), 4)
    points.keep_note(still.hex(), "order 3")
    points.check()

    assert [it.points.units for it in points.promises()] == [103, 102, 101]
    assert points.balances()[AUDIO].points == Points(AUDIO, 0)
    cancel(scene, gone)
    scene.clock.advance(19 * DAY)
    scene.award(other.join(AUDIO), 5, "1005")  # a block of that day
    act(scene, ReleaseAward(scene.client.programme(AUDIO).token, kept))
    scene.disconnect()
    stale = [it.state for it in points.promises()]
    scene.connect()
    points.check()

    assert stale == [AwardState.PENDING] * 3  # as last seen
    (waits,) = points.promises()
    assert (waits.points, waits.brand_name, waits.note) == (
        Points(AUDIO, 103),
        "Auricle Points",
        "order 3",
    )
    assert waits.available_at < datetime.fromtimestamp(scene.clock.now, UTC)
    found = {it.points.units: it.state for it in points.promises(*AwardState)}
    assert found == {
        101: AwardState.RELEASED,
        102: AwardState.CANCELLED,
        103: AwardState.PENDING,
    }
    assert points.balances()[AUDIO].points == Points(AUDIO, 101)
    assert len(other.promises()) == 0
    other.check()
    assert len(other.promises()) == 1


def test_what_waits_goes_with_its_block_and_a_page_holds_the_newest(
    store: PointsStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, twin = MemoryLedger(now=NOW, random=seeded("pending")), MemoryStore()
    with customer_scene(ledger, twin, clock) as scene:
        account = Account(scene.points(scene.wallet()).join(AUDIO))
        first = award(scene, account, 1)
        award(scene, account, 2)
        head = ledger.head()
        award(scene, account, 3)
        cancel(scene, first)
    blocks = [project(ledger.block(number)) for number in range(ledger.head() + 1)]

    store.record(*blocks, final=head)

    assert store.pending_awards(account) == twin.pending_awards(account)
    states = [(it.units, it.state) for it in store.pending_awards(account)]
    assert states == [
        (103, AwardState.PENDING),
        (102, AwardState.PENDING),
        (101, AwardState.CANCELLED),
    ]
    for module in ("store", "sql_store"):
        monkeypatch.setattr(f"counterfoil_loyalty.{module}.MOST_LISTED", 2)
    assert [it.units for it in store.pending_awards(account)] == [103, 102]
    store.roll_back(head)
    back = [(it.units, it.state) for it in store.pending_awards(account)]
    assert back == [(102, AwardState.PENDING), (101, AwardState.PENDING)]


@pytest.mark.parametrize(
    "change", [{"state": "given"}, {"units": -1}, {"available_at": 2**60}, {"reference": "x" * 999}]
)
def test_a_promise_that_cannot_be_is_not_kept(scene: CustomerScene, change: JsonObject) -> None:
    points = scene.points(scene.wallet())
    award(scene, points.join(AUDIO), 1)
    points.check()
    answer = scene.answer
    assert answer is not None

    def handle(method: str, path: str, headers: object, body: bytes) -> Response:
        given = answer(method, path, {}, body)
        if not path.endswith("/pending"):
            return given
        obj = parse_object(given.body, "answer")
        listed = obj["pending"]
        assert isinstance(listed, list)
        assert isinstance(listed[0], dict)
        obj["pending"] = [{**listed[0], **change}]
        return Response(200, "application/json", compact_json(obj))

    scene.network.serve(ORIGIN, handle)

    assert points.check()[AUDIO].failed is not None
    assert [it.points.units for it in points.promises()] == [101]
