"""A request says beside its body when it ends, so that one without an answer is found."""

import sqlalchemy as sa
from alembic import op
from counterfoil_credentials.encoding import int_at, parse_object

revision = "2"
down_revision = "1"

_REQUESTS = sa.table(
    "consent_requests",
    sa.column("request_id", sa.String),
    sa.column("expires_at", sa.Integer),
    sa.column("body", sa.LargeBinary),
)


def upgrade() -> None:
    """Add the column, from what each request says itself."""
    op.add_column("consent_requests", sa.Column("expires_at", sa.Integer))
    connection = op.get_bind()
    this = _REQUESTS.c.request_id == sa.bindparam("this")
    for request_id, body in connection.execute(
        sa.select(_REQUESTS.c.request_id, _REQUESTS.c.body)
    ).all():
        ends = int_at(parse_object(body, "stored_request"), "expires_at", "stored_request")
        connection.execute(
            sa.update(_REQUESTS).where(this).values(expires_at=ends), {"this": request_id}
        )
    with op.batch_alter_table("consent_requests") as requests:
        requests.alter_column("expires_at", nullable=False)
    unanswered = sa.text("answered_by IS NULL")
    op.create_index(
        "ix_consent_requests_unanswered",
        "consent_requests",
        ["expires_at"],
        sqlite_where=unanswered,
        postgresql_where=unanswered,
    )


def downgrade() -> None:
    """Drop the column: the body says it too."""
    op.drop_index("ix_consent_requests_unanswered", "consent_requests")
    with op.batch_alter_table("consent_requests") as requests:
        requests.drop_column("expires_at")
