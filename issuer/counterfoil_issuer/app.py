"""The issuer over HTTP: OpenID4VCI 1.0 for wallets, a back office for the brand.

    issuer   GET  /.well-known/{openid-credential-issuer,oauth-authorization-server,jwt-vc-issuer}
             GET  /types/{name}   /status-lists   /status-lists/{n}
    wallet   GET  /offers/{reference}
             POST /token   /nonce   /credential   /deferred_credential   /notification
    staff    POST /back-office/orders (text/csv)   GET /back-office/orders?email=
             POST /back-office/orders/{order}/offers
             GET  /back-office/credentials?order=   /back-office/summary
             POST /back-office/credentials/{id}/revoke

An identifier with a path (`https://host/audio`) puts every route but the
well-known ones below it; the well-known names are inserted before the path.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.issuer_keys import well_known
from counterfoil_credentials.spec import (
    FORM_MEDIA_TYPE,
    JSON_MEDIA_TYPE,
    STATUS_LIST_MEDIA_TYPE,
    WELL_KNOWN_AUTHORIZATION_SERVER,
    WELL_KNOWN_CREDENTIAL_ISSUER,
    WELL_KNOWN_JWT_VC_ISSUER,
)
from counterfoil_service.access import BearerKey
from counterfoil_service.errors import LimitBodySize, error_response, install_error_handlers
from counterfoil_service.repeating import repeating
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil_issuer.deferred import Deferred
from counterfoil_issuer.importing import MAX_FILE_BYTES
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.schemas import (
    CredentialAnswer,
    CredentialsAnswer,
    ImportAnswer,
    OfferedAnswer,
    OfferRequest,
    OrderAnswer,
    OrdersAnswer,
    RevocationRequest,
    SummaryAnswer,
)
from counterfoil_issuer.spec import (
    ACCESS_TOKEN,
    AUTHORIZATION_DETAILS,
    BEARER,
    C_NONCE,
    CREDENTIAL,
    CREDENTIAL_RESPONSE_ENCRYPTION,
    CREDENTIALS,
    EXPIRES_IN,
    INTERVAL,
    NOTIFICATION_ID,
    TOKEN_TYPE,
    TRANSACTION_ID,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.tokens import Presented

MAX_BODY_BYTES: Final = 65_536
MAX_FORM_FIELDS: Final = 50
TIDY_EVERY_S: Final = 3_600
CSV_MEDIA_TYPE: Final = "text/csv"
_NO_STORE: Final = {"Cache-Control": "no-store"}
# A browser that opens a document must not take it for a page (SD-JWT VC, section 7.2).
_METADATA: Final = {
    "Cache-Control": "max-age=300",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}
_RESOURCE: Final = "resource"  # RFC 8707, section 2: may be repeated
_NOT_FOUND: Final = frozenset({"order-unknown", "credential-unknown"})

_Answer = TypeVar("_Answer")


def create_app(issuer: Issuer, *, back_office_key: str) -> FastAPI:
    """Give the service around `issuer`. Staff calls carry `back_office_key` as bearer key."""

    def tidy() -> None:
        # A busy database waits for the next round.
        with suppress(Unavailable):
            issuer.tidy()

    lifespan = repeating(tidy, TIDY_EVERY_S)
    app = FastAPI(title="Counterfoil issuer", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_error_handlers(app, max_body_bytes=MAX_FILE_BYTES)
    prefix = urlsplit(issuer.url).path
    app.add_middleware(_BoundBodies, orders_path=f"{prefix}/back-office/orders")
    _add_well_known(app, issuer)
    app.include_router(_public_routes(issuer), prefix=prefix)
    app.include_router(_wallet_routes(issuer), prefix=prefix)
    app.include_router(
        _back_office_routes(issuer),
        prefix=f"{prefix}/back-office",
        dependencies=[Depends(BearerKey(back_office_key))],
    )
    return app


def _add_well_known(app: FastAPI, issuer: Issuer) -> None:
    documents: dict[str, Callable[[], JsonObject]] = {
        WELL_KNOWN_CREDENTIAL_ISSUER: issuer.metadata,
        WELL_KNOWN_AUTHORIZATION_SERVER: issuer.authorization_server_metadata,
        WELL_KNOWN_JWT_VC_ISSUER: issuer.keys_document,
    }
    for name, document in documents.items():
        path = urlsplit(well_known(issuer.url, name)).path
        app.get(path, operation_id=name, response_class=Response)(_serving(document))


def _serving(document: Callable[[], JsonObject]) -> Callable[[], Response]:
    def serve() -> Response:
        return _json(document(), _METADATA)

    return serve


def _public_routes(issuer: Issuer) -> APIRouter:
    router = APIRouter()

    @router.get("/types/{name}", response_class=Response)
    def type_metadata(name: str) -> Response:
        document = issuer.type_metadata(name)
        if document is None:
            raise HTTPException(404, "expected a credential type of this issuer, found another")
        return _json(document, _METADATA)

    @router.get("/status-lists", response_class=Response)
    def status_lists() -> Response:
        return _json(issuer.status_lists(), _METADATA)

    @router.get("/status-lists/{number}", response_class=Response)
    def status_list(number: int) -> Response:
        token = issuer.status_list(number)
        if token is None:
            raise HTTPException(404, "expected a status list of this issuer, found none")
        ttl_s = int(issuer.options.status_list_ttl.total_seconds())
        headers = {"Cache-Control": f"max-age={ttl_s}"}
        return Response(token, media_type=STATUS_LIST_MEDIA_TYPE, headers=headers)

    return router


def _wallet_routes(issuer: Issuer) -> APIRouter:
    router = APIRouter()

    @router.get("/offers/{reference}", response_class=Response)
    def offer(reference: str) -> Response:
        offered = issuer.offered(reference)
        if offered is None:
            raise HTTPException(404, "expected an open offer, found none: ask for a new one")
        return _json(offered, _NO_STORE)

    @router.post("/token", response_class=Response)
    async def token(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        async def redeem() -> Response:
            access = await issuer.redeem(_form(request, body))
            answer: JsonObject = {
                ACCESS_TOKEN: access.value,
                TOKEN_TYPE: access.token_type,
                EXPIRES_IN: access.expires_in_s,
            }
            if access.authorization_details is not None:
                answer[AUTHORIZATION_DETAILS] = access.authorization_details
            return _json(answer, _NO_STORE)

        return await _answer(redeem)

    @router.post("/nonce", response_class=Response)
    def nonce() -> Response:
        return _json({C_NONCE: issuer.nonce()}, _NO_STORE)

    @router.post("/credential", response_class=Response)
    async def credential(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        async def issue() -> Response:
            presented = _presented(request)
            asked = _json_body(request, body, ErrorCode.INVALID_CREDENTIAL_REQUEST)
            if CREDENTIAL_RESPONSE_ENCRYPTION in asked:
                raise refusal(
                    ErrorCode.INVALID_ENCRYPTION_PARAMETERS,
                    "no encryption: the metadata announces none",
                    "some",
                    CREDENTIAL_RESPONSE_ENCRYPTION,
                )
            return _credentials(await issuer.issue(presented, asked))

        return await _answer(issue)

    @router.post("/deferred_credential", response_class=Response)
    async def deferred(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        async def issue() -> Response:
            presented = _presented(request)
            asked = _json_body(request, body, ErrorCode.INVALID_CREDENTIAL_REQUEST)
            return _credentials(await issuer.deferred(presented, asked))

        return await _answer(issue)

    @router.post("/notification", response_class=Response, status_code=204)
    async def notification(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        async def notify() -> Response:
            presented = _presented(request)
            said = _json_body(request, body, ErrorCode.INVALID_NOTIFICATION_REQUEST)
            await issuer.notify(presented, said)
            return Response(status_code=204, headers=_NO_STORE)

        return await _answer(notify)

    return router


def _back_office_routes(issuer: Issuer) -> APIRouter:
    router = APIRouter()

    @router.post("/orders")
    def import_orders(request: Request, body: Annotated[bytes, Depends(_body)]) -> ImportAnswer:
        _require_media_type(request, CSV_MEDIA_TYPE)
        return ImportAnswer.of(issuer.import_orders(body))

    @router.get("/orders")
    def orders(email: Annotated[str, Query(min_length=3, max_length=254)]) -> OrdersAnswer:
        return OrdersAnswer(orders=[OrderAnswer.of(order) for order in issuer.orders_of(email)])

    @router.post("/orders/{order}/offers")
    def offer(order: str, request: OfferRequest | None = None) -> OfferedAnswer:
        asked = request or OfferRequest()
        offered = _found(lambda: issuer.offer(order, with_tx_code=asked.tx_code))
        return OfferedAnswer.of(order, offered)

    @router.get("/credentials")
    def credentials(order: Annotated[str, Query(min_length=1, max_length=40)]) -> CredentialsAnswer:
        records = issuer.credentials_of(order)
        return CredentialsAnswer(credentials=[CredentialAnswer.of(record) for record in records])

    @router.post("/credentials/{credential_id}/revoke")
    def revoke(credential_id: str, request: RevocationRequest) -> CredentialAnswer:
        return CredentialAnswer.of(_found(lambda: issuer.revoke(credential_id, request.reason)))

    @router.get("/summary")
    def summary() -> SummaryAnswer:
        return SummaryAnswer.of(issuer.summary())

    return router


class _BoundBodies:
    """ASGI middleware: the orders file may be large, and every other body is small.

    FastAPI reads a JSON body before it asks for the key, so the bound must not wait for it.
    """

    def __init__(self, app: ASGIApp, *, orders_path: str) -> None:
        self._small = LimitBodySize(app, max_bytes=MAX_BODY_BYTES)
        self._orders = LimitBodySize(app, max_bytes=MAX_FILE_BYTES)
        self._orders_path = orders_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_orders = scope["type"] == "http" and scope["path"] == self._orders_path
        await (self._orders if is_orders else self._small)(scope, receive, send)


async def _body(request: Request) -> bytes:
    return await request.body()


async def _answer(act: Callable[[], Awaitable[Response]]) -> Response:
    """Give what `act` gives, or the protocol's error for its refusal.

    RFC 6749, section 5.2; RFC 6750, section 3; OpenID4VCI 1.0, sections 8.3.1 and 11.3.
    """
    try:
        return await act()
    except Refused as refused:
        reason = refused.reasons[0]
        status, headers = 400, dict[str, str]()
        if reason.code == ErrorCode.INVALID_TOKEN:
            status, headers = 401, {"WWW-Authenticate": f'{BEARER} error="{reason.code}"'}
        elif reason.code == ErrorCode.INSUFFICIENT_SCOPE:
            status, headers = 403, {"WWW-Authenticate": f'{BEARER} error="{reason.code}"'}
        return error_response(status, reason.code, str(reason), headers=headers)


def _found(act: Callable[[], _Answer]) -> _Answer:
    """Give what `act` gives; what it does not know is 404."""
    try:
        return act()
    except Refused as refused:
        if _NOT_FOUND.isdisjoint(refused.codes):
            raise
        raise HTTPException(404, str(refused)) from refused


def _credentials(issued: Issued | Deferred) -> Response:
    if isinstance(issued, Deferred):
        waiting: JsonObject = {TRANSACTION_ID: issued.transaction_id, INTERVAL: issued.interval_s}
        return _json(waiting, _NO_STORE, status=202)
    return _json(
        {
            CREDENTIALS: [{CREDENTIAL: credential} for credential in issued.credentials],
            NOTIFICATION_ID: issued.notification_id,
        },
        _NO_STORE,
    )


def _presented(request: Request) -> Presented:
    """Give the token of the Authorization header, the one place we take it from (RFC 6750, 2)."""
    if ACCESS_TOKEN in request.query_params:
        raise refusal(
            ErrorCode.INVALID_REQUEST,
            "the access token in the Authorization header",
            "one in the URL, where logs keep it",
            ACCESS_TOKEN,
        )
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return Presented(token.strip() if scheme.lower() == BEARER.lower() else None)


def _form(request: Request, body: bytes) -> dict[str, str]:
    """Give a form's fields; one sent twice is refused (RFC 6749, section 3.2)."""
    where = "token_request"
    try:
        _require_media_type(request, FORM_MEDIA_TYPE)
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except Malformed as error:
        raise refusal(
            ErrorCode.INVALID_REQUEST, error.expected, error.found, error.where
        ) from error
    except ValueError as error:
        raise refusal(ErrorCode.INVALID_REQUEST, "a form", "other bytes", where) from error
    names = [name for name, _ in pairs if name != _RESOURCE]
    if len(set(names)) < len(names):
        raise refusal(ErrorCode.INVALID_REQUEST, "each parameter once", "one repeated", where)
    return dict(pairs)


def _json_body(request: Request, body: bytes, code: ErrorCode) -> JsonObject:
    try:
        _require_media_type(request, JSON_MEDIA_TYPE)
        return parse_object(body, "body", max_bytes=MAX_BODY_BYTES)
    except Malformed as error:
        raise refusal(code, error.expected, error.found, error.where) from error


def _require_media_type(request: Request, expected: str) -> None:
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found != expected:
        raise Malformed(expected, "another media type", "Content-Type")


def _json(value: JsonObject, headers: dict[str, str], *, status: int = 200) -> Response:
    return Response(compact_json(value), status, headers, JSON_MEDIA_TYPE)
