"""The laws under which a receiver may keep something after the end: a closed table.

A receipt that names another law, a law of another place, a kind of claim that the
law does not speak of, or a longer time than it asks for, is refused: "the law
makes us keep it" is the easiest way to erase nothing. The table is data
(`laws.json`): each law with its place, its kinds, its period and the text that says
so, and whether somebody has looked that text up. A law that is missing there
excuses nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.resources import files
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_consent.wire import require_members

_LONGEST_YEARS: Final = 30


class ClaimKind(StrEnum):
    """What a claim is about, as far as duties to keep tell claims apart."""

    IDENTITY = "identity"
    CONTACT = "contact"
    PURCHASE = "purchase"
    PAYMENT = "payment"
    PRODUCT = "product"
    COMPLAINT = "complaint"


class Start(StrEnum):
    """What a period is counted from: the event itself, or the end of its calendar year."""

    EVENT = "event"
    YEAR_END = "year-end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A duty to keep: what a receipt calls it, where it holds, for what, and for how long.

    `text` is the provision. `checked` says where it was looked up; None when it could
    not be, and `not_checked` says why.
    """

    name: str
    place: str
    kinds: frozenset[ClaimKind]
    years: int
    start: Start
    text: str
    checked: str | None
    not_checked: str | None

    def latest_end(self, event_at: datetime) -> datetime:
        """Give the last instant at which what happened at `event_at` may still be kept."""
        at = event_at.astimezone(UTC)
        if self.start is Start.YEAR_END:
            return datetime(at.year + self.years + 1, 1, 1, tzinfo=UTC)
        try:
            return at.replace(year=at.year + self.years)
        except ValueError:  # the 29th of February
            return at.replace(year=at.year + self.years, month=3, day=1)

    def holds_in(self, jurisdiction: str) -> bool:
        """Say whether the law can hold where the terms put the processing.

        `EU` stands for any of its members; a member has its own laws and the Union's.
        """
        return self.place == jurisdiction or (
            self.place in REGIONS.get(jurisdiction, frozenset())
            or jurisdiction in REGIONS.get(self.place, frozenset())
        )


def read_table(raw: bytes) -> tuple[Mapping[str, Law], Mapping[str, frozenset[str]]]:
    """Give the laws by name and the members of each region; raises `Malformed`."""
    table = parse_object(raw, "laws")
    require_members(table, ("regions", "laws"), "laws")
    listed = object_at(table, "regions", "laws")
    regions = {name: frozenset(texts_at(listed, name, "laws.regions")) for name in listed}
    places = {*regions, *(place for members in regions.values() for place in members)}
    laws: dict[str, Law] = {}
    for number, value in enumerate(list_at(table, "laws", "laws")):
        where = f"laws[{number}]"
        law = _law(as_object(value, where), places, where)
        if law.name in laws:
            raise Malformed("each law once", "one twice", where)
        laws[law.name] = law
    return laws, regions


def kind_of(text: str, where: str) -> ClaimKind:
    """Give the kind by its name."""
    try:
        return ClaimKind(text)
    except ValueError as cause:
        raise Malformed("a kind of claim", "another text", where) from cause


def _law(obj: JsonObject, places: set[str], where: str) -> Law:
    required = ("name", "place", "kinds", "years", "from", "text")
    require_members(obj, required, where, optional=("checked", "not_checked"))
    kinds = frozenset(kind_of(text, f"{where}.kinds") for text in texts_at(obj, "kinds", where))
    place, years = text_at(obj, "place", where), int_at(obj, "years", where)
    checked = optional_text_at(obj, "checked", where)
    not_checked = optional_text_at(obj, "not_checked", where)
    if place not in places or not kinds or not 1 <= years <= _LONGEST_YEARS:
        raise Malformed("a known place, kinds and a period", "another", where)
    if (checked is None) == (not_checked is None):
        raise Malformed("where it was checked, or why it was not", "both or neither", where)
    try:
        start = Start(text_at(obj, "from", where))
    except ValueError as cause:
        raise Malformed("event or year-end", "another text", f"{where}.from") from cause
    return Law(
        name=text_at(obj, "name", where),
        place=place,
        kinds=kinds,
        years=years,
        start=start,
        text=text_at(obj, "text", where),
        checked=checked,
        not_checked=not_checked,
    )


_TABLE: Final = read_table(files("counterfoil_consent").joinpath("laws.json").read_bytes())
LAWS: Final[Mapping[str, Law]] = _TABLE[0]
REGIONS: Final[Mapping[str, frozenset[str]]] = _TABLE[1]
