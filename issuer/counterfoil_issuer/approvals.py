"""What one person proposes and another approves: revoking or suspending many at once.

    proposal = propose(Act.REVOKE, ids, why, by="mei", now=now, ...)
    proposal.approved(by="jonas", now=now)       # not "mei"; not after a day

The list is frozen when it is proposed: what is approved is what was looked at,
whatever was issued in between. A proposal is decided once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final, NewType

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Reason, Refused

from counterfoil_issuer.records import IssuanceId, Random, RevocationReason

ProposalId = NewType("ProposalId", str)

MAX_FROZEN: Final = 20_000
LASTS: Final = timedelta(days=1)
_ID_BYTES: Final = 16


class Act(StrEnum):
    """What is done to many credentials at once."""

    REVOKE = "revoke"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"


class ProposalState(StrEnum):
    """Where a proposal stands; only `open` ones can be decided."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is to be done to exactly these issuances, by whom it was proposed and decided."""

    proposal_id: ProposalId
    act: Act
    reason: RevocationReason | None
    issuances: tuple[IssuanceId, ...]
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    state: ProposalState = ProposalState.OPEN
    decided_by: str | None = None
    decided_at: datetime | None = None

    @property
    def digest(self) -> str:
        """Give the SHA-256 of the frozen list: the approver sees that it is the one reviewed."""
        return sha256("\n".join(self.issuances).encode()).hexdigest()

    def at(self, now: datetime) -> "Proposal":
        """Give the proposal as it stands at `now`."""
        if self.state is ProposalState.OPEN and now >= self.expires_at:
            return replace(self, state=ProposalState.EXPIRED)
        return self

    def approved(self, *, by: str, now: datetime) -> "Proposal":
        """Give the approved proposal, to be done in the same transaction.

        Raises `Refused`: `proposal-closed`, or `second-person-needed` for the one
        who proposed it.
        """
        self._require_open(now)
        if by == self.proposed_by:
            expected = "another person than the one who proposed it"
            raise _refused("second-person-needed", expected, "the same")
        return replace(self, state=ProposalState.APPROVED, decided_by=by, decided_at=now)

    def rejected(self, *, by: str, now: datetime) -> "Proposal":
        """Give the rejected proposal; who proposed it may also withdraw it so."""
        self._require_open(now)
        return replace(self, state=ProposalState.REJECTED, decided_by=by, decided_at=now)

    def _require_open(self, now: datetime) -> None:
        found = self.at(now).state
        if found is not ProposalState.OPEN:
            raise _refused("proposal-closed", "an open proposal", f"one that is {found}")


def propose(
    act: Act,
    issuances: Sequence[IssuanceId],
    *,
    reason: RevocationReason | None,
    by: str,
    now: datetime,
    random: Random,
    lasts: timedelta = LASTS,
) -> Proposal:
    """Give the proposal to do `act` to `issuances`, each named once.

    Raises `Refused`: `nothing-to-do` for an empty list, `too-many` above twenty
    thousand, `reason-needed` and `reason-not-needed`.
    """
    frozen = tuple(dict.fromkeys(issuances))
    if not frozen:
        raise _refused("nothing-to-do", "at least one credential", "none")
    if len(frozen) > MAX_FROZEN:
        raise _refused("too-many", f"at most {MAX_FROZEN} credentials", f"{len(frozen)}")
    if (reason is None) == (act is Act.REVOKE):
        if reason is None:
            raise _refused("reason-needed", "a reason for revoking", "none")
        raise _refused("reason-not-needed", "a reason only for revoking", f"one for {act}")
    return Proposal(
        proposal_id=ProposalId(b64url(random(_ID_BYTES))),
        act=act,
        reason=reason,
        issuances=frozen,
        proposed_by=by,
        proposed_at=now,
        expires_at=now + lasts,
    )


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(code, expected, found, "proposal"))
