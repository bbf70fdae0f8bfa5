"""Nonces that prove themselves: time, randomness, and a MAC over both and what they are for.

    nonce = make_nonce(key, NonceUse.PROOF, now=now, random=random)
    ends_at = check_nonce(nonce, key, NonceUse.PROOF, now=now, lasts=lasts)

The endpoints that give them are open to everybody. They store nothing, so that
nobody can fill the disk through them; only a nonce that came with a good proof and a
good token is written down, when it is spent, until it would have ended anyway. A
nonce for one use is no nonce for another.

OpenID4VCI 1.0, sections 7 and 13.8; RFC 9449, section 8; Attestation-Based Client
Authentication, section 8.
"""

import hmac
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import blake2b
from typing import Final

from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Refused

from counterfoil_issuer.records import Random
from counterfoil_issuer.spec import ErrorCode, refusal

_TIME_BYTES: Final = 8
_RANDOM_BYTES: Final = 16
_MAC_BYTES: Final = 16
_CHARACTERS: Final = (_TIME_BYTES + _RANDOM_BYTES + _MAC_BYTES) * 4 // 3 + 1
_SKEW_S: Final = 60


class NonceUse(Enum):
    """What a nonce is for: its label under the MAC, where it stands, what a wrong one is called."""

    PROOF = (b"c_nonce", "proof.nonce", ErrorCode.INVALID_NONCE)
    DPOP = (b"dpop", "dpop.nonce", ErrorCode.USE_DPOP_NONCE)
    ATTESTATION = (
        b"attestation",
        "client_attestation_pop.challenge",
        ErrorCode.USE_ATTESTATION_CHALLENGE,
    )

    def __init__(self, label: bytes, where: str, code: ErrorCode) -> None:
        """Keep what belongs to the use; the label separates it from the others under the MAC."""
        self.label = label
        self.where = where
        self.code = code

    def refused(self, expected: str, found: str) -> Refused:
        """Give the refusal of a nonce, with the code that its protocol names."""
        return refusal(self.code, expected, found, self.where)


def make_nonce(key: bytes, use: NonceUse, *, now: datetime, random: Random) -> str:
    """Give a fresh nonce: base64url of eight bytes of time, sixteen random, sixteen of MAC."""
    body = int(now.timestamp()).to_bytes(_TIME_BYTES) + random(_RANDOM_BYTES)
    return b64url(body + _mac(key, use, body))


def check_nonce(
    nonce: str, key: bytes, use: NonceUse, *, now: datetime, lasts: timedelta
) -> datetime:
    """Give the instant at which `nonce` ends; spending it is the caller's next step.

    Raises `Refused` for one that is not ours, is for another use, or is over: with
    `invalid_nonce`, `use_dpop_nonce` or `use_attestation_challenge`.
    """
    try:
        data = from_b64url(nonce, "nonce") if len(nonce) == _CHARACTERS else b""
    except Malformed:
        data = b""
    body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
    if not data or not hmac.compare_digest(mac, _mac(key, use, body)):
        raise use.refused("a nonce that this service gave for this use", "another text")
    # The MAC is good, so the time is one that this service wrote.
    made_at = int.from_bytes(body[:_TIME_BYTES])
    lasts_s = lasts.total_seconds()
    if not -_SKEW_S <= now.timestamp() - made_at < lasts_s:
        expected = f"a nonce of the last {int(lasts_s)} seconds"
        raise use.refused(expected, "an old one; ask for another")
    return datetime.fromtimestamp(made_at + lasts_s, UTC)


def _mac(key: bytes, use: NonceUse, body: bytes) -> bytes:
    # BLAKE2b keys and labels itself (RFC 7693); HMAC costs a quarter of a signature here.
    short = key if len(key) <= blake2b.MAX_KEY_SIZE else blake2b(key).digest()
    return blake2b(body, digest_size=_MAC_BYTES, key=short, person=use.label).digest()
