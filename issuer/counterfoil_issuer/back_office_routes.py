"""The back office over HTTP: what staff and the brand's own systems call.

    staff = staff_of(issuer, store, back_office_key=key)
    app.include_router(back_office_routes(staff), prefix="/back-office")

    types         GET  /types
    offers        POST /offers   DELETE /offers/{id}   POST /orders/{order}/offers
    orders        POST /orders (text/csv)   POST /orders/search   POST /orders/{order}/returns
    waiting       POST /datasets/{id}/release | deny
    issued        GET  /credentials?...   GET /credentials/{id}
                  POST /credentials/{id}/revoke | suspend | reinstate | reissue | transfer
    many at once  GET, POST /proposals   GET /proposals/{id}   POST .../approve | reject
    jobs          POST /jobs?kind= (text/csv, application/json)   GET /jobs   GET /jobs/{id}
    owner         GET, POST /keys   DELETE /keys/{name}
    auditor       GET /audit   GET /audit/check
    everybody     GET /summary

Who may call, and how a write is done, stands in `staff.py`.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, TypeAlias

from counterfoil_service.access import Caller
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.security import HTTPBearer

from counterfoil_issuer.back_office import Sitting, Wanted
from counterfoil_issuer.issued_routes import add_issued, add_many
from counterfoil_issuer.jobs import ORDERS
from counterfoil_issuer.offer_schemas import (
    DatasetStateAnswer,
    ImportAnswer,
    NewOfferRequest,
    OfferedAnswer,
    OfferRequest,
    OpenOfferAnswer,
    OrderAnswer,
    OrdersAnswer,
    OrderSearchRequest,
    ReturnedAnswer,
    ReturnRequest,
    TypeAnswer,
    TypesAnswer,
    WithdrawnAnswer,
)
from counterfoil_issuer.offering import Grant
from counterfoil_issuer.schemas import Opaque, OrderName, RowErrorAnswer, Told, json_object
from counterfoil_issuer.staff import (
    BUYERS,
    CARE,
    CSV,
    ERRORS,
    OFFERS,
    READ,
    REVOKE,
    IdempotencyKey,
    Staff,
    StaffRoute,
    file_body,
    file_bytes,
    require_media_type,
    write,
)
from counterfoil_issuer.staff_routes import add_jobs, add_log, add_owner


def back_office_routes(staff: Staff) -> APIRouter:
    """Give the routes, below the back office's path."""
    router = APIRouter(
        route_class=StaffRoute,
        responses=ERRORS,
        dependencies=[Depends(HTTPBearer(auto_error=False, scheme_name="staff"))],
    )
    for add in (add_offers, add_orders, add_issued, add_many, add_jobs, add_owner, add_log):
        add(router, staff)
    return router


def add_offers(router: APIRouter, staff: Staff) -> None:
    """Add what offers, and what lets a waiting credential go."""
    office = staff.office
    may_offer = staff.access.to(OFFERS)

    @router.get("/types", dependencies=[Depends(staff.access.to(READ))])
    def types() -> TypesAnswer:
        """Give everything that the brand issues, with its schema and a sample."""
        kinds = staff.issuer.catalogue.types.values()
        return TypesAnswer(types=[TypeAnswer.of(kind) for kind in kinds])

    @router.post("/offers", status_code=201, response_model=OpenOfferAnswer)
    async def offer(
        asked: NewOfferRequest,
        request: Request,
        caller: Annotated[Caller, Depends(may_offer)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Offer a credential of any type."""
        wanted = Wanted(
            type_name=asked.type,
            claims=json_object(asked.claims, "claims"),
            serial=asked.serial,
            subject=asked.subject,
            ends_at=None
            if asked.ends_on is None
            else datetime.combine(asked.ends_on, time(), UTC) + timedelta(days=1),
        )
        grants = [Grant.PRE_AUTHORIZED, *([Grant.AUTHORIZATION_CODE] if asked.login else [])]

        def effect(sitting: Sitting) -> Told:
            made = office.offer(sitting, wanted, with_tx_code=asked.tx_code, grants=grants)
            return OpenOfferAnswer.of(made)

        return await write(staff, request, caller, effect, status=201)

    @router.delete("/offers/{offer_id}", response_model=WithdrawnAnswer)
    async def withdraw(
        offer_id: Opaque,
        request: Request,
        caller: Annotated[Caller, Depends(may_offer)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """End an offer that nobody has claimed yet."""

        def effect(sitting: Sitting) -> Told:
            office.withdraw_offer(sitting, offer_id)
            return WithdrawnAnswer(offer_id=offer_id)

        return await write(staff, request, caller, effect)

    @router.post("/datasets/{dataset_id}/release", response_model=DatasetStateAnswer)
    async def release(
        dataset_id: _DatasetId,
        request: Request,
        caller: Annotated[Caller, Depends(may_offer)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Let what a deferred credential will say be issued."""

        def effect(sitting: Sitting) -> Told:
            office.decide_dataset(sitting, dataset_id, allowed=True)
            return DatasetStateAnswer(dataset_id=dataset_id, state="ready")

        return await write(staff, request, caller, effect)

    @router.post("/datasets/{dataset_id}/deny", response_model=DatasetStateAnswer)
    async def deny(
        dataset_id: _DatasetId,
        request: Request,
        caller: Annotated[Caller, Depends(may_offer)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Let it never be issued."""

        def effect(sitting: Sitting) -> Told:
            office.decide_dataset(sitting, dataset_id, allowed=False)
            return DatasetStateAnswer(dataset_id=dataset_id, state="denied")

        return await write(staff, request, caller, effect)


_DatasetId: TypeAlias = Annotated[
    str, Path(min_length=3, max_length=140, pattern=r"^[a-z][a-z0-9_-]*:[!-.0-~]+$")
]


def add_orders(router: APIRouter, staff: Staff) -> None:
    """Add what concerns orders."""
    office, desk = staff.office, staff.desk
    may_sell = staff.access.to(BUYERS)
    may_care = staff.access.to(CARE)

    @router.post("/orders", openapi_extra=file_body(CSV))
    def import_orders(
        request: Request,
        body: Annotated[bytes, Depends(file_bytes)],
        caller: Annotated[Caller, Depends(may_sell)],
    ) -> ImportAnswer:
        """Take in an orders file: each good order once, whatever is sent how often."""
        require_media_type(request, CSV)
        *_, job = desk.run(desk.batch(ORDERS, body), by=caller.name)
        return ImportAnswer(
            imported=job.made,
            unchanged=job.unchanged,
            error_count=job.error_count,
            errors=[RowErrorAnswer.of(error) for error in desk.errors(job.job_id)],
        )

    # A POST, because an address is written into the logs of whatever stands between.
    @router.post("/orders/search", dependencies=[Depends(may_sell)])
    def orders(asked: OrderSearchRequest) -> OrdersAnswer:
        """Give a buyer's orders, the latest payment first."""
        found = staff.issuer.orders_of(asked.email)
        return OrdersAnswer(orders=[OrderAnswer.of(order) for order in found])

    @router.post("/orders/{order}/offers", response_model=OfferedAnswer)
    async def offer(
        order: OrderName,
        request: Request,
        caller: Annotated[Caller, Depends(may_sell)],
        asked: OfferRequest | None = None,
        _key: IdempotencyKey = None,
    ) -> Response:
        """Offer what of an order no wallet has stored yet; earlier offers of it end."""
        with_tx_code = (asked or OfferRequest()).tx_code

        def effect(sitting: Sitting) -> Told:
            offered = office.offer_order(sitting, order, with_tx_code=with_tx_code)
            return OfferedAnswer.of(order, offered)

        return await write(staff, request, caller, effect)

    # What comes back is revoked.
    @router.post(
        "/orders/{order}/returns",
        response_model=ReturnedAnswer,
        dependencies=[Depends(staff.access.to(REVOKE))],
    )
    async def take_back(
        order: OrderName,
        asked: ReturnRequest,
        request: Request,
        caller: Annotated[Caller, Depends(may_care)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Take back units of a line: their warranties end, and the receipt is issued anew."""

        def effect(sitting: Sitting) -> Told:
            made = office.return_units(
                sitting,
                order,
                line=asked.line,
                serials=asked.serials,
                quantity=asked.quantity,
                with_tx_code=asked.tx_code,
            )
            receipt = None if made is None else OpenOfferAnswer.of(made)
            return ReturnedAnswer(order=order, receipt=receipt)

        return await write(staff, request, caller, effect)
