"""The first schema: sessions, each with its verdict once there is one."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

# SQLite's whole numbers have 64 bits by any name; this schema was never on PostgreSQL.
_MOMENT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False, unique=True),
        sa.Column("preset", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text),
        sa.Column("wallet_state", sa.Text),
        sa.Column("asked_at_us", _MOMENT, nullable=False),
        sa.Column("expires_at_us", _MOMENT, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("codes", sa.Text),
        sa.Column("checked_at_us", _MOMENT),
        sa.Column("status_as_of_us", _MOMENT),
        sa.Column("took_ms", sa.Integer),
        sa.Column("later_answers", sa.Integer, nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'answered')"),
        sa.CheckConstraint("(state = 'waiting') = (outcome IS NULL)"),
        sa.CheckConstraint("(state = 'waiting') = (nonce IS NOT NULL)"),
    )
    op.create_index("ix_sessions_asked_at_us", "sessions", ["asked_at_us"])


def downgrade() -> None:
    """Leave nothing."""
    op.drop_table("sessions")
