"""The service as it runs for earnest: webhooks, health, metrics and logs around `create_app`.

    app = operated_app(counter, store.database, secret=secret, counter_key=key,
                       fetcher=fetcher, trust=trust)

GET /health/live and /health/ready for everybody, /metrics with the counter's key. A
line in the log for each request and each refused answer says codes, never a value.
What trust rests on, and the shop's own certificate, is counted down in
`counterfoil_trust_ends_in_seconds`: an alert belongs on it.
"""

import os
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_service.access import BearerKey
from counterfoil_service.audit import AuditLog
from counterfoil_service.health import Check, Health, disk_has_room, key_signs
from counterfoil_service.idempotency import Idempotency
from counterfoil_service.metrics import Metrics
from counterfoil_service.operations import Operations
from counterfoil_service.outbox import Webhooks
from counterfoil_service.sql import Database
from fastapi import FastAPI

from counterfoil_verifier.app import create_app
from counterfoil_verifier.counter import Counter
from counterfoil_verifier.identity import Certified
from counterfoil_verifier.requesting import Shop
from counterfoil_verifier.trust import Trust
from counterfoil_verifier.verdict import Outcome
from counterfoil_verifier.wallet_routes import NOT_TAKEN, Noted
from counterfoil_verifier.webhook_routes import webhook_routes
from counterfoil_verifier.words import known_codes

_DECLINED: Final = "declined"


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
    loopback_webhooks: AbstractSet[str] = frozenset(),
    clock: Callable[[], datetime] = utc_now,
    random: Callable[[int], bytes] = os.urandom,
) -> FastAPI:
    """Give the service of `counter`, whose sessions are in `database`.

    `secret` has 32 bytes or more and is not in the database. `data` is the folder whose
    disk must have room. Webhooks go through `fetcher`; origins in `loopback_webhooks` may
    be plain HTTP on this machine.
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
        routers=[webhook_routes(database, webhooks, log, clock=clock, allowed=allowed)],
        working=operations.working(),
    )
    operations.metrics.measured(
        "counterfoil_trust_ends_in_seconds",
        "Time until the first of what trust rests on, or the shop's certificate, runs out",
        read=lambda: _seconds_left(trust, counter.shop, clock()),
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
