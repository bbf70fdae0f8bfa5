"""A session holds the key of its answer and what must come back; a name may be taken once.

A verdict says how it came about: one of what a holder showed unasked has no request. A
moment has 64 bits on every database. The service has its own tables: the audit log, the
outbox with its webhooks, and answers kept for a repeated request.
"""

import sqlalchemy as sa
from alembic import op
from counterfoil_credentials.errors import Misuse

from counterfoil_verifier.migrations.versions import revision_1

revision = "2"
down_revision = "1"

_SHARED = """session_id, request_id, language, preset, state, nonce, wallet_state, asked_at_us,
    expires_at_us, outcome, codes, checked_at_us, status_as_of_us, took_ms, later_answers"""
# Each gives the number of rows that the first schema has no place for.
_NEW = (
    """SELECT count(*) FROM sessions WHERE request_id IS NULL OR kind <> 'asked'
        OR response_key IS NOT NULL OR transaction_data IS NOT NULL OR facts_key IS NOT NULL
        OR held IS NOT NULL OR handback IS NOT NULL OR till IS NOT NULL""",
    "SELECT count(*) FROM one_time_names",
    "SELECT count(*) FROM audit_log",
    "SELECT count(*) FROM outbox_events",
    "SELECT count(*) FROM webhook_endpoints",
)
_TABLES = (
    "one_time_names",
    "webhook_dead_letters",
    "webhook_endpoints",
    "outbox_events",
    "idempotency",
    "audit_marks",
    "audit_log",
)


def upgrade() -> None:
    """Make the tables; every verdict so far answered a request."""
    op.execute("CREATE TABLE was_sessions AS SELECT * FROM sessions")
    op.drop_table("sessions")
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.String, primary_key=True),
        sa.Column("request_id", sa.String, unique=True),
        sa.Column("language", sa.String),
        sa.Column("preset", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("nonce", sa.String),
        sa.Column("wallet_state", sa.String),
        sa.Column("response_key", sa.String),
        sa.Column("transaction_data", sa.String),
        sa.Column("facts_key", sa.String),
        sa.Column("held", sa.String),
        sa.Column("handback", sa.String),
        sa.Column("code_hash", sa.String),
        sa.Column("wrong_codes", sa.Integer),
        sa.Column("till", sa.String),
        sa.Column("asked_at_us", sa.BigInteger, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("kind", sa.String),
        sa.Column("codes", sa.String),
        sa.Column("checked_at_us", sa.BigInteger),
        sa.Column("status_as_of_us", sa.BigInteger),
        sa.Column("took_ms", sa.Integer),
        sa.Column("later_answers", sa.Integer, nullable=False),
        sa.Column("sent_at_us", sa.BigInteger),
        sa.CheckConstraint(
            "state IN ('waiting', 'answered')", name="a_session_waits_or_is_answered"
        ),
        sa.CheckConstraint(
            "(state = 'waiting') = (outcome IS NULL)", name="an_answer_has_an_outcome"
        ),
        sa.CheckConstraint("(state = 'waiting') = (nonce IS NOT NULL)", name="a_nonce_waits"),
        sa.CheckConstraint(
            "state = 'answered' OR request_id IS NOT NULL", name="who_waits_was_asked"
        ),
    )
    op.create_index("ix_sessions_asked_at_us", "sessions", ["asked_at_us"])
    op.execute(
        f"INSERT INTO sessions ({_SHARED}, kind) SELECT {_SHARED},"  # noqa: S608  # ours
        " CASE WHEN state = 'answered' THEN 'asked' END FROM was_sessions"
    )
    op.drop_table("was_sessions")
    op.create_table(
        "one_time_names",
        sa.Column("name_hash", sa.String, primary_key=True),
        sa.Column("ends_at_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_one_time_names_ends_at_us", "one_time_names", ["ends_at_us"])
    _make_log()
    _make_outbox()


def _make_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("chain", sa.String, nullable=False),
    )
    op.create_index("ix_audit_log_subject", "audit_log", ["subject"])
    op.create_table(
        "audit_marks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("chain", sa.String, nullable=False),
        sa.Column("mac", sa.String, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("answer", sa.String),
        sa.Column("claim", sa.String),
        sa.Column("claim_ends_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"])


def _make_outbox() -> None:
    op.create_table(
        "outbox_events",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("body", sa.String, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.String, primary_key=True),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("types", sa.String, nullable=False),
        sa.Column("secrets", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("failure", sa.String),
        sa.Column("lease", sa.String),
        sa.Column("lease_ends_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "webhook_dead_letters",
        sa.Column("endpoint_id", sa.String, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("failure", sa.String, nullable=False),
        sa.Column("died_at", sa.BigInteger, nullable=False),
    )
    op.create_index("webhook_dead_letters_by_event", "webhook_dead_letters", ["sequence"])


def downgrade() -> None:
    """Go back, unless something was written that the first schema has no place for."""
    connection = op.get_bind()
    unheld = sum(connection.scalar(sa.text(rows)) or 0 for rows in _NEW)
    if unheld:
        raise Misuse(f"expected only what revision 1 can hold, found {unheld} rows more")
    for name in _TABLES:
        op.drop_table(name)
    # What was sent may be forgotten: whoever has a result already does not take it twice.
    op.execute("CREATE TABLE was_sessions AS SELECT * FROM sessions")
    op.drop_table("sessions")
    revision_1.upgrade()
    op.execute(
        f"INSERT INTO sessions ({_SHARED}) SELECT {_SHARED} FROM was_sessions"  # noqa: S608
    )
    op.drop_table("was_sessions")
