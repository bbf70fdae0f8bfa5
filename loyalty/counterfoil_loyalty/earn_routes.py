"""Awards by a root, over HTTP.

    POST  /earn-roots                            a root and its list, signed by the brand
    GET   /accounts/{account}/earned?brand=…     her part of it: total, claimable, proof
    POST  /earn-claims                           her part is minted, once

A list is the one body here above 16 KiB: `BoundBodies` lets it be 1 MiB.
"""

from typing import Annotated, Any, Final

from counterfoil_service.errors import LimitBodySize
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil_loyalty.accounts import account_from
from counterfoil_loyalty.earn_desk import EarnDesk
from counterfoil_loyalty.earn_schemas import EarnClaimBody, EarnRootBody
from counterfoil_loyalty.earning import EarnRoot
from counterfoil_loyalty.service import Done, Pending, PointsService

MAX_LIST_BYTES: Final = 1_048_576
_MAX_BYTES: Final = 16_384
_LISTS: Final = "/earn-roots"

_BrandQuery = Annotated[str, Query(min_length=1, max_length=256)]


class BoundBodies:
    """ASGI middleware: a list may have `MAX_LIST_BYTES`, every other body 16 KiB."""

    def __init__(self, app: ASGIApp) -> None:
        self._of_lists = LimitBodySize(app, max_bytes=MAX_LIST_BYTES)
        self._of_others = LimitBodySize(app, max_bytes=_MAX_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_list = scope["type"] == "http" and scope["path"] == _LISTS
        await (self._of_lists if is_list else self._of_others)(scope, receive, send)


def earn_routes(service: PointsService) -> APIRouter:
    """Give the routes over `service`."""
    router = APIRouter()
    desk = EarnDesk(service)

    @router.post(_LISTS)
    def publish(body: EarnRootBody) -> JSONResponse:
        root = EarnRoot(
            token=service.brand(body.brand).token,
            root=bytes.fromhex(body.root),
            epoch=body.epoch,
            total=body.total,
        )
        totals = {account_from(it, "totals"): units for it, units in body.totals.items()}
        return _answer(desk.publish(root, bytes.fromhex(body.signature), totals))

    @router.get("/accounts/{account}/earned")
    def earned(account: str, brand: _BrandQuery) -> dict[str, Any]:
        found = desk.earned(brand, account_from(account, "account"))
        return {
            "brand": brand,
            "total": found.total,
            "claimable": found.claimable,
            "proof": [it.hex() for it in found.proof],
        }

    @router.post("/earn-claims")
    def claim(body: EarnClaimBody) -> JSONResponse:
        proof = tuple(bytes.fromhex(it) for it in body.proof)
        account = account_from(body.account, "account")
        return _answer(desk.claim(body.brand, account, body.total, proof))

    return router


def _answer(found: Done | Pending) -> JSONResponse:
    if isinstance(found, Pending):
        return JSONResponse({"state": "pending"}, 202, headers={"Retry-After": "1"})
    return JSONResponse({"state": "done", "transaction": found.transaction_id})
