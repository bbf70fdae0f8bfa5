"""The issuer over HTTP: OpenID4VCI 1.0 for wallets, a back office for the brand.

    public   GET  /.well-known/{openid-credential-issuer,oauth-authorization-server,jwt-vc-issuer}
             GET  /types/{name}   /status-lists   /status-lists/{n}   /offers/{reference}
    wallet   POST /token   /nonce   /credential   /deferred_credential   /notification
    staff    POST /back-office/orders (text/csv)   GET /back-office/orders?email=
             POST /back-office/orders/{order}/offers
             GET  /back-office/credentials?order=   /back-office/summary
             POST /back-office/credentials/{id}/revoke

An identifier with a path (`https://host/audio`) puts every route but the
well-known ones below it; the well-known names are inserted before the path.

What wallets and everybody may ask is answered by `hot_routes`, before FastAPI sees it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_service.access import BearerKey
from counterfoil_service.errors import LimitBodySize, install_error_handlers
from counterfoil_service.repeating import repeating
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil_issuer.authorization_request import needs_pushing
from counterfoil_issuer.batch_rows import MAX_FILE_BYTES
from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.credential_request import OPTIONAL, Secrecy, encryption_metadata
from counterfoil_issuer.exchange import MAX_BODY_BYTES
from counterfoil_issuer.hot_routes import HotRoutes
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.metadata import Features
from counterfoil_issuer.public_routes import public_paths, public_trees
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
from counterfoil_issuer.spec import AUTHORIZATION_CODE_GRANT
from counterfoil_issuer.wallet_routes import Redeem, WalletDesk, wallet_paths
from counterfoil_issuer.wallet_schemas import access_token_scheme, hot_path_items

TIDY_EVERY_S: Final = 3_600
CSV_MEDIA_TYPE: Final = "text/csv"
_NOT_FOUND: Final = frozenset({"order-unknown", "credential-unknown"})

_Answer = TypeVar("_Answer")


def create_app(
    issuer: Issuer,
    *,
    back_office_key: str,
    clients: ClientPolicy | None = None,
    secrecy: Secrecy = OPTIONAL,
    grants: Mapping[str, Redeem] | None = None,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """Give the service around `issuer`. Staff calls carry `back_office_key` as bearer key.

    `clients` says which wallets are let in how, `secrecy` what must be encrypted.
    `grants` are the grant types of the token endpoint besides the pre-authorized code,
    by their names, and `routers` the paths that belong to them, below the identifier's.
    """

    def tidy() -> None:
        # A busy database waits for the next round.
        with suppress(Unavailable):
            issuer.tidy()

    desk = WalletDesk(
        issuer=issuer, clients=clients or ClientPolicy(), secrecy=secrecy, grants=grants or {}
    )
    lifespan = repeating(tidy, TIDY_EVERY_S)
    app = FastAPI(title="Counterfoil issuer", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_error_handlers(app, max_body_bytes=MAX_FILE_BYTES)
    prefix = urlsplit(issuer.url).path
    app.add_middleware(_BoundBodies, orders_path=f"{prefix}/back-office/orders")
    for router in routers:
        app.include_router(router, prefix=prefix)
    app.include_router(
        _back_office_routes(issuer),
        prefix=f"{prefix}/back-office",
        dependencies=[Depends(BearerKey(back_office_key))],
    )
    app.add_middleware(
        HotRoutes,
        paths=public_paths(issuer, _features(desk)) | wallet_paths(desk),
        below=public_trees(issuer),
    )
    _document_hot_routes(app, issuer.url)
    return app


def _features(desk: WalletDesk) -> Features:
    """Give what the metadata announces of this service."""
    issuer, clients = desk.issuer, desk.clients
    algorithms = tuple(sorted(clients.algorithms))
    return Features(
        batch_size=issuer.options.batch_size,
        encryption=lambda: encryption_metadata(issuer.keys.ring().announced, desk.secrecy),
        authorization_codes=AUTHORIZATION_CODE_GRANT in desk.grants,
        pushed_only=needs_pushing(clients),
        dpop=() if clients.dpop is Demand.OFF else algorithms,
        anonymous=clients.attestation is not Demand.REQUIRED,
        attestation=() if clients.attestation is Demand.OFF else algorithms,
    )


def _document_hot_routes(app: FastAPI, issuer_url: str) -> None:
    """Let the OpenAPI document tell of the paths that FastAPI does not see."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        document = written()
        document["paths"] = hot_path_items(issuer_url) | document.get("paths", {})
        components = document.setdefault("components", {})
        components["securitySchemes"] = access_token_scheme() | components.get(
            "securitySchemes", {}
        )
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


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


def _found(act: Callable[[], _Answer]) -> _Answer:
    """Give what `act` gives; what it does not know is 404."""
    try:
        return act()
    except Refused as refused:
        if _NOT_FOUND.isdisjoint(refused.codes):
            raise
        raise HTTPException(404, str(refused)) from refused


def _require_media_type(request: Request, expected: str) -> None:
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found != expected:
        raise Malformed(expected, "another media type", "Content-Type")
