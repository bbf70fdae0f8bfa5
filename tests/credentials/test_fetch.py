"""The guarded fetcher: one way out, and what it refuses to touch or to wait for."""

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher, MemoryFetcher, Response
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.credentials.authority import usage

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
                    # What is still to be read would make the kernel reset the line.
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(65_536):
                        pass
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
        b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"x" * 900 + b"\r\n") * 90 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"1;" + b"x" * 9000 + b"\r\nx\r\n") * 20
        + b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"X: x\r\n" * 20_000
        + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
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
        "long-headers",
        "endless-continue",
        "long-framing",
        "long-trailer",
        "compressed",
        "huge-length",
        "odd-digits",
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


def abc(*lengths: str) -> Callable[[socket.socket], None]:
    head = "".join(f"Content-Length: {length}\r\n" for length in lengths).encode("latin-1")
    return lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nabc")


@pytest.mark.loopback
@pytest.mark.parametrize(
    "lengths", [(), ("3",), ("003",), ("3", "3"), ("3, 3",), ("3", "3, \t3")], ids=str
)
def test_an_answer_may_name_its_length_more_than_once(
    stranger: Stranger, lengths: tuple[str, ...]
) -> None:
    assert stranger(abc(*lengths)).get(f"{HERE}/", accept="*/*").body == b"abc"


@pytest.mark.loopback
@pytest.mark.parametrize(
    "lengths",
    [
        ("5", "3"),
        ("3", "5"),
        ("3, 5",),
        ("3,",),
        ("3", ""),
        ("",),
        ("-1",),
        ("+3",),
        ("3.0",),
        ("0x3",),
        ("3_0",),
        ("\xb3",),
        ("3\r\n 3",),
        ("three",),
        ("0" * 5_000 + "3",),
    ],
    ids=str,
)
def test_an_answer_whose_length_is_unclear_is_none(
    stranger: Stranger, lengths: tuple[str, ...]
) -> None:
    with pytest.raises(Unavailable, match="one length in digits"):
        stranger(abc(*lengths)).get(f"{HERE}/", accept="*/*")


@pytest.mark.loopback
@pytest.mark.parametrize("lengths", [("4",), ("2, 2",), ("4", "4"), ("4, 4",)], ids=str)
def test_an_answer_shorter_or_longer_than_it_says_is_none(
    stranger: Stranger, lengths: tuple[str, ...]
) -> None:
    with pytest.raises(Unavailable, match="found a part"):
        stranger(abc(*lengths)).get(f"{HERE}/", accept="*/*")


@pytest.mark.loopback
@pytest.mark.parametrize("status", [103, 204, 304])
def test_an_answer_without_a_body_may_name_the_length_of_another(
    stranger: Stranger, status: int
) -> None:
    fetcher = stranger(
        lambda peer: peer.sendall(b"HTTP/1.1 %d So\r\nContent-Length: 7\r\n\r\n" % status)
    )

    answer = fetcher.get(f"{HERE}/", accept="*/*")

    assert (answer.status, answer.body) == (status, b"")


@pytest.mark.loopback
@pytest.mark.parametrize("status", [200, 205, 302, 404])
def test_every_other_answer_has_the_length_that_it_names(stranger: Stranger, status: int) -> None:
    fetcher = stranger(
        lambda peer: peer.sendall(b"HTTP/1.1 %d So\r\nContent-Length: 7\r\n\r\n" % status)
    )

    with pytest.raises(Unavailable, match="found a part"):
        fetcher.get(f"{HERE}/", accept="*/*")


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
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://",
        "https://a.example/\r\nHost: b",
        "https://a.example/ b",
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


# Types, and what an answer says of itself


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}"


@pytest.mark.loopback
@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "text/plain, Application/JSON;q=0.5",
        "application/*",
        "*/*",
    ],
)
def test_takes_a_type_that_was_asked_for(stranger: Stranger, accept: str) -> None:
    fetcher = stranger(lambda peer: peer.sendall(JSON))

    assert fetcher.get(f"{HERE}/", accept=accept).body == b"{}"


@pytest.mark.loopback
@pytest.mark.parametrize("accept", ["application/jwt", "application/jso", "text/*", "json", ""])
def test_refuses_another_type(stranger: Stranger, accept: str) -> None:
    fetcher = stranger(lambda peer: peer.sendall(JSON))

    with pytest.raises(Refused) as refusal:
        fetcher.get(f"{HERE}/", accept=accept)
    assert refusal.value.codes == ["media-type-not-accepted"]


@pytest.mark.loopback
def test_refuses_an_answer_that_names_no_type(stranger: Stranger) -> None:
    fetcher = stranger(lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}"))

    with pytest.raises(Refused):
        fetcher.get(f"{HERE}/", accept="application/json")


@pytest.mark.loopback
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 No\r\nContent-Type: text/html\r\n\r\n<p>",
        b"HTTP/1.1 204 Done\r\n\r\n",
    ],
    ids=["failure", "nothing"],
)
def test_gives_a_failure_or_nothing_whatever_its_type(stranger: Stranger, answer: bytes) -> None:
    fetcher = stranger(lambda peer: peer.sendall(answer))

    assert fetcher.get(f"{HERE}/", accept="application/json").status in {404, 204}


@pytest.mark.loopback
def test_says_of_every_post_that_it_arrived_whatever_type_answers(stranger: Stranger) -> None:
    fetcher = stranger(
        lambda peer: peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>")
    )

    assert fetcher.post(f"{HERE}/", b"x", media_type="text/plain").status == 200


@pytest.mark.loopback
def test_gives_every_value_of_a_header_that_comes_twice(stranger: Stranger) -> None:
    fetcher = stranger(
        lambda peer: peer.sendall(
            b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\ncache-control: max-age=9\r\n\r\n"
        )
    )

    headers = fetcher.get(f"{HERE}/", accept="*/*").headers

    assert headers["cache-control"] == "no-store, max-age=9"


# Names


def resolver(*addresses: str) -> Callable[..., list[tuple[object, ...]]]:
    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in addresses]

    return getaddrinfo


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("93.184.215.14", "10.0.0.1"), ("93.184.215.14", "fe80::1%2"), ()],
)
def test_refuses_a_name_with_one_private_address(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(*addresses))

    with pytest.raises(Refused) as refusal:
        GuardedFetcher().get(f"{HERE}/", accept="*/*")
    assert refusal.value.codes == ["fetch-not-allowed"]


def test_connects_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolver("93.184.215.14"))
    monkeypatch.setattr(socket, "create_connection", connect)

    with pytest.raises(Unavailable, match="found nobody who listens there"):
        GuardedFetcher().get(f"{HERE}:8443/", accept="*/*")
    assert connected == [("93.184.215.14", 8443)]


def test_calls_a_name_without_address_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    with pytest.raises(Unavailable, match="found no address for the host's name"):
        GuardedFetcher().get(f"{HERE}/", accept="*/*")


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Let look-ups under `evil.example` hang, all others lead to 10.0.0.1; count who hangs."""
    answered = threading.Event()

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host.endswith("evil.example"):
            answered.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    def asking() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.endswith("(ask)")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield lambda: len(asking())
    answered.set()
    for thread in asking():
        thread.join()


Hanging = Callable[[], int]


def look_up(fetcher: GuardedFetcher, host: str) -> str:
    """Give why the fetcher did not go on after it looked up the name, or could not."""
    with pytest.raises((Unavailable, Refused)) as stopped:
        fetcher.get(f"https://{host}/", accept="*/*")
    return str(stopped.value)


def test_waits_for_no_name_server_longer_than_for_the_whole(hanging: Hanging) -> None:
    began = time.monotonic()

    for _ in range(32):
        assert "within 0.02 s" in look_up(GuardedFetcher(timeout_s=0.02), "a.evil.example")
    # The thirty-third finds every place taken by a look-up that hangs.
    assert "a place for a name" in look_up(GuardedFetcher(timeout_s=0.02), "a.evil.example")

    assert hanging() == 32
    assert time.monotonic() - began < 9


def test_a_fetcher_that_is_sent_to_hanging_names_leaves_places_to_others(hanging: Hanging) -> None:
    lured, other = GuardedFetcher(timeout_s=0.02), GuardedFetcher(timeout_s=5)
    for i in range(20):
        look_up(lured, f"a{i}.evil.example")

    assert hanging() == 16
    assert "a place for a name" in look_up(lured, "audio.example")
    assert "a public address" in look_up(other, "audio.example")


@pytest.mark.usefixtures("hanging")
def test_a_look_up_that_is_over_frees_its_place() -> None:
    fetcher = GuardedFetcher(timeout_s=5)

    for _ in range(40):
        assert "a public address" in look_up(fetcher, "audio.example")


@pytest.mark.usefixtures("hanging")
def test_a_thread_that_cannot_start_makes_it_unavailable_and_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetcher = GuardedFetcher(timeout_s=5)
    start = threading.Thread.start

    def refuse(kind: str) -> Callable[[threading.Thread], None]:
        def starts(thread: threading.Thread) -> None:
            if kind == type(thread).__name__:
                raise RuntimeError("can't start new thread")
            start(thread)

        return starts

    for kind in ("Timer", "Thread"):
        monkeypatch.setattr(threading.Thread, "start", refuse(kind))
        for _ in range(33):
            assert "found none left" in look_up(fetcher, "audio.example")
    monkeypatch.setattr(threading.Thread, "start", start)

    assert "a public address" in look_up(fetcher, "audio.example")


# TLS, with an authority of our own


@pytest.fixture
def tls_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., GuardedFetcher]]:
    """Give a fetcher that trusts our authority, routed to a loopback server with a certificate."""
    listeners: list[socket.socket] = []
    today = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def certify(
        subject: x509.Name, key: ec.EllipticCurvePublicKey, ends_at: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - timedelta(days=9))
            .not_valid_after(ends_at)
        )

    def serve(
        name: x509.GeneralName,
        *,
        ends_at: datetime = today + timedelta(days=1),
        trusted: bool = True,
        host: str = "audio.example",
        how: Callable[[socket.socket], None] = lambda peer: peer.sendall(JSON),
    ) -> GuardedFetcher:
        root = certify(authority, authority_key.public_key(), today + timedelta(days=1))
        # Python 3.13 holds a chain to RFC 5280's word: keys are identified, authorities may sign.
        identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
        root = (
            root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage(certifies=True)[0], critical=True)
            .add_extension(identifier, critical=False)
        )
        anchors = tmp_path / "anchors.pem"
        signed_root = root.sign(authority_key, hashes.SHA256())
        anchors.write_bytes(signed_root.public_bytes(Encoding.PEM) if trusted else b"")
        monkeypatch.setenv("SSL_CERT_FILE", str(anchors))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))

        key = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            certify(x509.Name([]), key.public_key(), ends_at)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
        )
        identity = tmp_path / "identity.pem"
        identity.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + leaf.sign(authority_key, hashes.SHA256()).public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            try:
                peer, _ = listener.accept()
                with peer, context.wrap_socket(peer, server_side=True) as secured:
                    secured.recv(65_536)
                    how(secured)
            except OSError:
                return

        threading.Thread(target=answer, daemon=True).start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        return GuardedFetcher(
            timeout_s=2, loopback_routes_unsafely={f"https://{host}": address, address: address}
        )

    yield serve
    for listener in listeners:
        listener.close()


TlsPeer = Callable[..., GuardedFetcher]


@pytest.mark.loopback
def test_speaks_tls_to_the_host_that_the_certificate_names(tls_peer: TlsPeer) -> None:
    fetcher = tls_peer(x509.DNSName("audio.example"))

    assert fetcher.get(f"{HERE}/", accept="application/json").body == b"{}"


@pytest.mark.loopback
def test_reads_a_long_answer_over_tls_whole(tls_peer: TlsPeer) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nContent-Length: 300000\r\n\r\n"

    def tell(peer: socket.socket) -> None:
        peer.sendall(head + b"x" * 300_000)

    fetcher = tls_peer(x509.DNSName("audio.example"), how=tell)

    assert fetcher.get(f"{HERE}/", accept="x/y").body == b"x" * 300_000


@pytest.mark.loopback
@pytest.mark.parametrize("name", ["audi0.example", "example", "*.audio.example", "*.example"])
def test_refuses_another_host_s_certificate(tls_peer: TlsPeer, name: str) -> None:
    fetcher = tls_peer(x509.DNSName(name))

    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        fetcher.get(f"{HERE}/", accept="*/*")


@pytest.mark.loopback
def test_refuses_a_certificate_of_the_address_alone(tls_peer: TlsPeer) -> None:
    fetcher = tls_peer(x509.IPAddress(IPv4Address("127.0.0.1")))

    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        fetcher.get(f"{HERE}/", accept="*/*")


@pytest.mark.loopback
def test_refuses_a_certificate_that_ended_or_that_nobody_vouches_for(tls_peer: TlsPeer) -> None:
    ended = tls_peer(
        x509.DNSName("audio.example"), ends_at=datetime.now(UTC) - timedelta(minutes=1)
    )
    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        ended.get(f"{HERE}/", accept="*/*")

    unknown = tls_peer(x509.DNSName("audio.example"), trusted=False)
    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        unknown.get(f"{HERE}/", accept="*/*")


@pytest.mark.loopback
def test_hangs_up_on_a_peer_that_drips_over_tls(tls_peer: TlsPeer) -> None:
    def drip(peer: socket.socket) -> None:
        for _ in range(200):
            time.sleep(0.05)
            peer.sendall(b"x")

    fetcher = tls_peer(x509.DNSName("audio.example"), how=drip)
    began = time.monotonic()

    with pytest.raises(Unavailable, match="within 2 s"):
        fetcher.get(f"{HERE}/", accept="*/*")
    assert time.monotonic() - began < 5


def test_the_vocabulary_is_read_without_http_and_tls() -> None:
    program = "import counterfoil_credentials, sys; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"http.client", "socket", "ssl", "jwcrypto", "pkcs11"} & set(loaded)
