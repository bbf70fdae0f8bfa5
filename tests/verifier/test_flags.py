"""Recalled, stolen, perhaps a copy: flags override a yes, and their absence must be known."""

from datetime import timedelta

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.recall_selector import Concerned, Item, RecallSelector, SerialRange
from counterfoil_verifier.flags import (
    MAX_AGE,
    Authenticity,
    Flag,
    FlagKind,
    MemoryFlags,
    authenticity,
    judge_claims,
    judge_item,
)
from counterfoil_verifier.policy import Judgement

from tests.verifier.scene import NOON, SECOND

GTIN = "04006381333931"
ITEM = Item(gtin=GTIN, serial="A1-0001")
NEIGHBOUR = Item(gtin=GTIN, serial="A1-0002")
ONE = RecallSelector(gtin=GTIN, serials=(SerialRange("A1-0001", "A1-0001"),))


def feed(*flags: Flag) -> MemoryFlags:
    found = MemoryFlags(as_of=NOON)
    for flag in flags:
        found.put(flag, as_of=NOON)
    return found


def codes(judgement: Judgement) -> tuple[list[str], list[str]]:
    return [one.code for one in judgement.reasons], [one.code for one in judgement.unknown]


@pytest.mark.parametrize(
    ("kind", "is_certain"),
    [
        (FlagKind.REPORTED_STOLEN, True),
        (FlagKind.RECALLED, True),
        (FlagKind.CLONED_TAG_SUSPECT, False),
    ],
)
def test_a_flag_speaks_of_its_item_and_of_no_neighbour(kind: FlagKind, *, is_certain: bool) -> None:
    flagged = feed(Flag(kind, ONE))

    found = codes(judge_item(ITEM, flagged, now=NOON))
    assert found == (([kind.value], []) if is_certain else ([], [kind.value]))
    assert judge_item(NEIGHBOUR, flagged, now=NOON).accepts
    assert judge_item(Item(gtin="04012345000009", serial="A1-0001"), flagged, now=NOON).accepts


def test_every_flag_of_an_item_is_told_once() -> None:
    everything = feed(*(Flag(kind, ONE) for kind in (*FlagKind, *FlagKind)))

    found = judge_item(ITEM, everything, now=NOON)

    assert codes(found) == (["reported-stolen", "recalled"], ["cloned-tag-suspect"])


def test_a_recall_by_lot_of_an_item_without_one_is_unclear() -> None:
    lot = RecallSelector(gtin=GTIN, lots=frozenset({"L7"}))

    recalled = judge_item(ITEM, feed(Flag(FlagKind.RECALLED, lot)), now=NOON)

    assert codes(recalled) == ([], ["recall-unclear"])


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FlagKind.RECALLED, "recall-unclear"),
        (FlagKind.REPORTED_STOLEN, "theft-unclear"),
        (FlagKind.CLONED_TAG_SUSPECT, "cloned-tag-suspect"),
    ],
)
def test_who_hides_what_a_flag_goes_by_gets_no_yes(kind: FlagKind, code: str) -> None:
    flagged = feed(Flag(kind, ONE))

    assert codes(judge_item(Item(gtin=GTIN), flagged, now=NOON)) == ([], [code])
    assert codes(judge_claims({"item": {"serial": "A1-0001"}}, flagged, now=NOON)) == (
        [],
        ["item-unclear"],
    )
    assert codes(judge_claims({"item": {"gtin": "4006381333932"}}, flagged, now=NOON)) == (
        [],
        ["item-unclear"],
    )
    assert not judge_claims(
        {"item": {"gtin": GTIN, "serial": "A1-0001"}}, flagged, now=NOON
    ).accepts
    assert judge_claims({"item": {"gtin": GTIN, "serial": "A1-0002"}}, flagged, now=NOON).accepts
    assert judge_claims({"programme": "Auricle Club"}, flagged, now=NOON).accepts


@pytest.mark.parametrize("ahead_s", [0, 60, 61])
def test_a_feed_from_after_the_tills_own_time_means_nothing_by_its_silence(ahead_s: int) -> None:
    now = NOON - ahead_s * SECOND
    flagged = feed(Flag(FlagKind.RECALLED, ONE))

    assert codes(judge_item(ITEM, flagged, now=now)) == (["recalled"], [])
    assert codes(judge_item(NEIGHBOUR, flagged, now=now)) == (
        [],
        ["flags-from-the-future"] if ahead_s > 60 else [],
    )


@pytest.mark.parametrize("older_by", [-1, 0, 1])
def test_an_old_feed_still_speaks_against_and_its_silence_means_nothing(older_by: int) -> None:
    now = NOON + MAX_AGE + older_by * SECOND
    flagged = feed(Flag(FlagKind.RECALLED, ONE))

    assert codes(judge_item(ITEM, flagged, now=now)) == (["recalled"], [])
    assert codes(judge_item(NEIGHBOUR, flagged, now=now)) == (
        [],
        ["flags-too-old"] if older_by > 0 else [],
    )
    assert judge_item(NEIGHBOUR, flagged, now=now, max_age=timedelta(days=2)).accepts


def test_a_feed_that_cannot_be_had_leaves_the_question_open() -> None:
    silent = feed(Flag(FlagKind.RECALLED, ONE))
    silent.is_reachable = False

    assert codes(judge_item(ITEM, silent, now=NOON)) == ([], ["flags-unreachable"])


def test_the_quick_answer_has_five_values() -> None:
    assert authenticity(accepted=True, codes=[]) is Authenticity.GENUINE
    assert authenticity(accepted=False, codes=["issuer-not-trusted"]) is Authenticity.UNKNOWN
    assert authenticity(accepted=False, codes=["flags-unreachable"]) is Authenticity.UNKNOWN
    for kind in FlagKind:
        assert authenticity(accepted=False, codes=["suspended", kind]).value == kind.value
    everything = authenticity(accepted=False, codes=[*FlagKind])
    assert everything is Authenticity.REPORTED_STOLEN
    with pytest.raises(Misuse):
        authenticity(accepted=True, codes=["recalled"])


CERTAIN = (FlagKind.REPORTED_STOLEN, FlagKind.RECALLED)
UNCLEAR = {FlagKind.REPORTED_STOLEN: "theft-unclear", FlagKind.RECALLED: "recall-unclear"}


def test_many_flags_of_one_product_say_of_each_item_what_each_of_them_would() -> None:
    names = [SerialRange(f"A1-{n:04}", f"A1-{n:04}") for n in range(40)]
    selectors = [
        *(RecallSelector(gtin=GTIN, serials=(one,)) for one in names[:20]),
        RecallSelector(gtin=GTIN, serials=tuple(names[15:25])),
        RecallSelector(gtin=GTIN, serials=(SerialRange("A1-0024", "A1-0030"),)),
        RecallSelector(gtin=GTIN, serials=(names[33],), lots=frozenset({"L7"})),
        RecallSelector(gtin="04012345000009", serials=(names[35],)),
    ]
    several = [Flag(kind, one) for kind in FlagKind for one in selectors[kind == "recalled" :]]
    together = feed(*several).latest()
    assert len(together) == len(several)

    serials = [None, "A1-00", *(one.first for one in names)]
    for item in [Item(gtin=GTIN, serial=one, lot=lot) for one in serials for lot in (None, "L7")]:
        meant = {(flag.kind, flag.selector.concerns(item)) for flag in several}
        against = {kind for kind in CERTAIN if (kind, Concerned.YES) in meant}
        unclear = [kind for kind in CERTAIN if (kind, Concerned.UNCLEAR) in meant]
        unknown: set[str] = {UNCLEAR[kind] for kind in unclear}
        copied = FlagKind.CLONED_TAG_SUSPECT
        if not meant.isdisjoint({(copied, Concerned.YES), (copied, Concerned.UNCLEAR)}):
            unknown.add(copied)
        found = together.about(item)
        assert {one.code for one in found.reasons} == against
        assert {one.code for one in found.unknown} == unknown
