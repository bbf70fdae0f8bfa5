"""Issuers' signatures that were good, so that a customer who comes again costs half.

    verifier = Verifier(policy, trust, statuses, remembered=Remembered())

What is remembered is a hash and nothing that was shown: SHA-256 over the token that the
issuer signed, beside the thumbprint of the key. Trust, times, the status list and the
holder's own proof are judged each time. It lives in memory and ends with the process.
"""

import threading
from hashlib import sha256
from typing import Final

from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.keys import PublicKey

KEPT: Final = 10_000
"""So many signatures are remembered; the one met longest ago goes first."""


class Remembered:
    """Good signatures, the last ones met. Safe to use from several threads."""

    def __init__(self, size: int = KEPT) -> None:
        if size < 1:
            raise Misuse(f"expected room for at least one signature, found {size}")
        self._size = size
        self._met: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Give the number of signatures that are remembered."""
        return len(self._met)

    def check(self, key: PublicKey, signature: bytes, message: bytes) -> None:
        """Return only if `signature` is `key`'s over `message`, now or when it was met before.

        Raises `Refused` with `signature-invalid`, as `PublicKey.verify` does.
        """
        # With its length, so that no byte of the signature can pass for one of the message.
        parts = (f"{key.thumbprint()} {len(signature)} ".encode(), signature, message)
        met = sha256(b"".join(parts)).digest()
        with self._lock:
            # Taken out and put at the end: the first is the one that goes.
            if self._met.pop(met, met) is None:
                self._met[met] = None
                return
        key.verify(signature, message)
        with self._lock:
            self._met[met] = None
            if len(self._met) > self._size:
                del self._met[next(iter(self._met))]
