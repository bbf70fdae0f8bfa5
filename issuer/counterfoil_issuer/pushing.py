"""Pushed authorization requests: the wallet sends its request itself, before the browser comes.

    pushed = push(grants, request, now=now, random=random)   # pushed.request_uri, for a minute
    request = take_pushed(grants, request_uri, client_id, now=now)      # once

The browser then carries a reference that nobody can change, and nothing to read in
its history. The reference belongs to the wallet that pushed, and is used up by the
first browser that brings it.

RFC 9126; OpenID4VCI 1.0, section 5.1.4.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused, Unavailable

from counterfoil_issuer.authorization_request import AuthorizationRequest
from counterfoil_issuer.grants import Grants, Pushed
from counterfoil_issuer.records import SECRET_BYTES, Random, secret_hash
from counterfoil_issuer.spec import REQUEST_URI, REQUEST_URI_PREFIX, ErrorCode, refusal

PUSHED_LASTS: Final = timedelta(seconds=60)
_LONGEST_URI: Final = 256


@dataclass(frozen=True, slots=True)
class PushedAnswer:
    """What the wallet is answered (RFC 9126, section 2.2)."""

    request_uri: str = field(repr=False)
    expires_in_s: int


def push(
    grants: Grants, request: AuthorizationRequest, *, now: datetime, random: Random
) -> PushedAnswer:
    """Keep `request` for the browser; `Unavailable` while too many wait."""
    request_uri = REQUEST_URI_PREFIX + b64url(random(SECRET_BYTES))
    kept = Pushed(secret_hash(request_uri), request, now + PUSHED_LASTS)
    if not grants.push(kept, now):
        raise Unavailable("expected room for one more pushed request, found none")
    return PushedAnswer(request_uri, int(PUSHED_LASTS.total_seconds()))


def take_pushed(
    grants: Grants, request_uri: str, client_id: str | None, *, now: datetime
) -> AuthorizationRequest:
    """Give the pushed request and forget it.

    One that another client brings stays (RFC 9126, section 4). Raises `Refused` with
    `invalid_request_uri`.
    """
    pushed = grants.pushed(secret_hash(request_uri)) if len(request_uri) <= _LONGEST_URI else None
    if pushed is None or now >= pushed.expires_at:
        raise _refused("one that was pushed in the last minute", "another, or a used one")
    if client_id != pushed.request.client_id:
        raise _refused("the one of the client_id", "another wallet's")
    grants.forget_pushed(pushed.uri_hash)
    return pushed.request


def _refused(expected: str, found: str) -> Refused:
    return refusal(ErrorCode.INVALID_REQUEST_URI, expected, found, REQUEST_URI)
