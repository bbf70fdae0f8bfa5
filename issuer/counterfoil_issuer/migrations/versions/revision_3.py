"""Whoever has not logged in keeps no place here: pushed requests and visits travel sealed.

What the two tables held was over within ten minutes, so nothing of it is moved.
"""

from alembic import op

from counterfoil_issuer.migrations.schema_2 import SCHEMA

revision = "3"
down_revision = "2"

_GONE = ("pushed_requests", "visits")


def upgrade() -> None:
    """Drop the tables of what strangers began."""
    for table in _GONE:
        op.drop_table(table)


def downgrade() -> None:
    """Make them again, empty."""
    SCHEMA.create_all(op.get_bind(), tables=[SCHEMA.tables[table] for table in _GONE])
