"""A document as signed statements, and which of them each JSON Pointer shows.

    stated = Stated.of(document, contexts, hmac_labels(key), "document")
    stated.lines                         # canonical N-Quads, every node under its own label
    stated.shown_by(["/issuer"])         # which lines that part of the document says

Data Integrity ECDSA Cryptosuites 1.0, section 3.4 (`canonicalizeAndGroup` and what it needs).
There every node of the expanded document is given a name and the document is compacted anew,
which may move what pointers point at. Here each node is named where it stands; what has no
node of its own, or one that nothing names (lists, graphs), is told by where the names arrive.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from counterfoil_credentials.encoding import Json, JsonObject, b64url
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.json_selection import select
from counterfoil_credentials.n_quads import Quad, line
from counterfoil_credentials.rdf_canonical import canonicalize

_NO_NODE: Final = frozenset({"@value", "@list"})

Labels: TypeAlias = Mapping[str, str]
"""Nodes by their names, each with or without its `_:`: see where it is used."""


class Quads(Protocol):
    """What makes statements of a document: `FrozenContexts` does."""

    def quads(self, document: JsonObject, where: str) -> list[Quad]: ...


LabelsFor: TypeAlias = Callable[[Iterable[str]], dict[str, str]]
"""Gives a label to each canonical name (`c14n0`), both without `_:`."""


def hmac_labels(key: bytes) -> LabelsFor:
    """Name nodes by the HMAC-SHA-256 of their canonical names (`createHmacIdLabelMapFunction`)."""

    def labels(names: Iterable[str]) -> dict[str, str]:
        return {name: f"u{b64url(hmac.digest(key, name.encode(), 'sha256'))}" for name in names}

    return labels


def shuffled_labels(key: bytes) -> LabelsFor:
    """Name nodes by the order of their HMACs alone (`createShuffledIdLabelMapFunction`).

    A node's HMAC would be the same in each showing, and join them. Data Integrity BBS
    Cryptosuites 1.0, section 3.2.1.
    """

    def labels(names: Iterable[str]) -> dict[str, str]:
        by_name = hmac_labels(key)(names)
        places = {label: place for place, label in enumerate(sorted(by_name.values()))}
        return {name: f"b{places[label]}" for name, label in by_name.items()}

    return labels


@dataclass(frozen=True, slots=True)
class Stated:
    """All that a document says: `lines` in order, and `labels` from our names to theirs."""

    lines: tuple[str, ...] = field(repr=False)
    labels: dict[str, str] = field(repr=False)
    _document: JsonObject = field(repr=False)
    _contexts: Quads = field(repr=False)
    _marker: "_Marker" = field(repr=False)
    _where: str

    @staticmethod
    def of(document: JsonObject, contexts: Quads, labels: LabelsFor, where: str) -> "Stated":
        """Make statements of `document`.

        Raises what `contexts.quads` and `canonicalize` raise, and `Refused` with
        `spelling-not-plain` for a document whose nodes cannot be named: lists, graphs of
        their own, and blank nodes with names.
        """
        marker = _Marker(f"urn:bnid:{secrets.token_hex(16)}:")
        marked, quads = marker.applied(document, contexts, where)
        names = canonicalize(quads, where).names
        given = labels(name[2:] for name in names.values())
        ours = {node: f"_:{given[name[2:]]}" for node, name in names.items()}
        return Stated(relabelled(quads, ours), ours, marked, contexts, marker, where)

    def shown_by(self, pointers: Sequence[str]) -> tuple[frozenset[str], list[Quad]]:
        """Give the lines that the chosen part says, and its statements under our names.

        Without a pointer nothing is chosen, not even the document's type. Raises `Refused`
        with `pointer-not-matched`, and with `part-not-signed` for a part that says what the
        whole does not.
        """
        if not pointers:
            return frozenset(), []
        part = select(self._document, pointers, self._where)
        quads = self._marker.unmarked(self._contexts.quads(part, self._where))
        shown = frozenset(relabelled(quads, self.labels))
        if not shown <= set(self.lines):
            raise Refused(
                Reason("part-not-signed", "a part of what is signed", "another", self._where)
            )
        return shown, quads


def relabelled(quads: Iterable[Quad], labels: Labels) -> tuple[str, ...]:
    """Give the canonical lines of `quads`, in order, with each blank node under its label."""
    return tuple(sorted({line(_renamed(quad, labels)) for quad in quads}))


def _renamed(quad: Quad, labels: Labels) -> Quad:
    subject, predicate, obj, graph = quad
    return Quad(
        labels.get(subject, subject), predicate, labels.get(obj, obj), labels.get(graph, graph)
    )


class _Marker:
    """Gives each object of a document that is a node, and has no id, a name to be known by."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._in_text = re.compile(re.escape(prefix) + r"(\d+)")
        self._plain: set[int] = set()
        self._count = 0

    def applied(
        self, document: JsonObject, contexts: Quads, where: str
    ) -> tuple[JsonObject, list[Quad]]:
        """Give the document with its marks, and its statements with blank nodes for them."""
        marked = self._marked(document)
        quads = contexts.quads(marked, where)
        # A mark within a literal (a JSON one) stands where there is no node: not there, then.
        self._plain = {
            int(number)
            for quad in quads
            if quad.object.startswith('"')
            for number in self._in_text.findall(quad.object)
        }
        if self._plain:
            self._count = 0
            marked = self._marked(document)
            quads = contexts.quads(marked, where)
        found = self.unmarked(quads)
        nodes = {term for quad in found for term in (quad.subject, quad.object, quad.graph)}
        blank = {term for term in nodes if term.startswith("_:")}
        wanted = {f"_:{n}" for n in range(self._count) if n not in self._plain}
        if blank != wanted or any(
            self._prefix in quad.object for quad in found if quad.object.startswith('"')
        ):
            reason = (
                "spelling-not-plain",
                "nodes that can be told apart by their places",
                "others",
            )
            raise Refused(Reason(*reason, where))
        return marked, found

    def unmarked(self, quads: Iterable[Quad]) -> list[Quad]:
        """Give the statements with a blank node for each mark."""
        cut = len(self._prefix) + 1
        start = f"<{self._prefix}"

        def blank(term: str) -> str:
            return f"_:{term[cut:-1]}" if term.startswith(start) else term

        return [Quad(blank(s), p, blank(o), blank(g)) for s, p, o, g in quads]

    def _marked(self, value: JsonObject) -> JsonObject:
        marked = {
            name: member if name == "@context" else self._inside(member)
            for name, member in value.items()
        }
        if "id" in value or not _NO_NODE.isdisjoint(value):
            return marked
        number, self._count = self._count, self._count + 1
        return marked if number in self._plain else {**marked, "id": f"{self._prefix}{number}"}

    def _inside(self, value: Json) -> Json:
        if isinstance(value, dict):
            return self._marked(value)
        if isinstance(value, list):
            return [self._inside(item) for item in value]
        return value
