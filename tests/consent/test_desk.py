"""The desk sees what runs, what ends, what is late and who waits, page by page, and no value."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from counterfoil_consent import Active, send_withdrawal, withdraw
from counterfoil_consent.desk import Desk, GrantLine, RequestLine, Stage
from counterfoil_consent.laws import ClaimKind
from counterfoil_consent.receiver_store import Cursor, Listing
from counterfoil_consent.retention import Duty
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock
from tests.consent.street import BENEFITS, CANARIES, FRAME, KEY, PRODUCT, Street
from tests.consent.town import WORKSHOPS, Town

STAFF = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes]) -> Town:
    return Town(clock, random_bytes)


def end(town: Town, active: Active, signer: MemorySigner) -> None:
    withdrawal = withdraw(active, signer=signer, now=town.clock(), random=town.random)
    send_withdrawal(withdrawal, fetcher=town.fetcher)


def lines(desk: Desk, listing: Listing) -> list[GrantLine]:
    return [line for line in desk.grants(listing).lines if isinstance(line, GrantLine)]


def get(town: Street, path: str, **query: str | int) -> JsonObject:
    answer = town.brand.get(f"/consent/desk{path}", params=query, headers=STAFF)
    assert answer.status_code == 200, answer.text
    body: JsonObject = answer.json()
    return body


def test_lists_what_runs_with_its_reads_and_says_what_ends_soon(town: Town) -> None:
    soon, _ = town.granted(valid_for=timedelta(days=7))
    later, _ = town.granted()
    with town.receiver.read(later.agreement.grant_id, BENEFITS):
        pass

    first, second = lines(town.receiver.desk(), Listing.LIVE)

    assert (first.grant_id, second.grant_id) == (
        soon.agreement.grant_id,
        later.agreement.grant_id,
    )
    assert (first.stage, first.reads, first.ends_soon) == (Stage.ACTIVE, 0, True)
    assert (second.reads, second.max_reads, second.ends_soon) == (1, 5, False)
    assert (second.claims, second.trigger, second.level) == ((FRAME, PRODUCT), None, None)


def test_an_erasure_is_pending_and_then_overdue_until_each_system_answers(town: Town) -> None:
    active, signer = town.granted()
    town.crm.is_away = True
    end(town, active, signer)
    desk = town.receiver.desk()

    (pending,) = lines(desk, Listing.PENDING)
    town.clock.advance(timedelta(days=1))
    (still,) = lines(desk, Listing.PENDING)
    town.clock.advance(timedelta(seconds=1))
    (late,) = lines(desk, Listing.PENDING)

    assert pending.promised_by == late.promised_by
    assert [line.stage for line in (pending, still, late)] == [
        *(Stage.ERASURE_PENDING, Stage.ERASURE_PENDING, Stage.OVERDUE),
    ]
    town.crm.is_away = False
    town.receiver.end_due()
    assert lines(desk, Listing.PENDING) == []


def test_a_paper_that_is_missing_is_named(town: Town) -> None:
    active, signer = town.shared()
    town.fetcher.disconnect(WORKSHOPS[0])
    end(town, active, signer)

    (line,) = lines(town.receiver.desk(), Listing.UNPROVED)

    assert [(lack.what.value, lack.party) for lack in line.lacks] == [
        ("recipient-receipt", "workshop.example")
    ]
    assert line.level is not None
    town.open(town.workshops[0])
    town.clock.advance(timedelta(hours=1))
    town.receiver.end_due()
    assert lines(town.receiver.desk(), Listing.UNPROVED) == []


def test_what_is_kept_is_listed_with_law_and_end_until_it_is_erased(town: Town) -> None:
    active, signer = town.granted()
    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        item = town.receiver.keep(
            facts,
            Duty(
                law="DE AO §147",
                kind=ClaimKind.PURCHASE,
                claims=(PRODUCT,),
                event_at=town.clock(),
            ),
        )
    end(town, active, signer)

    (line,) = lines(town.receiver.desk(), Listing.KEEPING)

    assert (line.stage, line.retained) == (Stage.ERASED_WITH_RETENTION, (item,))
    town.clock.advance(item.until - town.clock())
    town.receiver.end_due()
    assert lines(town.receiver.desk(), Listing.KEEPING) == []


@pytest.fixture
def many(street: Street) -> Street:
    """Give grants on every kind of store, several with the same end, and open requests."""
    for days in (3, 3, 3, 9, 1):
        street.granted(valid_for=timedelta(days=days))
    for _ in range(3):
        street.ask()
    return street


def id_of(line: GrantLine | RequestLine) -> str:
    return line.grant_id if isinstance(line, GrantLine) else line.request_id


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_pages_follow_each_other_without_a_gap(many: Street, size: int) -> None:
    desk = many.receiver.desk()

    for every, ask in (
        ([id_of(line) for line in lines(desk, Listing.LIVE)], "grants"),
        ([id_of(line) for line in desk.waiting().lines], "waiting"),
    ):
        seen: list[str] = []
        after: Cursor | None = None
        while True:
            page = (
                desk.grants(Listing.LIVE, after, size)
                if ask == "grants"
                else desk.waiting(after, size)
            )
            seen += [id_of(line) for line in page.lines]
            after = page.following
            if after is None:
                break
        assert seen == every
    assert len(lines(desk, Listing.LIVE)) == 5
    many.clock.advance(timedelta(minutes=15))
    assert desk.waiting().lines == ()


def test_every_listing_is_the_same_on_every_store(many: Street) -> None:
    desk = many.receiver.desk()
    active, signer = many.granted()
    withdrawal = withdraw(active, signer=signer, now=many.clock(), random=many.random)
    send_withdrawal(withdrawal, fetcher=many.fetcher)
    counts = [len(lines(desk, listing)) for listing in Listing]

    assert counts == [5, 0, 0, 0, 1]
    assert many.receiver_store.due(many.clock(), 10) == []


def test_the_records_of_processing_group_what_runs(town: Town) -> None:
    for _ in range(3):
        town.granted()
    town.shared()
    ended, signer = town.granted()
    end(town, ended, signer)

    several, shared = town.receiver.desk().processing()

    assert (several.grants, several.recipients, several.purpose) == (3, (), BENEFITS)
    assert (shared.grants, shared.recipients) == (1, ("workshop.example", "painter.example"))
    assert several.claims == (FRAME, PRODUCT)
    assert several.jurisdiction == "EU"


def test_staff_alone_ask_by_http_and_no_value_comes(town: Town) -> None:
    for _ in range(3):
        active, _ = town.granted()
        with town.receiver.read(active.agreement.grant_id, BENEFITS):
            pass
    town.ask()
    seen: list[JsonObject] = []

    page = get(town, "/grants/live", limit=2)
    seen += [page, get(town, "/grants/live", limit=2, after=str(page["next"]))]
    reads = get(town, "/reads", limit=2)
    seen += [reads, get(town, "/reads", before=int(str(reads["next"])))]
    seen += [get(town, path) for path in ("/waiting", "/processing", "/grants/keeping")]

    assert [len(each["lines"]) for each in seen] == [2, 1, 2, 1, 1, 1, 0]  # type: ignore[arg-type]
    assert not [canary for canary in CANARIES if canary in str(seen)]
    for path in ("/grants/live", "/waiting", "/reads", "/processing"):
        assert town.brand.get(f"/consent/desk{path}").status_code == 401


@pytest.mark.parametrize(
    "query", ["after=x", "after=1.x", "after=-1.AAAAAAAAAAAAAAAAAAAAAA", "limit=0", "limit=201"]
)
def test_a_page_that_cannot_be_is_refused(town: Town, query: str) -> None:
    answer = town.brand.get(f"/consent/desk/grants/live?{query}", headers=STAFF)

    assert 400 <= answer.status_code < 500
    for limit in (0, 201):
        with pytest.raises(Misuse):
            town.receiver.desk().grants(Listing.LIVE, None, limit)
