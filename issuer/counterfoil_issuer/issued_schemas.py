"""What the back office is asked and tells about what was issued, one by one and many at once."""

from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, Field

from counterfoil_issuer.approvals import Act, Proposal, ProposalState
from counterfoil_issuer.records import Issuance, RevocationReason
from counterfoil_issuer.schemas import (
    Body,
    Claims,
    Opaque,
    OrderName,
    SerialName,
    SubjectName,
    Told,
    TypeName,
)
from counterfoil_issuer.searching import MAX_PAGE, PAGE, IssuanceState, Page, Search, state_of

MAX_NAMED: Final = 2_000


class RevocationRequest(Body):
    """Why a credential is revoked."""

    reason: RevocationReason


class TransferRequest(Body):
    """To whom: the claims of the new credential, or what the old one showed to everybody."""

    claims: Claims | None = None
    subject: SubjectName | None = None
    tx_code: bool = True


class SearchRequest(Body):
    """What is looked for; what is left out may be anything."""

    order: OrderName | None = None
    type: TypeName | None = None
    serial: SerialName | None = None
    state: IssuanceState | None = None
    issued_from: AwareDatetime | None = None
    issued_until: AwareDatetime | None = None
    before: Annotated[
        int | None, Field(ge=1, le=2**31 - 1, description="`next` of the page before")
    ] = None

    def search(self) -> Search:
        """Give the search."""
        return Search(
            order=self.order,
            type_name=self.type,
            serial=self.serial,
            state=self.state,
            issued_from=self.issued_from,
            issued_until=self.issued_until,
            before=self.before,
        )


class PageRequest(SearchRequest):
    """A search, and how many it gives at once."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = PAGE


class ProposalRequest(Body):
    """What is to be done to many: to those named, or to what a search finds now."""

    act: Act
    reason: RevocationReason | None = None
    credentials: Annotated[tuple[Opaque, ...], Field(max_length=MAX_NAMED)] = ()
    search: SearchRequest | None = None


class StatusEntryAnswer(Told):
    """Where one credential's status stands."""

    list: int
    index: int


class CredentialAnswer(Told):
    """What was issued in one answer, without what it says: credentials that say the same.

    `state`: `sent` until the wallet says that it stored it, then `stored`;
    `suspended`; `revoked`; `dropped` when no wallet ever stored it.
    """

    credential_id: str
    type: str
    order: str | None
    serial: str | None
    state: IssuanceState
    issued_at: datetime
    expires_at: datetime
    statuses: list[StatusEntryAnswer]
    acknowledged_at: datetime | None
    suspended_at: datetime | None
    revoked_at: datetime | None
    revocation_reason: RevocationReason | None

    @classmethod
    def of(cls, issuance: Issuance) -> Self:
        """Give the answer for `issuance`."""
        return cls(
            credential_id=issuance.issuance_id,
            type=issuance.type_name,
            order=issuance.order_number,
            serial=issuance.serial,
            state=state_of(issuance),
            issued_at=issuance.issued_at,
            expires_at=issuance.expires_at,
            statuses=[
                StatusEntryAnswer(list=one.list_number, index=one.index)
                for one in issuance.credentials
            ],
            acknowledged_at=issuance.acknowledged_at,
            suspended_at=issuance.suspended_at,
            revoked_at=issuance.revoked_at,
            revocation_reason=issuance.revocation_reason,
        )


class CredentialsAnswer(Told):
    """A page of what was issued, the latest first; `next` is the `before` of the next page."""

    credentials: list[CredentialAnswer]
    next: int | None

    @classmethod
    def of(cls, page: Page) -> Self:
        """Give the answer for `page`."""
        return cls(
            credentials=[CredentialAnswer.of(one) for one in page.issuances],
            next=page.next_before,
        )


class ProposalAnswer(Told):
    """A proposal: `digest` is the SHA-256 of the frozen list, `job` does an approved one."""

    proposal_id: str
    act: Act
    reason: RevocationReason | None
    state: ProposalState
    count: int
    digest: str
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    job: str | None = None

    @classmethod
    def of(cls, proposal: Proposal, now: datetime, *, job: str | None = None) -> Self:
        """Give the answer for `proposal` as it stands at `now`."""
        return cls(
            proposal_id=proposal.proposal_id,
            act=proposal.act,
            reason=proposal.reason,
            state=proposal.at(now).state,
            count=len(proposal.issuances),
            digest=proposal.digest,
            proposed_by=proposal.proposed_by,
            proposed_at=proposal.proposed_at,
            expires_at=proposal.expires_at,
            decided_by=proposal.decided_by,
            decided_at=proposal.decided_at,
            job=job,
        )


class ProposalDetailAnswer(ProposalAnswer):
    """A proposal with its frozen list."""

    credentials: tuple[str, ...] = ()

    @classmethod
    def of(cls, proposal: Proposal, now: datetime, *, job: str | None = None) -> Self:
        """Give the answer for `proposal` as it stands at `now`."""
        short = super().of(proposal, now, job=job)
        return short.model_copy(update={"credentials": tuple(proposal.issuances)})


class ProposalsAnswer(Told):
    """The proposals made last, the latest first."""

    proposals: list[ProposalAnswer]
