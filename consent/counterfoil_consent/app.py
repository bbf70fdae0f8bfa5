"""HTTP faces: the custodian as a service, the receiver as routes that a brand's app mounts.

    create_app(custodian)                          the custodian, seven routes
    receiver_app(receiver, back_office_key)        a receiver that is a service of its own
    receiver_routes(receiver, back_office_key)     /consent/…, mounted by an app that
                                                   has installed the house's error handlers

Papers travel as `application/jwt`; answers are JSON objects.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final
from urllib.parse import parse_qs

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.requests import parse_response_form
from counterfoil_credentials.spec import REQUEST_MEDIA_TYPE
from counterfoil_service.access import BearerKey
from counterfoil_service.errors import install_error_handlers
from counterfoil_service.repeating import repeating
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from counterfoil_consent.custodian import Custodian
from counterfoil_consent.desk_routes import desk_routes
from counterfoil_consent.event_routes import (
    POLL_WAIT_S,
    custodian_events,
    receiver_events,
    undelivered_routes,
)
from counterfoil_consent.facts import Facts
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.schemas import NewRequest, ReadRequest, purpose_of
from counterfoil_consent.spec import REFUSAL_CLASSES, SUITE
from counterfoil_consent.states import name_of

SWEEP_EVERY_S: Final = 5.0
FINISHED_WITHIN_S: Final = 1.0
"""How long the answer to a withdrawal waits for the erasure. What takes longer goes on after it."""

_FINISHING: Final = 4
_NO_STORE: Final = {"Cache-Control": "no-store"}
_LOG: Final = logging.getLogger("counterfoil.consent")


async def _raw_body(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_raw_body)]


def create_app(
    custodian: Custodian,
    *,
    fetcher: Fetcher | None = None,
    sweep_every_s: float = SWEEP_EVERY_S,
    poll_wait_s: float = POLL_WAIT_S,
) -> FastAPI:
    """Give the custodian's app. It ends grants by its own clock while it runs.

    With a fetcher it pushes events to the receivers that want them so; all may poll.
    """
    app = FastAPI(
        title="Counterfoil custodian",
        lifespan=_sweeping(custodian.end_due, sweep_every_s),
        docs_url=None,
        redoc_url=None,
    )
    install_error_handlers(app)
    app.include_router(custodian_events(custodian, fetcher, poll_wait_s=poll_wait_s))

    @app.get("/custodian")
    def identity() -> JSONResponse:
        party = custodian.party
        named: JsonObject = {"origin": party.origin, "did": party.did, "suite": SUITE}
        return _answer({**named, "journal": custodian.journal_name})

    @app.post("/grants/{grant_id}/key")
    def key(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer({"key": custodian.issue_key(grant_id, _token(body))})

    @app.post("/grants")
    def register(body: RawBody) -> JSONResponse:
        custodian.register(_token(body))
        return _answer({"state": "registered"})

    @app.post("/grants/{grant_id}/receipt")
    def acknowledge(grant_id: str, body: RawBody) -> JSONResponse:
        custodian.acknowledge(grant_id, _token(body))
        return _answer({"state": "active"})

    @app.post("/grants/{grant_id}/leases")
    def lease(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer({"lease": custodian.lease(grant_id, _token(body))})

    @app.post("/grants/{grant_id}/pause")
    def pause(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer(custodian.pause(grant_id, _token(body)).to_json())

    @app.post("/grants/{grant_id}/confirmation")
    def confirm(grant_id: str, body: RawBody) -> JSONResponse:
        custodian.confirm(grant_id, _token(body))
        return _answer({"state": "confirmed"})

    @app.post("/grants/{grant_id}/usage")
    def usage(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer({"usage": custodian.usage(grant_id, _token(body))})

    @app.post("/grants/{grant_id}/end")
    def end(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer({"statement": custodian.end(grant_id, _token(body))})

    return app


def receiver_app(
    receiver: Receiver, back_office_key: str, *, sweep_every_s: float = SWEEP_EVERY_S
) -> FastAPI:
    """Give an app with a receiver's routes alone."""
    app = FastAPI(title="Counterfoil receiver", docs_url=None, redoc_url=None)
    install_error_handlers(app)
    app.include_router(receiver_routes(receiver, back_office_key, sweep_every_s=sweep_every_s))
    return app


def receiver_routes(
    receiver: Receiver,
    back_office_key: str,
    *,
    sweep_every_s: float = SWEEP_EVERY_S,
    finished_within_s: float = FINISHED_WITHIN_S,
) -> APIRouter:
    """Give the routes of a receiver. Those marked with the key are for its own staff's systems."""
    routes = APIRouter(prefix="/consent", lifespan=_sweeping(receiver.end_due, sweep_every_s))
    routes.include_router(receiver_events(receiver))
    staff = [Depends(BearerKey(back_office_key))]
    finishing = ThreadPoolExecutor(_FINISHING, thread_name_prefix="finishing")

    @routes.post("/requests", dependencies=staff)
    def request(body: NewRequest) -> JSONResponse:
        opened = receiver.request(body.to_wish())
        return _answer(
            {
                "id": opened.request_id,
                "link": opened.link,
                "expires_at": int(opened.expires_at.timestamp()),
            }
        )

    @routes.get("/requests/{request_id}")
    def request_object(request_id: str) -> Response:
        try:
            token = receiver.request_object(request_id)
        except Refused as refused:
            # The wallet's word for it: it is over, or never was.
            return JSONResponse({"error": refused.codes[0]}, 404, headers=_NO_STORE)
        return Response(token, media_type=REQUEST_MEDIA_TYPE, headers=_NO_STORE)

    @routes.get("/notices/{sha256}")
    def notice(sha256: str) -> PlainTextResponse:
        return PlainTextResponse(receiver.notice(sha256))

    @routes.get("/desk/requests/{request_id}", dependencies=staff)
    def desk(request_id: str) -> JSONResponse:
        grant = receiver.answer_to(request_id)
        if grant is None:
            return _answer({"state": "waiting"})
        return _answer({"state": name_of(grant.state), "grant_id": grant.grant_id})

    @routes.get("/desk/summary", dependencies=staff)
    def summary() -> JSONResponse:
        counted = receiver.summary()
        return _answer({"live": counted.live, "ended": counted.ended})

    routes.include_router(desk_routes(receiver.desk()), dependencies=staff)
    routes.include_router(undelivered_routes(receiver.outbox), dependencies=staff)

    @routes.post("/responses/{request_id}")
    def respond(request_id: str, body: RawBody) -> JSONResponse:
        form = _form(body)
        if "error" in form:
            receiver.refused(request_id)
            _LOG.info("a request was refused: %s", _refusal_class(form))
        else:
            receiver.receive(request_id, parse_response_form(form))
        return _answer({})

    @routes.post("/grants/{grant_id}/bundle")
    def bundle(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer({"receipt": receiver.accept_bundle(grant_id, body)})

    @routes.post("/grants/{grant_id}/end/access-events")
    def access_events(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer({"access_events": [*receiver.access_events(grant_id, _token(body))]})

    @routes.post("/grants/{grant_id}/end")
    def end(grant_id: str, body: RawBody) -> JSONResponse:
        notice = receiver.stop(grant_id, _token(body))
        # Most have erased when she is answered; whoever hangs holds her up no longer than this.
        wait([finishing.submit(receiver.finish, grant_id)], timeout=finished_within_s)
        return _answer({"stop_notice": notice})

    @routes.post("/grants/{grant_id}/end/pause")
    def pause(grant_id: str, body: RawBody) -> JSONResponse:
        return _answer(receiver.pause(grant_id, _token(body)).to_json())

    @routes.post("/grants/{grant_id}/complete", dependencies=staff)
    def complete(grant_id: str) -> JSONResponse:
        return _answer({"stop_notice": receiver.complete(grant_id)})

    @routes.post("/grants/{grant_id}/terminate", dependencies=staff)
    def terminate(grant_id: str) -> JSONResponse:
        return _answer({"stop_notice": receiver.terminate(grant_id)})

    @routes.post("/grants/{grant_id}/read", dependencies=staff)
    def read(grant_id: str, body: ReadRequest) -> JSONResponse:
        with receiver.read(grant_id, purpose_of(body.purpose)) as facts:
            lease: JsonObject = {"read": facts.lease.read, "max_reads": facts.lease.max_reads}
            return _answer({"facts": _spelled(facts), "lease": lease})

    @routes.get("/grants/{grant_id}/erasure-receipt")
    def erasure_receipt(grant_id: str) -> JSONResponse:
        return _answer({"erasure_receipt": receiver.erasure_receipt(grant_id)})

    return routes


def _spelled(facts: Facts) -> list[Json]:
    # The one place where facts become an answer: to the staff's own system, never stored.
    return [{**name.to_json(), "values": facts.all(name)} for name in sorted(facts.names, key=str)]


def _answer(body: JsonObject) -> JSONResponse:
    return JSONResponse(body, headers=_NO_STORE)


def _token(body: bytes) -> str:
    try:
        return body.decode("ascii")
    except UnicodeDecodeError as cause:
        raise Malformed("an ASCII token", "other bytes", "body") from cause


def _form(body: bytes) -> dict[str, str]:
    try:
        text = body.decode("ascii")
        fields = parse_qs(text, strict_parsing=True, max_num_fields=10, errors="strict")
    except ValueError as cause:
        raise Malformed("a form", "other bytes", "body") from cause
    if any(len(values) != 1 for values in fields.values()):
        raise Malformed("each field once", "one twice", "body")
    return {name: values[0] for name, values in fields.items()}


def _refusal_class(form: dict[str, str]) -> str:
    # A stranger's text: only a word of the list reaches a log.
    why = form.get("error_description", "")
    return why if why in REFUSAL_CLASSES else "no reason given"


def _sweeping(
    end_due: Callable[[], int], every_s: float
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """Give a lifespan during which `end_due` runs at once and then every `every_s` seconds."""

    def sweep() -> None:
        try:
            end_due()
        except Exception as trouble:  # noqa: BLE001  # a sweep that stops would end nothing more
            _LOG.warning("a sweep of ended grants failed: %s", type(trouble).__name__)

    return repeating(sweep, every_s)
