"""ASGI middleware that answers the paths asked most often, and hands all others on.

    routes = HotRoutes(app, {"/nonce": {"POST": give_nonce}}, below={"/types/": {"GET": describe}})

A path is found in a dictionary; those with an end of their own (`/status-lists/7`) by
their beginning. Whatever a handler raises on purpose becomes an answer, in the codes
of the protocols; nothing that a stranger sends becomes a 5xx.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_service.errors import FAILED, SERVER_ERROR
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil_issuer.exchange import (
    MAX_BODY_BYTES,
    Answer,
    Incoming,
    TooLarge,
    error_answer,
)
from counterfoil_issuer.spec import ErrorCode

Handler: TypeAlias = Callable[[Incoming], Awaitable[Answer]]
Methods: TypeAlias = Mapping[str, Handler]
RETRY_AFTER_S: Final = 5
# Where the service's request log looks for the name of what was asked.
_ROUTE: Final = "counterfoil.route"
_STATUSES: Final[Mapping[str, int]] = {
    ErrorCode.INVALID_TOKEN: 401,
    ErrorCode.INVALID_CLIENT: 401,
    ErrorCode.INSUFFICIENT_SCOPE: 403,
}


class HotRoutes:
    """Answers `paths` and what lies `below` others. A GET route answers HEAD too."""

    def __init__(
        self, app: ASGIApp, paths: Mapping[str, Methods], *, below: Mapping[str, Methods]
    ) -> None:
        self._app = app
        self._paths = {path: _with_head(methods) for path, methods in paths.items()}
        self._below = [(path, _with_head(methods)) for path, methods in below.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self._methods_of(scope) if scope["type"] == "http" else None
        if methods is None:
            await self._app(scope, receive, send)
            return
        handler = methods.get(scope["method"])
        try:
            answer = (
                _not_allowed(methods)
                if handler is None
                else await handler(Incoming(scope, receive))
            )
        except (Refused, Malformed, TooLarge, Unavailable) as error:
            answer = _explained(error)
        except Exception:
            # The server logs it; nobody else is told more.
            await _send(error_answer(500, SERVER_ERROR, FAILED), send)
            raise
        await _send(answer, send)

    def _methods_of(self, scope: Scope) -> Methods | None:
        path: str = scope["path"]
        found = self._paths.get(path)
        if found is not None:
            scope[_ROUTE] = path
            return found
        for beginning, methods in self._below:
            if path.startswith(beginning):
                scope[_ROUTE] = f"{beginning}..."
                return methods
        return None


def _explained(error: Refused | Malformed | TooLarge | Unavailable) -> Answer:
    match error:
        case Refused():
            return refusal_answer(error)
        case Malformed():
            return error_answer(400, ErrorCode.INVALID_REQUEST, str(error))
        case TooLarge():
            text = f"expected a body of at most {MAX_BODY_BYTES} bytes, found more"
            return error_answer(413, ErrorCode.INVALID_REQUEST, text)
        case Unavailable():
            later = {"Retry-After": str(RETRY_AFTER_S)}
            return error_answer(503, "temporarily_unavailable", str(error), later)


def refusal_answer(refused: Refused, *, status: int | None = None) -> Answer:
    """Give the protocol's error for the first reason of a refusal.

    RFC 6749, section 5.2; RFC 6750, section 3.1; OpenID4VCI 1.0, section 8.3.1.
    """
    reason = refused.reasons[0]
    return error_answer(status or _STATUSES.get(reason.code, 400), reason.code, str(reason))


def not_found(expected: str) -> Answer:
    """Give the answer that there is no such thing."""
    return error_answer(404, "not_found", f"expected {expected}, found another")


def _not_allowed(methods: Methods) -> Answer:
    allowed = ", ".join(methods)
    text = f"expected one of {allowed}, found another method"
    return error_answer(405, "method_not_allowed", text, {"Allow": allowed})


def _with_head(methods: Methods) -> Methods:
    return {**methods, "HEAD": methods["GET"]} if "GET" in methods else methods


async def _send(answer: Answer, send: Send) -> None:
    headers = answer.headers
    if answer.status not in (204, 304):
        headers = (*headers, (b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
