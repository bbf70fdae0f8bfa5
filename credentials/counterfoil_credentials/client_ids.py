"""Who asks, by client id, and how that is proved (OpenID4VP 1.0, section 5.9).

    redirect_uri               nothing is proved: the answer can only go to that address
    decentralized_identifier   a key of the DID signed; for `did:web`, its address published it
    x509_san_dns, x509_hash    a certificate's key signed, and the chain leads to an anchor

Every other prefix is refused, `origin` among them, and so are client ids without one. The
full client id, prefix included, is the name of whoever asks (section 14.7).
"""

import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final
from urllib.parse import unquote, urlsplit

from counterfoil_credentials.bbs_keys import single
from counterfoil_credentials.did_documents import DidDocument, Relationship, key_for
from counterfoil_credentials.did_resolution import Resolver
from counterfoil_credentials.dids import Did, DidUrl, key_id_of, key_of, method_of, parse_did
from counterfoil_credentials.encoding import Json, b64url, text_at, texts_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.x509 import TrustAnchors, certified_key, first_key

MAX_CLIENT_ID: Final = 4_096
_WHERE: Final = "client_id"
# A reader of credentials has the certificate of its server or client, or one for readers
# (ISO/IEC 18013-5, annex B.1.7). The anchors are the wallet's own choice.
_PURPOSES: Final = (
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.2",
    "1.0.18013.5.1.6",
    "2.5.29.37.0",
)


class Prefix(StrEnum):
    """The client id prefixes that we know (section 5.9.3)."""

    REDIRECT_URI = "redirect_uri"
    DECENTRALIZED_IDENTIFIER = "decentralized_identifier"
    X509_SAN_DNS = "x509_san_dns"
    X509_HASH = "x509_hash"


class ClientProof(StrEnum):
    """What a client id was proved with."""

    NOTHING = "nothing"
    KEY = "key"
    DOMAIN = "domain"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class ClientId:
    """A client id in its parts: `text` is all of it, `name` what follows the prefix."""

    text: str
    prefix: Prefix
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks: `name` is what was proved beyond the client id, or None.

    That is a subject, a host, or the host and path of a `did:web` on a host that many share.

    `is_known` says that whoever relies on it named this full client id beforehand; `key` is
    the one that signed, or None.
    """

    client_id: ClientId
    proof: ClientProof
    name: str | None = None
    is_known: bool = False
    key: PublicKey | None = field(default=None, repr=False, compare=False)

    def may_be_answered_at(self, url: str) -> bool:
        """Say whether the answer may go to `url`.

        Section 5.9.3: under `redirect_uri` to the one that the client id is; under
        `x509_san_dns` to the host that the client id is, unless the client is known.
        """
        match self.client_id.prefix:
            case Prefix.REDIRECT_URI:
                return url == self.client_id.name
            case Prefix.X509_SAN_DNS:
                return self.is_known or _host_of(url) == self.client_id.name.lower()
            case Prefix.DECENTRALIZED_IDENTIFIER | Prefix.X509_HASH:
                return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTrust:
    """What client ids are proved with.

    `anchors` are those that certificates may lead to; `known` the full client ids that
    are named beforehand: one with `x509_hash` names its certificate, which then needs no
    anchor. Without a `resolver`, a DID must hold its key itself.
    """

    anchors: TrustAnchors | None = None
    known: Collection[str] = field(default=frozenset[str]())
    resolver: Resolver | None = None


def parse_client_id(text: str) -> ClientId:
    """Give the parts of a client id; `Refused` with `client-id-prefix-unknown`.

    `Malformed` for one that is longer than what a wallet keeps of whom it met.
    """
    if len(text) > MAX_CLIENT_ID:
        raise Malformed(f"at most {MAX_CLIENT_ID} characters", f"{len(text)}", _WHERE)
    prefix, colon, name = text.partition(":")
    if not colon or prefix not in tuple(Prefix):
        raise _refused("client-id-prefix-unknown", " or ".join(Prefix), "another prefix", _WHERE)
    if not name:
        raise Malformed("a name behind the prefix", "nothing", _WHERE)
    return ClientId(text, Prefix(prefix), name)


def unsigned_client(client_id: ClientId, trust: ClientTrust) -> Client:
    """Give the client of a request without a signature; its client id must be an address.

    `Refused` with `request-not-signed`: every other prefix demands the signature.
    """
    if client_id.prefix is not Prefix.REDIRECT_URI:
        raise _refused("request-not-signed", "a signed request", "one without", "request")
    return Client(
        client_id=client_id, proof=ClientProof.NOTHING, is_known=client_id.text in trust.known
    )


def signing_client(
    client_id: ClientId, header: Mapping[str, Json], trust: ClientTrust, *, now: datetime
) -> tuple[Client, PublicKey]:
    """Give the client of a signed request, and the key that must have signed it.

    `Refused`: `request-signed` (under `redirect_uri` no key can be trusted),
    `client-id-mismatch` (the header names a key of somebody else), and the codes of
    `certified_key` and of `did_documents.key_for`. `Unavailable` when a DID document
    cannot be had.
    """
    match client_id.prefix:
        case Prefix.REDIRECT_URI:
            text = "no signature under redirect_uri"
            raise _refused("request-signed", text, "one", "request")
        case Prefix.DECENTRALIZED_IDENTIFIER:
            proof, name, key = _of_did(client_id.name, header, trust.resolver, now)
        case Prefix.X509_SAN_DNS | Prefix.X509_HASH:
            proof, name, key = _of_certificate(client_id, header, trust, now)
    is_known = client_id.text in trust.known
    client = Client(client_id=client_id, proof=proof, name=name, is_known=is_known, key=key)
    return client, key


def _of_did(
    did: str, header: Mapping[str, Json], resolver: Resolver | None, now: datetime
) -> tuple[ClientProof, str | None, PublicKey]:
    if resolver is None or method_of(parse_did(did, _WHERE)) != "web":
        key = key_of(did, _WHERE)
        if header.get("kid") != key_id_of(Did(did)):
            raise _mismatch("request.kid")
        return ClientProof.KEY, None, key
    # The DID's own document is asked for, never the one of a DID in the header.
    key_id = text_at(header, "kid", "request.header")
    if DidUrl.parse(key_id, "request.kid").did != did:
        raise _mismatch("request.kid")
    document = resolver.document(did)
    found = key_for(document, key_id, _relationship(document, key_id), at=now, now=now)
    return ClientProof.DOMAIN, _web_name(did), single(found, "request.kid")


def _web_name(did: str) -> str:
    """Give host and path: whoever may publish at a path of a host does not speak for the host."""
    authority, *path = did.split(":")[2:]
    return "/".join((unquote(authority).lower(), *path))


def _relationship(document: DidDocument, key_id: str) -> Relationship:
    # Section 5.9.3 names `verificationMethod` and no relationship: a key that may
    # authenticate or assert may sign a request.
    named = str(DidUrl.parse(key_id, "request.kid"))
    if named in document.relationships[Relationship.ASSERTION]:
        return Relationship.ASSERTION
    return Relationship.AUTHENTICATION


def _of_certificate(
    client_id: ClientId, header: Mapping[str, Json], trust: ClientTrust, now: datetime
) -> tuple[ClientProof, str | None, PublicKey]:
    key = first_key(header)
    if client_id.prefix is Prefix.X509_HASH:
        leaf = binascii.a2b_base64(texts_at(header, "x5c", "request.header")[0])
        if b64url(sha256(leaf).digest()) != client_id.name:
            raise _mismatch("request.x5c")
        if client_id.text in trust.known:
            _require_in_time(leaf, now)
            return ClientProof.KEY, None, key
    if trust.anchors is None:
        expected = "a chain to a trusted anchor"
        raise _refused("certificate-untrusted", expected, "no anchors at all", "request.x5c")
    certified = certified_key(header, trust.anchors, now=now, purposes=_PURPOSES)
    if client_id.prefix is Prefix.X509_HASH:
        return ClientProof.CERTIFICATE, certified.subject, certified.key
    if client_id.name.lower() not in certified.hosts:
        raise _mismatch("request.x5c")
    return ClientProof.CERTIFICATE, client_id.name.lower(), certified.key


def _require_in_time(leaf: bytes, now: datetime) -> None:
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(leaf)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        expected = "a certificate in its time"
        raise _refused("certificate-expired", expected, "one out of it", "request.x5c")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _mismatch(where: str) -> Refused:
    return _refused("client-id-mismatch", "a key of the client id", "another", where)


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
