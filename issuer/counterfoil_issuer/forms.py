"""Forms and queries as strangers send them."""

from typing import Final
from urllib.parse import parse_qsl

from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.spec import FORM_MEDIA_TYPE

MAX_FIELDS: Final = 50
_RESOURCE: Final = "resource"  # RFC 8707, section 2: may be repeated


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """Give a posted form, each name once (RFC 6749, section 3.2). Raises `Malformed`."""
    if content_type.partition(";")[0].strip().lower() != FORM_MEDIA_TYPE:
        raise Malformed(FORM_MEDIA_TYPE, "another media type", "Content-Type")
    try:
        return read_fields(body.decode("ascii"))
    except UnicodeDecodeError as cause:
        raise Malformed("a form in ASCII", "another character", "body") from cause


def read_fields(text: str) -> dict[str, str]:
    """Give the fields of a form or a query, each name once. Raises `Malformed`."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:  # It quotes the text.
        raise Malformed(f"at most {MAX_FIELDS} fields in UTF-8", "others", "form") from None
    seen: set[str] = set()
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in seen and name != _RESOURCE:
            raise Malformed("each parameter once", "one twice", "form")
        seen.add(name)
        # PostgreSQL's text ends at U+0000, and nothing that we are sent has one.
        if "\x00" in value:
            raise Malformed("text without U+0000", "one with it", "form")
        # A parameter without a value is as if it were not there (RFC 6749, section 3.1).
        if value:
            form[name] = value
    return form
