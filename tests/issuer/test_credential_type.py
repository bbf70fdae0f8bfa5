"""A credential type's file: what it says, and everything that is wrong with one, by its place."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.concealment import conceal
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Algorithm
from counterfoil_issuer.catalogue import (
    STANDARD_TYPES,
    CatalogueFault,
    CredentialType,
    MalformedCatalogue,
    StatusUse,
    load_catalogue,
    parse_catalogue,
    parse_catalogue_files,
    sample_files,
)
from counterfoil_issuer.credential_type import MEMBERS, parse_type
from counterfoil_issuer.faults import Faults
from counterfoil_issuer.metadata import type_metadata
from counterfoil_issuer.products import LANGUAGES

from tests.issuer.brand import CATALOGUE

# What a test writes into a file is any JSON.
File: TypeAlias = dict[str, Any]

UBL = "urn:oasis:names:specification:ubl:schema:xsd:PurchaseReceipt-2#"


def sample(name: str = "warranty") -> File:
    document: File = json.loads(sample_files()[f"types/{name}.json"])
    return document


def faults_of(document: object) -> list[CatalogueFault]:
    faults = Faults("types/warranty.json")
    kind = parse_type(json.loads(json.dumps(document)), faults)
    assert (kind is None) is bool(faults.found)
    return faults.found


def parsed(document: File) -> CredentialType:
    faults = Faults("type.json")
    kind = parse_type(document, faults)
    assert kind is not None, faults.found
    return kind


def test_five_types_ship_and_each_is_whole() -> None:
    assert [*STANDARD_TYPES] == ["membership", "receipt", "ownership", "warranty", "tier"]
    for kind in STANDARD_TYPES.values():
        kind.check_claims(kind.sample)
        assert set(kind.names) == set(kind.descriptions) == set(LANGUAGES)
        assert kind.vct_of("https://audio.example") == f"https://audio.example/types/{kind.name}"
        for claim in kind.claims:
            assert set(claim.names) == set(LANGUAGES)
            assert values_at(kind.sample, claim.path), claim.path
        _, disclosures = conceal(kind.sample, kind.concealed, random=bytes)
        concealed = [value for path in kind.concealed for value in values_at(kind.sample, path)]
        assert len(disclosures) == len(concealed)


def test_what_must_be_seen_cannot_be_withheld_and_who_somebody_is_can() -> None:
    shown = {
        name: [claim.path[0] for claim in kind.claims if not claim.concealed]
        for name, kind in STANDARD_TYPES.items()
    }

    assert shown["membership"] == ["programme"]
    assert shown["receipt"] == ["currency", "lines", "lines", "lines"]
    assert shown["ownership"] == ["item"] * 4
    assert shown["warranty"] == ["item", "item", "item", "valid_until"]
    assert shown["tier"] == ["programme", "level", "valid_until"]


def test_each_claim_of_a_receipt_has_its_name_in_ubl() -> None:
    terms = [claim.term or "" for claim in STANDARD_TYPES["receipt"].claims]

    assert all(term.startswith(UBL) for term in terms)
    assert f"{UBL}cac:PurchaseReceiptLine/cbc:Quantity" in terms


def test_a_claim_that_every_credential_has_is_mandatory() -> None:
    mandatory = {claim.path for claim in STANDARD_TYPES["receipt"].claims if claim.mandatory}

    assert {("currency",), ("total",), ("lines", None), ("lines", None, "gtin")} <= mandatory
    assert not mandatory & {("buyer", "name"), ("place",), ("lines", None, "serial")}


@pytest.mark.parametrize(
    ("name", "ends"),
    [("membership", "2027-11-22"), ("receipt", "2036-11-19"), ("warranty", "2029-03-02")],
)
def test_a_credential_lasts_from_its_day_of_issue_or_from_a_day_that_it_names(
    name: str, ends: str
) -> None:
    kind = STANDARD_TYPES[name]
    evening = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)

    found = kind.validity.ends_at(kind.sample, evening)

    assert found == datetime.fromisoformat(f"{ends}T00:00:00+00:00")


def test_a_type_says_how_it_is_asked_for() -> None:
    document = sample() | {
        "vct": "urn:example:warranty",
        "status": "no",
        "deferred": True,
        "pinned": True,
        "batch_size": 3,
        "decoys_to": 5,
        "binds": ["jwk", "did:jwk"],
        "proof_types": {
            "attestation": {
                "proof_signing_alg_values_supported": ["ES256", "ES384"],
                "key_attestations_required": {"user_authentication": ["iso_18045_moderate"]},
            }
        },
    }
    kind = parsed(document)

    assert kind.vct_of("https://audio.example") == "urn:example:warranty"
    assert (kind.status, kind.deferred, kind.pinned) == (StatusUse.NONE, True, True)
    assert (kind.batch_size, kind.decoys_to, kind.binds) == (3, 5, ("jwk", "did:jwk"))
    proof = kind.proofs["attestation"]
    assert proof.algorithms == {Algorithm.ES256, Algorithm.ES384}
    assert proof.attested is not None
    assert proof.attested.user_authentication == ("iso_18045_moderate",)
    assert proof.attested.key_storage == ()


def test_what_a_file_leaves_out_is_the_plainest() -> None:
    optional = ("decoys_to", "status", "deferred", "batch_size", "pinned", "proof_types")
    kind = parsed({name: value for name, value in sample().items() if name not in optional})

    assert (kind.decoys_to, kind.batch_size, kind.deferred, kind.pinned) == (1, 1, False, False)
    assert kind.status is StatusUse.REVOCABLE
    assert [*kind.proofs] == ["jwt"]


def put(*path: str | int, value: object) -> Callable[[File], None]:
    def change(document: File) -> None:
        here: Any = document
        for step in path[:-1]:
            here = here[step]
        here[path[-1]] = value

    return change


def drop(*path: str | int) -> Callable[[File], None]:
    def change(document: File) -> None:
        here: Any = document
        for step in path[:-1]:
            here = here[step]
        del here[path[-1]]

    return change


ES256 = {"proof_signing_alg_values_supported": ["ES256"]}


WRONG: list[tuple[Callable[[File], None], str]] = [
    (put("name", value="Warranty"), "name"),
    (drop("vct"), "vct"),
    (put("vct", value="http://audio.example/types/warranty"), "vct"),
    (put("vct", value="warranty"), "vct"),
    (drop("display"), "display"),
    (drop("display", 1), "display"),
    (put("display", 1, "locale", value="en"), "display"),
    (put("display", 0, "locale", value="english language"), "display[0].locale"),
    (put("display", 0, "colour", value="#fff"), "display[0].colour"),
    (drop("display", 0, "description"), "display[0].description"),
    (
        put("display", 1, "rendering", "simple", "text_color", value="red"),
        "display[1].rendering.simple.text_color",
    ),
    (
        put("display", 0, "rendering", "simple", "logo", value={"uri": "http://x.example"}),
        "display[0].rendering.simple.logo.uri",
    ),
    (put("claims", 0, "path", value=["item", "colour"]), "claims[0].path"),
    (put("claims", 0, "path", value=[]), "claims[0].path"),
    (put("claims", 1, "path", value=["item", "name"]), "claims[1].path"),
    (put("claims", 5, "path", value=["scope", 0]), "claims[5].path"),
    (put("claims", 0, "sd", value="allowed"), "claims[0].sd"),
    (drop("claims", 0, "sd"), "claims[0].sd"),
    (drop("claims", 0, "display", 1), "claims[0].display"),
    (put("claims", 0, "mandatory", value=True), "claims[0].mandatory"),
    (put("claims", 0, "term", value="two words"), "claims[0].term"),
    (put("claims", 0, value="item"), "claims[0]"),
    (drop("claims", 4), "claims"),
    (drop("schema"), "schema"),
    (put("schema", "properties", "price", "maxLength", value=None), "schema.properties.price"),
    (put("decoys_to", value=0), "decoys_to"),
    (put("decoys_to", value=65), "decoys_to"),
    (put("batch_size", value=101), "batch_size"),
    (put("batch_size", value=True), "batch_size"),
    (put("deferred", value="no"), "deferred"),
    (put("pinned", value=1), "pinned"),
    (put("status", value="maybe"), "status"),
    (drop("validity"), "validity"),
    (put("validity", "days", value=0), "validity.days"),
    (put("validity", "months", value=1), "validity.months"),
    (put("validity", "after", value=["valid_from"]), "validity.after"),
    (put("validity", "after", value=["item", "name"]), "validity.after"),
    (put("validity", "after", value=["nothing"]), "validity.after"),
    (put("proof_types", value={}), "proof_types"),
    (put("proof_types", value={"di_vp": ES256}), "proof_types.di_vp"),
    (
        put("proof_types", "jwt", "proof_signing_alg_values_supported", value=["HS256"]),
        "proof_types.jwt.proof_signing_alg_values_supported",
    ),
    (
        put("proof_types", "jwt", "key_attestations_required", value={"key_storage": []}),
        "proof_types.jwt.key_attestations_required.key_storage",
    ),
    (put("binds", value=["cose_key"]), "binds"),
    (put("binds", value=[]), "binds"),
    (drop("sample"), "sample"),
    (put("sample", "valid_until", value="soon"), "sample.valid_until"),
    (put("sample", "owner", value="x"), "sample.owner"),
    (put("lifetime", value=1), "lifetime"),
]


@pytest.mark.parametrize(
    ("change", "path"), WRONG, ids=[f"{i}-{path}" for i, (_, path) in enumerate(WRONG)]
)
def test_a_file_that_is_wrong_in_one_thing_names_the_place(
    change: Callable[[File], None], path: str
) -> None:
    document = sample()
    assert not faults_of(document)
    change(document)

    found = faults_of(document)

    assert any(fault.path.startswith(path) for fault in found), found
    assert len(set(found)) == len(found)


def test_everything_wrong_in_all_files_is_told_with_file_type_and_path() -> None:
    tier, receipt = sample("tier"), sample("receipt")
    tier["batch_size"] = 0
    tier["status"] = "sometimes"
    receipt["sample"]["lines"][0]["gtin"] = "1"
    contents = {
        "catalogue.json": CATALOGUE.replace(b'"id": "audio"', b'"id": "AUDIO"').replace(
            b"4006381333931", b"4006381333932"
        ),
        "types/receipt.json": json.dumps(receipt).encode(),
        "types/tier.json": json.dumps(tier).encode(),
        "types/broken.json": b"{",
    }

    with pytest.raises(MalformedCatalogue) as refusal:
        parse_catalogue_files(contents)

    told = [(fault.file, fault.type_name, fault.path) for fault in refusal.value.faults]
    assert told == [
        ("catalogue.json", None, "brand.id"),
        ("catalogue.json", None, "products[0].gtin"),
        ("types/receipt.json", "receipt", "sample.lines[0].gtin"),
        ("types/tier.json", "tier", "batch_size"),
        ("types/tier.json", "tier", "status"),
        ("types/broken.json", None, ""),
    ]
    assert str(refusal.value).count("\n") == 5
    assert "types/tier.json: tier: status" in str(refusal.value)
    assert isinstance(refusal.value, Malformed)


def test_two_types_have_neither_one_name_nor_one_vct() -> None:
    warranty = json.dumps(sample()).encode()
    other = json.dumps(sample() | {"name": "other"}).encode()

    for second, place in ((warranty, "name"), (other, "vct")):
        with pytest.raises(MalformedCatalogue) as refusal:
            parse_catalogue_files({"catalogue.json": CATALOGUE, "a": warranty, "b": second})
        assert {fault.path for fault in refusal.value.faults} == {place}


def test_one_file_may_hold_the_types_too_and_none_means_those_that_ship() -> None:
    whole = json.dumps(json.loads(CATALOGUE) | {"types": [sample("tier")]}).encode()
    none = json.dumps(json.loads(CATALOGUE) | {"types": []}).encode()

    assert [*parse_catalogue(whole).types] == ["tier"]
    assert not parse_catalogue(none).types
    assert parse_catalogue(CATALOGUE).types == STANDARD_TYPES
    broken = json.dumps(json.loads(CATALOGUE) | {"types": [{"name": "tier"}]}).encode()
    with pytest.raises(MalformedCatalogue) as refusal:
        parse_catalogue(broken)
    assert refusal.value.faults[0].file == "catalogue.json: types[0]"


def test_a_brand_without_products_is_one_that_takes_in_no_orders() -> None:
    brand = json.loads(CATALOGUE)
    del brand["products"]

    assert parse_catalogue(json.dumps(brand).encode()).assortment.products == {}


def test_the_sample_catalogue_is_a_folder_that_can_be_loaded(tmp_path: Path) -> None:
    for name, data in sample_files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)

    assert set(load_catalogue(tmp_path).types) == set(STANDARD_TYPES)
    (tmp_path / "types" / "tier.json").unlink()
    assert set(load_catalogue(tmp_path).types) == set(STANDARD_TYPES) - {"tier"}
    assert load_catalogue(tmp_path / "catalogue.json").types == STANDARD_TYPES
    (tmp_path / "types" / "tier.json").write_bytes(b" " * 2_000_000)
    with pytest.raises(MalformedCatalogue) as refusal:
        load_catalogue(tmp_path)
    assert refusal.value.faults[0].file == "types/tier.json"


def test_a_file_that_is_no_object_is_told_as_such() -> None:
    others: tuple[object, ...] = ([], 7, None, "x")
    for document in others:
        (fault,) = faults_of(document)
        assert fault.expected == "an object"


def test_the_guides_catalogue_is_one_and_its_faults_are_told_as_it_says() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text()
    blocks = [block.partition("```")[0] for block in guide.split("```json")[1:]]
    catalogue, kind = (json.loads(block) for block in blocks)
    rows = [line for line in guide.splitlines() if line.startswith("|")][2:]
    table = [row.partition(" | ")[0].strip("| ") for row in rows]

    found = parse_catalogue_files(
        {
            "catalogue.json": json.dumps(catalogue).encode(),
            "types/s.json": json.dumps(kind).encode(),
        }
    )
    assert [*found.types] == ["student-price"]
    assert found.types["student-price"].concealed == (("name",),)
    told = {name.strip("`") for cell in table for name in cell.split(", ")}
    assert told == {*MEMBERS}
    tier: File = sample("tier") | {"batch_size": 0}
    del tier["claims"][1]["display"][1]
    with pytest.raises(MalformedCatalogue) as refusal:
        parse_catalogue_files(
            {"catalogue.json": CATALOGUE, "types/tier.json": json.dumps(tier).encode()}
        )
    assert sorted(str(refusal.value).splitlines()) == [
        *guide.partition("```text\n")[2].partition("\n```")[0].splitlines()
    ]


OTHERS: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**400, "", "x", "{issuer}/", "\x00", [], {}, [[]], [{}], [None],
    {"": 1}, {"$ref": "#/$defs/x"}, {"type": []}, {"type": "object"}, ["x", 0, None], "\U0001f600",
)  # fmt: skip


def steps_of(value: Any) -> list[Any]:  # noqa: ANN401  # any JSON
    """Give what leads one level down in a JSON value."""
    return [*value] if isinstance(value, dict) else [*range(len(value))]


def broken(document: File, random: Random) -> File:
    """Give `document` with another value somewhere in it."""
    here: Any = document
    while True:
        step = random.choice(steps_of(here))
        if not isinstance(here[step], dict | list) or not here[step] or random.random() < 0.2:
            here[step] = deepcopy(random.choice(OTHERS))
            return document
        here = here[step]


@pytest.mark.parametrize("name", STANDARD_TYPES)
def test_whatever_stands_anywhere_in_a_file_is_a_type_or_told(name: str) -> None:
    random = Random(name)
    for _ in range(150):
        document = broken(broken(sample(name), random), random)
        faults = Faults("type.json")
        kind = parse_type(document, faults)

        assert (kind is None) is bool(faults.found)
        if kind is not None:
            kind.check_claims(kind.sample)
            compact_json(type_metadata("https://audio.example", kind))
