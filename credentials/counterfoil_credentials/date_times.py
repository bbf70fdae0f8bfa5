"""Instants as XML Schema's `dateTimeStamp` writes them: always with their time zone.

XML Schema 1.1, part 2, section 3.4.28; VC Data Model 2.0, section 4.9; Data Integrity
1.0, section 2.1.
"""

import re
from datetime import UTC, datetime
from typing import Final

from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.errors import Malformed, Misuse

_STAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,20})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
)


def date_time_stamp(moment: datetime) -> str:
    """Give `moment` in UTC, to the second; `Misuse` for one without a time zone."""
    if moment.tzinfo is None:
        raise Misuse("expected an instant with its time zone, found one without")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def date_time_at(obj: JsonObject, name: str, where: str) -> datetime | None:
    """Give the instant under `name` in UTC, or None where the name is absent.

    Raises `Malformed` for anything but a `dateTimeStamp` of the years 1 to 9999.
    """
    if name not in obj:
        return None
    place = f"{where}.{name}"
    text = text_at(obj, name, where)
    if _STAMP.fullmatch(text) is None:
        raise Malformed("a dateTimeStamp", "another text", place)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("a dateTimeStamp", "no such moment", place) from None
