"""did:web: the document that a web server publishes, and its keys over the years.

Source: the did:web method specification; Controlled Identifiers 1.0, section 2.2.
The document says what is true today. What makes it remember is that retired keys
stay in it, with the time until which they signed: see `did_web_document`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from counterfoil_credentials.did_documents import (
    MAX_DOCUMENT_BYTES,
    DidDocument,
    Relationship,
)
from counterfoil_credentials.did_resolution import Method, Options
from counterfoil_credentials.did_results import (
    Deactivated,
    DidError,
    NotResolved,
    Resolution,
    Resolved,
    no_document,
)
from counterfoil_credentials.did_verification_methods import MethodType, method_json, timestamp
from counterfoil_credentials.dids import Did, parse_did
from counterfoil_credentials.encoding import JsonObject, parse_object
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.spec import DID_CONTEXTS, DID_DOCUMENT_MEDIA_TYPES, JSON_MEDIA_TYPE

_PREFIX: Final = "did:web:"
# Most web servers call `did.json` JSON, and so does the method.
_ACCEPT: Final = ", ".join((*DID_DOCUMENT_MEDIA_TYPES, JSON_MEDIA_TYPE, "application/ld+json"))
# RFC 1123, section 2.1. The last label is no number, so that nothing that a
# resolver takes for an IP address (127.1, 0x7f.1) is taken for a name.
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)*(?!(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z){_LABEL}")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class DatedKey:
    """A key of a did:web: in use, or retired at `expires_at`, or withdrawn at `revoked_at`.

    What a retired key signed before stays verifiable; what a withdrawn one signed does not.
    """

    key: PublicKey
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def fragment(self) -> str:
        """Give what follows `#` in the key's id: its JWK thumbprint, the same for ever."""
        return self.key.thumbprint()


def did_web(host: str, *path: str, port: int | None = None) -> Did:
    """Give the did:web of `host`, and of a path on it; `Malformed` when there is none."""
    if any(":" in part for part in (host, *path)):
        raise Malformed("a host and path segments", "a colon in one", "did")
    authority = host if port is None else f"{host}%3A{port}"
    did = parse_did(_PREFIX + ":".join((authority, *path)), "did")
    did_web_url(did)
    return did


def did_web_url(did: Did) -> str:
    """Give the https URL of the document of a did:web.

    `did:web:brand.example` is at `/.well-known/did.json`,
    `did:web:brand.example%3A8443:de:audio` at port 8443 under `/de/audio/did.json`.

    Raises `Malformed` for another method, an IP address, a port out of range, and
    path segments that are empty or that a server could read as something else.
    """
    where = "did"
    if not did.startswith(_PREFIX):
        raise Malformed("a did:web", "another method", where)
    authority, *path = did.removeprefix(_PREFIX).split(":")
    host, colon, port = authority.replace("%3a", "%3A").partition("%3A")
    if len(host) > 253 or _HOST.fullmatch(host) is None:
        raise Malformed("a domain name", "another text", where)
    if colon and (_PORT.fullmatch(port) is None or int(port) > 65_535):
        raise Malformed("a port", "another text", where)
    for segment in path:
        _require_plain(segment, where)
    origin = f"https://{host}:{port}" if colon else f"https://{host}"
    return "/".join((origin, *(path or [".well-known"]), "did.json"))


def did_web_document(
    did: Did,
    keys: Sequence[DatedKey],
    *,
    relationships: Sequence[Relationship] = (Relationship.ASSERTION, Relationship.AUTHENTICATION),
    method_type: MethodType = MethodType.MULTIKEY,
) -> JsonObject:
    """Give the document to publish for `did`: every key that may still have to be checked.

    To rotate a key, add the new one and give the old one `expires_at`, the time at
    which it stops signing: what it signed before stays verifiable for as long as it
    is listed. To withdraw a key that somebody else has, give it `revoked_at`, or leave
    it out: nothing that it signed verifies from then on, because whoever has it can
    write any time into what he signs. `key_for` says how these are read.
    """
    did_web_url(did)
    methods: list[JsonObject] = []
    for dated in keys:
        method = method_json(did, dated.key, fragment=dated.fragment, method_type=method_type)
        if dated.expires_at is not None:
            method["expires"] = timestamp(dated.expires_at)
        if dated.revoked_at is not None:
            method["revoked"] = timestamp(dated.revoked_at)
        methods.append(method)
    document: JsonObject = {
        "@context": [DID_CONTEXTS[0], method_type.context],
        "id": did,
        "verificationMethod": [*methods],
    }
    document |= {name.value: [method["id"] for method in methods] for name in relationships}
    DidDocument.parse(document, did)
    return document


def did_web_method(fetcher: Fetcher) -> Method:
    """Give the method for a `Resolver`, which fetches with `fetcher`.

    Relative ids (`#key-1`) are read although the method asks for absolute ones:
    they can only mean the DID that was asked, because the document's id is compared
    with it first. No document is `NOT_FOUND` for status 404 alone, 410 ends the DID,
    and every other status says nothing.
    """

    def resolve(did: Did, _options: Options) -> Resolution:
        try:
            url = did_web_url(did)
        except Malformed as cause:
            return NotResolved(DidError.INVALID_DID, cause)
        response = fetcher.get(url, accept=_ACCEPT, max_bytes=MAX_DOCUMENT_BYTES)
        match response.status:
            case 200:
                pass
            case 404:
                return no_document(DidError.NOT_FOUND, "a document", "HTTP status 404")
            case 410:
                return Deactivated(did)
            case status:
                raise Unavailable(f"expected a DID document, found HTTP status {status}")
        try:
            obj = parse_object(response.body, "did_document", max_bytes=MAX_DOCUMENT_BYTES)
            document = DidDocument.parse(obj, did)
        except Malformed as cause:
            return NotResolved(DidError.INVALID_DID_DOCUMENT, cause)
        return Resolved(document=document, json=document.json, age_s=response.age_s)

    return Method(resolve)


def _require_plain(segment: str, where: str) -> None:
    # `..`, `%2e%2e` and `%2F` would lead to another document than the one whose owner
    # this DID names; so would `%252e%252e` at a server that decodes twice, `..;x` at one
    # that cuts parameters off, and a dot in overlong UTF-8 at one that takes it.
    plain = segment.encode()
    while (decoded := unquote_to_bytes(plain)) != plain:
        plain = decoded
    try:
        text = plain.decode()
    except UnicodeDecodeError as cause:
        raise Malformed("a path segment in UTF-8", "other bytes", where) from cause
    if text.partition(";")[0] in ("", ".", "..") or any(c < "!" or c in "/\\\x7f" for c in text):
        raise Malformed("a plain path segment", "another text", where)
