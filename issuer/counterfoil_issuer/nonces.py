"""Nonces that prove themselves: time, randomness, and a MAC over both.

The nonce endpoint is open to everybody. It stores nothing, so that nobody can
fill the disk through it; only a nonce that came with a good proof and a good
token is written down, when it is spent, until it would have ended anyway.

OpenID4VCI 1.0, sections 7 and 13.8.
"""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed

from counterfoil_issuer.records import Random
from counterfoil_issuer.spec import ErrorCode, refusal

_TIME_BYTES: Final = 8
_RANDOM_BYTES: Final = 16
_MAC_BYTES: Final = 16
_WHERE: Final = "proof.nonce"
_SKEW: Final = timedelta(seconds=60)


def make_nonce(key: bytes, *, now: datetime, random: Random) -> str:
    """Give a fresh nonce: base64url of eight bytes of time, sixteen random, sixteen of MAC."""
    body = int(now.timestamp()).to_bytes(_TIME_BYTES) + random(_RANDOM_BYTES)
    return b64url(body + _mac(key, body))


def check_nonce(nonce: str, key: bytes, *, now: datetime, lasts: timedelta) -> datetime:
    """Give the instant at which `nonce` ends; spending it is the caller's next step.

    Raises `Refused` with `invalid_nonce` for one that is not ours, or is over.
    """
    try:
        data = from_b64url(nonce, _WHERE)
    except Malformed as cause:
        raise refusal(
            ErrorCode.INVALID_NONCE, "a nonce of the nonce endpoint", "another text", _WHERE
        ) from cause
    body, mac = data[: _TIME_BYTES + _RANDOM_BYTES], data[_TIME_BYTES + _RANDOM_BYTES :]
    if not hmac.compare_digest(mac, _mac(key, body)):
        raise refusal(
            ErrorCode.INVALID_NONCE, "a nonce of the nonce endpoint", "another text", _WHERE
        )
    # The MAC is good, so the time is one that this service wrote.
    made_at = datetime.fromtimestamp(int.from_bytes(body[:_TIME_BYTES]), UTC)
    if not made_at - _SKEW <= now < made_at + lasts:
        raise refusal(
            ErrorCode.INVALID_NONCE,
            f"a nonce of the last {int(lasts.total_seconds())} seconds",
            "an old one; ask the nonce endpoint again",
            _WHERE,
        )
    return made_at + lasts


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"c_nonce\x00" + body, sha256).digest()[:_MAC_BYTES]
