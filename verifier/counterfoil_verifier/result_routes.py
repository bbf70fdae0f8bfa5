"""Results: what another till found out while it was offline, and what this one did, signed.

POST  /counter/results               each result is kept once, however often it comes
GET   /counter/requests/{id}/result  the verdict, signed by the shop, to show to others
"""

import asyncio
from typing import Annotated, Any, Final, TypeAlias

from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_service.access import BearerKey
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.counter_routes import ERRORS
from counterfoil_verifier.forms import READ_WITHIN_S
from counterfoil_verifier.requesting import NotOpen, SessionId
from counterfoil_verifier.schemas import ErrorBody, TillName
from counterfoil_verifier.till_schemas import KeptBody, SignedBody
from counterfoil_verifier.wallet_routes import NO_STORE

_Till: TypeAlias = Annotated[TillName | None, Query(description="The till that asked")]
_UNKNOWN: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorBody, "description": "No session of this id has a verdict that counts"}
}


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

    @router.get("/requests/{session_id}/result", responses=_UNKNOWN)
    def signed_result(session_id: str, response: Response, till: _Till = None) -> SignedBody:
        """Give the verdict as the shop's signed word. It holds nothing that was shown."""
        response.headers.update(NO_STORE)
        named = SessionId(session_id.partition(".")[0])
        try:
            return SignedBody(result=counter.signed_result(named, till=till))
        except NotOpen as none:
            raise HTTPException(404, str(none)) from none
        except Misuse as error:
            raise Malformed("a shop that signs", str(error), "client_id") from error

    return router
