"""Events are pushed in order, again and again, and nobody who is slow holds up another."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest
from counterfoil_consent import Trigger
from counterfoil_consent.events import Pause, is_pause, sign_end_of
from counterfoil_consent.set_outbox import LetterState, MemorySetOutbox
from counterfoil_consent.set_push import (
    Backoff,
    Pusher,
    SetError,
    SetErrorCode,
    hear,
    letter_to,
)
from counterfoil_consent.wire import GrantId, fresh_grant_id, refuse
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock

SHOP, OTHER = "did:example:shop", "did:example:other"
DOOR, OTHER_DOOR = "https://shop.example/events", "https://other.example/events"
Random = Callable[[int], bytes]


class Door:
    """Where a destination takes its events: it answers as it is told, else 202."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: list[Response] = []

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        assert (method, path) == ("POST", "/events")
        self.tokens.append(body.decode())
        self.headers.append(headers)
        return self.answers.pop(0) if self.answers else status(202)


class Post:
    """An outbox with its pusher, and two doors."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self.signer = MemorySigner.generate()
        self.outbox = MemorySetOutbox()
        self.fetcher = MemoryFetcher()
        self.shop, self.other = Door(), Door()
        self.fetcher.serve("https://shop.example", self.shop)
        self.fetcher.serve("https://other.example", self.other)
        self.outbox.set_endpoint(SHOP, DOOR)
        self.outbox.set_endpoint(OTHER, OTHER_DOOR)
        self.pusher = Pusher(self.outbox, self.fetcher, clock=clock, random=random)

    def token(self) -> str:
        return sign_end_of(
            fresh_grant_id(self.random),
            (SHOP,),
            Trigger.WITHDRAWN,
            signer=self.signer,
            now=self.clock(),
            random=self.random,
        )

    def put(self, count: int, to: str = SHOP) -> list[str]:
        tokens = [self.token() for _ in range(count)]
        self.outbox.put([letter_to(to, token) for token in tokens])
        return tokens

    def failures(self) -> list[tuple[LetterState, str]]:
        return [(dead.state, dead.failure) for dead in self.outbox.undelivered(100)]


def status(code: int, body: bytes = b"", **headers: str) -> Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(code, "application/json", body, given)


def refusal(code: str, description: str | None = "no") -> Response:
    told = {"err": code} if description is None else {"err": code, "description": description}
    return status(400, compact_json({**told}))


@pytest.fixture
def post(clock: Clock, random_bytes: Random) -> Post:
    return Post(clock, random_bytes)


def test_sends_each_event_once_in_order_and_as_what_it_is(post: Post) -> None:
    tokens = post.put(30)

    post.pusher.push_all()
    post.pusher.push_all()

    assert post.shop.tokens == tokens
    assert {headers["content-type"] for headers in post.shop.headers} == {
        "application/secevent+jwt"
    }
    assert {headers["accept"] for headers in post.shop.headers} == {"application/json"}
    assert post.outbox.counts().waiting == 0


@pytest.mark.parametrize("code", [200, 202, 204])
def test_every_kind_of_yes_is_one(post: Post, code: int) -> None:
    post.put(1)
    post.shop.answers = [status(code, b'{"erasure_receipt":"a.b.c"}')]

    post.pusher.push_all()

    assert post.outbox.counts().waiting == 0


@pytest.mark.parametrize("code", [*SetErrorCode, "something_new"])
def test_an_event_that_is_refused_is_kept_to_be_seen_and_the_next_one_goes(
    post: Post, code: str
) -> None:
    tokens = post.put(3)
    post.shop.answers = [status(202), refusal(code)]

    post.pusher.push_all()

    assert post.shop.tokens == tokens
    assert post.failures() == [(LetterState.REFUSED, f"{code}: no")]


def test_what_a_stranger_writes_into_its_refusal_is_cut_and_shown_on_one_line(post: Post) -> None:
    post.put(1)
    post.shop.answers = [refusal("invalid_key", "one\ntwo\x1b[31m" + "x" * 10_000)]

    post.pusher.push_all()

    ((_, failure),) = post.failures()
    assert failure.startswith("invalid_key: onetwo[31mxxx")
    assert len(failure) < 250


@pytest.mark.parametrize(
    "answer",
    [
        status(301, location="https://other.example/events"),
        status(307, location="https://other.example/events"),
        status(400),
        status(400, b"<html>"),
        status(400, b"[]"),
        status(400, b'{"error":"invalid_request"}'),
        status(400, b'{"err":7}'),
        status(400, b'{"err":"two\\nlines"}'),
        status(401),
        status(404),
        status(410),
        status(500),
        status(503),
    ],
    ids=lambda answer: f"{answer.status} {answer.body.decode()}",
)
def test_whatever_is_neither_a_yes_nor_a_refusal_is_tried_again(
    post: Post, answer: Response
) -> None:
    (token,) = post.put(1)
    post.shop.answers = [answer]

    post.pusher.push_all()
    assert post.outbox.counts().waiting == 1
    assert post.other.tokens == []
    post.clock.advance(timedelta(seconds=5))
    post.pusher.push_all()

    assert post.shop.tokens == [token, token]
    assert post.outbox.counts().waiting == 0


def test_nothing_overtakes_an_event_that_waits_to_be_sent_again(post: Post) -> None:
    tokens = post.put(2)
    post.shop.answers = [status(500)]

    post.pusher.push_all()
    tokens += post.put(1)
    post.pusher.push_all()
    assert post.shop.tokens == tokens[:1]
    post.clock.advance(timedelta(seconds=5))
    post.pusher.push_all()

    assert post.shop.tokens == [tokens[0], *tokens]


def test_a_destination_that_is_away_for_a_while_gets_everything_when_it_is_back(
    post: Post,
) -> None:
    tokens = post.put(3)
    post.fetcher.disconnect("https://shop.example")
    for _ in range(6):
        post.pusher.push_all()
        post.clock.advance(timedelta(minutes=5))
    assert post.shop.tokens == []

    post.fetcher.serve("https://shop.example", post.shop)
    post.pusher.push_all()

    assert post.shop.tokens == tokens
    assert post.failures() == []


def test_waits_twice_as_long_each_time_but_never_longer_than_six_hours() -> None:
    backoff = Backoff()

    whole = [backoff.delay(attempt, 1.0).total_seconds() for attempt in range(1, 18)]

    assert whole[:4] == [5, 10, 20, 40]
    assert whole[-1] == 21_600
    assert backoff.delay(1, 0.0) == timedelta(seconds=2)
    assert timedelta(days=1) < timedelta(seconds=sum(whole)) < timedelta(days=3)


def test_waits_as_long_as_it_is_asked_to_within_reason(post: Post) -> None:
    post.put(1)
    post.shop.answers = [status(503, retry_after="600"), status(429, retry_after="9999999")]

    post.pusher.push_all()
    post.clock.advance(timedelta(seconds=599))
    post.pusher.push_all()
    assert len(post.shop.tokens) == 1
    post.clock.advance(timedelta(seconds=1))
    post.pusher.push_all()
    assert len(post.shop.tokens) == 2
    post.clock.advance(timedelta(hours=6))
    post.pusher.push_all()

    assert len(post.shop.tokens) == 3


def test_what_nobody_takes_in_two_days_is_a_dead_letter_until_somebody_answers(
    post: Post,
) -> None:
    tokens = post.put(2)
    post.shop.answers = [status(500)] * 17
    for _ in range(17):
        post.pusher.push_all()
        post.clock.advance(timedelta(hours=6))

    assert post.failures() == [(LetterState.DEAD, "status 500")] * 2
    assert post.shop.tokens == tokens[:1] * 17
    late = post.put(1)
    post.pusher.push_all()

    assert post.shop.tokens[17:] == late + tokens
    assert post.failures() == []


def test_an_endpoint_that_may_not_be_asked_dies_like_one_that_is_away(post: Post) -> None:
    class Refusing(MemoryFetcher):
        def post(self, url: str, *_: object, **__: object) -> Response:
            raise refuse("fetch-not-allowed", "a public address", "another", "url")

    post.put(1)
    pusher = Pusher(
        post.outbox,
        Refusing(),
        clock=post.clock,
        random=post.random,
        backoff=Backoff(attempts=2),
    )
    for _ in range(2):
        pusher.push_all()
        post.clock.advance(timedelta(minutes=1))

    assert post.failures() == [(LetterState.DEAD, "an address that may not be asked")]


def test_goes_on_where_a_crash_left_off_and_may_send_the_last_one_twice(post: Post) -> None:
    tokens = post.put(3)

    class PowerCut(BaseException):
        pass

    def cut(*_: object, **__: object) -> Response:
        post.shop.tokens.append(tokens[len(post.shop.tokens)])
        if len(post.shop.tokens) == 2:
            raise PowerCut
        return status(202)

    post.fetcher.serve("https://shop.example", cut)
    with pytest.raises(PowerCut):
        post.pusher.push_all()
    post.fetcher.serve("https://shop.example", post.shop)
    post.pusher.push_all()
    assert post.shop.tokens == tokens[:2], "the lease of the dead still runs"
    post.clock.advance(timedelta(seconds=60))
    post.pusher.push_all()

    assert post.shop.tokens == [*tokens[:2], *tokens[1:]]


# The receiving side.


class Ear:
    """What `hear` hands on."""

    def __init__(self) -> None:
        self.ended: list[GrantId] = []
        self.refusal: Refused | Unavailable | None = None

    def end(self, grant_id: GrantId, _token: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.ended.append(grant_id)

    def hear(self, token: str, audience: str = SHOP) -> None:
        def pause(*_: object) -> None:
            raise AssertionError("expected an end, found a pause")

        hear(token, audience=audience, end=self.end, pause=pause)


def test_an_event_for_somebody_else_is_refused_whatever_it_is_about(post: Post) -> None:
    with pytest.raises(Refused) as refusal:
        Ear().hear(post.token(), audience=OTHER)

    assert SetError.of(refusal.value).code == "invalid_audience"


@pytest.mark.parametrize("code", ["grant-unknown", "grant-ended", "grant-not-active"])
def test_an_event_with_nothing_left_to_do_is_taken(post: Post, code: str) -> None:
    ear = Ear()
    ear.refusal = refuse(code, "something", "nothing", "grant")

    ear.hear(post.token())


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("signed-by-another", "invalid_issuer"),
        ("signature-invalid", "invalid_key"),
        ("algorithm-not-allowed", "invalid_key"),
        ("audience-mismatch", "invalid_audience"),
        ("grant-mismatch", "invalid_request"),
    ],
)
def test_each_refusal_has_its_code_on_the_wire(post: Post, code: str, told: str) -> None:
    ear = Ear()
    ear.refusal = refuse(code, "one thing", "another", "event")

    with pytest.raises(Refused) as refusal:
        ear.hear(post.token())

    assert SetError.of(refusal.value).to_json() == {
        "err": told,
        "description": "expected one thing, found another (event)",
    }


def test_a_forged_signature_is_refused_before_anything_is_looked_up(post: Post) -> None:
    ear, token = Ear(), post.token()
    head, payload, signature = token.split(".")
    forged = f"{head}.{payload}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"

    with pytest.raises(Refused) as refusal:
        ear.hear(forged)

    assert SetError.of(refusal.value).code == "invalid_key"
    assert ear.ended == []


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 70_000, "{}"])
def test_what_is_no_event_is_an_invalid_request(token: str) -> None:
    with pytest.raises(Malformed) as error:
        Ear().hear(token)

    assert SetError.of(error.value).code == "invalid_request"


def test_a_token_of_another_type_is_an_invalid_request(post: Post) -> None:
    token = sign_jws({"iss": "x"}, typ="consent-lease+jwt", signer=post.signer)

    with pytest.raises(Refused) as refusal:
        Ear().hear(token)

    assert SetError.of(refusal.value).code == "invalid_request"


def test_what_cannot_be_done_now_is_to_come_again(post: Post) -> None:
    ear = Ear()
    ear.refusal = Unavailable("expected the key folder, found none")

    with pytest.raises(Unavailable):
        ear.hear(post.token())


def test_of_two_pauses_the_later_one_ranks_higher_and_a_suspension_above_its_twin(
    post: Post,
) -> None:
    token = post.token()
    assert not is_pause({"events": {}})

    ranks = [
        letter_to(SHOP, token, pause=pause).rank
        for pause in (None, Pause(1, is_suspended=False), Pause(1, is_suspended=True))
    ]

    assert ranks == sorted(set(ranks))
    assert ranks[-1] < letter_to(SHOP, token, pause=Pause(2, is_suspended=False)).rank


# Over real sockets, against doors that mean no good.

HANG_S: Final = 1.0


class Stranger:
    """A server on this machine that answers with raw bytes, a few at a time if it likes."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.calls = 0
        self._answer = answer
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            threading.Thread(target=self._one, args=(line,), daemon=True).start()

    def _one(self, line: socket.socket) -> None:
        with line:
            try:
                line.settimeout(10)
                line.recv(65_536)
                self._answer(line)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


def _hangs(line: socket.socket) -> None:
    time.sleep(30)


def _drips(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 202 Accepted\r\n")
    for _ in range(300):
        line.sendall(b"X")
        time.sleep(0.1)


def _floods(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000000\r\n\r\n")
    for _ in range(1_000):
        line.sendall(b"x" * 100_000)


def _redirects(line: socket.socket) -> None:
    line.sendall(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/events\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def _talks_nonsense(line: socket.socket) -> None:
    line.sendall(b"\x16\x03\x01 hello\r\n\r\n")


def _hangs_up(line: socket.socket) -> None:
    line.close()


@pytest.fixture
def open_doors() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def stranger(doors: ExitStack, answer: Callable[[socket.socket], None]) -> Stranger:
    made = Stranger(answer)
    doors.callback(made.close)
    return made


@pytest.mark.loopback
@pytest.mark.parametrize(
    "answer", [_hangs, _drips, _floods, _redirects, _talks_nonsense, _hangs_up]
)
def test_a_hostile_door_costs_one_bounded_attempt_and_keeps_its_letter(
    post: Post, open_doors: ExitStack, answer: Callable[[socket.socket], None]
) -> None:
    hostile = stranger(open_doors, answer)
    fetcher = GuardedFetcher(
        timeout_s=HANG_S, loopback_routes_unsafely={"https://shop.example": hostile.origin}
    )
    pusher = Pusher(post.outbox, fetcher, clock=post.clock, random=post.random)
    post.put(3)
    started = time.monotonic()

    pusher.push_all()

    assert time.monotonic() - started < HANG_S + 10
    assert hostile.calls == 1
    assert post.outbox.counts().waiting == 3


@pytest.mark.loopback
def test_doors_that_hang_do_not_hold_up_one_that_answers(post: Post, open_doors: ExitStack) -> None:
    hanging = stranger(open_doors, _hangs)
    heard = threading.Event()

    class Good(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            heard.set()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Good)
    open_doors.callback(server.server_close)
    open_doors.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    routes = {f"https://dead-{n}.example": hanging.origin for n in range(2)}
    routes["https://shop.example"] = f"http://127.0.0.1:{server.server_address[1]}"
    hang_s = 4.0
    fetcher = GuardedFetcher(timeout_s=hang_s, loopback_routes_unsafely=routes)
    pusher = Pusher(post.outbox, fetcher, clock=post.clock, random=post.random)
    for number in range(2):
        post.outbox.set_endpoint(f"did:example:{number}", f"https://dead-{number}.example/events")
        post.put(1, f"did:example:{number}")
    # Each has failed before.
    for _ in range(2):
        round_ = post.outbox.take(post.clock(), post.clock(), "lease", steady_only=False)
        assert round_ is not None
        post.outbox.put_off(round_, post.clock())

    workers = [
        threading.Thread(target=pusher.push_all, kwargs={"steady_only": steady}, daemon=True)
        for steady in (False, True)
    ]
    workers[0].start()
    time.sleep(0.3)
    post.put(1)
    workers[1].start()

    # The first worker is still at the first door that hangs.
    assert heard.wait(hang_s - 0.5)
    for worker in workers:
        worker.join()
    assert post.outbox.counts().waiting == 2
