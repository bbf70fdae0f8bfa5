"""One language's words: messages from its catalogue; dates, times and amounts as it writes them.

The English text is a message's name, so English needs no catalogue. A message of ours that
a catalogue lacks fails a test, not a reader.
"""

import gettext
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final, cast

from babel import Locale
from babel.dates import format_date, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal

from counterfoil_demo.pages.choices import Language

_LOCALES: Final = {"en": "en_GB", "zh": "zh_Hans_CN"}
_TAGS: Final = {"en": "en", "zh": "zh-CN"}
_DATES: Final = {"en": "d MMM y", "zh": "y年M月d日"}
_MONTHS: Final = {"en": "MMMM y", "zh": "y年M月"}
_TIMES: Final = {"en": "HH:mm", "zh": "HH:mm"}
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


class Words:
    """What a page says in one language, for a reader in `zone`."""

    def __init__(self, language: Language, zone: tzinfo | None = None) -> None:
        self.language: Language = language
        self.tag = _TAGS[language]
        self._zone = zone
        catalogue = _catalogue(language)
        self.gettext = catalogue.gettext
        self.ngettext = catalogue.ngettext

    def day(self, day: date) -> str:
        """Give a day; of an instant, the reader's day."""
        if isinstance(day, datetime):
            day = day.astimezone(self._zone).date()
        return format_date(day, _DATES[self.language], locale=_LOCALES[self.language])

    def month(self, day: date) -> str:
        """Give the month of a day, with its year."""
        return format_date(day, _MONTHS[self.language], locale=_LOCALES[self.language])

    def time(self, at: datetime) -> str:
        """Give the time of day of an instant."""
        here = at.astimezone(self._zone)
        return format_time(here, _TIMES[self.language], locale=_LOCALES[self.language])

    def moment(self, at: datetime) -> str:
        """Give the day and the time of an instant."""
        return f"{self.day(at)} {self.time(at)}"

    def number(self, value: int | Decimal) -> str:
        """Give a number with its groups of digits."""
        return format_decimal(value, locale=_LOCALES[self.language])

    def money(self, amount: Decimal, currency: str) -> str:
        """Give an amount; `currency` is its ISO 4217 code."""
        return format_currency(amount, currency, locale=_LOCALES[self.language])

    def country(self, code: str) -> str:
        """Give a country or a union of them by its ISO 3166-1 code; the code if it has no name."""
        names = cast("Mapping[str, str]", Locale.parse(_LOCALES[self.language]).territories)
        return names.get(code, code)

    def since(self, at: datetime, now: datetime | None = None) -> str:
        """Give how long ago `at` was, in its largest whole unit."""
        past = (datetime.now(UTC) if now is None else now) - at
        if past < _MINUTE:
            return self.gettext("just now")
        if past < _HOUR:
            count = past // _MINUTE
            return self.ngettext("%(num)s min ago", "%(num)s min ago", count) % {"num": count}
        if past < 2 * _DAY:
            count = past // _HOUR
            return self.ngettext("%(num)s hour ago", "%(num)s hours ago", count) % {"num": count}
        count = past // _DAY
        return self.ngettext("%(num)s day ago", "%(num)s days ago", count) % {"num": count}


def marked(message: str) -> str:
    """Give `message` as it is: a message of ours, which a page translates later."""
    return message


@cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    source = files("counterfoil_demo").joinpath("pages", "catalogues", f"{language}.po")
    compiled = BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=_LOCALES[language]))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
