"""The DID document as a value that cannot be wrong, and the one way to take a key from it.

DID Core 1.0, section 5; Controlled Identifiers 1.0, sections 2 and 3.3. Everything
is bounded, and each id stands once, so that a key id never means two keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.bbs_keys import VerificationKey
from counterfoil_credentials.did_verification_methods import VerificationMethod
from counterfoil_credentials.dids import Did, DidUrl, parse_did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_object,
    as_text,
    list_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.spec import DID_CONTEXTS

MAX_DOCUMENT_BYTES: Final = 131_072
_MAX_ITEMS: Final = 256
_WHERE: Final = "did_document"


class Relationship(StrEnum):
    """What a document lets a method do (Controlled Identifiers 1.0, section 2.3)."""

    AUTHENTICATION = "authentication"
    ASSERTION = "assertionMethod"
    KEY_AGREEMENT = "keyAgreement"
    CAPABILITY_INVOCATION = "capabilityInvocation"
    CAPABILITY_DELEGATION = "capabilityDelegation"


_RELATIONSHIPS: Final = frozenset(Relationship)


@dataclass(frozen=True, slots=True)
class DidDocument:
    """A document that was read. All ids in it are absolute, `json` is as it arrived.

    `methods` are those that the document defines, embedded ones included, by id and
    in their order; `relationships` name methods, of this or of another document.
    """

    did: Did
    controllers: tuple[Did, ...]
    methods: Mapping[str, VerificationMethod]
    relationships: Mapping[Relationship, tuple[str, ...]]
    json: JsonObject
    _parts: Mapping[str, JsonObject] = field(repr=False)

    @staticmethod
    def parse(obj: JsonObject, did: Did) -> "DidDocument":
        """Read the document of `did`.

        Raises `Malformed` for a document of another DID, a shape that DID Core
        does not allow, an id that stands twice, a private key, and more than 256
        of anything.
        """
        if text_at(obj, "id", _WHERE) != did:
            raise Malformed("the document of the DID that was asked", "another", f"{_WHERE}.id")
        if "@context" in obj:
            _require_context(obj["@context"])
        reader = _Reader(did)
        for i, item in enumerate(_items(obj, "verificationMethod")):
            reader.define(item, f"{_WHERE}.verificationMethod[{i}]")
        relationships = {
            relationship: reader.related(obj, relationship) for relationship in Relationship
        }
        for i, item in enumerate(_items(obj, "service")):
            reader.serve(item, f"{_WHERE}.service[{i}]")
        if "alsoKnownAs" in obj:
            texts_at(obj, "alsoKnownAs", _WHERE)
        return DidDocument(did, _controllers(obj), reader.methods, relationships, obj, reader.parts)

    @property
    def unusable(self) -> int:
        """Give the number of methods whose keys verify nothing here."""
        return sum(isinstance(method.key, Reason) for method in self.methods.values())

    def part(self, did_url: DidUrl) -> JsonObject | None:
        """Give the method or the service with this id, as it stands in the document."""
        return self._parts.get(str(did_url))

    def expanded(self) -> JsonObject:
        """Give the document's JSON with every relative id made absolute.

        That is the `id` of each part, parts of extensions included, and a method's id
        in a relationship. Other text stays, although it may begin with `#`, and so
        does `@context`. W3C DID Resolution, section 4.4.
        """

        def expand(name: str, value: Json) -> Json:
            match value:
                case str() if name in _RELATIONSHIPS and value.startswith("#"):
                    return f"{self.did}{value}"
                case dict():
                    named = value.get("id")
                    is_relative = isinstance(named, str) and named.startswith("#")
                    return {**value, "id": f"{self.did}{named}"} if is_relative else value
                case _:
                    return value

        return {
            name: [expand(name, item) for item in value]
            if isinstance(value, list) and name != "@context"
            else expand(name, value)
            for name, value in self.json.items()
        }


def key_for(
    document: DidDocument,
    did_url: str,
    relationship: Relationship,
    *,
    at: datetime,
    now: datetime,
) -> VerificationKey:
    """Give the key that `did_url` names, to check `now` a signature that was made at `at`.

    Our rule for keys that a DID has retired: a method stays in its document, in its
    relationship, with the time in `expires`. A signature from before that time
    verifies for as long as the method stays; one from that time on does not. A method
    that was `revoked`, or has left the document, verifies nothing any more, whenever
    the signature says it was made: that is the way to withdraw a key that somebody
    else has, because `at` is what the signer says, and a thief would say an early time
    (Controlled Identifiers 1.0, sections 2.2 and 5.5.1). For signatures that are made
    and checked at once (requests, proofs), `at` is `now`.

    Raises `Malformed` when `did_url` is none. `Refused` codes: `key-of-another-did`
    (its DID is not the document's), `verification-method-unknown`,
    `key-controller-mismatch` (another DID controls it), `key-relationship-missing`,
    `key-revoked`, `key-expired`, and for a method that has no key for us
    `verification-method-unsupported`, `account-without-key`,
    `key-type-unsupported`, `key-not-for-signatures`, `key-malformed`.
    """
    named = DidUrl.parse(did_url, "verification_method")
    if named.did != document.did:
        raise _refused("key-of-another-did", "a key of the document's DID", "another DID's")
    method = document.methods.get(str(named))
    if method is None:
        raise _refused("verification-method-unknown", "a method of the document", "another")
    reasons = method.time_reasons(at=at, now=now)
    if method.controller != document.did:
        reasons.append(_reason("key-controller-mismatch", "the document's DID", "another"))
    if str(named) not in document.relationships[relationship]:
        reasons.append(_reason("key-relationship-missing", f"an {relationship}", "none"))
    if isinstance(method.key, Reason):
        reasons.append(method.key)
    if reasons or isinstance(method.key, Reason):
        raise Refused(*reasons)
    return method.key


class _Reader:
    """Gathers a document's parts by id, each once."""

    def __init__(self, did: Did) -> None:
        self.methods: dict[str, VerificationMethod] = {}
        self.parts: dict[str, JsonObject] = {}
        self._did = did

    def define(self, item: Json, where: str) -> str:
        obj = as_object(item, where)
        method = VerificationMethod.parse(obj, self._did, where)
        name = str(method.id)
        self._add(name, obj, where)
        self.methods[name] = method
        return name

    def related(self, obj: JsonObject, relationship: Relationship) -> tuple[str, ...]:
        names: list[str] = []
        for i, item in enumerate(_items(obj, relationship)):
            where = f"{_WHERE}.{relationship}[{i}]"
            names.append(
                str(DidUrl.under(self._did, item, where))
                if isinstance(item, str)
                else self.define(item, where)
            )
        if len(set(names)) != len(names):
            raise Malformed("each method once", "one twice", f"{_WHERE}.{relationship}")
        return tuple(names)

    def serve(self, item: Json, where: str) -> None:
        obj = as_object(item, where)
        for name in ("type", "serviceEndpoint"):
            if not isinstance(obj.get(name), (str, list, dict)):
                raise Malformed("a value", "none", f"{where}.{name}")
        # A service's id may be any URI (DID Core, section 5.4).
        name = text_at(obj, "id", where)
        self._add(f"{self._did}{name}" if name.startswith("#") else name, obj, where)

    def _add(self, name: str, obj: JsonObject, where: str) -> None:
        if name in self.parts:
            raise Malformed("each id once", "one twice", where)
        if len(self.parts) == _MAX_ITEMS:
            raise _too_many(where)
        self.parts[name] = obj


def _items(obj: JsonObject, name: str) -> list[Json]:
    items = list_at(obj, name, _WHERE) if name in obj else []
    if len(items) > _MAX_ITEMS:
        raise _too_many(name)
    return items


def _controllers(obj: JsonObject) -> tuple[Did, ...]:
    value, where = obj.get("controller", []), f"{_WHERE}.controller"
    listed = [value] if isinstance(value, str) else as_list(value, where)
    if len(listed) > _MAX_ITEMS:
        raise _too_many("controller")
    return tuple(parse_did(as_text(item, where), where) for item in listed)


def _require_context(context: Json) -> None:
    # DID Core, section 6.3.1: the first one decides what the names mean, and its
    # terms cannot be defined anew by those that follow.
    first = context[0] if isinstance(context, list) and context else context
    if first not in DID_CONTEXTS:
        raise Malformed(" or ".join(DID_CONTEXTS), "another context", f"{_WHERE}.@context")


def _too_many(name: str) -> Malformed:
    return Malformed(f"at most {_MAX_ITEMS}", "more", f"{_WHERE}.{name}")


def _reason(code: str, expected: str, found: str) -> Reason:
    return Reason(code, expected, found, "verification_method")


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(_reason(code, expected, found))
