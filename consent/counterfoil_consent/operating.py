"""The custodian as it runs for earnest: health, metrics and a request log around `create_app`.

    with folder.open(url) as opened:
        app = operated_app(opened, signer=folder.signer(), metrics_key=folder.metrics_key(),
                           data=folder.path, fetcher=GuardedFetcher(), clock=clock)

GET /health/live and /health/ready for everybody, /metrics with its key. A line in the log
and a count for each request name its route and nothing of whose grant it was. An alert
belongs on `counterfoil_grants_unconfirmed` (the journal was lost, and so many grants wait
for their holders), on `counterfoil_ends_unfinished` and on `counterfoil_events_dead`.
"""

import os
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Final, TypeVar

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Signer
from counterfoil_service.access import BearerKey
from counterfoil_service.health import (
    Health,
    clock_goes_on,
    database_answers,
    disk_has_room,
    key_signs,
)
from counterfoil_service.metrics import Metrics
from counterfoil_service.request_log import RequestLog
from fastapi import FastAPI

from counterfoil_consent.app import SWEEP_EVERY_S, create_app
from counterfoil_consent.custodian_folder import OpenCustodian
from counterfoil_consent.set_outbox import OutboxCounts
from counterfoil_consent.sql_custodian_store import CustodyCounts
from counterfoil_consent.wire import Clock, Random

T = TypeVar("T")

_COUNTED: Final[dict[str, tuple[str, Callable[[CustodyCounts], int]]]] = {
    "counterfoil_grants_kept": ("Grants in force", lambda counts: counts.kept),
    "counterfoil_grants_unconfirmed": (
        "Grants that are not lent before their holder confirms them",
        lambda counts: counts.unconfirmed,
    ),
    "counterfoil_keys_waiting": (
        "Keys that wait for their registration",
        lambda counts: counts.reserved,
    ),
    "counterfoil_ends_unfinished": (
        "Ends without a signed statement",
        lambda counts: counts.unfinished,
    ),
}
_LETTERS: Final[dict[str, tuple[str, Callable[[OutboxCounts], int]]]] = {
    "counterfoil_events_waiting": ("Events not delivered yet", lambda counts: counts.waiting),
    "counterfoil_events_dead": ("Events given up, until polled for", lambda counts: counts.dead),
    "counterfoil_events_refused": ("Events that were refused", lambda counts: counts.refused),
}


def operated_app(
    opened: OpenCustodian,
    *,
    signer: Signer,
    metrics_key: str,
    data: Path,
    fetcher: Fetcher,
    clock: Clock,
    random: Random = os.urandom,
    sweep_every_s: float = SWEEP_EVERY_S,
) -> FastAPI:
    """Give the service of an open custodian; `data` is the folder whose disk must have room.

    Events are pushed through `fetcher`.
    """
    app = create_app(opened.custodian, fetcher=fetcher, sweep_every_s=sweep_every_s)
    metrics = Metrics()
    store = opened.store
    for name, (what, count) in _COUNTED.items():
        metrics.measured(name, what, read=_reading(store.counts, count))
    for name, (what, letters) in _LETTERS.items():
        metrics.measured(name, what, read=_reading(store.outbox.counts, letters))
    metrics.mount(app, guard=BearerKey(metrics_key))
    app.add_middleware(RequestLog, metrics=metrics, random=random)
    Health(
        {
            "database": database_answers(opened.store.database),
            "clock": clock_goes_on(clock),
            "signing_key": key_signs(signer),
            "one_time_keys": lambda: opened.keys.begin(is_new=False),
            "journal": lambda: _require_journal(opened),
            "disk": disk_has_room(data),
        }
    ).mount(app)
    return app


def _reading(counts: Callable[[], T], count: Callable[[T], int]) -> Callable[[], float]:
    def read() -> float:
        try:
            return count(counts())
        except Unavailable:
            return nan

    return read


def _require_journal(opened: OpenCustodian) -> None:
    # To name it is to find it: another one, or none, is Unavailable.
    _ = opened.custodian.journal_name
