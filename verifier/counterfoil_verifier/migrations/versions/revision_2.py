"""A verdict says how it came about, and names may be taken once.

A verdict of what a holder showed unasked has no request; a moment has 64 bits on
every database.
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
    "SELECT count(*) FROM sessions WHERE request_id IS NULL OR kind <> 'asked'",
    "SELECT count(*) FROM one_time_names",
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
        sa.Column("asked_at_us", sa.BigInteger, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("kind", sa.String),
        sa.Column("codes", sa.String),
        sa.Column("checked_at_us", sa.BigInteger),
        sa.Column("status_as_of_us", sa.BigInteger),
        sa.Column("took_ms", sa.Integer),
        sa.Column("later_answers", sa.Integer, nullable=False),
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


def downgrade() -> None:
    """Go back, unless something was written that the first schema has no place for."""
    connection = op.get_bind()
    unheld = sum(connection.scalar(sa.text(rows)) or 0 for rows in _NEW)
    if unheld:
        raise Misuse(f"expected only what revision 1 can hold, found {unheld} rows more")
    op.drop_table("one_time_names")
    op.execute("CREATE TABLE was_sessions AS SELECT * FROM sessions")
    op.drop_table("sessions")
    revision_1.upgrade()
    op.execute(
        f"INSERT INTO sessions ({_SHARED}) SELECT {_SHARED} FROM was_sessions"  # noqa: S608
    )
    op.drop_table("was_sessions")
