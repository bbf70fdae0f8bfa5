"""The brands that this phone knows: their names in each language, and the paper they chose.

A brand that it does not know is shown by its web address, on a paper that its address picks.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import object_at, parse_object, text_at
from counterfoil_wallet import KnownIssuer, printable

from counterfoil_demo.houses import AURICLE, VELORUM, House
from counterfoil_demo.pages.choices import Language

STOCKS: Final = ("sky", "canary", "rose", "mint", "buff", "slate")
_PAPERS: Final = {AURICLE.origin: "sky", VELORUM.origin: "canary"}


@dataclass(frozen=True, slots=True)
class Brand:
    """Who issued a card, as a page shows it."""

    name: str
    is_known: bool
    stock: str


def brand_of(issuer: str, language: Language) -> Brand:
    """Give the brand behind an issuer's URL."""
    names = _NAMES.get(issuer)
    stock = _PAPERS.get(issuer) or STOCKS[sha256(issuer.encode()).digest()[0] % len(STOCKS)]
    if names is None:
        return Brand(printable(urlsplit(issuer).netloc or issuer), is_known=False, stock=stock)
    return Brand(names[language], is_known=True, stock=stock)


def known_issuers() -> dict[str, KnownIssuer]:
    """Give the issuers that the phone's maker vouches for."""
    return {origin: KnownIssuer(name=names["en"]) for origin, names in _NAMES.items()}


def _names_of(house: House) -> dict[Language, str]:
    source = files("counterfoil_demo").joinpath("data", f"{house.name}.json")
    brand = object_at(parse_object(source.read_bytes(), source.name), "brand", source.name)
    name = object_at(brand, "name", "brand")
    return {"en": text_at(name, "en", "brand.name"), "zh": text_at(name, "zh", "brand.name")}


_NAMES: Final[dict[str, dict[Language, str]]] = {
    house.origin: _names_of(house) for house in (AURICLE, VELORUM)
}
