"""The answers of DID Resolution: a document, an ended DID, or the reason why there is none.

W3C DID Resolution: the results, the errors and the HTTP binding. "Could not find out" is
no answer: it is raised as `Unavailable`, never told as `NOT_FOUND`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from counterfoil_credentials.did_documents import DidDocument
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import CounterfoilError, Reason, Refused
from counterfoil_credentials.spec import (
    CID_ERRORS,
    DID_DOCUMENT_MEDIA_TYPES,
    DID_ERRORS,
    DID_RESOLUTION_CONTEXT,
)


class DidError(StrEnum):
    """What went wrong, as DID Resolution, CID 1.0 and the did:key method name it."""

    INVALID_DID = "INVALID_DID"
    INVALID_DID_URL = "INVALID_DID_URL"
    INVALID_OPTIONS = "INVALID_OPTIONS"
    NOT_FOUND = "NOT_FOUND"
    REPRESENTATION_NOT_SUPPORTED = "REPRESENTATION_NOT_SUPPORTED"
    INVALID_DID_DOCUMENT = "INVALID_DID_DOCUMENT"
    METHOD_NOT_SUPPORTED = "METHOD_NOT_SUPPORTED"
    FEATURE_NOT_SUPPORTED = "FEATURE_NOT_SUPPORTED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    # Controlled Identifiers 1.0, section 3.5.
    INVALID_VERIFICATION_METHOD = "INVALID_VERIFICATION_METHOD"
    INVALID_RELATIONSHIP = "INVALID_RELATIONSHIP_FOR_VERIFICATION_METHOD"
    # The did:key method.
    INVALID_PUBLIC_KEY = "INVALID_PUBLIC_KEY"
    INVALID_PUBLIC_KEY_LENGTH = "INVALID_PUBLIC_KEY_LENGTH"
    INVALID_PUBLIC_KEY_TYPE = "INVALID_PUBLIC_KEY_TYPE"
    UNSUPPORTED_PUBLIC_KEY_TYPE = "UNSUPPORTED_PUBLIC_KEY_TYPE"

    @property
    def url(self) -> str:
        """Give the `type` of the error object."""
        of_cid = self in (DidError.INVALID_VERIFICATION_METHOD, DidError.INVALID_RELATIONSHIP)
        return f"{CID_ERRORS if of_cid else DID_ERRORS}{self}"

    @property
    def http_status(self) -> int:
        """Give the status of the HTTP(S) binding."""
        return _STATUS.get(self, 500)


_STATUS: Final = {
    DidError.INVALID_DID: 400,
    DidError.INVALID_DID_URL: 400,
    DidError.INVALID_OPTIONS: 400,
    DidError.NOT_FOUND: 404,
    DidError.REPRESENTATION_NOT_SUPPORTED: 406,
    DidError.METHOD_NOT_SUPPORTED: 501,
    DidError.FEATURE_NOT_SUPPORTED: 501,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The document. `age_s`: how many seconds ago its server said so; 0 for a fresh one."""

    document: DidDocument
    json: JsonObject
    content_type: str = DID_DOCUMENT_MEDIA_TYPES[0]
    age_s: int = 0
    http_status: int = 200

    def to_json(self) -> JsonObject:
        """Give the DID resolution result."""
        return _result({"contentType": self.content_type}, self.json, {})


@dataclass(frozen=True, slots=True)
class Deactivated:
    """There was such a DID, and its controller has ended it."""

    did: Did
    http_status: int = 410

    def to_json(self) -> JsonObject:
        """Give the DID resolution result."""
        return _result({}, None, {"deactivated": True})

    def to_dereferencing_json(self) -> JsonObject:
        """Give the DID URL dereferencing result."""
        return _dereferenced({}, None, {"deactivated": True})


@dataclass(frozen=True, slots=True)
class NotResolved:
    """There is no document, and this is why. `cause` says it in our words."""

    error: DidError
    cause: CounterfoilError

    @property
    def http_status(self) -> int:
        """Give the status of the HTTP binding."""
        return self.error.http_status

    @property
    def problem(self) -> JsonObject:
        """Give the error object (RFC 9457)."""
        title = self.error.replace("_", " ").capitalize().replace(" did", " DID")
        return {"type": self.error.url, "title": title, "detail": str(self.cause)}

    def to_json(self) -> JsonObject:
        """Give the DID resolution result."""
        return _result({"error": self.problem}, None, {})

    def to_dereferencing_json(self) -> JsonObject:
        """Give the DID URL dereferencing result."""
        return _dereferenced({"error": self.problem}, None, {})


Resolution: TypeAlias = Resolved | Deactivated | NotResolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Dereferenced:
    """What a DID URL names: a document, or the method or service in it."""

    content: JsonObject
    document: DidDocument
    content_type: str = DID_DOCUMENT_MEDIA_TYPES[0]
    age_s: int = 0
    http_status: int = 200

    def to_dereferencing_json(self) -> JsonObject:
        """Give the DID URL dereferencing result."""
        return _dereferenced({"contentType": self.content_type}, self.content, {})


_CODES: Final = {
    DidError.NOT_FOUND: "did-not-found",
    DidError.METHOD_NOT_SUPPORTED: "did-method-unsupported",
}


def no_document(error: DidError, expected: str, found: str) -> NotResolved:
    """Give the definite answer `error`; its cause is `Refused` under the code of that name."""
    code = _CODES.get(error, error.lower().replace("_", "-"))
    return NotResolved(error, Refused(Reason(code, expected, found, "did")))


def _result(
    resolution: JsonObject, document: JsonObject | None, metadata: JsonObject
) -> JsonObject:
    return {
        "@context": DID_RESOLUTION_CONTEXT,
        "didResolutionMetadata": resolution,
        "didDocument": document,
        "didDocumentMetadata": metadata,
    }


def _dereferenced(
    dereferencing: JsonObject, content: JsonObject | None, metadata: JsonObject
) -> JsonObject:
    return {
        "dereferencingMetadata": dereferencing,
        "contentStream": content,
        "contentMetadata": metadata,
    }
