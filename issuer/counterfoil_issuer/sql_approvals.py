"""Proposals in the database, each with the exact list that it is about."""

import json
from datetime import UTC, datetime
from typing import Final

from counterfoil_service.statements import Connection, Row, Statement
from sqlalchemy import BigInteger, Column, String, Table, bindparam, insert, select, update

from counterfoil_issuer.approvals import Act, Proposal, ProposalId, ProposalState
from counterfoil_issuer.records import IssuanceId, RevocationReason
from counterfoil_issuer.tables import METADATA

PROPOSALS: Final = Table(
    "proposals",
    METADATA,
    Column("proposal_id", String, primary_key=True),
    Column("act", String, nullable=False),
    Column("reason", String),
    Column("issuances", String, nullable=False),
    Column("proposed_by", String, nullable=False),
    Column("proposed_at", BigInteger, nullable=False, index=True),
    Column("expires_at", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("decided_by", String),
    Column("decided_at", BigInteger),
)

_ADD: Final = Statement(insert(PROPOSALS))
_FIND: Final = Statement(select(PROPOSALS).where(PROPOSALS.c.proposal_id == bindparam("proposal")))
_LATEST: Final = Statement(
    select(PROPOSALS)
    .order_by(PROPOSALS.c.proposed_at.desc(), PROPOSALS.c.proposal_id)
    .limit(bindparam("at_most"))
)
_DECIDE: Final = Statement(
    update(PROPOSALS)
    .where(PROPOSALS.c.proposal_id == bindparam("proposal"))
    .where(PROPOSALS.c.state == ProposalState.OPEN.value)
    .values(state=bindparam("decided"), decided_by=bindparam("by"), decided_at=bindparam("at"))
)


def add_proposal(connection: Connection, proposal: Proposal) -> None:
    """Record a new proposal."""
    connection.change(
        _ADD,
        proposal_id=proposal.proposal_id,
        act=proposal.act,
        reason=proposal.reason,
        issuances=json.dumps(proposal.issuances),
        proposed_by=proposal.proposed_by,
        proposed_at=int(proposal.proposed_at.timestamp()),
        expires_at=int(proposal.expires_at.timestamp()),
        state=proposal.state,
        decided_by=None,
        decided_at=None,
    )


def find_proposal(connection: Connection, proposal_id: ProposalId) -> Proposal | None:
    """Give the proposal, or None."""
    row = connection.row(_FIND, proposal=proposal_id)
    return None if row is None else _proposal(row)


def latest_proposals(connection: Connection, at_most: int) -> list[Proposal]:
    """Give the proposals made last, the latest first."""
    return [_proposal(row) for row in connection.rows(_LATEST, at_most=at_most)]


def decide_proposal(connection: Connection, decided: Proposal) -> bool:
    """Record a decision; False when there was one before."""
    at = decided.decided_at
    changed = connection.change(
        _DECIDE,
        proposal=decided.proposal_id,
        decided=decided.state,
        by=decided.decided_by,
        at=None if at is None else int(at.timestamp()),
    )
    return changed == 1


def _proposal(row: Row) -> Proposal:
    return Proposal(
        proposal_id=ProposalId(row.proposal_id),
        act=Act(row.act),
        reason=None if row.reason is None else RevocationReason(row.reason),
        issuances=tuple(IssuanceId(one) for one in json.loads(row.issuances)),
        proposed_by=row.proposed_by,
        proposed_at=datetime.fromtimestamp(row.proposed_at, UTC),
        expires_at=datetime.fromtimestamp(row.expires_at, UTC),
        state=ProposalState(row.state),
        decided_by=row.decided_by,
        decided_at=None if row.decided_at is None else datetime.fromtimestamp(row.decided_at, UTC),
    )
