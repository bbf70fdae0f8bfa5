"""The issuer's tables. Texts and whole numbers only: JSON is text, a time is seconds since 1970.

What must never happen twice is a constraint of the schema, not a habit of the
code: a status index is allotted once, a dataset has one current issuance, a token
gets one issuance of a dataset, a nonce is spent once.

Other modules (`sql_<concern>.py`) put their tables on the same `METADATA`.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    func,
)

METADATA: Final = MetaData()

# Amounts are whole minor units.
ORDERS: Final = Table(
    "orders",
    METADATA,
    Column("number", String, primary_key=True),
    Column("paid_at", BigInteger, nullable=False),
    Column("currency", String, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("buyer_name", String, nullable=False),
    Column("buyer_email", String, nullable=False),
    Column("imported_at", BigInteger, nullable=False),
)
Index("orders_by_email", func.lower(ORDERS.c.buyer_email))

ORDER_LINES: Final = Table(
    "order_lines",
    METADATA,
    Column("order_number", String, ForeignKey(ORDERS.c.number), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("gtin", String, nullable=False),
    Column("name", String, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("warranty_months", Integer, nullable=False),
    Column("returned", Integer, nullable=False, server_default="0"),
)

UNITS: Final = Table(
    "units",
    METADATA,
    Column("serial", String, primary_key=True),
    Column("order_number", String, ForeignKey(ORDERS.c.number), nullable=False, index=True),
    Column("line", Integer, nullable=False),
    Column("unit", Integer, nullable=False),
    Column("returned_at", BigInteger),
)

DATASETS: Final = Table(
    "datasets",
    METADATA,
    Column("dataset_id", String, primary_key=True),
    Column("type_name", String, nullable=False),
    Column("claims", String),
    Column("ends_at", BigInteger),
    Column("order_number", String, ForeignKey(ORDERS.c.number), index=True),
    Column("serial", String, index=True),
    Column("subject", String, index=True),
    Column("state", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

OFFERS: Final = Table(
    "offers",
    METADATA,
    Column("offer_id", String, primary_key=True),
    Column("reference_hash", String, unique=True),
    Column("code_hash", String, unique=True),
    Column("issuer_state_hash", String, unique=True),
    Column("tx_code_mac", String),
    Column("attempts", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

OFFER_DATASETS: Final = Table(
    "offer_datasets",
    METADATA,
    Column("offer_id", String, ForeignKey(OFFERS.c.offer_id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("dataset_id", String, ForeignKey(DATASETS.c.dataset_id), nullable=False, index=True),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("token_hash", String, primary_key=True),
    Column("offer_id", String, ForeignKey(OFFERS.c.offer_id), index=True),
    Column("client_id", String),
    Column("dpop_jkt", String),
    Column("by_identifier", Integer, nullable=False),
    Column("ended", Integer, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

TOKEN_DATASETS: Final = Table(
    "token_datasets",
    METADATA,
    Column("token_hash", String, ForeignKey(TOKENS.c.token_hash), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("dataset_id", String, ForeignKey(DATASETS.c.dataset_id), nullable=False, index=True),
)

SPENT_NONCES: Final = Table(
    "spent_nonces",
    METADATA,
    Column("nonce_hash", String, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

DEFERRALS: Final = Table(
    "deferrals",
    METADATA,
    Column("transaction_hash", String, primary_key=True),
    Column("dataset_id", String, ForeignKey(DATASETS.c.dataset_id), nullable=False, index=True),
    Column("token_hash", String, ForeignKey(TOKENS.c.token_hash), nullable=False, index=True),
    Column("keys", String, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
)

ISSUANCES: Final = Table(
    "issuances",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("issuance_id", String, nullable=False, unique=True),
    Column("dataset_id", String, ForeignKey(DATASETS.c.dataset_id), nullable=False, index=True),
    Column("type_name", String, nullable=False),
    Column("order_number", String, ForeignKey(ORDERS.c.number), index=True),
    Column("serial", String, index=True),
    Column("token_hash", String, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger),
    Column("dropped_at", BigInteger),
    Column("suspended_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revocation_reason", String),
    Column("replaced_at", BigInteger),
    UniqueConstraint("token_hash", "dataset_id"),
)
CURRENT: Final = and_(ISSUANCES.c.dropped_at.is_(None), ISSUANCES.c.replaced_at.is_(None))
Index(
    "one_current_issuance_per_dataset",
    ISSUANCES.c.dataset_id,
    unique=True,
    sqlite_where=CURRENT,
    postgresql_where=CURRENT,
)

CREDENTIALS: Final = Table(
    "credentials",
    METADATA,
    Column("issuance_id", String, ForeignKey(ISSUANCES.c.issuance_id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("list_number", Integer, nullable=False),
    Column("status_index", Integer, nullable=False),
    # Which change of its list gave the entry its value; null while it has had none.
    Column("status", Integer, nullable=False),
    Column("change_number", Integer),
    Column("digest", String, nullable=False),
    Column("holder", String),
    Column("copy", String),
    UniqueConstraint("list_number", "status_index"),
)
Index("credentials_by_change", CREDENTIALS.c.list_number, CREDENTIALS.c.change_number)

STATUS_LISTS: Final = Table(
    "status_lists",
    METADATA,
    Column("list_number", Integer, primary_key=True, autoincrement=False),
    Column("used", Integer, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("listed_changes", Integer),
    Column("listed_at", BigInteger),
)

# A customer who logs in.
CODES: Final = Table(
    "authorization_codes",
    METADATA,
    Column("code_hash", String, primary_key=True),
    Column("client_id", String, nullable=False),
    Column("redirect_uri", String, nullable=False),
    Column("code_challenge", String, nullable=False),
    Column("dpop_jkt", String),
    Column("instance_jkt", String),
    Column("by_identifier", Integer, nullable=False),
    Column("dataset_ids", String, nullable=False),
    Column("offer_id", String),
    Column("token_hash", String),
    Column("expires_at", BigInteger, nullable=False, index=True),
)
