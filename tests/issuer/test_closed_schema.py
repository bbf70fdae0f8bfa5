"""What a brand's schema may say, and what it says of claims: bounded, closed, and told in full."""

import time

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_issuer.closed_schema import (
    MAX_CLAIM_FAULTS,
    MAX_DEPTH,
    MAX_NODES,
    ClosedSchema,
    MalformedClaims,
    parse_schema,
)
from counterfoil_issuer.faults import Faults

TEXT: JsonObject = {"type": "string", "maxLength": 10}
COUNT: JsonObject = {"type": "integer", "minimum": 0, "maximum": 9}


def of(required: list[Json] | None = None, /, **properties: Json) -> JsonObject:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties},
        "required": required or [],
    }


GOOD = of(
    ["name", "parts"],
    name=TEXT,
    count=COUNT,
    new={"type": "boolean"},
    kind={"type": "string", "enum": ["a", "b"]},
    gtin={"type": "string", "format": "gtin"},
    paid={"type": "string", "format": "currency"},
    code={"type": "string", "pattern": "^[A-Z]{2}$", "maxLength": 2},
    parts={"type": "array", "minItems": 1, "maxItems": 3, "items": of(["sku"], sku=TEXT)},
    notes={"type": "array", "maxItems": 2, "uniqueItems": True, "items": TEXT},
)


def parsed(document: JsonObject) -> ClosedSchema:
    faults = Faults("type.json")
    schema = parse_schema(document, faults, "schema")
    assert schema is not None, faults.found
    return schema


def places_of_faults(document: JsonObject) -> list[str]:
    faults = Faults("type.json")
    assert parse_schema(document, faults, "schema") is None
    return [fault.path for fault in faults.found]


def faults_of(claims: JsonObject) -> list[tuple[str, str, str]]:
    with pytest.raises(MalformedClaims) as refusal:
        parsed(GOOD).check(claims)
    return [
        (".".join(map(str, fault.path)), fault.expected, fault.found)
        for fault in refusal.value.faults
    ]


def test_claims_as_the_schema_says_pass() -> None:
    schema = parsed(GOOD)

    schema.check({"name": "x", "parts": [{"sku": "1"}]})
    schema.check(
        {
            "name": "x" * 10,
            "count": 9,
            "new": False,
            "kind": "b",
            "gtin": "4006381333931",
            "paid": "EUR",
            "code": "DE",
            "parts": [{"sku": "1"}, {"sku": "2"}, {"sku": "3"}],
            "notes": ["a", "b"],
        }
    )


@pytest.mark.parametrize(
    ("name", "value", "place", "expected", "found"),
    [
        ("name", "x" * 11, "name", "at most 10 characters", "11"),
        ("name", 5, "name", "a text", "a number"),
        ("name", None, "name", "a text", "null"),
        ("count", 10, "count", "a number of at most 9", "a larger one"),
        ("count", -1, "count", "a number of at least 0", "a smaller one"),
        ("count", "1", "count", "a whole number", "a text"),
        ("count", 1.0, "count", "a whole number", "a fraction"),
        ("count", 1.5, "count", "a whole number", "a number"),
        ("count", 10**400, "count", "a number of at most 9", "a larger one"),
        ("name", 1.0, "name", "a text", "a number"),
        ("count", True, "count", "a whole number", "a boolean"),
        ("new", "true", "new", "true or false", "a text"),
        ("kind", "c", "kind", "one of a, b", "another value"),
        ("gtin", "4006381333932", "gtin", "a GTIN with its check digit", "another text"),
        ("paid", "EUX", "paid", "a currency code of ISO 4217", "another text"),
        ("code", "de", "code", "a text that matches ^[A-Z]{2}$", "another text"),
        ("parts", [], "parts", "at least 1 elements", "0"),
        ("parts", [{"sku": "1"}] * 4, "parts", "at most 3 elements", "4"),
        ("parts", [{"sku": "1"}, {}], "parts.1.sku", "a value", "nothing"),
        ("parts", [{"sku": "1", "x": 1}], "parts.0.x", "a claim of this type", "another"),
        ("parts", {"sku": "1"}, "parts", "a list", "an object"),
        ("notes", ["a", "a"], "notes", "each element once", "one twice"),
        ("more", 1, "more", "a claim of this type", "another"),
    ],
)
def test_one_thing_wrong_is_told_with_its_path_and_without_its_value(
    name: str, value: Json, place: str, expected: str, found: str
) -> None:
    claims: JsonObject = {"name": "x", "parts": [{"sku": "1"}], name: value}

    assert faults_of(claims) == [(place, expected, found)]


def test_everything_wrong_is_told_at_once_and_no_value_is_repeated() -> None:
    claims: JsonObject = {"count": 77, "kind": "Mira Sample", "parts": [{"sku": 1}], "notes": "x"}

    with pytest.raises(MalformedClaims) as refusal:
        parsed(GOOD).check(claims)

    paths = {fault.path for fault in refusal.value.faults}
    assert paths == {("name",), ("count",), ("kind",), ("parts", 0, "sku"), ("notes",)}
    text = str(refusal.value)
    assert "claims.parts[0].sku" in text
    assert "Mira" not in text
    assert "77" not in text


def test_what_no_signature_can_be_over_is_refused_whole() -> None:
    deep: Json = "x"
    for _ in range(5_000):
        deep = [deep]
    others: list[Json] = ["\ud800", float("nan"), float("inf"), deep]
    for value in others:
        assert faults_of({"name": value, "parts": [{"sku": "1"}]}) == [
            ("", "whole characters, finite numbers and few levels", "another value")
        ]


def test_no_more_faults_are_told_than_a_person_reads() -> None:
    many = parsed(of(n={"type": "array", "maxItems": 9_999, "items": TEXT}))

    with pytest.raises(MalformedClaims) as refusal:
        many.check({"n": [*range(5_000)]})

    assert len(refusal.value.faults) == MAX_CLAIM_FAULTS


def test_a_path_leads_to_what_the_schema_says_and_whether_it_must_be_there() -> None:
    schema = parsed(GOOD)

    def mandatory(*path: str | int | None) -> bool | None:
        place = schema.at(path)
        return None if place is None else place.mandatory

    assert mandatory("name") is True
    assert mandatory("count") is False
    assert mandatory("parts", None, "sku") is True
    assert mandatory("parts", 0, "sku") is True
    assert mandatory("parts", 1, "sku") is False
    assert mandatory("notes", None) is False
    for path in (("other",), ("name", "x"), ("name", 0), ("parts", "sku")):
        assert mandatory(*path) is None
    assert ("parts", None, "sku") in schema.leaves
    assert ("notes", None) in schema.leaves


def test_references_within_the_schema_are_put_in() -> None:
    schema = parsed(
        {
            **of(a={"$ref": "#/$defs/t"}, b={"$ref": "#/$defs/o"}),
            "$defs": {"t": TEXT, "o": of(c=TEXT)},
        }
    )

    schema.check({"a": "x", "b": {"c": "y"}})
    with pytest.raises(MalformedClaims):
        schema.check({"a": "x" * 11})


@pytest.mark.parametrize(
    ("document", "places"),
    [
        ({**GOOD, "additionalProperties": True}, ["schema.additionalProperties"]),
        (
            {k: v for k, v in GOOD.items() if k != "additionalProperties"},
            ["schema.additionalProperties"],
        ),
        (of(a=of()), ["schema.properties.a.properties"]),
        ({**GOOD, "anyOf": []}, ["schema.anyOf"]),
        ({**GOOD, "$id": "https://x.example"}, ["schema.$id"]),
        ({**GOOD, "$schema": "http://json-schema.org/draft-07/schema#"}, ["schema.$schema"]),
        ({**GOOD, "required": ["nothing"]}, ["schema.required"]),
        (of(a={"type": "string"}), ["schema.properties.a.maxLength"]),
        (of(a={"type": "string", "format": "email"}), ["schema.properties.a.maxLength"]),
        (
            of(a={"type": "string", "format": "ipv4", "maxLength": 9}),
            ["schema.properties.a.format"],
        ),
        (of(a={"type": "integer"}), ["schema.properties.a"]),
        (of(a={"type": "number", "maximum": 1}), ["schema.properties.a.type"]),
        (of(a={"type": ["string", "null"]}), ["schema.properties.a.type"]),
        (of(a={"type": "null"}), ["schema.properties.a.type"]),
        (of(a=True), ["schema.properties.a"]),
        (of(a={"type": "array", "items": TEXT}), ["schema.properties.a.maxItems"]),
        (of(a={"type": "array", "maxItems": 2}), ["schema.properties.a.items"]),
        (of(a={"type": "string", "maxLength": -1}), ["schema.properties.a.maxLength"]),
        (of(a={"type": "string", "maxLength": "1"}), ["schema.properties.a.maxLength"]),
        (of(iss=TEXT), ["schema.properties.iss"]),
        (of(vct=TEXT, status=TEXT), ["schema.properties.status", "schema.properties.vct"]),
        (of(_sd=TEXT), ["schema.properties"]),
        (of(a=of(**{"...": TEXT})), ["schema.properties.a.properties"]),
        (of(**{"a.b": TEXT}), ["schema.properties"]),
        (of(a={"$ref": "https://x.example/s"}), ["schema.properties.a.$ref"]),
        (of(a={"$ref": "#/properties/b"}), ["schema.properties.a.$ref"]),
        (of(a={"$ref": "#/$defs/b"}), ["schema.properties.a.$ref"]),
        (
            {**of(a={"$ref": "#/$defs/t", "maxLength": 1}), "$defs": {"t": TEXT}},
            ["schema.properties.a.$ref"],
        ),
        (TEXT, ["schema.type"]),
    ],
)
def test_a_schema_that_is_open_or_without_bounds_is_refused_by_its_place(
    document: JsonObject, places: list[str]
) -> None:
    assert places_of_faults(document) == places


@pytest.mark.parametrize(
    "pattern", ["(?=a)", r"(a)\1", "(", "x" * 501, "(a{1000}){1000}", r"(?<!a)b", 7]
)
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(pattern: Json) -> None:
    text: JsonObject = {"type": "string", "maxLength": 9, "pattern": pattern}

    assert places_of_faults(of(a=text)) == ["schema.properties.a.pattern"]


def test_a_pattern_that_ruins_a_backtracking_matcher_costs_nothing_here() -> None:
    schema = parsed(of(a={"type": "string", "maxLength": 60_000, "pattern": "^(a+)+$"}))
    begun = time.perf_counter()

    with pytest.raises(MalformedClaims):
        schema.check({"a": "a" * 50_000 + "b"})

    assert time.perf_counter() - begun < 1


def test_a_circle_of_references_is_refused_and_so_is_a_tower_of_them() -> None:
    circle: JsonObject = {
        **of(a={"$ref": "#/$defs/a"}),
        "$defs": {"a": of(b={"$ref": "#/$defs/a"})},
    }
    tower: JsonObject = {"t0": TEXT}
    for n in range(1, 14):
        tower[f"t{n}"] = of(a={"$ref": f"#/$defs/t{n - 1}"}, b={"$ref": f"#/$defs/t{n - 1}"})
    deep: JsonObject = TEXT
    for _ in range(MAX_DEPTH):
        deep = of(a=deep)
    wide = of(**{f"a{n}": TEXT for n in range(MAX_NODES)})

    assert places_of_faults(circle) == ["schema.properties.a.properties.b.$ref"]
    assert places_of_faults({**of(a={"$ref": "#/$defs/t13"}), "$defs": tower})
    assert len(places_of_faults(deep)) == 1
    assert places_of_faults(wide) == [f"schema.properties.a{MAX_NODES - 1}"]


def test_every_fault_of_a_schema_is_told() -> None:
    assert places_of_faults(of(["x"], a={"type": "string"}, b={"type": "array"}, c={})) == [
        "schema.properties.a.maxLength",
        "schema.properties.b.maxItems",
        "schema.properties.b.items",
        "schema.properties.c.type",
        "schema.required",
    ]
