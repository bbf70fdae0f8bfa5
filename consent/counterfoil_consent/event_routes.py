"""HTTP faces of the rail on which events travel: push (RFC 8935) and poll (RFC 8936).

    POST /events           custodian   takes a token ─► 202, or 400 {err, description}
    POST /events/stream    custodian   a receiver says where to push
    POST /events/poll      custodian   a receiver fetches; waits a while unless told otherwise
    POST /consent/events   receiver    takes a token
    GET  /consent/desk/events         what could not be told to whom; staff's
    POST /consent/desk/events/again   {destination}: push at once what is dead; staff's

While its service runs, each side also pushes what its own outbox holds.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import Json, JsonObject, parse_object, text_at
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_service.errors import error_response
from counterfoil_service.repeating import Lifespan, repeating, together
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from counterfoil_consent.custodian import Custodian
from counterfoil_consent.desk import MOST_A_PAGE
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.set_outbox import DeadLetter, SetOutbox
from counterfoil_consent.set_push import Pusher, SetError
from counterfoil_consent.spec import SET_MEDIA_TYPE
from counterfoil_consent.wire import refuse, seconds

PUSH_EVERY_S: Final = 0.5
LISTEN_EVERY_S: Final = 5.0
POLL_WAIT_S: Final = 20.0
"""How long a poll waits for an event, unless the caller wants an answer at once."""
WORKERS: Final = 4

_LOOK_EVERY_S: Final = 0.25
_MAX_WAITING: Final = 200
_NO_STORE: Final = {"Cache-Control": "no-store"}


async def _raw_body(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_raw_body)]


def custodian_events(
    custodian: Custodian, fetcher: Fetcher | None, *, poll_wait_s: float = POLL_WAIT_S
) -> APIRouter:
    """Give the custodian's routes. Without a fetcher nothing is pushed: all wait for polls."""
    lifespan = None if fetcher is None else _pushing(custodian.pusher(fetcher))
    routes = APIRouter(prefix="/events", lifespan=lifespan)
    waiting: set[Did] = set()

    @routes.post("")
    def push(request: Request, body: RawBody) -> Response:
        return _heard(custodian.hear, request, body)

    @routes.post("/stream")
    def stream(body: RawBody) -> JSONResponse:
        asked = custodian.desk.configure(_ascii(body))
        return JSONResponse({"endpoint_url": asked.endpoint}, headers=_NO_STORE)

    @routes.post("/poll")
    async def poll(request: Request, body: RawBody) -> JSONResponse:
        try:
            opened = await run_in_threadpool(custodian.desk.open, _bearer(request), body)
        except Refused as refusal:
            return error_response(
                401,
                "invalid_token",
                str(refusal),
                reasons=refusal.reasons,
                headers={"WWW-Authenticate": "Bearer"},
            )
        # One wait for each caller: who opens many takes nobody's place.
        may_wait = (
            not opened.request.return_immediately
            and opened.request.max_events > 0
            and opened.caller not in waiting
            and len(waiting) < _MAX_WAITING
        )
        clock = asyncio.get_running_loop().time
        ends = clock() + (poll_wait_s if may_wait else 0.0)
        if may_wait:
            waiting.add(opened.caller)
        try:
            answer = await run_in_threadpool(custodian.desk.look, opened)
            while not answer.sets and clock() < ends and not await request.is_disconnected():
                await asyncio.sleep(_LOOK_EVERY_S)
                answer = await run_in_threadpool(custodian.desk.look, opened)
        finally:
            if may_wait:
                waiting.discard(opened.caller)
        return JSONResponse(answer.to_json(), headers=_NO_STORE)

    return routes


def receiver_events(receiver: Receiver) -> APIRouter:
    """Give the receiver's route. While the service runs it also polls."""
    listening = repeating(receiver.listen, LISTEN_EVERY_S)
    routes = APIRouter(lifespan=together([listening, _pushing(receiver.pusher)]))

    @routes.post("/events")
    def push(request: Request, body: RawBody) -> Response:
        return _heard(receiver.hear, request, body)

    return routes


def undelivered_routes(outbox: SetOutbox) -> APIRouter:
    """Give the routes to what an outbox could not tell; whoever mounts them lets staff alone in."""
    routes = APIRouter(prefix="/desk/events")

    @routes.get("")
    def undelivered() -> JSONResponse:
        counts = outbox.counts()
        lines: list[Json] = [_line(letter) for letter in outbox.undelivered(MOST_A_PAGE)]
        counted: JsonObject = {
            "waiting": counts.waiting,
            "dead": counts.dead,
            "refused": counts.refused,
        }
        return JSONResponse({**counted, "lines": lines}, headers=_NO_STORE)

    @routes.post("/again")
    def again(body: RawBody) -> JSONResponse:
        destination = text_at(parse_object(body, "body"), "destination", "body")
        outbox.send_again(destination)
        return JSONResponse({}, headers=_NO_STORE)

    return routes


def _line(letter: DeadLetter) -> JsonObject:
    return {
        "destination": letter.destination,
        "event_id": letter.event_id,
        "grant_id": letter.grant_id,
        "state": letter.state.value,
        "failure": letter.failure,
        "died_at": seconds(letter.died_at),
    }


def _pushing(pusher: Pusher) -> Lifespan:
    def push_steady() -> None:
        pusher.push_all(steady_only=True)

    halves = (pusher.push_all, push_steady)
    return together([repeating(halves[each % 2], PUSH_EVERY_S) for each in range(WORKERS)])


def _heard(hear: Callable[[str], None], request: Request, body: bytes) -> Response:
    try:
        _require_set(request)
        hear(_ascii(body))
    except (Malformed, Refused) as error:
        # RFC 8935, section 2.3: the language is that of the description.
        headers = {**_NO_STORE, "Content-Language": "en"}
        return JSONResponse(SetError.of(error).to_json(), 400, headers=headers)
    return Response(status_code=202, headers=_NO_STORE)


def _require_set(request: Request) -> None:
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != SET_MEDIA_TYPE:
        raise Malformed(SET_MEDIA_TYPE, "another type", "content_type")


def _bearer(request: Request) -> str:
    scheme, _, proof = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not proof:
        raise refuse("poll-proof-missing", "a signed proof", "none", "authorization")
    return proof


def _ascii(body: bytes) -> str:
    try:
        return body.decode("ascii")
    except UnicodeDecodeError as cause:
        raise Malformed("an ASCII token", "other bytes", "body") from cause
