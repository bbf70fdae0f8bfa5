"""Parts of a document by JSON Pointers: each in its place, and nothing beside them."""

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.json_selection import MAX_POINTERS, pointer_path, select

DOCUMENT: JsonObject = {
    "@context": ["https://a.example"],
    "id": "urn:1",
    "type": ["Thing"],
    "made": {"type": "Making", "in": {"town": "林", "year": 2026}, "by": "m"},
    "parts": [{"id": "urn:2", "of": 1, "colour": "red"}, "loose", {"of": 3}],
    "a/b": {"~": True},
}


def test_a_part_stands_in_its_place_with_the_types_and_ids_on_its_way() -> None:
    assert select(DOCUMENT, ["/made/in/year"], "document") == {
        "@context": ["https://a.example"],
        "id": "urn:1",
        "type": ["Thing"],
        "made": {"type": "Making", "in": {"year": 2026}},
    }


def test_items_of_a_list_close_up_in_their_order() -> None:
    chosen = select(DOCUMENT, ["/parts/2", "/parts/0/of"], "document")

    assert chosen["parts"] == [{"id": "urn:2", "of": 1}, {"of": 3}]


@pytest.mark.parametrize("order", [["/made", "/made/in/town"], ["/made/in/town", "/made"]])
def test_a_whole_and_a_part_of_it_are_the_whole(order: list[str]) -> None:
    assert select(DOCUMENT, order, "document")["made"] == DOCUMENT["made"]


def test_a_whole_list_and_a_part_of_it_are_the_whole() -> None:
    assert select(DOCUMENT, ["/parts/1", "/parts"], "document")["parts"] == DOCUMENT["parts"]


def test_the_empty_pointer_names_all() -> None:
    assert select(DOCUMENT, ["", "/made/by"], "document") == DOCUMENT


def test_escaped_names_are_found() -> None:
    assert select(DOCUMENT, ["/a~1b/~0"], "document")["a/b"] == {"~": True}
    assert pointer_path("/~01", "where") == ("~1",)


def test_what_was_chosen_does_not_change_with_the_document() -> None:
    document: JsonObject = {"a": {"b": [1]}}
    chosen = select(document, ["/a"], "document")
    document["a"]["b"].append(2)  # type: ignore[index, union-attr, call-overload]

    assert chosen == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    "pointer",
    ["/none", "/made/none", "/made/by/further", "/parts/3", "/parts/01", "/parts/-1", "/parts/of"],
)
@pytest.mark.parametrize("beside", [[], ["/made", "/parts"], [""]])
def test_a_pointer_that_leads_nowhere_is_refused(pointer: str, beside: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        select(DOCUMENT, [*beside, pointer], "document")

    assert refused.value.codes == ["pointer-not-matched"]


@pytest.mark.parametrize("pointer", ["made", "#/made", "/~", "/~2", "/" + "a" * 1_024])
def test_what_is_no_pointer_is_malformed(pointer: str) -> None:
    with pytest.raises(Malformed):
        select(DOCUMENT, [pointer], "document")


def test_pointers_are_counted() -> None:
    with pytest.raises(Malformed, match=f"at most {MAX_POINTERS}"):
        select(DOCUMENT, ["/made"] * (MAX_POINTERS + 1), "document")
