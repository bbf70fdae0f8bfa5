"""Errors as HTTP answers: what the caller can do, in a body of one shape.

    {"error": "refused",
     "error_description": "expected ..., found ... (where)",
     "reasons": [{"code": ..., "expected": ..., "found": ..., "where": ...}]}

    Malformed, a body that does not fit
    or did not come whole                 400  invalid_request
    Refused                               400  refused, with its reasons; 422 and 409 for an
                                               Idempotency-Key that is reused or in use
    Unavailable                           503  temporarily_unavailable
    too large                             413  invalid_request
    anything else                         500  server_error, and no word more

A route whose standard wants other codes (`invalid_grant`, `invalid_proof`)
catches the error itself. The shape is that of RFC 6749, section 5.2.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 1_048_576
RETRY_AFTER_S: Final = 5
SERVER_ERROR: Final = "server_error"
FAILED: Final = "the service failed; its log says where"
"""All that anybody is told of a failure that nobody foresaw."""
_SHOWN_FIELDS: Final = 5
_DESCRIPTION_CHARACTERS: Final = 1_000

_NAME_OF_STATUS: Final = {
    401: "invalid_token",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    503: "temporarily_unavailable",
}
# IETF draft httpapi-idempotency-key-header, section 2.7.
_STATUS_OF_REASON: Final = {"idempotency-key-reused": 422, "idempotency-key-in-use": 409}


def install_error_handlers(app: FastAPI, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
    """Make every failure of `app` one of the answers above, and bound its request bodies.

    No answer carries a stack trace, nor the value that was sent.
    """

    @app.exception_handler(Malformed)
    def malformed(_: Request, error: Malformed) -> JSONResponse:
        return error_response(400, "invalid_request", str(error))

    @app.exception_handler(Refused)
    def refused(_: Request, error: Refused) -> JSONResponse:
        status = _STATUS_OF_REASON.get(error.codes[0], 400)
        return error_response(status, "refused", str(error), reasons=error.reasons)

    @app.exception_handler(Unavailable)
    def unavailable(_: Request, error: Unavailable) -> JSONResponse:
        return error_response(
            503,
            "temporarily_unavailable",
            str(error),
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(400, "invalid_request", _describe(error))

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        name = _NAME_OF_STATUS.get(error.status_code, "invalid_request")
        return error_response(error.status_code, name, error.detail, headers=error.headers)

    @app.exception_handler(ClientDisconnect)
    def gone(_: Request, error: ClientDisconnect) -> JSONResponse:  # noqa: ARG001  # nobody reads it
        # Strangers who hang up, or are hung up on, are no failure of ours.
        return error_response(400, "invalid_request", "expected a whole body, found a part")

    @app.exception_handler(Exception)
    def unforeseen(_: Request, error: Exception) -> JSONResponse:  # noqa: ARG001  # uvicorn logs it
        return error_response(500, SERVER_ERROR, FAILED)

    app.add_middleware(LimitBodySize, max_bytes=max_body_bytes)


def error_response(
    status: int,
    error: str,
    description: str,
    *,
    reasons: Sequence[Reason] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Give the answer of the shape above; it is never cached.

    `description` loses the characters that RFC 6749 does not allow there.
    """
    body: dict[str, object] = {"error": error, "error_description": _plain(description)}
    if reasons:
        body["reasons"] = [
            {
                "code": reason.code,
                "expected": reason.expected,
                "found": reason.found,
                "where": reason.where,
            }
            for reason in reasons
        ]
    return JSONResponse(body, status, headers={"Cache-Control": "no-store", **(headers or {})})


class LimitBodySize:
    """ASGI middleware: a request body over `max_bytes` is answered 413, announced or not.

    An announced length is refused before a byte is read; an unannounced one
    while it arrives, so that nobody can fill our memory.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._announced(scope) > self._max_bytes:
            answer = error_response(413, "invalid_request", self._text())
            await answer(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                # FastAPI lets this one class pass from the reading of a body to our handler.
                raise HTTPException(413, self._text())
            return message

        await self._app(scope, counted, send)

    def _announced(self, scope: Scope) -> int:
        for name, value in scope["headers"]:
            # h11 has already refused a length that is no number.
            if name == b"content-length" and value.isdigit():
                return int(value)
        return 0

    def _text(self) -> str:
        return f"expected a body of at most {self._max_bytes} bytes, found more"


def _describe(error: RequestValidationError) -> str:
    """Name the fields and what each should be; the values sent stay unsaid."""
    found = [
        f"{'.'.join(str(part)[:40] for part in entry['loc'])}: {entry['msg']}"
        for entry in error.errors()[:_SHOWN_FIELDS]
    ]
    return "; ".join(found)


def _plain(text: str) -> str:
    """Keep what RFC 6749, section 5.2 allows: printable ASCII without quote and backslash."""
    exchanged = text.replace('"', "'").replace("\\", "/")[:_DESCRIPTION_CHARACTERS]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in exchanged)
