"""What the authorization code grant writes down: codes, and which answers were given.

Secrets only as hashes. None of it comes before a customer has logged in: what a stranger
begins travels with the stranger (`visits.py`, `pushing.py`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from counterfoil_issuer.records import DatasetId, OfferId, SecretHash


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRecord:
    """What an authorization code stands for. `token_hash` is there once it was redeemed."""

    code_hash: SecretHash = field(repr=False)
    client_id: str
    redirect_uri: str
    code_challenge: str = field(repr=False)
    dpop_jkt: str | None = field(repr=False)
    instance_jkt: str | None = field(repr=False)
    by_identifier: bool
    dataset_ids: tuple[DatasetId, ...]
    offer_id: OfferId | None
    token_hash: SecretHash | None = field(default=None, repr=False)
    expires_at: datetime


class Grants(Protocol):
    """The state of the authorization code grant, as one transaction holds it."""

    def is_spent(self, answer_hash: SecretHash) -> bool:
        """Say whether the one answer of a visit was given; `Held.spend_nonce` gives it."""
        ...

    def add_code(self, code: CodeRecord, now: datetime) -> None:
        """Record a new code. Codes long past `now` go first."""
        ...

    def code(self, code_hash: SecretHash) -> CodeRecord | None:
        """Give what a code stands for, redeemed and expired or not."""
        ...

    def redeem_code(self, code_hash: SecretHash, token_hash: SecretHash) -> bool:
        """Take a code for a token; False when it was taken before."""
        ...

    def end_token(self, token_hash: SecretHash) -> None:
        """Make a token useless."""
        ...

    def forget(self, now: datetime) -> None:
        """Forget what nobody can use any more at `now`."""
        ...
