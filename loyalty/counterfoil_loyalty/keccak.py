"""Keccak-256, the hash of Ethereum, and the `ref` that awards are known by.

This is the original Keccak, not the SHA-3 of FIPS 202, which pads differently
and which `hashlib` has.
"""

from Crypto.Hash import keccak


def keccak256(data: bytes) -> bytes:
    """Give the 32-byte Keccak-256 of `data`."""
    return keccak.new(data=data, digest_bits=256).digest()


def award_ref(brand: str, order: str, kind: str) -> bytes:
    """Give the 32-byte name of one award: the same for each attempt, ever.

    `brand` is the brand's public name, `order` its own number for the business
    event, `kind` what is rewarded (`purchase`, `feedback`). No clock and no
    randomness: a retry after a crash computes the same `ref`, and points are
    minted once for it. Each part is hashed first, so that no two triples meet
    in one text.
    """
    parts = (brand, order, kind)
    return keccak256(b"".join(keccak256(part.encode()) for part in parts))
