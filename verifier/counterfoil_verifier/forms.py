"""Forms as wallets send them: small, each field once, in UTF-8, and in time."""

import asyncio
from collections.abc import Mapping
from typing import Final

from counterfoil_credentials import spec
from counterfoil_credentials.errors import Malformed
from fastapi import HTTPException, Request

from counterfoil_verifier.form_fields import fields_of

READ_WITHIN_S: Final = 10
_WHERE: Final = "body"


async def form_of(request: Request) -> Mapping[str, str]:
    """Give the fields of a form body; a slow sender loses its connection, not ours."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != spec.FORM_MEDIA_TYPE:
        raise Malformed(spec.FORM_MEDIA_TYPE, "another media type", "Content-Type")
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            body = await request.body()
    except TimeoutError as cause:
        raise HTTPException(408, "expected the whole body sooner") from cause
    return parse_form(body)


def parse_form(body: bytes) -> dict[str, str]:
    """Give the fields of an `application/x-www-form-urlencoded` body, each once, in UTF-8."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("a form in ASCII", "other bytes", _WHERE) from None
    return fields_of(text, _WHERE)
