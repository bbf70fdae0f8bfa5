"""The shapes that credentials and presentations of the W3C share: contexts, types, URLs, names.

VC Data Model 2.0, sections 4.3 to 4.6 and 11.1. Each function gives the value or raises
`Malformed` with its place; none of them looks a name up in a context.
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

from counterfoil_credentials.encoding import Json, JsonObject, as_object, as_text, kind_of
from counterfoil_credentials.errors import Malformed

CREDENTIALS_V2: Final = "https://www.w3.org/ns/credentials/v2"
_MAX_URL: Final = 4_096
_MAX_ITEMS: Final = 256
# RFC 3986, section 4.3, and the characters that its appendix C keeps out of URLs.
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f-\xa0<>\"{}|\\^`]+")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")  # BCP 47, roughly
_DIRECTIONS: Final = ("ltr", "rtl")

T = TypeVar("T")


def as_url(value: Json, where: str) -> str:
    """Give `value` if it is one absolute URL of at most 4096 characters."""
    text = as_text(value, where)
    if len(text) > _MAX_URL:
        raise Malformed(f"a URL of at most {_MAX_URL} characters", f"{len(text)}", where)
    if _URL.fullmatch(text) is None:
        raise Malformed("an absolute URL", "another text", where)
    return text


def url_at(obj: JsonObject, name: str, where: str) -> str | None:
    """Give the URL under `name`, or None where the name is absent."""
    return as_url(obj[name], f"{where}.{name}") if name in obj else None


def contexts(obj: JsonObject, where: str) -> tuple[Json, ...]:
    """Give the contexts: a list whose first is the data model's own (section 4.3)."""
    place = f"{where}.@context"
    value = obj.get("@context")
    if not isinstance(value, list) or not value or value[0] != CREDENTIALS_V2:
        raise Malformed(f"a list that begins with {CREDENTIALS_V2}", "another value", place)
    if len(value) > _MAX_ITEMS:
        raise Malformed(f"at most {_MAX_ITEMS}", "more", place)
    for item in value:
        if not isinstance(item, dict):
            as_url(item, place)
    return tuple(value)


def types(obj: JsonObject, where: str, required: str | None = None) -> tuple[str, ...]:
    """Give the one type or the several, among them `required` (section 4.5)."""
    place = f"{where}.type"
    named = tuple(as_text(item, place) for item in one_or_many(obj, "type", where))
    if not named or "" in named or len(set(named)) != len(named):
        raise Malformed("types, each once", "none, or other texts", place)
    if required is not None and required not in named:
        raise Malformed(f"the type {required}", "others alone", place)
    return named


def one_or_many(obj: JsonObject, name: str, where: str) -> list[Json]:
    """Give what stands under `name` as a list: JSON-LD writes one item without brackets."""
    value = obj.get(name, [])
    if not isinstance(value, list):
        return [value]
    if len(value) > _MAX_ITEMS:
        raise Malformed(f"at most {_MAX_ITEMS}", "more", f"{where}.{name}")
    return value


def each_at(
    obj: JsonObject, name: str, where: str, read: Callable[[JsonObject, str], T]
) -> tuple[T, ...]:
    """Give what `read` makes of each object under `name`."""
    items = one_or_many(obj, name, where)
    places = [f"{where}.{name}[{i}]" for i in range(len(items))]
    return tuple(read(as_object(*pair), pair[1]) for pair in zip(items, places, strict=True))


def require_names(obj: JsonObject, where: str) -> None:
    """Return only if `name` and `description` are texts or language values (section 4.6)."""
    for name in ("name", "description"):
        if name in obj:
            for item in one_or_many(obj, name, where):
                _require_language_value(item, f"{where}.{name}")


def _require_language_value(value: Json, where: str) -> None:
    # Section 11.1: `@value`, with `@language` and `@direction` or without; nothing else.
    if isinstance(value, str):
        return
    if not isinstance(value, dict):
        raise Malformed("a text or a language value", kind_of(value), where)
    if not value.keys() <= {"@value", "@language", "@direction"}:
        raise Malformed("@value, @language and @direction", "another name", where)
    as_text(value.get("@value"), f"{where}.@value")
    language = value.get("@language", "en")
    if not isinstance(language, str) or _LANGUAGE.fullmatch(language) is None:
        raise Malformed("a language tag", "another value", f"{where}.@language")
    if value.get("@direction", "ltr") not in _DIRECTIONS:
        raise Malformed("ltr or rtl", "another value", f"{where}.@direction")
