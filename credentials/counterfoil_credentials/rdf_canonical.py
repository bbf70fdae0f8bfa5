"""RDF Dataset Canonicalization, RDFC-1.0: one text for each dataset, whatever it calls its nodes.

Section numbers are those of the W3C Recommendation of 2024. To tell blank nodes apart that
look alike takes, in the worst of cases, time beyond all bounds (section 7.1, dataset
poisoning): the work is counted, and a dataset that takes more than its share is refused.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from hashlib import sha256
from itertools import permutations
from typing import Final, NamedTuple, Protocol

from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.n_quads import Quad, line

# One is a look at one blank node from another (section 4.8). Credentials of
# ours need none; the hardest of the W3C's tests that must succeed needs about 6,200.
MAX_WORK: Final = 8_192
# How far a look may lead from one blank node to the next: Python's stack is not endless.
_MAX_DEPTH: Final = 128


class Hash(Protocol):
    """What `hashlib.sha256` or `hashlib.sha384` gives."""

    def hexdigest(self) -> str: ...


class Canonical(NamedTuple):
    """The canonical form: its lines in order, and the new name of each blank node."""

    lines: tuple[str, ...]
    names: dict[str, str]

    @property
    def data(self) -> bytes:
        """Give the canonical N-Quads document."""
        return "".join(self.lines).encode("utf-8")


def canonicalize(
    quads: Iterable[Quad],
    where: str,
    *,
    hash_of: Callable[[bytes], Hash] = sha256,
    max_work: int = MAX_WORK,
) -> Canonical:
    """Give the canonical form of a dataset (section 4.4.3).

    A statement that is there twice counts once.

    Raises `Refused` with the code `rdf-too-intricate` for a dataset that would take more
    than `max_work`.
    """
    state = _State(dict.fromkeys(quads), hash_of, max_work, where)
    names = state.name_all()
    lines = {line(_renamed(quad, names)) for quad in state.quads}
    return Canonical(tuple(sorted(lines)), names)


class _Names:
    """Issues names in the order in which they are first asked for (section 4.5)."""

    def __init__(self, prefix: str, issued: dict[str, str] | None = None) -> None:
        self.prefix = prefix
        self.issued = dict(issued or {})

    def copy(self) -> "_Names":
        return _Names(self.prefix, self.issued)

    def of(self, node: str) -> str:
        return self.issued.setdefault(node, f"{self.prefix}{len(self.issued)}")


class _State:
    def __init__(
        self,
        quads: dict[Quad, None],
        hash_of: Callable[[bytes], Hash],
        max_work: int,
        where: str,
    ) -> None:
        self.quads = quads
        self._hash_of = hash_of
        self._work = max_work
        self._where = where
        self._depth = 0
        self._final = _Names("_:c14n")
        self._around: defaultdict[str, list[Quad]] = defaultdict(list)
        for quad in quads:
            for node in {term for term in _nodes(quad) if term[:2] == "_:"}:
                self._around[node].append(quad)
        self._first: dict[str, str] = {}

    def name_all(self) -> dict[str, str]:
        alike: defaultdict[str, list[str]] = defaultdict(list)
        for node in self._around:
            self._first[node] = self._first_degree(node)
            alike[self._first[node]].append(node)
        for hashed in sorted(alike):
            if len(alike[hashed]) == 1:
                self._final.of(alike.pop(hashed)[0])
        for hashed in sorted(alike):
            results: list[tuple[str, _Names]] = []
            for node in alike[hashed]:
                if node in self._final.issued:
                    continue
                trial = _Names("_:b")
                trial.of(node)
                results.append(self._all_degrees(node, trial))
            for _, trial in sorted(results, key=lambda result: result[0]):
                for node in trial.issued:
                    self._final.of(node)
        return self._final.issued

    def _first_degree(self, node: str) -> str:
        # Section 4.6: the node itself is _:a, every other one _:z.
        lines = sorted(line(_seen_from(quad, node)) for quad in self._around[node])
        return self._hash("".join(lines))

    def _related(self, node: str, quad: Quad, names: _Names, position: str) -> str:
        # Section 4.7.
        name = self._final.issued.get(node) or names.issued.get(node) or self._first[node]
        return self._hash(f"{position}{'' if position == 'g' else quad.predicate}{name}")

    def _all_degrees(self, node: str, names: _Names) -> tuple[str, _Names]:
        # Section 4.8, Hash N-Degree Quads.
        related: defaultdict[str, list[str]] = defaultdict(list)
        for quad in self._around[node]:
            for position, term in zip("sog", _nodes(quad), strict=True):
                if term[:2] == "_:" and term != node:
                    self._spend(1)
                    related[self._related(term, quad, names, position)].append(term)
        data: list[str] = []
        for hashed in sorted(related):
            chosen_path = ""
            chosen = names
            for order in permutations(related[hashed]):
                self._spend(len(order) + len(names.issued) // 8)
                found = self._path(order, names.copy(), chosen_path)
                if found is not None and (not chosen_path or found[0] < chosen_path):
                    chosen_path, chosen = found
            data += (hashed, chosen_path)
            names = chosen
        return self._hash("".join(data)), names

    def _path(
        self, order: Iterable[str], names: _Names, chosen_path: str
    ) -> tuple[str, _Names] | None:
        path = ""
        to_do: list[str] = []
        for node in order:
            if node in self._final.issued:
                path += self._final.issued[node]
                continue
            if node not in names.issued:
                to_do.append(node)
            path += names.of(node)
            if _beyond(path, chosen_path):
                return None
        for node in to_do:
            self._depth += 1
            hashed, result = self._all_degrees(node, names)
            self._depth -= 1
            path += f"{names.of(node)}<{hashed}>"
            names = result
            if _beyond(path, chosen_path):
                return None
        return path, names

    def _hash(self, text: str) -> str:
        return self._hash_of(text.encode("utf-8")).hexdigest()

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0 or self._depth > _MAX_DEPTH:
            raise Refused(
                Reason(
                    "rdf-too-intricate",
                    "blank nodes that are soon told apart",
                    "others",
                    self._where,
                )
            )


def _beyond(path: str, chosen_path: str) -> bool:
    return bool(chosen_path) and len(path) >= len(chosen_path) and path > chosen_path


def _nodes(quad: Quad) -> tuple[str, str, str]:
    return quad.subject, quad.object, quad.graph


def _seen_from(quad: Quad, node: str) -> Quad:
    subject, obj, graph = (
        term if term[:2] != "_:" else "_:a" if term == node else "_:z" for term in _nodes(quad)
    )
    return Quad(subject, quad.predicate, obj, graph)


def _renamed(quad: Quad, names: dict[str, str]) -> Quad:
    subject, obj, graph = (names.get(term, term) for term in _nodes(quad))
    return Quad(subject, quad.predicate, obj, graph)
