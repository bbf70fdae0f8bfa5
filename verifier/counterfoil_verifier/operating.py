"""The service as it runs for earnest: webhooks, health, metrics and logs around `create_app`.

    app = operated_app(counter, store.database, secret=secret, counter_key=key,
                       fetcher=fetcher, trust=trust)

GET /health/live and /health/ready for everybody, /metrics with the counter's key. A
line in the log for each request and each refused answer says codes, never a value.
What trust rests on, and the shop's own certificate, is counted down in
`counterfoil_trust_ends_in_seconds`: an alert belongs on it. With `rounds` the shop does
what `shop_rounds.py` says, and what is to be seen to stands at /health/warnings (with the
counter's key), is counted in `counterfoil_warnings`, and is logged once a day.
"""

import logging
import os
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from math import inf, nan
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_service.access import BearerKey
from counterfoil_service.audit import AuditLog
from counterfoil_service.health import Check, Health, disk_has_room, key_signs
from counterfoil_service.idempotency import Idempotency
from counterfoil_service.logs import say
from counterfoil_service.metrics import Metrics
from counterfoil_service.operations import Operations
from counterfoil_service.outbox import Webhooks
from counterfoil_service.repeating import Lifespan, repeating
from counterfoil_service.sql import Database
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import Response

from counterfoil_verifier.app import create_app
from counterfoil_verifier.counter import Counter
from counterfoil_verifier.counter_routes import ERRORS
from counterfoil_verifier.flag_feed import KeptFlags
from counterfoil_verifier.identity import Certified
from counterfoil_verifier.requesting import Shop
from counterfoil_verifier.shop_rounds import ShopRounds
from counterfoil_verifier.till_schemas import WarningBody, WarningsBody
from counterfoil_verifier.trust import Trust
from counterfoil_verifier.upkeep import Notice
from counterfoil_verifier.verdict import Outcome
from counterfoil_verifier.wallet_routes import NO_STORE, NOT_TAKEN, Noted
from counterfoil_verifier.webhook_routes import webhook_routes
from counterfoil_verifier.words import known_codes

_DECLINED: Final = "declined"
_LOOK_FOR_ROUNDS_EVERY_S: Final = 1.0
_TELL_EVERY_S: Final = 60.0
_TELL_AGAIN_AFTER: Final = timedelta(days=1)
_LOGGER: Final = logging.getLogger("counterfoil.shop")


def utc_now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


def operated_app(
    counter: Counter,
    database: Database,
    *,
    secret: bytes,
    counter_key: str,
    fetcher: Fetcher,
    trust: Trust,
    data: Path | None = None,
    rounds: ShopRounds | None = None,
    flags: KeptFlags | None = None,
    loopback_webhooks: AbstractSet[str] = frozenset(),
    clock: Callable[[], datetime] = utc_now,
    random: Callable[[int], bytes] = os.urandom,
) -> FastAPI:
    """Give the service of `counter`, whose sessions are in `database`.

    `secret` has 32 bytes or more and is not in the database. `data` is the folder whose
    disk must have room; `rounds` is what the shop does by itself. Webhooks go through
    `fetcher`; origins in `loopback_webhooks` may be plain HTTP on this machine.
    """
    log = AuditLog(secret)
    webhooks = Webhooks(
        secret, clock=clock, random=random, loopback_origins_unsafely=loopback_webhooks
    )
    operations = Operations(
        database=database,
        log=log,
        webhooks=webhooks,
        idempotency=Idempotency(secret, clock=clock, random=random, required=False),
        fetcher=fetcher,
        clock=clock,
        random=random,
    )
    allowed = BearerKey(counter_key)
    app = create_app(
        counter,
        counter_key=counter_key,
        noted=_counted(operations.metrics),
        routers=[
            webhook_routes(database, webhooks, log, clock=clock, allowed=allowed),
            *([] if rounds is None else [_warning_routes(rounds, allowed)]),
        ],
        working=[*operations.working(), *([] if rounds is None else _working(rounds, clock))],
    )
    operations.metrics.measured(
        "counterfoil_trust_ends_in_seconds",
        "Time until the first of what trust rests on, or the shop's certificate, runs out",
        read=lambda: _seconds_left(trust, counter.shop, clock()),
    )
    if rounds is not None:
        operations.metrics.measured(
            "counterfoil_warnings",
            "What somebody has to see to: it stands at /health/warnings",
            read=lambda: len(rounds.notices()),
        )
    if flags is not None:
        operations.metrics.measured(
            "counterfoil_flags_age_seconds",
            "How long ago the feed of what is said of items was made",
            read=lambda: _age_s(flags, clock()),
        )
    operations.mount(app, guard=allowed)
    Health({**operations.checks(), **_checks(counter.shop, clock, data)}).mount(app)
    return app


def _counted(metrics: Metrics) -> Noted:
    answers = metrics.counted(
        "counterfoil_answers",
        "Answers of wallets, by how they ended",
        label="outcome",
        values={*Outcome, _DECLINED, NOT_TAKEN},
    )
    reasons = metrics.counted(
        "counterfoil_answer_reasons",
        "Reasons against answers of wallets",
        label="code",
        values=known_codes(),
    )

    def noted(outcome: str, codes: Sequence[str]) -> None:
        answers.add(outcome)
        for code in codes:
            reasons.add(code)

    return noted


def tell_failure(name: str, error: str) -> None:
    """Log that what a shop does by itself failed, which did not fail so before."""
    say(_LOGGER, logging.WARNING, "not done", round=name, error=error)


def _working(rounds: ShopRounds, clock: Callable[[], datetime]) -> list[Lifespan]:
    told: dict[Notice, datetime] = {}

    def tell() -> None:
        now, notices = clock(), rounds.notices()
        for gone in told.keys() - {*notices}:
            del told[gone]
        for notice in notices:
            if notice not in told or now - told[notice] >= _TELL_AGAIN_AFTER:
                told[notice] = now
                _log(notice)

    # Two threads at most, whatever is silent: the service has few for its other work.
    return [
        repeating(rounds.run_local, _LOOK_FOR_ROUNDS_EVERY_S),
        repeating(rounds.run_distant, _LOOK_FOR_ROUNDS_EVERY_S),
        repeating(tell, _TELL_EVERY_S),
    ]


def _log(notice: Notice) -> None:
    at = None if notice.at is None else notice.at.isoformat()
    say(_LOGGER, logging.WARNING, "to be seen to", code=notice.code, what=notice.what, at=at)


def _warning_routes(rounds: ShopRounds, allowed: BearerKey) -> APIRouter:
    router = APIRouter(prefix="/health", dependencies=[Depends(allowed)], responses=ERRORS)

    @router.get("/warnings")
    def warnings(response: Response) -> WarningsBody:
        """Tell what somebody has to see to."""
        response.headers.update(NO_STORE)
        found = [WarningBody(code=one.code, what=one.what, at=one.at) for one in rounds.notices()]
        return WarningsBody(warnings=found)

    return router


def _age_s(flags: KeptFlags, now: datetime) -> float:
    try:
        return (now - flags.latest().as_of).total_seconds()
    except Unavailable:
        return nan


def _seconds_left(trust: Trust, shop: Shop, now: datetime) -> float:
    ends = [ending.at for ending in trust.ends(now)]
    if isinstance(shop.identity, Certified):
        ends.append(shop.identity.ends_at)
    return min(((at - now).total_seconds() for at in ends), default=inf)


def _checks(shop: Shop, clock: Callable[[], datetime], data: Path | None) -> dict[str, Check]:
    checks: dict[str, Check] = {"signing_key": key_signs(shop.signer)}
    identity = shop.identity
    if isinstance(identity, Certified):

        def in_time() -> None:
            if clock() >= identity.ends_at:
                raise Unavailable("expected a certificate in its time, found one that ended")

        checks["certificate"] = in_time
    if data is not None:
        checks["disk"] = disk_has_room(data)
    return checks
