"""What the shop's own systems ask, with the counter's bearer key.

    POST  /counter/requests                  ask; the answer holds the link for the wallet
    GET   /counter/requests/{id}             look; ?wait=20 waits for a change that long
    GET   /counter/requests/{id}/events      the same as server-sent events
    GET   /counter/requests/{id}/codes       the request as QR codes, for want of a network
    POST  /counter/requests/{id}/codes       one QR code of the answer
    POST  /counter/check                     a presentation that came another way
    GET   /counter/summary                   counts

Whoever waits here is `watching.py`'s.
"""

import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from typing import Annotated, Any, Final, TypeAlias

from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_service.access import BearerKey
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.held import new_facts_key
from counterfoil_verifier.requesting import NotOpen, SessionId
from counterfoil_verifier.schemas import (
    AskBody,
    AskedBody,
    CheckBody,
    CodeBody,
    CodesBody,
    ErrorBody,
    LookBody,
    ScannedBody,
    SummaryBody,
    TillName,
)
from counterfoil_verifier.wallet_routes import NO_STORE
from counterfoil_verifier.watching import Change, Watchers

MAX_WAIT_S: Final = 30.0
HEARTBEAT_S: Final = 15.0
MAX_STREAM_S: Final = 600.0

_Code: TypeAlias = Annotated[
    str | None,
    Query(max_length=128, description="What came back from the customer's device"),
]
_Till: TypeAlias = Annotated[TillName | None, Query(description="The till that asked")]
_Wait: TypeAlias = Annotated[
    float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for a change")
]
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody, "description": text}
    for status, text in {
        400: "The request is not as it must be; the text says what to mend",
        401: "No key, or another one",
        413: "The body is too large",
        503: "It cannot be had now; try again later",
    }.items()
}
_UNKNOWN: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorBody, "description": "No session of this counter has this id"}
}
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "An event `look` for each change, the last when nothing more will happen",
    }
}


def counter_routes(counter: Counter, allowed: BearerKey) -> APIRouter:
    """Give the shop's side of `counter`."""
    router = APIRouter(
        prefix="/counter", tags=["counter"], dependencies=[Depends(allowed)], responses=ERRORS
    )
    watchers = Watchers()
    counter.listen(watchers.ring)

    def look_at(name: str, code: str | None, till: str | None) -> LookBody:
        session_id, secret = _parts(name)
        with _not_found():
            found = counter.look(session_id, code=code, till=till, facts_secret=secret)
        return LookBody.of(found, name)

    @router.post("/requests")
    def ask(body: AskBody, response: Response) -> AskedBody:
        """Ask one question. `id` stays here; `link` is for the wallet."""
        response.headers.update(NO_STORE)
        secret, public = new_facts_key() if counter.is_shared else (None, None)
        try:
            asked = counter.ask(
                body.preset,
                body.language,
                way=body.way,
                handback=body.handback,
                till=body.till,
                transaction_data=[each.element(body.preset) for each in body.transactions],
                facts_key=public,
            )
        except Misuse as error:
            # A program of the shop asked; what it asked for does not fit the shop's settings.
            raise Malformed("what this shop can ask", str(error), "body") from error
        name = asked.session_id if secret is None else f"{asked.session_id}.{secret}"
        return AskedBody.of(asked, name)

    @router.get("/requests/{session_id}", responses=_UNKNOWN)
    async def look(
        session_id: str,
        response: Response,
        code: _Code = None,
        till: _Till = None,
        wait: _Wait = 0.0,
    ) -> LookBody:
        """Look at a session. What was shown is there in the first look only."""
        response.headers.update(NO_STORE)
        change = watchers.about(_parts(session_id)[0])
        found = await run_in_threadpool(look_at, session_id, code, till)
        if wait == 0 or found.is_over:
            return found
        async with watchers.one_more():
            return await _changed(lambda: look_at(session_id, None, till), found, change, wait)

    @router.get(
        "/requests/{session_id}/events",
        responses=_UNKNOWN | _EVENTS,
        response_class=StreamingResponse,
    )
    async def events(session_id: str, till: _Till = None) -> Response:
        """Stream what `look` gives, whenever it changes, until nothing more will happen."""
        async with AsyncExitStack() as stack:
            # Before the look: what may be looked at once must not be spent on a 503.
            await stack.enter_async_context(watchers.one_more())
            change = watchers.about(_parts(session_id)[0])
            first = await run_in_threadpool(look_at, session_id, None, till)
            place = stack.pop_all()

        async def stream() -> AsyncGenerator[str, None]:
            found, ends_at = first, time.monotonic() + MAX_STREAM_S
            yield _event(found)
            while not found.is_over and time.monotonic() < ends_at:
                before = found
                found = await _changed(
                    lambda: look_at(session_id, None, till), before, change, HEARTBEAT_S
                )
                yield ": still here\n\n" if found == before else _event(found)

        return _Stream(stream(), place)

    @router.get("/requests/{session_id}/codes", responses=_UNKNOWN)
    def codes(session_id: str, response: Response, till: _Till = None) -> CodesBody:
        """Give the request as the texts of QR codes, to be shown in turn."""
        response.headers.update(NO_STORE)
        with _not_found():
            return CodesBody(codes=[*counter.codes(_parts(session_id)[0], till=till)])

    @router.post("/requests/{session_id}/codes", responses=_UNKNOWN)
    def scan(session_id: str, body: CodeBody, response: Response) -> ScannedBody:
        """Take one QR code of the customer's answer; the last one makes it the answer."""
        response.headers.update(NO_STORE)
        named, secret = _parts(session_id)
        with _not_found():
            scanned = counter.scan(named, body.code, till=body.till, facts_secret=secret)
        return ScannedBody.of(scanned, session_id)

    @router.post("/check", responses=_UNKNOWN)
    def check(body: CheckBody, response: Response) -> LookBody:
        """Check a presentation that was pasted or scanned."""
        response.headers.update(NO_STORE)
        named, secret = _parts(body.id)
        with _not_found():
            found = counter.check(named, body.presentation, till=body.till, facts_secret=secret)
        return LookBody.of(found, body.id)

    @router.get("/summary")
    def summary(response: Response) -> SummaryBody:
        """Count verdicts and open questions."""
        response.headers.update(NO_STORE)
        return SummaryBody.of(counter.summary())

    return router


class _Stream(StreamingResponse):
    """Events for one who waits; the place is given back however the stream ends."""

    def __init__(self, events: AsyncGenerator[str, None], place: AsyncExitStack) -> None:
        super().__init__(events, media_type="text/event-stream", headers=NO_STORE)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._place:
            await super().__call__(scope, receive, send)


@contextmanager
def _not_found() -> Generator[None, None, None]:
    """Answer 404 where no session of this till has the name; of one that is over, say why."""
    try:
        yield
    except NotOpen as none:
        if none.codes != ["request-unknown"]:
            raise
        raise HTTPException(404, str(none)) from none


def _parts(name: str) -> tuple[SessionId, str | None]:
    """Give the session's id, and the secret that only whoever asked has beside it."""
    session_id, _, secret = name.partition(".")
    return SessionId(session_id), secret or None


async def _changed(
    look: Callable[[], LookBody], before: LookBody, change: Change, within_s: float
) -> LookBody:
    """Give what is new, or what was, after `within_s` seconds without news."""
    ends_at = time.monotonic() + within_s
    while (left_s := ends_at - time.monotonic()) > 0:
        await change.wait(left_s)
        found = await run_in_threadpool(look)
        if found != before:
            return found
    return before


def _event(found: LookBody) -> str:
    return f"event: look\ndata: {found.model_dump_json()}\n\n"
