"""One grant as the customer sees it: where it stands, why it is there, how it was used.

    consent_of(grant, papers, …) ─► Consent

Made of what the wallet keeps; nobody is asked. How often a grant was read is the
custodian's signed word of the last time that it was asked (`inquiring.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from counterfoil_consent.access_log import AccessEvent, read_chain
from counterfoil_consent.artefacts import KeyDestruction, Receipt, StopNotice
from counterfoil_consent.incentive import Incentive
from counterfoil_consent.papers import Paper
from counterfoil_consent.parties import AuthorityParty, RecipientParty
from counterfoil_consent.states import Agreement, Lack, Level, Missing, Retained, Trigger
from counterfoil_consent.terms import ClaimName, Purpose, Terms
from counterfoil_consent.usage import Custodial, Usage
from counterfoil_consent.wire import GrantId

from counterfoil_wallet.grant_states import (
    Abandoned,
    Deciding,
    Delivering,
    Ending,
    HeldGrant,
    InForce,
    Proved,
)
from counterfoil_wallet.papers import Papers

RECEIPT_WITHIN: Final = timedelta(minutes=5)
ENDS_SOON: Final = timedelta(days=7)
ERASE_WITHIN: Final = timedelta(days=30)
"""How long an erasure may take where no receipt promised less: GDPR, article 12(3)."""

_GIVEN: Final = "dpv:ConsentGiven"
_ENDS: Final[Mapping[Trigger, str]] = {
    Trigger.WITHDRAWN: "dpv:ConsentWithdrawn",
    Trigger.COMPLETED: "dpv:ConsentExpired",
    Trigger.EXPIRED: "dpv:ConsentExpired",
    Trigger.TERMINATED: "dpv:ConsentRevoked",
}


class ConsentState(StrEnum):
    """Where a grant stands, in the customer's eyes."""

    WAITING = "waiting"
    UNACKNOWLEDGED = "unacknowledged"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ERASURE_PENDING = "erasure-pending"
    OVERDUE = "overdue"
    ERASED = "erased"
    ERASED_IN_PART = "erased-in-part"
    NOT_GRANTED = "not-granted"

    @property
    def is_live(self) -> bool:
        """Whether the receiver may read now, or once it has acknowledged or she resumes."""
        return self in _LIVE


_LIVE: Final = frozenset(
    {
        ConsentState.WAITING,
        ConsentState.UNACKNOWLEDGED,
        ConsentState.ACTIVE,
        ConsentState.SUSPENDED,
    }
)


_OF_RECIPIENTS: Final = frozenset({Missing.RECIPIENT, Missing.GOOD_RECIPIENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Why and when a grant ended, and until when the erasure is to be proved.

    Where a law makes the receiver keep something, that is when its erasure is to be proved.
    `stopped_at` is the receiver's signed word, `key_destroyed_at` the custodian's, `erased_at`
    that of the proof; None where the wallet has no such word.
    """

    trigger: Trigger
    at: datetime
    erase_by: datetime
    stopped_at: datetime | None = None
    key_destroyed_at: datetime | None = None
    erased_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One grant. Times are UTC; None stands for what is not known, or does not apply.

    `receiver` is the name that it gives itself, `known_as` the one under which the app
    knows it. `granted_at`, `asked_at` and `screen` say why the data is there. `usage` is
    the custodian's word, as of `usage.at`; `accesses` are the receiver's own signed events,
    None where it shows no log. `incentive` is what was offered for it, hers also after the
    end. `retained` is what a law makes the receiver keep, `lacks` what its proof of erasure
    does not prove, `backups_until` when the last backup that may still hold something is gone.
    """

    grant_id: GrantId
    state: ConsentState
    dpv_state: str
    party: str
    receiver: str
    known_as: str | None
    purpose: Purpose
    claims: tuple[ClaimName, ...]
    recipients: tuple[RecipientParty, ...]
    authority: AuthorityParty | None
    max_reads: int
    valid_until: datetime
    seen_at: datetime = field(repr=False)
    asked_at: datetime | None = None
    granted_at: datetime | None = None
    screen: str | None = None
    usage: Usage | None = None
    accesses: tuple[AccessEvent, ...] | None = None
    end: End | None = None
    incentive: Incentive | None = None
    level: Level | None = None
    retained: tuple[Retained, ...] = ()
    lacks: tuple[Lack, ...] = ()
    backups_until: datetime | None = None
    receipt: str | None = field(default=None, repr=False)
    notice_differs_since: datetime | None = None
    log_differs_since: datetime | None = None

    @property
    def unaccounted_reads(self) -> int | None:
        """How many leases the custodian gave that the receiver's log does not name.

        A few can have been lost on their way. None where either is not known.
        """
        if self.usage is None or self.accesses is None:
            return None
        return max(self.usage.reads - len(self.accesses), 0)

    @property
    def recipients_left(self) -> tuple[RecipientParty, ...]:
        """Who may have been handed something and has not proved that it is erased."""
        if self.state is ConsentState.NOT_GRANTED:
            return ()
        if self.level is None:
            return self.recipients
        silent = {lack.party for lack in self.lacks if lack.what in _OF_RECIPIENTS}
        return tuple(party for party in self.recipients if party.name in silent)

    @property
    def name(self) -> str:
        """The receiver's name: the app's own for it, else the one that it gives itself."""
        return self.known_as or self.receiver

    @property
    def days_left(self) -> int:
        """Whole days until it ends by itself; 0 on its last day and after its end."""
        return max((self.valid_until - self.seen_at).days, 0) if self.state.is_live else 0

    @property
    def ends_soon(self) -> bool:
        """Whether it ends by itself within a week."""
        return self.state.is_live and self.valid_until - self.seen_at <= ENDS_SOON

    @property
    def erasure_left(self) -> timedelta | None:
        """How long the receiver still has to prove the erasure; None where it owes none."""
        if self.state is not ConsentState.ERASURE_PENDING or self.end is None:
            return None
        return self.end.erase_by - self.seen_at

    @property
    def may_complain(self) -> bool:
        """Whether the wallet offers a complaint: the proof is overdue."""
        return self.state is ConsentState.OVERDUE


def consent_of(
    grant: HeldGrant, papers: Papers | None, *, known_as: str | None, now: datetime
) -> Consent:
    """Give one grant as the customer sees it at `now`."""
    agreement = agreement_of(grant)
    usage = usage_in(papers, grant.terms, grant.grant_id)
    end = _end_of(grant, papers, agreement, now)
    state = _state_of(grant, usage, end, agreement, now)
    erased = grant.erased if isinstance(grant, Proved) else None
    return Consent(
        grant_id=grant.grant_id,
        state=state,
        dpv_state=_dpv_of(state, end),
        party=grant.terms.receiver.client_id,
        receiver=grant.terms.receiver.name,
        known_as=known_as,
        purpose=grant.terms.purpose,
        claims=tuple(sorted(grant.terms.claim_names, key=str)),
        recipients=grant.terms.recipients,
        authority=grant.terms.authority,
        max_reads=grant.terms.max_reads,
        valid_until=grant.terms.valid_until,
        seen_at=now,
        asked_at=None if papers is None else papers.asked_at,
        granted_at=None if agreement is None else agreement.granted_at,
        screen=None if papers is None else papers.screen,
        usage=usage,
        accesses=_accesses_in(papers, grant),
        end=end,
        incentive=grant.terms.incentive,
        level=None if erased is None else erased.level,
        retained=() if erased is None else erased.retained,
        lacks=() if erased is None else erased.lacks,
        backups_until=None if erased is None else erased.backups_until,
        receipt=grant.receipt if isinstance(grant, Proved) else None,
        notice_differs_since=None if papers is None else papers.notice_differs_since,
        log_differs_since=None if papers is None else papers.log_differs_since,
    )


def agreement_of(grant: HeldGrant) -> Agreement | None:
    """Give what both sides hold to, or None where nothing was signed."""
    match grant:
        case Deciding() | Abandoned():
            return None
        case Delivering():
            return grant.package.granted.agreement
        case InForce():
            return grant.active.agreement
        case Ending():
            return grant.withdrawal.withdrawn.agreement
        case Proved():
            return grant.erased.agreement
        case _:
            assert_never(grant)


def usage_in(papers: Papers | None, terms: Terms, grant_id: GrantId) -> Usage | None:
    """Give the custodian's last word on the use, verified anew."""
    token = None if papers is None else papers.token(Paper.USAGE)
    if token is None:
        return None
    return Usage.read(token, custodian=terms.custodian.did, grant_id=grant_id)


def _accesses_in(papers: Papers | None, grant: HeldGrant) -> tuple[AccessEvent, ...] | None:
    if papers is None or not papers.accesses:
        return None
    return read_chain(papers.accesses, receiver=grant.terms.receiver.did, grant_id=grant.grant_id)


def known_end(
    grant: HeldGrant, papers: Papers | None, now: datetime
) -> tuple[Trigger, datetime] | None:
    """Give why and when a grant ended, as far as the wallet knows; None for one in force."""
    match grant:
        case Ending():
            return Trigger.WITHDRAWN, grant.withdrawal.withdrawn.ended_at
        case Proved():
            # A wallet of an older version did not keep when it ended.
            return grant.erased.trigger, grant.erased.ended_at or grant.erased.erased_at
        case InForce():
            usage = usage_in(papers, grant.terms, grant.grant_id)
            if usage is not None and usage.ended_by and usage.ended_at:
                return usage.ended_by, usage.ended_at
            has_expired = now >= grant.terms.valid_until
            return (Trigger.EXPIRED, grant.terms.valid_until) if has_expired else None
        case _:
            return None


def _end_of(
    grant: HeldGrant, papers: Papers | None, agreement: Agreement | None, now: datetime
) -> End | None:
    ended = known_end(grant, papers, now)
    if ended is None or agreement is None:
        return None
    trigger, at = ended
    # What a law makes the receiver keep is owed at the law's date.
    kept = [item.until for item in grant.erased.retained] if isinstance(grant, Proved) else []
    due = min(kept, default=at)
    stop, destruction = (
        None if papers is None else papers.token(paper)
        for paper in (Paper.STOP_NOTICE, Paper.KEY_DESTRUCTION)
    )
    grant_id, terms = agreement.grant_id, agreement.terms
    return End(
        trigger=trigger,
        at=at,
        erase_by=due + _erase_within(papers, agreement),
        stopped_at=None
        if stop is None
        else StopNotice.read(stop, receiver=terms.receiver.did, grant_id=grant_id).stopped_at,
        key_destroyed_at=None
        if destruction is None
        else KeyDestruction.read(
            destruction, custodian=terms.custodian.did, grant_id=grant_id
        ).destroyed_at,
        erased_at=grant.erased.erased_at if isinstance(grant, Proved) else None,
    )


def _erase_within(papers: Papers | None, agreement: Agreement) -> timedelta:
    token = None if papers is None else papers.token(Paper.RECEIPT)
    if token is None:
        return ERASE_WITHIN
    receipt = Receipt.read(
        token,
        receiver=agreement.terms.receiver.did,
        grant_id=agreement.grant_id,
        grant_digest=agreement.grant_digest,
    )
    # Whoever promises itself a year is held to the law's month.
    return min(timedelta(seconds=max(receipt.erase_within_s, 0)), ERASE_WITHIN)


def _state_of(
    grant: HeldGrant,
    usage: Usage | None,
    end: End | None,
    agreement: Agreement | None,
    now: datetime,
) -> ConsentState:
    match grant:
        case Abandoned():
            return ConsentState.NOT_GRANTED
        case Deciding():
            return ConsentState.WAITING
        case Delivering():
            is_late = agreement is not None and now - agreement.granted_at > RECEIPT_WITHIN
            return ConsentState.UNACKNOWLEDGED if is_late else ConsentState.WAITING
        case Proved() if not grant.erased.retained:
            return ConsentState.ERASED
        case Proved():
            # Until a second receipt says that it is gone, it is there.
            is_late = end is not None and now >= end.erase_by
            return ConsentState.OVERDUE if is_late else ConsentState.ERASED_IN_PART
        case InForce() | Ending():
            pass
        case _:
            assert_never(grant)
    if end is not None:
        return ConsentState.ERASURE_PENDING if now < end.erase_by else ConsentState.OVERDUE
    if isinstance(grant, InForce) and grant.is_suspended:
        return ConsentState.SUSPENDED
    # A second device can have suspended it: the custodian knows.
    is_paused = usage is not None and usage.state is Custodial.SUSPENDED
    return ConsentState.SUSPENDED if is_paused else ConsentState.ACTIVE


def _dpv_of(state: ConsentState, end: End | None) -> str:
    if end is not None:
        return _ENDS[end.trigger]
    match state:
        case ConsentState.NOT_GRANTED:
            return "dpv:ConsentRequested"
        case ConsentState.SUSPENDED:
            return "dpv:ConsentUnknown"
        case _:
            return _GIVEN
