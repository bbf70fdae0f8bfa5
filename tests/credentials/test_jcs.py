"""The JSON Canonicalization Scheme: the published forms, numbers of ECMAScript, what is refused."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import Json, parse_json
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.jcs import MAX_LEVELS, jcs
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]

# RFC 8785, appendix B: the bits of a double, and how it is written.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


def test_writes_the_published_documents_byte_for_byte(vectors: Vectors) -> None:
    folder = vectors("jcs-rfc8785")
    names = sorted(path.stem for path in (folder / "input").glob("*.json"))
    assert names
    for name in names:
        value = parse_json((folder / "input" / f"{name}.json").read_bytes(), name)
        written = jcs(value, name)

        assert written == (folder / "output" / f"{name}.json").read_bytes().rstrip(b"\n"), name
        assert written == bytes.fromhex((folder / "outhex" / f"{name}.txt").read_text()), name


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_writes_a_double_as_ecmascript_does(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))

    assert jcs([number], "value") == f"[{text}]".encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_as_what_was_written(number: float) -> None:
    written = jcs(number, "value")

    assert float(json.loads(written)) == number
    assert jcs(parse_json(written, "value"), "value") == written


@given(st.dictionaries(st.text(), st.integers(-(2**53), 2**53)))
def test_names_stand_in_the_order_of_their_utf_16_units(value: dict[str, Json]) -> None:
    names = list(json.loads(jcs(value, "value")))

    assert names == sorted(value, key=lambda name: name.encode("utf-16-be"))


@pytest.mark.parametrize(
    "value", [2**53 + 1, 10**400, math.nan, math.inf, {"a": -math.inf}, "\ud800", {"\udc00": 1}]
)
def test_refuses_what_two_readers_would_read_in_two_ways(value: Json) -> None:
    with pytest.raises(Malformed):
        jcs(value, "value")


def test_a_whole_number_that_a_double_holds_is_written_as_that_double() -> None:
    assert jcs([2**53, 10**21, 10**22], "value") == b"[9007199254740992,1e+21,1e+22]"


def test_refuses_more_levels_than_it_would_climb() -> None:
    value: Json = 0.5
    for _ in range(MAX_LEVELS):
        value = [value]
    assert jcs(value, "value").startswith(b"[")

    with pytest.raises(Malformed, match="levels"):
        jcs([value], "value")
