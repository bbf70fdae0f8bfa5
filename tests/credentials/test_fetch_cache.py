"""Answers that are kept: as long as both sides allow, never longer, and always with their age."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import pytest
from counterfoil_credentials.errors import Misuse, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.fetch_cache import CachingFetcher

HERE = "https://audio.example"
JSON = "application/json"


class Clock(Protocol):
    def __call__(self) -> datetime: ...
    def advance(self, by: timedelta) -> datetime: ...


class Origin(MemoryFetcher):
    """One server whose next answer the test sets, and what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Mapping[str, str]] = []
        self.next = Response(200, JSON, b"{}")
        self.serve(HERE, self._answer)

    def says(self, body: bytes = b"{}", status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.next = Response(status, JSON, body, named)

    def _answer(self, _method: str, _path: str, headers: Mapping[str, str], _: bytes) -> Response:
        self.asked.append(headers)
        return self.next


@pytest.fixture
def origin() -> Origin:
    return Origin()


@pytest.fixture
def cache(origin: Origin, clock: Clock) -> CachingFetcher:
    return CachingFetcher(origin, clock=clock, max_age_s=3600)


def get(cache: CachingFetcher, path: str = "/a", accept: str = JSON) -> Response:
    return cache.get(HERE + path, accept=accept)


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_gives_a_kept_answer_with_its_age(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(b"[1]", cache_control="max-age=60")

    assert get(cache).age_s == 0
    clock.advance(after(59))
    kept = get(cache)

    assert (kept.body, kept.age_s, len(origin.asked)) == (b"[1]", 59, 1)


def test_asks_again_at_the_second_at_which_the_lifetime_ends(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(b"[1]", cache_control="max-age=60")
    get(cache)
    origin.says(b"[2]", cache_control="max-age=60")
    clock.advance(after(60))

    assert (get(cache).body, len(origin.asked)) == (b"[2]", 2)


def test_counts_the_age_that_an_answer_brings(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(cache_control="max-age=60", age="50")

    assert get(cache).age_s == 50
    clock.advance(after(9))
    assert (get(cache).age_s, len(origin.asked)) == (59, 1)
    clock.advance(after(1))
    get(cache)
    assert len(origin.asked) == 2


@pytest.mark.parametrize(("seconds", "asked"), [(3599, 1), (3600, 2)])
def test_keeps_nothing_longer_than_its_reader_allows(
    origin: Origin, cache: CachingFetcher, clock: Clock, seconds: int, asked: int
) -> None:
    origin.says(cache_control="public, max-age=999999999")
    get(cache)
    clock.advance(after(seconds))
    get(cache)

    assert len(origin.asked) == asked


@pytest.mark.parametrize(
    "directives",
    [
        "",
        "max-age=0",
        "max-age=-1",
        "max-age=",
        "max-age",
        "max-age=1.5",
        "max-age=0x10",
        "max-age=9999999999999999999999",
        "max-age=²",
        "max-age=60, max-age=0",
        'max-age="60',
        "s-maxage=60",
        "no-store",
        "max-age=60, no-store",
        "no-store, max-age=60",
        "max-age=60, No-Store",
        "max-age=60,no-cache",
        'max-age=60, no-cache="set-cookie"',
    ],
)
def test_keeps_nothing_without_a_clear_lifetime(
    origin: Origin, cache: CachingFetcher, directives: str
) -> None:
    origin.says(cache_control=directives)
    get(cache)
    get(cache)

    assert len(origin.asked) == 2


@pytest.mark.parametrize(
    "directives",
    ["max-age=60", "public, MAX-AGE = 60", 'max-age="60"', "max-age=60, max-age=90", "a,max-age=1"],
)
def test_reads_a_lifetime_however_it_is_written(
    origin: Origin, cache: CachingFetcher, directives: str
) -> None:
    origin.says(cache_control=directives)
    get(cache)
    get(cache)

    assert len(origin.asked) == 1


@pytest.mark.parametrize("age", ["60", "61", "-1", "x", "1, 2", "9" * 30, ""])
def test_keeps_nothing_whose_age_is_unclear_or_over(
    origin: Origin, cache: CachingFetcher, age: str
) -> None:
    origin.says(cache_control="max-age=60", age=age)
    get(cache)
    get(cache)

    assert len(origin.asked) == 2


@pytest.mark.parametrize("status", [201, 203, 206, 301, 302, 304, 404, 410, 500, 503])
def test_keeps_no_status_but_200(origin: Origin, cache: CachingFetcher, status: int) -> None:
    origin.says(status=status, cache_control="max-age=60")
    get(cache)

    assert get(cache).status == status
    assert len(origin.asked) == 2


def test_keeps_no_failure_and_serves_nothing_stale_in_its_place(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(cache_control="max-age=60", etag='"1"')
    get(cache)
    clock.advance(after(60))
    origin.disconnect(HERE)

    with pytest.raises(Unavailable):
        get(cache)


def test_a_reader_s_bound_of_zero_keeps_nothing(origin: Origin, clock: Clock) -> None:
    cache = CachingFetcher(origin, clock=clock, max_age_s=0)
    origin.says(cache_control="max-age=60")
    get(cache)
    get(cache)

    assert len(origin.asked) == 2


def test_tells_answers_apart_by_url_and_by_the_types_asked_for(
    origin: Origin, cache: CachingFetcher
) -> None:
    origin.says(cache_control="max-age=60")
    for path, accept in [("/a", JSON), ("/b", JSON), ("/a?b", JSON), ("/a", "*/*")]:
        get(cache, path, accept)
        get(cache, path, accept)

    assert len(origin.asked) == 4


def test_keeps_nothing_for_those_who_send_headers_of_their_own(
    origin: Origin, cache: CachingFetcher
) -> None:
    origin.says(b"[1]", cache_control="max-age=60")
    for _ in range(2):
        cache.get(f"{HERE}/a", accept=JSON, headers={"Authorization": "Bearer key"})
    get(cache)

    assert len(origin.asked) == 3
    assert "authorization" not in origin.asked[2]


def test_keeps_nothing_that_varies_with_everything(origin: Origin, cache: CachingFetcher) -> None:
    origin.says(cache_control="max-age=60", vary="*")
    get(cache)
    get(cache)

    assert len(origin.asked) == 2


def test_a_post_passes_and_forgets_what_was_kept(origin: Origin, cache: CachingFetcher) -> None:
    origin.says(cache_control="max-age=60")
    get(cache)
    get(cache, "/b")
    for _ in range(2):
        cache.post(f"{HERE}/a", b"x", media_type="text/plain")
    get(cache)
    get(cache, "/b")

    assert len(origin.asked) == 5


class Meanwhile(MemoryFetcher):
    """One server whose answers a POST changes, and what else happens before each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.body = b"before"
        self.in_next_get: Callable[[], object] = bool
        self.in_post: Callable[[], object] = bool
        self.serve(HERE, self._answer)

    def _answer(self, method: str, _path: str, sent: Mapping[str, str], _: bytes) -> Response:
        if method == "POST":
            self.in_post()
            self.body = b"after"
            return Response(200, JSON, b"")
        self.asked += 1
        status = 304 if "if-none-match" in sent else 200
        answer = Response(status, JSON, self.body, {"cache-control": "max-age=60", "etag": '"1"'})
        meanwhile, self.in_next_get = self.in_next_get, bool
        meanwhile()
        return answer


@pytest.fixture
def meanwhile() -> Meanwhile:
    return Meanwhile()


@pytest.fixture
def busy(meanwhile: Meanwhile, clock: Clock) -> CachingFetcher:
    return CachingFetcher(meanwhile, clock=clock, max_age_s=60)


def post(cache: CachingFetcher, path: str = "/a") -> None:
    cache.post(HERE + path, b"x", media_type="text/plain")


def test_forgets_what_was_kept_while_a_post_was_on_its_way(
    meanwhile: Meanwhile, busy: CachingFetcher
) -> None:
    meanwhile.in_post = lambda: get(busy)
    post(busy)

    assert get(busy).body == b"after"


def test_forgets_it_too_when_nobody_knows_whether_the_post_arrived(
    meanwhile: Meanwhile, busy: CachingFetcher
) -> None:
    def arrive_unanswered() -> None:
        get(busy)
        raise Unavailable("expected an answer, found none")

    meanwhile.in_post = arrive_unanswered
    with pytest.raises(Unavailable):
        post(busy)
    get(busy)

    assert meanwhile.asked == 2


def test_keeps_nothing_that_was_asked_for_before_a_post(
    meanwhile: Meanwhile, busy: CachingFetcher
) -> None:
    meanwhile.in_next_get = lambda: post(busy)

    assert get(busy).body == b"before"
    assert get(busy).body == b"after"


def test_keeps_no_stale_answer_that_was_confirmed_before_a_post(
    meanwhile: Meanwhile, busy: CachingFetcher, clock: Clock
) -> None:
    get(busy)
    clock.advance(after(60))
    meanwhile.in_next_get = lambda: post(busy)

    assert get(busy).body == b"before"
    assert get(busy).body == b"after"


def test_keeps_what_was_asked_for_before_a_post_elsewhere(
    meanwhile: Meanwhile, busy: CachingFetcher
) -> None:
    meanwhile.in_next_get = lambda: post(busy, "/b")
    get(busy)
    get(busy)

    assert meanwhile.asked == 1


def test_a_clock_set_back_makes_everything_stale(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(cache_control="max-age=60")
    get(cache)
    clock.advance(after(-1))
    get(cache)

    assert len(origin.asked) == 2


def test_gives_a_kept_answer_only_within_the_size_asked_for(
    origin: Origin, cache: CachingFetcher
) -> None:
    origin.says(b"[1, 2]", cache_control="max-age=60", etag='"1"')
    get(cache)

    with pytest.raises(Unavailable):
        cache.get(f"{HERE}/a", accept=JSON, max_bytes=3)
    assert cache.get(f"{HERE}/a", accept=JSON, max_bytes=6).body == b"[1, 2]"


# Asking whether it still stands


def test_asks_whether_a_stale_answer_still_stands(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(b"[1]", cache_control="max-age=60", etag='W/"1"', age="7")
    get(cache)
    clock.advance(after(60))
    origin.says(status=304, body=b"", cache_control="max-age=30")

    answer = get(cache)

    assert origin.asked[1]["if-none-match"] == 'W/"1"'
    assert (answer.status, answer.body, answer.age_s) == (200, b"[1]", 0)
    clock.advance(after(29))
    assert (get(cache).age_s, len(origin.asked)) == (29, 2)
    clock.advance(after(1))
    get(cache)
    assert len(origin.asked) == 3


def test_takes_a_new_answer_for_a_stale_one(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(b"[1]", cache_control="max-age=60", etag='"1"')
    get(cache)
    clock.advance(after(60))
    origin.says(b"[2]", cache_control="no-store")

    assert get(cache).body == b"[2]"
    get(cache)
    assert "if-none-match" not in origin.asked[2]


def test_asks_again_with_the_same_etag_after_a_failure(
    origin: Origin, cache: CachingFetcher, clock: Clock
) -> None:
    origin.says(b"[1]", cache_control="max-age=60", etag='"1"')
    get(cache)
    clock.advance(after(60))
    kept = cache
    origin.disconnect(HERE)
    with pytest.raises(Unavailable):
        get(kept)
    origin.serve(HERE, lambda _m, _p, headers, _b: Response(200, JSON, repr(headers).encode()))

    assert b"if-none-match" in get(kept).body


@pytest.mark.parametrize("etag", ["1", '"', '"a" ', '"a"\r\n b', '"ä"', '"a b"', '"' + "x" * 300])
def test_sends_no_etag_back_that_is_none(
    origin: Origin, cache: CachingFetcher, clock: Clock, etag: str
) -> None:
    origin.says(cache_control="max-age=60", etag=etag)
    get(cache)
    clock.advance(after(60))
    get(cache)

    assert "if-none-match" not in origin.asked[1]


# Bounds


def test_keeps_a_bounded_number_and_forgets_the_longest_unused(
    origin: Origin, clock: Clock
) -> None:
    cache = CachingFetcher(origin, clock=clock, max_age_s=60, max_entries=2)
    origin.says(cache_control="max-age=60")
    for path in ("/a", "/b", "/a", "/c"):
        get(cache, path)
    asked = len(origin.asked)

    get(cache, "/a")
    get(cache, "/c")
    assert len(origin.asked) == asked
    get(cache, "/b")
    assert len(origin.asked) == asked + 1


@pytest.mark.parametrize(("size", "asked"), [(5, 2), (6, 3), (11, 4)])
def test_keeps_a_bounded_number_of_bytes(
    origin: Origin, clock: Clock, size: int, asked: int
) -> None:
    cache = CachingFetcher(origin, clock=clock, max_age_s=60, max_total_bytes=10)
    origin.says(b"x" * size, cache_control="max-age=60")
    for path in ("/a", "/b", "/b", "/a"):
        get(cache, path)

    assert len(origin.asked) == asked


@pytest.mark.parametrize("bound", ["max_age_s", "max_entries", "max_total_bytes"])
def test_is_given_no_negative_bound(
    origin: Origin, clock: Callable[[], datetime], bound: str
) -> None:
    bounds = {"max_age_s": 1, "max_entries": 1, "max_total_bytes": 1, bound: -1}

    with pytest.raises(Misuse):
        CachingFetcher(origin, clock=clock, **bounds)
