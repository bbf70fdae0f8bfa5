"""Who may see what the shop records. The owner is the customer, in her own visit."""

from collections.abc import Mapping
from typing import Final

from counterfoil_credentials.audience import Audience, declared

_NOBODY, _ROLE = Audience.NOBODY, Audience.ROLE
_BOTH = Audience.OWNER | Audience.ROLE

AUDIENCES: Final[Mapping[str, Mapping[str, Audience]]] = {
    "sessions": declared(
        {
            # What the request itself says, to her who scans it, and what the till is shown.
            _BOTH: "request_id language preset till asked_at_us expires_at_us checked_at_us",
            Audience.OWNER: "nonce wallet_state transaction_data",
            _ROLE: "session_id state handback outcome kind codes status_as_of_us took_ms"
            " later_answers",
            # `held` is opened by the till's own secret, and is never given as it lies there.
            _NOBODY: "response_key facts_key held code_hash wrong_codes sent_at_us",
        }
    ),
    "one_time_names": declared({_NOBODY: "name_hash ends_at_us"}),
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
