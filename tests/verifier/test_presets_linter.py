"""The linter finds what a preset asks without need, and nothing in those that ship."""

from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.errors import Malformed, Reason
from counterfoil_verifier import PRESETS, WARRANTY, Preset, Words
from counterfoil_verifier.preset_linter import (
    Registration,
    lint,
    parse_registration,
    says_who,
)
from counterfoil_verifier.verdict import VERDICTS_KEPT_FOR

BECAUSE = Words("Because.", "因为。")


def found(preset: Preset, registered: Registration | None = None) -> list[tuple[str, str]]:
    findings: tuple[Reason, ...] = lint(preset, kept_for=VERDICTS_KEPT_FOR, registered=registered)
    return [(reason.code, reason.where) for reason in findings]


def asking(*paths: ClaimPath, why: tuple[ClaimPath, ...] = ()) -> Preset:
    return replace(
        WARRANTY,
        claims=(*WARRANTY.claims, *paths),
        why={**WARRANTY.why, **dict.fromkeys(why, BECAUSE)},
    )


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_the_presets_that_ship_ask_for_nothing_too_much(preset: Preset) -> None:
    assert found(preset) == []


def test_a_claim_that_decides_nothing_needs_a_reason() -> None:
    assert found(asking(("price",))) == [("claim-not-needed", "warranty.claims.price")]
    assert found(asking(("price",), why=(("price",),))) == []


@pytest.mark.parametrize(
    "path", [("email",), ("family_name",), ("buyer", "name"), ("buyer",), ("name",)], ids=str
)
def test_asking_who_somebody_is_needs_a_reason(path: ClaimPath) -> None:
    [(code, _)] = found(asking(path))

    assert code == "identity-claim-without-reason"
    assert found(asking(path, why=(path,))) == []


def test_an_item_s_name_is_nobody_s() -> None:
    assert says_who(("item", "name")) is False
    assert says_who(("lines", None, "name")) is False
    assert says_who(("buyer", "name")) is True
    assert says_who((None,)) is False


def test_a_date_of_birth_is_asked_only_to_decide_by_it() -> None:
    path = ("birthdate",)
    assert found(asking(path, why=(path,))) == [
        ("derived-claim-suffices", "warranty.claims.birthdate")
    ]
    assert found(asking(("age_over_18",), why=(("age_over_18",),))) == []
    decides = replace(asking(path, why=(("valid_until",),)), ends=(path, "too-old"))
    assert found(decides) == []


def test_a_whole_and_its_part_are_not_both_needed() -> None:
    assert found(asking(("item",), why=(("item",),))) == [
        ("contains-another-claim", "warranty.claims.item")
    ]


def test_somebody_decides_how_long_the_result_is_kept() -> None:
    place = "warranty.retention"
    assert found(replace(WARRANTY, kept_for=None)) == [("retention-missing", place)]
    day = timedelta(days=1)
    short = replace(WARRANTY, kept_for=VERDICTS_KEPT_FOR - day)
    assert found(short) == [("kept-longer-than-told", place)]
    assert found(replace(WARRANTY, kept_for=VERDICTS_KEPT_FOR + day)) == []


def test_only_what_was_registered_for_the_purpose_is_asked() -> None:
    whole: Registration = {"warranty": [("item",), ("valid_until",)]}
    assert found(WARRANTY, whole) == []
    assert found(WARRANTY, {"member": [("item",)]}) == [("purpose-not-registered", "warranty")]
    part: Registration = {"warranty": [("item", "serial"), ("valid_until",)]}
    assert found(WARRANTY, part) == [("more-than-registered", "warranty.claims.item.name")]
    # The part was registered, not the whole that it is in.
    assert ("more-than-registered", "warranty.claims.item") in found(
        asking(("item",), why=(("item",),)), part
    )


def test_all_findings_come_at_once_and_name_no_more_than_paths() -> None:
    preset = replace(asking(("price",), ("email",)), kept_for=None)

    assert [code for code, _ in found(preset, {})] == [
        "claim-not-needed",
        "identity-claim-without-reason",
        "retention-missing",
        "purpose-not-registered",
    ]


def test_a_registration_is_read_from_a_file() -> None:
    data = b'{"purposes": {"warranty": [["item", "serial"], ["lines", null]]}}'

    assert parse_registration(data, "registration.json") == {
        "warranty": [("item", "serial"), ("lines", None)]
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"purposes": []}', b'{"purposes": {"warranty": "all"}}', b"{" * 70_000],
)
def test_what_is_no_registration_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_registration(data, "registration.json")
