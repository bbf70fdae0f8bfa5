"""A session holds the key of its answer and what must come back; the service has its own tables.

The audit log, the outbox with its webhooks, and answers kept for a repeated request.
"""

import sqlalchemy as sa
from alembic import op
from counterfoil_credentials.errors import Misuse

revision = "3"
down_revision = "2"

_TEXTS = (
    "response_key",
    "transaction_data",
    "facts_key",
    "held",
    "handback",
    "code_hash",
    "till",
)
# Each gives the number of rows that the schema before has no place for.
_NEW = (
    """SELECT count(*) FROM sessions WHERE response_key IS NOT NULL OR transaction_data IS NOT NULL
        OR facts_key IS NOT NULL OR held IS NOT NULL OR handback IS NOT NULL
        OR till IS NOT NULL""",
    "SELECT count(*) FROM audit_log",
    "SELECT count(*) FROM outbox_events",
    "SELECT count(*) FROM webhook_endpoints",
)
_TABLES = (
    "webhook_dead_letters",
    "webhook_endpoints",
    "outbox_events",
    "idempotency",
    "audit_marks",
    "audit_log",
)


def upgrade() -> None:
    """Add the columns and the tables."""
    for name in _TEXTS:
        op.add_column("sessions", sa.Column(name, sa.String))
    op.add_column("sessions", sa.Column("wrong_codes", sa.Integer))
    op.add_column("sessions", sa.Column("sent_at_us", sa.BigInteger))
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
    _make_outbox()


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
    """Go back, unless something was written that the schema before has no place for."""
    connection = op.get_bind()
    unheld = sum(connection.scalar(sa.text(rows)) or 0 for rows in _NEW)
    if unheld:
        raise Misuse(f"expected only what revision 2 can hold, found {unheld} rows more")
    for name in _TABLES:
        op.drop_table(name)
    # What was sent may be forgotten: whoever has a result already does not take it twice.
    for name in (*_TEXTS, "wrong_codes", "sent_at_us"):
        op.drop_column("sessions", name)
