"""Where another till of the shop sends what it found out while it was offline.

POST  /counter/results       each result is kept once, however often it comes
"""

import asyncio

from counterfoil_service.access import BearerKey
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.counter_routes import ERRORS
from counterfoil_verifier.forms import READ_WITHIN_S
from counterfoil_verifier.till_schemas import KeptBody
from counterfoil_verifier.wallet_routes import NO_STORE


def result_routes(counter: Counter, allowed: BearerKey) -> APIRouter:
    """Give the routes for results of the shop's other tills."""
    router = APIRouter(
        prefix="/counter", tags=["counter"], dependencies=[Depends(allowed)], responses=ERRORS
    )
    message = {"application/json": {"schema": {"type": "object", "required": ["results"]}}}

    @router.post("/results", openapi_extra={"requestBody": {"required": True, "content": message}})
    async def results(request: Request, response: Response) -> KeptBody:
        """Keep the results of another till of this shop."""
        response.headers.update(NO_STORE)
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                body = await request.body()
        except TimeoutError as cause:
            raise HTTPException(408, "expected the whole body sooner") from cause
        return KeptBody(kept=await run_in_threadpool(counter.take_results, body))

    return router
