"""What many credentials need: one person proposes, another approves, the list is frozen."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_issuer.approvals import LASTS, MAX_FROZEN, Act, Proposal, ProposalState, propose
from counterfoil_issuer.records import IssuanceId, RevocationReason
from counterfoil_issuer.sql_approvals import (
    add_proposal,
    decide_proposal,
    find_proposal,
    latest_proposals,
)
from counterfoil_issuer.sql_store import SqlStore

FRAUD = RevocationReason.FRAUD
SECOND = timedelta(seconds=1)


def ids(count: int) -> list[IssuanceId]:
    return [IssuanceId(f"issuance-{i}") for i in range(count)]


def proposed(now: datetime, *, count: int = 3, seed: int = 7) -> Proposal:
    return propose(
        Act.REVOKE,
        ids(count),
        reason=FRAUD,
        by="mei",
        now=now,
        random=random.Random(seed).randbytes,
    )


def test_another_person_approves(now: datetime) -> None:
    approved = proposed(now).approved(by="jonas", now=now + LASTS - SECOND)

    assert (approved.state, approved.decided_by) == (ProposalState.APPROVED, "jonas")
    assert approved.issuances == tuple(ids(3))


@pytest.mark.parametrize(
    ("by", "later", "code"),
    [
        ("mei", timedelta(0), "second-person-needed"),
        ("jonas", LASTS, "proposal-closed"),
        ("mei", LASTS, "proposal-closed"),
    ],
)
def test_the_proposer_and_the_latecomer_do_not(
    now: datetime, by: str, later: timedelta, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        proposed(now).approved(by=by, now=now + later)
    assert refusal.value.codes == [code]


@pytest.mark.parametrize("by", ["mei", "jonas"])
def test_a_rejected_proposal_is_never_approved(now: datetime, by: str) -> None:
    rejected = proposed(now).rejected(by=by, now=now)

    for name in ("jonas", "mei"):
        with pytest.raises(Refused) as refusal:
            rejected.approved(by=name, now=now)
        assert refusal.value.codes == ["proposal-closed"]


def test_the_digest_tells_one_list_from_its_neighbour(now: datetime) -> None:
    assert proposed(now).digest == proposed(now, seed=8).digest
    assert proposed(now).digest != proposed(now, count=4).digest


@pytest.mark.parametrize(
    ("act", "count", "reason", "code"),
    [
        (Act.REVOKE, 0, FRAUD, "nothing-to-do"),
        (Act.REVOKE, MAX_FROZEN + 1, FRAUD, "too-many"),
        (Act.REVOKE, 1, None, "reason-needed"),
        (Act.SUSPEND, 1, FRAUD, "reason-not-needed"),
        (Act.REINSTATE, 1, FRAUD, "reason-not-needed"),
    ],
)
def test_what_cannot_be_proposed_is_refused(
    now: datetime, act: Act, count: int, reason: RevocationReason | None, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        propose(act, ids(count), reason=reason, by="mei", now=now, random=bytes)
    assert refusal.value.codes == [code]


def test_a_credential_that_is_named_twice_is_meant_once(now: datetime) -> None:
    twice = propose(Act.SUSPEND, ids(2) + ids(2), reason=None, by="mei", now=now, random=bytes)
    assert twice.issuances == tuple(ids(2))


def test_a_proposal_is_kept_as_it_was_made(tmp_path: Path, now: datetime) -> None:
    store = SqlStore(tmp_path / "issuer.sqlite3")
    first, second = proposed(now), proposed(now + SECOND, seed=8)
    with store.transaction() as held:
        add_proposal(held.connection, first)
        add_proposal(held.connection, second)
    with store.reading() as held:
        assert find_proposal(held.connection, first.proposal_id) == first
        assert latest_proposals(held.connection, 5) == [second, first]
    store.close()


def test_a_proposal_is_decided_once(tmp_path: Path, now: datetime) -> None:
    store = SqlStore(tmp_path / "issuer.sqlite3")
    proposal = proposed(now)
    with store.transaction() as held:
        add_proposal(held.connection, proposal)
        assert decide_proposal(held.connection, proposal.rejected(by="jonas", now=now))
        assert not decide_proposal(held.connection, proposal.approved(by="jonas", now=now))
    with store.reading() as held:
        kept = find_proposal(held.connection, proposal.proposal_id)
    store.close()
    assert kept is not None
    assert kept.state is ProposalState.REJECTED
