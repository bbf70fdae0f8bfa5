"""The back office's routes to what was issued: one by one, or many with a second person."""

from typing import Annotated

from counterfoil_service.access import Caller
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from counterfoil_issuer.approvals import Act
from counterfoil_issuer.back_office import Sitting
from counterfoil_issuer.issued_schemas import (
    CredentialAnswer,
    CredentialsAnswer,
    PageRequest,
    ProposalAnswer,
    ProposalDetailAnswer,
    ProposalRequest,
    ProposalsAnswer,
    RevocationRequest,
    TransferRequest,
)
from counterfoil_issuer.offer_schemas import OfferRequest, OpenOfferAnswer
from counterfoil_issuer.schemas import Opaque, Told, json_object
from counterfoil_issuer.sql_approvals import latest_proposals
from counterfoil_issuer.staff import (
    BULK,
    CARE,
    READ,
    REVOKE,
    SHOWN,
    IdempotencyKey,
    Staff,
    write,
)


def add_issued(router: APIRouter, staff: Staff) -> None:
    """Add the search, and what is done to one credential."""
    office = staff.office
    may_care = staff.access.to(CARE)
    may_revoke = staff.access.to(REVOKE)
    reading = [Depends(staff.access.to(READ))]
    # Whoever offers again what was lost or sold revokes what it was.
    revoking = [Depends(may_revoke)]

    @router.get("/credentials", dependencies=reading)
    def credentials(
        asked: Annotated[PageRequest, Query()],
    ) -> CredentialsAnswer:
        """Search what was issued, the latest first."""
        with staff.store.reading() as held:
            page = office.search(held.connection, asked.search(), at_most=asked.limit)
        return CredentialsAnswer.of(page)

    @router.get("/credentials/{credential_id}", dependencies=reading)
    def credential(credential_id: Opaque) -> CredentialAnswer:
        """Give what was issued under one id."""
        with staff.store.reading() as held:
            return CredentialAnswer.of(office.credential(held.connection, credential_id))

    @router.post("/credentials/{credential_id}/revoke", response_model=CredentialAnswer)
    async def revoke(
        credential_id: Opaque,
        asked: RevocationRequest,
        request: Request,
        caller: Annotated[Caller, Depends(may_revoke)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Revoke for good; the first time and reason stand."""

        def effect(sitting: Sitting) -> Told:
            done = office.act(sitting, Act.REVOKE, credential_id, asked.reason)
            return CredentialAnswer.of(done)

        return await write(staff, request, caller, effect)

    @router.post("/credentials/{credential_id}/suspend", response_model=CredentialAnswer)
    async def suspend(
        credential_id: Opaque,
        request: Request,
        caller: Annotated[Caller, Depends(may_care)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Suspend until reinstated."""

        def effect(sitting: Sitting) -> Told:
            return CredentialAnswer.of(office.act(sitting, Act.SUSPEND, credential_id))

        return await write(staff, request, caller, effect)

    @router.post("/credentials/{credential_id}/reinstate", response_model=CredentialAnswer)
    async def reinstate(
        credential_id: Opaque,
        request: Request,
        caller: Annotated[Caller, Depends(may_care)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Take a suspension back."""

        def effect(sitting: Sitting) -> Told:
            return CredentialAnswer.of(office.act(sitting, Act.REINSTATE, credential_id))

        return await write(staff, request, caller, effect)

    @router.post(
        "/credentials/{credential_id}/reissue",
        response_model=OpenOfferAnswer,
        dependencies=revoking,
    )
    async def reissue(
        credential_id: Opaque,
        request: Request,
        caller: Annotated[Caller, Depends(may_care)],
        asked: OfferRequest | None = None,
        _key: IdempotencyKey = None,
    ) -> Response:
        """Revoke what a holder lost, and offer the same again."""
        with_tx_code = (asked or OfferRequest()).tx_code

        def effect(sitting: Sitting) -> Told:
            made = office.reissue(sitting, credential_id, with_tx_code=with_tx_code)
            return OpenOfferAnswer.of(made)

        return await write(staff, request, caller, effect)

    @router.post(
        "/credentials/{credential_id}/transfer",
        response_model=OpenOfferAnswer,
        dependencies=revoking,
    )
    async def transfer(
        credential_id: Opaque,
        asked: TransferRequest,
        request: Request,
        caller: Annotated[Caller, Depends(may_care)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Revoke the old holder's, and offer it to another."""
        claims = json_object(asked.claims, "claims")

        def effect(sitting: Sitting) -> Told:
            made = office.transfer(
                sitting,
                credential_id,
                claims=claims,
                subject=asked.subject,
                with_tx_code=asked.tx_code,
            )
            return OpenOfferAnswer.of(made)

        return await write(staff, request, caller, effect)


def add_many(router: APIRouter, staff: Staff) -> None:
    """Add what one person proposes for many and another approves."""
    office, desk = staff.office, staff.desk
    may_act = staff.access.to(BULK)

    def require_may(caller: Caller, act: Act) -> None:
        if act is Act.REVOKE and caller.roles.isdisjoint(staff.may[REVOKE]):
            expected = " or ".join(sorted(staff.may[REVOKE]))
            raise HTTPException(403, f"expected a caller with the role {expected}")

    @router.get("/proposals", dependencies=[Depends(staff.access.to(READ))])
    def proposals() -> ProposalsAnswer:
        """Give the proposals made last, the latest first."""
        now = staff.issuer.clock()
        with staff.store.reading() as held:
            found = latest_proposals(held.connection, SHOWN)
        return ProposalsAnswer(proposals=[ProposalAnswer.of(one, now) for one in found])

    @router.get("/proposals/{proposal_id}", dependencies=[Depends(staff.access.to(READ))])
    def proposal(proposal_id: Opaque) -> ProposalDetailAnswer:
        """Give a proposal with its frozen list."""
        with staff.store.reading() as held:
            found = office.proposal(held.connection, proposal_id)
        return ProposalDetailAnswer.of(found, staff.issuer.clock())

    @router.post("/proposals", status_code=201, response_model=ProposalAnswer)
    async def propose(
        asked: ProposalRequest,
        request: Request,
        caller: Annotated[Caller, Depends(may_act)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Freeze a list of credentials, for another person to approve within a day."""
        require_may(caller, asked.act)

        def effect(sitting: Sitting) -> Told:
            made = office.propose(
                sitting,
                asked.act,
                reason=asked.reason,
                credentials=asked.credentials,
                search=None if asked.search is None else asked.search.search(),
            )
            return ProposalAnswer.of(made, sitting.now)

        return await write(staff, request, caller, effect, status=201)

    @router.post("/proposals/{proposal_id}/approve", response_model=ProposalAnswer)
    async def approve(
        proposal_id: Opaque,
        request: Request,
        caller: Annotated[Caller, Depends(may_act)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Do what another person proposed: a job of this answer's name does it."""

        def effect(sitting: Sitting) -> Told:
            require_may(caller, office.proposal(sitting.connection, proposal_id).act)
            approved = office.approve(sitting, proposal_id)
            job = desk.begin_in(sitting, desk.approved(approved))
            return ProposalAnswer.of(approved, sitting.now, job=job.job_id)

        return await write(staff, request, caller, effect)

    @router.post("/proposals/{proposal_id}/reject", response_model=ProposalAnswer)
    async def reject(
        proposal_id: Opaque,
        request: Request,
        caller: Annotated[Caller, Depends(may_act)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Close a proposal undone."""

        def effect(sitting: Sitting) -> Told:
            return ProposalAnswer.of(office.reject(sitting, proposal_id), sitting.now)

        return await write(staff, request, caller, effect)
