"""Keccak-256, the hash of Ethereum, and the `ref` that awards are known by.

This is the original Keccak, not the SHA-3 of FIPS 202, which pads differently
and which `hashlib` has.
"""

import hashlib
import hmac

from counterfoil_credentials.errors import Misuse
from Crypto.Hash import keccak

SECRET_BYTES = 32


def keccak256(data: bytes) -> bytes:
    """Give the 32-byte Keccak-256 of `data`."""
    return keccak.new(data=data, digest_bits=256).digest()


def award_ref(brand: str, order: str, kind: str, *, secret: bytes) -> bytes:
    """Give the 32-byte name of one award: the same for each attempt, ever.

    `brand` is the brand's public name, `order` its own number for the business
    event, `kind` what is rewarded (`purchase`, `feedback`). No clock and no
    randomness: a retry after a crash computes the same `ref`, and points are
    minted once for it. Each part is hashed first, so that no two triples meet
    in one text.

    Everybody reads the ref on the chain, and order numbers are few enough to
    try one after another. So it is an HMAC-SHA256 under `secret`, at least 32
    bytes that the brand keeps for ever: with another secret, every order could
    be awarded once more.
    """
    if len(secret) < SECRET_BYTES:
        text = f"expected at least {SECRET_BYTES} secret bytes, found {len(secret)}"
        raise Misuse(text)
    named = b"".join(keccak256(part.encode()) for part in (brand, order, kind))
    return hmac.digest(secret, b"counterfoil award ref " + named, hashlib.sha256)
