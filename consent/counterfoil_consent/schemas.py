"""The HTTP bodies of a receiver's back office. Nothing of pydantic travels further in."""

from datetime import timedelta

from counterfoil_credentials.claims import parse_path
from pydantic import BaseModel, ConfigDict, Field

from counterfoil_consent.completion import Completion
from counterfoil_consent.parties import MAX_RECIPIENTS, AuthorityParty, RecipientParty
from counterfoil_consent.requesting import Notice, Wish
from counterfoil_consent.terms import (
    ClaimName,
    ClaimTerm,
    Necessity,
    Operation,
    Purpose,
    one_of,
)

_MAX_SECONDS = 366 * 24 * 3600


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ClaimWish(_Body):
    """One claim: the credential's type, a DCQL path, and how long it may be kept."""

    vct: str = Field(min_length=1, max_length=2_000)
    path: list[str | int | None] = Field(min_length=1, max_length=16)
    is_required: bool = True
    retain_days: int = Field(ge=0, le=3_660)


class NoticeBody(_Body):
    """The text that the customer reads before she grants."""

    text: str = Field(min_length=1, max_length=100_000)
    language: str = Field(min_length=2, max_length=35)


class RecipientBody(_Body):
    """Whom the receiver will hand facts to: its DID, its name, where ends are sent."""

    did: str
    name: str
    endpoint: str

    def to_party(self) -> RecipientParty:
        """Give the recipient."""
        return RecipientParty.from_json(self.model_dump(), "recipients")


class CompletionBody(_Body):
    """What ends the grant sooner: the kind, who says so, a salted digest of what it names."""

    kind: str
    event_issuer: str | None = None
    reference: str | None = None

    def to_completion(self) -> Completion:
        """Give the condition."""
        return Completion.from_json(self.model_dump(exclude_none=True), "completion")


class AuthorityBody(_Body):
    """Who hears a complaint, and may end the grant."""

    did: str
    name: str

    def to_party(self) -> AuthorityParty:
        """Give the authority."""
        return AuthorityParty.from_json(self.model_dump(), "authority")


class NewRequest(_Body):
    """`POST /consent/requests`."""

    purpose: str
    claims: list[ClaimWish] = Field(min_length=1, max_length=50)
    notice: NoticeBody
    valid_for_s: int = Field(ge=1, le=_MAX_SECONDS)
    max_reads: int = Field(ge=1, le=100_000)
    jurisdiction: str = Field(min_length=2, max_length=35)
    operations: list[str] = Field(default=["dpv:Use", "dpv:Store"], min_length=1, max_length=10)
    recipients: list[RecipientBody] = Field(default=[], max_length=MAX_RECIPIENTS)
    completion: CompletionBody | None = None
    authority: AuthorityBody | None = None

    def to_wish(self) -> Wish:
        """Give the wish that the receiver asks."""
        return Wish(
            purpose=purpose_of(self.purpose),
            claims=[
                ClaimTerm(
                    name=ClaimName(claim.vct, parse_path([*claim.path], "claims.path")),
                    necessity=Necessity.REQUIRED if claim.is_required else Necessity.OPTIONAL,
                    retain_days=claim.retain_days,
                )
                for claim in self.claims
            ],
            notice=Notice(text=self.notice.text, language=self.notice.language),
            valid_for=timedelta(seconds=self.valid_for_s),
            max_reads=self.max_reads,
            jurisdiction=self.jurisdiction,
            operations=[one_of(Operation, name, "operations") for name in self.operations],
            recipients=[party.to_party() for party in self.recipients],
            completion=None if self.completion is None else self.completion.to_completion(),
            authority=None if self.authority is None else self.authority.to_party(),
        )


class ReadRequest(_Body):
    """`POST /consent/grants/{grant_id}/read`."""

    purpose: str


def purpose_of(text: str) -> Purpose:
    """Give the purpose by its DPV name."""
    return one_of(Purpose, text, "purpose")
