"""The one event of answering a request, under an id that follows from the request.

So a request is answered once, also by two programs and after a crash, and an app finds what
came of an answer in the history without being told.
"""

from hashlib import sha256

from counterfoil_credentials.encoding import b64url, compact_json
from counterfoil_credentials.requests import PresentationRequest

from counterfoil_wallet.history import Act, EventId


def answer_id(request: PresentationRequest) -> EventId:
    """Give the id of the one event of answering `request`, whether by a yes or a no."""
    return answer_named(request.client_id, request.nonce)


def answer_named(client_id: str, nonce: str) -> EventId:
    """Give the same by what names a request."""
    named = compact_json([client_id, nonce])
    return EventId(f"{Act.SHOWN}-{b64url(sha256(named).digest())}")
