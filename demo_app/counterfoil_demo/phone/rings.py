"""What is left of a time, as a ring that drains: a number, its unit, and how much of it is full."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from counterfoil_demo.pages.words import Words

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """`value` of `unit` is left, `percent` of the whole; `said` says it to who does not see it."""

    value: int
    unit: str
    percent: int
    said: str


def ring_of(left: timedelta, whole: timedelta, words: Words) -> Ring:
    """Give the ring of what is left of a whole, in its largest unit of which there are two."""
    left = max(left, timedelta(0))
    size = next((each for each in (_DAY, _HOUR, _MINUTE) if left >= 2 * each), _SECOND)
    value = left // size
    unit, said = _words_of(size, value, words)
    return Ring(
        value=value,
        unit=unit,
        percent=100 * left // max(whole, left, _SECOND),
        said=said % {"num": value},
    )


def _words_of(size: timedelta, value: int, words: Words) -> tuple[str, str]:
    say, count = words.gettext, words.ngettext
    if size == _DAY:
        return say("days"), count("%(num)s day left", "%(num)s days left", value)
    if size == _HOUR:
        return say("hours"), count("%(num)s hour left", "%(num)s hours left", value)
    if size == _MINUTE:
        return say("min"), count("%(num)s minute left", "%(num)s minutes left", value)
    return say("s"), count("%(num)s second left", "%(num)s seconds left", value)
