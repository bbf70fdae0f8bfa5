"""What a brand issues, as data: its name and products, and its credential types.

    catalogue.json             {"brand": ..., "products": [...]}        see products.py
    types/membership.json      one credential type each                 see credential_type.py

One file may hold all: `catalogue.json` with `"types": [...]`. A brand that brings no
types issues the five that ship: membership, receipt, ownership, warranty and tier.

Everything that is wrong is told at once, each with its file, its type and its path.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject, list_at, parse_object
from counterfoil_credentials.errors import Malformed

from counterfoil_issuer.credential_type import (
    AcceptedProof,
    ClaimDescription,
    CredentialType,
    KeyProtection,
    StatusUse,
    Validity,
    parse_type,
)
from counterfoil_issuer.faults import CatalogueFault, Faults, MalformedCatalogue, require_none
from counterfoil_issuer.products import MAX_FILE_BYTES, Assortment, read_assortment

__all__ = [
    "CATALOGUE_FILE",
    "RECEIPT",
    "STANDARD_TYPES",
    "TYPES_FOLDER",
    "WARRANTY",
    "AcceptedProof",
    "Catalogue",
    "CatalogueFault",
    "ClaimDescription",
    "CredentialType",
    "KeyProtection",
    "MalformedCatalogue",
    "StatusUse",
    "Validity",
    "load_catalogue",
    "parse_catalogue",
    "parse_catalogue_files",
    "sample_files",
]

CATALOGUE_FILE: Final = "catalogue.json"
TYPES_FOLDER: Final = "types"
MAX_TYPES: Final = 100
MAX_TYPE_BYTES: Final = 1024 * 1024
_STANDARD: Final = ("membership", "receipt", "ownership", "warranty", "tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything a brand issues: its assortment, and the credential types by name."""

    assortment: Assortment
    types: Mapping[str, CredentialType]


def sample_files() -> dict[str, bytes]:
    """Give the sample catalogue, a file's contents by its name below the folder."""
    here = files("counterfoil_issuer")
    types = {
        f"{TYPES_FOLDER}/{name}.json": (here / TYPES_FOLDER / f"{name}.json").read_bytes()
        for name in _STANDARD
    }
    return {CATALOGUE_FILE: (here / "sample_catalogue.json").read_bytes(), **types}


def load_catalogue(place: Path) -> Catalogue:
    """Give the catalogue in a folder, or in one file; see `parse_catalogue_files`."""
    if not place.is_dir():
        return parse_catalogue_files({CATALOGUE_FILE: _read(place, MAX_FILE_BYTES)})
    found = sorted((place / TYPES_FOLDER).glob("*.json"))
    types = {f"{TYPES_FOLDER}/{each.name}": _read(each, MAX_TYPE_BYTES) for each in found}
    return parse_catalogue_files(
        {CATALOGUE_FILE: _read(place / CATALOGUE_FILE, MAX_FILE_BYTES), **types}
    )


def parse_catalogue(data: bytes) -> Catalogue:
    """Give the catalogue in one JSON file; see `parse_catalogue_files`."""
    return parse_catalogue_files({CATALOGUE_FILE: data})


def parse_catalogue_files(contents: Mapping[str, bytes]) -> Catalogue:
    """Give the catalogue in a folder's files: `catalogue.json`, and a type in each other one.

    Raises `MalformedCatalogue`, which is `Malformed` with everything that is wrong.
    """
    faults: list[CatalogueFault] = []
    brand = Faults(CATALOGUE_FILE, found=faults)
    document = brand.attempt(lambda: _object(contents[CATALOGUE_FILE], MAX_FILE_BYTES)) or {}
    assortment = read_assortment(document, brand) if document else None
    listed: list[Json] = []
    if "types" in document:
        listed = brand.attempt(lambda: list_at(document, "types", "")) or []
    others = {name: data for name, data in contents.items() if name != CATALOGUE_FILE}
    if not others and "types" not in document:
        require_none(faults)
        types = STANDARD_TYPES
    else:
        types = _types(others, {f"types[{i}]": value for i, value in enumerate(listed)}, faults)
    if assortment is None:
        require_none(faults)
        raise Malformed("a catalogue", "none", CATALOGUE_FILE)
    return Catalogue(assortment=assortment, types=types)


def _types(
    contents: Mapping[str, bytes], listed: Mapping[str, Json], found: list[CatalogueFault]
) -> Mapping[str, CredentialType]:
    """Give the types by name; raises when anything is wrong with one, or was before."""
    if len(contents) + len(listed) > MAX_TYPES:
        expected = f"at most {MAX_TYPES} credential types"
        Faults(TYPES_FOLDER, found=found).add("", expected, f"{len(contents) + len(listed)}")
        require_none(found)
    types: dict[str, CredentialType] = {}
    for faults, document in _documents(contents, listed, found):
        kind = parse_type(document, faults)
        if kind is not None and kind.name in types:
            faults.add("name", "each name once", "one that another type has")
        elif kind is not None:
            types[kind.name] = kind
    vcts = [kind.vct for kind in types.values()]
    for kind in types.values():
        if vcts.count(kind.vct) > 1:
            where = Faults(TYPES_FOLDER, kind.name, found)
            where.add("vct", "a vct that no other type has", "one that another has")
    require_none(found)
    return types


def _documents(
    contents: Mapping[str, bytes], listed: Mapping[str, Json], found: list[CatalogueFault]
) -> Iterator[tuple[Faults, Json]]:
    for name, data in contents.items():
        faults = Faults(name, found=found)
        read = faults.attempt(partial(_object, data, MAX_TYPE_BYTES))
        if read is not None:
            yield faults, read
    for place, document in listed.items():
        yield Faults(f"{CATALOGUE_FILE}: {place}", found=found), document


def _object(data: bytes, most: int) -> JsonObject:
    return parse_object(data, "", max_bytes=most)


def _read(place: Path, most: int) -> bytes:
    # One byte more than allowed tells a file that is too large.
    with place.open("rb") as file:
        return file.read(most + 1)


def _standard() -> Mapping[str, CredentialType]:
    data = {name: value for name, value in sample_files().items() if name != CATALOGUE_FILE}
    return _types(data, {}, [])


STANDARD_TYPES: Final = _standard()
"""The five types that ship, by name."""
RECEIPT: Final = STANDARD_TYPES["receipt"]
"""What an imported order says: what was bought."""
WARRANTY: Final = STANDARD_TYPES["warranty"]
"""What each unit of an imported order says whose product has a warranty."""
