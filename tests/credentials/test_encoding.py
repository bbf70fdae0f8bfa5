"""Text to values: one reading or none."""

import json
import time
from typing import NoReturn

import orjson
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


_NUMBERS = """
0 -0 0.0 -0.0 -0e0 0e0 1 -1 1.0 1.00 10e-1 1e0 1E0 1e+0 1e00 01 -01 +1 .5 5. 1. 1.e1 - -- 1e 1e+
9007199254740991 9007199254740992 9007199254740993 9007199254740993.0 -9007199254740993 0x1 1_0
9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
18446744073709551615 18446744073709551616 18446744073709551617 1.8446744073709552e19
1e15 1e16 1e17 1e21 1e22 1e23 1e-5 1e-6 1e-7 0.0001 0.00001 1e-05 100000000000000000000.0
0.1 0.10 0.1e0 0.30000000000000004 0.300000000000000044 123456789.123456789
5e-324 4.9e-324 2e-324 1e-400 2.2250738585072011e-308 2.2250738585072014e-308
1.7976931348623157e308 1.7976931348623157e+308 1.7976931348623159e308 1e308 1e309 -1e309 1e400
NaN nan -NaN Infinity -Infinity inf
"""
LONG_NUMBERS = ["1" * 4_300, "1" * 4_301, "-" + "9" * 4_301, "0." + "1" * 5_000, "1" * 5_000 + ".0"]
NUMBERS = _NUMBERS.split()

TEXTS = [
    *('""', '"a"', '"ä"', '"€"', '"😀"', '"\x7f"', '"\u2028"', '"\ufeff"', '"\U0010ffff"', "'a'"),
    *(f'"{c}"' for c in map(chr, range(0x20))),
    *(f'"\\{c}"' for c in 'bfnrt"\\/' + "auUx0 '"),
    *(
        f'"\\u{digits}"'
        for digits in ("0000", "0041", "00e4", "00E4", "007f", "2028", "ffff", "20")
    ),
    *(f'"\\u{digits}"' for digits in ("d83d\\ude00", "D83D\\uDE00", "d83d", "de00", "de00\\ud83d")),
    *('"\\ud83dx"', '"\\ud83d\\u0041"', '"\\ud83d\\\\ude00"', '"\\\\ud83d"', '"', '"\\', '"\\"'),
    *("\ud83d", '"\ud800"', '"\udfff"', '"\ud83d\ude00"'),
]

DOCUMENTS = [
    *(
        "",
        " ",
        "\n",
        "null",
        " null",
        "null ",
        "\tnull\r\n",
        "\x0cnull",
        "\xa0null",
        "null\x00",
        "\x00",
    ),
    *("true", "false", "True", "nul", "nullx", "null null", "\ufeffnull", "//\nnull", "/**/1"),
    *(
        "[]",
        "[ ]",
        "[1,2]",
        "[1, 2]",
        "[1 ,2]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "[[]",
        "[]]",
        "[}",
    ),
    *("{}", "{ }", '{"a":1}', '{"a": 1}', '{"a":1,}', "{a:1}", "{1:1}", '{"a"}', '{"a":}', "{,}"),
    *(
        '{"a":1,"a":1}',
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":1}',
        '{"":1,"":1}',
        '{"a":1,"b":2,"a":1}',
    ),
    *(
        '{"x":{"a":1,"a":1}}',
        '[{"a":[],"a":[]}]',
        '{"a":{"a":1}}',
        '{"b":1,"a":2}',
        '{"ä":1,"ä":2}',
    ),
    *('{"\\ud800":1}', '{"\\ud83d\\ude00":1}', '{"ａ":1,"a":2}', '{"\u0041\u030a":1,"\u00c5":2}'),
    *("[" * depth + "]" * depth for depth in (31, 32, 33, 1_000)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (31, 32, 33, 1_000)),
    "[" * 200_000,
    '["' + "[" * 100 + '"]',
]

AROUND = ["?", "[?]", '{"a":?}', '{"a":?,"a":?}', '{"a":?,"b":[?]}', " ?\n", "{?:1}", "{?:1,?:1}"]

RAW = [
    *(b"\xff", b'"\xff"', b'"\xc3"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"'),
    *("[1]".encode(code) for code in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")),
]

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t", "\r", "\x0b", "\xa0"])
NAMES = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"ä"', '""'])


def _list(members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(SPACE, st.lists(members, max_size=4), SPACE).map(
        lambda found: f"[{found[0]}{','.join(found[1])}{found[2]}]"
    )


def _object(members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(SPACE, NAMES, SPACE, members).map(lambda p: f"{p[0]}{p[1]}{p[2]}:{p[3]}")
    return st.lists(pair, max_size=4).map(lambda pairs: "{" + ",".join(pairs) + "}")


SPELLED = st.recursive(
    st.sampled_from([*NUMBERS, *TEXTS, "true", "false", "null"])
    | st.text().map(json.dumps)
    | st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
    lambda members: _list(members) | _object(members),
    max_leaves=8,
)


def outcome(data: bytes | str) -> str:
    # `repr` tells 1 from 1.0 and True, 0.0 from -0.0, and one order of names from another.
    try:
        return repr(parse_json(data, "here"))
    except Malformed as refusal:
        return f"refused: {refusal}"


def agrees(data: bytes | str) -> bool:
    def refuse(_raw: bytes) -> NoReturn:
        raise orjson.JSONDecodeError("", "", 0)

    found = outcome(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orjson, "loads", refuse)
        return outcome(data) == found


class TestBothWaysToRead:
    """What is read fast is what is read with care: the same value, or the same refusal."""

    @pytest.mark.parametrize(
        "texts", [NUMBERS, LONG_NUMBERS, TEXTS, DOCUMENTS], ids=["numbers", "long", "texts", "rest"]
    )
    def test_they_agree_on_what_parsers_differ_over(self, texts: list[str]) -> None:
        for text in texts:
            for around in AROUND:
                whole = around.replace("?", text)
                assert agrees(whole), whole[:200]

    @pytest.mark.parametrize("data", RAW)
    def test_they_agree_on_bytes_that_are_no_text(self, data: bytes) -> None:
        assert agrees(data)

    @given(st.data())
    def test_they_agree_on_json_however_it_is_spelled(self, data: st.DataObject) -> None:
        assert agrees(data.draw(SPELLED))

    @given(st.data())
    def test_they_agree_on_json_with_changed_bytes(self, data: st.DataObject) -> None:
        raw = bytearray(data.draw(SPELLED).encode("utf-8", "surrogatepass"))
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        assert agrees(bytes(raw))

    @given(st.binary(max_size=100) | st.text())
    def test_they_agree_on_anything_else(self, data: bytes | str) -> None:
        assert agrees(data)

    @given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70))
    def test_they_agree_on_every_number(self, number: float) -> None:
        for text in (repr(number), json.dumps([number]), f"{number:.17e}", f"{number:.20f}"):
            assert agrees(text)


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
