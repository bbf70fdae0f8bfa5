"""Forms as wallets send them: small, each field once, in UTF-8, and in time."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from counterfoil_credentials import spec
from counterfoil_credentials.errors import Malformed
from fastapi import HTTPException, Request

READ_WITHIN_S: Final = 10
_MAX_FIELDS: Final = 20


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
    if not body:
        return {}
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as cause:
        raise Malformed("a form of at most 20 fields in UTF-8", "other bytes", "body") from cause
    form = dict(fields)
    if len(form) != len(fields):
        raise Malformed("each field once", "one twice", "body")
    return form
