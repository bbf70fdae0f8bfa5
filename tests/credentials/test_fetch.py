"""The guarded fetcher: one way out, and what it refuses to touch or to wait for."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response

HERE = "https://audio.example"


@pytest.fixture
def stranger() -> Iterator[Callable[[Callable[[socket.socket], None]], GuardedFetcher]]:
    """Give a fetcher whose one peer, on loopback, behaves as the test says."""
    listeners: list[socket.socket] = []

    def behave(how: Callable[[socket.socket], None]) -> GuardedFetcher:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            try:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(65_536)
                    how(peer)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        return GuardedFetcher(
            timeout_s=0.5, loopback_routes_unsafely={HERE: f"http://127.0.0.1:{port}"}
        )

    yield behave
    for listener in listeners:
        listener.close()


Stranger = Callable[[Callable[[socket.socket], None]], GuardedFetcher]


@pytest.mark.loopback
def test_gives_status_type_and_body(stranger: Stranger) -> None:
    fetcher = stranger(
        lambda peer: peer.sendall(
            b"HTTP/1.1 404 Not Found\r\nContent-Type: application/JSON; charset=utf-8\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
    )

    answer = fetcher.get(f"{HERE}/x?y=1", accept="application/json")

    assert (answer.status, answer.media_type, answer.body) == (404, "application/json", b"{}")


@pytest.mark.loopback
def test_follows_no_redirect(stranger: Stranger) -> None:
    fetcher = stranger(
        lambda peer: peer.sendall(
            b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        )
    )

    assert fetcher.post(f"{HERE}/", b"personal", media_type="text/plain").status == 307


@pytest.mark.loopback
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"
        + b"x" * 2000
        + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=[
        "long",
        "long-without-length",
        "long-chunked",
        "cut",
        "cut-chunked",
        "many-headers",
        "long-header",
        "nonsense",
        "silence",
    ],
)
def test_calls_an_answer_that_is_too_long_cut_or_none_unavailable(
    stranger: Stranger, answer: bytes
) -> None:
    fetcher = stranger(lambda peer: peer.sendall(answer))

    with pytest.raises(Unavailable):
        fetcher.get(f"{HERE}/", accept="*/*", max_bytes=1000)


@pytest.mark.loopback
@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n", b""],
    ids=["header", "body", "nothing"],
)
def test_hangs_up_on_a_peer_that_drips(stranger: Stranger, start: bytes) -> None:
    def drip(peer: socket.socket) -> None:
        peer.sendall(start)
        for _ in range(100):
            time.sleep(0.05)
            peer.sendall(b"x")

    fetcher = stranger(drip)
    began = time.monotonic()

    with pytest.raises(Unavailable):
        fetcher.get(f"{HERE}/", accept="*/*")
    assert time.monotonic() - began < 3


@pytest.mark.loopback
def test_hangs_up_although_the_line_stood_only_after_the_alarm(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(peer: socket.socket) -> None:
        for _ in range(100):
            time.sleep(0.05)
            peer.sendall(b"x")

    connect = socket.create_connection

    def slowly(address: tuple[str, int], timeout: float) -> socket.socket:
        time.sleep(0.7)
        return connect(address, timeout)

    fetcher = stranger(drip)
    monkeypatch.setattr(socket, "create_connection", slowly)
    began = time.monotonic()

    with pytest.raises(Unavailable):
        fetcher.get(f"{HERE}/", accept="*/*")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://192.168.1.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[64:ff9b:1::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:0:10.0.0.1]/",
        "https://[fec0::1]/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://100.64.0.1/",
        "http://93.184.215.14/",
        "http://127.0.0.1:8000/",
    ],
)
def test_refuses_addresses_that_are_not_public_and_plain_http(url: str) -> None:
    with pytest.raises(Refused) as refusal:
        GuardedFetcher().get(url, accept="*/*")
    assert refusal.value.codes == ["fetch-not-allowed"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:password@a.example/",
        "https://a.example:99999/",
        "https://a.example/\r\nHost: b",
        "https://a.example/ b",
        "https://a.example\\@b.example/",
        "https://ä.example/",
        "//a.example",
        "https://a.example/" + "x" * 9000,
    ],
    ids=lambda url: url[:40],
)
def test_calls_what_is_no_url_malformed(url: str) -> None:
    with pytest.raises(Malformed):
        GuardedFetcher().get(url, accept="*/*")


@pytest.mark.parametrize("target", ["http://10.0.0.1", "https://shop.example", "http://localhost"])
def test_a_development_route_leads_to_loopback_alone(target: str) -> None:
    with pytest.raises(Refused):
        GuardedFetcher(loopback_routes_unsafely={HERE: target})


def test_the_twin_answers_from_memory_and_is_bounded_too() -> None:
    fetcher = MemoryFetcher()
    fetcher.serve(
        HERE, lambda method, path, _, body: Response(200, "", f"{method} {path}".encode() + body)
    )

    assert fetcher.get(f"{HERE}/a?b=c", accept="*/*").body == b"GET /a?b=c"
    assert fetcher.post(f"{HERE}/a", b"!", media_type="x/y").body == b"POST /a!"
    with pytest.raises(Unavailable):
        fetcher.get(f"{HERE}/a", accept="*/*", max_bytes=3)
    fetcher.disconnect(HERE)
    with pytest.raises(Unavailable):
        fetcher.get(f"{HERE}/a", accept="*/*")
