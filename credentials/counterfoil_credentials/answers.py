"""What one of our services answered: a JSON object, or a refusal with its reasons.

    answer = answer_of(fetcher.post(url, body, media_type=JSON_MEDIA_TYPE), "custodian")

Services of this project report failures in one shape, that of RFC 6749, section
5.2, with `reasons` beside it. What a stranger writes there is bounded, and its
control characters are dropped, because people read it.
"""

import re
from typing import Final

from counterfoil_credentials.encoding import JsonObject, parse_object
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Response

_MAX_REFUSAL_BYTES: Final = 65_536
_MAX_REFUSAL_DEPTH: Final = 6
_MAX_REASONS: Final = 50
_MAX_TEXT: Final = 200
_MAX_DESCRIPTION: Final = 1_000
# Of the failures only these are a decision about the request; a path that is not
# there or a body that came too late may be another server's word.
_DECISIONS: Final = frozenset({400, 401, 403, 409})
_SPELLED: Final = re.compile(r"expected (.+?), found (.+) \((.+)\)\Z")


def answer_of(response: Response, who: str) -> JsonObject:
    """Give the JSON object of a 2xx answer, empty where nothing was said. `who` answered.

    Raises `Refused` with the reasons that `who` gave for a 400, 401, 403 or 409, or
    with one reason whose code is its `error` (`refused` when it gave none);
    `Unavailable` for every other status; `Malformed` for a 2xx answer that is no object.
    """
    if 200 <= response.status < 300:
        body = response.body
        return parse_object(body, who, max_bytes=len(body)) if body else {}
    told = _told(response.body, who)
    found = _text(told, "error_description", _MAX_DESCRIPTION) or f"HTTP status {response.status}"
    if response.status not in _DECISIONS:
        raise Unavailable(f"expected an answer of the {who}, found {found}")
    raise Refused(*(_reasons(told, who) or [_reason(told, found, who)]))


def _told(body: bytes, who: str) -> JsonObject:
    try:
        return parse_object(body, who, max_bytes=_MAX_REFUSAL_BYTES, max_depth=_MAX_REFUSAL_DEPTH)
    except Malformed:
        return {}


def _reasons(told: JsonObject, who: str) -> list[Reason]:
    listed = told.get("reasons")
    found: list[Reason] = []
    for value in listed[:_MAX_REASONS] if isinstance(listed, list) else ():
        reason = value if isinstance(value, dict) else {}
        code, expected, at = (_text(reason, name) for name in ("code", "expected", "where"))
        if code:
            where = f"{who}: {at}" if at else who
            found.append(
                Reason(code, expected or "another", _text(reason, "found") or "this", where)
            )
    return found


def _reason(told: JsonObject, found: str, who: str) -> Reason:
    code = _text(told, "error") or "refused"
    if spelled := _SPELLED.match(found):
        return Reason(code, spelled[1][:_MAX_TEXT], spelled[2], f"{who}: {spelled[3]}")
    return Reason(code, f"a yes of the {who}", found, who)


def _text(obj: JsonObject, name: str, at_most: int = _MAX_TEXT) -> str:
    value = obj.get(name)
    shown = value[:at_most] if isinstance(value, str) else ""
    return "".join(character for character in shown if character.isprintable())
