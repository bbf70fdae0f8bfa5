"""The custodian as it runs for earnest: health, metrics and a request log around `create_app`.

    with folder.open(url) as opened:
        serve(operated_app(opened, metrics_key=folder.metrics_key(), data=folder.path), ...)

GET /health/live and /health/ready for everybody, /metrics with its key. A line in the log
and a count for each request name its route and nothing of whose grant it was. An alert
belongs on `counterfoil_grants_unconfirmed` (the journal was lost, and so many grants wait
for their holders) and on `counterfoil_ends_unfinished`.
"""

import os
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Unavailable
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
from counterfoil_consent.sql_custodian_store import CustodyCounts
from counterfoil_consent.wire import Clock, Random

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


def operated_app(
    opened: OpenCustodian,
    *,
    signer: Signer,
    metrics_key: str,
    data: Path,
    clock: Clock,
    random: Random = os.urandom,
    sweep_every_s: float = SWEEP_EVERY_S,
) -> FastAPI:
    """Give the service of an open custodian; `data` is the folder whose disk must have room."""
    app = create_app(opened.custodian, sweep_every_s=sweep_every_s)
    metrics = Metrics()
    for name, (what, count) in _COUNTED.items():
        metrics.measured(name, what, read=_reading(opened, count))
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


def _reading(opened: OpenCustodian, count: Callable[[CustodyCounts], int]) -> Callable[[], float]:
    def read() -> float:
        try:
            return count(opened.store.counts())
        except Unavailable:
            return nan

    return read


def _require_journal(opened: OpenCustodian) -> None:
    if opened.journal.name() != opened.custodian.journal_name:
        raise Unavailable("expected the journal that was in use, found another or none")
