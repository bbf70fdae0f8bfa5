"""The first schema: grants with their share, and the lease requests that were answered."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "custodian_grants",
        sa.Column("grant_id", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("reserved_at", sa.Integer),
        sa.Column("receiver", sa.String),
        sa.Column("grant_digest", sa.String),
        sa.Column("purpose", sa.String),
        sa.Column("valid_until", sa.Integer),
        sa.Column("max_reads", sa.Integer),
        sa.Column("share", sa.LargeBinary),
        sa.Column("is_receipted", sa.Integer, nullable=False),
        sa.Column("reads", sa.Integer, nullable=False),
        sa.Column("trigger", sa.String),
        sa.Column("ended_at", sa.Integer),
        sa.Column("statement", sa.String),
    )
    op.create_index("ix_custodian_grants_state", "custodian_grants", ["state"])
    op.create_index("ix_custodian_grants_valid_until", "custodian_grants", ["valid_until"])
    make_reads()


def make_reads() -> None:
    """Make the table of requests that were answered."""
    op.create_table(
        "custodian_reads",
        sa.Column(
            "grant_id", sa.String, sa.ForeignKey("custodian_grants.grant_id"), nullable=False
        ),
        sa.Column("request_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("grant_id", "request_id"),
    )


def downgrade() -> None:
    """Leave nothing."""
    op.drop_table("custodian_reads")
    op.drop_table("custodian_grants")
