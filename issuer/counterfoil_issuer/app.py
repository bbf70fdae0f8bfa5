"""The issuer over HTTP: OpenID4VCI 1.0 for wallets, a back office for the brand.

    public   GET  /.well-known/{openid-credential-issuer,oauth-authorization-server,jwt-vc-issuer}
             GET  /types/{name}   /status-lists   /status-lists/{n}   /offers/{reference}
    wallet   POST /token   /nonce   /credential   /deferred_credential   /notification
    staff    /back-office/...                                       see back_office_routes.py

An identifier with a path (`https://host/audio`) puts every route but the
well-known ones below it; the well-known names are inserted before the path.

What wallets and everybody may ask is answered by `hot_routes`, before FastAPI sees it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from counterfoil_credentials.errors import Unavailable
from counterfoil_service.errors import LimitBodySize, install_error_handlers
from counterfoil_service.repeating import Lifespan, repeating, together
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil_issuer.authorization_request import needs_pushing
from counterfoil_issuer.back_office_routes import back_office_routes
from counterfoil_issuer.batch_rows import MAX_FILE_BYTES
from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.credential_request import OPTIONAL, Secrecy, encryption_metadata
from counterfoil_issuer.exchange import MAX_BODY_BYTES
from counterfoil_issuer.hot_routes import HotRoutes
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.job_desk import JobDesk
from counterfoil_issuer.metadata import Features
from counterfoil_issuer.public_routes import public_paths, public_trees
from counterfoil_issuer.spec import AUTHORIZATION_CODE_GRANT
from counterfoil_issuer.staff import Staff
from counterfoil_issuer.wallet_routes import Redeem, WalletDesk, wallet_paths
from counterfoil_issuer.wallet_schemas import access_token_scheme, hot_path_items

TIDY_EVERY_S: Final = 3_600
JOBS_EVERY_S: Final = 1.0


def create_app(
    issuer: Issuer,
    *,
    clients: ClientPolicy | None = None,
    secrecy: Secrecy = OPTIONAL,
    grants: Mapping[str, Redeem] | None = None,
    routers: Sequence[APIRouter] = (),
    staff: Staff | None = None,
    working: Sequence[Lifespan] = (),
) -> FastAPI:
    """Give the service around `issuer`; without `staff` it has no back office.

    `clients` says which wallets are let in how, `secrecy` what must be encrypted.
    `grants` are the grant types of the token endpoint besides the pre-authorized code,
    by their names, and `routers` the paths that belong to them, below the identifier's.
    `staff` says who may do what in the back office, `working` what runs beside it.
    """

    def tidy() -> None:
        # A busy database waits for the next round.
        with suppress(Unavailable):
            issuer.tidy()

    desk = WalletDesk(
        issuer=issuer, clients=clients or ClientPolicy(), secrecy=secrecy, grants=grants or {}
    )
    works = [repeating(tidy, TIDY_EVERY_S), *working]
    if staff is not None:
        works.append(_job_runner(staff.desk))
    app = _Service(
        title="Counterfoil issuer",
        lifespan=together(works),
        docs_url=None,
        redoc_url=None,
        # The request log and the metrics are ours; looking for another's costs each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    install_error_handlers(app, max_body_bytes=MAX_FILE_BYTES)
    prefix = urlsplit(issuer.url).path
    files = frozenset(f"{prefix}/back-office/{name}" for name in ("orders", "jobs"))
    app.add_middleware(_BoundBodies, file_paths=files)
    for router in routers:
        app.include_router(router, prefix=prefix)
    if staff is not None:
        app.include_router(back_office_routes(staff), prefix=f"{prefix}/back-office")
    app.add_middleware(
        HotRoutes,
        paths=public_paths(issuer, _features(desk)) | wallet_paths(desk),
        below=public_trees(issuer),
    )
    _document_hot_routes(app, issuer.url)
    return app


def _job_runner(desk: JobDesk) -> Lifespan:
    def do_jobs() -> None:
        with suppress(Unavailable):
            desk.run_waiting()

    return repeating(do_jobs, JOBS_EVERY_S)


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


class _Service(FastAPI):
    """FastAPI, with what answers before it before all of its own middleware too.

    What FastAPI puts around every application looks for failures and telemetry in five
    steps; the hot routes see to their failures themselves, and there is no telemetry.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stack = self.middleware_stack
        if scope["type"] != "http" or stack is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the hot routes first, and the request log and what else was added after them."""
        added: list[Middleware] = self.user_middleware
        first: object = HotRoutes
        place = next(n for n, each in enumerate(added, 1) if each.cls is first)
        self.user_middleware = added[place:]
        app = super().build_middleware_stack()
        self.user_middleware = added
        for each in reversed(added[:place]):
            app = each.cls(app, *each.args, **each.kwargs)
        return app


class _BoundBodies:
    """ASGI middleware: a file may be large, and every other body is small.

    FastAPI reads a JSON body before it asks for the key, so the bound must not wait for it.
    """

    def __init__(self, app: ASGIApp, *, file_paths: frozenset[str]) -> None:
        self._small = LimitBodySize(app, max_bytes=MAX_BODY_BYTES)
        self._files = LimitBodySize(app, max_bytes=MAX_FILE_BYTES)
        self._file_paths = file_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_file = scope["type"] == "http" and scope["path"] in self._file_paths
        await (self._files if is_file else self._small)(scope, receive, send)
