"""Who may call: a bearer key, kept in a file that only its owner reads.

    key = load_or_create_key(data / "back-office.key")
    app = FastAPI()

    @app.get("/back-office/orders", dependencies=[Depends(BearerKey(key))])
    def orders() -> ...

RFC 6750, sections 2.1 and 3.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.key_file import load_or_create_private
from fastapi import HTTPException, Request

KEY_BYTES = 32


class BearerKey:
    """A FastAPI dependency that lets a request pass only with `Authorization: Bearer <key>`."""

    def __init__(self, key: str) -> None:
        if not key:
            text = "expected a bearer key, found an empty text"
            raise Misuse(text)
        self._digest = _digest(key)

    def __call__(self, request: Request) -> None:
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        # Digests have one length, so the time says nothing about the key's either.
        same = hmac.compare_digest(_digest(presented.strip()), self._digest)
        if scheme.lower() != "bearer" or not same:
            raise HTTPException(
                401,
                "expected this service's bearer key (Authorization)",
                headers={"WWW-Authenticate": "Bearer"},
            )


def load_or_create_key(path: Path) -> str:
    """Give the bearer key in the file at `path`, made at random when the file is missing.

    The file has mode 0600. Two processes that both find none agree on one key.

    Raises `Misuse` when others may read the file, `Malformed` when it holds no key.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = load_or_create_private(path, _fresh_key)
    try:
        key = kept.decode("ascii").strip()
    except UnicodeDecodeError as cause:
        raise Malformed("a bearer key", "other bytes", path.name) from cause
    if not key:
        raise Malformed("a bearer key", "an empty file", path.name)
    return key


def _fresh_key() -> bytes:
    return f"{secrets.token_urlsafe(KEY_BYTES)}\n".encode("ascii")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
