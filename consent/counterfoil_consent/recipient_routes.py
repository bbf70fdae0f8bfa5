"""HTTP face of a recipient: routes that its app mounts, with the house's error handlers.

    POST /consent/grants/{grant_id}/end    the end of a grant, as `application/jwt`

The endpoint in the terms is `https://…/consent/grants/{grant_id}/end`. The answer is the
erasure receipt, or 202 while a system of the recipient has not answered.
"""

from typing import Annotated, Final

from counterfoil_credentials.errors import Malformed
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from counterfoil_consent.recipient import Recipient

_NO_STORE: Final = {"Cache-Control": "no-store"}


async def _raw_body(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_raw_body)]


def recipient_routes(recipient: Recipient) -> APIRouter:
    """Give the routes of a recipient. Call `Recipient.end_due` every few seconds beside them."""
    routes = APIRouter(prefix="/consent")

    @routes.post("/grants/{grant_id}/end")
    def end(grant_id: str, body: RawBody) -> JSONResponse:
        try:
            event = body.decode("ascii")
        except UnicodeDecodeError as cause:
            raise Malformed("an ASCII token", "other bytes", "body") from cause
        receipt = recipient.end(grant_id, event)
        if receipt is None:
            return JSONResponse({"state": "erasure-pending"}, status_code=202, headers=_NO_STORE)
        return JSONResponse({"erasure_receipt": receipt}, headers=_NO_STORE)

    return routes
