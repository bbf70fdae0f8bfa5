"""Every message is there in every language, with the same facts in it."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from babel.messages import Message
from counterfoil_demo.pages import catalogue
from counterfoil_demo.pages.words import Words

from tests.conftest import NOON

pytestmark = pytest.mark.once

USED = {catalogue.name_of(message) for message in catalogue.used() if message.id}


def texts(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or [""])


def facts(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", text))


def test_there_is_a_catalogue_for_chinese() -> None:
    assert catalogue.languages() == ["zh"]
    assert len(USED) > 100


@pytest.mark.parametrize("language", catalogue.languages())
def test_a_catalogue_has_what_is_used_and_nothing_else(language: str) -> None:
    kept = {catalogue.name_of(message) for message in catalogue.kept(language) if message.id}

    assert kept == USED


@pytest.mark.parametrize("language", catalogue.languages())
def test_every_message_is_translated_with_its_facts(language: str) -> None:
    for message in catalogue.kept(language):
        if not message.id:
            continue
        plural = message.id if isinstance(message.id, str) else message.id[-1]
        assert all(texts(message)), message.id
        assert not message.fuzzy, message.id
        assert all(facts(text) == facts(plural) for text in texts(message)), message.id


def test_chinese_is_set_as_chinese() -> None:
    for message in catalogue.kept("zh"):
        for written in texts(message) if message.id else ():
            text = re.sub(r"%\(\w+\)s", "", written)
            assert re.fullmatch(r"[，。 ]*", text) or re.search(r"[一-鿿]", text), text
            assert not re.search(r"您|[一-鿿][,.!?;:]|[!！]", text), text
            assert not re.search(r"[一-鿿][0-9]|[0-9][一-鿿]", text), text


def test_each_language_writes_dates_times_and_amounts_its_own_way() -> None:
    at = datetime(2028, 3, 14, 13, 5, tzinfo=UTC)
    en, zh = (Words(language, timezone(timedelta(hours=8))) for language in ("en", "zh"))

    assert (en.day(at), zh.day(at)) == ("14 Mar 2028", "2028年3月14日")
    assert (en.moment(at), zh.moment(at)) == ("14 Mar 2028 21:05", "2028年3月14日 21:05")
    assert en.money(Decimal("1899.00"), "CNY") == "CN¥1,899.00"
    assert zh.money(Decimal("1899.00"), "CNY") == "¥1,899.00"
    assert (en.number(2480), zh.number(2480)) == ("2,480", "2,480")


@pytest.mark.parametrize(
    ("ago", "en", "zh"),
    [
        (timedelta(seconds=59), "just now", "刚刚"),
        (timedelta(minutes=1), "1 min ago", "1 分钟前"),
        (timedelta(minutes=59), "59 min ago", "59 分钟前"),
        (timedelta(hours=1), "1 hour ago", "1 小时前"),
        (timedelta(hours=26), "26 hours ago", "26 小时前"),
        (timedelta(hours=48), "2 days ago", "2 天前"),
    ],
)
def test_says_how_long_ago_something_was(ago: timedelta, en: str, zh: str) -> None:
    said = [Words(language).since(NOON - ago, NOON) for language in ("en", "zh")]

    assert said == [en, zh]
