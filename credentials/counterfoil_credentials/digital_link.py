"""The product that a GS1 Digital Link names: what stands in the QR code on a box.

    https://id.example/01/09506000134352/10/AB-1/21/12345

GS1 Digital Link Standard, URI Syntax 1.2: a primary key (here the GTIN, AI 01), then
its qualifiers in their order. Any host may stand in front, with a path of its own. A
link proves nothing about the product that carries it.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from counterfoil_credentials.errors import Malformed

_WHERE: Final = "digital_link"
_MAX_LINK: Final = 2_048
_GTIN: Final = "01"
_GTIN_LENGTHS: Final = frozenset({8, 12, 13, 14})
# GS1 General Specifications, section 7.11: the characters of an element, at most 20 here.
_ELEMENT: Final = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]{1,20}\Z")
_VARIANT: Final = "22"
_LOT: Final = "10"
_SERIAL: Final = "21"
_QUALIFIERS: Final = (_VARIANT, _LOT, _SERIAL)


@dataclass(frozen=True, slots=True)
class DigitalLink:
    """A product's link. `gtin` has 14 digits; `serial` names the one item."""

    url: str
    gtin: str
    variant: str | None = None
    lot: str | None = None
    serial: str | None = None


def require_gtin(text: str, where: str) -> str:
    """Give `text` if it is a GTIN whose check digit is right (GS1 General Specifications, 7.9)."""
    if len(text) not in _GTIN_LENGTHS or not (text.isascii() and text.isdigit()):
        raise Malformed("a GTIN of 8, 12, 13 or 14 digits", f"{len(text)} characters", where)
    weighed = sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(reversed(text[:-1])))
    if (-weighed) % 10 != int(text[-1]):
        raise Malformed("a GTIN with its check digit", "another last digit", where)
    return text


def parse_digital_link(url: str) -> DigitalLink:
    """Give the product that `url` names; `Malformed` for every other link.

    Attributes in the query (best before, weight) are not read.
    """
    if len(url) > _MAX_LINK or not url.isascii():
        raise Malformed(f"at most {_MAX_LINK} characters of ASCII", "others", _WHERE)
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise Malformed("a link", "another text", _WHERE) from None
    if parts.scheme not in ("https", "http") or not host:
        raise Malformed("a web link", "another text", _WHERE)
    segments = parts.path.split("/")[1:]
    for start in range(len(segments) - 2, -1, -1):
        # From the right: what stands before the key is the host's own path.
        if segments[start] == _GTIN and (len(segments) - start) % 2 == 0:
            gtin = require_gtin(segments[start + 1], f"{_WHERE}.01")
            found = _qualifiers(segments[start + 2 :])
            return DigitalLink(
                url=url,
                gtin=gtin.zfill(14),
                variant=found.get(_VARIANT),
                lot=found.get(_LOT),
                serial=found.get(_SERIAL),
            )
    raise Malformed("a GTIN (AI 01) in the path", "none", _WHERE)


def _qualifiers(segments: list[str]) -> dict[str, str]:
    names, values = segments[::2], segments[1::2]
    if names != [name for name in _QUALIFIERS if name in names]:
        raise Malformed("qualifiers of a GTIN in their order", "others", _WHERE)
    found: dict[str, str] = {}
    for name, value in zip(names, values, strict=True):
        try:
            text = unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise Malformed("characters of GS1", "others", f"{_WHERE}.{name}") from None
        if not _ELEMENT.match(text):
            raise Malformed("1 to 20 characters of GS1", "others", f"{_WHERE}.{name}")
        found[name] = text
    return found
