"""The points service as an app meets it: the client, over HTTP shapes, without a socket."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_loyalty import Points, PointsAccounts, PointsClient, PointsSigner, Rate
from counterfoil_loyalty.app import create_app
from counterfoil_loyalty.intents import Redemption
from counterfoil_loyalty.keccak import award_ref, keccak256
from counterfoil_loyalty.ledger import Block, EmbeddedLedger, Ledger
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.service import (
    EVENT_PAGE,
    MAX_LEAD_S,
    STALLED_AFTER_S,
    PointsService,
    voucher_reference,
)
from counterfoil_loyalty.store import MemoryStore, Placed
from fastapi.testclient import TestClient

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, SECRET, Clock, seeded

ORIGIN = "https://points.example"
OPERATOR_KEY = "the operator's key"
VOUCHER_SECRET = b"the service's secret for vouchers"


class PromptRelayer(Relayer):
    """A relayer whose caller makes the block it waits for, one second later."""

    def __init__(self, ledger: Ledger, store: MemoryStore, clock: Clock) -> None:
        super().__init__(ledger, store)
        self._clock = clock
        self.is_slow = False

    def wait_for(self, key: str, timeout_s: float) -> Placed | None:
        if not self.is_slow:
            self._clock.advance(1)
            self.turn(self._clock.now)
        return super().wait_for(key, 0)


@dataclass
class Street:
    """The service, a client of it, two brands and a customer."""

    client: PointsClient
    http: TestClient
    relayer: PromptRelayer
    clock: Clock
    sent: list[tuple[str, bytes, Mapping[str, str]]]
    audio: PointsSigner
    bicycle: PointsSigner
    accounts: PointsAccounts

    def open(self) -> "Street":
        self.register(self.audio, AUDIO, price=100)
        self.register(self.bicycle, BICYCLE, price=50)
        self.agree(Rate(3, 2), version=1)
        return self

    def register(
        self, issuer: PointsSigner, brand: str, *, price: int, operator_key: str = OPERATOR_KEY
    ) -> object:
        registration = self.client.sign_registration(
            issuer, brand=brand, name="Points", symbol="PTS", price=price
        )
        return self.client.register(registration, operator_key=operator_key)

    def agree(self, rate: Rate, *, version: int, ends_at: int = NOW + 30 * DAY) -> None:
        terms = self.client.terms(AUDIO, BICYCLE, rate, version=version, ends_at=ends_at)
        signatures = [self.client.sign_terms(terms, brand) for brand in (self.audio, self.bicycle)]
        self.client.agree(terms, *signatures)

    def award(self, units: int = 1_000, order: str = "1001") -> str:
        account = self.accounts.of(AUDIO).account
        points = Points(AUDIO, units)
        return self.client.award(self.audio, points, account, order=order, secret=SECRET)

    def lose_the_outbox(self) -> None:
        self.http.close()
        self.http, self.relayer = service_on(self.relayer.ledger, self.clock)

    def held(self) -> tuple[int, int]:
        balances = self.client.balances(self.accounts)
        return balances[AUDIO].units, balances[BICYCLE].units

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now, UTC)

    def last_body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.sent[-1][1])
        return body


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    """Give the service with both brands and a corridor, 3 for 2."""
    yield from street_on(MemoryLedger(now=NOW, random=seeded("service")), clock)


@pytest.fixture
def street_on_either(ledger: EmbeddedLedger, clock: Clock) -> Iterator[Street]:
    """Give the same on each kind of ledger."""
    yield from street_on(ledger, clock)


def street_on(ledger: EmbeddedLedger, clock: Clock) -> Iterator[Street]:
    fetcher = MemoryFetcher()
    street = Street(
        PointsClient(fetcher, ORIGIN),
        *service_on(ledger, clock),
        clock,
        [],
        PointsSigner(b"\x01" * 32),
        PointsSigner(b"\x02" * 32),
        PointsAccounts(b"customer" * 4),
    )

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if method == "POST":
            street.sent.append((path, body, headers))
        answer = street.http.request(method, path, headers=dict(headers), content=body)
        return Response(answer.status_code, "application/json", answer.content)

    fetcher.serve(ORIGIN, handle)
    yield street.open()
    street.http.close()


def service_on(ledger: Ledger, clock: Clock) -> tuple[TestClient, PromptRelayer]:
    """Start the service on a ledger, with nothing remembered beside it."""
    store = MemoryStore()
    relayer = PromptRelayer(ledger, store, clock)
    relayer.start()
    service = PointsService(relayer, store, clock, voucher_secret=VOUCHER_SECRET)
    app = create_app(service, operator_key=OPERATOR_KEY)
    return TestClient(app, base_url=ORIGIN), relayer


def test_earn_exchange_redeem(street_on_either: Street) -> None:
    street = street_on_either
    street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 201), BICYCLE)
    value_before = street.client.supply().total_value

    exchanged = street.client.exchange(quote, street.accounts, b"e" * 32)
    voucher = street.client.redeem(Points(BICYCLE, 100), street.accounts, b"r" * 32, now=street.now)

    assert exchanged.received == quote.receives == Points(BICYCLE, 301)
    assert street.held() == (799, 201)
    assert voucher.points == Points(BICYCLE, 100)
    assert street.client.supply().units == {AUDIO: 799, BICYCLE: 201}
    assert street.client.supply().total_value <= value_before
    history = street.client.history(street.accounts)
    assert [(entry.brand, entry.kind, entry.units) for entry in history] == [
        (AUDIO, "awarded", 1_000),
        (AUDIO, "exchanged", -201),
        (BICYCLE, "exchanged", 301),
        (BICYCLE, "redeemed", -100),
    ]


def test_the_history_is_the_events_of_the_chain(street_on_either: Street) -> None:
    street = street_on_either
    street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    street.client.exchange(quote, street.accounts, b"e" * 32)
    mine = {street.accounts.of(brand).account for brand in (AUDIO, BICYCLE)}

    moved: list[tuple[str, int]] = []
    for event in street.client.events():
        values = event["values"]
        if event["name"] == "Transfer" and isinstance(values, dict):
            transaction = str(event["transaction_id"])
            units = int(str(values["value"]))
            moved += [(transaction, -units)] if values["from"] in mine else []
            moved += [(transaction, units)] if values["to"] in mine else []

    history = street.client.history(street.accounts)
    assert sorted(moved) == sorted((entry.transaction, entry.units) for entry in history)


class Ranged(MemoryLedger):
    """A ledger that is asked for ranges, and says which blocks it was asked for one by one."""

    def __init__(self, **made: Any) -> None:  # noqa: ANN401  # as its base
        super().__init__(**made)
        self.one_by_one: list[int] = []

    def block(self, number: int) -> Block:
        self.one_by_one.append(number)
        return super().block(number)

    def final_blocks(self, first: int, last: int) -> list[Block]:
        return [super(Ranged, self).block(it) for it in range(first, last + 1)]


def test_events_of_final_blocks_are_read_by_ranges(clock: Clock) -> None:
    ledger = Ranged(now=NOW, random=seeded("ranged"))
    for street in street_on(ledger, clock):
        street.award(1_000)
        ledger.one_by_one.clear()

        assert street.client.events()

        assert ledger.one_by_one == []


@pytest.mark.parametrize(("events", "blocks"), [(1, 200), (3, 200), (300, 1), (300, 2), (300, 200)])
def test_events_come_in_pages_of_whole_blocks_and_none_is_missing(
    street: Street, monkeypatch: pytest.MonkeyPatch, events: int, blocks: int
) -> None:
    street.award(1_000, order="1001")
    street.award(1_000, order="1002")
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    street.client.exchange(quote, street.accounts, b"e" * 32)
    ledger = street.relayer.ledger
    numbers = range(ledger.head() + 1)
    everything = [event.transaction_id for it in numbers for event in ledger.block(it).events]

    monkeypatch.setattr("counterfoil_loyalty.service.EVENT_PAGE", events)
    monkeypatch.setattr("counterfoil_loyalty.service.BLOCK_PAGE", blocks)

    assert [event["transaction_id"] for event in street.client.events()] == everything
    first = street.http.get("/events").json()
    assert len({event["block"] for event in first["events"]}) <= min(events, blocks)
    newest = street.http.get(f"/events?after={ledger.head() - 1}").json()
    assert {event["block"] for event in newest["events"]} == {ledger.head()}
    assert newest["next"] is None
    assert street.http.get(f"/events?after={ledger.head()}").json() == {"events": [], "next": None}


def test_the_longest_page_of_events_is_one_that_the_client_reads(street: Street) -> None:
    street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    street.client.exchange(quote, street.accounts, b"e" * 32)
    last = street.relayer.ledger.head() - 1
    page = street.http.get(f"/events?after={last}")
    swap_bytes, swap_events = len(page.content), len(page.json()["events"])
    swaps = 30_000_000 // 187_000  # in the fullest block, by the gas that each is given

    pages = EVENT_PAGE * swap_bytes / swap_events + swaps * swap_bytes
    assert pages < 2**20


def test_an_award_sent_twice_is_answered_alike_and_minted_once(street: Street) -> None:
    assert street.award(1_000) == street.award(1_000)
    path, body, headers = street.sent[-1]
    answers = [street.http.post(path, content=body, headers=dict(headers)) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[0].status_code == 200
    assert street.held() == (1_000, 0)


def test_the_chain_tells_no_order_to_who_tries_them_all(street: Street) -> None:
    ref = street.award(order="1001")
    seen = json.dumps(street.client.events())
    assert ref in seen
    parts = [keccak256(part.encode()) for part in (AUDIO, "1001", "purchase")]
    guesses = {
        keccak256(b"".join(parts)).hex(),  # what any reader can compute
        award_ref(AUDIO, "1001", "purchase", secret=bytes(32)).hex(),
    }
    assert not [guess for guess in guesses if guess in seen]


def test_one_ref_for_another_amount_is_a_conflict(street: Street) -> None:
    street.award(1_000)
    with pytest.raises(Refused) as refusal:
        street.award(999)
    assert refusal.value.codes == ["key-conflict"]
    path, body, headers = street.sent[-1]
    assert street.http.post(path, content=body, headers=dict(headers)).status_code == 409
    assert street.held() == (1_000, 0)


def test_an_award_that_another_signed_is_refused_before_and_after(street: Street) -> None:
    def by_another() -> None:
        account, points = street.accounts.of(AUDIO).account, Points(AUDIO, 1_000)
        street.client.award(street.bicycle, points, account, order="1001", secret=SECRET)

    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            by_another()
        assert refusal.value.codes == ["signature-invalid"]
        street.award(1_000)
    assert street.held() == (1_000, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 1_001),
        ("account", "0x" + "11" * 20),
        ("ref", "22" * 32),
        ("brand", BICYCLE),
        ("signature", "33" * 65),
    ],
)
def test_an_award_changed_on_the_way_is_refused(street: Street, field: str, value: object) -> None:
    street.award(1_000)
    body: dict[str, Any] = {**street.last_body(), "ref": "44" * 32, field: value}
    # The ref changed as well, so that nothing is a repeat; the signature covers all of it.
    answer = street.http.post("/awards", json=body, headers={"Idempotency-Key": body["ref"]})
    assert answer.status_code == 400
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["signature-invalid"]
    assert street.held() == (1_000, 0)


def test_an_award_carries_its_ref_as_idempotency_key(street: Street) -> None:
    street.award(1_000)
    body = street.last_body()
    for headers in ({}, {"Idempotency-Key": "55" * 32}):
        answer = street.http.post("/awards", json=body, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_request"


def test_a_quote_that_the_terms_no_longer_honour_exchanges_nothing(street: Street) -> None:
    street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    street.agree(Rate(2, 1), version=2)

    with pytest.raises(Refused) as refusal:
        street.client.exchange(quote, street.accounts, b"e" * 32)
    assert refusal.value.codes == ["terms-changed"]
    assert street.held() == (1_000, 0)

    fresh = street.client.quote(Points(AUDIO, 200), BICYCLE)
    assert street.client.exchange(fresh, street.accounts, b"e" * 32).received.units == 400


def test_a_quote_ends(street: Street) -> None:
    street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    street.clock.advance(quote.expires_at - street.clock.now)
    with pytest.raises(Refused) as refusal:
        street.client.exchange(quote, street.accounts, b"e" * 32)
    assert refusal.value.codes == ["intent-expired"]
    assert street.held() == (1_000, 0)


def test_a_deadline_far_ahead_is_refused(street: Street) -> None:
    street.award(1_000)
    later = datetime.fromtimestamp(street.clock.now + 30 * DAY, UTC)
    with pytest.raises(Refused) as refusal:
        street.client.redeem(Points(AUDIO, 1), street.accounts, b"r" * 32, now=later)
    assert refusal.value.codes == ["deadline-too-far"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 199),
        ("least", 1),
        ("recipient", "0x" + "11" * 20),
        ("holder", "0x" + "11" * 20),
        ("version", 2),
        ("deadline", NOW + 100),
        ("id", "22" * 32),
        ("to", "https://third.example"),
    ],
)
def test_an_exchange_changed_on_the_way_is_refused(
    street: Street, field: str, value: object
) -> None:
    third = PointsSigner(b"\x03" * 32)
    street.register(third, "https://third.example", price=1)
    street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    street.relayer.is_slow = True
    with pytest.raises(Unavailable):
        street.client.exchange(quote, PointsAccounts(b"customer" * 4), b"e" * 32)
    body = {**street.last_body(), "id": "66" * 32, field: value}

    answer = street.http.post("/exchanges", json=body)

    assert answer.status_code == 400
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["signature-invalid"]


def test_an_exchange_sent_again_is_answered_alike_and_made_once(street: Street) -> None:
    street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    first = street.client.exchange(quote, street.accounts, b"e" * 32)
    street.clock.advance(DAY)  # long after its deadline: it is a repeat, not a new wish

    assert street.client.exchange(quote, street.accounts, b"e" * 32) == first
    assert street.held() == (800, 300)

    other = street.client.quote(Points(AUDIO, 100), BICYCLE)
    with pytest.raises(Refused) as refusal:
        street.client.exchange(other, street.accounts, b"e" * 32)
    assert refusal.value.codes == ["key-conflict"]


def test_a_redemption_gives_one_voucher_however_often_it_is_sent(street: Street) -> None:
    street.award(1_000)
    accounts = street.accounts
    first = street.client.redeem(Points(AUDIO, 100), accounts, b"r" * 32, now=street.now)
    street.clock.advance(60)
    again = street.client.redeem(Points(AUDIO, 100), accounts, b"r" * 32, now=street.now)
    other = street.client.redeem(Points(AUDIO, 100), accounts, b"s" * 32, now=street.now)

    assert again == first
    assert other.reference != first.reference
    assert street.held() == (800, 0)
    with pytest.raises(Refused) as refusal:
        street.client.redeem(Points(AUDIO, 99), accounts, b"r" * 32, now=street.now)
    assert refusal.value.codes == ["key-conflict"]


def test_a_voucher_cannot_be_computed_from_what_everybody_reads(street: Street) -> None:
    street.award(1_000)
    voucher = street.client.redeem(
        Points(AUDIO, 100), street.accounts, b"r" * 32, now=street.now
    ).reference
    holder = street.accounts.of(AUDIO).account
    token = street.client.programme(AUDIO).token
    public = Redemption(token=token, holder=holder, amount=100, redemption_id=b"r" * 32, deadline=1)

    assert voucher == voucher_reference(public, secret=VOUCHER_SECRET)
    assert voucher != voucher_reference(public, secret=VOUCHER_SECRET + b"!")
    named = f"voucher {token} {holder} {(b'r' * 32).hex()}"
    letters = base64.b32encode(keccak256(named.encode())[:10]).decode()
    assert voucher.replace("-", "") != letters
    assert voucher not in street.http.get("/events").text


@pytest.mark.parametrize("secret", [b"", b"s" * 31])
def test_a_service_wants_a_secret_for_vouchers_that_nobody_guesses(
    street: Street, secret: bytes
) -> None:
    with pytest.raises(Misuse):
        PointsService(street.relayer, MemoryStore(), street.clock, voucher_secret=secret)


def test_what_is_under_way_is_asked_for_again(street: Street) -> None:
    street.relayer.is_slow = True
    with pytest.raises(Unavailable):
        street.award(1_000)
    path, body, headers = street.sent[-1]
    answer = street.http.post(path, content=body, headers=dict(headers))
    assert (answer.status_code, answer.json()) == (202, {"state": "pending"})

    street.relayer.is_slow = False
    street.award(1_000)
    assert street.held() == (1_000, 0)


def test_a_brand_brings_its_points_once_and_as_it_said(street: Street) -> None:
    assert street.register(street.audio, AUDIO, price=100) == street.client.programme(AUDIO)
    with pytest.raises(Refused) as refusal:
        street.register(street.audio, AUDIO, price=101)
    assert refusal.value.codes == ["key-conflict"]
    assert len(street.client.programmes()) == 2


@pytest.mark.parametrize("key", ["another key", "", OPERATOR_KEY[:-1], OPERATOR_KEY + "s"])
def test_a_stranger_who_comes_first_does_not_get_a_brand_s_name(street: Street, key: str) -> None:
    garment = "https://garment.example"
    stranger, brand = PointsSigner(b"\x09" * 32), PointsSigner(b"\x03" * 32)

    with pytest.raises(Refused) as refusal:
        street.register(stranger, garment, price=1, operator_key=key)

    assert refusal.value.codes == ["not-the-operator"]
    assert len(street.client.programmes()) == 2
    street.register(brand, garment, price=200)
    assert street.client.programme(garment).issuer == brand.account


def test_the_operator_cannot_change_what_a_brand_signed(street: Street) -> None:
    registration = street.client.sign_registration(
        PointsSigner(b"\x03" * 32),
        brand="https://garment.example",
        name="Threads",
        symbol="THR",
        price=200,
    )
    changes: list[dict[str, Any]] = [{"price": 201}, {"issuer": street.audio.account}]
    for change in changes:
        with pytest.raises(Refused) as refusal:
            street.client.register({**registration, **change}, operator_key=OPERATOR_KEY)
        assert refusal.value.codes == ["signature-invalid"]
    assert street.client.register(registration, operator_key=OPERATOR_KEY).price == 200


def test_points_of_an_unknown_brand_are_refused(street: Street) -> None:
    with pytest.raises(Refused) as refusal:
        street.client.quote(Points("https://nobody.example", 1), BICYCLE)
    assert refusal.value.codes == ["unknown-brand"]
    with pytest.raises(Refused) as refusal:
        street.client.quote(Points(BICYCLE, 1), AUDIO)
    assert refusal.value.codes == ["no-corridor"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/awards", b""),
        ("/awards", b"[]"),
        ("/awards", b'{"brand": "https://audio.example"}'),
        ("/exchanges", b'{"amount": 1.5}'),
        ("/redemptions", b"\xff"),
        ("/brands", b'{"price": "1"}'),
        ("/terms", b"null"),
    ],
)
def test_a_bad_body_is_answered_400(street: Street, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {OPERATOR_KEY}"}
    answer = street.http.post(path, content=body, headers=headers)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_description"}


@pytest.mark.parametrize("amount", [0, -1, 2**128, True, 1.0, "1"])
def test_an_amount_is_a_whole_number_above_zero(street: Street, amount: object) -> None:
    street.award(1_000)
    body: dict[str, Any] = {**street.last_body(), "amount": amount}
    answer = street.http.post("/awards", json=body, headers={"Idempotency-Key": body["ref"]})
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/nobody/balances",
        "/accounts/0x00/history",
        "/quote?from=a&to=b",
        "/quote?from=a&to=b&amount=0",
        "/events?after=x",
    ],
)
def test_a_bad_question_is_answered_400(street: Street, path: str) -> None:
    assert street.http.get(path).status_code == 400


def test_a_body_too_large_is_not_read(street: Street) -> None:
    assert street.http.post("/awards", content=b" " * 20_000).status_code == 413


def test_no_answer_is_unavailable(street: Street) -> None:
    client = PointsClient(MemoryFetcher(), ORIGIN)
    with pytest.raises(Unavailable):
        client.balances(street.accounts)


def test_the_client_refuses_a_quote_that_does_not_follow_from_its_rate(street: Street) -> None:
    lies: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
        lambda quote: {**quote, "receives": quote["receives"] + 1},
        lambda quote: {**quote, "price_to": quote["price_to"] * 2},
    ]
    honest = street.http.get(f"/quote?from={AUDIO}&to={BICYCLE}&amount=200").json()
    for lie in lies:
        fetcher = MemoryFetcher()
        answer = Response(200, "application/json", json.dumps(lie(honest)).encode())

        def handle(*_: object, answer: Response = answer) -> Response:
            return answer

        fetcher.serve(ORIGIN, handle)
        with pytest.raises(Malformed):
            PointsClient(fetcher, ORIGIN).quote(Points(AUDIO, 200), BICYCLE)


def test_what_is_older_than_the_outbox_is_answered_from_the_ledger(
    street_on_either: Street,
) -> None:
    street = street_on_either
    ref = street.award(1_000)
    quote = street.client.quote(Points(AUDIO, 200), BICYCLE)
    exchanged = street.client.exchange(quote, street.accounts, b"e" * 32)
    voucher = street.client.redeem(Points(AUDIO, 100), street.accounts, b"r" * 32, now=street.now)
    street.agree(Rate(2, 1), version=2)

    street.lose_the_outbox()

    assert street.award(1_000) == ref
    assert street.client.exchange(quote, street.accounts, b"e" * 32) == exchanged
    street.clock.advance(DAY)
    again = street.client.redeem(Points(AUDIO, 100), street.accounts, b"r" * 32, now=street.now)
    assert again == voucher
    assert street.held() == (700, 300)
    with pytest.raises(Refused) as refusal:
        street.award(1_001)
    assert refusal.value.codes == ["key-conflict"]
    with pytest.raises(Refused) as refusal:
        street.client.redeem(Points(AUDIO, 101), street.accounts, b"r" * 32, now=street.now)
    assert refusal.value.codes == ["key-conflict"]
    assert street.held() == (700, 300)


def test_health_says_that_the_ledger_turns(street: Street) -> None:
    answer = street.http.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "block": 3, "final": 3, "ahead_s": 0, "waited_s": 0}


def test_health_says_that_something_waits_too_long(street: Street) -> None:
    street.relayer.is_slow = True
    with pytest.raises(Unavailable):
        street.award(1_000)
    answers: list[tuple[int, int]] = []
    for seconds in (0, STALLED_AFTER_S, 1):
        street.clock.advance(seconds)
        answer = street.http.get("/health")
        answers.append((answer.status_code, answer.json()["waited_s"]))
    assert answers == [(200, 0), (200, STALLED_AFTER_S), (503, STALLED_AFTER_S + 1)]

    street.relayer.is_slow = False
    street.award(1_000)
    assert street.http.get("/health").status_code == 200


def test_health_notices_a_turn_that_fails_again_and_again(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    street.relayer.is_slow = True
    with pytest.raises(Unavailable):
        street.award(1_000)

    def full(_: int) -> bool:
        raise OSError("no space left")

    monkeypatch.setattr(street.relayer.ledger, "make_block", full)
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            street.relayer.turn(street.clock.now)
        street.clock.advance(STALLED_AFTER_S + 1)
    assert street.http.get("/health").status_code == 503


def test_a_clock_that_was_once_ahead_is_named_and_passes(street_on_either: Street) -> None:
    street = street_on_either
    street.clock.advance(DAY)
    street.award(1_000, order="1001")
    street.clock.advance(-DAY)  # the clock is put right: blocks of tomorrow are on the chain

    with pytest.raises(Unavailable):
        street.award(1_000, order="1002")
    path, body, headers = street.sent[-1]
    answer = street.http.post(path, content=body, headers=dict(headers))
    assert answer.status_code == 503
    assert f"chain time is ahead by {DAY} s" in answer.json()["error_description"]
    assert street.http.get("/health").status_code == 503
    assert street.award(1_000, order="1001")  # what was done is answered as ever
    assert street.relayer.is_idle()  # nothing was taken in that could not be done

    street.clock.advance(DAY - MAX_LEAD_S)
    assert street.http.get("/health").status_code == 200
    street.clock.advance(MAX_LEAD_S)
    street.award(1_000, order="1002")
    assert street.held() == (2_000, 0)


def test_points_are_given_to_another_customer_once_for_their_id(street_on_either: Street) -> None:
    street = street_on_either
    street.award(1_000)
    friend = PointsAccounts(b"friend " * 5)
    account = friend.of(AUDIO).account

    def give(units: int) -> object:
        points = Points(AUDIO, units)
        return street.client.transfer(points, account, street.accounts, b"t" * 32, now=street.now)

    first = give(200)
    street.clock.advance(60)

    assert give(200) == first
    assert street.held() == (800, 0)
    assert street.client.balances(friend)[AUDIO] == Points(AUDIO, 200)
    (came,) = street.client.history(friend)
    assert (came.kind, came.units) == ("transferred", 200)
    assert came.other_account == street.accounts.of(AUDIO).account
    assert street.client.history(street.accounts)[-1].other_account == account
    with pytest.raises(Refused) as refusal:
        give(199)
    assert refusal.value.codes == ["key-conflict"]
    street.lose_the_outbox()
    assert give(200) == first
    assert street.held() == (800, 0)


def test_points_are_not_given_to_a_contract_of_ours_where_nobody_has_a_key(street: Street) -> None:
    street.award(1_000)
    venue, token = street.client.venue(), street.client.programme(BICYCLE).token
    identity = street.relayer.ledger.identity
    for lost in (venue.exchange, token, identity.clearing, identity.peer_swap):
        with pytest.raises(Refused) as refusal:
            street.client.transfer(
                Points(AUDIO, 200), lost, street.accounts, b"t" * 32, now=street.now
            )
        assert refusal.value.codes == ["no-recipient"]
    assert street.held() == (1_000, 0)


def test_a_quote_says_what_it_keeps_back(street: Street) -> None:
    # A base unit of one is worth two of the other; the rate gives three for two.
    quote = street.client.quote(Points(AUDIO, 201), BICYCLE)

    assert (quote.receives.units, quote.fee_units) == (301, 402 - 301)
