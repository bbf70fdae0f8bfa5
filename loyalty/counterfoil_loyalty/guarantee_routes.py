"""Refund guarantees, over HTTP.

    POST  /guarantees                 points are set aside, signed by the funder
    POST  /guarantees/fulfilments     back to the funder: the attester says "kept"
    POST  /guarantees/refunds         to the customer: the attester says so, or the time is over
    GET   /guarantees/{name}          open, kept, refunded or unknown

Anybody sends the second and the third. The same again is answered as the first.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from counterfoil_loyalty.guarantee import FulfilGuarantee, RefundGuarantee
from counterfoil_loyalty.guarantee_desk import GuaranteeDesk
from counterfoil_loyalty.guarantee_schemas import (
    FulfilmentBody,
    GuaranteeBody,
    GuaranteeRefundBody,
    OpeningBody,
)
from counterfoil_loyalty.service import Done, Pending, PointsService

_Name = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


def guarantee_routes(service: PointsService) -> APIRouter:
    """Give the routes over `service`."""
    router = APIRouter()
    desk = GuaranteeDesk(service)

    @router.post("/guarantees")
    def open_(body: OpeningBody) -> JSONResponse:
        it = body.guarantee(service.brand(body.brand).token)
        return _answer(body, desk.open(it, bytes.fromhex(body.signature)), service)

    @router.post("/guarantees/fulfilments")
    def fulfil(body: FulfilmentBody) -> JSONResponse:
        it = body.guarantee(service.brand(body.brand).token)
        action = FulfilGuarantee(it, bytes.fromhex(body.statement))
        return _answer(body, service.perform(action), service)

    @router.post("/guarantees/refunds")
    def refund(body: GuaranteeRefundBody) -> JSONResponse:
        it = body.guarantee(service.brand(body.brand).token)
        action = RefundGuarantee(it, bytes.fromhex(body.statement))
        return _answer(body, service.perform(action), service)

    @router.get("/guarantees/{name}")
    def state(name: _Name) -> dict[str, Any]:
        return {"guarantee": name, "state": desk.state(bytes.fromhex(name)).value}

    return router


def _answer(body: GuaranteeBody, found: Done | Pending, service: PointsService) -> JSONResponse:
    if isinstance(found, Pending):
        return JSONResponse({"state": "pending"}, 202, headers={"Retry-After": "1"})
    it = body.guarantee(service.brand(body.brand).token)
    name = it.digest(service.identity.venue).hex()
    return JSONResponse({"state": "done", "guarantee": name, "transaction": found.transaction_id})
