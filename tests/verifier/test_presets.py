"""The presets that ship, presets from a shop's own files, and the moment that a return begins."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_verifier import PRESETS, WARRANTY, Preset, words_for
from counterfoil_verifier.presets import parse_preset, preset_files

from tests.credentials.authority import Party, anchors, authority, key_id
from tests.verifier.scene import DAY, MINUTE, NOON, SECOND, WARRANTY_TYPE, Scene, warranty_claims

GOOD = json.loads(preset_files()["return.json"])


def parsed(**changes: object) -> Preset:
    document = {**GOOD, **changes}
    kept = {name: value for name, value in document.items() if value is not ...}
    return parse_preset(json.dumps(kept).encode(), "ours.json")


def test_four_presets_ship_and_their_files_are_named_for_them() -> None:
    assert set(PRESETS) == {"warranty", "member", "return", "voucher"}
    assert set(preset_files()) == {f"{name}.json" for name in PRESETS}


def test_who_shows_unasked_is_believed_by_presets_that_say_so() -> None:
    assert WARRANTY.shown_within == timedelta(seconds=60)
    assert PRESETS["member"].shown_within == timedelta(seconds=60)
    assert PRESETS["return"].shown_within is None


def test_members_are_asked_for_no_name_and_no_number() -> None:
    assert PRESETS["member"].claims == (("programme",),)


def test_what_the_refusals_of_the_presets_say_has_words() -> None:
    codes = [one[-1] for p in PRESETS.values() for one in (p.ends, p.happened_within) if one]

    assert sorted(codes) == ["return-period-over", "warranty-ended"]
    for code in codes:
        assert words_for(code) != words_for("no-such-code")


def test_a_file_says_everything_that_a_preset_is() -> None:
    preset = parsed()

    assert preset.name == "return"
    assert preset.answered_by == ("receipt",)
    assert preset.kept_for == timedelta(days=30)
    assert ("lines", None, "serial") in preset.claims
    assert preset.why[("order",)].zh
    assert preset.happened_within == (("paid_at",), timedelta(days=30), "return-period-over")
    assert preset.status_max_age == DAY
    assert parsed(retention={"en": "Kept.", "zh": "保留。"}).kept_for is None


def test_a_preset_names_authorities_by_their_certificates() -> None:
    certificates = anchors(
        Party("Trade", extensions=(*authority(), key_id(b"trade"))),
        Party("Crafts", extensions=(*authority(), key_id(b"crafts"))),
    )
    under = WARRANTY.accepting([WARRANTY_TYPE]).under(certificates)

    (asked,) = under.query().credentials
    assert asked.to_json()["trusted_authorities"] == [
        {"type": "aki", "values": [b64url(b"trade"), b64url(b"crafts")]}
    ]
    assert WARRANTY.accepting([WARRANTY_TYPE]).query().credentials[0].trusted_authorities == ()
    with pytest.raises(Misuse, match="1 to 100 authorities, found 0"):
        WARRANTY.under(anchors())


def test_a_file_that_names_authorities_asks_nobody_without_them() -> None:
    preset = parsed(authorities="trade.pem").accepting([WARRANTY_TYPE])

    assert (preset.authorities, parsed().authorities) == ("trade.pem", None)
    with pytest.raises(Misuse, match=r"certificates of trade\.pem, found none"):
        preset.query()
    named = preset.under(anchors(Party("Trade", extensions=authority())))
    assert named.query().credentials[0].trusted_authorities


WRONG: list[tuple[dict[str, object], str]] = [
    ({"name": ...}, ".name"),
    ({"name": "a b"}, ".name"),
    ({"name": "x" * 65}, ".name"),
    ({"title": {"en": "Only English"}}, ".title.zh"),
    ({"title": {"en": "", "zh": "空"}}, ".title"),
    ({"purpose": {"en": "x" * 501, "zh": "长"}}, ".purpose"),
    ({"purpose": {"en": "One\nline", "zh": "行"}}, ".purpose"),
    ({"purpose": {"en": "a", "zh": "b", "de": "c"}}, ".purpose"),
    ({"retention": ...}, ".retention"),
    ({"retention": {"en": "a", "zh": "b", "days": -1}}, ".retention.days"),
    ({"retention": {"en": "a", "zh": "b", "days": 3651}}, ".retention.days"),
    ({"retention": {"en": "a", "zh": "b", "days": "30"}}, ".retention.days"),
    ({"answered_by": []}, ".answered_by"),
    ({"answered_by": ["a b"]}, ".answered_by"),
    ({"authorities": []}, ".authorities"),
    ({"authorities": ""}, ".authorities"),
    ({"authorities": "../trade.pem"}, ".authorities"),
    ({"authorities": ".."}, ".authorities"),
    ({"authorities": "trade.json"}, ".authorities"),
    ({"authorities": "/trade.pem"}, ".authorities"),
    ({"claims": []}, ".claims"),
    ({"claims": [{"path": ["paid_at"]}] * 2}, ".claims[1]"),
    ({"claims": [{"path": ["order"]}]}, ".claims"),
    ({"claims": [{"path": []}]}, ".claims[0].path"),
    ({"claims": [{"path": ["paid_at"], "reason": "x"}]}, ".claims[0]"),
    ({"claims": [{"path": ["paid_at"], "why": "x"}]}, ".claims[0].why"),
    ({"claims": [{"path": [str(i)]} for i in range(51)]}, ".claims"),
    ({"ends": {"path": ["paid_at"], "code": "Not A Code"}}, ".ends.code"),
    ({"ends": {"path": ["never_asked"], "code": "over"}}, ".claims"),
    ({"happened_within": {"path": ["paid_at"], "code": "over"}}, ".happened_within.days"),
    ({"status_max_age_s": 0}, ".status_max_age_s"),
    ({"status_max_age_s": 30 * 86_400 + 1}, ".status_max_age_s"),
    ({"status_max_age_s": ...}, ".status_max_age_s"),
    ({"holder_shown": {"within_s": 301}}, ".holder_shown.within_s"),
    ({"holder_shown": {}}, ".holder_shown.within_s"),
    ({"holder_shown": True}, ".holder_shown"),
    ({"colour": "red"}, "ours.json"),
]


@pytest.mark.parametrize(("changes", "where"), WRONG, ids=str)
def test_what_is_wrong_in_a_file_is_named(changes: dict[str, object], where: str) -> None:
    with pytest.raises(Malformed) as malformed:
        parsed(**changes)

    assert malformed.value.where.endswith(where)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"name": 1, "name": 2}', b" " * 70_000])
def test_what_is_no_preset_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_preset(data, "ours.json")


RETURN = replace(
    WARRANTY,
    claims=(("paid_at",),),
    ends=None,
    happened_within=(("paid_at",), 30 * DAY, "return-period-over"),
    vcts=(WARRANTY_TYPE,),
)


@pytest.fixture
def judged(scene: Scene) -> Callable[..., list[str]]:
    """Give what a counter finds wrong with a credential that has these claims."""
    scene.preset = RETURN

    def judge(**claims: Any) -> list[str]:  # noqa: ANN401
        request = scene.request()
        credential = scene.warranty(claims=warranty_claims(**claims), issued_at=NOON - 90 * DAY)
        presented = scene.present(credential, request, paths=RETURN.claims)
        try:
            scene.verifier.verify(presented, request, now=scene.clock())
        except Refused as refused:
            return refused.codes
        return []

    return judge


def moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("paid_at", "codes"),
    [
        (moment(NOON - 30 * DAY), []),
        (moment(NOON - 30 * DAY - SECOND), ["return-period-over"]),
        (moment(NOON + MINUTE), []),
        (moment(NOON + MINUTE + SECOND), ["date-malformed"]),
        ("2026-11-02T13:00:00+01:00", []),
        ("2026-11-02", ["date-malformed"]),
        ("2026-11-02T12:00:00", ["date-malformed"]),
        ("2026-13-02T12:00:00Z", ["date-malformed"]),
        (1_793_620_800, ["date-malformed"]),
    ],
)
def test_goods_come_back_within_the_period(
    judged: Callable[..., list[str]], paid_at: object, codes: list[str]
) -> None:
    assert judged(paid_at=paid_at) == codes


def test_a_receipt_without_its_moment_is_refused(judged: Callable[..., list[str]]) -> None:
    assert "date-missing" in judged()


def test_a_preset_from_a_file_decides_as_the_one_that_ships(scene: Scene) -> None:
    document: JsonObject = json.loads(preset_files()["warranty.json"])
    ours = parse_preset(json.dumps(document).encode(), "warranty.json")

    assert ours == WARRANTY
    assert ours.accepting([WARRANTY_TYPE]).query() == scene.preset.query()
