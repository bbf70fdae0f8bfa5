"""JSON-LD to RDF with nothing lost: contexts are frozen, and what they do not define is refused.

pyld expands; everything that it would drop in silence is refused here, because whatever
does not reach the quads is not signed: undefined terms, nulls, empty lists, relative IRIs,
blank predicates, indexes. This is the one module that imports pyld; it needs `[ld]`.

JSON-LD 1.1 Processing Algorithms and API, sections 5.1 and 8; Data Integrity 1.0,
section 2.4.2.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeAlias, cast

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.n_quads import LANG_STRING, MAX_QUADS, Quad, iri, literal

try:
    from cachetools import LRUCache
    from pyld import (  # type: ignore[import-untyped]  # it ships no types
        BUNDLED_CONTEXTS,
        ContextResolver,
    )
    from pyld.identifier_issuer import (  # type: ignore[import-untyped]  # no types
        IdentifierIssuer,
    )
    from pyld.jsonld import (  # type: ignore[import-untyped]  # no types
        JsonLdError,
        JsonLdProcessor,
    )
except ImportError as cause:  # pragma: no cover
    raise Misuse('expected pyld, found none: pip install "counterfoil[ld]"') from cause

# SHA-256 of the contexts that pyld carries and we vouch for. Of VC Data Model 2.0 it is the
# file of the Recommendation written without spaces.
KNOWN_CONTEXTS: Final = {
    "https://www.w3.org/ns/credentials/v2": (
        "8a9f494a89ecc51db093e90e84713e07e84d6d9204364a9b3c7868b21751236f"
    ),
    "https://www.w3.org/2018/credentials/v1": (
        "00d7dd6d3ad8b920e3e550dd3a3d9090bffcac84cdbf943da6924b3e0a5c8bb8"
    ),
}
MAX_LEVELS: Final = 40
# pyld's work grows with the square of a list: this many take it less than a second.
MAX_VALUES: Final = 2_500
MAX_CONTEXTS: Final = 32
_NOWHERE: Final = "counterfoil-nowhere:"
_BASE: Final = f"{_NOWHERE}//relative/"
# pyld tells of most faults in its own words; of some it stumbles.
_FAULTS: Final = (
    JsonLdError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
_I18N: Final = "https://www.w3.org/ns/i18n#"
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_OTHER_SPELLINGS: Final = frozenset({"@id", "@set", "@nest"})
_KEYWORDS: Final = frozenset(
    {"@id", "@type", "@value", "@language", "@direction", "@list", "@graph"}
)
# pyld types nothing: what it gives is taken apart in `_quads` and goes no further.
_Term: TypeAlias = Mapping[str, Any]


class FrozenContexts:
    """The contexts that exist: every other URL is refused, and nothing is ever fetched.

    `more` adds contexts by URL, each as the bytes of its document; an inline context is
    refused unless `accept_contexts_in_documents`, because it is the document's own word.
    """

    def __init__(
        self,
        more: Mapping[str, bytes] | None = None,
        *,
        accept_contexts_in_documents: bool = False,
    ) -> None:
        self._inline = accept_contexts_in_documents
        self._documents: dict[str, JsonObject] = {
            url: _vouched(BUNDLED_CONTEXTS[url], digest) for url, digest in KNOWN_CONTEXTS.items()
        }
        for url, data in (more or {}).items():
            if url in KNOWN_CONTEXTS:
                raise Misuse("expected contexts beside those that are known, found one of them")
            self._documents[url] = json.loads(data)
        # pyld's own cache serves every loader of the process, whichever URL means what.
        self._cache: Any = LRUCache(maxsize=1_000)
        self._lock = Lock()  # the cache is not for several threads

    def quads(self, document: JsonObject, where: str) -> list[Quad]:
        """Give the RDF dataset of `document`, in which each of its values has its place.

        Base directions become `i18n` datatypes (JSON-LD 1.1, section 10.1.1), as the other
        implementations of the `rdfc` suites write them.

        Raises `Refused` with `context-not-known`, `term-not-defined`, `value-not-signed` or
        `spelling-not-plain` (the same statement could stand there in two ways), and
        `Malformed` for what is no JSON-LD, and beyond the limits of size.
        """
        self._require_known(document, where)
        prepared = _prepared(document, where)
        dropped: list[object] = []
        with self._lock:
            try:
                processor: Any = JsonLdProcessor(on_property_dropped=dropped.append)
                expanded: Any = processor.expand(prepared, self._options())
                _require_whole(expanded, dropped, where)
                dataset: Any = processor.to_rdf(expanded, self._options())
            except _FAULTS as cause:
                # pyld's errors carry the whole input: claims must not travel in a cause.
                found = getattr(cause, "code", None) or "what its processor stumbles over"
                raise Malformed("JSON-LD", str(found), where) from None
        quads = [
            _quad(triple, graph, where) for graph, triples in dataset.items() for triple in triples
        ]
        if len(quads) > MAX_QUADS:
            raise Malformed(f"at most {MAX_QUADS} statements", "more", where)
        return quads

    def _options(self) -> dict[str, Any]:
        return {
            "base": _BASE,
            "documentLoader": self._load,
            "contextResolver": ContextResolver(self._cache, self._load),
            "rdfDirection": "i18n-datatype",
            "identifierIssuer": IdentifierIssuer("_:b"),
        }

    def _load(self, url: str, _options: object) -> dict[str, object]:
        if url not in self._documents:
            raise JsonLdError("unknown", "unknown", {}, code="loading document failed")
        return {
            "contentType": "application/ld+json",
            "contextUrl": None,
            "documentUrl": url,
            "document": self._documents[url],
            "tag": "static",
        }

    def _require_known(self, document: JsonObject, where: str) -> None:
        count = 0
        for context in _contexts_in(document):
            listed = context if isinstance(context, list) else [context]
            count += len(listed)
            if count > MAX_CONTEXTS:
                raise Malformed(f"at most {MAX_CONTEXTS} contexts", "more", where)
            for each in listed:
                if not (each in self._documents if isinstance(each, str) else self._inline):
                    found = "another URL" if isinstance(each, str) else "one in the document"
                    reason = ("context-not-known", "a context that is known", found)
                    raise Refused(Reason(*reason, f"{where}.@context"))


def _vouched(path: Path, digest: str) -> JsonObject:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise Misuse("expected pyld's contexts as they were read, found others in this version")
    document: JsonObject = json.loads(data)
    return document


def _contexts_in(value: Json) -> Iterator[Json]:
    # One after the other, not one in the other: a document may be as deep as it likes here.
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "@context" in each:
                yield each["@context"]
            waiting.extend(member for name, member in each.items() if name != "@context")
        elif isinstance(each, list):
            waiting.extend(each)


def _prepared(document: JsonObject, where: str) -> JsonObject:
    """Give a copy with the numbers that ECMAScript would have read, within the limits."""
    count = 0

    def copy(value: Json, levels: int) -> Json:
        nonlocal count
        count += 1
        if levels == 0 or count > MAX_VALUES:
            limits = f"{MAX_LEVELS} levels and {MAX_VALUES} values"
            raise Malformed(f"at most {limits}", "more", where)
        match value:
            case None:
                raise _unsigned("a null", where)
            case dict():
                _require_written_out(value, where)
                return {
                    name: member if name == "@context" else copy(member, levels - 1)
                    for name, member in value.items()
                }
            case list():
                return [copy(item, levels - 1) for item in value]
            case bool() | str():
                return value
            case int():
                if abs(value) > 2**53:
                    raise Malformed("a number that a double holds", "another", where)
                return value
            case float():
                # Without a fraction it is a whole number, as its JSON may have been written.
                return int(value) if value.is_integer() and abs(value) <= 2**53 else value

    return cast("JsonObject", copy(document, MAX_LEVELS))


def _require_written_out(obj: JsonObject, where: str) -> None:
    # One spelling for each statement: another would mean the same to the signature and
    # nothing to whoever reads the document by its names, so that a claim could be hidden.
    other = any(":" in name or name in _OTHER_SPELLINGS for name in obj)
    if other or obj.keys() == {"@value"} or ("@type" in obj and "@value" not in obj):
        raise Refused(Reason("spelling-not-plain", "names of the contexts", "others", where))
    # Of these pyld drops parts without a word.
    if "@graph" in obj:
        raise _unsigned("@graph of JSON-LD", where)
    if [] in (obj.get("type"), obj.get("@type")):
        raise _unsigned("an empty list", where)
    if not {"@language", "@direction"}.isdisjoint(obj) and "@value" not in obj:
        raise _unsigned("a language without its text", where)
    language = obj.get("@language", "en")
    if not isinstance(language, str) or _LANGUAGE.fullmatch(language) is None:
        raise Malformed("a language tag", "another value", where)


def _require_whole(expanded: Json, dropped: list[object], where: str) -> None:
    if dropped:
        raise _undefined(f"{len(dropped)} others", where)
    if not expanded:
        raise _unsigned("a document that says nothing", where)
    described: set[str] = set()
    waiting: list[Json] = [expanded]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, dict):
            _require_whole_object(each, where)
            # What is said of one node in two places may be moved between them unnoticed.
            node = each.get("@id")
            if isinstance(node, str) and len(each) > 1:
                if node in described:
                    raise _twice("a node described twice", where)
                described.add(node)
            if each.get("@type") != "@json":
                waiting.extend(each.values())


def _require_whole_object(obj: JsonObject, where: str) -> None:
    for name, value in obj.items():
        if name.startswith("@"):
            if name not in _KEYWORDS:
                raise _unsigned(f"{name} of JSON-LD", where)
        elif name.startswith(("_:", _NOWHERE)):
            raise _undefined("a term without an IRI", where)
        if value == [] and name != "@list":
            raise _unsigned("an empty list", where)
        if isinstance(value, list) and name != "@list":
            texts = [json.dumps(item, sort_keys=True) for item in value if not _is_node(item)]
            if len(set(texts)) != len(texts):
                raise _twice("a value that stands twice", where)
    listed = obj.get("@type", [])
    named = listed if isinstance(listed, list) else [listed]
    for text in [*named, *([obj["@id"]] if "@id" in obj else [])]:
        # What looks like a keyword and is none becomes nothing.
        if not isinstance(text, str) or text.startswith(_NOWHERE):
            raise _undefined("a relative IRI", where)
        if ":" not in text and not (text == "@json" and "@value" in obj):
            raise _undefined("a relative IRI", where)
        # pyld drops a statement with an IRI that holds a space.
        if not text.startswith(("_:", "@")):
            iri(text, where)


def _is_node(value: Json) -> bool:
    # Two of them without an id are two, however alike they look.
    if not isinstance(value, dict) or not {"@value", "@list"}.isdisjoint(value):
        return False
    return value.keys() != {"@id"}


def _quad(triple: Mapping[str, _Term], graph: str, where: str) -> Quad:
    return Quad(
        _node(triple["subject"], where),
        iri(str(triple["predicate"]["value"]), where),
        _object(triple["object"], where),
        "" if graph == "@default" else graph if graph.startswith("_:") else iri(graph, where),
    )


def _node(term: _Term, where: str) -> str:
    # A blank node of the document's has been given a name of pyld's by now.
    value = str(term["value"])
    return value if term["type"] == "blank node" else iri(value, where)


def _object(term: _Term | None, where: str) -> str:
    if term is None:
        raise _undefined("a relative IRI", where)
    if term["type"] != "literal":
        return _node(term, where)
    datatype = str(term["datatype"])
    iri(datatype, where)
    if datatype.startswith(_I18N):
        datatype = datatype.lower()
    language = str(term["language"]) if datatype == LANG_STRING else ""
    return literal(str(term["value"]), datatype, language)


def _twice(what: str, where: str) -> Refused:
    return Refused(Reason("spelling-not-plain", "each statement once", what, where))


def _undefined(what: str, where: str) -> Refused:
    return Refused(Reason("term-not-defined", "terms that the contexts define", what, where))


def _unsigned(what: str, where: str) -> Refused:
    return Refused(Reason("value-not-signed", "values that reach the signature", what, where))
