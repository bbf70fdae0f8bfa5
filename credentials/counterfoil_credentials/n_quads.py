"""RDF quads as text: each term in its one canonical spelling, so that equal terms are equal texts.

    Quad("_:b0", "<https://a.example/p>", '"worn"', "")          # the default graph is ""

RDF 1.1 N-Quads; RDF Dataset Canonicalization 1.0, section 5 (canonical N-Quads).
"""

import re
from typing import Final, NamedTuple

from counterfoil_credentials.errors import Malformed

MAX_QUADS: Final = 10_000
XSD_STRING: Final = "http://www.w3.org/2001/XMLSchema#string"
LANG_STRING: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString"

_HEX: Final = r"\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}"
_IRI: Final = rf"<((?:[^\x00-\x20<>\"{{}}|^`\\]|{_HEX})*)>"
_BLANK: Final = r"(_:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?)"
_LITERAL: Final = rf"\"((?:[^\"\\\n\r]|\\[tbnrf\"'\\]|{_HEX})*)\""
_LANGUAGE: Final = r"@([A-Za-z]+(?:-[A-Za-z0-9]+)*)"
_QUAD: Final = re.compile(
    rf"[ \t]*(?:{_IRI}|{_BLANK})[ \t]*{_IRI}[ \t]*"
    rf"(?:{_IRI}|{_BLANK}|{_LITERAL}(?:\^\^{_IRI}|{_LANGUAGE})?)[ \t]*"
    rf"(?:{_IRI}|{_BLANK})?[ \t]*\.[ \t]*(?:#[^\n\r]*)?"
)
_NOTHING: Final = re.compile(r"[ \t]*(?:#[^\n\r]*)?")
_ESCAPE: Final = re.compile(rf"{_HEX}|\\.")
_SHORT: Final = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}
# What canonical N-Quads escapes: by one letter, or because XML 1.1 has no such character.
_ESCAPED: Final = re.compile(r"[\x00-\x1f\"\\\x7f\ufffe\uffff]")
_LETTERS: Final = {"\t": "\\t", "\b": "\\b", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
# An IRI may not hold these at all: with them, one term would read as two.
_NOT_IN_IRI: Final = re.compile(r"[\x00-\x20<>\"{}|^`\\\ufffe\uffff]")


class Quad(NamedTuple):
    """One statement; `graph` is empty for the default graph. Blank nodes begin with `_:`."""

    subject: str
    predicate: str
    object: str
    graph: str


def line(quad: Quad) -> str:
    """Give the canonical line of `quad`, with its end."""
    graph = f" {quad.graph}" if quad.graph else ""
    return f"{quad.subject} {quad.predicate} {quad.object}{graph} .\n"


def iri(text: str, where: str) -> str:
    """Give the term of an absolute IRI; `Malformed` for a relative one and for foreign signs."""
    if ":" not in text or _NOT_IN_IRI.search(text) is not None:
        raise Malformed("an absolute IRI", "another text", where)
    return f"<{text}>"


def literal(value: str, datatype: str = XSD_STRING, language: str = "") -> str:
    """Give the term of a literal, escaped as canonical N-Quads has it."""
    text = f'"{_ESCAPED.sub(_escape, value)}"'
    if language:
        return f"{text}@{language}"
    return text if datatype == XSD_STRING else f"{text}^^<{datatype}>"


# A surrogate alone has no bytes in UTF-8, and so no hash.
_HALF_A_PAIR: Final = re.compile("[\ud800-\udfff]")


def parse_n_quads(text: str, where: str) -> list[Quad]:
    """Give the quads in `text`, in their order; a statement that stands twice is there twice.

    Raises `Malformed` for what is no N-Quads, for relative IRIs, and for more than
    10,000 statements.
    """
    if _HALF_A_PAIR.search(text) is not None:
        raise Malformed("text of whole characters", "half a pair", where)
    quads: list[Quad] = []
    # `str.splitlines` would also break at characters that literals may hold.
    for number, each in enumerate(re.split(r"[\n\r]+", text), 1):
        found = _QUAD.fullmatch(each)
        if found is None:
            if _NOTHING.fullmatch(each) is None:
                raise Malformed("a statement of N-Quads", "another text", f"{where}:{number}")
            continue
        if len(quads) == MAX_QUADS:
            raise Malformed(f"at most {MAX_QUADS} statements", "more", where)
        place = f"{where}:{number}"
        subject, blank, predicate, *obj, graph, graph_blank = found.groups()
        quads.append(
            Quad(
                _node(subject, blank, place),
                iri(_unescaped(predicate, place), place),
                _object(obj, place),
                "" if graph is graph_blank is None else _node(graph, graph_blank, place),
            )
        )
    return quads


def _node(name: str | None, blank: str | None, where: str) -> str:
    return iri(_unescaped(name, where), where) if name is not None else str(blank)


def _object(parts: list[str | None], where: str) -> str:
    name, blank, value, datatype, language = parts
    if value is None:
        return _node(name, blank, where)
    kind = XSD_STRING if datatype is None else iri(_unescaped(datatype, where), where)[1:-1]
    return literal(_unescaped(value, where), kind, language or "")


def _unescaped(text: str, where: str) -> str:
    def character(escape: re.Match[str]) -> str:
        code = escape.group()[1:]
        if code[0] not in "uU":
            return _SHORT.get(code, code)
        number = int(code[1:], 16)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise Malformed("a character", "another code point", where)
        return chr(number)

    return _ESCAPE.sub(character, text) if "\\" in text else text


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    if character in '"\\':
        return f"\\{character}"
    return _LETTERS.get(character) or f"\\u{ord(character):04X}"
