"""A customer's points in her wallet: asked for once, seen offline, never taken for another's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from itertools import count
from typing import Any

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_loyalty import Points, PointsAccounts
from counterfoil_loyalty.actions import FillTrade, GovernPoints
from counterfoil_loyalty.client import Entry, Voucher
from counterfoil_loyalty.expiry_calendar import due_reminders
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.issuing import Policy
from counterfoil_loyalty.keeping import MemoryKeeper
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.points_book import MOST_BRANDS, MOST_CONTACTS, MOST_NOTES, PointsBook
from counterfoil_loyalty.purse import CustomerPoints
from counterfoil_loyalty.purse_copy import (
    MOST_MOVEMENTS,
    BrandCopy,
    by_day,
    copy_from,
    renewed,
)
from counterfoil_loyalty.purse_views import Line, Source
from counterfoil_loyalty.store import MemoryStore
from counterfoil_loyalty.trades import Trade, sign_trade
from counterfoil_loyalty.wishes import MOST_UNDER_WAY

from tests.loyalty.customer_scene import ORIGIN, CustomerScene, customer_scene
from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, Clock, seeded

SECRET = b"customer" * 4


@pytest.fixture
def scene(clock: Clock) -> Iterator[CustomerScene]:
    ledger = MemoryLedger(now=NOW, random=seeded("purse"))
    with customer_scene(ledger, MemoryStore(), clock) as scene:
        yield scene


@pytest.fixture
def keeper() -> MemoryKeeper:
    return MemoryKeeper(SECRET)


@pytest.fixture
def points(scene: CustomerScene, keeper: MemoryKeeper) -> CustomerPoints:
    """Give a customer with 1,000 base units of one brand."""
    points = started_again(scene, keeper)
    scene.award(points.join(AUDIO), 1_000)
    points.check()
    return points


def started_again(scene: CustomerScene, keeper: MemoryKeeper) -> CustomerPoints:
    return CustomerPoints(keeper, scene.network, ORIGIN, clock=scene.time)


def held(points: CustomerPoints) -> dict[str, int]:
    return {brand: it.points.units for brand, it in points.check().items()}


def through(scene: CustomerScene, change: Callable[[JsonObject], None]) -> None:
    """Let the service's histories be changed on their way."""
    answer = scene.answer
    assert answer is not None

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        given = answer(method, path, headers, body)
        if "/history" not in path:
            return given
        obj = parse_object(given.body, "answer")
        change(obj)
        return replace(given, body=compact_json(obj))

    scene.network.serve(ORIGIN, handle)


def test_a_wish_without_an_answer_is_sent_again_as_the_same_and_moves_points_once(
    scene: CustomerScene, points: CustomerPoints, keeper: MemoryKeeper
) -> None:
    quote = points.quote(Points(AUDIO, 200), BICYCLE)
    scene.relayer.is_slow = True
    for _ in range(2):  # a second tap
        with pytest.raises(Unavailable):
            points.exchange(quote)
    with pytest.raises(Unavailable):
        points.redeem(Points(AUDIO, 100))

    # The app was killed, and the block came meanwhile.
    later = started_again(scene, keeper)
    assert later.resume().waiting == 2
    scene.relayer.is_slow = False
    scene.relayer.make_block()
    scene.clock.advance(DAY)
    resumed = later.resume()

    assert (len(resumed.done), resumed.refused, resumed.waiting) == (2, (), 0)
    assert held(later) == {AUDIO: 700, BICYCLE: 300}
    (voucher,) = [it for it in resumed.done if isinstance(it, Voucher)]
    assert later.history(AUDIO)[0].note == voucher.reference
    assert later.resume().done == ()


def test_a_wish_that_never_arrived_ends_with_its_time_and_moved_nothing(
    scene: CustomerScene, points: CustomerPoints
) -> None:
    scene.disconnect()
    with pytest.raises(Unavailable):
        points.redeem(Points(AUDIO, 100))
    scene.connect()
    scene.clock.advance(DAY)

    resumed = points.resume()

    assert [it.codes for it in resumed.refused] == [["intent-expired"]]
    assert (held(points), resumed.waiting) == ({AUDIO: 1_000}, 0)


def test_two_equal_wishes_one_after_the_other_are_two(points: CustomerPoints) -> None:
    first, second = points.redeem(Points(AUDIO, 100)), points.redeem(Points(AUDIO, 100))

    assert first.reference != second.reference
    assert held(points)[AUDIO] == 800


def test_no_more_wishes_wait_than_a_wallet_can_hold(
    scene: CustomerScene, points: CustomerPoints
) -> None:
    scene.disconnect()
    for units in range(1, MOST_UNDER_WAY + 1):
        with pytest.raises(Unavailable):
            points.redeem(Points(AUDIO, units))

    with pytest.raises(Refused) as refusal:
        points.redeem(Points(AUDIO, 999))
    assert refusal.value.codes == ["too-many-under-way"]


def test_each_account_is_asked_about_in_a_request_of_its_own_and_no_other_is(
    scene: CustomerScene, points: CustomerPoints
) -> None:
    points.join(BICYCLE)
    assert not [it for it in points.balances().values() if it.is_fresh]
    mine = [PointsAccounts(SECRET).of(brand).account for brand in (AUDIO, BICYCLE)]
    scene.asked.clear()

    points.check()
    for look in (points.balances, points.history, lambda: points.chart(AUDIO, UTC)):
        look()

    named = [[account for account in mine if account in path] for _, path in scene.asked]
    assert {account for accounts in named for account in accounts} == set(mine)
    assert all(len(accounts) <= 1 for accounts in named)


def test_only_what_came_since_the_last_look_is_asked_for(
    scene: CustomerScene, points: CustomerPoints
) -> None:
    block = scene.relayer.ledger.head()
    scene.award(points.join(AUDIO), 500, "1002")
    scene.asked.clear()

    assert held(points) == {AUDIO: 1_500}
    (path,) = [path for _, path in scene.asked if "/history" in path]
    assert path.endswith(f"after={block}")


def test_pages_of_a_long_history_follow_each_other_without_a_gap(
    scene: CustomerScene, points: CustomerPoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil_loyalty.app.HISTORY_PAGE", 3)
    for order in range(10):
        scene.award(points.join(AUDIO), 1 + order, f"more {order}")
    points.exchange(points.quote(Points(AUDIO, 200), BICYCLE))
    points.check()

    found: list[Line] = []
    page = points.history(size=4)
    while page:
        found += page
        page = points.history(older_than=page[-1], size=4)

    assert found == points.history(size=100)
    assert [it.units for it in found] == [300, -200, *range(10, 0, -1), 1_000]


def test_a_movement_that_was_undone_is_gone_at_the_next_look(
    scene: CustomerScene, keeper: MemoryKeeper
) -> None:
    points = started_again(scene, keeper)
    account = points.join(AUDIO)

    def one(block: int, units: int, *, final: bool) -> JsonObject:
        return {
            "brand": AUDIO,
            "units": units,
            "kind": "awarded",
            "reference": "",
            "at": NOW,
            "block": block,
            "final": final,
            "transaction": f"{block}",
            "other_brand": None,
        }

    answers = [[one(4, 5, final=True), one(5, 7, final=False)], [one(5, 9, final=True)]]

    def forge(obj: JsonObject) -> None:
        obj["history"] = [*answers.pop(0)]

    through(scene, forge)

    assert held(points) == {AUDIO: 12}
    assert [it.is_final for it in points.history()] == [False, True]
    assert held(points) == {AUDIO: 14}
    assert account == PointsAccounts(SECRET).of(AUDIO).account


@pytest.mark.parametrize(
    "change",
    [
        {"units": -2_000},
        {"units": 2**200},
        {"at": 2**53},
        {"at": -1},
        {"kind": "x" * 300},
        {"final": "yes"},
        {"brand": 7},
    ],
)
def test_a_history_that_cannot_be_is_not_kept_and_the_copy_stays(
    scene: CustomerScene, points: CustomerPoints, change: JsonObject
) -> None:
    def forge(obj: JsonObject) -> None:
        obj["history"] = [{**it, **change} for it in history]

    scene.award(points.join(AUDIO), 500, "1002")
    account = points.join(AUDIO)
    assert scene.answer is not None
    whole = scene.answer("GET", f"/accounts/{account}/history", {}, b"")
    history: Any = parse_object(whole.body, "answer")["history"]
    seen = points.balances()[AUDIO].seen_at
    scene.clock.advance(60)
    through(scene, forge)

    found = points.check()[AUDIO]

    assert (found.points.units, found.seen_at, found.is_fresh) == (1_000, seen, False)
    assert found.failed is not None


def test_a_service_that_pages_for_ever_is_given_up(
    scene: CustomerScene, points: CustomerPoints
) -> None:
    places = count(10**6)

    def forge(obj: JsonObject) -> None:
        obj["history"], obj["next"] = [], next(places)

    through(scene, forge)

    assert points.check()[AUDIO].failed is not None
    assert len(scene.asked) < 400


def test_movements_of_another_ledger_are_never_added_to_the_copy(
    scene: CustomerScene, points: CustomerPoints, keeper: MemoryKeeper, clock: Clock
) -> None:
    other = MemoryLedger(now=NOW, random=seeded("another"))
    with customer_scene(other, MemoryStore(), clock) as elsewhere:
        there = started_again(elsewhere, keeper)
        balance = there.check()[AUDIO]
        assert (balance.points.units, balance.is_fresh) == (1_000, False)

        there.leave(AUDIO)
        there.join(AUDIO)
        assert held(there) == {AUDIO: 0}


def test_a_copy_that_was_damaged_is_made_anew(
    scene: CustomerScene, points: CustomerPoints, keeper: MemoryKeeper
) -> None:
    for damage in (b"", b"{", b"[]", b'{"brand": 1}'):
        keeper.keep(f"points of {AUDIO}", damage)
        balance = points.balances()[AUDIO]
        assert (balance.points.units, balance.seen_at) == (0, None)
        assert balance.age(scene.time()) is None
        assert held(points) == {AUDIO: 1_000}


def test_what_another_wallet_kept_is_not_taken_for_hers(
    scene: CustomerScene, points: CustomerPoints, keeper: MemoryKeeper
) -> None:
    scene.relayer.is_slow = True
    with pytest.raises(Unavailable):
        points.redeem(Points(AUDIO, 100))
    other = MemoryKeeper(b"somebody else's secret bytes " * 2)
    for name in ("points brands", f"points of {AUDIO}", "points under way"):
        other.keep(name, keeper.kept(name) or b"")

    theirs = started_again(scene, other)

    assert (theirs.balances(), theirs.history()) == ({}, [])
    assert [it.codes for it in theirs.resume().refused] == [["of-another-wallet"]]
    theirs.join(AUDIO)
    other.keep(f"points of {AUDIO}", keeper.kept(f"points of {AUDIO}") or b"")
    assert theirs.balances()[AUDIO].points.units == 0
    assert held(theirs) == {AUDIO: 0}


def test_a_wallet_that_was_restored_finds_its_points_with_its_secret(
    scene: CustomerScene, points: CustomerPoints
) -> None:
    restored = started_again(scene, MemoryKeeper(SECRET))

    restored.join(AUDIO)

    assert held(restored) == {AUDIO: 1_000}


def test_her_calendar_says_what_expires_when_she_does_nothing(
    scene: CustomerScene, keeper: MemoryKeeper
) -> None:
    policy = Policy(
        token=scene.client.programme(AUDIO).token,
        admin=scene.audio.account,
        issuer=scene.audio.account,
        version=1,
        inactivity_s=60 * DAY,
    )
    signature = sign_by_brand(policy, scene.client.venue(), scene.audio)
    scene.relayer.accept(GovernPoints(policy, signature))
    scene.relayer.make_block()
    points = started_again(scene, keeper)
    scene.award(points.join(AUDIO), 1_000)
    points.join(BICYCLE)
    assert points.expiring() == []  # nothing was seen yet
    points.check()
    points.exchange(points.quote(Points(AUDIO, 200), BICYCLE))
    scene.disconnect()
    used_at = int(points.history()[0].at.timestamp())

    (expiring,) = points.expiring()  # the other brand's never do

    assert (expiring.points.units, expiring.at) == (800, used_at + 60 * DAY)
    since = expiring.at - 8 * DAY
    (due,) = due_reminders([expiring], since=since, until=since + DAY)
    assert due.days_ahead == 7


def test_a_trade_between_two_customers_is_seen_as_one(
    scene: CustomerScene, points: CustomerPoints
) -> None:
    other = MemoryKeeper(b"another customer " * 2)
    theirs, mine = PointsAccounts(other.secret("points")), PointsAccounts(SECRET)
    friend = started_again(scene, other)
    scene.award(friend.join(AUDIO), 500, "1002")
    friend.exchange(friend.quote(Points(AUDIO, 200), BICYCLE))
    points.join(BICYCLE)
    trade = Trade(
        maker=mine.of(AUDIO).account,
        maker_receives=mine.of(BICYCLE).account,
        given=scene.client.programme(AUDIO).token,
        amount_given=100,
        taker=theirs.of(BICYCLE).account,
        taker_receives=theirs.of(AUDIO).account,
        taken=scene.client.programme(BICYCLE).token,
        amount_taken=150,
        deadline=scene.clock.now + DAY,
        trade_id=b"t" * 32,
    )
    venue = scene.client.venue()
    signed = sign_trade(trade, venue, maker=mine.of(AUDIO), taker=theirs.of(BICYCLE))
    scene.relayer.accept(FillTrade(trade, *signed))
    scene.relayer.make_block()

    assert held(points) == {AUDIO: 900, BICYCLE: 150}
    assert [(it.source, it.units) for it in points.history(size=2)] == [
        (Source.TRADED, 150),
        (Source.TRADED, -100),
    ]


def test_the_newest_movements_are_kept_and_the_balance_counts_them_all() -> None:
    account = PointsAccounts(SECRET).of(AUDIO).account
    blank = BrandCopy(brand=AUDIO, name="", symbol="", price=1, ledger="", account=account)
    entries = [
        Entry(AUDIO, account, 1, "awarded", "", NOW + number * DAY // 2, number, "")
        for number in range(MOST_MOVEMENTS + 500)
    ]

    copy = renewed(blank, entries, seen_at=entries[-1].at)

    assert (copy.units, len(copy.entries), copy.dropped) == (len(entries), MOST_MOVEMENTS, 500)
    assert copy_from(copy.to_json()) == copy
    days = by_day(copy, UTC)
    assert days[-1][1].units == len(entries)
    assert days[0][1].units > 500
    again = renewed(copy, [replace(entries[-1], block=10**6)], seen_at=NOW)
    assert (again.units, again.dropped) == (len(entries) + 1, 501)


def test_a_day_without_movement_has_what_the_day_before_had() -> None:
    account = PointsAccounts(SECRET).of(AUDIO).account
    blank = BrandCopy(brand=AUDIO, name="", symbol="", price=1, ledger="", account=account)
    entries = [
        Entry(AUDIO, account, 5, "awarded", "", NOW, 1, ""),
        Entry(AUDIO, account, -2, "redeemed", "", NOW + 2 * DAY, 2, ""),
    ]

    days = by_day(renewed(blank, entries, seen_at=NOW + 3 * DAY), UTC)

    assert [it.units for _, it in days] == [5, 5, 3, 3]
    assert days[-1][0] - days[0][0] == timedelta(days=3)
    assert by_day(blank, UTC) == []


def test_what_she_keeps_of_points_is_bounded(keeper: MemoryKeeper) -> None:
    book = PointsBook(keeper)
    keeper.keep("points notes", compact_json({f"{it}": "x" for it in range(MOST_NOTES)}))
    book.note("new", "y" * 1_000)
    assert len(book.notes()) == MOST_NOTES
    assert book.notes()["new"] == "y" * 200
    assert "0" not in book.notes()
    account = PointsAccounts(SECRET).of(AUDIO).account
    keeper.keep("points contacts", compact_json({f"{it}": "x" for it in range(MOST_CONTACTS)}))
    with pytest.raises(Refused):
        book.remember(account, "Anna")
    keeper.keep("points brands", compact_json({f"{it}": "x" for it in range(MOST_BRANDS)}))
    with pytest.raises(Refused):
        book.join(book.copy(AUDIO))


def test_an_unknown_brand_is_refused_by_name(points: CustomerPoints) -> None:
    with pytest.raises(Refused) as refusal:
        points.join("https://nobody.example")
    assert refusal.value.codes == ["unknown-brand"]


def test_what_cannot_be_read_of_what_is_under_way_is_said(
    points: CustomerPoints, keeper: MemoryKeeper
) -> None:
    keeper.keep("points under way", b'{"wishes": [{}]}')
    with pytest.raises(Malformed):
        points.resume()
