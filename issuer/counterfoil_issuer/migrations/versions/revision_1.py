"""The first schema: orders, their offers, and a credential of each dataset."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "orders",
        sa.Column("number", sa.String, primary_key=True),
        sa.Column("paid_at", sa.Integer, nullable=False),
        sa.Column("currency", sa.String, nullable=False),
        sa.Column("tax", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("buyer_name", sa.String, nullable=False),
        sa.Column("buyer_email", sa.String, nullable=False),
        sa.Column("imported_at", sa.Integer, nullable=False),
    )
    op.create_index("orders_by_email", "orders", [sa.text("lower(buyer_email)")])
    op.create_table(
        "order_lines",
        sa.Column("order_number", sa.String, sa.ForeignKey("orders.number"), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("gtin", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("price", sa.Integer, nullable=False),
        sa.Column("tax", sa.Integer, nullable=False),
        sa.Column("warranty_months", sa.Integer, nullable=False),
    )
    op.create_table(
        "units",
        sa.Column("serial", sa.String, primary_key=True),
        sa.Column("order_number", sa.String, sa.ForeignKey("orders.number"), nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("unit", sa.Integer, nullable=False),
    )
    op.create_index("ix_units_order_number", "units", ["order_number"])
    op.create_table(
        "offers",
        sa.Column("offer_id", sa.String, primary_key=True),
        sa.Column("order_number", sa.String, sa.ForeignKey("orders.number"), nullable=False),
        sa.Column("code_hash", sa.String, nullable=False, unique=True),
        sa.Column("tx_code_mac", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("expires_at", sa.Integer, nullable=False),
    )
    op.create_index("ix_offers_order_number", "offers", ["order_number"])
    op.create_table(
        "offer_datasets",
        sa.Column("offer_id", sa.String, sa.ForeignKey("offers.offer_id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("dataset_id", sa.String, nullable=False),
        sa.Column("type_name", sa.String, nullable=False),
        sa.Column("serial", sa.String),
    )
    op.create_table(
        "tokens",
        sa.Column("token_hash", sa.String, primary_key=True),
        sa.Column("offer_id", sa.String, sa.ForeignKey("offers.offer_id"), nullable=False),
        sa.Column("expires_at", sa.Integer, nullable=False),
    )
    op.create_table(
        "spent_nonces",
        sa.Column("nonce_hash", sa.String, primary_key=True),
        sa.Column("expires_at", sa.Integer, nullable=False),
    )
    op.create_index("ix_spent_nonces_expires_at", "spent_nonces", ["expires_at"])
    op.create_table(
        "credentials",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("credential_id", sa.String, nullable=False, unique=True),
        sa.Column("dataset_id", sa.String, nullable=False),
        sa.Column("type_name", sa.String, nullable=False),
        sa.Column("order_number", sa.String, sa.ForeignKey("orders.number"), nullable=False),
        sa.Column("serial", sa.String),
        sa.Column("token_hash", sa.String, nullable=False),
        sa.Column("holder", sa.String),
        sa.Column("list_number", sa.Integer, nullable=False),
        sa.Column("status_index", sa.Integer, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("copy", sa.String),
        sa.Column("issued_at", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Integer, nullable=False),
        sa.Column("acknowledged_at", sa.Integer),
        sa.Column("dropped_at", sa.Integer),
        sa.Column("revoked_at", sa.Integer),
        sa.Column("revocation_reason", sa.String),
        sa.UniqueConstraint("list_number", "status_index"),
        sa.UniqueConstraint("token_hash", "type_name"),
    )
    op.create_index("ix_credentials_order_number", "credentials", ["order_number"])
    op.create_index(
        "one_credential_per_dataset",
        "credentials",
        ["dataset_id"],
        unique=True,
        sqlite_where=sa.text("dropped_at IS NULL"),
        postgresql_where=sa.text("dropped_at IS NULL"),
    )
    op.create_table(
        "listings",
        sa.Column("list_number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ended", sa.Integer, nullable=False),
        sa.Column("listed_at", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Leave nothing."""
    for table in (
        "listings",
        "credentials",
        "spent_nonces",
        "tokens",
        "offer_datasets",
        "offers",
        "units",
        "order_lines",
        "orders",
    ):
        op.drop_table(table)
