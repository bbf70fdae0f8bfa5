"""RDF Dataset Canonicalization: the W3C's entries, and graphs that are made to take for ever."""

import json
import random
import time
from collections.abc import Callable
from hashlib import sha256, sha384
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.n_quads import MAX_QUADS, Quad, iri, line, literal, parse_n_quads
from counterfoil_credentials.rdf_canonical import canonicalize

from tests.credentials.provers import Object

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]
P = "<urn:p>"


def test_the_published_entries_come_out_as_they_should(vectors: Vectors) -> None:
    folder = vectors("rdf-canon")
    entries: list[Object] = json.loads((folder / "manifest.json").read_text())
    assert len(entries) == 45
    wrong: list[str] = []
    for entry in entries:
        quads = parse_n_quads((folder / entry["action"]).read_text("utf-8"), entry["id"])
        hash_of = sha384 if entry.get("hashAlgorithm") == "SHA384" else sha256
        if entry["type"] == "rdfc:RDFC10NegativeEvalTest":
            with pytest.raises(Refused, match="told apart"):
                canonicalize(quads, entry["id"], hash_of=hash_of)
            continue
        found = canonicalize(quads, entry["id"], hash_of=hash_of)
        expected = (folder / entry["result"]).read_bytes()
        if entry["type"] == "rdfc:RDFC10MapTest":
            names = {old[2:]: new[2:] for old, new in found.names.items()}
            right = names == json.loads(expected)
        else:
            right = found.data == expected
        if not right:
            wrong.append(entry["id"])

    assert not wrong


def test_neither_order_nor_names_of_blank_nodes_change_the_form() -> None:
    quads = [
        Quad("_:a", P, "_:b", ""),
        Quad("_:b", P, "_:c", "_:g"),
        Quad("_:c", P, "_:a", ""),
        Quad("_:c", P, literal("worn"), "_:g"),
        Quad("_:d", P, "_:d", ""),
        Quad("_:e", P, "_:e", ""),
    ]
    form = canonicalize(quads, "quads").data
    dice = random.Random(7)
    for _ in range(20):
        nodes = [f"_:n{i}" for i in range(6)]
        dice.shuffle(nodes)
        renamed = dict(zip(["_:a", "_:b", "_:c", "_:d", "_:e", "_:g"], nodes, strict=True))
        others = [Quad(*(renamed.get(term, term) for term in quad)) for quad in quads]
        dice.shuffle(others)

        assert canonicalize(others, "quads").data == form


def clique(size: int) -> list[Quad]:
    nodes = [f"_:e{i}" for i in range(size)]
    return [Quad(a, P, b, "") for a in nodes for b in nodes]


def circle(size: int) -> list[Quad]:
    return [Quad(f"_:e{i}", P, f"_:e{(i + 1) % size}", "") for i in range(size)]


POISON = {
    "a clique of ten": clique(10),
    "a clique of a hundred": clique(100),
    "a circle of two hundred": circle(200),
    "a circle of all that may be": circle(MAX_QUADS),
    "a star whose rays are pairs": [
        quad
        for i in range(3_000)
        for quad in (Quad("_:hub", P, f"_:a{i}", ""), Quad(f"_:a{i}", P, f"_:b{i % 50}", ""))
    ],
}


@pytest.mark.parametrize("name", POISON)
def test_a_graph_made_to_take_for_ever_is_refused_soon(name: str) -> None:
    # The processor's own time, which does not hang on what else the machine does.
    began = time.process_time()

    with pytest.raises(Refused) as refusal:
        canonicalize(POISON[name], "poison")

    assert refusal.value.codes == ["rdf-too-intricate"]
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        "<urn:a> <urn:p> <urn:b>",
        "<urn:a> <urn:p> .",
        "<relative> <urn:p> <urn:b> .",
        '<urn:a> <urn:p> "open .',
        '<urn:a> <urn:p> "\\x" .',
        '<urn:a> <urn:p> "\\uD800" .',
        '<urn:a> <urn:p> "\\U00110000" .',
        "<urn:a b> <urn:p> <urn:b> .",
        "<urn:\\u0020> <urn:p> <urn:b> .",
        "<urn:\\u003e> <urn:p> <urn:b> .",
        '"literal" <urn:p> <urn:b> .',
        "<urn:\udca4> <urn:p> <urn:b> .",
        '<urn:a> <urn:p> "half a pair \ud83c" .',
        "_:a _:p <urn:b> .",
        '<urn:a> <urn:p> "a"@ .',
        '<urn:a> <urn:p> "a"^^<relative> .',
        "<urn:a> <urn:p> <urn:b> . <urn:a> <urn:p> <urn:c> .",
    ],
)
def test_what_is_no_statement_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_n_quads(text, "quads")


def test_statements_beyond_the_limit_are_not_read() -> None:
    text = "<urn:a> <urn:p> <urn:b> .\n" * MAX_QUADS

    assert len(parse_n_quads(text, "quads")) == MAX_QUADS
    with pytest.raises(Malformed, match="10000"):
        parse_n_quads(text + "<urn:a> <urn:p> <urn:b> .", "quads")


@pytest.mark.parametrize("value", ["\x85", " ", "\x00\x1f\x7f", "\ufffe", 'a"b\\c', "🌃"])
def test_each_text_is_read_back_from_its_line(value: str) -> None:
    quad = Quad("<urn:a>", P, literal(value, language="en"), "")

    assert line(quad).count("\n") == 1
    assert parse_n_quads(line(quad), "quads") == [quad]


@pytest.mark.parametrize("text", ["relative", "urn:a b", "urn:a\n", "urn:a>", "urn:\\u0020", ""])
def test_an_iri_never_reads_as_two_terms(text: str) -> None:
    with pytest.raises(Malformed):
        iri(text, "term")
