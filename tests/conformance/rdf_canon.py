"""RDF Dataset Canonicalization's own tests, all of them, from a checkout of w3c/rdf-canon."""

import json
from hashlib import sha256, sha384
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Refused
from counterfoil_credentials.n_quads import parse_n_quads
from counterfoil_credentials.rdf_canonical import canonicalize

from tests.conformance.suites import Outcome

RDF_CANON: Final = "rdf-canon"
_EVAL: Final = "rdfc:RDFC10EvalTest"
_MAP: Final = "rdfc:RDFC10MapTest"
_NEGATIVE: Final = "rdfc:RDFC10NegativeEvalTest"


def run_rdf_canon(checkout: Path) -> Outcome:
    """Run every entry of `tests/manifest.jsonld`."""
    folder = checkout / "tests"
    entries: list[dict[str, str]] = json.loads((folder / "manifest.jsonld").read_text())["entries"]
    failures = [(entry["id"], entry["name"]) for entry in entries if not _is_right(entry, folder)]
    return Outcome(len(entries) - len(failures), len(failures), 0, failures)


def _is_right(entry: dict[str, str], folder: Path) -> bool:
    quads = parse_n_quads((folder / entry["action"]).read_text("utf-8"), entry["id"])
    hash_of = sha384 if entry.get("hashAlgorithm") == "SHA384" else sha256
    try:
        found = canonicalize(quads, entry["id"], hash_of=hash_of)
    except Refused:
        return entry["type"] == _NEGATIVE
    expected = (folder / entry["result"]).read_bytes() if "result" in entry else b""
    match entry["type"]:
        case kind if kind == _EVAL:
            return found.data == expected
        case kind if kind == _MAP:
            names = {old[2:]: new[2:] for old, new in found.names.items()}
            published: dict[str, str] = json.loads(expected)
            return names == published
        case _:
            return False
