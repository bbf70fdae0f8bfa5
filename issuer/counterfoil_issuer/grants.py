"""What the authorization code grant writes down: pushed requests, visits, codes.

Secrets only as hashes. All of it is short-lived and bounded in number, so that
endpoints that are open to everybody cannot fill the disk.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from counterfoil_issuer.authorization_request import AuthorizationRequest
from counterfoil_issuer.login import Subject
from counterfoil_issuer.records import DatasetId, OfferId, SecretHash


@dataclass(frozen=True, slots=True)
class Pushed:
    """A request that waits for its browser."""

    uri_hash: SecretHash = field(repr=False)
    request: AuthorizationRequest
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A browser on its way from a request to an answer; `subject` is there after the login."""

    visit_hash: SecretHash = field(repr=False)
    request: AuthorizationRequest
    language: str
    subject: Subject | None
    expires_at: datetime


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

    def push(self, pushed: Pushed, now: datetime) -> bool:
        """Keep a pushed request; False when as many wait as may. Those past `now` go first."""
        ...

    def pushed(self, uri_hash: SecretHash) -> Pushed | None:
        """Give a pushed request, expired or not."""
        ...

    def forget_pushed(self, uri_hash: SecretHash) -> None:
        """Forget a pushed request."""
        ...

    def add_visit(self, visit: Visit, now: datetime) -> bool:
        """Begin a visit; False when as many are under way as may. Those past `now` go first."""
        ...

    def visit(self, visit_hash: SecretHash) -> Visit | None:
        """Give a visit, expired or not."""
        ...

    def log_in(self, visit_hash: SecretHash, subject: Subject) -> bool:
        """Note who came; False when somebody was noted before, or the visit has ended."""
        ...

    def end_visit(self, visit_hash: SecretHash) -> bool:
        """End a visit and forget who came; False when it had ended."""
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
