"""Text to values, strictly: base64url and JSON as they arrive from strangers.

Everything is bounded before it is parsed, and what two parsers could read in
two ways (duplicate names, padding, stray bits, NaN) is refused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NoReturn, TypeAlias, cast

import orjson
from pybase64 import b64decode, b64encode_as_string

from counterfoil_credentials.errors import Malformed, Misuse

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]

MAX_JSON_BYTES: Final = 262_144
MAX_JSON_DEPTH: Final = 32
_MAX_LEVELS_WRITTEN: Final = 200

_URL_ALPHABET: Final = b"-_"
# By the number of characters past the last whole four: the padding that they lack, and
# the last characters whose unused bits are zero.
_PADDING: Final = ("", "", "==", "=")
_LAST: Final = ("", "", "AQgw", "AEIMQUYcgkosw048")


def b64url(data: bytes) -> str:
    """Give base64url without padding (RFC 7515, section 2)."""
    return b64encode_as_string(data, _URL_ALPHABET).rstrip("=")


def b64url_each(values: Sequence[bytes]) -> list[str]:
    """Give the base64url of each of `values`; see `b64url`."""
    return [b64encode_as_string(value, _URL_ALPHABET).rstrip("=") for value in values]


def from_b64url(text: str, where: str) -> bytes:
    """Give the bytes behind unpadded base64url; the one spelling of them is accepted.

    Raises `Malformed` for padding, foreign characters, and stray last bits.
    """
    rest = len(text) & 3
    if rest and text[-1] not in _LAST[rest]:
        raise Malformed("unpadded base64url, unused bits zero", "another last character", where)
    # The decoder takes the other alphabet, and padding, as well.
    if "+" in text or "/" in text or "=" in text:
        raise Malformed("unpadded base64url", "other characters", where)
    try:
        # By position, as every disclosure passes here: a keyword costs it 0.15 us.
        return b64decode(text + _PADDING[rest], _URL_ALPHABET, True)  # noqa: FBT003
    except ValueError:
        raise Malformed("unpadded base64url", "other characters", where) from None


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
    # The depth is counted before parsing: a parser recurses once per level.
    if _openings(raw) > max_depth:
        _require_shallow(raw, max_depth, where)
    try:
        value: Json = orjson.loads(raw)
        # What is written again byte for byte has one reading: no name came twice.
        if orjson.dumps(value) == raw:
            return value
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass
    return _read_with_care(raw, where)


def parse_each(texts: Sequence[str], where: str) -> list[Json]:
    """Give the JSON value in each base64url text; see `from_b64url` and `parse_json`."""
    raw = [from_b64url(text, where) for text in texts]
    together = b"".join(raw)
    small = len(together) <= MAX_JSON_BYTES
    if small and _openings(together) <= MAX_JSON_DEPTH:
        try:
            values: list[Json] = [orjson.loads(each) for each in raw]
            if [orjson.dumps(value) for value in values] == raw:
                return values
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            pass
    return [parse_json(each, where) for each in raw]


def parse_object(
    data: bytes | str,
    where: str,
    *,
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_JSON_DEPTH,
) -> JsonObject:
    """Give the JSON object in `data`; see `parse_json`."""
    value = parse_json(data, where, max_bytes=max_bytes, max_depth=max_depth)
    if isinstance(value, dict):
        return value
    raise Malformed("an object", kind_of(value), where)


def compact_json(value: Json) -> bytes:
    """Give JSON without spaces, names in insertion order, UTF-8.

    Raises `Misuse` for what JSON cannot say: NaN, infinity, half a surrogate pair.
    """
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError:  # such as a whole number beyond 64 bits
        return _write_with_care(value)
    # NaN and infinity would be written as null.
    return _write_with_care(value) if b"null" in data else data


def compact_json_of_finite_numbers(value: Json) -> bytes:
    """Give what `compact_json` gives for a value in which every float is known to be finite.

    To look for another costs more than to write a few kilobytes. Raises `Misuse` for
    half a surrogate pair.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return _write_with_care(value)


def compact_each_of_finite_numbers(values: Sequence[list[Json]]) -> list[bytes]:
    """Give for each of `values` what `compact_json_of_finite_numbers` gives."""
    try:
        return [orjson.dumps(value) for value in values]
    except orjson.JSONEncodeError:
        return [_write_with_care(value) for value in values]


def canonical_json(value: Json) -> bytes:
    """Give the one spelling of `value`: no spaces, names sorted, no float anywhere.

    For text, whole numbers below 2**53, booleans and null this is RFC 8785 when
    all names are within the basic multilingual plane; anything else is `Misuse`.
    """
    _require_few_levels(value)
    _require_canonical(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as cause:
        raise Misuse("expected a JSON value, found half a surrogate pair") from cause


def numeric_date(at: datetime) -> int:
    """Give `at` in whole seconds since 1970 (RFC 7519, section 2); `Misuse` without a zone."""
    if at.tzinfo is None:
        raise Misuse("expected an instant with its time zone, found one without")
    return int(at.timestamp())


def as_object(value: Json, where: str) -> JsonObject:
    """Give `value` if it is an object."""
    if isinstance(value, dict):
        return value
    raise Malformed("an object", kind_of(value), where)


def as_text(value: Json, where: str) -> str:
    """Give `value` if it is a text."""
    if isinstance(value, str):
        return value
    raise Malformed("a text", kind_of(value), where)


def as_list(value: Json, where: str) -> list[Json]:
    """Give `value` if it is a list."""
    if isinstance(value, list):
        return value
    raise Malformed("a list", kind_of(value), where)


def text_at(obj: Mapping[str, Json], name: str, where: str) -> str:
    """Give the text under `name`."""
    value = obj.get(name)
    if isinstance(value, str):
        return value
    raise _wrong("a text", obj, name, where)


def int_at(obj: Mapping[str, Json], name: str, where: str) -> int:
    """Give the whole number under `name`."""
    value = obj.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong("a whole number", obj, name, where)


def object_at(obj: Mapping[str, Json], name: str, where: str) -> JsonObject:
    """Give the object under `name`."""
    value = obj.get(name)
    if isinstance(value, dict):
        return value
    raise _wrong("an object", obj, name, where)


def list_at(obj: Mapping[str, Json], name: str, where: str) -> list[Json]:
    """Give the list under `name`."""
    value = obj.get(name)
    if isinstance(value, list):
        return value
    raise _wrong("a list", obj, name, where)


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


def _wrong(expected: str, obj: Mapping[str, Json], name: str, where: str) -> Malformed:
    found = kind_of(obj[name]) if name in obj else "nothing"
    return Malformed(expected, found, f"{where}.{name}")


# A text also ends where the input does: an unterminated one must not be tried
# again from each of its quotes, or the work grows with the square of the length.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def _openings(raw: bytes) -> int:
    # To take them out looks for the next one; to count them looks at every byte.
    return len(raw) - len(raw.replace(b"[", b"").replace(b"{", b""))


def _require_shallow(raw: bytes, max_depth: int, where: str) -> None:
    depth = deepest = 0
    for character in _STRINGS.sub(b"", raw):
        if character in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in b"]}":
            depth -= 1
    if deepest > max_depth:
        raise Malformed(f"at most {max_depth} levels of nesting", f"{deepest} levels", where)


def _read_with_care(raw: bytes, where: str) -> Json:
    # The parsers' errors carry the whole input: claims must not travel in a cause.
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise Malformed("UTF-8 text", f"an invalid byte at {cause.start}", where) from None
    try:
        value = _READER.decode(text)
    except json.JSONDecodeError as cause:
        raise Malformed("JSON", f"a syntax error at character {cause.pos}", where) from None
    except _TwoReadings as cause:
        raise Malformed(cause.expected, cause.found, where) from cause
    except ValueError as cause:  # a whole number of thousands of digits
        raise Malformed("a number of bounded length", "a longer one", where) from cause
    _require_no_surrogates(text, value, where)
    return cast("Json", value)


def _write_with_care(value: Json) -> bytes:
    # The standard writer recurses in C, and a value of very many levels ends the process.
    _require_few_levels(value)
    try:
        return _WRITER.encode(value).encode("utf-8")
    except UnicodeEncodeError:
        raise Misuse("expected whole characters, found half a surrogate pair") from None
    except ValueError as cause:
        raise Misuse("expected a finite number, found another") from cause


def _require_few_levels(value: Json) -> None:
    level: list[Json] = [value]
    for _ in range(_MAX_LEVELS_WRITTEN):
        below: list[Json] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        if not below:
            return
        level = below
    raise Misuse(f"expected a value of at most {_MAX_LEVELS_WRITTEN} levels, found more")


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
    except UnicodeEncodeError:
        raise Malformed("whole characters", "half a surrogate pair", where) from None


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
