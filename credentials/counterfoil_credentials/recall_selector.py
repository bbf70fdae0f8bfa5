"""Which items something is said about: a recall, a theft. Matched where the item is.

    {"gtin": "04006381333931", "lots": ["L7"], "serials": [{"from": "A1-0001", "to": "A1-0100"}]}

Whoever publishes it need not know who owns the items, and whoever matches tells nobody
which item was looked up. A selector means items of that GTIN that are of one of its lots,
where it names lots, and whose serial number is in one of its ranges, where it names any.
Of an item whose lot or serial number is not known it may be unclear. GS1 General
Specifications: GTIN (AI 01), batch or lot (AI 10), serial number (AI 21).
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from counterfoil_credentials.claims import values_at
from counterfoil_credentials.digital_link import require_gtin
from counterfoil_credentials.encoding import Json, JsonObject, as_object, list_at, text_at, texts_at
from counterfoil_credentials.errors import Malformed

_MAX_ENTRIES: Final = 10_000
_MAX_ELEMENT: Final = 40
_NUMBERED: Final = re.compile(r"(?P<name>.*?)(?P<number>[0-9]*)\Z", re.ASCII | re.DOTALL)


class Concerned(Enum):
    """Whether an item is one that a selector means."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item, as far as it is known. `gtin` has 14 digits."""

    gtin: str
    lot: str | None = None
    serial: str | None = None


@dataclass(frozen=True, slots=True)
class SerialRange:
    """Serial numbers from `first` to `last`, both included.

    The two differ in the digits at their end alone, and have as many: `A1-0099` is
    between `A1-0001` and `A1-0100`; `A1-00050` and `A2-0050` are not.
    """

    first: str
    last: str

    def __post_init__(self) -> None:
        """Insist on two that have a between."""
        (name, low), (other, high) = _split(self.first), _split(self.last)
        if not _is_element(self.first) or name != other or len(low) != len(high) or low > high:
            expected = "two serial numbers alike but for their last digits, the lower first"
            raise Malformed(expected, "others", "recall_selector.serials")

    def has(self, serial: str) -> bool:
        """Say whether `serial` is in the range."""
        # The two are alike but for as many digits, so what is between them is in the order of
        # texts too. A feed has tens of thousands of ranges, and nearly all end here.
        if len(serial) != len(self.first) or not self.first <= serial <= self.last:
            return False
        found = serial[len(_split(self.first)[0]) :]
        return not found or (found.isascii() and found.isdigit())


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallSelector:
    """Items of one product: all of them, or those of some lots or serial numbers."""

    gtin: str
    lots: frozenset[str] = frozenset()
    serials: tuple[SerialRange, ...] = ()

    def concerns(self, item: Item) -> Concerned:
        """Say whether `item` is meant. What is known decides before what is not."""
        if item.gtin != self.gtin:
            return Concerned.NO
        unclear = False
        if self.lots:
            if item.lot is not None and item.lot not in self.lots:
                return Concerned.NO
            unclear = item.lot is None
        if self.serials:
            serial = item.serial
            if serial is not None and not any(one.has(serial) for one in self.serials):
                return Concerned.NO
            unclear = unclear or serial is None
        return Concerned.UNCLEAR if unclear else Concerned.YES

    def to_json(self) -> JsonObject:
        """Give the selector as it is published."""
        serials: list[Json] = [{"from": one.first, "to": one.last} for one in self.serials]
        lots: list[Json] = [*sorted(self.lots)]
        return {
            "gtin": self.gtin,
            **({"lots": lots} if lots else {}),
            **({"serials": serials} if serials else {}),
        }


def parse_recall_selector(obj: JsonObject, where: str = "recall_selector") -> RecallSelector:
    """Give the selector in `obj`; `Malformed` for one that might mean more than it says.

    An empty list is none of all, which nobody means: leave the member out for all.
    """
    unknown = obj.keys() - {"gtin", "lots", "serials"}
    if unknown:
        # A condition that is not understood would be left out, and others' items be meant.
        raise Malformed("gtin, lots and serials alone", f"{len(unknown)} others", where)
    lots = texts_at(obj, "lots", where) if "lots" in obj else None
    serials = list_at(obj, "serials", where) if "serials" in obj else None
    for name, listed in (("lots", lots), ("serials", serials)):
        if listed is not None and not 1 <= len(listed) <= _MAX_ENTRIES:
            expected = f"1 to {_MAX_ENTRIES} entries"
            raise Malformed(expected, f"{len(listed)}", f"{where}.{name}")
    if not all(_is_element(lot) for lot in lots or ()):
        raise Malformed(f"lots of 1 to {_MAX_ELEMENT} characters", "others", f"{where}.lots")
    return RecallSelector(
        gtin=require_gtin(text_at(obj, "gtin", where), f"{where}.gtin").zfill(14),
        lots=frozenset(lots or ()),
        serials=tuple(_range(one, f"{where}.serials") for one in serials or ()),
    )


def item_in(claims: JsonObject) -> Item | None:
    """Give the item that a credential's claims name (`item.gtin`, `item.lot`, `item.serial`).

    None where they name no GTIN: whether anything is said about such an item is not known.
    """
    gtin = _element(claims, "gtin")
    try:
        product = require_gtin(gtin or "", "item.gtin").zfill(14)
    except Malformed:
        return None
    return Item(gtin=product, lot=_element(claims, "lot"), serial=_element(claims, "serial"))


def _element(claims: JsonObject, name: str) -> str | None:
    values = values_at(claims, ("item", name))
    value = values[0] if len(values) == 1 else None
    return value if isinstance(value, str) else None


def _range(value: Json, where: str) -> SerialRange:
    obj = as_object(value, where)
    if obj.keys() != {"from", "to"}:
        raise Malformed("from and to", "others", where)
    return SerialRange(text_at(obj, "from", where), text_at(obj, "to", where))


def _split(serial: str) -> tuple[str, str]:
    """Give what stands before the digits at the end, and these."""
    found = _NUMBERED.match(serial[: _MAX_ELEMENT + 1])
    return (serial, "") if found is None else (found["name"], found["number"])


def _is_element(text: str) -> bool:
    return 0 < len(text) <= _MAX_ELEMENT and text.isascii() and text.isprintable()
