"""A receiver's tables: texts and whole numbers only; a moment is seconds since 1970 in UTC.

A request is answered by one grant, and an ended grant holds no ciphertext: constraints of
the schema. No column holds a claim value that could be read. Keys are in the key folder.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

LIVE: Final = ("granted", "active", "suspended")
"""The states of a grant that has not ended."""

METADATA: Final = MetaData()

REQUESTS: Final = Table(
    "consent_requests",
    METADATA,
    Column("request_id", String, primary_key=True),
    Column("notice_sha256", String, nullable=False, index=True),
    Column("expires_at", BigInteger, nullable=False),
    Column("body", String, nullable=False),
    Column("answered_by", String),
)
_is_open: Final = REQUESTS.c.answered_by.is_(None)
Index(
    "ix_consent_requests_unanswered",
    REQUESTS.c.expires_at,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)

GRANTS: Final = Table(
    "consent_grants",
    METADATA,
    Column("grant_id", String, primary_key=True),
    Column(
        "request_id",
        String,
        ForeignKey("consent_requests.request_id"),
        nullable=False,
        unique=True,
    ),
    Column("revision", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("valid_until", BigInteger, nullable=False, index=True),
    Column("has_papers", Integer, nullable=False),
    # When there is something to do for it; nothing any more when it is NULL.
    Column("due_at", BigInteger, index=True),
    # Whether something of it is kept under a law.
    Column("keeps", Integer, nullable=False),
    Column("body", String, nullable=False),
    # Ciphertext, in base64url; gone with the end.
    Column("bundle", String),
    CheckConstraint(
        "bundle IS NULL OR state IN ('granted', 'active', 'suspended')",
        name="an_ended_grant_has_no_ciphertext",
    ),
)
