"""Thirty-two secret bytes in a file that only its owner can read."""

from hashlib import sha256
from pathlib import Path

from counterfoil_service.access import load_or_create_key


def load_or_create_secret(path: Path) -> bytes:
    """Give the secret kept at `path`, made from the system's randomness on first use."""
    return sha256(load_or_create_key(path).encode("ascii")).digest()
