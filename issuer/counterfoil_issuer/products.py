"""What the brand sells: its name and its products, from one JSON file.

    {"brand": {"id": "auricle", "name": {"en": "Auricle", "zh": "耳廓"}},
     "prices_include_tax": true,
     "products": [{"sku": "AUR-ONE", "gtin": "4006381333931", "name": "Auricle One",
                   "serial_prefix": "A1", "warranty_months": 24}]}

A product without `serial_prefix` is sold without serial numbers, and then
without a warranty of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed

LANGUAGES: Final = ("en", "zh")
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_PRODUCTS: Final = 20_000
MAX_WARRANTY_MONTHS: Final = 600
_WHERE: Final = "catalogue"
_BRAND_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
SKU: Final = re.compile(r"[A-Za-z0-9._/-]{1,64}\Z")
_SERIAL_PREFIX: Final = re.compile(r"[A-Z0-9]{1,8}\Z")
_GTIN_LENGTHS: Final = (8, 12, 13, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """Who issues: a stable id for serial numbers, and a name in each language."""

    brand_id: str
    names: Mapping[str, str]


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


def parse_assortment(data: bytes) -> Assortment:
    """Give the assortment in a JSON file.

    Raises `Malformed` naming the place of the first thing that is wrong.
    """
    document = parse_object(data, _WHERE, max_bytes=MAX_FILE_BYTES)
    brand = object_at(document, "brand", _WHERE)
    prices_include_tax = document.get("prices_include_tax", True)
    if not isinstance(prices_include_tax, bool):
        raise Malformed("true or false", "another value", f"{_WHERE}.prices_include_tax")
    products = _products(document)
    return Assortment(
        brand=Brand(
            brand_id=_matching(brand, "id", _BRAND_ID, f"{_WHERE}.brand"),
            names=_names(brand, f"{_WHERE}.brand"),
        ),
        products=products,
        prices_include_tax=prices_include_tax,
    )


def require_gtin(text: str, where: str) -> str:
    """Give `text` if it is a GTIN whose check digit is right (GS1 General Specifications, 7.9)."""
    if len(text) not in _GTIN_LENGTHS or not (text.isascii() and text.isdigit()):
        raise Malformed("a GTIN of 8, 12, 13 or 14 digits", f"{len(text)} characters", where)
    weighed = sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(reversed(text[:-1])))
    if (-weighed) % 10 != int(text[-1]):
        raise Malformed("a GTIN with its check digit", "another last digit", where)
    return text


def _products(document: JsonObject) -> dict[str, Product]:
    listed = list_at(document, "products", _WHERE)
    if not 1 <= len(listed) <= MAX_PRODUCTS:
        raise Malformed(f"1 to {MAX_PRODUCTS} products", f"{len(listed)}", f"{_WHERE}.products")
    products: dict[str, Product] = {}
    for i, value in enumerate(listed):
        where = f"{_WHERE}.products[{i}]"
        product = _product(as_object(value, where), where)
        if product.sku in products:
            raise Malformed("each SKU once", "one that stood before", f"{where}.sku")
        products[product.sku] = product
    return products


def _product(value: JsonObject, where: str) -> Product:
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


def _names(value: JsonObject, where: str) -> dict[str, str]:
    names = object_at(value, "name", where)
    return {language: text_at(names, language, f"{where}.name") for language in LANGUAGES}


def _matching(value: Mapping[str, Json], name: str, pattern: re.Pattern[str], where: str) -> str:
    text = text_at(value, name, where)
    if not pattern.match(text):
        raise Malformed(f"a text like {pattern.pattern[:-2]}", "another", f"{where}.{name}")
    return text
