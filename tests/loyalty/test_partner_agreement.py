"""What two brands signed, in words: every number is theirs, and none is missing."""

import re
from dataclasses import replace

import pytest
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.intents import Terms
from counterfoil_loyalty.partner_agreement import agreement_words, earliest_end, exit_words
from counterfoil_loyalty.rates import Limits, Rate
from counterfoil_loyalty.store import Brand

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW

GIVER = Brand(AUDIO, "A", "A", Account("0xA"), Account("0x1"), 100)
TAKER = Brand(BICYCLE, "B", "B", Account("0xB"), Account("0x2"), 50)
TERMS = Terms(
    token_in=GIVER.token,
    token_out=TAKER.token,
    rate=Rate(3, 2),
    price_in=100,
    price_out=50,
    version=7,
    ends_at=NOW + 365 * DAY,
    limits=Limits(
        quota=1_234_567, customer_quota=7_650, epoch_s=86_400, notice_s=30 * DAY, credit=9_500_001
    ),
)


def said(terms: Terms = TERMS) -> dict[str, tuple[str, str]]:
    words = agreement_words(terms, giver=GIVER, taker=TAKER)
    assert len({it.topic for it in words}) == len(words)
    return {it.topic: (it.en, it.zh) for it in words}


def test_row_F13_what_was_agreed_is_read_in_both_languages_with_its_numbers() -> None:  # noqa: N802
    words = said()

    for topic, number in (
        ("version", "7"),
        ("rate", "0.03"),
        ("prices", "0.010000"),
        ("quota", "12,345.67"),
        ("customer-quota", "76.50"),
        ("credit", "9.500001"),
        ("end", "2028-01-15 08:00:00 UTC"),
    ):
        assert number in words[topic][0]
        assert number in words[topic][1]
    assert "30 days" in words["notice"][0]
    assert "30 天" in words["notice"][1]
    assert "1 day." in words["quota"][0]
    for english, chinese in words.values():
        numbers = [re.findall(r"\d[\d,.:-]*\d|\d", it) for it in (english, chinese)]
        assert sorted(numbers[0]) == sorted(numbers[1]), english


@pytest.mark.parametrize(
    ("changed", "topics"),
    [
        (replace(TERMS, version=8), {"version"}),
        (replace(TERMS, rate=Rate(31, 20)), {"rate"}),
        (replace(TERMS, price_in=101), {"prices"}),
        (replace(TERMS, price_out=49), {"prices"}),
        (replace(TERMS, ends_at=TERMS.ends_at + 1), {"end"}),
        (replace(TERMS, limits=replace(TERMS.limits, quota=1)), {"quota"}),
        (replace(TERMS, limits=replace(TERMS.limits, customer_quota=1)), {"customer-quota"}),
        (
            replace(TERMS, limits=replace(TERMS.limits, epoch_s=3_601)),
            {"quota", "customer-quota"},
        ),
        (replace(TERMS, limits=replace(TERMS.limits, notice_s=0)), {"notice"}),
        (replace(TERMS, limits=replace(TERMS.limits, credit=9_500_000)), {"credit"}),
    ],
)
def test_whatever_is_signed_otherwise_reads_otherwise_in_its_own_sentence(
    changed: Terms, topics: set[str]
) -> None:
    before, after = said(), said(changed)

    assert {topic for topic in before if before[topic][0] != after[topic][0]} == topics
    assert {topic for topic in before if before[topic][1] != after[topic][1]} == topics


def test_row_F13_a_brand_that_leaves_is_out_on_a_date_that_everybody_reads() -> None:  # noqa: N802
    leaving, points = exit_words(TERMS, notice_at=NOW, giver=GIVER, taker=TAKER)

    assert earliest_end(TERMS, NOW) == NOW + 30 * DAY
    for words in (leaving.en, leaving.zh):
        assert "2027-01-15 08:00:00 UTC" in words
        assert "2027-02-14 08:00:00 UTC" in words
    assert "redeemed as ever" in points.en


def test_notice_never_makes_terms_longer_and_ended_terms_have_none() -> None:
    assert earliest_end(TERMS, TERMS.ends_at - 5) == TERMS.ends_at
    with pytest.raises(Refused) as refusal:
        earliest_end(TERMS, TERMS.ends_at)
    assert refusal.value.codes == ["no-corridor"]


def test_words_for_other_brands_than_those_that_signed_are_misuse() -> None:
    with pytest.raises(Misuse):
        agreement_words(TERMS, giver=TAKER, taker=GIVER)
    with pytest.raises(Misuse):
        exit_words(TERMS, notice_at=NOW, giver=TAKER, taker=GIVER)


def test_an_end_further_than_any_calendar_is_still_read() -> None:
    assert "1099511627775" in said(replace(TERMS, ends_at=2**40 - 1))["end"][0]
