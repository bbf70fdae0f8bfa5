"""A line and a count for every request: what was asked, never with which values.

    app.add_middleware(RequestLog, metrics=metrics, random=os.urandom)

    {"at": ..., "event": "request", "method": "GET", "route": "/orders/{number}",
     "status": 200, "duration_ms": 1.7, "request_id": "4bf92f3577b34da6a3ce929d0e0e4736"}

The route is the application's template; a path that fits none is "(none)". Query,
headers, body and address stay out. The request's id goes back as `X-Request-Id`; it
is the trace id of a W3C `traceparent`, or random: a stranger writes nothing else
into the log.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil_service.logs import FIELDS, REQUESTS
from counterfoil_service.metrics import Metrics

NO_ROUTE: Final = "(none)"
ROUTE: Final = "counterfoil.route"
"""Where middleware that answers on its own leaves its template in the scope."""
_TRACE: Final = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_LOGGER: Final = logging.getLogger(REQUESTS)


class RequestLog:
    """ASGI middleware; add it last, so that it sees the answers of all others."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        random: Callable[[int], bytes],
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._random = random
        self._monotonic = monotonic
        self._templates: dict[object, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._monotonic()
        if self._templates is None:
            # Inside a mounted application the scope will name that one.
            app: Any = scope.get("app")
            self._templates = dict(_templates(app.routes if app is not None else ()))
        request_id = self._request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = self._monotonic() - started
            found = self._templates.get(scope.get("endpoint"), NO_ROUTE)
            route: str = scope.get(ROUTE, found)
            self._metrics.observe_request(scope["method"], route, status, seconds)
            if _LOGGER.isEnabledFor(logging.INFO):
                # A method is any word that a stranger sends.
                method = scope["method"] if scope["method"].isalpha() else "other"
                fields: dict[str, object] = {
                    "method": method,
                    "route": route,
                    "status": status,
                    "duration_ms": round(seconds * 1000, 1),
                    "request_id": request_id,
                }
                # `info` would walk the stack for the name of this very line.
                record = _LOGGER.makeRecord(
                    REQUESTS, logging.INFO, "", 0, "request", (), None, extra={FIELDS: fields}
                )
                _LOGGER.handle(record)

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"traceparent" and (trace := _TRACE.fullmatch(value)):
                return str(trace[1], "ascii")
        return self._random(16).hex()


def _templates(routes: Sequence[BaseRoute], prefix: str = "") -> Iterable[tuple[object, str]]:
    """Give the template of each endpoint; of several under one, the last."""
    for context in iter_route_contexts(routes):
        route, path = context.original_route, prefix + (context.path or "")
        if isinstance(route, Mount):
            # What is mounted may be another application, which has its own endpoints.
            yield route.app, path
            yield from _templates(route.routes, path)
        elif context.endpoint is not None:
            yield context.endpoint, path
