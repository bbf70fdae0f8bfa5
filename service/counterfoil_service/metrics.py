"""Counts and times for Prometheus, without a label that could grow or tell who.

    metrics = Metrics()
    refused = metrics.counted(
        "counterfoil_refusals", "Refused requests", label="code", values={"invalid_grant"}
    )
    refused.add("invalid_grant")             # any word that is not in `values` counts as "other"
    depth = metrics.measured("counterfoil_outbox_waiting", "Events that wait", read=count)
    metrics.mount(app, guard=access.require(Role.AUDITOR))          # GET /metrics

A label's values are a closed set that is known when the metric is made: no id, no
URL, no name of anybody can become a series. Each process has its own counts, and
each worker is asked for its own.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from math import nan
from typing import Final

from counterfoil_credentials.errors import Unavailable
from fastapi import Depends, FastAPI, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from counterfoil_service.couriers import Outcome
from counterfoil_service.outbox import Endpoint, Webhooks
from counterfoil_service.sql import Database

OTHER: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Counted:
    """A counter for each of a closed set of words."""

    def __init__(self, counter: Counter, values: AbstractSet[str]) -> None:
        self._counters = {value: counter.labels(value) for value in sorted({*values, OTHER})}

    def add(self, value: str, amount: int = 1) -> None:
        """Count; a word outside the set counts as "other"."""
        self._counters.get(value, self._counters[OTHER]).inc(amount)


class Metrics:
    """The metrics of one service in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "counterfoil_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._durations = Histogram(
            "counterfoil_http_request_seconds",
            "Time from the request's head to the end of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def counted(self, name: str, what: str, *, label: str, values: AbstractSet[str]) -> Counted:
        """Make a counter with one label of these `values`, all shown from the start."""
        return Counted(Counter(name, what, (label,), registry=self._registry), values)

    def gauge(self, name: str, what: str) -> Gauge:
        """Make a value that is set."""
        return Gauge(name, what, registry=self._registry)

    def measured(self, name: str, what: str, *, read: Callable[[], float]) -> None:
        """Make a value that is read whenever somebody looks."""
        self.gauge(name, what).set_function(read)

    def webhook_outcomes(self) -> Callable[[Outcome], None]:
        """Give what a courier tells its outcomes to."""
        counted = self.counted(
            "counterfoil_webhook_attempts",
            "Attempts to deliver an event",
            label="outcome",
            values=frozenset(Outcome),
        )
        return counted.add

    def webhook_backlog(self, database: Database, webhooks: Webhooks) -> None:
        """Show how many events wait, how many are dead letters, and how many endpoints rest."""

        def total(count: Callable[[Endpoint], int]) -> Callable[[], float]:
            def read() -> float:
                try:
                    with database.reading() as connection:
                        return sum(map(count, webhooks.endpoints(connection)))
                except Unavailable:
                    return nan

            return read

        counts: dict[str, tuple[str, Callable[[Endpoint], int]]] = {
            "waiting": ("Events that an endpoint has not got yet", lambda each: each.waiting),
            "dead": ("Dead letters", lambda each: each.dead),
            "paused": ("Endpoints that get nothing until resumed", lambda each: not each.is_active),
        }
        for name, (what, count) in counts.items():
            self.measured(f"counterfoil_webhook_{name}", what, read=total(count))

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is a template of the application, never a path."""
        known = method if method in _METHODS else OTHER
        series = self._series.get((known, route, status))
        if series is None:
            series = self._requests.labels(known, route, status), self._durations.labels(route)
            self._series[known, route, status] = series
        series[0].inc()
        series[1].observe(seconds)

    def text(self) -> bytes:
        """Give all metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def mount(self, app: FastAPI, *, guard: Callable[..., object], path: str = "/metrics") -> None:
        """Add the route that shows the metrics to whom `guard`, a dependency, lets pass."""

        def metrics() -> Response:
            return Response(self.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

        app.add_api_route(
            path,
            metrics,
            dependencies=[Depends(guard)],
            include_in_schema=False,
            response_class=Response,
        )
