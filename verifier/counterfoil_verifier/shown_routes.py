"""What a phone shows first, over HTTP.

POST  /counter/shown         one code of it; the last one is judged
"""

from counterfoil_service.access import BearerKey
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.counter_routes import ERRORS
from counterfoil_verifier.schemas import ScannedBody
from counterfoil_verifier.till_schemas import ShownBody
from counterfoil_verifier.wallet_routes import NO_STORE


def shown_routes(counter: Counter, allowed: BearerKey) -> APIRouter:
    """Give the route of `counter` for codes that nobody asked for."""
    router = APIRouter(
        prefix="/counter", tags=["counter"], dependencies=[Depends(allowed)], responses=ERRORS
    )

    @router.post("/shown")
    def shown(body: ShownBody, response: Response) -> ScannedBody:
        """Take one QR code that a customer shows without being asked."""
        response.headers.update(NO_STORE)
        return ScannedBody.of(counter.take_shown(body.preset, body.code, till=body.till))

    return router
