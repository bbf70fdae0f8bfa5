"""Closed claims schemas: JSON Schema, draft 2020-12, of plain objects, lists and values.

    schema = parse_schema({"type": "object", "additionalProperties": False, ...}, faults)
    schema.check(claims)          # returns, or raises MalformedClaims: every path that is wrong

A brand writes the schema, so what it may say is bounded: each object lists its
members and allows no other, each list and text has a longest form, a `$ref` leads
to `#/$defs` and never round in a circle, and a pattern is matched in time linear
in the text (there is no backtracking, so no look-around either).
"""

import re
from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Final

import jsonschema_rs
from counterfoil_credentials.claims import ClaimPath, path_text
from counterfoil_credentials.digital_link import require_gtin
from counterfoil_credentials.encoding import Json, JsonObject, as_object, compact_json, kind_of
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.sdjwt import RESERVED
from counterfoil_credentials.spec import NEVER_CONCEALED
from jsonschema_rs import ValidationError, ValidationErrorKind

from counterfoil_issuer.faults import Faults
from counterfoil_issuer.money import DIGITS

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
MAX_NODES: Final = 2_000
MAX_DEPTH: Final = 8
MAX_PATTERN: Final = 500
MAX_CLAIM_FAULTS: Final = 100
_PATTERN_BYTES: Final = 1 << 20
_REGISTERED: Final = NEVER_CONCEALED | {"aud", "iat"}
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{0,63}\Z")
_REFERENCE: Final = re.compile(r"#/\$defs/([A-Za-z0-9_.-]{1,64})\Z")
_NOTES: Final = frozenset({"title", "description", "$comment", "examples"})
_KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format", "enum", "const"}),
    "integer": frozenset({"minimum", "maximum", "multipleOf", "enum", "const"}),
    "boolean": frozenset({"enum", "const"}),
}
_KINDS: Final[Mapping[str, str]] = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "boolean": "true or false",
}
_FORMATS: Final[Mapping[str, str]] = {
    "date": "a date like 2026-03-01",
    "date-time": "a time like 2026-03-01T11:34:56Z",
    "email": "an e-mail address",
    "uri": "a URL",
    "gtin": "a GTIN with its check digit",
    "currency": "a currency code of ISO 4217",
}
_SHORT_FORMATS: Final = frozenset({"date", "date-time", "gtin", "currency"})


@dataclass(frozen=True, slots=True)
class ClaimFault:
    """One thing wrong with claims: where, what was expected, and what kind of thing stood there."""

    path: ClaimPath
    expected: str
    found: str


class MalformedClaims(Malformed):
    """Claims that are not what their type says. `faults` are all of them, a hundred at most."""

    def __init__(self, faults: tuple[ClaimFault, ...]) -> None:
        super().__init__(faults[0].expected, faults[0].found, _where(faults[0]))
        self.faults = faults
        self.args = ("; ".join(str(Malformed(f.expected, f.found, _where(f))) for f in faults),)


@dataclass(frozen=True, slots=True)
class Place:
    """What a schema says of the claims that a path selects."""

    schema: JsonObject
    mandatory: bool

    @property
    def kind(self) -> str:
        """Give the JSON Schema type: object, array, string, integer or boolean."""
        return str(self.schema["type"])


@dataclass(frozen=True, slots=True)
class ClosedSchema:
    """A schema with its references put in. `leaves` are the paths of its values, in order."""

    document: JsonObject = field(repr=False)
    leaves: tuple[ClaimPath, ...]
    _validator: jsonschema_rs.Draft202012Validator = field(repr=False)

    def check(self, claims: JsonObject) -> None:
        """Return only if `claims` are what the schema says; raises `MalformedClaims`."""
        faults: list[ClaimFault] = []
        if not _can_be_written(claims):
            expected = "whole characters, finite numbers and few levels"
            raise MalformedClaims((ClaimFault((), expected, "another value"),))
        if not self._validator.is_valid(claims):
            for error in self._validator.iter_errors(claims):
                faults += _claim_faults(error)
                if len(faults) >= MAX_CLAIM_FAULTS:
                    break
        # 1.0 is an integer to JSON Schema, and another text to a signature.
        told = {fault.path for fault in faults}
        for path in _fractions(claims):
            if path not in told:
                faults.append(ClaimFault(path, "a whole number", "a fraction"))
        if faults:
            raise MalformedClaims(tuple(faults[:MAX_CLAIM_FAULTS]))

    def at(self, path: ClaimPath) -> Place | None:
        """Give what the schema says at `path`, or None where it allows nothing."""
        node, mandatory = self.document, True
        for step in path:
            if isinstance(step, str):
                below = as_object(node.get("properties", {}), "schema").get(step)
                mandatory = mandatory and step in _texts(node.get("required"))
            else:
                below = node.get("items")
                least = node.get("minItems", 0)
                mandatory = mandatory and isinstance(least, int) and least > (step or 0)
            if not isinstance(below, dict):
                return None
            node = below
        return Place(node, mandatory)


def parse_schema(document: JsonObject, faults: Faults, where: str) -> ClosedSchema | None:
    """Give the schema, or None; each thing that is wrong with it is in `faults` then."""
    before = faults.count
    reader = _Reader(document, faults)
    whole = reader.read({k: v for k, v in document.items() if k not in ("$schema", "$defs")}, where)
    if document.get("$schema", DRAFT) != DRAFT:
        faults.add(f"{where}.$schema", DRAFT, "another draft")
    if faults.count > before:
        return None
    if whole["type"] != "object":
        faults.add(f"{where}.type", "object: claims have names", str(whole["type"]))
        return None
    for name in sorted(_REGISTERED & as_object(whole["properties"], where).keys()):
        expected = "a name that no registered claim has (SD-JWT VC, section 2.2.2)"
        faults.add(f"{where}.properties.{name}", expected, name)
    # The keywords' own values: a negative length, a bound that is a text.
    for error in _META.iter_errors(whole):
        faults.add(_below(where, error), "a value that this keyword may have", "another")
    if faults.count > before:
        return None
    return ClosedSchema(whole, tuple(_leaves(whole, ())), _compiled(whole))


class _Reader:
    """One run over a schema: checks each node and puts the references in."""

    def __init__(self, document: JsonObject, faults: Faults) -> None:
        self._faults = faults
        self._nodes = 0
        definitions = document.get("$defs", {})
        self._definitions = definitions if isinstance(definitions, dict) else {}
        self._open: list[str] = []

    def read(self, node: Json, where: str, depth: int = 1) -> JsonObject:
        self._nodes += 1
        if self._nodes == MAX_NODES + 1:
            self._faults.add(where, f"at most {MAX_NODES} parts, references put in", "more")
        if self._nodes > MAX_NODES:
            return {}
        if depth > MAX_DEPTH:
            self._faults.add(where, f"at most {MAX_DEPTH} levels", "more")
            return {}
        if not isinstance(node, dict):
            self._faults.add(where, "an object", kind_of(node))
            return {}
        if "$ref" in node:
            return self._referred(node, where, depth)
        kind = node.get("type")
        if not isinstance(kind, str) or kind not in _KEYWORDS:
            self._faults.add(f"{where}.type", "one of " + ", ".join(_KEYWORDS), _said(kind))
            return {}
        for keyword in node.keys() - _KEYWORDS[kind] - _NOTES - {"type"}:
            expected = f"the keywords of {kind}: " + ", ".join(sorted(_KEYWORDS[kind]))
            self._faults.add(f"{where}.{keyword}", expected, "another keyword")
        read = {keyword: value for keyword, value in node.items() if keyword not in _NOTES}
        match kind:
            case "object":
                self._object(read, where, depth)
            case "array":
                if "maxItems" not in read:
                    self._faults.add(f"{where}.maxItems", "the most elements", "nothing")
                read["items"] = self.read(read.get("items"), f"{where}.items", depth + 1)
            case "string":
                self._text(read, where)
            case "integer":
                if (
                    not {"enum", "const"} & read.keys()
                    and not {"minimum", "maximum"} <= read.keys()
                ):
                    self._faults.add(where, "minimum and maximum", "not both")
            case _:
                pass
        return read

    def _referred(self, node: JsonObject, where: str, depth: int) -> JsonObject:
        found = _REFERENCE.match(str(node["$ref"]))
        if found is None or found[1] not in self._definitions or node.keys() - _NOTES - {"$ref"}:
            expected = "a reference to #/$defs of this schema, alone"
            self._faults.add(f"{where}.$ref", expected, "another, or one with company")
            return {}
        if found[1] in self._open:
            self._faults.add(f"{where}.$ref", "no circle of references", "one")
            return {}
        self._open.append(found[1])
        read = self.read(self._definitions[found[1]], where, depth)
        self._open.pop()
        return read

    def _object(self, read: JsonObject, where: str, depth: int) -> None:
        if read.get("additionalProperties") is not False:
            self._faults.add(f"{where}.additionalProperties", "false", "another value, or nothing")
        properties = read.get("properties")
        if not isinstance(properties, dict) or not properties:
            self._faults.add(f"{where}.properties", "an object with members", kind_of(properties))
            return
        for name in properties:
            if name in RESERVED or not _NAME.match(name):
                expected = "a name of letters, digits and _ : -, letter first, 64 at most"
                self._faults.add(f"{where}.properties", expected, "another name")
        read["properties"] = {
            name: self.read(below, f"{where}.properties.{name}", depth + 1)
            for name, below in properties.items()
        }
        required = read.get("required", [])
        for needed in required if isinstance(required, list) else [required]:
            if not isinstance(needed, str) or needed not in properties:
                self._faults.add(f"{where}.required", "names of properties", "another")

    def _text(self, read: JsonObject, where: str) -> None:
        bounded = {"maxLength", "enum", "const"} & read.keys()
        form = read.get("format")
        if form is not None and (not isinstance(form, str) or form not in _FORMATS):
            expected = "one of " + ", ".join(_FORMATS)
            self._faults.add(f"{where}.format", expected, _said(form))
        elif not bounded and form not in _SHORT_FORMATS:
            self._faults.add(f"{where}.maxLength", "the most characters", "nothing")
        if "pattern" in read and not _is_linear_pattern(read["pattern"]):
            expected = f"a pattern without look-around and back-reference, {MAX_PATTERN} at most"
            self._faults.add(f"{where}.pattern", expected, "another")


_OPTIONS: Final = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES)


def _is_linear_pattern(pattern: Json) -> bool:
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
        return False
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=_OPTIONS)
    except ValidationError:
        return False
    return True


def _is_gtin(text: str) -> bool:
    try:
        require_gtin(text, "gtin")
    except Malformed:
        return False
    return True


def _compiled(schema: JsonObject) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        schema,
        formats={"gtin": _is_gtin, "currency": DIGITS.__contains__},
        validate_formats=True,
        ignore_unknown_formats=False,
        pattern_options=_OPTIONS,
        offline=True,
    )


_META: Final = jsonschema_rs.Draft202012Validator({"$ref": DRAFT}, offline=True)


def _leaves(node: JsonObject, path: ClaimPath) -> Iterator[ClaimPath]:
    match node["type"]:
        case "object":
            for name, below in as_object(node["properties"], "schema").items():
                yield from _leaves(as_object(below, "schema"), (*path, name))
        case "array":
            yield from _leaves(as_object(node["items"], "schema"), (*path, None))
        case _:
            yield path


def _can_be_written(claims: JsonObject) -> bool:
    try:
        compact_json(claims)
    except Misuse:
        return False
    return True


def _fractions(value: Json, path: ClaimPath = ()) -> Iterator[ClaimPath]:
    match value:
        case float():
            yield path
        case dict():
            for name, member in value.items():
                yield from _fractions(member, (*path, name))
        case list():
            for i, element in enumerate(value):
                yield from _fractions(element, (*path, i))
        case _:
            return


def _claim_faults(error: ValidationError) -> Iterator[ClaimFault]:
    """Say what is wrong without the value: the library's own texts quote it."""
    path = tuple(error.instance_path)
    value = error.instance
    match error.kind:
        case ValidationErrorKind.Required(property=name):
            yield ClaimFault((*path, name), "a value", "nothing")
        case ValidationErrorKind.AdditionalProperties(unexpected=names):
            for name in names:
                yield ClaimFault((*path, name), "a claim of this type", "another")
        case ValidationErrorKind.Type(types=types):
            yield ClaimFault(path, " or ".join(_KINDS[kind] for kind in types), kind_of(value))
        case ValidationErrorKind.Format(format=name):
            yield ClaimFault(path, _FORMATS[name], "another text")
        case ValidationErrorKind.Pattern(pattern=pattern):
            yield ClaimFault(path, f"a text that matches {pattern}", "another text")
        case ValidationErrorKind.Enum(options=options):
            yield ClaimFault(path, "one of " + ", ".join(map(str, options)), "another value")
        case ValidationErrorKind.Constant(expected_value=only):
            yield ClaimFault(path, str(only), "another value")
        case ValidationErrorKind.MaxLength(limit=limit):
            yield ClaimFault(path, f"at most {limit} characters", _size(value))
        case ValidationErrorKind.MinLength(limit=limit):
            yield ClaimFault(path, f"at least {limit} characters", _size(value))
        case ValidationErrorKind.MaxItems(limit=limit):
            yield ClaimFault(path, f"at most {limit} elements", _size(value))
        case ValidationErrorKind.MinItems(limit=limit):
            yield ClaimFault(path, f"at least {limit} elements", _size(value))
        case ValidationErrorKind.Maximum(limit=limit):
            yield ClaimFault(path, f"a number of at most {limit}", "a larger one")
        case ValidationErrorKind.Minimum(limit=limit):
            yield ClaimFault(path, f"a number of at least {limit}", "a smaller one")
        case ValidationErrorKind.MultipleOf(multiple_of=factor):
            yield ClaimFault(path, f"a multiple of {factor}", "another number")
        case ValidationErrorKind.UniqueItems():
            yield ClaimFault(path, "each element once", "one twice")
        case kind:
            yield ClaimFault(path, f"what {kind.name} says", "another value")


def _size(value: object) -> str:
    return str(len(value)) if isinstance(value, Sized) else "another kind"


def _said(value: Json) -> str:
    return "another text" if isinstance(value, str) else kind_of(value)


def _texts(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _where(fault: ClaimFault) -> str:
    return f"claims.{path_text(fault.path)}" if fault.path else "claims"


def _below(where: str, error: ValidationError) -> str:
    return ".".join([where, *map(str, error.instance_path)])
