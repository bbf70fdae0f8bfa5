"""Text to values, strictly: base64url and JSON as they arrive from strangers.

Everything is bounded before it is parsed, and what two parsers could read in
two ways (duplicate names, padding, stray bits, NaN) is refused.
"""

import binascii
import json
import re
from collections.abc import Mapping
from typing import Final, NoReturn, TypeAlias, cast

from counterfoil_credentials.errors import Malformed, Misuse

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]

MAX_JSON_BYTES: Final = 262_144
MAX_JSON_DEPTH: Final = 32

# The base64 of RFC 4648, section 4, to that of section 5 and back; what is foreign
# to the latter becomes a character that is foreign to the former.
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
# By the characters past the last whole four: the padding, and the last characters
# whose unused bits are zero.
_TAILS: Final = {2: (b"==", "AQgw"), 3: (b"=", "AEIMQUYcgkosw048")}


def b64url(data: bytes) -> str:
    """Give base64url without padding (RFC 7515, section 2)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def from_b64url(text: str, where: str) -> bytes:
    """Give the bytes behind unpadded base64url; the one spelling of them is accepted.

    Raises `Malformed` for padding, foreign characters, and stray last bits.
    """
    padding, last = _TAILS.get(len(text) & 3, (b"", text[-1:]))
    try:
        data = binascii.a2b_base64(
            text.encode("ascii").translate(_FROM_URL) + padding, strict_mode=True
        )
    except (binascii.Error, UnicodeEncodeError) as cause:
        raise Malformed("unpadded base64url", f"{len(text)} other characters", where) from cause
    if text[-1:] not in last:
        raise Malformed("base64url whose unused bits are zero", "stray bits", where)
    return data


def parse_json(
    data: bytes | str,
    where: str,
    *,
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_JSON_DEPTH,
) -> Json:
    """Give the JSON value in `data`, or raise `Malformed`.

    UTF-8, at most `max_bytes` long and `max_depth` deep, no name twice in one
    object, no NaN, no infinity, no number that Python would not read or print.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > max_bytes:
        raise Malformed(f"at most {max_bytes} bytes of JSON", f"{len(raw)} bytes", where)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise Malformed("UTF-8 text", f"an invalid byte at {cause.start}", where) from cause
    # The depth is counted before parsing: the parser recurses once per level.
    _require_shallow(text, max_depth, where)
    try:
        value = _READER.decode(text)
    except json.JSONDecodeError as cause:
        raise Malformed("JSON", f"a syntax error at character {cause.pos}", where) from cause
    except _TwoReadings as cause:
        raise Malformed(cause.expected, cause.found, where) from cause
    except ValueError as cause:  # a whole number of thousands of digits
        raise Malformed("a number of bounded length", "a longer one", where) from cause
    _require_no_surrogates(text, value, where)
    return cast("Json", value)


def parse_object(
    data: bytes | str,
    where: str,
    *,
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_JSON_DEPTH,
) -> JsonObject:
    """Give the JSON object in `data`; see `parse_json`."""
    return as_object(parse_json(data, where, max_bytes=max_bytes, max_depth=max_depth), where)


def compact_json(value: Json) -> bytes:
    """Give JSON without spaces, names in insertion order, UTF-8."""
    return compact_text(value).encode("utf-8")


def compact_text(value: Json) -> str:
    """Give JSON without spaces, names in insertion order."""
    return _WRITER.encode(value)


def canonical_json(value: Json) -> bytes:
    """Give the one spelling of `value`: no spaces, names sorted, no float anywhere.

    For text, whole numbers below 2**53, booleans and null this is RFC 8785 when
    all names are within the basic multilingual plane; anything else is `Misuse`.
    """
    _require_canonical(value)
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    )
    return text.encode("utf-8")


def as_object(value: Json, where: str) -> JsonObject:
    """Give `value` if it is an object."""
    if not isinstance(value, dict):
        raise Malformed("an object", kind_of(value), where)
    return value


def as_text(value: Json, where: str) -> str:
    """Give `value` if it is a text."""
    if not isinstance(value, str):
        raise Malformed("a text", kind_of(value), where)
    return value


def as_list(value: Json, where: str) -> list[Json]:
    """Give `value` if it is a list."""
    if not isinstance(value, list):
        raise Malformed("a list", kind_of(value), where)
    return value


def text_at(obj: Mapping[str, Json], name: str, where: str) -> str:
    """Give the text under `name`."""
    return as_text(_at(obj, name, "a text", where), f"{where}.{name}")


def int_at(obj: Mapping[str, Json], name: str, where: str) -> int:
    """Give the whole number under `name`."""
    value = _at(obj, name, "a whole number", where)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("a whole number", kind_of(value), f"{where}.{name}")
    return value


def object_at(obj: Mapping[str, Json], name: str, where: str) -> JsonObject:
    """Give the object under `name`."""
    return as_object(_at(obj, name, "an object", where), f"{where}.{name}")


def list_at(obj: Mapping[str, Json], name: str, where: str) -> list[Json]:
    """Give the list under `name`."""
    return as_list(_at(obj, name, "a list", where), f"{where}.{name}")


def texts_at(obj: Mapping[str, Json], name: str, where: str) -> list[str]:
    """Give the list of texts under `name`."""
    values = list_at(obj, name, where)
    return [as_text(value, f"{where}.{name}[{i}]") for i, value in enumerate(values)]


def optional_text_at(obj: Mapping[str, Json], name: str, where: str) -> str | None:
    """Give the text under `name`, or None where the name is absent."""
    return text_at(obj, name, where) if name in obj else None


def optional_int_at(obj: Mapping[str, Json], name: str, where: str) -> int | None:
    """Give the whole number under `name`, or None where the name is absent."""
    return int_at(obj, name, where) if name in obj else None


def kind_of(value: object) -> str:
    """Name the JSON kind of `value`, never the value itself."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "no JSON value"


def _at(obj: Mapping[str, Json], name: str, expected: str, where: str) -> Json:
    if name not in obj:
        raise Malformed(expected, "nothing", f"{where}.{name}")
    return obj[name]


# A text also ends where the input does: an unterminated one must not be tried
# again from each of its quotes, or the work grows with the square of the length.
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def _require_shallow(text: str, max_depth: int, where: str) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = deepest = 0
    for character in _STRINGS.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    if deepest > max_depth:
        raise Malformed(f"at most {max_depth} levels of nesting", f"{deepest} levels", where)


class _TwoReadings(Exception):  # never leaves this module
    """JSON that two parsers read in two ways."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found


def _no_duplicates(pairs: list[tuple[str, Json]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _TwoReadings("each name once in an object", "a duplicate name")
    return value


def _no_constant(name: str) -> NoReturn:
    raise _TwoReadings("a JSON value", name)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _TwoReadings("a finite number", "an overflow")
    return number


# Made once: `json.loads` and `json.dumps` make a new one for each call.
_READER: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
)
_WRITER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _require_no_surrogates(text: str, value: object, where: str) -> None:
    # Only an escape can smuggle half a surrogate pair through UTF-8.
    if "\\u" not in text and "\\U" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as cause:
        raise Malformed("whole characters", "half a surrogate pair", where) from cause


def _require_canonical(value: Json) -> None:
    match value:
        case dict():
            for name, member in value.items():
                if any(ord(character) > 0xFFFF for character in name):
                    raise Misuse("expected names within the basic plane, found another character")
                _require_canonical(member)
        case list():
            for member in value:
                _require_canonical(member)
        case bool() | None | str():
            return
        case int():
            if abs(value) >= 2**53:
                raise Misuse("expected whole numbers below 2**53, found a larger one")
        case float():
            raise Misuse("expected no fraction in canonical JSON, found one")
