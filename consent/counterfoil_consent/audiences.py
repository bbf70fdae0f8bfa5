"""Who may see what custodian, receiver and recipient record.

The owner is the holder of the grant, in her own grant. Whoever has a grant's id may fetch
what anybody needs to check a proof: that is why such columns are for everybody who asks.
"""

from collections.abc import Mapping
from typing import Final

from counterfoil_credentials.audience import Audience, declared

_NOBODY, _OWNER, _ROLE = Audience.NOBODY, Audience.OWNER, Audience.ROLE
_EACH = Audience.PUBLIC | Audience.OWNER | Audience.ROLE

_OUTBOX: Final = {
    "set_letters": declared(
        {
            _ROLE: "sequence destination endpoint rank state failure died_at",
            # A stop notice names the event that it answers.
            _OWNER | _ROLE: "grant_id event_id",
            # It passes the word of who ended or paused on to whom it is for, and to nobody else.
            _NOBODY: "token",
        }
    ),
    "set_destinations": declared(
        {_ROLE: "destination attempts next_at", _NOBODY: "endpoint lease lease_ends_at"}
    ),
    "set_requests": declared({_NOBODY: "caller request_id until"}),
}

OF_THE_CUSTODIAN: Final[Mapping[str, Mapping[str, Audience]]] = {
    "custodian_grants": declared(
        {
            _OWNER: "grant_id state reads last_read_at trigger ended_at statement grant_digest",
            # A share leaves it sealed anew, to the reader that has a lease.
            _NOBODY: "holder reserved_at receiver purpose valid_until max_reads share completer"
            " authority is_single_use is_receipted is_confirmed",
        }
    ),
    "custodian_reads": declared({_NOBODY: "grant_id request_id"}),
    "custodian_journal": declared({_NOBODY: "name lines chain"}),
    **_OUTBOX,
}
"""The audience of each column of a custodian, by table."""

OF_THE_RECEIVER: Final[Mapping[str, Mapping[str, Audience]]] = {
    "consent_requests": declared(
        {
            _EACH: "request_id notice_sha256 expires_at",
            _OWNER | _ROLE: "answered_by",
            _NOBODY: "body",
        }
    ),
    "consent_grants": declared(
        {
            _EACH: "grant_id state valid_until",
            _ROLE: "has_papers due_at keeps",
            # Of the ciphertext nobody sees anything; of the rest each what a route says.
            _NOBODY: "request_id revision body bundle",
        }
    ),
    "consent_accesses": declared(
        {
            _EACH: "purpose",
            _OWNER | _ROLE: "grant_id asked_at read",
            _OWNER: "request_id",
            _ROLE: "place",
        }
    ),
    **_OUTBOX,
}
"""The audience of each column of a receiver, by table."""

OF_THE_LOG_OF_READS: Final[Mapping[str, Mapping[str, Audience]]] = {
    "consent_access_events": declared({_OWNER: "grant_id number token"})
}
"""The audience of each column of a receiver's signed log, by table."""

OF_THE_RECIPIENT: Final[Mapping[str, Mapping[str, Audience]]] = {
    "consent_handed": declared(
        {
            _EACH: "grant_id receipt",
            _ROLE: "valid_until stopped_at systems",
            _NOBODY: "token sealed",
        }
    )
}
"""The audience of each column of a recipient, by table."""
