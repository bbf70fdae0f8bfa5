"""Signed webhooks: what the sender writes, and how a receiver checks it.

    headers = sign_webhook("evt_1", b'{"type": ...}', secrets=[secret], at=now)

    event = verify_webhook(request.headers, body, secrets=[secret], now=now)   # the receiver

A receiver should also remember the ids it has handled: an event may come twice.
Standard Webhooks 1.0, "Signature scheme"; it needs nothing of a service's.
"""

import hmac
import re
from binascii import Error as BinasciiError
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import JsonObject, numeric_date, parse_object
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from pybase64 import b64decode, b64encode_as_string

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE: Final = timedelta(minutes=5)
SECRET_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = (24, 64)
_MAX_SIGNATURES: Final = 2_048
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def new_secret(random: bytes) -> str:
    """Give the text of a secret: `random` is 24 to 64 fresh bytes."""
    if not _SECRET_BYTES[0] <= len(random) <= _SECRET_BYTES[1]:
        raise Misuse(f"expected 24 to 64 bytes of a webhook secret, found {len(random)}")
    return SECRET_PREFIX + b64encode_as_string(random)


def sign_webhook(
    event_id: str, body: bytes, *, secrets: Sequence[str], at: datetime
) -> dict[str, str]:
    """Give the three headers of `body`; while a secret is replaced, both sign."""
    if not secrets:
        raise Misuse("expected a webhook secret, found none")
    seconds = str(numeric_date(at))
    signatures = [f"v1,{_signature(secret, event_id, seconds, body)}" for secret in secrets]
    return {ID: event_id, TIMESTAMP: seconds, SIGNATURE: " ".join(signatures)}


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[str],
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> JsonObject:
    """Give the event, once one of `secrets` is found to have signed it within `tolerance`.

    Raises `Malformed` for missing headers and for a body that is no object, and
    `Refused`: `webhook-signature-invalid` or `webhook-out-of-time`.
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]
    if missing:
        raise Malformed("the headers of a signed webhook", "none", missing[0])
    if _SECONDS.fullmatch(given[TIMESTAMP]) is None or len(given[SIGNATURE]) > _MAX_SIGNATURES:
        raise Malformed("the headers of a signed webhook", "others", TIMESTAMP)
    expected = [_signature(each, given[ID], given[TIMESTAMP], body) for each in secrets]
    found = [part.removeprefix("v1,") for part in given[SIGNATURE].split(" ")[:10]]
    # Every pair is compared: the time says nothing about which secret it was.
    matches = [hmac.compare_digest(a.encode(), b.encode()) for a in expected for b in found]
    if not any(matches):
        text = "a signature under the secret that was shared"
        raise Refused(Reason("webhook-signature-invalid", text, "another", SIGNATURE))
    if abs(numeric_date(now) - int(given[TIMESTAMP])) > tolerance.total_seconds():
        text = f"a webhook sent within {tolerance} of now"
        raise Refused(Reason("webhook-out-of-time", text, "an older or later one", TIMESTAMP))
    return parse_object(body, "webhook")


def _signature(secret: str, event_id: str, seconds: str, body: bytes) -> str:
    try:
        key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except BinasciiError:
        key = b""
    if len(key) < _SECRET_BYTES[0]:
        raise Misuse("expected a webhook secret (whsec_ and base64), found another text")
    message = f"{event_id}.{seconds}.".encode() + body
    return b64encode_as_string(hmac.digest(key, message, "sha256"))
