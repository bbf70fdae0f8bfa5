"""Values that a database keeps and cannot read: sealed under a secret that lives elsewhere.

    seal = Seal(secret, "webhook secrets")
    kept = seal.shut(b"...", place="endpoint 7", nonce=os.urandom(12))
    seal.open(kept, place="endpoint 7")

A copy of the database (a backup, an injected query) opens nothing without the
secret; a value that is moved to another `place` does not open either.
AES-256-GCM under a key of its own for each purpose.
"""

import hmac
from typing import Final

from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Misuse
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MIN_SECRET_BYTES: Final = 32
NONCE_BYTES: Final = 12


def derived(secret: bytes, *names: str) -> bytes:
    """Give the 32 bytes that stand for `names` under `secret`; `Misuse` for a short secret."""
    if len(secret) < MIN_SECRET_BYTES:
        raise Misuse(f"expected a secret of {MIN_SECRET_BYTES} bytes, found {len(secret)}")
    # Each name carries its length: ("ab", "c") and ("a", "bc") are two things.
    parts = [name.encode("utf-8") for name in names]
    message = b"".join(len(part).to_bytes(4) + part for part in parts)
    return hmac.digest(secret, message, "sha256")


class Seal:
    """Shuts and opens values of one purpose."""

    def __init__(self, secret: bytes, *purpose: str) -> None:
        """Derive the key; `secret` has at least 32 bytes and never enters the database."""
        self._cipher = AESGCM(derived(secret, "seal", *purpose))

    def shut(self, value: bytes, *, place: str, nonce: bytes) -> str:
        """Give the sealed text of `value`; `nonce` is 12 bytes that were never used before."""
        if len(nonce) != NONCE_BYTES:
            raise Misuse(f"expected a nonce of {NONCE_BYTES} bytes, found {len(nonce)}")
        return b64url(nonce + self._cipher.encrypt(nonce, value, place.encode()))

    def open(self, sealed: str, *, place: str) -> bytes:
        """Give the value again; `Malformed` when it was changed, moved, or shut by another."""
        data = from_b64url(sealed, place)
        try:
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as cause:
            raise Malformed("a value that this service sealed", "another", place) from cause
