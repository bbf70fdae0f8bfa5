"""The fields of a form, whichever way its text came: by HTTP, or as QR codes."""

from typing import Final
from urllib.parse import parse_qsl

from counterfoil_credentials.errors import Malformed

_MAX_FIELDS: Final = 20


def fields_of(text: str, where: str) -> dict[str, str]:
    """Give the fields of an `application/x-www-form-urlencoded` text, each once, in UTF-8."""
    if not text:
        return {}
    try:
        fields = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        expected = f"a form of at most {_MAX_FIELDS} fields in UTF-8"
        # Python's own error holds what was sent, and a traceback would print it.
        raise Malformed(expected, "another text", where) from None
    form = dict(fields)
    if len(form) != len(fields):
        raise Malformed("each field once", "one twice", where)
    return form
