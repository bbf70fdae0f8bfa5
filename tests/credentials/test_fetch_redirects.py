"""Redirects that are followed: few, by GET alone, each to a place that is allowed as well."""

from collections.abc import Mapping

import pytest
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from counterfoil_credentials.fetch_redirects import FollowingFetcher

HERE = "https://audio.example"
THERE = "https://brand.example"
DONE = Response(200, "text/plain", b"done")
SECRET = {"Authorization": "Bearer key"}


class Wire(MemoryFetcher):
    """Two origins that answer by path, and what they were sent."""

    def __init__(self, pages: Mapping[str, Response]) -> None:
        super().__init__()
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        for origin in (HERE, THERE):

            def answer(
                method: str,
                path: str,
                headers: Mapping[str, str],
                _body: bytes,
                origin: str = origin,
            ) -> Response:
                self.asked.append((f"{method} {origin}{path}", headers))
                return pages[origin + path]

            self.serve(origin, answer)


def to(location: str, status: int = 302) -> Response:
    return Response(status, "", b"", {"location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", [f"{HERE}/b?c=d", "/b?c=d", "b?c=d", "//audio.example/b?c=d"])
def test_follows_a_redirect_however_it_is_written(status: int, location: str) -> None:
    wire = Wire({f"{HERE}/a": to(location, status), f"{HERE}/b?c=d": DONE})

    assert FollowingFetcher(wire, max_redirects=1).get(f"{HERE}/a", accept="*/*") == DONE


@pytest.mark.parametrize("status", [200, 300, 304, 305, 404, 503])
def test_takes_no_other_status_for_a_redirect(status: int) -> None:
    wire = Wire({f"{HERE}/a": to(f"{HERE}/b", status), f"{HERE}/b": DONE})

    assert FollowingFetcher(wire, max_redirects=1).get(f"{HERE}/a", accept="*/*").status == status


def test_gives_a_redirect_that_leads_nowhere_as_it_is() -> None:
    wire = Wire({f"{HERE}/a": Response(302, "", b"")})

    assert FollowingFetcher(wire, max_redirects=1).get(f"{HERE}/a", accept="*/*").status == 302


@pytest.mark.parametrize("most", [1, 2, 3])
def test_follows_as_many_as_it_was_told_and_not_one_more(most: int) -> None:
    pages = {f"{HERE}/{hop}": to(f"{HERE}/{hop + 1}") for hop in range(most + 1)}
    wire = Wire(pages | {f"{HERE}/{most + 1}": DONE})
    fetcher = FollowingFetcher(wire, max_redirects=most)

    assert fetcher.get(f"{HERE}/1", accept="*/*") == DONE
    wire.asked.clear()
    with pytest.raises(Unavailable):
        fetcher.get(f"{HERE}/0", accept="*/*")
    assert len(wire.asked) == most + 1


def test_leaves_a_circle_after_a_few_rounds() -> None:
    wire = Wire({f"{HERE}/a": to("/a")})

    with pytest.raises(Unavailable):
        FollowingFetcher(wire, max_redirects=3).get(f"{HERE}/a", accept="*/*")
    assert len(wire.asked) == 4


@pytest.mark.parametrize("most", [-1, 0, 4])
def test_is_asked_for_one_to_three(most: int) -> None:
    with pytest.raises(Misuse):
        FollowingFetcher(MemoryFetcher(), max_redirects=most)


@pytest.mark.parametrize(
    "location",
    ["http://brand.example/", "http://audio.example/b", "HTTP://127.0.0.1/"],
)
def test_never_leaves_https(location: str) -> None:
    wire = Wire({f"{HERE}/a": to(location)})

    with pytest.raises(Refused) as refusal:
        FollowingFetcher(wire, max_redirects=3).get(f"{HERE}/a", accept="*/*")
    assert refusal.value.codes == ["fetch-not-allowed"]
    assert len(wire.asked) == 1


@pytest.mark.parametrize(
    "location",
    [
        "ftp://brand.example/",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:x",
        "https://user:password@brand.example/",
        "https://127.1/",
        "https://brand.example./",
        "https://[::1",
        "https://brand.example/ä",
        "https://brand.example/, https://other.example/",
        "/b\r\nX: y",
        "/" + "x" * 9000,
    ],
    ids=lambda location: location[:30],
)
def test_calls_a_redirect_to_no_url_malformed(location: str) -> None:
    wire = Wire({f"{HERE}/a": to(location)})

    with pytest.raises(Malformed):
        FollowingFetcher(wire, max_redirects=3).get(f"{HERE}/a", accept="*/*")
    assert len(wire.asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "[::1]", "localhost", "intranet"])
def test_a_redirect_leads_to_no_private_place(host: str) -> None:
    guarded, wire = GuardedFetcher(timeout_s=1), Wire({f"{HERE}/a": to(f"https://{host}/")})

    class Both(MemoryFetcher):
        """Our page from memory, every other place by the guarded way."""

        def get(
            self,
            url: str,
            *,
            accept: str,
            headers: Mapping[str, str] | None = None,
            max_bytes: int = 1000,
        ) -> Response:
            via = wire if url.startswith(HERE) else guarded
            return via.get(url, accept=accept, headers=headers, max_bytes=max_bytes)

    with pytest.raises(Refused) as refusal:
        FollowingFetcher(Both(), max_redirects=1).get(f"{HERE}/a", accept="*/*")
    assert refusal.value.codes == ["fetch-not-allowed"]


def test_takes_the_caller_s_headers_to_the_first_origin_alone() -> None:
    wire = Wire(
        {
            f"{HERE}/a": to("/b"),
            f"{HERE}/b": to(f"{THERE}/c"),
            f"{THERE}/c": to(f"{HERE}/d"),
            f"{HERE}/d": DONE,
        }
    )

    FollowingFetcher(wire, max_redirects=3).get(f"{HERE}/a", accept="text/plain", headers=SECRET)

    assert [headers.get("authorization") for _, headers in wire.asked] == [
        "Bearer key",
        "Bearer key",
        None,
        None,
    ]
    assert {headers["accept"] for _, headers in wire.asked} == {"text/plain"}


def test_another_port_is_another_origin() -> None:
    wire = Wire({f"{HERE}/a": to(f"{HERE}:444/b")})
    sent: list[Mapping[str, str]] = []

    def answer(_method: str, _path: str, headers: Mapping[str, str], _body: bytes) -> Response:
        sent.append(headers)
        return DONE

    wire.serve(f"{HERE}:444", answer)

    FollowingFetcher(wire, max_redirects=1).get(f"{HERE}/a", accept="*/*", headers=SECRET)

    assert "authorization" not in sent[0]


@pytest.mark.parametrize("status", [307, 308])
def test_posts_once_and_sends_nothing_on(status: int) -> None:
    wire = Wire({f"{HERE}/a": to(f"{THERE}/b", status)})

    answer = FollowingFetcher(wire, max_redirects=3).post(
        f"{HERE}/a", b"personal", media_type="text/plain"
    )

    assert answer.status == status
    assert len(wire.asked) == 1


def test_the_last_answer_has_the_type_that_was_asked_for() -> None:
    wire = Wire({f"{HERE}/a": to("/b"), f"{HERE}/b": DONE})

    with pytest.raises(CounterfoilError) as refusal:
        FollowingFetcher(wire, max_redirects=1).get(f"{HERE}/a", accept="application/json")
    assert isinstance(refusal.value, Refused)
    assert refusal.value.codes == ["media-type-not-accepted"]
