"""Policies put together: yes, no, and "could not find out"."""

from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.sdjwt_vc import VerifiedCredential
from counterfoil_verifier import (
    AllOf,
    AnyOf,
    BoundToHolder,
    DateNotPassed,
    DisclosesAtMost,
    InForceAt,
    IssuedBy,
    Judgement,
    OfType,
    Policy,
    Presented,
    Verifier,
)
from counterfoil_verifier.policy_moments import HappenedWithin

from tests.verifier.scene import (
    DAY,
    ISSUER,
    MINUTE,
    NOON,
    SECOND,
    WARRANTY_TYPE,
    Scene,
    warranty_claims,
)


@dataclass(frozen=True)
class Says:
    """A policy that says one thing."""

    judgement: Judgement

    def judge(self, presented: Presented) -> Judgement:
        return self.judgement


YES = Says(Judgement())
NO = Says(Judgement((Reason("no", "", "", ""),)))
OPEN = Says(Judgement((), (Reason("open", "", "", ""),)))


def outcome(scene: Scene, policy: Policy) -> str:
    request = scene.request()
    presentation = scene.present(scene.warranty(), request)
    try:
        Verifier(policy, scene.trust, scene.statuses).verify(
            presentation, request, now=scene.clock()
        )
    except Refused as refused:
        return " ".join(refused.codes)
    except Unavailable:
        return "open"
    return "yes"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (AllOf(YES), "yes"),
        (AllOf(YES, YES), "yes"),
        (AllOf(YES, NO), "no"),
        (AllOf(YES, OPEN), "open"),
        (AllOf(OPEN, NO), "no"),
        (AnyOf(YES), "yes"),
        (AnyOf(NO, YES), "yes"),
        (AnyOf(OPEN, YES), "yes"),
        (AnyOf(NO, OPEN), "open"),
        (AnyOf(NO, NO), "no"),
        (AllOf(AnyOf(NO, YES), AnyOf(YES, OPEN)), "yes"),
        (AllOf(AnyOf(NO, YES), NO), "no"),
    ],
)
def test_checks_combine_with_three_values(scene: Scene, policy: Policy, expected: str) -> None:
    assert outcome(scene, policy) == expected


def test_all_of_says_every_reason(scene: Scene) -> None:
    policy = AllOf(OfType(["another"]), IssuedBy(["another"]))

    assert outcome(scene, policy) == "type-not-accepted issuer-not-accepted"


def test_type_and_issuer_are_compared_whole(scene: Scene) -> None:
    assert outcome(scene, OfType([WARRANTY_TYPE])) == "yes"
    assert outcome(scene, OfType([WARRANTY_TYPE + "s"])) == "type-not-accepted"
    assert outcome(scene, IssuedBy([ISSUER])) == "yes"
    assert outcome(scene, IssuedBy([ISSUER + "/"])) == "issuer-not-accepted"


def test_in_force_at_another_moment(scene: Scene) -> None:
    assert outcome(scene, InForceAt(NOON + 1000 * DAY)) == "yes"
    assert outcome(scene, InForceAt(NOON + 1001 * DAY)) == "expired"


def test_a_shop_may_want_a_younger_proof(scene: Scene) -> None:
    request = scene.request()
    made_a_minute_ago = scene.present(scene.warranty(), request, now=NOON - MINUTE)

    def check(max_age: BoundToHolder) -> list[str]:
        verifier = Verifier(max_age, scene.trust, scene.statuses)
        try:
            verifier.verify(made_a_minute_ago, request, now=NOON)
        except Refused as refused:
            return refused.codes
        return []

    assert check(BoundToHolder(max_age=MINUTE)) == []
    assert check(BoundToHolder(max_age=MINUTE - SECOND)) == ["key-binding-too-old"]


def test_discloses_at_most_counts_disclosures_alone(scene: Scene) -> None:
    """The item is never concealed by this brand; it travels whatever was asked."""
    assert outcome(scene, DisclosesAtMost([])) == "yes"


@pytest.mark.parametrize(
    "text",
    [
        "2028-W44-4",
        "20281102",
        "2028-11-2",
        "2028-11-02 ",
        "2028-02-30",
        "٢٠٢٨-١١-٠٢",
        "2028/11/02",
    ],
)
def test_only_a_calendar_date_ends_anything(scene: Scene, text: str) -> None:
    policy = DateNotPassed(path=("valid_until",), code="warranty-ended")

    def ending(day: str) -> str:
        request = scene.request()
        credential = scene.warranty(claims=warranty_claims(valid_until=day))
        try:
            Verifier(policy, scene.trust, scene.statuses).verify(
                scene.present(credential, request), request, now=scene.clock()
            )
        except Refused as refused:
            return " ".join(refused.codes)
        return "yes"

    assert ending("2028-11-02") == "yes"
    assert ending(text) == "date-malformed"


def presented(
    now: datetime,
    bound_at: datetime | None,
    *unbound: Reason,
    claims: JsonObject | None = None,
) -> Presented:
    """Give what policies see that look at no more of the credential than its claims."""
    return Presented(
        credential=VerifiedCredential(
            ISSUER, WARRANTY_TYPE, (), None, claims or {}, None, None, None, None, None, None
        ),
        disclosed=frozenset(),
        bound_at=bound_at,
        unbound=unbound,
        status=lambda _: pytest.fail("nobody asked for the status"),
        now=now,
    )


def test_a_broken_proof_binds_nobody_whatever_else_would_do(now: datetime) -> None:
    broken = Reason("nonce-mismatch", "", "", "")
    either = AnyOf(BoundToHolder(), NO)

    assert either.judge(presented(now, now)).accepts
    assert either.judge(presented(now, None, broken)).reasons == (broken, *NO.judgement.reasons)


def test_status_as_of_is_the_oldest(now: datetime) -> None:
    younger = Says(Judgement(status_as_of=now))
    older = Says(Judgement(status_as_of=now - DAY))

    assert AllOf(younger, older, YES).judge(presented(now, now)).status_as_of == now - DAY


@pytest.mark.parametrize("check", [OfType, IssuedBy])
def test_one_text_in_the_place_of_several_is_misuse(check: type[OfType | IssuedBy]) -> None:
    """Part of a text is in it: every shorter name would be accepted."""
    with pytest.raises(Misuse):
        check("https://audio.example/types/warranty")


def test_who_is_not_bound_is_refused_even_where_nobody_says_why(now: datetime) -> None:
    unexplained = BoundToHolder().judge(presented(now, None))

    assert [one.code for one in unexplained.reasons] == ["key-binding-missing"]


@pytest.mark.parametrize("finding", [NO.judgement.reasons, OPEN.judgement.unknown])
def test_what_no_alternative_accepts_says_the_age_of_the_oldest_list(
    now: datetime, finding: tuple[Reason, ...]
) -> None:
    is_open = finding == OPEN.judgement.unknown
    dated = [
        Says(Judgement(() if is_open else finding, finding if is_open else (), now - age))
        for age in (DAY, 2 * DAY)
    ]

    found = AnyOf(*dated, Says(replace(dated[0].judgement, status_as_of=None)))

    assert found.judge(presented(now, now)).status_as_of == now - 2 * DAY


@pytest.mark.parametrize("seconds", [-1, 0, 60, 61])
def test_what_happened_may_be_ahead_by_the_clocks_difference(now: datetime, seconds: int) -> None:
    paid = HappenedWithin(path=("paid_at",), period=DAY, code="return-period-over")
    at = (now + seconds * SECOND).isoformat()

    found = paid.judge(presented(now, now, claims={"paid_at": at}))

    assert [one.code for one in found.reasons] == (["date-malformed"] if seconds > 60 else [])


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_moment_at_the_end_of_time_is_refused_like_any_other(now: datetime, at: str) -> None:
    paid = HappenedWithin(path=("paid_at",), period=DAY, code="return-period-over")

    assert len(paid.judge(presented(now, now, claims={"paid_at": at})).reasons) == 1
