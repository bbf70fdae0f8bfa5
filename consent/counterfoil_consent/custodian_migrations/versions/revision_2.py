"""Who else may end a grant, when it was last read; limits that the schema itself keeps.

Shares are texts and moments have 64 bits, so that the tables are the same on every
database. How far the journal of tombstones is taken in has a table, and what others
must be told.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Misuse

from counterfoil_consent.custodian_migrations.versions import revision_1

revision = "2"
down_revision = "1"

_SHARED = """grant_id, state, holder, reserved_at, receiver, grant_digest, purpose, valid_until,
    max_reads, is_receipted, reads, trigger, ended_at, statement"""
_PLAIN: dict[str, object] = {"is_single_use": 0, "is_confirmed": 1}
# Each gives the number of rows that the first schema has no place for.
_NEW = (
    """SELECT count(*) FROM custodian_grants WHERE completer IS NOT NULL
        OR authority IS NOT NULL OR is_single_use <> 0 OR last_read_at IS NOT NULL
        OR is_confirmed <> 1""",
    "SELECT count(*) FROM set_letters",
    "SELECT count(*) FROM set_destinations",
)


def upgrade() -> None:
    """Make the tables; whatever was kept may be ended by its holder and its receiver."""
    _keep_aside()
    op.create_table(
        "custodian_grants",
        sa.Column("grant_id", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("reserved_at", sa.BigInteger),
        sa.Column("receiver", sa.String),
        sa.Column("grant_digest", sa.String),
        sa.Column("purpose", sa.String),
        sa.Column("valid_until", sa.BigInteger),
        sa.Column("max_reads", sa.BigInteger),
        sa.Column("share", sa.String),
        sa.Column("completer", sa.String),
        sa.Column("authority", sa.String),
        sa.Column("is_single_use", sa.Integer, nullable=False),
        sa.Column("is_receipted", sa.Integer, nullable=False),
        sa.Column("is_confirmed", sa.Integer, nullable=False),
        sa.Column("reads", sa.BigInteger, nullable=False),
        sa.Column("last_read_at", sa.BigInteger),
        sa.Column("trigger", sa.String),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("statement", sa.String),
        sa.CheckConstraint("state IN ('reserved', 'kept', 'ended')", name="a_grant_goes_one_way"),
        sa.CheckConstraint(
            "(state = 'kept') = (share IS NOT NULL)", name="a_share_is_kept_or_gone"
        ),
        sa.CheckConstraint(
            "state <> 'kept' OR reads <= max_reads", name="no_read_beyond_the_limit"
        ),
        sa.CheckConstraint(
            "(state = 'ended') = (ended_at IS NOT NULL)", name="an_end_has_its_time"
        ),
    )
    op.create_index("ix_custodian_grants_state", "custodian_grants", ["state"])
    op.create_index("ix_custodian_grants_valid_until", "custodian_grants", ["valid_until"])
    connection = op.get_bind()
    found = connection.execute(sa.text(f"SELECT {_SHARED}, share FROM was_grants"))  # noqa: S608
    _insert([_with_share(row, b64url) | _PLAIN for row in found.mappings()])
    _bring_reads_back()
    op.create_table(
        "custodian_journal",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("lines", sa.BigInteger, nullable=False),
        sa.Column("chain", sa.String, nullable=False),
        sa.CheckConstraint("name = 'journal'", name="there_is_one_journal"),
    )
    _make_letters()


def downgrade() -> None:
    """Go back, unless something was written that the first schema has no place for."""
    connection = op.get_bind()
    unheld = sum(connection.scalar(sa.text(rows)) or 0 for rows in _NEW)
    if unheld:
        raise Misuse(f"expected only what revision 1 can hold, found {unheld} rows more")
    # The journal itself is no table: what it says stays said.
    for name in ("custodian_journal", "set_letters", "set_destinations", "set_requests"):
        op.drop_table(name)
    _keep_aside()
    revision_1.upgrade()
    found = connection.execute(sa.text(f"SELECT {_SHARED}, share FROM was_grants"))  # noqa: S608
    _insert([_with_share(row, lambda text: from_b64url(text, "share")) for row in found.mappings()])
    op.drop_table("custodian_reads")
    _bring_reads_back()


def _with_share(row: sa.RowMapping, spelled: Callable[[Any], object]) -> dict[str, object]:
    share = row["share"]
    return {**row, "share": None if share is None else spelled(share)}


def _keep_aside() -> None:
    # What points to the grants goes first, and comes back last.
    op.execute("CREATE TABLE was_reads AS SELECT * FROM custodian_reads")
    op.drop_table("custodian_reads")
    op.execute("CREATE TABLE was_grants AS SELECT * FROM custodian_grants")
    op.drop_table("custodian_grants")


def _insert(rows: list[dict[str, object]]) -> None:
    if rows:
        grants = sa.Table("custodian_grants", sa.MetaData(), autoload_with=op.get_bind())
        op.bulk_insert(grants, rows)
    op.drop_table("was_grants")


def _bring_reads_back() -> None:
    revision_1.make_reads()
    op.execute("INSERT INTO custodian_reads SELECT grant_id, request_id FROM was_reads")
    op.drop_table("was_reads")


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
