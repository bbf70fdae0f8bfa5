"""The custodian's tables: texts and whole numbers only; a moment is seconds since 1970 in UTC.

What must never happen is a constraint of the schema, not a habit of the code: more reads
than agreed, one lease request answered twice, a share without a grant in force. No column
holds a claim value. Keys are in the key folder, never here.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

METADATA: Final = MetaData()

GRANTS: Final = Table(
    "custodian_grants",
    METADATA,
    Column("grant_id", String, primary_key=True),
    Column("state", String, nullable=False, index=True),
    Column("holder", String, nullable=False),
    Column("reserved_at", BigInteger),
    Column("receiver", String),
    Column("grant_digest", String),
    Column("purpose", String),
    Column("valid_until", BigInteger, index=True),
    Column("max_reads", BigInteger),
    # Sealed to the one-time key, in base64url; gone with the end.
    Column("share", String),
    Column("completer", String),
    Column("authority", String),
    Column("is_single_use", Integer, nullable=False),
    Column("is_receipted", Integer, nullable=False),
    # 0 after the journal was lost, until the holder has confirmed the grant.
    Column("is_confirmed", Integer, nullable=False),
    Column("reads", BigInteger, nullable=False),
    Column("last_read_at", BigInteger),
    Column("trigger", String),
    Column("ended_at", BigInteger),
    Column("statement", String),
    CheckConstraint("state IN ('reserved', 'kept', 'ended')", name="a_grant_goes_one_way"),
    CheckConstraint("(state = 'kept') = (share IS NOT NULL)", name="a_share_is_kept_or_gone"),
    CheckConstraint("state <> 'kept' OR reads <= max_reads", name="no_read_beyond_the_limit"),
    CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name="an_end_has_its_time"),
)

READS: Final = Table(
    "custodian_reads",
    METADATA,
    Column("grant_id", String, ForeignKey("custodian_grants.grant_id"), nullable=False),
    Column("request_id", String, nullable=False),
    PrimaryKeyConstraint("grant_id", "request_id"),
)

JOURNAL: Final = Table(
    "custodian_journal",
    METADATA,
    # One row: how far the journal of tombstones is taken in.
    Column("name", String, primary_key=True),
    Column("lines", BigInteger, nullable=False),
    Column("chain", String, nullable=False),
    CheckConstraint("name = 'journal'", name="there_is_one_journal"),
)
