"""The notary over HTTP, for services that run no chain.

    POST  /notary/roots            a root, after the head of its issuer's chain
    POST  /notary/recalls          a recall is opened
    POST  /notary/recalls/ends     and closed

Each is signed by its issuer, who may be anybody with a key: so the operator, who pays,
lets in by its own key whoever may write. The same again is answered as the first.
"""

from counterfoil_service.access import BearerKey
from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from counterfoil_loyalty.notary import AnchorRoot, CloseRecall, OpenRecall
from counterfoil_loyalty.notary_schemas import AnchorBody, RecallBody, RecallEndBody
from counterfoil_loyalty.service import Pending, PointsService


def notary_routes(service: PointsService, operator: BearerKey) -> APIRouter:
    """Give the routes over `service`, for whoever carries the operator's key."""
    router = APIRouter(prefix="/notary", dependencies=[Depends(operator)])

    @router.post("/roots")
    def anchor(body: AnchorBody) -> JSONResponse:
        return _perform(service, body.action())

    @router.post("/recalls")
    def recall(body: RecallBody) -> JSONResponse:
        return _perform(service, body.action())

    @router.post("/recalls/ends")
    def close(body: RecallEndBody) -> JSONResponse:
        return _perform(service, body.action())

    return router


def _perform(service: PointsService, action: AnchorRoot | OpenRecall | CloseRecall) -> JSONResponse:
    found = service.perform(action)
    if isinstance(found, Pending):
        return JSONResponse({"state": "pending"}, 202, headers={"Retry-After": "1"})
    return JSONResponse({"state": "done", "transaction": found.transaction_id})
