"""The points service over HTTP; see README.md for its routes.

    app = create_app(service, ticker, operator_key=load_or_create_key(folder / "operator.key"))

The operator alone admits brands (bearer key); everything else carries the
signatures that allow it. Bad bodies are answered 400, refusals 400 with every
reason, a key that belongs to another request 409, what is not in a block yet 202.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from counterfoil_credentials.errors import Reason, Refused
from counterfoil_service.access import BearerKey
from counterfoil_service.errors import error_response, install_error_handlers
from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse

from counterfoil_loyalty.accounts import Account, account_from
from counterfoil_loyalty.brand_routes import (
    IdempotencyKey,
    add_brand_routes,
    brand_standing_json,
    corridor_standing_json,
    require_key,
)
from counterfoil_loyalty.earn_routes import MAX_LIST_BYTES, BoundBodies, earn_routes
from counterfoil_loyalty.guarantee_routes import guarantee_routes
from counterfoil_loyalty.intents import Award, Redemption, Registration, Swap, Terms
from counterfoil_loyalty.notary_routes import notary_routes
from counterfoil_loyalty.pending_routes import pending_routes
from counterfoil_loyalty.points import MAX_UNITS
from counterfoil_loyalty.rates import Limits, Rate
from counterfoil_loyalty.refusals import POINTS_OFF
from counterfoil_loyalty.relayer import KEY_CONFLICT, Ticker
from counterfoil_loyalty.rules_routes import rules_routes
from counterfoil_loyalty.schemas import (
    AwardBody,
    ExchangeBody,
    RedemptionBody,
    RegistrationBody,
    TermsBody,
    TransferBody,
)
from counterfoil_loyalty.service import Pending, PointsService
from counterfoil_loyalty.store import Brand, Movement
from counterfoil_loyalty.transfers import Transfer

_T = TypeVar("_T")

HISTORY_PAGE = 500
After = Annotated[int, Query(ge=-1, le=2**53)]


def create_app(
    service: PointsService, ticker: Ticker | None = None, *, operator_key: str
) -> FastAPI:
    """Give the app over `service`; `ticker` gives the ledger its blocks while the app runs.

    Whoever carries `operator_key` decides which brand a name belongs to.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        if ticker is not None:
            ticker.start()
        yield
        if ticker is not None:
            ticker.stop()

    app = FastAPI(title="Counterfoil points", lifespan=lifespan, openapi_url=None)
    install_error_handlers(app, max_body_bytes=MAX_LIST_BYTES)
    app.add_middleware(BoundBodies)

    @app.exception_handler(Refused)
    def refused(_: Request, error: Refused) -> JSONResponse:
        status = 409 if error.codes == [KEY_CONFLICT] else 400
        return error_response(status, "refused", str(error), reasons=error.reasons)

    _reading(app, service, ticker)
    _operator_writes(app, service, BearerKey(operator_key))
    _brands_write(app, service)
    add_brand_routes(app, service)
    _customers_write(app, service)
    app.include_router(rules_routes(service))
    app.include_router(pending_routes(service))
    app.include_router(earn_routes(service))
    app.include_router(guarantee_routes(service))
    app.include_router(notary_routes(service, BearerKey(operator_key)))
    return app


def create_app_without_points() -> FastAPI:
    """Give the app of a setting without a chain: whatever is asked of points is refused by name."""
    app = FastAPI(title="Counterfoil points", openapi_url=None)
    install_error_handlers(app, max_body_bytes=16_384)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"ok": True, "points": "off"}

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    def refused(_: Request) -> JSONResponse:
        reason = Reason(POINTS_OFF, "a programme with points", "points switched off", "chain")
        return error_response(403, "refused", str(reason), reasons=[reason])

    return app


def _reading(app: FastAPI, service: PointsService, ticker: Ticker | None) -> None:
    @app.get("/health")
    def health() -> JSONResponse:
        health = service.health()
        is_well = health.is_well and (ticker is None or ticker.is_alive)
        body = {"ok": is_well, **asdict(health)}
        return JSONResponse(body, 200 if is_well else 503)

    @app.get("/brands")
    def brands() -> dict[str, Any]:
        names = {brand.token: brand.brand for brand in service.brands()}
        standing = service.standing()
        return {
            "chain_id": service.identity.chain_id,
            "exchange": service.identity.exchange,
            "clearing": service.identity.clearing,
            "peer_swap": service.identity.peer_swap,
            "brands": [
                {**asdict(brand), **brand_standing_json(standing.brand(brand.token))}
                for brand in service.brands()
            ],
            "terms": [
                {
                    "from": names[corridor.token_in],
                    "to": names[corridor.token_out],
                    "numerator": corridor.rate.numerator,
                    "denominator": corridor.rate.denominator,
                    "version": corridor.version,
                    "ends_at": corridor.ends_at,
                    **corridor_standing_json(
                        standing, (corridor.token_in, corridor.token_out), names
                    ),
                }
                for corridor in service.corridors()
            ],
        }

    @app.get("/accounts/{account}/balances")
    def balances(account: str) -> dict[str, Any]:
        held = service.balances(account_from(account, "account"))
        return {
            "balances": [
                {"brand": brand.brand, "units": held.get(brand.token, 0)}
                for brand in service.brands()
                if brand.token in held
            ]
        }

    @app.get("/accounts/{account}/history")
    def history(account: str, after: After = -1) -> dict[str, Any]:
        whose = account_from(account, "account")
        movements = service.history(whose, after=after, limit=HISTORY_PAGE)
        names = {brand.token: brand.brand for brand in service.brands()}
        more = len(movements) >= HISTORY_PAGE
        return {
            "history": [_movement(movement, names) for movement in movements],
            "next": movements[-1].block if more else None,
        }

    @app.get("/quote")
    def quote(
        from_brand: Annotated[str, Query(alias="from", max_length=256)],
        to_brand: Annotated[str, Query(alias="to", max_length=256)],
        amount: Annotated[int, Query(gt=0, le=MAX_UNITS)],
    ) -> dict[str, Any]:
        found = service.quote(from_brand, to_brand, amount)
        return {
            "from": found.brand_in.brand,
            "to": found.brand_out.brand,
            "amount": found.units_in,
            "receives": found.units_out,
            "numerator": found.rate.numerator,
            "denominator": found.rate.denominator,
            "price_from": found.brand_in.price,
            "price_to": found.brand_out.price,
            "version": found.version,
            "expires_at": found.expires_at,
            # Texts: they may be above 2**53.
            "owed": str(found.cover.owed),
            "credit": str(found.cover.credit),
            "reserve": str(found.cover.reserve),
        }

    @app.get("/supply")
    def supply() -> dict[str, Any]:
        growths = {it.brand: it for it in service.growths()}
        rows = [(it, growths[it.brand].now) for it in service.brands() if it.brand in growths]
        return {
            "brands": [
                {
                    "brand": brand.brand,
                    "units": units,
                    "units_before": growths[brand.brand].before,
                    "price": brand.price,
                    "value": units * brand.price,
                }
                for brand, units in rows
            ],
            "total_value": sum(units * brand.price for brand, units in rows),
        }

    @app.get("/events")
    def events(after: After = -1) -> dict[str, Any]:
        blocks, more = service.blocks(after)
        return {
            "events": [
                {"block": block.number, "at": block.at, **asdict(event)}
                for block in blocks
                for event in block.events
            ],
            "next": blocks[-1].number if more else None,
        }


def _operator_writes(app: FastAPI, service: PointsService, operator: BearerKey) -> None:
    # Whoever owns a brand's name signs for points in that name: it is not first come, first served.
    @app.post("/brands", dependencies=[Depends(operator)])
    def register(body: RegistrationBody) -> JSONResponse:
        registration = Registration(
            brand=body.brand,
            name=body.name,
            symbol=body.symbol,
            issuer=account_from(body.issuer, "issuer"),
            price=body.price,
        )
        found = service.register(registration, bytes.fromhex(body.signature))
        return _answer(found, _brand_json)


def _brands_write(app: FastAPI, service: PointsService) -> None:
    @app.post("/terms")
    def agree(body: TermsBody) -> JSONResponse:
        terms = Terms(
            token_in=service.brand(body.from_brand).token,
            token_out=service.brand(body.to_brand).token,
            rate=Rate(body.numerator, body.denominator),
            price_in=body.price_from,
            price_out=body.price_to,
            version=body.version,
            ends_at=body.ends_at,
            limits=Limits(
                quota=body.quota,
                customer_quota=body.customer_quota,
                epoch_s=body.epoch,
                notice_s=body.notice,
                credit=body.credit,
            ),
        )
        signatures = (bytes.fromhex(body.signature_from), bytes.fromhex(body.signature_to))
        return _answer(
            service.agree(terms, *signatures),
            lambda it: {
                "from": body.from_brand,
                "to": body.to_brand,
                "numerator": it.rate.numerator,
                "denominator": it.rate.denominator,
                "version": it.version,
                "ends_at": it.ends_at,
                # Worse terms are announced, and wait.
                "in_force": it in service.corridors(),
            },
        )

    @app.post("/awards")
    def award(body: AwardBody, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        require_key(idempotency_key, body.ref, required=True)
        signed = Award(
            token=service.brand(body.brand).token,
            to=account_from(body.account, "account"),
            amount=body.amount,
            ref=bytes.fromhex(body.ref),
            available_at=body.available_at,
        )
        found = service.award(signed, bytes.fromhex(body.signature))
        return _answer(
            found,
            lambda it: {
                "ref": it.ref,
                "brand": it.brand,
                "account": it.account,
                "amount": it.units,
                "transaction": it.transaction_id,
            },
        )


def _customers_write(app: FastAPI, service: PointsService) -> None:
    @app.post("/exchanges")
    def exchange(body: ExchangeBody, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        require_key(idempotency_key, body.id, required=False)
        swap = Swap(
            holder=account_from(body.holder, "holder"),
            token_in=service.brand(body.from_brand).token,
            token_out=service.brand(body.to_brand).token,
            amount_in=body.amount,
            least_out=body.least,
            recipient=account_from(body.recipient, "recipient"),
            version=body.version,
            deadline=body.deadline,
            swap_id=bytes.fromhex(body.id),
        )
        found = service.exchange(swap, bytes.fromhex(body.signature))
        return _answer(
            found,
            lambda it: {
                "id": body.id,
                "from": it.brand_in,
                "amount": it.units_in,
                "to": it.brand_out,
                "received": it.units_out,
                "value": it.value,
                "intent": it.intent,
                "transaction": it.transaction_id,
            },
        )

    @app.post("/redemptions")
    def redeem(body: RedemptionBody, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        require_key(idempotency_key, body.id, required=False)
        redemption = Redemption(
            token=service.brand(body.brand).token,
            holder=account_from(body.holder, "holder"),
            amount=body.amount,
            redemption_id=bytes.fromhex(body.id),
            deadline=body.deadline,
        )
        found = service.redeem(redemption, bytes.fromhex(body.signature), body.use)
        return _answer(
            found,
            lambda it: {
                "id": it.redemption_id,
                "brand": it.brand,
                "amount": it.units,
                "voucher": it.reference,
                "transaction": it.transaction_id,
            },
        )

    @app.post("/transfers")
    def transfer(body: TransferBody, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        require_key(idempotency_key, body.id, required=False)
        given = Transfer(
            token=service.brand(body.brand).token,
            giver=account_from(body.giver, "giver"),
            taker=account_from(body.taker, "taker"),
            amount=body.amount,
            transfer_id=bytes.fromhex(body.id),
            deadline=body.deadline,
        )
        found = service.transfer(given, bytes.fromhex(body.signature))
        return _answer(
            found,
            lambda it: {
                "id": it.transfer_id,
                "brand": it.brand,
                "amount": it.units,
                "transaction": it.transaction_id,
            },
        )


def _answer(found: _T | Pending, to_json: Callable[[_T], dict[str, Any]]) -> JSONResponse:
    if isinstance(found, Pending):
        return JSONResponse({"state": "pending"}, 202, headers={"Retry-After": "1"})
    return JSONResponse({"state": "done", **to_json(found)})


def _brand_json(brand: Brand) -> dict[str, Any]:
    return asdict(brand)


def _movement(movement: Movement, names: dict[Account, str]) -> dict[str, Any]:
    other = movement.other_token
    return {
        "brand": names[movement.token],
        "units": movement.units,
        "kind": movement.kind,
        "reference": movement.reference,
        "other_brand": None if other is None else names[other],
        "other_units": movement.other_units,
        "other_account": movement.other_account,
        "at": movement.at,
        "block": movement.block,
        "final": movement.is_final,
        "transaction": movement.transaction_id,
    }
