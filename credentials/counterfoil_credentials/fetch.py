"""The guarded fetcher: the one way out, and the only module that opens a socket.

Whatever a stranger names is fetched under the same rules: HTTPS, a public
address that was resolved once and is then used, no redirects, an answer of a
type that was asked for, and bounds on size and time. The in-memory twin serves
tests and programs without a network. Around either stand `FollowingFetcher` and
`CachingFetcher`. SD-JWT VC, sections 3 and 7.1.

HTTP and TLS are loaded by whoever fetches: they are a third of this package's
import, and most of it needs no network.
"""

import contextlib
import io
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, Protocol, Self, cast
from urllib.parse import SplitResult, urlunsplit

from counterfoil_credentials.errors import Reason, Refused, Unavailable
from counterfoil_credentials.fetch_urls import (
    is_public,
    not_allowed,
    origin_of,
    parse_url,
    require_public_name,
)
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

if TYPE_CHECKING:
    import socket
    from http.client import HTTPResponse

    from _typeshed import WriteableBuffer

MAX_BYTES: Final = 1024 * 1024
MAX_HEAD_BYTES: Final = 65_536
_CHUNK: Final = 65_536
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
# Name servers that never answer hold a thread each for as long as the system asks them.
# Who fetches what strangers name has half of the threads, and can starve himself alone.
_LOOK_UPS: Final = threading.BoundedSemaphore(32)
_SHARE: Final = 16


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: any status, and a body within the bound that was asked for.

    Header names are lower case; a name sent twice has its values joined by ", ".
    `age_s` is set by a `CachingFetcher`: how many seconds ago the server said so.
    """

    status: int
    media_type: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    age_s: int = 0


class Fetcher(Protocol):
    """How the project reaches other services."""

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """GET `url`; `accept` lists the media types that may come, with commas between.

        Raises `Unavailable` when no whole answer came, and `Refused` for a URL
        that may not be fetched (`fetch-not-allowed`) and for a 2xx answer of
        another type (`media-type-not-accepted`).
        """
        ...

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """POST `body` once; raise `Unavailable` when no whole answer came.

        An answer of any type is given: it says that the body has arrived.
        """
        ...


class GuardedFetcher:
    """Fetches over HTTPS from public addresses, bounded in size and time.

    `timeout_s` bounds one whole exchange, from the look-up of the name to the
    last byte. `loopback_routes_unsafely` maps a public origin
    (`https://audio.example`) to a loopback one: to `http://127.0.0.1:4711`, the
    stand-in for DNS and TLS on a developer's machine, or to
    `https://127.0.0.1:4711`, for DNS alone. A loopback origin may be mapped to
    itself. Nothing else leaves HTTPS, and no route leads anywhere but to loopback.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 10.0,
        loopback_routes_unsafely: Mapping[str, str] | None = None,
    ) -> None:
        """Set the bound on one whole exchange, and the development routes."""
        import ssl

        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()
        self._look_ups = threading.BoundedSemaphore(_SHARE)
        self._routes = {
            origin_of(parse_url(origin)): _require_loopback(target)
            for origin, target in (loopback_routes_unsafely or {}).items()
        }

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """GET `url`. See `Fetcher.get`."""
        sent = {"Accept": accept, **(headers or {})}
        return _require_accepted(self._exchange("GET", url, None, sent, max_bytes), accept)

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """POST `body`. See `Fetcher.post`; `Refused` for a URL that may not be fetched."""
        sent = {"Accept": accept, "Content-Type": media_type, **(headers or {})}
        return self._exchange("POST", url, body, sent, max_bytes)

    def _exchange(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str], max_bytes: int
    ) -> Response:
        from http.client import HTTPConnection, HTTPException, HTTPResponse

        parts = parse_url(url)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        sent = {"Host": parts.netloc, "Accept-Encoding": "identity", "Connection": "close"}
        line = _Line(self._timeout_s)
        try:
            with (
                line,
                contextlib.closing(HTTPConnection(parts.hostname or "", 443)) as connection,
            ):
                connection.sock = self._connect(parts, line)
                connection.request(method, target, body=body, headers={**sent, **headers})
                meter = _Meter(connection.sock)
                with HTTPResponse(cast("socket.socket", meter), method=method) as answer:
                    answer.begin()
                    # The framing of a body, and what comes behind it, is no longer than itself.
                    meter.left = 2 * max_bytes + MAX_HEAD_BYTES
                    received = _read(answer, max_bytes)
        except (HTTPException, OSError, ValueError) as cause:
            raise Unavailable(line.lost(cause)) from cause
        if line.was_cut:
            raise Unavailable(line.lost(None))
        return _response(answer, received)

    def _connect(self, parts: SplitResult, line: "_Line") -> "socket.socket":
        host, port = parts.hostname or "", parts.port or 443
        route = self._routes.get(origin_of(parts))
        if route is not None:
            plain = line.open(route.hostname or "", route.port or 80)
            if route.scheme == "http":
                return plain
        elif parts.scheme != "https":
            raise not_allowed("an https URL", f"{parts.scheme}:")
        else:
            require_public_name(host)
            # The connection goes to the address that was checked, the certificate
            # must be the host's: a name that resolves differently a moment later
            # (DNS rebinding) gains nothing.
            plain = line.open(_public_address(line.look_up(host, port, self._look_ups)), port)
        return self._tls.wrap_socket(plain, server_hostname=host)


class _Line:
    """One connection that is cut when its time is up.

    Timeouts of single reads do not bound a peer that drips one byte at a time:
    the alarm shuts the connection down under whoever reads, TLS or not.
    """

    def __init__(self, timeout_s: float) -> None:
        self.was_cut = False
        self._timeout_s = timeout_s
        self._ends_at = time.monotonic() + timeout_s
        self._twin: socket.socket | None = None
        self._alarm = threading.Timer(timeout_s, self._cut)
        self._alarm.daemon = True

    def look_up(self, host: str, port: int, share: threading.BoundedSemaphore) -> list[str]:
        """Give the addresses of `host`; a look-up that outlasts the line is left behind."""
        import socket

        places = contextlib.ExitStack()
        for semaphore in (share, _LOOK_UPS):
            if not semaphore.acquire(timeout=self._left_s):
                places.close()
                raise Unavailable("expected a place for a name look-up, found all taken")
            places.callback(semaphore.release)
        found: SimpleQueue[list[str] | BaseException] = SimpleQueue()

        def ask() -> None:
            with places:
                try:
                    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                    found.put([str(answer[4][0]) for answer in answers])
                except BaseException as cause:  # noqa: BLE001  # it is raised below, by who asked
                    found.put(cause)

        # Nothing can interrupt the system's resolver, so another thread waits for it.
        try:
            _start(threading.Thread(target=ask, daemon=True))
        except Unavailable:
            places.close()
            raise
        try:
            result = found.get(timeout=self._left_s)
        except Empty as cause:
            raise TimeoutError from cause
        if isinstance(result, BaseException):
            raise result
        return result

    def open(self, address: str, port: int) -> "socket.socket":
        """Connect to an address."""
        import socket

        opened = socket.create_connection((address, port), timeout=self._left_s)
        self._twin = opened.dup()
        # The alarm may have rung while there was nothing yet to cut: whichever of
        # the two comes second sees the other.
        if self.was_cut:
            opened.close()
            raise TimeoutError
        return opened

    def lost(self, cause: Exception | None) -> str:
        """Say why there is no answer."""
        if self.was_cut or isinstance(cause, TimeoutError):
            return f"expected an answer within {self._timeout_s:g} s, found none"
        if type(cause).__name__ == "gaierror":  # by name: socket is not loaded for this
            return "expected an answer, found no address for the host's name"
        if isinstance(cause, ConnectionRefusedError):
            return "expected an answer, found nobody who listens there"
        return f"expected an answer, found {type(cause).__name__}"

    @property
    def _left_s(self) -> float:
        return max(self._ends_at - time.monotonic(), 0.001)

    def _cut(self) -> None:
        import socket

        self.was_cut = True
        if self._twin is not None:
            with contextlib.suppress(OSError):
                self._twin.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        _start(self._alarm)
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        if self._twin is not None:
            self._twin.close()


class _Meter(io.RawIOBase):
    """What the peer sends, as `HTTPResponse` reads it: `left` bytes may still come."""

    def __init__(self, line: "socket.socket") -> None:
        self.left = MAX_HEAD_BYTES
        self._wire = line.makefile("rb", buffering=0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        count = self._wire.readinto(buffer) or 0
        self.left -= count
        if self.left < 0:
            raise Unavailable("expected headers and framing of ordinary length, found longer ones")
        return count

    def close(self) -> None:
        self._wire.close()
        super().close()


Handler = Callable[[str, str, Mapping[str, str], bytes], Response]


class MemoryFetcher:
    """The in-memory twin: origins served by plain functions, no socket anywhere."""

    def __init__(self) -> None:
        """Start with nothing reachable."""
        self._handlers: dict[str, Handler] = {}

    def serve(self, origin: str, handler: Handler) -> None:
        """Let `handler(method, path with query, headers, body)` answer for `origin`."""
        self._handlers[origin_of(parse_url(origin))] = handler

    def disconnect(self, origin: str) -> None:
        """Make `origin` unreachable."""
        self._handlers.pop(origin_of(parse_url(origin)), None)

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """GET `url` from its handler."""
        given = {name.lower(): value for name, value in (headers or {}).items()}
        sent = {"accept": accept, **given}
        return _require_accepted(self._exchange("GET", url, b"", sent, max_bytes), accept)

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """POST `body` to the handler of `url`."""
        given = {name.lower(): value for name, value in (headers or {}).items()}
        sent = {"accept": accept, "content-type": media_type, **given}
        return self._exchange("POST", url, body, sent, max_bytes)

    def _exchange(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], max_bytes: int
    ) -> Response:
        parts = parse_url(url)
        handler = self._handlers.get(origin_of(parts))
        if handler is None:
            raise Unavailable("expected an answer, found nobody there")
        path = parts.path or "/"
        response = handler(method, f"{path}?{parts.query}" if parts.query else path, headers, body)
        if len(response.body) > max_bytes:
            raise Unavailable(f"expected at most {max_bytes} bytes, found more")
        return response


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as cause:
        raise Unavailable("expected a thread to wait with, found none left") from cause


def _require_loopback(target: str) -> SplitResult:
    parts = parse_url(target)
    if parts.hostname not in ("127.0.0.1", "::1"):
        raise not_allowed("a loopback address as development route", "another host")
    return parts


def _public_address(addresses: list[str]) -> str:
    # One private address among public ones is enough to refuse: whoever wrote
    # that DNS answer wants us to try it.
    if not addresses or not all(map(is_public, addresses)):
        raise not_allowed("a public address", "a private, local or reserved one")
    return addresses[0]


def _read(answer: "HTTPResponse", max_bytes: int) -> bytes:
    received = bytearray()
    while chunk := answer.read1(_CHUNK):
        received += chunk
        if len(received) > max_bytes:
            raise Unavailable(f"expected at most {max_bytes} bytes, found more")
    if _length(answer) not in (None, len(received)):
        raise Unavailable("expected a whole answer, found a part")
    return bytes(received)


def _length(answer: "HTTPResponse") -> int | None:
    """Give the length that an answer names: one, once or repeated (RFC 9112, section 6.3)."""
    # Without a body it is the length that another answer would have (RFC 9110, section 8.6).
    if answer.status < 200 or answer.status in (204, 304):
        return None
    fields = answer.headers.get_all("Content-Length", [])
    lengths = {length.strip(" \t") for field in fields for length in field.split(",")}
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or _LENGTH.fullmatch(length) is None:
        raise Unavailable("expected one length in digits, found another (content_length)")
    return int(length)


def _response(answer: "HTTPResponse", body: bytes) -> Response:
    headers: dict[str, str] = {}
    for spelled, value in answer.getheaders():
        name = spelled.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if headers.get("content-encoding", "identity") != "identity":
        raise Unavailable("expected the answer as it is, found it compressed")
    return Response(
        status=answer.status,
        media_type=headers.get("content-type", "").split(";")[0].strip().lower(),
        body=body,
        headers=headers,
    )


def _require_accepted(response: Response, accept: str) -> Response:
    """Refuse a page where a token was asked for. What only reports a failure is of any type."""
    if not (200 <= response.status < 300 and response.body):
        return response
    found = response.media_type
    group = found.partition("/")[0]
    accepted = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    if accepted.isdisjoint({found, f"{group}/*", "*/*"}):
        raise Refused(
            Reason(
                "media-type-not-accepted",
                accept,
                "another type" if found else "none",
                "content_type",
            )
        )
    return response
