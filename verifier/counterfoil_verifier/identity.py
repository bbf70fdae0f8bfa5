"""Who the shop is to a wallet, and what proves it (OpenID4VP 1.0, section 5.9.3).

    OwnKey       decentralized_identifier:did:jwk:…   its key; needs nothing else
    WebDid       decentralized_identifier:did:web:…   its web address, which publishes the key
    Certified    x509_san_dns:…, x509_hash:…          a certificate of the key
    Unproved     redirect_uri:…                       nothing: the request is not signed

The client id is always the full one, prefix included: it is the audience of every
answer (section 14.7).
"""

import binascii
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from counterfoil_credentials.client_ids import Prefix
from counterfoil_credentials.did_web import DatedKey, did_web_document
from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import PublicKey, Signer
from counterfoil_credentials.requests import PresentationRequest, client_id_of, sign_request
from counterfoil_credentials.x509 import MAX_CERTIFICATES, first_key
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

CertificatePrefix: TypeAlias = Literal[Prefix.X509_SAN_DNS, Prefix.X509_HASH]
_WHERE: Final = "certificates"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """Known by the key itself."""


OWN_KEY: Final = OwnKey()


@dataclass(frozen=True, slots=True)
class WebDid:
    """Known by a `did:web`, whose document the shop's web server publishes."""

    did: Did

    def document(self, key: PublicKey) -> JsonObject:
        """Give the document to publish."""
        return did_web_document(self.did, [DatedKey(key)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """Known by a certificate: `chain` begins with it, as in `x5c`, without the anchor.

    `ends_at` is when the first of the certificates ends. `is_self_signed` says that
    nobody else vouches for it; only wallets that name this very certificate take that.
    """

    prefix: CertificatePrefix
    chain: tuple[str, ...]
    hosts: frozenset[str]
    ends_at: datetime
    is_self_signed: bool

    @property
    def client_id(self) -> str:
        """The full client id."""
        if self.prefix is Prefix.X509_SAN_DNS:
            return f"{self.prefix}:{min(self.hosts)}"
        return f"{self.prefix}:{b64url(sha256(binascii.a2b_base64(self.chain[0])).digest())}"


@dataclass(frozen=True, slots=True)
class Unproved:
    """Known by the address that the answer goes to, which proves nothing."""


Identity: TypeAlias = OwnKey | WebDid | Certified | Unproved


def certified(prefix: CertificatePrefix, pem: bytes, *, host: str | None = None) -> Certified:
    """Give the identity of the certificates in `pem`: the shop's own first, then who signed it.

    `host` is the shop's, which `x509_san_dns` must name. Raises `Malformed` for what is
    no chain, and `Misuse` for a chain that holds its anchor (wallets refuse those) or a
    certificate that does not name the host.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as cause:
        raise Malformed("certificates in PEM", "other bytes", _WHERE) from cause
    if not 1 <= len(certificates) <= MAX_CERTIFICATES:
        raise Malformed(f"1 to {MAX_CERTIFICATES} certificates", f"{len(certificates)}", _WHERE)
    own, *others = certificates
    if any(other.issuer == other.subject for other in others):
        raise Misuse(f"expected a chain without its anchor, found a self-signed one ({_WHERE})")
    hosts = _hosts(own)
    if prefix is Prefix.X509_SAN_DNS:
        if host is None or host not in hosts:
            raise Misuse(f"expected a certificate for the shop's host, found another ({_WHERE})")
        hosts = frozenset({host})
    return Certified(
        prefix=prefix,
        chain=tuple(
            binascii.b2a_base64(each.public_bytes(Encoding.DER), newline=False).decode()
            for each in certificates
        ),
        hosts=hosts,
        ends_at=min(each.not_valid_after_utc for each in certificates),
        is_self_signed=own.issuer == own.subject,
    )


def require_own(identity: Identity, key: PublicKey, origin: str) -> None:
    """Return only if a certificate certifies `key`, and the host that it is for; or `Misuse`.

    Under `x509_san_dns` answers go to that host alone (section 5.9.3).
    """
    if not isinstance(identity, Certified):
        return
    if first_key({"x5c": [*identity.chain]}) != key:
        raise Misuse(f"expected a certificate of the shop's key, found another's ({_WHERE})")
    if identity.prefix is Prefix.X509_SAN_DNS and urlsplit(origin).hostname not in identity.hosts:
        raise Misuse(f"expected a certificate for the shop's host, found another ({_WHERE})")


def client_id(identity: Identity, key: PublicKey, response_uri: str) -> str:
    """Give the full client id of whoever asks with `key` for an answer at `response_uri`."""
    match identity:
        case OwnKey():
            return client_id_of(did_jwk(key))
        case WebDid(did=did):
            return client_id_of(did)
        case Certified():
            return identity.client_id
        case Unproved():
            return f"{Prefix.REDIRECT_URI}:{response_uri}"


def signed(
    identity: Identity, request: PresentationRequest, signer: Signer, wallet_nonce: str | None
) -> str:
    """Give the signed request object; `Misuse` where nobody can sign."""
    match identity:
        case OwnKey():
            return sign_request(request, signer, wallet_nonce=wallet_nonce)
        case WebDid(did=did):
            key_id = f"{did}#{DatedKey(signer.public).fragment}"
            return sign_request(request, signer, key_id=key_id, wallet_nonce=wallet_nonce)
        case Certified(chain=chain):
            return sign_request(request, signer, chain=chain, wallet_nonce=wallet_nonce)
        case Unproved():
            raise Misuse("expected a shop that signs, found one under redirect_uri")


def _hosts(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    return frozenset(name.lower() for name in names.get_values_for_type(x509.DNSName))
