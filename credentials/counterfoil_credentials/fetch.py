"""The guarded fetcher: the one way out, and the only module that opens a socket.

Whatever a stranger names is fetched under the same rules: HTTPS, a public
address that was resolved once and is then used, no redirects, and bounds on
size and time. The in-memory twin serves tests and programs without a network.
"""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final, Protocol, Self
from urllib.parse import SplitResult, urlsplit, urlunsplit

from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

MAX_BYTES: Final = 1024 * 1024
_MAX_URL: Final = 8_192
_CHUNK: Final = 65_536
# Every public IPv6 address lies here (RFC 4291, section 2.4); mapped, translated,
# site-local and IPv4-compatible ones do not. Two parts of it stand for an IPv4
# address, which might be private: Teredo and 6to4.
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_EMBEDDING_IPV4: Final = (ipaddress.ip_network("2001::/32"), ipaddress.ip_network("2002::/16"))


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: any status, and a body within the bound that was asked for."""

    status: int
    media_type: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


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
        """GET `url`; raise `Unavailable` when no whole answer came."""
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
        """POST `body` once; raise `Unavailable` when no whole answer came."""
        ...


class GuardedFetcher:
    """Fetches over HTTPS from public addresses, bounded in size and time.

    `loopback_routes_unsafely` maps a public origin (`https://audio.example`) to
    a loopback one (`http://127.0.0.1:4711`): the stand-in for DNS and TLS on a
    developer's machine. A loopback origin may be mapped to itself. Nothing else
    leaves HTTPS, and no route can lead anywhere but to loopback.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 10.0,
        loopback_routes_unsafely: Mapping[str, str] | None = None,
    ) -> None:
        """Set the bound on one whole exchange, and the development routes."""
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()
        self._routes = {
            _origin(_parse(origin)): _require_loopback(target)
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
        """GET `url`. See `Fetcher.get`; `Refused` for a URL that may not be fetched."""
        return self._exchange("GET", url, None, {"Accept": accept, **(headers or {})}, max_bytes)

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
        parts = _parse(url)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        try:
            with (
                _Line(self._timeout_s) as line,
                contextlib.closing(HTTPConnection(parts.hostname or "", 443)) as connection,
            ):
                connection.sock = self._connect(parts, line)
                sent = {"Host": parts.netloc, "Accept-Encoding": "identity", "Connection": "close"}
                connection.request(method, target, body=body, headers={**sent, **headers})
                with connection.getresponse() as answer:
                    received = _read(answer, max_bytes)
            if line.was_cut:
                raise Unavailable(f"expected an answer within {self._timeout_s:g} s, found none")
        except (HTTPException, OSError, ValueError) as cause:
            raise Unavailable(f"expected an answer, found {type(cause).__name__}") from cause
        return Response(
            status=answer.status,
            media_type=(answer.getheader("Content-Type") or "").split(";")[0].strip().lower(),
            body=received,
            headers={name.lower(): value for name, value in answer.getheaders()},
        )

    def _connect(self, parts: SplitResult, line: "_Line") -> socket.socket:
        route = self._routes.get(_origin(parts))
        if route is not None:
            return line.open(route.hostname or "", route.port or 80)
        if parts.scheme != "https":
            raise _not_allowed("an https URL", f"{parts.scheme}:")
        host = parts.hostname or ""
        # The connection goes to the address that was checked, the certificate
        # must be the host's: a name that resolves differently a moment later
        # (DNS rebinding) gains nothing.
        plain = line.open(_public_address(host, parts.port or 443), parts.port or 443)
        return self._tls.wrap_socket(plain, server_hostname=host)


class _Line:
    """One connection that is cut when its time is up.

    Timeouts of single reads do not bound a peer that drips one byte at a time:
    the alarm shuts the connection down under whoever reads, TLS or not.
    """

    def __init__(self, timeout_s: float) -> None:
        self.was_cut = False
        self._ends_at = time.monotonic() + timeout_s
        self._twin: socket.socket | None = None
        self._alarm = threading.Timer(timeout_s, self._cut)
        self._alarm.daemon = True

    def open(self, address: str, port: int) -> socket.socket:
        left = max(self._ends_at - time.monotonic(), 0.001)
        opened = socket.create_connection((address, port), timeout=left)
        self._twin = opened.dup()
        # The alarm may have rung while there was nothing yet to cut (a slow name
        # server): whichever of the two comes second sees the other.
        if self.was_cut:
            opened.close()
            raise TimeoutError
        return opened

    def _cut(self) -> None:
        self.was_cut = True
        if self._twin is not None:
            with contextlib.suppress(OSError):
                self._twin.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._alarm.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        if self._twin is not None:
            self._twin.close()


Handler = Callable[[str, str, Mapping[str, str], bytes], Response]


class MemoryFetcher:
    """The in-memory twin: origins served by plain functions, no socket anywhere."""

    def __init__(self) -> None:
        """Start with nothing reachable."""
        self._handlers: dict[str, Handler] = {}

    def serve(self, origin: str, handler: Handler) -> None:
        """Let `handler(method, path with query, headers, body)` answer for `origin`."""
        self._handlers[_origin(_parse(origin))] = handler

    def disconnect(self, origin: str) -> None:
        """Make `origin` unreachable."""
        self._handlers.pop(_origin(_parse(origin)), None)

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
        return self._exchange("GET", url, b"", {"accept": accept, **given}, max_bytes)

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
        parts = _parse(url)
        handler = self._handlers.get(_origin(parts))
        if handler is None:
            raise Unavailable("expected an answer, found nobody there")
        path = parts.path or "/"
        response = handler(method, f"{path}?{parts.query}" if parts.query else path, headers, body)
        if len(response.body) > max_bytes:
            raise Unavailable(f"expected at most {max_bytes} bytes, found more")
        return response


def _parse(url: str) -> SplitResult:
    if len(url) > _MAX_URL:
        raise Malformed(f"a URL of at most {_MAX_URL} characters", f"{len(url)}", "url")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise Malformed("a URL without spaces or control characters", "one with them", "url")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as cause:
        raise Malformed("a URL", "another text", "url") from cause
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise Malformed("an http or https URL with a host", "another text", "url")
    if "@" in parts.netloc or "\\" in url:
        raise Malformed("a URL without user information", "one with it", "url")
    return parts


def _origin(parts: SplitResult) -> str:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _require_loopback(target: str) -> SplitResult:
    parts = _parse(target)
    if parts.hostname not in ("127.0.0.1", "::1"):
        raise _not_allowed("a loopback address as development route", "another host")
    return parts


def _public_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as cause:
        raise Unavailable("expected an address for the host, found none") from cause
    addresses = [str(entry[4][0]) for entry in found]
    # One private address among public ones is enough to refuse: whoever wrote
    # that DNS answer wants us to try it.
    if not addresses or not all(_is_public(address) for address in addresses):
        raise _not_allowed("a public address", "a private, local or reserved one")
    return addresses[0]


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and (
        ip not in _GLOBAL_UNICAST or any(ip in network for network in _EMBEDDING_IPV4)
    ):
        return False
    return ip.is_global and not ip.is_multicast


def _read(answer: HTTPResponse, max_bytes: int) -> bytes:
    received = bytearray()
    while chunk := answer.read1(_CHUNK):
        received += chunk
        if len(received) > max_bytes:
            raise Unavailable(f"expected at most {max_bytes} bytes, found more")
    declared = answer.getheader("Content-Length") or ""
    if declared.isdigit() and int(declared) != len(received):
        raise Unavailable("expected a whole answer, found a part")
    return bytes(received)


def _not_allowed(expected: str, found: str) -> Refused:
    return Refused(Reason("fetch-not-allowed", expected, found, "url"))
