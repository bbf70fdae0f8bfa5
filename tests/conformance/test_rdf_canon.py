"""The runner for a checkout of w3c/rdf-canon counts what is right, and names what is not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.rdf_canon import run_rdf_canon

pytestmark = pytest.mark.once


def test_the_published_entries_are_counted_and_a_wrong_one_is_named(
    vectors: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = vectors("rdf-canon")
    entries: list[dict[str, str]] = json.loads((folder / "manifest.json").read_text())
    checkout = tmp_path / "rdf-canon"
    (checkout / "tests").mkdir(parents=True)
    (checkout / "tests" / "rdfc10").symlink_to(folder / "rdfc10")
    manifest = checkout / "tests" / "manifest.jsonld"
    manifest.write_text(json.dumps({"entries": entries}))

    assert run_rdf_canon(checkout)[:3] == (len(entries), 0, 0)
    good, other = entries[0], entries[2]
    assert good["result"] != other["result"]
    manifest.write_text(json.dumps({"entries": [{**good, "result": other["result"]}, other]}))
    assert run_rdf_canon(checkout) == (1, 1, 0, [(good["id"], good["name"])])
    # Neither is a graph that goes through where a refusal is expected.
    negative = {**good, "type": "rdfc:RDFC10NegativeEvalTest"}
    manifest.write_text(json.dumps({"entries": [negative]}))
    assert run_rdf_canon(checkout).failed == 1
