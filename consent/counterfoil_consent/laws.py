"""The laws under which a receiver may keep something after the end: a closed table.

A receipt that names another law, or a longer time than the law asks for, is
refused: "the law makes us keep it" is the easiest way to erase nothing. The
longest time is counted from the erasure. Where a period begins with the end of
the calendar year, the table adds that year.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_YEAR: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Law:
    """A duty to keep: what a receipt calls it, where it holds, and for how long at most."""

    name: str
    place: str
    longest: timedelta


LAWS: Final[Mapping[str, Law]] = {
    law.name: law
    for law in (
        # German Fiscal Code and Commercial Code: books ten years from the end of the year.
        Law("DE AO §147", "EU", 11 * _YEAR),
        Law("DE HGB §257", "EU", 11 * _YEAR),
        # VAT one-stop shop: ten years from the end of the year of the sale.
        Law("EU 2006/112/EC Art. 369k", "EU", 11 * _YEAR),
        # E-Commerce Law of the PRC: three years from the completion of the sale.
        Law("CN E-Commerce Law Art. 31", "CN", 3 * _YEAR),
        # Rules for the Law on the Administration of Tax Collection: ten years.
        Law("CN Tax Collection Rules Art. 29", "CN", 10 * _YEAR),
    )
}
