"""What the service says about claims: whole numbers as texts, as they may be above 2^53."""

from typing import Final

from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.errors import Malformed

from counterfoil_loyalty.ledger import Cover

_MOST_DIGITS: Final = 79


def whole_number_at(obj: JsonObject, name: str, where: str) -> int:
    """Give the whole number that stands as a text under `name`; `Malformed` for another text."""
    text = text_at(obj, name, where)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        raise Malformed("a whole number as text", "another text", f"{where}.{name}")
    return int(text)


def cover_from(obj: JsonObject, where: str) -> Cover:
    """Give `owed`, `credit` and `reserve` of an answer."""
    owed, credit, reserve = (
        whole_number_at(obj, name, where) for name in ("owed", "credit", "reserve")
    )
    return Cover(owed, credit, reserve)
