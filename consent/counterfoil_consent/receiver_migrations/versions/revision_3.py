"""Bodies and bundles are texts, so that the tables are the same on every database.

A moment has 64 bits, and two constraints say what the code relied on. What others must
be told waits in tables of its own. A grant says beside its body when there is something
to do for it, and whether something of it is kept under a law; reads are logged.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Misuse

revision = "3"
down_revision = "2"

_COLUMNS = {
    "consent_requests": "request_id, notice_sha256, expires_at, body, answered_by",
    "consent_grants": "grant_id, request_id, revision, state, valid_until, {papers}, body, bundle",
}
_LIVE = ("granted", "active", "suspended")
# Each gives the number of rows that the schema before has no place for.
_NEW = (
    "SELECT count(*) FROM set_letters",
    "SELECT count(*) FROM set_destinations",
    """SELECT count(*) FROM consent_grants WHERE state IN ('suspended', 'terminated')""",
    "SELECT count(*) FROM consent_grants WHERE keeps = 1",
    "SELECT count(*) FROM consent_accesses",
)


def upgrade() -> None:
    """Make the tables anew, with every row."""
    _keep_aside()
    _make(sa.String, sa.BigInteger, is_new=True)
    _bring_back(
        lambda body: bytes(body).decode(), lambda bundle: b64url(bytes(bundle)), is_new=True
    )
    _make_letters()
    _make_accesses()


def downgrade() -> None:
    """Go back, unless something was written that the schema before has no place for."""
    connection = op.get_bind()
    unheld = sum(connection.scalar(sa.text(rows)) or 0 for rows in _NEW)
    if unheld:
        raise Misuse(f"expected only what revision 2 can hold, found {unheld} rows more")
    for name in ("set_letters", "set_destinations", "set_requests", "consent_accesses"):
        op.drop_table(name)
    _keep_aside()
    _make(sa.LargeBinary, sa.Integer, is_new=False)
    _bring_back(str.encode, lambda bundle: from_b64url(bundle, "stored_bundle"), is_new=False)


def _keep_aside() -> None:
    # What points to the requests goes first, and comes back last.
    for name in reversed(_COLUMNS):
        op.execute(f"CREATE TABLE was_{name} AS SELECT * FROM {name}")  # noqa: S608  # ours
        op.drop_table(name)


def _bring_back(
    body: Callable[[Any], object], bundle: Callable[[Any], object], *, is_new: bool
) -> None:
    connection = op.get_bind()
    papers = "has_statement" if is_new else "has_papers"
    for name, template in _COLUMNS.items():
        columns = template.format(papers=papers)
        made = sa.Table(name, sa.MetaData(), autoload_with=connection, resolve_fks=False)
        found = connection.execute(sa.text(f"SELECT {columns} FROM was_{name}"))  # noqa: S608
        for row in found.mappings():
            values = {**row, "body": body(row["body"])}
            if values.get("bundle") is not None:
                values["bundle"] = bundle(values["bundle"])
            if papers in values:
                values |= _papers(values, is_new=is_new)
                del values[papers]
            connection.execute(sa.insert(made), values)
        op.drop_table(f"was_{name}")


def _papers(row: dict[str, Any], *, is_new: bool) -> dict[str, object]:
    if not is_new:
        return {"has_statement": row["has_papers"]}
    has_papers = row["has_statement"]
    # What is over and lacks a paper is looked at in the first round.
    due_at = row["valid_until"] if row["state"] in _LIVE else None if has_papers else 0
    return {"has_papers": has_papers, "due_at": due_at, "keeps": 0}


def _make(
    content: type[sa.types.TypeEngine[Any]], moment: type[sa.Integer], *, is_new: bool
) -> None:
    op.create_table(
        "consent_requests",
        sa.Column("request_id", sa.String, primary_key=True),
        sa.Column("notice_sha256", sa.String, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("body", content, nullable=False),
        sa.Column("answered_by", sa.String),
    )
    op.create_index("ix_consent_requests_notice_sha256", "consent_requests", ["notice_sha256"])
    unanswered = sa.text("answered_by IS NULL")
    op.create_index(
        "ix_consent_requests_unanswered",
        "consent_requests",
        ["expires_at"],
        sqlite_where=unanswered,
        postgresql_where=unanswered,
    )
    constraints = (
        sa.UniqueConstraint("request_id"),
        sa.CheckConstraint(
            "bundle IS NULL OR state IN ('granted', 'active', 'suspended')",
            name="an_ended_grant_has_no_ciphertext",
        ),
    )
    op.create_table(
        "consent_grants",
        sa.Column("grant_id", sa.String, primary_key=True),
        sa.Column(
            "request_id", sa.String, sa.ForeignKey("consent_requests.request_id"), nullable=False
        ),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("valid_until", moment, nullable=False),
        *(_new_columns() if is_new else (sa.Column("has_statement", sa.Integer, nullable=False),)),
        sa.Column("body", content, nullable=False),
        sa.Column("bundle", content),
        *(constraints if is_new else ()),
    )
    if is_new:
        op.create_index("ix_consent_grants_due_at", "consent_grants", ["due_at"])
    op.create_index("ix_consent_grants_valid_until", "consent_grants", ["valid_until"])


def _new_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("has_papers", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("keeps", sa.Integer, nullable=False),
    )


def _make_accesses() -> None:
    op.create_table(
        "consent_accesses",
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("grant_id", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("read", sa.BigInteger),
        sa.UniqueConstraint("grant_id", "request_id", name="an_access_is_logged_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("consent_accesses_of_grant", "consent_accesses", ["grant_id", "place"])


def _make_letters() -> None:
    op.create_table(
        "set_letters",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("destination", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("grant_id", sa.String, nullable=False),
        sa.Column("token", sa.String, nullable=False),
        sa.Column("endpoint", sa.String),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("failure", sa.String, nullable=False),
        sa.Column("died_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("destination", "event_id", name="set_letters_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("set_letters_in_order", "set_letters", ["destination", "state", "sequence"])
    op.create_table(
        "set_destinations",
        sa.Column("destination", sa.String, primary_key=True),
        sa.Column("endpoint", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.String),
        sa.Column("lease_ends_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "set_requests",
        sa.Column("caller", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("caller", "request_id"),
    )
    op.create_index("ix_set_requests_until", "set_requests", ["until"])
