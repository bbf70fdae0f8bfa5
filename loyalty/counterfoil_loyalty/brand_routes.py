"""What brands do, over HTTP, and what stands between them.

    add_brand_routes(app, service)

Each request carries the signature that allows it, or needs none because the rule
decides (what has waited long enough, a cycle of claims, an expiry). The ledger
judges it before it is stored; the same again gets the same answer.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from counterfoil_credentials.errors import Malformed
from fastapi import FastAPI, Header, Query
from fastapi.responses import JSONResponse

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.brand_bodies import (
    AcknowledgementBody,
    AwardPauseBody,
    BatchBody,
    CancellationBody,
    ExpiryBody,
    NettingBody,
    PauseBody,
    PolicyBody,
    PriceBody,
    PriceEnactmentBody,
    RefundBody,
    ReleaseBody,
    TermsEnactmentBody,
    TighteningBody,
    TokenOf,
    TradeBody,
)
from counterfoil_loyalty.money_bodies import AcceptanceBody, DrawBody, WithdrawalBody
from counterfoil_loyalty.service import Done, Pending, PointsService
from counterfoil_loyalty.standing import BrandStanding, Pair, Standing

IdempotencyKey = Annotated[str | None, Header(max_length=64)]


def add_brand_routes(app: FastAPI, service: PointsService) -> None:
    """Add every route of this page to `app`."""
    _prices_and_corridors(app, service)
    _claims(app, service)
    _money(app, service)
    _points_of_a_brand(app, service)
    _trades(app, service)


def _prices_and_corridors(app: FastAPI, service: PointsService) -> None:
    token = _tokens(service)

    @app.post("/prices")
    def price(body: PriceBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/prices/enactments")
    def enact_price(body: PriceEnactmentBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/terms/enactments")
    def enact_terms(body: TermsEnactmentBody) -> JSONResponse:
        return _perform(service, body.action(token, service.standing()))

    @app.post("/tightenings")
    def tighten(body: TighteningBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/pauses")
    def pause(body: PauseBody) -> JSONResponse:
        return _perform(service, body.action(token))


def _claims(app: FastAPI, service: PointsService) -> None:
    token = _tokens(service)

    @app.get("/claims")
    def claim(
        debtor: Annotated[str, Query(max_length=256)],
        creditor: Annotated[str, Query(max_length=256)],
    ) -> dict[str, Any]:
        found = service.cover(debtor, creditor)
        # Texts: they may be above 2**53.
        return {
            "debtor": debtor,
            "creditor": creditor,
            "owed": str(found.owed),
            "credit": str(found.credit),
            "reserve": str(found.reserve),
            "debtor_sequence": service.clearing_sequence(debtor),
            "creditor_sequence": service.clearing_sequence(creditor),
        }

    @app.post("/acknowledgements")
    def acknowledge(
        body: AcknowledgementBody, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        require_key(idempotency_key, body.ref, required=False)
        return _perform(service, body.action(token))

    @app.post("/nettings")
    def net(body: NettingBody) -> JSONResponse:
        return _perform(service, body.action(token))


def _money(app: FastAPI, service: PointsService) -> None:
    token = _tokens(service)

    @app.post("/acceptances")
    def accept(body: AcceptanceBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/withdrawals")
    def withdraw(body: WithdrawalBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/draws")
    def draw(body: DrawBody) -> JSONResponse:
        return _perform(service, body.action(token))


def _points_of_a_brand(app: FastAPI, service: PointsService) -> None:
    token = _tokens(service)

    @app.post("/award-batches")
    def batch(body: BatchBody, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        require_key(idempotency_key, body.ref, required=True)
        return _perform(service, body.action(token))

    @app.post("/releases")
    def release(body: ReleaseBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/cancellations")
    def cancel(body: CancellationBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/refunds")
    def refund(body: RefundBody, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        require_key(idempotency_key, body.id, required=False)
        return _perform(service, body.action(token))

    @app.post("/expiries")
    def expire(body: ExpiryBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/policies")
    def govern(body: PolicyBody) -> JSONResponse:
        return _perform(service, body.action(token))

    @app.post("/award-pauses")
    def pause_awards(body: AwardPauseBody) -> JSONResponse:
        return _perform(service, body.action(token))


def _trades(app: FastAPI, service: PointsService) -> None:
    @app.post("/trades")
    def trade(body: TradeBody, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        require_key(idempotency_key, body.id, required=False)
        return _answer(service.trade(body.action(_tokens(service))))


def require_key(key: str | None, expected: str, *, required: bool) -> None:
    """Return only if the header Idempotency-Key repeats the request's own ref or id."""
    if key is None and not required:
        return
    if key != expected:
        found = "none" if key is None else "another"
        raise Malformed("the request's own ref or id", found, "Idempotency-Key")


def brand_standing_json(standing: BrandStanding) -> dict[str, Any]:
    """Give what a brand's client and a customer's need to know beside the listing."""
    announced, policy = standing.announced, standing.policy
    return {
        "paused": standing.is_paused,
        "awards_paused": standing.awards_paused,
        "sequence": standing.sequence,
        "price_version": standing.price_version,
        "announced_price": None
        if announced is None
        else {
            "price": announced.price,
            "version": announced.version,
            "not_before": announced.not_before,
        },
        "policy": None
        if policy is None
        else {
            "admin": policy.admin,
            "issuer": policy.issuer,
            "version": policy.version,
            "earn_roots": policy.earn_roots,
            # Above 2**53.
            "capacity": str(policy.capacity),
            "refill": policy.refill_s,
            "inactivity": policy.inactivity_s,
        },
    }


def corridor_standing_json(
    standing: Standing, pair: Pair, names: Mapping[Account, str]
) -> dict[str, Any]:
    """Give a corridor's limits in force, who keeps it closed, and what waits for it."""
    corridor = standing.corridors[pair]
    announced = standing.announced.get(pair)
    return {
        "paused_by": sorted(names[token] for token in standing.paused_by(pair)),
        "quota": corridor.limits.quota,
        "customer_quota": corridor.limits.customer_quota,
        "epoch": corridor.limits.epoch_s,
        "notice": corridor.limits.notice_s,
        "credit": corridor.limits.credit,
        "announced": None
        if announced is None or not announced.waits
        else {
            "numerator": announced.terms.rate.numerator,
            "denominator": announced.terms.rate.denominator,
            "version": announced.terms.version,
            "not_before": announced.not_before,
        },
    }


def _tokens(service: PointsService) -> TokenOf:
    return lambda brand: service.brand(brand).token


def _perform(service: PointsService, action: Action) -> JSONResponse:
    return _answer(service.perform(action))


def _answer(found: Done | Pending) -> JSONResponse:
    if isinstance(found, Pending):
        return JSONResponse({"state": "pending"}, 202, headers={"Retry-After": "1"})
    return JSONResponse({"state": "done", "transaction": found.transaction_id})
