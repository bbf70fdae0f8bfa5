"""Events reach their endpoints: in order, at least once, by one courier at a time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from counterfoil_service import outbox
from counterfoil_service.couriers import Courier, Outcome, Retrying
from counterfoil_service.outbox import Webhooks, forget_delivered, publish
from counterfoil_service.sql import Database
from counterfoil_service.webhook_signatures import verify_webhook
from sqlalchemy import MetaData, func, select

METADATA = MetaData()
outbox.add_tables(METADATA)
SHOP, TILL = "https://shop.example", "https://till.example"
SECRET = bytes(range(32))
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


class Receiver:
    """An endpoint that says what it got, and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: list[Response] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.bodies.append(body)
        self.headers.append(headers)
        self.meanwhile()
        return self.answers.pop(0) if self.answers else status(204)

    @property
    def numbers(self) -> list[int]:
        return [json.loads(body)["data"]["number"] for body in self.bodies]


def status(code: int, **headers: str) -> Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(code, "", b"", given)


class House:
    """A service with webhooks, and its couriers."""

    def __init__(self, database: Database, random_bytes: Callable[[int], bytes]) -> None:
        self.database = database
        self.now = NOON
        self.random = random_bytes
        self.fetcher = MemoryFetcher()
        self.outcomes: list[Outcome] = []
        self.webhooks = Webhooks(SECRET, clock=lambda: self.now, random=random_bytes)
        self.courier = self.new_courier()

    def new_courier(self) -> Courier:
        return Courier(
            self.database,
            self.webhooks,
            self.fetcher,
            clock=lambda: self.now,
            random=self.random,
            told=self.outcomes.append,
        )

    def add(self, origin: str, *types: str) -> tuple[Receiver, str, str]:
        receiver = Receiver()
        self.fetcher.serve(origin, receiver)
        with self.database.transaction() as connection:
            made = self.webhooks.add(connection, f"{origin}/hooks", types or ("*",))
        return receiver, made.endpoint_id, made.secret

    def publish(self, *numbers: int, type_name: str = "credential.revoked") -> list[str]:
        with self.database.transaction() as connection:
            return [
                publish(connection, type_name, {"number": number}, at=self.now, random=self.random)
                for number in numbers
            ]

    def deliver(self) -> None:
        while self.courier.deliver_once():
            pass

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def endpoint(self) -> outbox.Endpoint:
        with self.database.reading() as connection:
            (endpoint,) = self.webhooks.endpoints(connection)
        return endpoint

    def letters(self, endpoint_id: str) -> list[outbox.DeadLetter]:
        with self.database.reading() as connection:
            return self.webhooks.dead_letters(connection, endpoint_id)


@pytest.fixture
def house(where: Path | str, random_bytes: Callable[[int], bytes]) -> Iterator[House]:
    database = Database.open(where, METADATA)
    yield House(database, random_bytes)
    database.close()


def test_events_arrive_in_their_order_and_signed(house: House) -> None:
    shop, _, secret = house.add(SHOP)
    ids = house.publish(1, 2, 3)
    house.deliver()

    assert shop.numbers == [1, 2, 3]
    assert [headers["webhook-id"] for headers in shop.headers] == ids
    assert shop.headers[0]["content-type"] == "application/json"
    event = verify_webhook(shop.headers[2], shop.bodies[2], secrets=[secret], now=NOON)
    assert event == {
        "type": "credential.revoked",
        "timestamp": "2026-11-02T12:00:00Z",
        "data": {"number": 3},
    }
    house.deliver()
    assert shop.numbers == [1, 2, 3]


def test_an_event_whose_transaction_failed_is_nowhere(house: House) -> None:
    shop, _, _ = house.add(SHOP)

    def act() -> None:
        with house.database.transaction() as connection:
            publish(connection, "a", {"number": 1}, at=NOON, random=house.random)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act()
    house.deliver()

    assert shop.numbers == []


def test_more_events_than_one_round_carries_all_arrive(house: House) -> None:
    shop, _, _ = house.add(SHOP)
    house.publish(*range(45))
    house.deliver()

    assert shop.numbers == list(range(45))


def test_an_endpoint_gets_what_it_asked_for_from_when_it_asked(house: House) -> None:
    house.publish(1)
    shop, _, _ = house.add(SHOP, "credential.revoked", "product.recalled")
    till, _, _ = house.add(TILL)
    house.publish(2)
    house.publish(*range(3, 30), type_name="credential.issued")
    house.publish(30, type_name="product.recalled")
    house.deliver()

    assert shop.numbers == [2, 30]
    assert till.numbers == list(range(2, 31))


def test_events_for_others_are_passed_over_in_one_round(house: House) -> None:
    shop, _, _ = house.add(SHOP, "product.recalled")
    house.publish(*range(100))
    house.publish(100, type_name="product.recalled")
    house.publish(*range(101, 200))

    assert house.courier.deliver_once()
    assert shop.numbers == [100]
    assert house.endpoint().waiting == 0
    assert not house.courier.deliver_once()
    house.publish(200, type_name="product.recalled")
    house.deliver()
    assert shop.numbers == [100, 200]


def test_one_that_is_down_is_tried_again_later_and_later_and_keeps_its_order(house: House) -> None:
    shop, _, _ = house.add(SHOP)
    till, _, _ = house.add(TILL)
    ids = house.publish(1, 2)
    shop.answers = [status(500), status(503)]
    house.deliver()
    assert (shop.numbers, till.numbers) == ([1], [1, 2])

    house.wait(2)
    house.deliver()
    assert shop.numbers == [1]
    house.wait(3)
    house.deliver()
    assert shop.numbers == [1, 1]
    house.wait(4)
    house.deliver()
    assert shop.numbers == [1, 1]
    house.wait(6)
    house.deliver()
    assert shop.numbers == [1, 1, 1, 2]
    assert {headers["webhook-id"] for headers in shop.headers[:3]} == {ids[0]}
    assert house.outcomes.count(Outcome.FAILED) == 2


def test_an_endpoint_that_is_unreachable_is_tried_again(house: House) -> None:
    shop, _, _ = house.add(SHOP)
    house.fetcher.disconnect(SHOP)
    house.publish(1)
    house.deliver()
    assert house.endpoint().failure == "no answer"

    house.fetcher.serve(SHOP, shop)
    house.wait(5)
    house.deliver()
    assert shop.numbers == [1]
    assert house.endpoint().failure is None


@pytest.mark.parametrize(
    ("asked", "waited_s", "comes"),
    [("60", 59, False), ("60", 60, True), ("9999999", 21_600, True), ("soon", 5, True)],
)
def test_waits_as_long_as_the_receiver_asks_within_bounds(
    house: House, asked: str, waited_s: int, *, comes: bool
) -> None:
    shop, _, _ = house.add(SHOP)
    shop.answers = [status(429, retry_after=asked)]
    house.publish(1)
    house.deliver()
    house.wait(waited_s)
    house.deliver()

    assert (shop.numbers == [1, 1]) is comes


def test_what_cannot_be_delivered_in_about_a_day_is_a_dead_letter(house: House) -> None:
    shop, endpoint_id, _ = house.add(SHOP)
    (first, _) = house.publish(1, 2)
    shop.answers = [status(400)] * 17
    house.deliver()
    attempts = 1
    while len(house.letters(endpoint_id)) == 0:
        assert attempts < 17
        house.wait(21_600)
        house.deliver()
        attempts += 1

    (letter,) = house.letters(endpoint_id)
    assert (letter.event_id, letter.failure, letter.is_sent_again) == (first, "status 400", False)
    assert shop.numbers == [1] * 17 + [2]
    assert house.outcomes[-2:] == [Outcome.DEAD, Outcome.DELIVERED]
    assert (house.endpoint().dead, house.endpoint().is_active) == (1, True)


def test_waits_grow_to_six_hours_and_last_about_a_day() -> None:
    retrying = Retrying()
    longest = [retrying.delay_s(attempt, 1.0) for attempt in range(1, 17)]
    shortest = [retrying.delay_s(attempt, 0.0) for attempt in range(1, 17)]

    assert longest[:4] == [5, 10, 20, 40]
    assert longest[-1] == 21_600
    assert 86_400 * 0.5 < sum(shortest) < sum(longest) < 86_400 * 1.5
    assert retrying.delay_s(10_000, 1.0) == 21_600


def test_after_three_dead_letters_in_a_row_an_endpoint_rests_until_it_is_resumed(
    house: House,
) -> None:
    shop, endpoint_id, _ = house.add(SHOP)
    house.publish(1, 2, 3, 4)
    shop.answers = [status(500)] * 51
    for _ in range(60):
        house.deliver()
        house.wait(21_600)
    assert shop.numbers == [1] * 17 + [2] * 17 + [3] * 17
    assert not house.endpoint().is_active

    with house.database.transaction() as connection:
        house.webhooks.resume(connection, endpoint_id)
    house.deliver()
    assert shop.numbers[51:] == [4]


def test_a_dead_letter_can_be_sent_again_and_dies_again_or_is_gone(house: House) -> None:
    shop, endpoint_id, _ = house.add(SHOP)
    (first,) = house.publish(1)
    shop.answers = [status(400)] * 18
    for _ in range(17):
        house.deliver()
        house.wait(21_600)

    for left in (1, 0):
        with house.database.transaction() as connection:
            house.webhooks.redeliver(connection, endpoint_id, first)
        assert house.letters(endpoint_id)[0].is_sent_again
        house.deliver()
        assert len(house.letters(endpoint_id)) == left
    assert shop.numbers == [1] * 19
    with pytest.raises(Refused), house.database.transaction() as connection:
        house.webhooks.redeliver(connection, endpoint_id, first)


def test_a_receiver_that_is_gone_for_good_is_not_asked_again(house: House) -> None:
    shop, endpoint_id, _ = house.add(SHOP)
    shop.answers = [status(410)]
    house.publish(1)
    for _ in range(3):
        house.deliver()
        house.wait(21_600)
    assert shop.numbers == [1]
    assert (house.endpoint().is_active, house.endpoint().failure) == (False, "status 410")

    with house.database.transaction() as connection:
        house.webhooks.resume(connection, endpoint_id)
    house.deliver()
    assert shop.numbers == [1, 1]


def test_while_one_courier_is_at_the_door_another_finds_nothing_to_do(house: House) -> None:
    shop, _, _ = house.add(SHOP)
    house.publish(1, 2)
    found: list[bool] = []
    shop.meanwhile = lambda: found.append(house.new_courier().deliver_once())
    house.deliver()

    assert shop.numbers == [1, 2]
    assert found == [False, False]


def test_a_courier_that_stayed_away_too_long_writes_nothing_over_its_successor(
    house: House,
) -> None:
    shop, _, _ = house.add(SHOP)
    house.publish(1, 2)

    def overtake() -> None:
        shop.meanwhile = lambda: None
        house.wait(60)
        assert house.new_courier().deliver_once()

    shop.meanwhile = overtake
    house.deliver()

    # The first event came twice, under one id; nothing was skipped and nothing went back.
    assert shop.numbers == [1, 1, 2]
    assert house.endpoint().waiting == 0


def test_many_couriers_deliver_each_event_once(house: House) -> None:
    shop, _, _ = house.add(SHOP)
    till, _, _ = house.add(TILL)
    house.publish(*range(30))

    def work() -> None:
        courier = house.new_courier()
        for _ in range(60):
            courier.deliver_once()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert shop.numbers == till.numbers == list(range(30))


def test_a_pause_holds_events_back_also_from_a_courier_on_its_way(house: House) -> None:
    shop, endpoint_id, _ = house.add(SHOP)
    house.publish(1, 2, 3)

    def pause() -> None:
        with house.database.transaction() as connection:
            house.webhooks.pause(connection, endpoint_id)

    shop.meanwhile = pause
    house.deliver()
    assert shop.numbers == [1]
    assert not house.endpoint().is_active
    shop.meanwhile = lambda: None
    with house.database.transaction() as connection:
        house.webhooks.resume(connection, endpoint_id)
    house.deliver()
    assert shop.numbers == [1, 1, 2, 3]


def test_a_removed_endpoint_gets_nothing_more(house: House) -> None:
    shop, endpoint_id, _ = house.add(SHOP)
    house.publish(1)
    with house.database.transaction() as connection:
        house.webhooks.remove(connection, endpoint_id)
    house.deliver()

    assert shop.numbers == []
    for act in (house.webhooks.remove, house.webhooks.pause, house.webhooks.resume):
        with pytest.raises(Refused), house.database.transaction() as connection:
            act(connection, endpoint_id)


def test_a_new_secret_signs_beside_the_old_one_for_a_day(house: House) -> None:
    shop, endpoint_id, old = house.add(SHOP)
    with house.database.transaction() as connection:
        new = house.webhooks.rotate_secret(connection, endpoint_id).secret
    house.publish(1)
    house.deliver()
    for secret in (old, new):
        verify_webhook(shop.headers[0], shop.bodies[0], secrets=[secret], now=house.now)

    house.wait(86_400)
    house.publish(2)
    house.deliver()
    verify_webhook(shop.headers[1], shop.bodies[1], secrets=[new], now=house.now)
    with pytest.raises(Refused):
        verify_webhook(shop.headers[1], shop.bodies[1], secrets=[old], now=house.now)


def test_the_table_holds_no_secret_and_a_moved_one_does_not_sign(house: House) -> None:
    shop, endpoint_id, secret = house.add(SHOP)
    house.publish(1)
    with house.database.transaction() as connection:
        assert secret not in repr(connection.rows(select(outbox.ENDPOINTS)))
        connection.change(outbox.ENDPOINTS.update().values(endpoint_id="end_other"))
    house.deliver()

    assert shop.numbers == []
    assert house.endpoint().failure == "a secret that this service does not open"
    assert endpoint_id != "end_other"


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hooks",
        "https://localhost/hooks",
        "https://10.0.0.1./hooks",
        "https://till.internal/hooks",
        "https://shop",
        "https://user@shop.example/",
        "https://shop.example/#a",
        "ftp://shop.example/",
        "http://127.0.0.1:4711/hooks",
    ],
)
def test_an_endpoint_is_a_public_https_url(house: House, url: str) -> None:
    with pytest.raises((Malformed, Refused)), house.database.transaction() as connection:
        house.webhooks.add(connection, url)


@pytest.mark.parametrize("types", [(), ("",), ("Credential.Revoked",), ("a b",), ("a",) * 101])
def test_refuses_types_that_no_event_has(house: House, types: tuple[str, ...]) -> None:
    with pytest.raises(Malformed), house.database.transaction() as connection:
        house.webhooks.add(connection, f"{SHOP}/hooks", types)
    for wrong in types[:1]:
        if wrong != "a":
            with pytest.raises(Misuse):
                house.publish(1, type_name=wrong)


class _Hooks(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""


@pytest.mark.loopback
def test_this_machine_is_asked_only_under_the_long_named_settings(house: House) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Hooks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_port}"
    house.webhooks = Webhooks(
        SECRET, clock=lambda: house.now, random=house.random, loopback_origins_unsafely={origin}
    )
    with house.database.transaction() as connection:
        house.webhooks.add(connection, f"{origin}/hooks")
    house.publish(1)

    def deliver(fetcher: GuardedFetcher) -> None:
        Courier(
            house.database,
            house.webhooks,
            fetcher,
            clock=lambda: house.now,
            random=house.random,
        ).deliver_once()

    deliver(GuardedFetcher())
    assert house.endpoint().failure == "an address that may not be asked"
    house.wait(5)
    deliver(GuardedFetcher(loopback_routes_unsafely={origin: origin}))
    server.shutdown()
    server.server_close()

    assert (house.endpoint().failure, house.endpoint().waiting) == (None, 0)


def test_forgets_old_events_that_nobody_waits_for(house: House) -> None:
    def left() -> int:
        with house.database.reading() as connection:
            return int(connection.value(select(func.count()).select_from(outbox.EVENTS)))

    def forget() -> int:
        with house.database.transaction() as connection:
            return forget_delivered(connection, house.now)

    shop, endpoint_id, _ = house.add(SHOP)
    (first, _, _) = house.publish(1, 2, 3)
    shop.answers = [status(400)] * 17
    house.wait(1)
    assert (forget(), left()) == (0, 3)
    for _ in range(17):
        house.deliver()
        house.wait(21_600)
    # The dead letter keeps its event; what was delivered goes.
    assert shop.numbers[-2:] == [2, 3]
    assert (forget(), left()) == (2, 1)

    with house.database.transaction() as connection:
        house.webhooks.redeliver(connection, endpoint_id, first)
    house.deliver()
    assert (forget(), left()) == (1, 0)
    house.publish(4)
    house.deliver()
    assert shop.numbers[-1] == 4


def test_a_service_s_lifespan_delivers_and_ends(house: House) -> None:
    shop, _, _ = house.add(SHOP)
    house.publish(1, 2)
    done = threading.Event()
    shop.meanwhile = lambda: done.set() if len(shop.bodies) == 2 else None

    async def run() -> None:
        async with house.courier.working(workers=2, every_s=0.01)(None):
            assert await asyncio.to_thread(done.wait, 10)

    asyncio.run(run())
    assert shop.numbers == [1, 2]
    house.publish(3)
    assert shop.numbers == [1, 2]


def test_after_a_kill_every_event_still_arrives_in_order(
    tmp_path: Path, random_bytes: Callable[[int], bytes]
) -> None:
    path = tmp_path / "killed.sqlite3"
    database = Database.open(path, METADATA)
    house = House(database, random_bytes)
    shop, _, _ = house.add(SHOP)
    house.publish(*range(200))
    program = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        import test_couriers as t
        house = t.House(t.Database.open(Path(sys.argv[1]), t.METADATA), os.urandom)
        receiver = t.Receiver()
        receiver.meanwhile = lambda: print(receiver.numbers[-1], flush=True)
        house.fetcher.serve(t.SHOP, receiver)
        house.deliver()
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, path, Path(__file__).parent], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    for _ in range(25):
        child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    before = 25 + len(child.stdout.read().splitlines())
    child.wait()
    child.stdout.close()

    house.deliver()
    assert shop.numbers == []
    house.wait(60)
    house.deliver()
    database.close()

    assert shop.numbers[0] in (before - 1, before)
    assert shop.numbers == list(range(shop.numbers[0], 200))
