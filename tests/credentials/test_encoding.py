"""Text to values: one reading or none."""

import time

import pytest
from counterfoil_credentials.encoding import (
    b64url,
    canonical_json,
    from_b64url,
    int_at,
    parse_json,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=200))
def test_base64url_comes_back(data: bytes) -> None:
    assert from_b64url(b64url(data), "here") == data


@pytest.mark.parametrize("text", ["A", "AB", "AAB", "AA==", "A A", "AA\n", "AA+A", "ÄÄ", "AA~A"])
def test_refuses_a_second_spelling_of_base64url(text: str) -> None:
    with pytest.raises(Malformed):
        from_b64url(text, "here")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a":1,"a":1}',
        '{"x":{"a":1,"a":2}}',
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "1" * 5000,
        '"\\ud800"',
        '{"\\udfff":1}',
        "[" * 33 + "]" * 33,
        '{"a":' * 100_000,
        "\ufeff{}",
        "{}{}",
        '"' + "x" * 262_145 + '"',
    ],
    ids=lambda text: text[:20],
)
def test_refuses_json_that_could_be_read_in_two_ways_or_never_ends(text: str) -> None:
    with pytest.raises(Malformed):
        parse_json(text, "here")


@pytest.mark.parametrize("data", [b"\xff", b'"\xc3\x28"', b'"\xed\xa0\x80"', b"\x00"])
def test_refuses_bytes_that_are_no_utf_8_text(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(data, "here")


def test_brackets_inside_texts_are_not_nesting() -> None:
    assert parse_json('["' + "[" * 500 + '"]', "here") == ["[" * 500]


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_one_of_our_errors(data: bytes) -> None:
    try:
        parse_json(data, "here")
    except CounterfoilError as error:
        assert "here" in str(error)  # noqa: PT017  # both outcomes are right: no error is not one


@pytest.mark.parametrize("tail", ['"' + '\\"' * 100_000, '"' * 100_001, '"' + "\\" * 200_001])
def test_an_unterminated_text_costs_no_more_than_its_length(tail: str) -> None:
    began = time.process_time()

    with pytest.raises(Malformed):
        parse_json("[" * 33 + tail, "here")

    # Quadratic work on this much took minutes; linear work takes milliseconds.
    assert time.process_time() - began < 5


def test_names_the_place_and_the_kind_but_never_the_value() -> None:
    obj = parse_object('{"name": 4711, "age": true}', "card")

    with pytest.raises(Malformed, match=r"^expected a text, found a number \(card.name\)$"):
        text_at(obj, "name", "card")
    with pytest.raises(Malformed, match=r"^expected a text, found nothing \(card.street\)$"):
        text_at(obj, "street", "card")
    with pytest.raises(Malformed, match=r"^expected a whole number, found a boolean \(card.age\)$"):
        int_at(obj, "age", "card")


def test_canonical_json_sorts_names_and_refuses_fractions() -> None:
    assert canonical_json({"b": [1, None], "a": "ä"}) == '{"a":"ä","b":[1,null]}'.encode()
    with pytest.raises(Misuse):
        canonical_json({"a": [0.5]})
    with pytest.raises(Misuse):
        canonical_json(2**53)
