"""The shop's service: HTTP in and out, no decisions.

Toward the wallet (OpenID4VP 1.0): `GET /requests/{id}`, `POST /responses/{id}`.
Toward the counter, with its bearer key: `POST /counter/requests`,
`GET /counter/requests/{id}`, `POST /counter/check`, `GET /counter/summary`.

A wallet hears only that its answer was not accepted: reasons would help whoever
tries keys. The counter hears everything.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final
from urllib.parse import parse_qsl

from counterfoil_credentials import spec
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_service.access import BearerKey
from counterfoil_service.errors import error_response, install_error_handlers
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from counterfoil_verifier.answering import NoAnswer
from counterfoil_verifier.counter import Counter
from counterfoil_verifier.requesting import NotOpen, RequestId, SessionId
from counterfoil_verifier.schemas import AskBody, AskedBody, CheckBody, LookBody, SummaryBody

MAX_BODY_BYTES: Final = 524_288
READ_WITHIN_S: Final = 10
TIDY_EVERY_S: Final = 10
_NO_STORE: Final = {"Cache-Control": "no-store"}


async def _form(request: Request) -> Mapping[str, str]:
    """Give the fields of a form body; a slow sender loses its connection, not ours."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != spec.FORM_MEDIA_TYPE:
        raise Malformed(spec.FORM_MEDIA_TYPE, "another media type", "Content-Type")
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            body = await request.body()
    except TimeoutError as cause:
        raise HTTPException(408, "expected the whole body sooner") from cause
    return parse_form(body)


def parse_form(body: bytes) -> dict[str, str]:
    """Give the fields of an `application/x-www-form-urlencoded` body, each once, in UTF-8."""
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=20,
        )
    except ValueError as cause:
        raise Malformed("a form of at most 20 fields in UTF-8", "other bytes", "body") from cause
    form = dict(fields)
    if len(form) != len(fields):
        raise Malformed("each field once", "one twice", "body")
    return form


def create_app(counter: Counter, *, counter_key: str) -> FastAPI:
    """Give the service of one counter; `counter_key` opens the counter's own side."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        tidying = asyncio.create_task(_tidy_for_ever(counter))
        yield
        tidying.cancel()

    app = FastAPI(
        title="Counterfoil verifier",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # OpenID4VP knows no redirects, and a wallet must not follow one.
        redirect_slashes=False,
    )
    install_error_handlers(app, max_body_bytes=MAX_BODY_BYTES)
    _face_wallets(app, counter)
    _face_the_counter(app, counter, BearerKey(counter_key))
    return app


def _face_wallets(app: FastAPI, counter: Counter) -> None:
    @app.get("/requests/{request_id}")
    def request_object(request_id: str) -> Response:
        try:
            signed = counter.request_object(RequestId(request_id))
        except NotOpen:
            return error_response(404, "invalid_request", "no open request has this address")
        return Response(signed, media_type=spec.REQUEST_MEDIA_TYPE, headers=_NO_STORE)

    # That a refused presentation is answered with 4xx is not in the standard yet;
    # the conformance suite expects it (openid/OpenID4VP, issue 740).
    @app.post("/responses/{request_id}")
    def response(request_id: str, form: Annotated[Mapping[str, str], Depends(_form)]) -> Response:
        try:
            received = counter.receive(RequestId(request_id), form)
        except NotOpen:
            return error_response(400, "invalid_request", "this request is not open")
        except (Malformed, NoAnswer):
            return error_response(400, "invalid_request", "expected a vp_token and a state")
        except Refused:
            return error_response(400, "access_denied", "the presentation was not accepted")
        except Unavailable:
            return error_response(
                503, "temporarily_unavailable", "the presentation could not be checked"
            )
        told = {"redirect_uri": received.redirect_uri, "match_code": received.match_code}
        body = {name: text for name, text in told.items() if text is not None}
        return JSONResponse(body, headers=_NO_STORE)


def _face_the_counter(app: FastAPI, counter: Counter, allowed: BearerKey) -> None:
    only_the_counter = [Depends(allowed)]

    @app.post("/counter/requests", dependencies=only_the_counter)
    def ask(body: AskBody, response: Response) -> AskedBody:
        response.headers.update(_NO_STORE)
        return AskedBody.of(counter.ask(body.preset, body.language))

    @app.get("/counter/requests/{session_id}", dependencies=only_the_counter)
    def look(session_id: str, response: Response) -> LookBody:
        response.headers.update(_NO_STORE)
        try:
            return LookBody.of(counter.look(SessionId(session_id)))
        except NotOpen as unknown:
            raise HTTPException(404, str(unknown)) from unknown

    @app.post("/counter/check", dependencies=only_the_counter)
    def check(body: CheckBody, response: Response) -> LookBody:
        response.headers.update(_NO_STORE)
        return LookBody.of(counter.check(SessionId(body.id), body.presentation))

    @app.get("/counter/summary", dependencies=only_the_counter)
    def summary(response: Response) -> SummaryBody:
        response.headers.update(_NO_STORE)
        return SummaryBody.of(counter.summary())


async def _tidy_for_ever(counter: Counter) -> None:
    while True:
        # A busy database waits for the next round; the facts in memory went first.
        with suppress(Unavailable):
            await run_in_threadpool(counter.tidy)
        await asyncio.sleep(TIDY_EVERY_S)
