"""What the pages load in a browser is in the package, whole, with its licence."""

import hashlib
import json
import re
from base64 import b64encode
from importlib.resources import files
from pathlib import Path

import pytest

VENDORED = files("counterfoil_demo").joinpath("vendored")
VERSIONS = json.loads(VENDORED.joinpath("versions.json").read_text("utf-8"))
LOCKED = json.loads(
    (Path(__file__).parents[2] / "demo_app/npm/package-lock.json").read_text("utf-8")
)["packages"]


@pytest.mark.parametrize("name", sorted(VERSIONS))
def test_a_vendored_file_is_the_one_that_was_gathered(name: str) -> None:
    found = VENDORED.joinpath(name).read_bytes()

    digest = b64encode(hashlib.sha384(found).digest()).decode()

    assert VERSIONS[name]["integrity"] == f"sha384-{digest}"


@pytest.mark.parametrize("name", sorted(VERSIONS))
def test_a_vendored_file_has_the_version_of_the_lock_file(name: str) -> None:
    locked = LOCKED[f"node_modules/{VERSIONS[name]['package']}"]

    assert VERSIONS[name]["version"] == locked["version"]
    assert VERSIONS[name]["license"] == locked["license"]


@pytest.mark.parametrize("name", sorted(VERSIONS))
def test_a_vendored_file_has_its_licence_beside_it(name: str) -> None:
    text = VENDORED.joinpath(VERSIONS[name]["licence"]).read_text("utf-8")

    assert re.search(r"MIT License|Zero-Clause BSD", text)


def test_nothing_is_vendored_that_nobody_gathered() -> None:
    kept = {entry.name for entry in VENDORED.iterdir()}
    licences = {entry["licence"] for entry in VERSIONS.values()}

    assert kept == {*VERSIONS, *licences, "versions.json"}
