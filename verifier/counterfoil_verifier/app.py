"""The shop's service: HTTP in and out, no decisions.

    app = create_app(counter, counter_key=key)

Toward the wallet (OpenID4VP 1.0) it is `wallet_routes.py`, toward the shop's own
systems, with the counter's bearer key, `counter_routes.py`. `shop_service.py` puts
webhooks, health and metrics around it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_service.access import BearerKey
from counterfoil_service.errors import install_error_handlers
from counterfoil_service.repeating import Lifespan, repeating, together
from fastapi import APIRouter, FastAPI

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.counter_routes import counter_routes
from counterfoil_verifier.forms import READ_WITHIN_S, parse_form
from counterfoil_verifier.result_routes import result_routes
from counterfoil_verifier.shown_routes import shown_routes
from counterfoil_verifier.wallet_routes import Noted, note_nothing, wallet_routes

__all__ = ["MAX_BODY_BYTES", "READ_WITHIN_S", "create_app", "parse_form"]

MAX_BODY_BYTES: Final = 524_288
TIDY_EVERY_S: Final = 10.0


def create_app(
    counter: Counter,
    *,
    counter_key: str,
    noted: Noted = note_nothing,
    routers: Sequence[APIRouter] = (),
    working: Sequence[Lifespan] = (),
) -> FastAPI:
    """Give the service of one counter; `counter_key` opens the counter's own side.

    `noted` is told how each answer ended; `routers` and `working` come along.
    """

    def tidy() -> None:
        # A busy database waits for the next round; the facts in memory went first.
        with suppress(Unavailable):
            counter.tidy()

    app = FastAPI(
        title="Counterfoil verifier",
        lifespan=together([repeating(tidy, TIDY_EVERY_S), *working]),
        docs_url=None,
        redoc_url=None,
        # OpenID4VP knows no redirects, and a wallet must not follow one.
        redirect_slashes=False,
        # The request log and the metrics are ours; looking for another's costs each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    install_error_handlers(app, max_body_bytes=MAX_BODY_BYTES)
    for router in (
        wallet_routes(counter, noted),
        counter_routes(counter, BearerKey(counter_key)),
        result_routes(counter, BearerKey(counter_key)),
        shown_routes(counter, BearerKey(counter_key)),
        *routers,
    ):
        app.include_router(router)
    return app
