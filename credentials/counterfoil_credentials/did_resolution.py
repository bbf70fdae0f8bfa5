"""From a DID to its document, and from a DID URL to what it names.

W3C DID Resolution, sections 4 (resolve) and 5 (dereference).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from counterfoil_credentials.bbs_keys import VerificationKey
from counterfoil_credentials.did_documents import DidDocument, Relationship, key_for
from counterfoil_credentials.did_results import (
    Deactivated,
    Dereferenced,
    DidError,
    NotResolved,
    Resolution,
    Resolved,
    no_document,
)
from counterfoil_credentials.dids import Did, DidUrl, method_of, parse_did
from counterfoil_credentials.encoding import Json, as_text
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.spec import DID_DOCUMENT_MEDIA_TYPES

Options: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Method:
    """How the DIDs of one method resolve, and the method's own resolution options.

    `resolve` gets options that it listed, no others. It gives a definite answer or
    raises `Unavailable`.
    """

    resolve: Callable[[Did, Options], Resolution]
    options: frozenset[str] = frozenset()


class Resolver:
    """Resolves the DIDs of the methods that it was given, by name (`key`, `web`)."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """Speak `methods`; see `did_methods` for those of this package."""
        self._methods = dict(methods)

    def resolve(self, did: str, options: Options | None = None) -> Resolution:
        """Give the document of `did`, or the definite reason why there is none.

        `options` are DID Resolution's (`accept`, `expandRelativeUrls`) and the
        method's. Raises `Unavailable` when nobody could tell, and what the fetcher
        refuses: `fetch-not-allowed` (no public address), `media-type-not-accepted`.
        """
        asked = dict(options or {})
        try:
            parsed = parse_did(did, "did")
        except Malformed as cause:
            return NotResolved(DidError.INVALID_DID, cause)
        method = self._methods.get(method_of(parsed))
        if method is None:
            return no_document(
                DidError.METHOD_NOT_SUPPORTED, " or ".join(self._methods), "another method"
            )
        if unknown := asked.keys() - _OPTIONS - method.options:
            return no_document(
                DidError.FEATURE_NOT_SUPPORTED, "options that we know", f"{len(unknown)} others"
            )
        try:
            accepted = _content_type(as_text(asked.pop("accept", "*/*"), "accept"))
            expand = flag(asked, "expandRelativeUrls")
        except Malformed as cause:
            return NotResolved(DidError.INVALID_OPTIONS, cause)
        if accepted is None:
            return no_document(
                DidError.REPRESENTATION_NOT_SUPPORTED,
                " or ".join(DID_DOCUMENT_MEDIA_TYPES),
                "another",
            )
        found = method.resolve(parsed, asked)
        if not isinstance(found, Resolved):
            return found
        return Resolved(
            document=found.document,
            json=found.document.expanded() if expand else found.json,
            content_type=accepted,
            age_s=found.age_s,
        )

    def document(self, did: str) -> DidDocument:
        """Give the document of `did`, or raise.

        `Malformed` for what is no DID or no document, `Unavailable` when nobody
        could tell, `Refused` with `did-deactivated`, `did-not-found`, or the code
        that the method gave.
        """
        match self.resolve(did):
            case Resolved(document=document):
                return document
            case Deactivated():
                raise _refused("did-deactivated", "a DID in use", "a deactivated one")
            case NotResolved(cause=cause):
                raise cause

    def key_for(
        self, did_url: str, relationship: Relationship, *, at: datetime, now: datetime
    ) -> VerificationKey:
        """Resolve the DID of `did_url` and give its key; see `document` and `key_for`."""
        did = DidUrl.parse(did_url, "verification_method").did
        return key_for(self.document(did), did_url, relationship, at=at, now=now)

    def dereference(
        self, did_url: str, options: Options | None = None
    ) -> Dereferenced | Deactivated | NotResolved:
        """Give the document, method or service that `did_url` names.

        The option `verificationRelationship` asks for a method that stands in that
        relationship. Raises as `resolve` does.
        """
        asked = dict(options or {})
        try:
            named = DidUrl.parse(did_url, "did_url")
        except Malformed as cause:
            return NotResolved(DidError.INVALID_DID_URL, cause)
        relationship = asked.pop("verificationRelationship", None)
        if relationship is not None and relationship not in _RELATIONSHIPS:
            return no_document(DidError.INVALID_OPTIONS, " or ".join(_RELATIONSHIPS), "another")
        found = self.resolve(named.did, asked)
        if not isinstance(found, Resolved):
            return found
        if named.path or named.query is not None:
            return _not_followed(named)
        content = found.json
        if named.fragment is not None:
            part = found.document.part(named)
            if part is None:
                return no_document(DidError.NOT_FOUND, "a part of the document", "none")
            content = part
        if relationship is not None:
            if str(named) not in found.document.methods:
                return no_document(
                    DidError.INVALID_VERIFICATION_METHOD, "a verification method", "another part"
                )
            if str(named) not in found.document.relationships[Relationship(relationship)]:
                return no_document(
                    DidError.INVALID_RELATIONSHIP, "a method in that relationship", "another"
                )
        return Dereferenced(
            content=content,
            document=found.document,
            content_type=found.content_type,
            age_s=found.age_s,
        )


_OPTIONS: Final = frozenset({"accept", "expandRelativeUrls"})
_RELATIONSHIPS: Final = tuple(Relationship)
# The parameters that DID Resolution and DID Core give a meaning.
_PARAMETERS: Final = frozenset(
    {"service", "serviceType", "relativeRef", "versionId", "versionTime", "hl"}
)


def flag(options: dict[str, Json], name: str) -> bool:
    """Take a boolean option out; the GET binding has only texts."""
    match options.pop(name, False):
        case bool() as value:
            return value
        case "true":
            return True
        case "false":
            return False
        case _:
            raise Malformed("true or false", "another value", name)


def _not_followed(named: DidUrl) -> NotResolved:
    # Section 5.5: a path, or a query without a meaning of its own, names nothing here.
    names = {name for name, _ in parse_qsl(named.query or "", keep_blank_values=True)}
    if names & _PARAMETERS:
        return no_document(DidError.FEATURE_NOT_SUPPORTED, "no parameters", "some")
    return no_document(DidError.NOT_FOUND, "a DID URL without path and query", "one with them")


def _content_type(accept: str) -> str | None:
    for part in accept.split(","):
        media_type = part.split(";")[0].strip().lower()
        if media_type in DID_DOCUMENT_MEDIA_TYPES:
            return media_type
        if media_type in ("*/*", "application/*", "application/json", "application/ld+json"):
            return DID_DOCUMENT_MEDIA_TYPES[0]
    return None


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(code, expected, found, "did"))
