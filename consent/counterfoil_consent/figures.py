"""What a receiver publishes about itself: how fast it stops, and how often it erases too late.

    figures_of(ends, since=..., until=..., now=...)    ─► Figures ─► sign ─► published

Whole seconds and whole numbers: a rate is two of them. Anybody who has the signed
papers computes the same figures again; the auditor does (audit_published.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject, int_at
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import Signer

from counterfoil_consent.artefacts import Receipt, StopNotice, trigger_at
from counterfoil_consent.papers import Paper
from counterfoil_consent.receiving import ERASE_WITHIN
from counterfoil_consent.spec import ERASURE_TYP, EVENT_TYP, FIGURES_TYP
from counterfoil_consent.states import Agreement, Trigger
from counterfoil_consent.wire import (
    instant_at,
    read_artefact,
    require_members,
    seconds,
    sign_artefact,
)

_MONTH_S: Final = 31 * 86_400
_WHERE: Final = "figures"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTimes:
    """One end: when it was said, when the receiver stopped, when it had erased. None: not yet."""

    requested_at: datetime
    stopped_at: datetime | None
    erased_at: datetime | None
    erase_within: timedelta = ERASE_WITHIN

    def is_overdue(self, now: datetime) -> bool:
        """Say whether the erasure came, or is, later than promised."""
        return (self.erased_at or now) - self.requested_at > self.erase_within


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the `ended` grants whose end was said in `since ≤ t < until`, so many were `overdue`.

    `median_stop_s` is the median of the seconds from an end to its stop, the lower one of two;
    None when there was no stop.
    """

    since: datetime
    until: datetime
    ended: int
    overdue: int
    median_stop_s: int | None

    def sign(self, signer: Signer, *, now: datetime) -> str:
        """Sign with the receiver's key, for publication."""
        claims: JsonObject = {
            "iat": seconds(now),
            "since": seconds(self.since),
            "until": seconds(self.until),
            "ended": self.ended,
            "overdue": self.overdue,
        }
        if self.median_stop_s is not None:
            claims["median_stop_s"] = self.median_stop_s
        return sign_artefact(claims, typ=FIGURES_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, receiver: Did) -> tuple["Figures", datetime]:
        """Give what `receiver` published, and when."""
        claims = read_artefact(token, typ=FIGURES_TYP, by=receiver, where=_WHERE)
        members = ("iss", "iat", "since", "until", "ended", "overdue")
        require_members(claims, members, _WHERE, optional=("median_stop_s",))
        has_median = "median_stop_s" in claims
        figures = Figures(
            since=instant_at(claims, "since", _WHERE),
            until=instant_at(claims, "until", _WHERE),
            ended=int_at(claims, "ended", _WHERE),
            overdue=int_at(claims, "overdue", _WHERE),
            median_stop_s=int_at(claims, "median_stop_s", _WHERE) if has_median else None,
        )
        if not 0 <= figures.overdue <= figures.ended:
            raise Malformed("no more overdue than ended", "another", _WHERE)
        return figures, instant_at(claims, "iat", _WHERE)


def figures_of(
    ends: Iterable[EndTimes], *, since: datetime, until: datetime, now: datetime
) -> Figures:
    """Give the figures over the ends that were said in this time, as they stand at `now`."""
    ours = [end for end in ends if since <= end.requested_at < until]
    stops = sorted(
        max(0, seconds(end.stopped_at) - seconds(end.requested_at))
        for end in ours
        if end.stopped_at is not None and end.stopped_at <= now
    )
    return Figures(
        since=since,
        until=until,
        ended=len(ours),
        overdue=sum(end.is_overdue(now) for end in ours),
        median_stop_s=stops[(len(stops) - 1) // 2] if stops else None,
    )


def end_times_in(agreement: Agreement, papers: Mapping[Paper, str]) -> EndTimes | None:
    """Give the times that one grant's signed papers tell; None while nobody ended it.

    Raises `Refused` for a paper of another signer, and `Malformed`.
    """
    end = papers.get(Paper.END)
    receiver = agreement.terms.receiver.did
    stopped_at = erased_at = None
    trigger: Trigger | None = None
    if (token := papers.get(Paper.STOP_NOTICE)) is not None:
        notice = StopNotice.read(token, receiver=receiver, grant_id=agreement.grant_id)
        stopped_at, trigger = notice.stopped_at, notice.trigger
    if (token := papers.get(Paper.ERASURE_RECEIPT)) is not None:
        claims = read_artefact(token, typ=ERASURE_TYP, by=receiver, where="erasure_receipt")
        erased_at = instant_at(claims, "erased_at", "erasure_receipt")
        trigger = trigger_at(claims, "erasure_receipt")
    if trigger is Trigger.EXPIRED:
        requested_at = agreement.terms.valid_until
    elif end is not None:
        # Whose word it was, the check of signatures tells.
        jws = read_jws(end, typ=EVENT_TYP, where="event")
        requested_at = instant_at(jws.unverified_claims, "iat", "event")
    elif stopped_at is not None:
        requested_at = stopped_at
    else:
        return None
    within = ERASE_WITHIN
    if (token := papers.get(Paper.RECEIPT)) is not None:
        promise = Receipt.read(
            token,
            receiver=receiver,
            grant_id=agreement.grant_id,
            grant_digest=agreement.grant_digest,
        )
        # A promise of more than the law's month would excuse everything.
        within = timedelta(seconds=min(promise.erase_within_s, _MONTH_S))
    return EndTimes(
        requested_at=requested_at, stopped_at=stopped_at, erased_at=erased_at, erase_within=within
    )
