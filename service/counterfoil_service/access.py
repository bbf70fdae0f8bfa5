"""Who may call: a bearer key in a file, API keys with roles, OpenID Connect tokens.

    key = load_or_create_key(data / "back-office.key")       # one key, every role: the owner's
    app = FastAPI()

    @app.get("/back-office/orders", dependencies=[Depends(BearerKey(key))])
    def orders() -> ...

Where people and programs have different rights, each request has a caller:

    access = Access(
        [owner(key), api_keys(db, clock), OpenIdTokens(...)],
        may={"credential.revoke": {Role.ISSUER, Role.RECALL}},           # policy: data
    )

    @app.post("/back-office/credentials/{credential_id}/revoke")
    async def revoke(caller: Annotated[Caller, Depends(access.to("credential.revoke"))]) -> ...

    @app.get("/back-office/log", dependencies=[Depends(access.require(Role.AUDITOR))])
    def log() -> ...

A caller's name goes into the audit log: it is a key's name or an opaque id.
RFC 6750, sections 2.1 and 3.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.key_file import load_or_create_private
from fastapi import HTTPException, Request

KEY_BYTES = 32
_MAX_BEARER = 16_384


class Role(StrEnum):
    """What a caller of a brand's back office may be."""

    ISSUER = "issuer"
    SERVICE = "service"
    RECALL = "recall"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the audit log names it, and what for."""

    name: str
    roles: frozenset[Role]


Authority: TypeAlias = Callable[[str], Caller | None]
"""Gives the caller behind a bearer text, or None for a text that it does not know."""


class Access:
    """Finds the caller of each request, by the first authority that knows its bearer text."""

    def __init__(
        self,
        authorities: Sequence[Authority],
        *,
        may: Mapping[str, AbstractSet[Role]] | None = None,
    ) -> None:
        """Take the authorities, and the policy: which roles may do which act."""
        if not authorities:
            raise Misuse("expected somebody who knows the callers, found nobody")
        self._authorities = tuple(authorities)
        self._may = {act: frozenset(roles) for act, roles in (may or {}).items()}

    def require(self, *roles: Role) -> Callable[[Request], Caller]:
        """Give the dependency that lets callers pass who have one of `roles`."""
        if not roles:
            raise Misuse("expected a role to require, found none")
        allowed = frozenset(roles)

        # A plain function: FastAPI runs it in a thread, where it may ask the database.
        def caller_of(request: Request) -> Caller:
            caller = self._caller(request)
            if caller.roles.isdisjoint(allowed):
                expected = " or ".join(sorted(allowed))
                raise HTTPException(403, f"expected a caller with the role {expected}")
            return caller

        return caller_of

    def to(self, act: str) -> Callable[[Request], Caller]:
        """Give the dependency that lets callers pass who may do `act` by the policy.

        Raises `Misuse` for an act that the policy does not name: nobody may do it.
        """
        roles = self._may.get(act)
        if not roles:
            raise Misuse(f"expected a policy that says who may {act}, found none")
        return self.require(*roles)

    def _caller(self, request: Request) -> Caller:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and 0 < len(text) <= _MAX_BEARER:
            for authority in self._authorities:
                caller = authority(text.strip())
                if caller is not None:
                    return caller
        raise HTTPException(
            401,
            "expected a key or token that is in force here (Authorization)",
            headers={"WWW-Authenticate": "Bearer"},
        )


def owner(key: str, *, name: str = "owner") -> Authority:
    """Give the authority that knows one key, whose holder has every role."""
    if not key:
        raise Misuse("expected a bearer key, found an empty text")
    digest = _digest(key)
    everything = Caller(name, frozenset(Role))
    return lambda text: everything if hmac.compare_digest(_digest(text), digest) else None


class BearerKey:
    """A FastAPI dependency that lets a request pass only with `Authorization: Bearer <key>`."""

    def __init__(self, key: str) -> None:
        if not key:
            text = "expected a bearer key, found an empty text"
            raise Misuse(text)
        self._digest = _digest(key)

    # A plain function would be run in another thread: that takes longer than all it does.
    async def __call__(self, request: Request) -> None:
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
