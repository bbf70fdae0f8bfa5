"""Pushed authorization requests: the wallet sends its request itself, before the browser comes.

    pushed = push(request, seal, now=now, random=random)     # pushed.request_uri, for a minute
    request, answer_hash = take_pushed(grants, seal, request_uri, client_id, now=now)

The browser then carries a reference that nobody can read or change. It holds the sealed
request itself: whoever pushes is a stranger too, and strangers must not fill a place that
others need. The reference belongs to the wallet that pushed, and is used up by the one
answer that it leads to; until then a browser may load its page again (RFC 9126, section 4).

RFC 9126; OpenID4VCI 1.0, section 5.1.4.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import (
    b64url,
    compact_json,
    int_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Refused

from counterfoil_issuer.authorization_request import AuthorizationRequest
from counterfoil_issuer.grants import Grants
from counterfoil_issuer.records import SECRET_BYTES, Random, SecretHash, secret_hash
from counterfoil_issuer.spec import REQUEST_URI, REQUEST_URI_PREFIX, ErrorCode, refusal
from counterfoil_issuer.visits import SEAL_NONCE_BYTES, Sealing

PUSHED_LASTS: Final = timedelta(seconds=60)
_LONGEST_URI: Final = 4_096
_PLACE: Final = "pushed request"


@dataclass(frozen=True, slots=True)
class PushedAnswer:
    """What the wallet is answered (RFC 9126, section 2.2)."""

    request_uri: str = field(repr=False)
    expires_in_s: int


def push(
    request: AuthorizationRequest, seal: Sealing, *, now: datetime, random: Random
) -> PushedAnswer:
    """Give the reference that holds `request`."""
    value = compact_json(
        {
            "secret": b64url(random(SECRET_BYTES)),
            "request": request.to_json(),
            "expires_at": int((now + PUSHED_LASTS).timestamp()),
        }
    )
    sealed = seal.shut(value, place=_PLACE, nonce=random(SEAL_NONCE_BYTES))
    return PushedAnswer(REQUEST_URI_PREFIX + sealed, int(PUSHED_LASTS.total_seconds()))


def take_pushed(
    grants: Grants, seal: Sealing, request_uri: str, client_id: str | None, *, now: datetime
) -> tuple[AuthorizationRequest, SecretHash]:
    """Give the pushed request, and the hash that its one answer spends.

    Raises `Refused` with `invalid_request_uri`.
    """
    known = request_uri.startswith(REQUEST_URI_PREFIX) and len(request_uri) <= _LONGEST_URI
    sealed = request_uri.removeprefix(REQUEST_URI_PREFIX) if known else ""
    try:
        obj = parse_object(seal.open(sealed, place=_PLACE), _PLACE)
    except Malformed as cause:
        raise _refused("one that was given here", "another") from cause
    request = AuthorizationRequest.from_json(object_at(obj, "request", _PLACE))
    if client_id != request.client_id:
        raise _refused("the one of the client_id", "another wallet's")
    if now.timestamp() >= int_at(obj, "expires_at", _PLACE):
        raise _refused("one that was pushed in the last minute", "an older one")
    answer_hash = secret_hash(text_at(obj, "secret", _PLACE))
    if grants.is_spent(answer_hash):
        raise _refused("one that was not answered before", "a used one")
    return request, answer_hash


def _refused(expected: str, found: str) -> Refused:
    return refusal(ErrorCode.INVALID_REQUEST_URI, expected, found, REQUEST_URI)
