"""The first schema: requests, and grants with their ciphertext."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "consent_requests",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("notice_sha256", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("answered_by", sa.String),
    )
    op.create_index("ix_consent_requests_notice_sha256", "consent_requests", ["notice_sha256"])
    op.create_table(
        "consent_grants",
        sa.Column("grant_id", sa.String, primary_key=True),
        sa.Column(
            "request_id", sa.String, sa.ForeignKey("consent_requests.request_id"), nullable=False
        ),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("valid_until", sa.Integer, nullable=False),
        sa.Column("has_statement", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("bundle", sa.LargeBinary),
    )
    op.create_index("ix_consent_grants_valid_until", "consent_grants", ["valid_until"])


def downgrade() -> None:
    """Leave nothing."""
    op.drop_table("consent_grants")
    op.drop_table("consent_requests")
