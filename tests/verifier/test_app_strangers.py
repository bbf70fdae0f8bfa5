"""Strangers who send too much, too slowly or not to the end tie up nothing: on real sockets.

The service is a process of its own, with short deadlines; its memory and its open files are
read from the kernel. Meanwhile a good wallet is answered as if nobody else were there.
"""

import contextlib
import resource
import socket
import struct
import time
from collections import Counter as Tally
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_service import deadlines
from counterfoil_verifier import forms
from counterfoil_verifier.app import MAX_BODY_BYTES
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.watching import MAX_WATCHERS

from tests.verifier.kills import Session, connected, fetched, sent, serving_brand, shop_at
from tests.verifier.kills import warranty_of as warranty
from tests.verifier.running import Worker, forking
from tests.verifier.scene import ASKED, answer_form

pytestmark = [pytest.mark.loopback, pytest.mark.once]

MOST = 400
STRANGERS = 300
PATIENCE_S = 30
MEBIBYTE = 1 << 20
_AT_REST = 80
"""So many files are open when nobody asks: a few connections to the database, each with three."""
_FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def short_deadlines() -> None:
    """Let the process that calls it wait a second or two, where it waits longer else.

    The minute for a whole body stays: none of these may need it.
    """
    for module, name, seconds in (
        (deadlines, "MOST_CONNECTIONS", MOST),
        (deadlines, "HEAD_WITHIN_S", 2),
        (deadlines, "REFUSED_WITHIN_S", 1),
        (deadlines, "READ_WITHIN_S", 2),
        (forms, "READ_WITHIN_S", 1),
    ):
        setattr(module, name, seconds)


@dataclass(frozen=True)
class Counter:
    """A counter that serves, and a customer with a good warranty."""

    worker: Worker
    key: str
    holder: MemorySigner
    credential: SdJwt

    def ask(self) -> Session:
        """Give an open question with its good answer."""
        with connected(self.worker.port) as line:
            asked = sent(line, "POST", "/counter/requests", self.key, {"preset": "warranty"})
            request = fetched(line, asked["link"])
        presented = bind(
            disclose(self.credential, ASKED),
            signer=self.holder,
            audience=request.client_id,
            nonce=request.nonce,
            now=datetime.now(UTC),
        )
        form = answer_form({"warranty": (presented,)}, request)
        return Session(asked["id"], request.response_uri, form)

    def require_alive(self, session: Session | None = None) -> None:
        """Return only if a good answer is taken and seen."""
        session = session or self.ask()
        with connected(self.worker.port) as line:
            session.answer(line)
            session.look(line, self.key)
        assert (session.taken, session.shown) == (1, "accepted")

    def dial(self, stack: ExitStack) -> socket.socket:
        """Give a connection for as long as the stack lasts."""
        address = ("127.0.0.1", self.worker.port)
        return stack.enter_context(socket.create_connection(address, timeout=PATIENCE_S))

    def open_files(self) -> int:
        return len([*Path(f"/proc/{self.worker.pid}/fd").iterdir()])

    def memory(self) -> int:
        """Give how many bytes of memory it has."""
        pages = Path(f"/proc/{self.worker.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def require_rest(self, before: int) -> None:
        """Wait until no more files are open than `before`; connections that rest are cut too."""
        until = time.monotonic() + PATIENCE_S
        while self.open_files() > before:
            assert time.monotonic() < until, f"{self.open_files()} files are open, {before} before"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Generator[Counter, None, None]:
    folder = tmp_path_factory.mktemp("strangers")
    with serving_brand() as (brand, url):
        shop_at(folder / "shop", url, folder / "none")
        holder = MemorySigner.generate()
        credential = warranty(brand, url, holder)
        with forking(folder / "shop", folder / "log") as serving:
            worker = serving.start("tests.verifier.test_app_strangers:short_deadlines")
            key = ShopFolder(folder / "shop").counter_key()
            counter = Counter(worker, key, holder, credential)
            # Connections to the database, threads and caches come with the first requests.
            with ThreadPoolExecutor(16) as pool:
                asked = [pool.submit(counter.require_alive) for _ in range(48)]
            for each in asked:
                each.result()
            time.sleep(0.1)
            yield counter
    # Whoever is hung up on, or hangs up, is no failure of the service.
    assert '"level":"error"' not in (folder / "log").read_text()


@pytest.fixture
def resting(counter: Counter) -> Generator[int, None, None]:
    """Give how many files are open at rest; so many are in the end, and little more memory."""
    until = time.monotonic() + PATIENCE_S
    while (before := counter.open_files()) > _AT_REST:
        assert time.monotonic() < until, before
        time.sleep(0.05)
    memory = counter.memory()
    yield before
    counter.require_rest(_AT_REST)
    assert counter.memory() - memory < 64 * MEBIBYTE
    counter.require_alive()


def begun(session: Session, length: int, body: bytes = b"vp_token=") -> bytes:
    path = urlsplit(session.url).path
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{_FORM}Content-Length: {length}\r\n\r\n"
    return head.encode() + body


def everything_from(line: socket.socket) -> bytes:
    """Give all that comes up to where the service hangs up."""
    with contextlib.suppress(ConnectionError):
        return b"".join(iter(lambda: line.recv(65_536), b""))
    return b""


@pytest.mark.usefixtures("resting")
def test_slow_senders_lose_their_connections_and_keep_nobody_waiting(counter: Counter) -> None:
    session = counter.ask()
    with ExitStack() as stack:
        lines = [counter.dial(stack) for _ in range(STRANGERS)]
        for number, line in enumerate(lines):
            whole = begun(session, 10_000)
            line.sendall(whole[:-30] if number % 3 == 0 else whole)

        counter.require_alive()
        # A byte now and then wins no time.
        for _ in range(5):
            for line in lines:
                with contextlib.suppress(ConnectionError):
                    line.sendall(b"x")
            counter.require_alive()
        answers = [everything_from(line) for line in lines]

    statuses = Tally(answer[9:12] for answer in answers)
    assert set(statuses) <= {b"", b"408"}
    # The question that they did not answer is still open.
    counter.require_alive(session)


@pytest.mark.usefixtures("resting")
def test_so_many_connections_are_open_and_one_more_is_hung_up_on(counter: Counter) -> None:
    # What the shop's own systems send may take its time.
    begun = (
        "POST /counter/requests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {counter.key}\r\nContent-Length: 100\r\n\r\n{{"
    ).encode()
    with ExitStack() as stack:
        lines = [counter.dial(stack) for _ in range(MOST)]
        for line in lines:
            line.sendall(begun)
        until = time.monotonic() + PATIENCE_S
        while counter.open_files() < MOST:
            assert time.monotonic() < until
            time.sleep(0.01)
        more = [counter.dial(stack) for _ in range(50)]
        for line in more:
            with contextlib.suppress(ConnectionError):
                line.sendall(begun)

        assert [everything_from(line) for line in more] == [b""] * len(more)
        assert counter.open_files() <= _AT_REST + MOST
        for line in lines:
            line.settimeout(0)
            with pytest.raises(BlockingIOError):
                line.recv(1)


@pytest.mark.usefixtures("resting")
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_aborted_uploads_leave_nothing_behind(counter: Counter, how: str) -> None:
    session = counter.ask()
    for _ in range(3):
        with ExitStack() as stack:
            lines = [counter.dial(stack) for _ in range(STRANGERS // 3)]
            for line in lines:
                line.sendall(begun(session, 400_000, b"x" * 100_000))
                if how == "reset":
                    at_once = struct.pack("ii", 1, 0)
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        counter.require_alive()

    counter.require_alive(session)


@pytest.mark.usefixtures("resting")
def test_an_answer_that_is_too_large_is_refused_before_it_is_read(counter: Counter) -> None:
    session = counter.ask()
    with ExitStack() as stack:
        lines = [counter.dial(stack) for _ in range(50)]
        for line in lines:
            line.sendall(begun(session, 1 << 40))
        for line in lines:
            assert line.recv(4_096).startswith(b"HTTP/1.1 413")

    counter.require_alive(session)


@pytest.mark.usefixtures("resting")
def test_an_answer_without_an_announced_end_is_cut_off_at_the_limit(counter: Counter) -> None:
    session = counter.ask()
    path = urlsplit(session.url).path
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{_FORM}Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    passed: list[int] = []

    def pour() -> bytes:
        with ExitStack() as stack:
            line = counter.dial(stack)
            line.sendall(head.encode())
            # Sixteen times what is allowed, and what waits in the kernel's hands between us.
            try:
                for number in range(16 * MAX_BODY_BYTES // 65_536):
                    line.sendall(chunk)
                    passed.append(number)
            except ConnectionError:
                pass
            return everything_from(line)

    before = counter.memory()
    with ThreadPoolExecutor(8) as pool:
        pouring = [pool.submit(pour) for _ in range(24)]
        counter.require_alive()
        assert counter.memory() - before < 64 * MEBIBYTE
        answers = [each.result() for each in pouring]

    assert {answer[9:12] for answer in answers} <= {b"413", b""}
    counter.require_alive(session)


@pytest.mark.usefixtures("resting")
def test_streams_that_nobody_reads_are_so_many_and_no_more(counter: Counter) -> None:
    session = counter.ask()
    head = (
        f"GET /counter/requests/{session.name}/events HTTP/1.1\r\n"
        f"Host: x\r\nAuthorization: Bearer {counter.key}\r\n\r\n"
    ).encode()
    with ExitStack() as stack:
        lines = [counter.dial(stack) for _ in range(MAX_WATCHERS + 50)]
        for line in lines:
            line.sendall(head)
        firsts = Tally(line.recv(12) for line in lines)
        assert firsts == {b"HTTP/1.1 200": MAX_WATCHERS, b"HTTP/1.1 503": 50}

        # Whoever asks, answers and looks is not kept out.
        counter.require_alive()
        counter.require_alive(session)
    after = counter.ask()
    until = time.monotonic() + PATIENCE_S
    while True:
        with connected(counter.worker.port) as fresh:
            path = f"/counter/requests/{after.name}/events"
            fresh.request("GET", path, headers={"Authorization": f"Bearer {counter.key}"})
            if fresh.getresponse().status == 200:
                break
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.usefixtures("resting")
def test_of_a_hundred_answers_at_one_moment_one_is_taken(counter: Counter) -> None:
    session = counter.ask()
    body = urlencode(session.form).encode()
    whole = begun(session, len(body), body)
    with ExitStack() as stack:
        lines = [counter.dial(stack) for _ in range(100)]
        for line in lines:
            line.sendall(whole[:-1])
        for line in lines:
            line.sendall(whole[-1:])
        told = Tally(line.recv(12) for line in lines)

    assert told == {b"HTTP/1.1 200": 1, b"HTTP/1.1 400": 99}
    with connected(counter.worker.port) as till:
        session.look(till, counter.key)
        session.look(till, counter.key)
    assert (session.shown, session.facts_shown) == ("accepted", 1)
