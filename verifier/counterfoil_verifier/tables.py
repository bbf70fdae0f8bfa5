"""The shop's tables: texts and whole numbers only; a moment is microseconds since 1970 in UTC.

What must never happen twice is a constraint of the schema, not a habit of the code: a
session has one row and one verdict, a one-time name is taken once. No column holds a
presentation, or a fact that the shop could read (`held`, for a minute, opens to the till
that asked), and none holds anything of a request once it was answered.
"""

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, MetaData, String, Table

METADATA: Final = MetaData()

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("session_id", String, primary_key=True),
    # A verdict that nobody was asked for through a request has neither of the two.
    Column("request_id", String, unique=True),
    Column("language", String),
    Column("preset", String, nullable=False),
    Column("state", String, nullable=False),
    # Needed while waiting, and gone with the answer.
    Column("nonce", String),
    Column("wallet_state", String),
    Column("response_key", String),
    Column("transaction_data", String),
    Column("facts_key", String),
    # What the first look may take, encrypted to that key; gone with it, or after a minute.
    Column("held", String),
    # What has to come back from the customer's device, and its digest until it has.
    Column("handback", String),
    Column("code_hash", String),
    Column("wrong_codes", Integer),
    Column("till", String),
    Column("asked_at_us", BigInteger, nullable=False, index=True),
    Column("expires_at_us", BigInteger, nullable=False),
    Column("outcome", String),
    Column("kind", String),
    Column("codes", String),
    Column("checked_at_us", BigInteger),
    Column("status_as_of_us", BigInteger),
    Column("took_ms", Integer),
    Column("later_answers", Integer, nullable=False),
    # When the shop's own service had it; None at a till that has not sent it, or never does.
    Column("sent_at_us", BigInteger),
    CheckConstraint("state IN ('waiting', 'answered')", name="a_session_waits_or_is_answered"),
    CheckConstraint("(state = 'waiting') = (outcome IS NULL)", name="an_answer_has_an_outcome"),
    CheckConstraint("(state = 'waiting') = (nonce IS NOT NULL)", name="a_nonce_waits"),
    CheckConstraint("state = 'answered' OR request_id IS NOT NULL", name="who_waits_was_asked"),
)

# Kept as digests: whoever reads the table learns no nonce that a phone has shown.
ONE_TIME_NAMES: Final = Table(
    "one_time_names",
    METADATA,
    Column("name_hash", String, primary_key=True),
    Column("ends_at_us", BigInteger, nullable=False, index=True),
)
