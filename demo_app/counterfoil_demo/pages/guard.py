"""What stands before every page: whose address it is, who sent a form, how much may come in.

A browser on this machine runs pages of strangers too. So a face answers under its own
loopback address only (DNS rebinding), takes a form only from its own pages (cross-site
request forgery; OWASP names the Origin header and Fetch Metadata for it), is shown in nobody's
frame, and has the browser run nothing but its own files.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from fastapi import Request, Response

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    b"content-security-policy": CONTENT_SECURITY_POLICY.encode(),
    b"cache-control": b"no-store",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    # With less than this a browser would send no Origin with a form of our own.
    b"referrer-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
_CAMERA_HEADERS: Final = {
    # The reader of bar codes is WebAssembly; this lets it be compiled, and no script be evaluated.
    "Content-Security-Policy": CONTENT_SECURITY_POLICY.replace(
        "script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'"
    ),
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_MAX_BODY_BYTES: Final = 1024 * 1024


class _TooLarge(Exception):  # never leaves this module
    pass


class Guard:
    """Wraps a face's app. `problem` makes the page that says why a request was not taken.

    A body may have one mebibyte, and what `large` says at the paths that it names.
    """

    def __init__(
        self,
        app: _App,
        *,
        hosts: frozenset[str],
        problem: Callable[[Request, int], Response],
        large: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._problem = problem
        self._large = {} if large is None else dict(large)

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send
    ) -> None:
        """Answer one request; whatever is no HTTP goes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        guarded = _with_headers(send)
        most = self._large.get(request.url.path, _MAX_BODY_BYTES)
        status = self._refused(request, most)
        if status is not None:
            await self._problem(request, status)(scope, receive, guarded)
            return
        counted = _Counted(receive, most)

        async def unless_too_large(message: _Message) -> None:
            # What the app says of a body that broke off is nobody's business.
            if not counted.is_too_large:
                await guarded(message)

        try:
            await self._app(scope, counted, unless_too_large)
        except _TooLarge:
            await self._problem(request, 413)(scope, receive, guarded)

    def _refused(self, request: Request, most: int) -> int | None:
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return 421
        if request.method not in _SAFE_METHODS and not _is_own(request, host):
            return 403
        length = request.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > most:
            return 413
        return None


def allow_camera(response: Response) -> Response:
    """Let the page in `response`, and no other, look through the camera and read bar codes."""
    response.headers.update(_CAMERA_HEADERS)
    return response


def hosts_of(address: str) -> frozenset[str]:
    """Give the hosts of a loopback `address` such as `http://127.0.0.1:4711`."""
    host = address.removeprefix("http://")
    return frozenset({host, host.replace("127.0.0.1", "localhost")})


class _Counted:
    """Hands on what comes in, until it is more than `most` bytes."""

    def __init__(self, receive: _Receive, most: int) -> None:
        self._receive = receive
        self._left = most

    @property
    def is_too_large(self) -> bool:
        return self._left < 0

    async def __call__(self) -> _Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self.is_too_large:
            raise _TooLarge
        return message


def _is_own(request: Request, host: str) -> bool:
    origin = request.headers.get("origin")
    if origin is not None:
        return origin == f"http://{host}"
    return request.headers.get("sec-fetch-site") == "same-origin"


def _with_headers(send: _Send) -> _Send:
    async def guarded(message: _Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            has = {name for name, _ in headers}
            headers += [(name, value) for name, value in _HEADERS.items() if name not in has]
            message = {**message, "headers": headers}
        await send(message)

    return guarded
