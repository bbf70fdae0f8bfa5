"""What a shop accepts, put together from small checks.

    AllOf(OfType({vct}), IssuedBy({issuer}), BoundToHolder(), NotRevoked(max_age=DAY))

Each check judges one presentation whose issuer's signature is already good,
and says everything that is wrong with it. A judgement has three values: yes,
no, and "could not find out", which is never a yes.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Protocol

from counterfoil_credentials.claims import ClaimPath, covers, path_text, values_at
from counterfoil_credentials.errors import Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.records import record
from counterfoil_credentials.sdjwt_vc import VerifiedCredential, time_reasons
from counterfoil_credentials.token_status_list import INVALID, SUSPENDED, VALID

from counterfoil_verifier.statuses import ListEnded, StatusAt

StatusLookup = Callable[[timedelta], StatusAt]

_SKEW: Final = timedelta(seconds=60)
_CALENDAR_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@record(kw_only=True)
class Presented:
    """One presentation with a good issuer's signature, as the checks see it.

    `bound_at` is when the holder proved possession of the credential's key for
    this very request; None when that proof did not hold, and then `unbound` says
    why. `status` looks the credential up in its status list, fetched again when
    older than its argument.
    """

    credential: VerifiedCredential
    disclosed: frozenset[ClaimPath]
    bound_at: datetime | None
    unbound: tuple[Reason, ...]
    status: StatusLookup
    now: datetime


@record()
class Judgement:
    """What a check found: `reasons` against, and what stayed `unknown`.

    `status_as_of` is the age of the oldest status list that took part.
    """

    reasons: tuple[Reason, ...] = ()
    unknown: tuple[Reason, ...] = ()
    status_as_of: datetime | None = None

    @property
    def accepts(self) -> bool:
        """Whether nothing speaks against it and nothing stayed open."""
        return not self.reasons and not self.unknown


# What most checks find; made once.
_YES: Final = Judgement()


class Policy(Protocol):
    """One check, or several put together."""

    def judge(self, presented: Presented) -> Judgement:
        """Say all that is wrong with `presented`, and all that could not be found out."""
        ...


class AllOf:
    """Accepts what every one of its checks accepts. Without checks it accepts nothing."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = policies

    def judge(self, presented: Presented) -> Judgement:
        # "All of nothing" is true in logic; at a till it is a forgotten policy.
        if not self._policies:
            return _no("policy-empty", "at least one check", "none", "policy")
        judged = [policy.judge(presented) for policy in self._policies]
        found = [one for one in judged if one is not _YES]
        if len(found) == 1:
            return found[0]
        return Judgement(
            tuple(reason for judgement in found for reason in judgement.reasons),
            tuple(reason for judgement in found for reason in judgement.unknown),
            _oldest(found),
        )


class AnyOf:
    """Accepts what one of its checks accepts. Without checks it accepts nothing."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = policies

    def judge(self, presented: Presented) -> Judgement:
        if not self._policies:
            return _no("policy-empty", "at least one check", "none", "policy")
        found: list[Judgement] = []
        for policy in self._policies:
            judgement = policy.judge(presented)
            if judgement.accepts:
                return judgement
            found.append(judgement)
        # A branch that is only unknown might have accepted: then the whole is unknown.
        undecided = [judgement for judgement in found if not judgement.reasons]
        if undecided:
            unknown = tuple(reason for one in undecided for reason in one.unknown)
            return Judgement((), unknown, _oldest(undecided))
        return Judgement(
            tuple(reason for one in found for reason in one.reasons), (), _oldest(found)
        )


@dataclass(frozen=True, slots=True)
class OfType:
    """Accepts credentials of these types (`vct`)."""

    vcts: Collection[str]

    def __post_init__(self) -> None:
        """Insist on several: part of one text is in it, and would be accepted."""
        _require_several(self.vcts, "types")

    def judge(self, presented: Presented) -> Judgement:
        if presented.credential.vct in self.vcts:
            return _YES
        return _no(
            "type-not-accepted", "a type that was asked for", "another type", "credential.vct"
        )


@dataclass(frozen=True, slots=True)
class IssuedBy:
    """Accepts credentials of these issuers, out of those that trust knows."""

    issuers: Collection[str]

    def __post_init__(self) -> None:
        """Insist on several: part of one text is in it, and would be accepted."""
        _require_several(self.issuers, "issuers")

    def judge(self, presented: Presented) -> Judgement:
        if presented.credential.issuer in self.issuers:
            return _YES
        return _no("issuer-not-accepted", "an issuer of this policy", "another", "credential.iss")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredBy:
    """Accepts each issuer of `named` with the types beside it, and all others with `others`.

    That two issuers have a type in common does not make one answer what the other may.
    """

    named: Mapping[str, Collection[str]]
    others: Collection[str] = ()

    def judge(self, presented: Presented) -> Judgement:
        credential = presented.credential
        if credential.vct in self.named.get(credential.issuer, self.others):
            return _YES
        expected = "an issuer that may answer this with this type"
        return _no("issuer-not-accepted", expected, "another", "credential.iss")


@dataclass(frozen=True, slots=True)
class InForceAt:
    """Accepts credentials that are in force at another moment than now too.

    A hire shop asks whether the licence still holds on the day of return.
    """

    moment: datetime

    def judge(self, presented: Presented) -> Judgement:
        return Judgement(tuple(time_reasons(presented.credential, self.moment)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRevoked:
    """Accepts what the brand lists as valid, in a list no older than `max_age`.

    Revocation is for ever, so an old list that says "revoked" is enough for a
    refusal; an old list that says anything else is not enough for anything.
    """

    max_age: timedelta

    def judge(self, presented: Presented) -> Judgement:
        if presented.credential.status is None:
            return _no(
                "status-missing", "a reference to a status list", "none", "credential.status"
            )
        try:
            status = presented.status(self.max_age)
        except Refused as refused:
            return Judgement(refused.reasons)
        except Unavailable as unavailable:
            unknown = _open("status-unreachable", "the brand's status list", unavailable.what)
            had = unavailable.listed_at if isinstance(unavailable, ListEnded) else None
            return replace(unknown, status_as_of=had)
        if status.value == INVALID:
            return self._against("revoked", "one that was revoked", status)
        age = presented.now - status.listed_at
        if age < -_SKEW:
            # The till's clock went back: how old the list is cannot be known.
            expected, found = "a list that is not from the future", "one that is"
            ahead = _open("status-list-from-the-future", expected, found)
            return replace(ahead, status_as_of=status.listed_at)
        if age > self.max_age:
            expected = f"a status list no older than {self.max_age}"
            too_old = _open("status-too-old", expected, f"one {age} old")
            return replace(too_old, status_as_of=status.listed_at)
        if status.value == SUSPENDED:
            return self._against("suspended", "one that is suspended", status)
        if status.value != VALID:
            return self._against("status-unknown", "a status without a meaning here", status)
        return Judgement(status_as_of=status.listed_at)

    def _against(self, code: str, found: str, status: StatusAt) -> Judgement:
        reason = Reason(code, "a credential in force", found, "credential.status")
        return Judgement((reason,), (), status.listed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundToHolder:
    """Accepts only with the holder's proof for this request, no older than `max_age`."""

    max_age: timedelta = timedelta(minutes=5)

    def judge(self, presented: Presented) -> Judgement:
        if presented.bound_at is None:
            # That nothing speaks against a proof which is not there makes it no proof.
            missing = Reason("key-binding-missing", "a proof for this request", "none", "kb_jwt")
            return Judgement(presented.unbound or (missing,))
        if presented.now - presented.bound_at > self.max_age:
            expected = f"a proof no older than {self.max_age}"
            return _no("key-binding-too-old", expected, "an older one", "kb_jwt.iat")
        return _YES


@dataclass(frozen=True, slots=True)
class DisclosesAtMost:
    """Refuses facts that nobody asked for: what a shop never saw it need not protect.

    A fact on the way to a listed one, or inside it, is part of it. What the
    issuer never concealed travels always and does not count.
    """

    paths: Collection[ClaimPath]

    def judge(self, presented: Presented) -> Judgement:
        # Mostly just what was asked for comes, and nothing is left to look at one by one.
        surplus = [
            path
            for path in presented.disclosed.difference(self.paths)
            if not any(covers(allowed, path) for allowed in self.paths)
        ]
        if not surplus:
            return _YES
        found = ", ".join(sorted(path_text(path) for path in surplus))
        return _no("discloses-too-much", "only the facts that were asked for", found, "disclosures")


@dataclass(frozen=True, slots=True, kw_only=True)
class DateNotPassed:
    """Accepts while the day in the claim at `path` has not ended in `zone`.

    The claim is a calendar date, `2028-03-31`: what it ends is in force through
    that day. `code` names the refusal, such as `warranty-ended`. Without a zone
    the day ends at midnight UTC, which is how this project's brands count it.
    """

    path: ClaimPath
    code: str
    zone: tzinfo = UTC

    def judge(self, presented: Presented) -> Judgement:
        where = path_text(self.path)
        today = presented.now.astimezone(self.zone).date()
        values = values_at(presented.credential.claims, self.path)
        if len(values) != 1:
            return _no("date-missing", "one date", f"{len(values)}", where)
        ends_on = _calendar_date(values[0])
        if ends_on is None:
            return _no("date-malformed", "a date such as 2028-03-31", "something else", where)
        if ends_on < today:
            return _no(self.code, "a day that has not ended", "one that has", where)
        return _YES


def _require_several(names: Collection[str], what: str) -> None:
    if isinstance(names, str):
        raise Misuse(f"expected a collection of {what}, found one text")


def _calendar_date(value: object) -> date | None:
    # Python reads more of ISO 8601 than this: `2028-W13-5` is a date to it.
    if not isinstance(value, str) or not _CALENDAR_DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _no(code: str, expected: str, found: str, where: str) -> Judgement:
    return Judgement((Reason(code, expected, found, where),))


def _open(code: str, expected: str, found: str) -> Judgement:
    return Judgement((), (Reason(code, expected, found, "credential.status"),))


def _oldest(judgements: Collection[Judgement]) -> datetime | None:
    return min(
        (one.status_as_of for one in judgements if one.status_as_of is not None), default=None
    )
