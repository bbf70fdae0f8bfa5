"""What a card is found by: its words, English and Chinese, and its claims."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_wallet import (
    CredentialId,
    HeldCredential,
    Kind,
    MemoryStore,
    Record,
    Wallet,
)
from counterfoil_wallet.searching import found_by
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import NOON
from tests.wallet.cards import TYPE, card_of

RECEIPTS: dict[str, JsonObject] = {
    "washing": {"item": {"name": "滚筒洗衣机 十公斤", "serial": "SN-17"}, "price": "199.00"},
    "mill": {"item": {"name": "Café-Mühle KM 5", "serial": "SN-18"}, "price": "88.50"},
    "kettle": {"item": {"name": "電気ケトルDK5型"}, "shop": "角の店", "paid": True},
    "phones": {
        "item": {"name": "Auricle One headphones"},
        "pieces": 2,
        "weight": 0.25,
        "sizes": [7, 8],
    },
    "paper": {"lines": [{"name": "A4纸"}, {"name": "机"}], "note": "ＡＢＣ wide"},
}


@pytest.fixture
def store(random_bytes: Callable[[int], bytes]) -> MemoryStore:
    store = MemoryStore()
    for name, claims in RECEIPTS.items():
        store.hold(replace(card_of(claims, random_bytes), credential_id=CredentialId(name)))
    return store


def names(cards: list[HeldCredential]) -> list[str]:
    return [str(card.credential_id) for card in cards]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # Chinese and Japanese, of one character, of two, of more, and within longer runs.
        ("洗衣", ["washing"]),
        ("衣机", ["washing"]),
        ("洗衣机", ["washing"]),
        ("滚筒洗衣机", ["washing"]),
        ("十公斤 洗衣", ["washing"]),
        ("公", ["washing"]),
        ("机", ["paper", "washing"]),
        ("机 洗衣", ["washing"]),
        ("ケトル", ["kettle"]),
        ("角の", ["kettle"]),
        ("纸", ["paper"]),
        ("A4纸", ["paper"]),
        # Words with spaces: case, accents, marks, width, an unfinished last one.
        ("HEADPHONES", ["phones"]),
        ("headph", ["phones"]),
        ("one auricle", ["phones"]),
        ("cafe", ["mill"]),
        ("muhle", ["mill"]),
        ("café-mühle", ["mill"]),
        ("SN-17", ["washing"]),
        ("sn", ["mill", "washing"]),
        ("abc", ["paper"]),
        ("199.00", ["washing"]),
        ("dk5", ["kettle"]),
        ("2", ["phones"]),
    ],
)
def test_finds(store: MemoryStore, text: str, found: list[str]) -> None:
    assert names(store.search(text)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "!?",
        "洗机",
        "机洗",
        "洗衣 冰箱",
        "衣洗",
        "auric one",
        "phones",
        "SN-1 7",
        "17-SN",
        "true",
        "NOT headphones",
        "headphones OR kettle",
        "name",
        "https",
    ],
)
def test_does_not_find(store: MemoryStore, text: str) -> None:
    assert names(store.search(text)) == []


EMPTY = MemoryStore()


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_query_or_no_word(text: str) -> None:
    assert EMPTY.search(text) == []


@settings(max_examples=30)
@given(st.text(alphabet=st.sampled_from("洗衣机滚筒角のケトル아이폰ab"), min_size=1, max_size=12))
def test_every_part_of_an_unspaced_run_is_found(text: str) -> None:
    store = MemoryStore()
    run = "".join(character for character in text if character > "\u3000")
    if not run:
        return
    store.hold(card_of({"item": f"x {run} y"}))

    for start in range(len(run)):
        for end in range(start + 1, len(run) + 1):
            assert len(store.search(run[start:end])) == 1, run[start:end]
    store.close()


def test_the_newest_comes_first_and_no_more_than_asked(store: MemoryStore) -> None:
    assert names(store.search("sn", limit=1)) == ["mill"]


def test_what_came_after_a_search_is_found_by_the_next(store: MemoryStore) -> None:
    assert names(store.search("bicycle")) == []

    card = card_of({"item": "bicycle", "serial": "B-1"})
    store.hold(card)

    assert names(store.search("bicycle")) == [card.credential_id]
    assert names(store.cards_with(("serial",), "B-1")) == [card.credential_id]


def test_a_card_that_is_refilled_is_found_by_what_it_says_now(store: MemoryStore) -> None:
    assert names(store.search("headphones")) == ["phones"]
    fresh = card_of({"item": {"name": "Auricle Two"}})
    store.hold(card_of({"item": "another card"}))

    store.hold(replace(fresh, credential_id=CredentialId("phones")))

    assert names(store.search("headphones")) == []
    assert names(store.search("auricle two")) == ["phones"]
    assert names(store.cards_with(("item", "name"), "Auricle One headphones")) == []
    assert len(store.search("another card")) == 1


def test_the_trash_is_not_searched_and_what_is_discarded_is_gone(store: MemoryStore) -> None:
    phones = CredentialId("phones")
    store.trash(phones, NOON)
    assert names(store.search("headphones")) == names(store.cards_with(("pieces",), 2)) == []

    store.trash(phones, None)
    assert (
        names(store.search("headphones")) == names(store.cards_with(("pieces",), 2)) == ["phones"]
    )

    store.discard(phones)
    assert names(store.search("headphones")) == names(store.cards_with(("pieces",), 2)) == []
    assert store.copies(phones) == []


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("item", "serial"), "SN-17", ["washing"]),
        (("item", "serial"), "sn-17", []),
        (("item", "serial"), "SN-1", []),
        (("serial",), "SN-17", []),
        (("item",), "SN-17", []),
        (("pieces",), 2, ["phones"]),
        (("pieces",), "2", []),
        (("pieces",), True, []),
        (("weight",), 0.25, ["phones"]),
        (("paid",), True, ["kettle"]),
        (("lines", None, "name"), "A4纸", ["paper"]),
        (("lines", 0, "name"), "A4纸", ["paper"]),
        (("lines", 1, "name"), "A4纸", []),
        (("lines", 1, "name"), "机", ["paper"]),
        (("sizes", 0), 7, ["phones"]),
        (("sizes", 1), 7, []),
        (("sizes", 0), True, []),
        (("lines", None, "name"), "纸", []),
    ],
)
def test_finds_by_a_claim(
    store: MemoryStore, path: tuple[str | int | None, ...], value: Json, found: list[str]
) -> None:
    assert names(store.cards_with(path, value)) == found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("iss",), "https://brand.example"),
        (("vct",), TYPE),
        ((), "SN-17"),
        (("item",), {"name": "Auricle One headphones"}),
        (("sizes",), [7, 8]),
    ],
)
def test_what_no_card_can_be_found_by_is_a_misuse(
    store: MemoryStore, path: tuple[str, ...], value: Json
) -> None:
    with pytest.raises(Misuse):
        store.cards_with(path, value)


def test_a_phrase_does_not_go_on_in_the_next_claim(store: MemoryStore) -> None:
    store.hold(card_of({"model": "WA", "return": "14 days", "type": "WA-15"}))

    assert store.search("WA-14") == store.search("洗衣机-ABC") == []
    assert len(store.search("WA-15")) == len(store.search("WA 14")) == 1


def test_a_text_of_half_characters_and_a_limit_without_measure_are_no_crash(
    store: MemoryStore,
) -> None:
    assert len(store.search("sn", limit=2**70)) == 2
    assert store.search("sn", limit=0) == store.search("sn", limit=-1) == []
    assert store.search("\ud800") == []
    half, record = CredentialId("\ud800 secret"), Record(Kind.SECRET, "\ud800 secret", "", b"")
    calls: list[Callable[[], object]] = [
        lambda: store.card(half),
        lambda: store.copies(half),
        lambda: store.trash(half, NOON),
        lambda: store.discard(half),
        lambda: store.put(record),
        lambda: store.get(Kind.SECRET, half),
        lambda: store.peek_copy(half, "till", at=NOON),
        lambda: Wallet(store).remove(half),
        lambda: Wallet(store).secret(half),
    ]
    for call in calls:
        with pytest.raises(Malformed) as error:
            call()
        assert "secret" not in str(error.value)
        assert error.value.__cause__ is None
    with pytest.raises(Misuse):
        store.cards_with(("serial",), half)


def test_a_long_value_is_found_by_the_whole_of_it(store: MemoryStore) -> None:
    store.hold(card_of({"photo": "x" * 50_000}))

    assert len(store.cards_with(("photo",), "x" * 50_000)) == 1
    assert store.cards_with(("photo",), "x" * 49_999) == []


def test_what_says_how_a_credential_is_checked_is_not_what_it_says() -> None:
    facts, words = found_by(
        {"iss": "a", "vct": "b", "iat": 1, "exp": 2, "cnf": {"jwk": {}}, "n": 3}
    )

    assert facts == {('["n"]', "3")}
    assert words == "3"


def test_a_credential_that_cannot_be_read_hides_no_other_from_a_search(store: MemoryStore) -> None:
    broken = card_of({"item": "broken"})
    store.hold(replace(broken, copy=replace(broken.copy, issued="broken")))
    store.hold(card_of({"item": "whole"}))

    assert len(store.search("whole")) == 1
    assert store.search("broken") == []
