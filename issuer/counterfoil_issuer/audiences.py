"""Who may see what a brand records. The owner is the customer who holds the credential."""

from collections.abc import Mapping
from typing import Final

from counterfoil_credentials.audience import Audience, declared

_NOBODY, _OWNER, _ROLE, _PUBLIC = Audience.NOBODY, Audience.OWNER, Audience.ROLE, Audience.PUBLIC
_BOTH = Audience.OWNER | Audience.ROLE

AUDIENCES: Final[Mapping[str, Mapping[str, Audience]]] = {
    "orders": declared(
        {
            _BOTH: "number paid_at currency tax total",
            # Staff look a buyer up by the address, and are not told whose it is.
            _OWNER: "buyer_name buyer_email",
            _NOBODY: "imported_at",
        }
    ),
    "order_lines": declared(
        {
            _BOTH: "order_number line gtin name quantity price tax warranty_months",
            _NOBODY: "returned",
        }
    ),
    "units": declared({_BOTH: "serial order_number line", _NOBODY: "unit returned_at"}),
    "datasets": declared(
        {
            _PUBLIC: "type_name",
            _BOTH: "dataset_id order_number serial ends_at",
            _OWNER: "claims subject",
            _ROLE: "state",
            _NOBODY: "created_at",
        }
    ),
    "offers": declared(
        {
            _ROLE: "offer_id state expires_at",
            _NOBODY: "reference_hash code_hash issuer_state_hash tx_code_mac attempts",
        }
    ),
    "offer_datasets": declared({_BOTH: "dataset_id", _ROLE: "offer_id", _NOBODY: "position"}),
    "tokens": declared(
        {
            _OWNER: "expires_at client_id",
            _NOBODY: "token_hash dpop_jkt by_identifier ended",
            _ROLE: "offer_id",
        }
    ),
    "token_datasets": declared({_BOTH: "dataset_id", _NOBODY: "token_hash position"}),
    "spent_nonces": declared({_NOBODY: "nonce_hash expires_at"}),
    "deferrals": declared(
        {_BOTH: "dataset_id", _NOBODY: "transaction_hash token_hash keys expires_at done_at"}
    ),
    "issuances": declared(
        {
            _PUBLIC: "type_name",
            _BOTH: "dataset_id order_number serial issued_at expires_at",
            _ROLE: "position issuance_id acknowledged_at suspended_at revoked_at revocation_reason",
            _NOBODY: "token_hash dropped_at replaced_at",
        }
    ),
    "credentials": declared(
        {
            # The list is everybody's; which entry is whose, its holder shows to whom she likes.
            _PUBLIC: "list_number status",
            _BOTH: "status_index",
            _ROLE: "issuance_id",
            _NOBODY: "number change_number digest holder copy",
        }
    ),
    "status_lists": declared(
        {_PUBLIC: "list_number listed_at", _NOBODY: "used changes listed_changes"}
    ),
    "authorization_codes": declared(
        {
            _OWNER: "client_id redirect_uri",
            _BOTH: "dataset_ids",
            _ROLE: "offer_id",
            _NOBODY: "code_hash code_challenge dpop_jkt instance_jkt by_identifier token_hash"
            " expires_at",
        }
    ),
    "api_keys": declared(
        {_ROLE: "name roles last_four created_at expires_at revoked_at", _NOBODY: "hash"}
    ),
    "jobs": declared(
        {
            _ROLE: "job_id kind row_count done made unchanged error_count started_by started_at"
            " finished_at",
            _NOBODY: "file",
        }
    ),
    "job_errors": declared(
        {_ROLE: "job_id row_number column_name expected found", _NOBODY: "position"}
    ),
    "proposals": declared(
        {
            _ROLE: "proposal_id act reason issuances proposed_by proposed_at expires_at state"
            " decided_by decided_at",
        }
    ),
    "outbox_events": declared({_ROLE: "sequence event_id type body at"}),
    "webhook_endpoints": declared(
        {
            _ROLE: "endpoint_id url types state attempts failure deaths created_at",
            _NOBODY: "secrets position next_at lease lease_ends_at",
        }
    ),
    "webhook_dead_letters": declared({_ROLE: "endpoint_id sequence state failure died_at"}),
    "audit_log": declared({_ROLE: "sequence at actor action subject chain"}),
    "audit_marks": declared({_NOBODY: "name sequence chain mac"}),
    "idempotency": declared(
        {_ROLE: "answer", _NOBODY: "request_id fingerprint claim claim_ends_at expires_at"}
    ),
}
"""The audience of each column, by table."""
