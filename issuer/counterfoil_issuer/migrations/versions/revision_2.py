"""Datasets stand in rows of their own, and an issuance holds several credentials.

Every dataset that follows from an order is written down; a credential becomes an
issuance with one credential in it. Times and amounts get 64 bits.
"""

import sqlalchemy as sa
from alembic import op
from counterfoil_credentials.errors import Misuse

from counterfoil_issuer.migrations.schema_2 import SCHEMA
from counterfoil_issuer.migrations.versions import revision_1

revision = "2"
down_revision = "1"

_OLD = (
    "orders",
    "order_lines",
    "units",
    "offers",
    "offer_datasets",
    "tokens",
    "spent_nonces",
    "credentials",
    "listings",
)
# In this order, so that what a row points to is there before it.
_UP = (
    """INSERT INTO orders SELECT number, paid_at, currency, tax, total, buyer_name,
        buyer_email, imported_at FROM was_orders""",
    """INSERT INTO order_lines SELECT order_number, line, gtin, name, quantity, price, tax,
        warranty_months, 0 FROM was_order_lines""",
    "INSERT INTO units SELECT serial, order_number, line, unit, NULL FROM was_units",
    """INSERT INTO datasets (dataset_id, type_name, order_number, subject, state, created_at)
        SELECT 'receipt:' || number, 'receipt', number, lower(buyer_email), 'ready',
        imported_at FROM was_orders""",
    """INSERT INTO datasets (dataset_id, type_name, order_number, serial, subject, state,
        created_at) SELECT 'warranty:' || u.serial, 'warranty', o.number, u.serial,
        lower(o.buyer_email), 'ready', o.imported_at FROM was_units u JOIN was_orders o ON
        o.number = u.order_number JOIN was_order_lines l ON l.order_number = u.order_number
        AND l.line = u.line WHERE l.warranty_months > 0""",
    """INSERT INTO offers (offer_id, code_hash, tx_code_mac, attempts, state, expires_at)
        SELECT offer_id, code_hash, tx_code_mac, attempts, state, expires_at FROM was_offers""",
    "INSERT INTO offer_datasets SELECT offer_id, position, dataset_id FROM was_offer_datasets",
    # A token stopped with its offer; now it says so itself.
    """INSERT INTO tokens (token_hash, offer_id, by_identifier, ended, expires_at) SELECT
        t.token_hash, t.offer_id, 0, CASE WHEN o.state = 'replaced' THEN 1 ELSE 0 END,
        t.expires_at FROM was_tokens t JOIN was_offers o ON o.offer_id = t.offer_id""",
    """INSERT INTO token_datasets SELECT t.token_hash, d.position, d.dataset_id FROM
        was_tokens t JOIN was_offer_datasets d ON d.offer_id = t.offer_id""",
    "INSERT INTO spent_nonces SELECT nonce_hash, expires_at FROM was_spent_nonces",
    """INSERT INTO issuances (position, issuance_id, dataset_id, type_name, order_number,
        serial, token_hash, issued_at, expires_at, acknowledged_at, dropped_at, revoked_at,
        revocation_reason) SELECT position, credential_id, dataset_id, type_name,
        order_number, serial, token_hash, issued_at, expires_at, acknowledged_at, dropped_at,
        revoked_at, revocation_reason FROM was_credentials""",
    """INSERT INTO credentials (issuance_id, number, list_number, status_index, status,
        digest, holder, copy) SELECT credential_id, 0, list_number, status_index, 0, digest,
        holder, copy FROM was_credentials WHERE dropped_at IS NULL AND revoked_at IS NULL""",
    # The changes of a list are numbered as they came.
    """INSERT INTO credentials (issuance_id, number, list_number, status_index, status,
        change_number, digest, holder, copy) SELECT credential_id, 0, list_number,
        status_index, 1, row_number() OVER (PARTITION BY list_number ORDER BY
        coalesce(dropped_at, revoked_at), position), digest, holder, copy FROM was_credentials
        WHERE dropped_at IS NOT NULL OR revoked_at IS NOT NULL""",
    """INSERT INTO status_lists (list_number, used, changes, listed_changes, listed_at)
        SELECT c.list_number, count(*), count(coalesce(c.dropped_at, c.revoked_at)),
        min(l.ended), min(l.listed_at) FROM was_credentials c LEFT JOIN was_listings l ON
        l.list_number = c.list_number GROUP BY c.list_number""",
)
_DOWN = (
    """INSERT INTO orders SELECT number, paid_at, currency, tax, total, buyer_name,
        buyer_email, imported_at FROM was_orders""",
    """INSERT INTO order_lines SELECT order_number, line, gtin, name, quantity, price, tax,
        warranty_months FROM was_order_lines""",
    "INSERT INTO units SELECT serial, order_number, line, unit FROM was_units",
    """INSERT INTO offers SELECT o.offer_id, min(d.order_number), o.code_hash, o.tx_code_mac,
        o.attempts, o.state, o.expires_at FROM was_offers o JOIN was_offer_datasets p ON
        p.offer_id = o.offer_id JOIN was_datasets d ON d.dataset_id = p.dataset_id GROUP BY
        o.offer_id, o.code_hash, o.tx_code_mac, o.attempts, o.state, o.expires_at""",
    """INSERT INTO offer_datasets SELECT p.offer_id, p.position, p.dataset_id, d.type_name,
        d.serial FROM was_offer_datasets p JOIN was_datasets d ON d.dataset_id = p.dataset_id""",
    "INSERT INTO tokens SELECT token_hash, offer_id, expires_at FROM was_tokens",
    "INSERT INTO spent_nonces SELECT nonce_hash, expires_at FROM was_spent_nonces",
    """INSERT INTO credentials SELECT i.position, i.issuance_id, i.dataset_id, i.type_name,
        i.order_number, i.serial, i.token_hash, c.holder, c.list_number, c.status_index,
        c.digest, c.copy, i.issued_at, i.expires_at, i.acknowledged_at, i.dropped_at,
        i.revoked_at, i.revocation_reason FROM was_issuances i JOIN was_credentials c ON
        c.issuance_id = i.issuance_id""",
    """INSERT INTO listings SELECT list_number, listed_changes, listed_at FROM
        was_status_lists WHERE listed_at IS NOT NULL""",
)
# Each gives the number of rows that the first schema has no place for.
_NEW = (
    """SELECT count(*) FROM datasets WHERE order_number IS NULL OR claims IS NOT NULL OR
        ends_at IS NOT NULL OR state <> 'ready' OR type_name NOT IN ('receipt', 'warranty')""",
    "SELECT count(*) FROM order_lines WHERE returned <> 0",
    """SELECT count(*) FROM offers WHERE code_hash IS NULL OR reference_hash IS NOT NULL OR
        state NOT IN ('open', 'redeemed', 'replaced') OR offer_id NOT IN (SELECT offer_id FROM
        offer_datasets)""",
    "SELECT count(*) FROM tokens WHERE offer_id IS NULL OR dpop_jkt IS NOT NULL",
    "SELECT count(*) FROM issuances WHERE suspended_at IS NOT NULL OR replaced_at IS NOT NULL",
    "SELECT count(*) FROM credentials WHERE number > 0",
)
_DERIVED = frozenset({*_OLD, "datasets", "token_datasets", "issuances", "status_lists"})


def upgrade() -> None:
    """Write down what follows from the orders, and divide credentials from issuances."""
    connection = op.get_bind()
    for table in _OLD:
        _set_aside(connection, table)
    SCHEMA.create_all(connection)
    for statement in _UP:
        op.execute(statement)
    # SQL's lower() knows ASCII alone on SQLite.
    orders, datasets = SCHEMA.tables["orders"], SCHEMA.tables["datasets"]
    for number, email in connection.execute(sa.select(orders.c.number, orders.c.buyer_email)):
        if not email.isascii():
            theirs = datasets.c.order_number == number
            connection.execute(sa.update(datasets).where(theirs).values(subject=email.lower()))
    _count_on(connection, "issuances")
    for table in reversed(_OLD):
        op.drop_table(f"was_{table}")


def downgrade() -> None:
    """Go back, unless something was written that the first schema has no place for."""
    connection = op.get_bind()
    tables = [table.name for table in SCHEMA.sorted_tables]
    everything = sa.func.count()
    unheld = sum(
        connection.scalar(sa.select(everything).select_from(sa.table(table))) or 0
        for table in tables
        if table not in _DERIVED
    ) + sum(connection.scalar(sa.text(rows)) or 0 for rows in _NEW)
    if unheld:
        raise Misuse(f"expected only what revision 1 can hold, found {unheld} rows more")
    for table in tables:
        _set_aside(connection, table)
    revision_1.upgrade()
    for statement in _DOWN:
        op.execute(statement)
    _count_on(connection, "credentials")
    for table in reversed(tables):
        op.drop_table(f"was_{table}")


def _set_aside(connection: sa.Connection, table: str) -> None:
    """Rename `table`, so that another may have its name and those of its indexes."""
    if connection.dialect.name == "postgresql":
        names = """SELECT indexname FROM pg_indexes
            WHERE schemaname = current_schema() AND tablename = :name"""
        for index in connection.scalars(sa.text(names), {"name": table}).all():
            op.execute(f'ALTER INDEX "{index}" RENAME TO "was_{index}"')
    else:
        # Those without a text belong to a constraint, and go where it goes.
        names = """SELECT name FROM sqlite_master
            WHERE type = 'index' AND tbl_name = :name AND sql > ''"""
        for index in connection.scalars(sa.text(names), {"name": table}).all():
            op.drop_index(index, table)
    op.rename_table(table, f"was_{table}")


def _count_on(connection: sa.Connection, table: str) -> None:
    """Let PostgreSQL number new rows after those that came with their numbers."""
    if connection.dialect.name == "postgresql":
        op.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'position'),"  # noqa: S608  # ours
            f" coalesce((SELECT max(position) FROM {table}), 0) + 1, false)"
        )
