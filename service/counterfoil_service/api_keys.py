"""API keys of a service: named, with roles, kept as hashes, revoked for good.

    made = make_key(connection, name="shop-2026", roles={Role.ISSUER}, now=now, random=os.urandom)
    print(made.text)                              # shown once; the table holds its hash
    revoke_key(connection, "shop-2026", now)
    access = Access([owner(key), api_keys(db, clock)])

A name is used once and stays in the table: the audit log means one key by it.
"""

import hashlib
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import b64url, numeric_date
from counterfoil_credentials.errors import Malformed, Reason, Refused
from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    update,
)

from counterfoil_service.access import Authority, Caller, Role
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement

PREFIX: Final = "cfk_"
_TEXT: Final = re.compile(r"cfk_[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED: Final = frozenset({"owner", "wallet", "system"})

METADATA: Final = MetaData()
KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("hash", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("roles", String, nullable=False),
    Column("last_four", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

_ALL: Final = Statement(select(KEYS).order_by(KEYS.c.name))
_NAMED: Final = Statement(select(KEYS).where(KEYS.c.name == bindparam("called")))
_HASHED: Final = Statement(select(KEYS).where(KEYS.c.hash == bindparam("digest")))
_ADD: Final = Statement(insert(KEYS))
_REVOKE: Final = Statement(
    update(KEYS)
    .where((KEYS.c.name == bindparam("called")) & (KEYS.c.revoked_at.is_(None)))
    .values(revoked_at=bindparam("moment"))
)


def add_tables(metadata: MetaData) -> None:
    """Add this module's table to a service's own."""
    KEYS.to_metadata(metadata)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key."""

    name: str
    roles: frozenset[Role]
    last_four: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `text` is what its holder sends, and is known nowhere else."""

    name: str
    text: str = field(repr=False)


def make_key(
    connection: Connection,
    *,
    name: str,
    roles: AbstractSet[Role],
    now: datetime,
    random: Callable[[int], bytes],
    lasts: timedelta | None = None,
) -> NewKey:
    """Make a key with at least one role.

    Raises `Malformed` for a name that is none, `Refused` (`key-name-taken`).
    """
    if _NAME.fullmatch(name) is None or name in _RESERVED:
        raise Malformed("a name of letters, digits, '.', '_' and '-'", "another", "key.name")
    if not roles:
        raise Malformed("at least one role", "none", "key.roles")
    if connection.row(_NAMED, called=name) is not None:
        raise Refused(
            Reason("key-name-taken", "a name never used before", "a used one", "key.name")
        )
    text = f"{PREFIX}{b64url(random(32))}"
    connection.change(
        _ADD,
        hash=_hash(text),
        name=name,
        roles=" ".join(sorted(roles)),
        last_four=text[-4:],
        created_at=numeric_date(now),
        expires_at=None if lasts is None else numeric_date(now + lasts),
        revoked_at=None,
    )
    return NewKey(name, text)


def revoke_key(connection: Connection, name: str, now: datetime) -> bool:
    """End a key. Say whether it was in force until now."""
    return connection.change(_REVOKE, called=name, moment=numeric_date(now)) == 1


def listed_keys(connection: Connection) -> list[ApiKey]:
    """Give all keys that ever were, by name."""
    return [_api_key(row) for row in connection.rows(_ALL)]


def find_caller(connection: Connection, text: str, now: datetime) -> Caller | None:
    """Give the caller whose key `text` is, when it is in force."""
    # The hash is of 32 random bytes: neither a slow hash nor a constant time is needed.
    row = connection.row(_HASHED, digest=_hash(text))
    if row is None or row.revoked_at is not None:
        return None
    if row.expires_at is not None and row.expires_at <= numeric_date(now):
        return None
    return Caller(row.name, _roles(row.roles))


def api_keys(database: Database, clock: Callable[[], datetime]) -> Authority:
    """Give the authority that knows the keys in `database`, as they are at each request."""

    def caller_of(text: str) -> Caller | None:
        if _TEXT.fullmatch(text) is None:
            return None
        with database.reading() as connection:
            return find_caller(connection, text, clock())

    return caller_of


def _api_key(row: Row) -> ApiKey:
    return ApiKey(
        row.name,
        _roles(row.roles),
        row.last_four,
        datetime.fromtimestamp(row.created_at, UTC),
        _instant(row.expires_at),
        _instant(row.revoked_at),
    )


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _roles(text: str) -> frozenset[Role]:
    return frozenset(Role(role) for role in text.split())


def _hash(text: str) -> str:
    return b64url(hashlib.sha256(text.encode()).digest())
