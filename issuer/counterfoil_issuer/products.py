"""What the brand sells: its name and its products, from one JSON file.

    {"brand": {"id": "auricle", "name": {"en": "Auricle", "zh": "耳廓"},
               "logo": {"uri": "https://auricle.example/logo.svg", "alt_text": "An ear"}},
     "prices_include_tax": true,
     "products": [{"sku": "AUR-ONE", "gtin": "4006381333931", "name": "Auricle One",
                   "serial_prefix": "A1", "warranty_months": 24}]}

A product without `serial_prefix` is sold without serial numbers, and then
without a warranty of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from counterfoil_credentials.digital_link import require_gtin
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_issuer.faults import Faults

LANGUAGES: Final = ("en", "zh")
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_PRODUCTS: Final = 20_000
MAX_WARRANTY_MONTHS: Final = 600
_MEMBERS: Final = ("brand", "prices_include_tax", "products", "types")
_BRAND_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
SKU: Final = re.compile(r"[A-Za-z0-9._/-]{1,64}\Z")
_LOGO: Final = re.compile(r"(?:https://|data:image/)[!-~]{1,200000}\Z")
_SERIAL_PREFIX: Final = re.compile(r"[A-Z0-9]{1,8}\Z")


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture at an https or data address, and the words for those who do not see it."""

    url: str
    alt_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """Who issues: a stable id for serial numbers, a name in each language, and a picture."""

    brand_id: str
    names: Mapping[str, str]
    logo: Logo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something on sale. `serial_prefix` is None where units carry no serial number."""

    gtin: str
    sku: str
    name: str
    serial_prefix: str | None
    warranty_months: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assortment:
    """The brand and its products by SKU. `prices_include_tax` is how its shop states prices."""

    brand: Brand
    products: Mapping[str, Product]
    prices_include_tax: bool


def read_assortment(document: JsonObject, faults: Faults) -> Assortment | None:
    """Give the assortment in a catalogue's JSON; whatever is wrong with it is in `faults`."""
    before = faults.count
    faults.only(document, _MEMBERS, "")
    brand = faults.attempt(lambda: object_at(document, "brand", "")) or {}
    brand_id = faults.attempt(lambda: _matching(brand, "id", _BRAND_ID, "brand"))
    names = faults.attempt(lambda: _names(brand, "brand"))
    faults.only(brand, ("id", "name", "logo"), "brand.")
    logo = faults.attempt(lambda: _logo(brand)) if "logo" in brand else None
    prices_include_tax = document.get("prices_include_tax", True)
    if not isinstance(prices_include_tax, bool):
        faults.add("prices_include_tax", "true or false", "another value")
    products = _products(document, faults)
    if faults.count > before or brand_id is None or names is None:
        return None
    return Assortment(
        brand=Brand(brand_id=brand_id, names=names, logo=logo),
        products=products,
        prices_include_tax=prices_include_tax is True,
    )


def _products(document: JsonObject, faults: Faults) -> dict[str, Product]:
    """Give the products by SKU. A brand that takes in no orders has none."""
    if "products" not in document:
        return {}
    listed = faults.attempt(lambda: list_at(document, "products", "")) or []
    if not 1 <= len(listed) <= MAX_PRODUCTS:
        faults.add("products", f"1 to {MAX_PRODUCTS} products", f"{len(listed)}")
    products: dict[str, Product] = {}
    for i, value in enumerate(listed[:MAX_PRODUCTS]):
        where = f"products[{i}]"
        product = faults.attempt(partial(_product, value, where))
        if product is not None and product.sku in products:
            faults.add(f"{where}.sku", "each SKU once", "one that stood before")
        elif product is not None:
            products[product.sku] = product
    return products


def _product(document: Json, where: str) -> Product:
    value = as_object(document, where)
    months = int_at(value, "warranty_months", where)
    if not 0 <= months <= MAX_WARRANTY_MONTHS:
        expected = f"0 to {MAX_WARRANTY_MONTHS} months"
        raise Malformed(expected, f"{months}", f"{where}.warranty_months")
    prefix = optional_text_at(value, "serial_prefix", where)
    if prefix is not None and not _SERIAL_PREFIX.match(prefix):
        expected = "1 to 8 capital letters and digits"
        raise Malformed(expected, "another text", f"{where}.serial_prefix")
    if months and prefix is None:
        # A warranty is for one unit, and only its serial number tells which.
        raise Malformed("a serial_prefix beside a warranty", "none", where)
    name = text_at(value, "name", where)
    if not 1 <= len(name) <= 200:
        raise Malformed("a name of 1 to 200 characters", f"{len(name)}", f"{where}.name")
    return Product(
        gtin=require_gtin(text_at(value, "gtin", where), f"{where}.gtin"),
        sku=_matching(value, "sku", SKU, where),
        name=name,
        serial_prefix=prefix,
        warranty_months=months,
    )


def _logo(brand: JsonObject) -> Logo:
    where = "brand.logo"
    logo = object_at(brand, "logo", "brand")
    url = text_at(logo, "uri", where)
    if not _LOGO.match(url):
        raise Malformed("an https or data URL", "another text", f"{where}.uri")
    return Logo(url, text_at(logo, "alt_text", where))


def _names(value: JsonObject, where: str) -> dict[str, str]:
    names = object_at(value, "name", where)
    return {language: text_at(names, language, f"{where}.name") for language in LANGUAGES}


def _matching(value: Mapping[str, Json], name: str, pattern: re.Pattern[str], where: str) -> str:
    text = text_at(value, name, where)
    if not pattern.match(text):
        raise Malformed(f"a text like {pattern.pattern[:-2]}", "another", f"{where}.{name}")
    return text
