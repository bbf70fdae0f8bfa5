"""The tables of revision 2, as they were released."""

from typing import Final

import sqlalchemy as sa

SCHEMA: Final = sa.MetaData()

sa.Table(
    "api_keys",
    SCHEMA,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("roles", sa.String, nullable=False),
    sa.Column("last_four", sa.String, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
)

sa.Table(
    "audit_log",
    SCHEMA,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("chain", sa.String, nullable=False),
    sa.Index("ix_audit_log_subject", "subject"),
)

sa.Table(
    "audit_marks",
    SCHEMA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("chain", sa.String, nullable=False),
    sa.Column("mac", sa.String, nullable=False),
)

sa.Table(
    "authorization_codes",
    SCHEMA,
    sa.Column("code_hash", sa.String, primary_key=True),
    sa.Column("client_id", sa.String, nullable=False),
    sa.Column("redirect_uri", sa.String, nullable=False),
    sa.Column("code_challenge", sa.String, nullable=False),
    sa.Column("dpop_jkt", sa.String),
    sa.Column("instance_jkt", sa.String),
    sa.Column("by_identifier", sa.Integer, nullable=False),
    sa.Column("dataset_ids", sa.String, nullable=False),
    sa.Column("offer_id", sa.String),
    sa.Column("token_hash", sa.String),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_authorization_codes_expires_at", "expires_at"),
)

sa.Table(
    "idempotency",
    SCHEMA,
    sa.Column("request_id", sa.String, primary_key=True),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("answer", sa.String),
    sa.Column("claim", sa.String),
    sa.Column("claim_ends_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_idempotency_expires_at", "expires_at"),
)

sa.Table(
    "jobs",
    SCHEMA,
    sa.Column("job_id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("row_count", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("made", sa.Integer, nullable=False),
    sa.Column("unchanged", sa.Integer, nullable=False),
    sa.Column("error_count", sa.Integer, nullable=False),
    sa.Column("started_by", sa.String, nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.BigInteger),
    sa.Column("file", sa.String),
    sa.Index("ix_jobs_started_at", "started_at"),
)

sa.Table(
    "offers",
    SCHEMA,
    sa.Column("offer_id", sa.String, primary_key=True),
    sa.Column("reference_hash", sa.String, unique=True),
    sa.Column("code_hash", sa.String, unique=True),
    sa.Column("issuer_state_hash", sa.String, unique=True),
    sa.Column("tx_code_mac", sa.String),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)

sa.Table(
    "orders",
    SCHEMA,
    sa.Column("number", sa.String, primary_key=True),
    sa.Column("paid_at", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String, nullable=False),
    sa.Column("tax", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("buyer_name", sa.String, nullable=False),
    sa.Column("buyer_email", sa.String, nullable=False),
    sa.Column("imported_at", sa.BigInteger, nullable=False),
    sa.Index("orders_by_email", sa.text("lower(buyer_email)")),
)

sa.Table(
    "outbox_events",
    SCHEMA,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("event_id", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("body", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

sa.Table(
    "proposals",
    SCHEMA,
    sa.Column("proposal_id", sa.String, primary_key=True),
    sa.Column("act", sa.String, nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("issuances", sa.String, nullable=False),
    sa.Column("proposed_by", sa.String, nullable=False),
    sa.Column("proposed_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("decided_by", sa.String),
    sa.Column("decided_at", sa.BigInteger),
    sa.Index("ix_proposals_proposed_at", "proposed_at"),
)

sa.Table(
    "pushed_requests",
    SCHEMA,
    sa.Column("uri_hash", sa.String, primary_key=True),
    sa.Column("request", sa.String, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_pushed_requests_expires_at", "expires_at"),
)

sa.Table(
    "spent_nonces",
    SCHEMA,
    sa.Column("nonce_hash", sa.String, primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_spent_nonces_expires_at", "expires_at"),
)

sa.Table(
    "status_lists",
    SCHEMA,
    sa.Column("list_number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("used", sa.Integer, nullable=False),
    sa.Column("changes", sa.Integer, nullable=False),
    sa.Column("listed_changes", sa.Integer),
    sa.Column("listed_at", sa.BigInteger),
)

sa.Table(
    "visits",
    SCHEMA,
    sa.Column("visit_hash", sa.String, primary_key=True),
    sa.Column("request", sa.String, nullable=False),
    sa.Column("language", sa.String, nullable=False),
    sa.Column("subject_names", sa.String),
    sa.Column("subject_label", sa.String),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_visits_expires_at", "expires_at"),
)

sa.Table(
    "webhook_dead_letters",
    SCHEMA,
    sa.Column("endpoint_id", sa.String, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("failure", sa.String, nullable=False),
    sa.Column("died_at", sa.BigInteger, nullable=False),
    sa.Index("webhook_dead_letters_by_event", "sequence"),
)

sa.Table(
    "webhook_endpoints",
    SCHEMA,
    sa.Column("endpoint_id", sa.String, primary_key=True),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("types", sa.String, nullable=False),
    sa.Column("secrets", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("failure", sa.String),
    sa.Column("lease", sa.String),
    sa.Column("lease_ends_at", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

sa.Table(
    "datasets",
    SCHEMA,
    sa.Column("dataset_id", sa.String, primary_key=True),
    sa.Column("type_name", sa.String, nullable=False),
    sa.Column("claims", sa.String),
    sa.Column("ends_at", sa.BigInteger),
    sa.Column("order_number", sa.String, sa.ForeignKey("orders.number")),
    sa.Column("serial", sa.String),
    sa.Column("subject", sa.String),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("ix_datasets_order_number", "order_number"),
    sa.Index("ix_datasets_serial", "serial"),
    sa.Index("ix_datasets_subject", "subject"),
)

sa.Table(
    "job_errors",
    SCHEMA,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("job_id", sa.String, sa.ForeignKey("jobs.job_id"), nullable=False),
    sa.Column("row_number", sa.Integer, nullable=False),
    sa.Column("column_name", sa.String, nullable=False),
    sa.Column("expected", sa.String, nullable=False),
    sa.Column("found", sa.String, nullable=False),
    sa.Index("ix_job_errors_job_id", "job_id"),
)

sa.Table(
    "order_lines",
    SCHEMA,
    sa.Column("order_number", sa.String, sa.ForeignKey("orders.number"), primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True),
    sa.Column("gtin", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("tax", sa.BigInteger, nullable=False),
    sa.Column("warranty_months", sa.Integer, nullable=False),
    sa.Column("returned", sa.Integer, nullable=False, server_default="0"),
)

sa.Table(
    "tokens",
    SCHEMA,
    sa.Column("token_hash", sa.String, primary_key=True),
    sa.Column("offer_id", sa.String, sa.ForeignKey("offers.offer_id")),
    sa.Column("client_id", sa.String),
    sa.Column("dpop_jkt", sa.String),
    sa.Column("by_identifier", sa.Integer, nullable=False),
    sa.Column("ended", sa.Integer, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("ix_tokens_expires_at", "expires_at"),
    sa.Index("ix_tokens_offer_id", "offer_id"),
)

sa.Table(
    "units",
    SCHEMA,
    sa.Column("serial", sa.String, primary_key=True),
    sa.Column("order_number", sa.String, sa.ForeignKey("orders.number"), nullable=False),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("unit", sa.Integer, nullable=False),
    sa.Column("returned_at", sa.BigInteger),
    sa.Index("ix_units_order_number", "order_number"),
)

sa.Table(
    "deferrals",
    SCHEMA,
    sa.Column("transaction_hash", sa.String, primary_key=True),
    sa.Column("dataset_id", sa.String, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("token_hash", sa.String, sa.ForeignKey("tokens.token_hash"), nullable=False),
    sa.Column("keys", sa.String, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("done_at", sa.BigInteger),
    sa.Index("ix_deferrals_dataset_id", "dataset_id"),
    sa.Index("ix_deferrals_token_hash", "token_hash"),
)

sa.Table(
    "issuances",
    SCHEMA,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("issuance_id", sa.String, nullable=False, unique=True),
    sa.Column("dataset_id", sa.String, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Column("type_name", sa.String, nullable=False),
    sa.Column("order_number", sa.String, sa.ForeignKey("orders.number")),
    sa.Column("serial", sa.String),
    sa.Column("token_hash", sa.String, nullable=False),
    sa.Column("issued_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("acknowledged_at", sa.BigInteger),
    sa.Column("dropped_at", sa.BigInteger),
    sa.Column("suspended_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("revocation_reason", sa.String),
    sa.Column("replaced_at", sa.BigInteger),
    sa.UniqueConstraint("token_hash", "dataset_id"),
    sa.Index("ix_issuances_dataset_id", "dataset_id"),
    sa.Index("ix_issuances_order_number", "order_number"),
    sa.Index("ix_issuances_serial", "serial"),
    sa.Index(
        "one_current_issuance_per_dataset",
        "dataset_id",
        unique=True,
        sqlite_where=sa.text("dropped_at IS NULL AND replaced_at IS NULL"),
        postgresql_where=sa.text("dropped_at IS NULL AND replaced_at IS NULL"),
    ),
)

sa.Table(
    "offer_datasets",
    SCHEMA,
    sa.Column("offer_id", sa.String, sa.ForeignKey("offers.offer_id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("dataset_id", sa.String, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Index("ix_offer_datasets_dataset_id", "dataset_id"),
)

sa.Table(
    "token_datasets",
    SCHEMA,
    sa.Column("token_hash", sa.String, sa.ForeignKey("tokens.token_hash"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("dataset_id", sa.String, sa.ForeignKey("datasets.dataset_id"), nullable=False),
    sa.Index("ix_token_datasets_dataset_id", "dataset_id"),
)

sa.Table(
    "credentials",
    SCHEMA,
    sa.Column("issuance_id", sa.String, sa.ForeignKey("issuances.issuance_id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("list_number", sa.Integer, nullable=False),
    sa.Column("status_index", sa.Integer, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("change_number", sa.Integer),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("holder", sa.String),
    sa.Column("copy", sa.String),
    sa.UniqueConstraint("list_number", "status_index"),
    sa.Index("credentials_by_change", "list_number", "change_number"),
)
