"""The JSON Canonicalization Scheme: one spelling of every JSON value (RFC 8785).

Most documents hold text and small whole numbers; for those `canonical_json` is the
same and much faster. What it does not take is written here with ECMAScript's numbers
and with names in the order of their UTF-16 code units.
"""

import json
import math
from decimal import Decimal
from typing import Final

from counterfoil_credentials.encoding import Json, canonical_json
from counterfoil_credentials.errors import Malformed, Misuse

MAX_LEVELS: Final = 64


def jcs(value: Json, where: str) -> bytes:
    """Give the canonical bytes of `value` (RFC 8785, section 3.2).

    Raises `Malformed` for what two readers would read in two ways: a whole number
    that no double means (section 3.2.2.3), one that is not finite, half a
    surrogate pair; and for more than 64 levels.
    """
    try:
        return canonical_json(value)
    except Misuse:
        text = _spelled(value, where, MAX_LEVELS)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("whole characters", "half a surrogate pair", where) from None


def _spelled(value: Json, where: str, levels: int) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return _number(value, where)
        case _ if levels == 0:
            raise Malformed(f"at most {MAX_LEVELS} levels of nesting", "more", where)
        case list():
            return f"[{','.join(_spelled(item, where, levels - 1) for item in value)}]"
        case dict():
            # Section 3.2.3. Half a surrogate pair passes here and is refused at the end.
            names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
            members = (
                f"{json.dumps(name, ensure_ascii=False)}:{_spelled(value[name], where, levels - 1)}"
                for name in names
            )
            return f"{{{','.join(members)}}}"


def _number(value: float, where: str) -> str:
    try:
        double = float(value)
    except OverflowError:
        double = float("inf")
    if not math.isfinite(double):
        raise Malformed("a finite number", "another", where)
    text = _double(double)
    # A long whole number is often the shortest spelling of a double beside it.
    if double != value and text != str(value):
        raise Malformed("a number that a double holds", "another", where)
    return text


def _double(double: float) -> str:
    if double == 0:
        return "0"  # of both signs
    # ECMAScript, Number::toString: Python gives the same shortest digits.
    sign, figures, exponent = Decimal(repr(double)).normalize().as_tuple()
    digits = "".join(map(str, figures))
    point = len(digits) + int(exponent)
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{digits.rjust(len(digits) - point, '0')}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return f"-{text}" if sign else text
