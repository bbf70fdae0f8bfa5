"""Type metadata: what a credential type is called, looks like and demands (SD-JWT VC, section 5).

    parse_type_metadata    bytes  ─►  one document                  (here)
    resolve_type           vct  ─►  the type with all it extends    (type_chain.py)
    check_presented        type and credential  ─►  nothing, or Refused   (type_rules.py)

Whoever publishes a type writes these texts, colours and addresses, and may be
hostile. Here they are bounded and of the right shape, and stay plain data: a text
may hold markup, control characters and changes of direction. Whoever shows one
escapes it and cuts it to the space there is; whoever shows an SVG template runs
nothing in it, lets it load nothing, and escapes each claim put into it
(sections 5.5.1.2.2 and 7.6). Whoever fetches an image does so through the guarded
fetcher and checks `integrity` with `check_integrity`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from counterfoil_credentials.claims import ClaimPath, parse_path
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.integrity import parse_integrity

MAX_TYPE_METADATA_BYTES: Final = 262_144
MAX_VCT: Final = 2_048
_WHERE: Final = "type"
_MAX_CLAIMS: Final = 500
_MAX_LOCALES: Final = 200
_MAX_TEMPLATES: Final = 50
_MAX_NAME: Final = 500
_MAX_DESCRIPTION: Final = 5_000
_MAX_URL: Final = 2_048
_MAX_COLOUR: Final = 100

_LOCALE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,20}")
_SVG_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# Printable and with a host; what else makes an address good is the fetcher's business.
_HTTPS: Final = re.compile(r"https://[!-.0-~][!-~]*")
_DATA: Final = re.compile(r"data:[!-+\--~]*,[!-~]*")
_PROPERTIES: Final = ("orientation", "color_scheme", "contrast")
_NUMBER: Final = r"\s*[+-]?\d{1,9}\s*"
_PERCENT: Final = r"\s*[+-]?(?:\d{1,9}|\d{0,9}\.\d{1,9})%\s*"
# The RGB values of CSS Color 3, section 4.2.1.
_COLOUR: Final = re.compile(
    r"#(?:[0-9a-f]{3}|[0-9a-f]{6})"
    rf"|rgb\({_NUMBER},{_NUMBER},{_NUMBER}\)|rgb\({_PERCENT},{_PERCENT},{_PERCENT}\)",
    re.IGNORECASE | re.ASCII,
)


class Orientation(StrEnum):
    """How the screen is held for which an SVG template is made."""

    PORTRAIT = "portrait"
    LANDSCAPE = "landscape"


class ColourScheme(StrEnum):
    """The colour scheme for which an SVG template is made."""

    LIGHT = "light"
    DARK = "dark"


class Contrast(StrEnum):
    """The contrast for which an SVG template is made."""

    NORMAL = "normal"
    HIGH = "high"


class Concealment(StrEnum):
    """Whether the issuer makes a claim one that the holder can withhold (`sd`)."""

    ALWAYS = "always"
    ALLOWED = "allowed"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Image:
    """A picture at an https or data address, and the hash of its bytes."""

    url: str
    integrity: str | None = None
    alt_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleRendering:
    """A card in two colours (section 5.5.1.1)."""

    logo: Image | None = None
    background_image: Image | None = None
    background_colour: str | None = None
    text_colour: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SvgTemplate:
    """A picture with places for claims (section 5.5.1.2)."""

    url: str
    integrity: str | None = None
    orientation: Orientation | None = None
    colour_scheme: ColourScheme | None = None
    contrast: Contrast | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeDisplay:
    """What people who read `locale` see of the type."""

    locale: str
    name: str
    description: str | None = None
    simple: SimpleRendering | None = None
    svg_templates: tuple[SvgTemplate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLabel:
    """What people who read `locale` see of a claim."""

    locale: str
    label: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMetadata:
    """What a type says of the claims that `path` selects. None: the document does not say."""

    path: ClaimPath
    display: tuple[ClaimLabel, ...] | None = None
    mandatory: bool | None = None
    concealment: Concealment | None = None
    svg_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeMetadata:
    """One type. `display` is None where the document does not have it."""

    vct: str
    name: str | None = None
    description: str | None = None
    extends: str | None = None
    extends_integrity: str | None = None
    display: tuple[TypeDisplay, ...] | None = None
    claims: tuple[ClaimMetadata, ...] = ()


def parse_type_metadata(data: bytes) -> TypeMetadata:
    """Parse a type metadata document; members that it does not define are ignored.

    Raises `Malformed` for everything that section 5 forbids, and for a path or a
    locale that stands twice: of two descriptions nobody could say which holds.
    """
    document = parse_object(data, _WHERE, max_bytes=MAX_TYPE_METADATA_BYTES)
    claims = _each(document, "claims", _claim, _MAX_CLAIMS, _WHERE)
    _require_once([claim.path for claim in claims or ()], "claim path", f"{_WHERE}.claims")
    require_svg_ids_once(claims or ())
    return TypeMetadata(
        vct=_vct(text_at(document, "vct", _WHERE), f"{_WHERE}.vct"),
        name=_text(document, "name", _MAX_NAME, _WHERE),
        description=_text(document, "description", _MAX_DESCRIPTION, _WHERE),
        extends=_vct(text_at(document, "extends", _WHERE), f"{_WHERE}.extends")
        if "extends" in document
        else None,
        extends_integrity=_integrity(document, "extends#integrity", _WHERE),
        display=_locales(_each(document, "display", _type_display, _MAX_LOCALES, _WHERE), _WHERE),
        claims=claims or (),
    )


def require_svg_ids_once(claims: Sequence[ClaimMetadata]) -> None:
    """Return only if each `svg_id` names one claim (section 5.6)."""
    ids = [claim.svg_id for claim in claims if claim.svg_id is not None]
    _require_once(ids, "svg_id", f"{_WHERE}.claims")


def _type_display(shown: JsonObject, where: str) -> TypeDisplay:
    rendering = object_at(shown, "rendering", where) if "rendering" in shown else {}
    place = f"{where}.rendering"
    templates = _each(rendering, "svg_templates", _svg_template, _MAX_TEMPLATES, place) or ()
    if len(templates) > 1 and any(
        (one.orientation, one.colour_scheme, one.contrast) == (None,) * 3 for one in templates
    ):
        raise Malformed("properties for each of several templates", "none", place)
    return TypeDisplay(
        locale=_locale(shown, where),
        name=_name(shown, "name", where),
        description=_text(shown, "description", _MAX_DESCRIPTION, where),
        simple=_simple(object_at(rendering, "simple", place), f"{place}.simple")
        if "simple" in rendering
        else None,
        svg_templates=templates,
    )


def _simple(rendering: JsonObject, where: str) -> SimpleRendering:
    return SimpleRendering(
        logo=_image(rendering, "logo", where),
        background_image=_image(rendering, "background_image", where),
        background_colour=_colour(rendering, "background_color", where),
        text_colour=_colour(rendering, "text_color", where),
    )


def _image(rendering: JsonObject, name: str, where: str) -> Image | None:
    if name not in rendering:
        return None
    image, place = object_at(rendering, name, where), f"{where}.{name}"
    return Image(
        url=_url(image, place),
        integrity=_integrity(image, "uri#integrity", place),
        alt_text=_text(image, "alt_text", _MAX_NAME, place) if name == "logo" else None,
    )


def _svg_template(template: JsonObject, where: str) -> SvgTemplate:
    place = f"{where}.properties"
    has_properties = "properties" in template
    properties = object_at(template, "properties", where) if has_properties else {}
    if has_properties and properties.keys().isdisjoint(_PROPERTIES):
        raise Malformed(" or ".join(_PROPERTIES), "none of them", place)
    return SvgTemplate(
        url=_url(template, where),
        integrity=_integrity(template, "uri#integrity", where),
        orientation=_one_of(Orientation, properties, "orientation", place),
        colour_scheme=_one_of(ColourScheme, properties, "color_scheme", place),
        contrast=_one_of(Contrast, properties, "contrast", place),
    )


def _claim(claim: JsonObject, where: str) -> ClaimMetadata:
    mandatory = claim.get("mandatory", False)
    if not isinstance(mandatory, bool):
        raise Malformed("true or false", "another kind", f"{where}.mandatory")
    svg_id = optional_text_at(claim, "svg_id", where)
    if svg_id is not None and not _SVG_ID.fullmatch(svg_id):
        raise Malformed("letters, digits and _, no digit first", "another text", f"{where}.svg_id")
    return ClaimMetadata(
        path=parse_path(list_at(claim, "path", where), f"{where}.path"),
        display=_locales(_each(claim, "display", _claim_label, _MAX_LOCALES, where), where),
        mandatory=mandatory if "mandatory" in claim else None,
        concealment=_one_of(Concealment, claim, "sd", where),
        svg_id=svg_id,
    )


def _claim_label(shown: JsonObject, where: str) -> ClaimLabel:
    return ClaimLabel(
        locale=_locale(shown, where),
        label=_name(shown, "label", where),
        description=_text(shown, "description", _MAX_DESCRIPTION, where),
    )


_Part = TypeVar("_Part")
_Shown = TypeVar("_Shown", TypeDisplay, ClaimLabel)
_Choice = TypeVar("_Choice", bound=StrEnum)


def _each(
    obj: JsonObject, name: str, parse: Callable[[JsonObject, str], _Part], most: int, where: str
) -> tuple[_Part, ...] | None:
    if name not in obj:
        return None
    values: list[Json] = list_at(obj, name, where)
    if len(values) > most:
        raise Malformed(f"at most {most}", f"{len(values)}", f"{where}.{name}")
    places = (f"{where}.{name}[{i}]" for i in range(len(values)))
    return tuple(
        parse(as_object(value, place), place) for value, place in zip(values, places, strict=True)
    )


def _locales(shown: tuple[_Shown, ...] | None, where: str) -> tuple[_Shown, ...] | None:
    _require_once([one.locale.lower() for one in shown or ()], "locale", f"{where}.display")
    return shown


def _require_once(values: Sequence[object], what: str, where: str) -> None:
    if len(set(values)) != len(values):
        raise Malformed(f"each {what} once", "one twice", where)


def _locale(obj: JsonObject, where: str) -> str:
    locale = text_at(obj, "locale", where)
    if not _LOCALE.fullmatch(locale):
        raise Malformed("a language tag (RFC 5646)", "another text", f"{where}.locale")
    return locale


def _name(obj: JsonObject, name: str, where: str) -> str:
    return _bounded(text_at(obj, name, where), _MAX_NAME, f"{where}.{name}")


def _text(obj: JsonObject, name: str, most: int, where: str) -> str | None:
    text = optional_text_at(obj, name, where)
    return None if text is None else _bounded(text, most, f"{where}.{name}")


def _bounded(text: str, most: int, where: str) -> str:
    if len(text) > most:
        raise Malformed(f"at most {most} characters", f"{len(text)}", where)
    return text


def _vct(text: str, where: str) -> str:
    if not text:
        raise Malformed("a type", "an empty text", where)
    return _bounded(text, MAX_VCT, where)


def _url(obj: JsonObject, where: str) -> str:
    url = text_at(obj, "uri", where)
    if _HTTPS.fullmatch(url):
        return _bounded(url, _MAX_URL, f"{where}.uri")
    # A data URL is as long as its picture: the document's bound is its bound.
    if not _DATA.fullmatch(url):
        raise Malformed("an https or data URL", "another text", f"{where}.uri")
    return url


def _integrity(obj: JsonObject, name: str, where: str) -> str | None:
    text = optional_text_at(obj, name, where)
    return None if text is None else parse_integrity(text, f"{where}.{name}")


def _colour(obj: JsonObject, name: str, where: str) -> str | None:
    colour = _text(obj, name, _MAX_COLOUR, where)
    if colour is not None and not _COLOUR.fullmatch(colour):
        raise Malformed("an RGB colour", "another text", f"{where}.{name}")
    return colour


def _one_of(choices: type[_Choice], obj: JsonObject, name: str, where: str) -> _Choice | None:
    text = optional_text_at(obj, name, where)
    # To call `choices` would raise an error that quotes the text.
    found = next((choice for choice in choices if choice == text), None)
    if found is None and text is not None:
        raise Malformed(" or ".join(choices), "another text", f"{where}.{name}")
    return found
