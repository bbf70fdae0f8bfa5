"""The issuer's key from a certificate chain: the `x5c` header (SD-JWT VC, section 2.5).

The chain stands in the token, and the anchors it must lead to are the caller's:
nothing is fetched (`x5u` is refused where tokens are read). Paths are verified by
the `cryptography` package (RFC 5280, section 6); the rules on top of it are those
of OpenID4VC HAIP 1.0: no self-signed certificate signs, no anchor travels along.
Certificates are not looked up in revocation lists; short lives are the answer here.
"""

import binascii
import re
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from counterfoil_credentials.encoding import Json, texts_at
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.key_identifiers import key_id, key_ids_proved
from counterfoil_credentials.keys import PublicKey

if TYPE_CHECKING:  # loaded by the first chain: most programs never meet one
    from cryptography import x509
    from cryptography.x509.verification import Policy

    _Extension = TypeVar("_Extension", bound=x509.ExtensionType)

MAX_CERTIFICATES: Final = 8
MAX_CERTIFICATE: Final = 16_384
_WHERE: Final = "header.x5c"
_ANY_PURPOSE: Final = "2.5.29.37.0"
# One spelling for each: lower case, no user, no port 443, no address of a machine, no dot
# segment, nothing percent-encoded, no last slash, and nothing after the path.
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)*(?=[a-z]){_LABEL}")
_ISSUER: Final = re.compile(
    rf"https://{_HOST.pattern}(?::(?!443(?:/|\Z))(?P<port>[1-9][0-9]{{0,4}}))?"
    r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~!$&'()+,;=:@-]+)*"
)


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """The certificates that a chain may lead to. Without any, every chain is refused."""

    certificates: "tuple[x509.Certificate, ...]"

    def __post_init__(self) -> None:
        # Once here, so that nobody is blamed for it who sends a chain.
        with _foreign_errors("anchors"):
            for certificate in self.certificates:
                _read(certificate)

    @staticmethod
    def from_pem(data: bytes) -> "TrustAnchors":
        """Parse one or more certificates in PEM; raises `Malformed`."""
        from cryptography import x509

        with _foreign_errors("anchors"):
            return TrustAnchors(tuple(x509.load_pem_x509_certificates(data)))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The identifiers of their keys, each once: what `aki` asks for (`key_identifiers`)."""
        return tuple(dict.fromkeys(map(key_id, self.certificates)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedKey:
    """A key, and the names under which a trusted chain certifies its holder.

    `subject` is the certificate's (RFC 4514). It is None, and `urls` is empty, where
    a certificate of the path limits names: such limits bind host names only.
    `authorities` are the key identifiers of whom the path leads through.
    """

    key: PublicKey
    subject: str | None
    urls: frozenset[str]
    hosts: frozenset[str]
    authorities: frozenset[str] = frozenset()

    def names(self, issuer: str) -> bool:
        """Say whether the certificate is of `issuer`, the credential's `iss`.

        One of its URLs is the very same text, or `issuer` is the https origin of one
        of its host names, with no port or path: the certificate of a web server does
        not speak for its tenants. A wildcard names nobody.
        """
        return issuer in self.urls or any(issuer == f"https://{host}" for host in self.hosts)


def is_issuer_url(text: str) -> bool:
    """Say whether `text` is an https URL of an issuer in its one spelling.

    Host names in lower case, no default port, no query or fragment, no last slash.
    """
    found = _ISSUER.fullmatch(text)
    return found is not None and int(found["port"] or 1) < 65_536


def certified_key(
    header: Mapping[str, Json],
    anchors: TrustAnchors,
    *,
    now: datetime,
    purposes: Collection[str] = (),
) -> CertifiedKey:
    """Give the key of the first certificate in `x5c`, once the chain is found good at `now`.

    Each certificate certifies the one before it, and an anchor the last. Where one of
    them limits what it is for, one of `purposes` must remain: extended key usages,
    as dotted numbers (RFC 5280, section 4.2.1.12). "Any" limits an authority to
    nothing, and in the first certificate it is a usage like another.

    Raises `Misuse` when `now` has no time zone, `Malformed` for what is no chain of
    certificates. `Refused`:
    `certificate-expired`, `certificate-not-yet-valid`, `certificate-self-signed`,
    `certificate-anchor-in-chain`, `certificate-untrusted` (no path to an anchor,
    among them a signature, a path length, a key usage or a critical extension),
    `certificate-usage` (it certifies others, or does not sign),
    `certificate-not-for-this` (it is for other purposes, such as a web server's),
    `certificate-key-not-allowed` (of a kind that signs no credentials).
    """
    if isinstance(purposes, str):
        raise Misuse("expected a collection of purposes, found one text")
    if now.utcoffset() is None:
        raise Misuse("expected an instant with its time zone, found one without (now)")
    with _foreign_errors(_WHERE):
        chain = _parse_chain(header)
    _require_times(chain, now)
    _require_proper(chain, anchors)
    path = [*chain, _verify_path(chain, anchors, now)]
    _require_purpose(path, purposes)
    return _certified(path, anchors)


def first_key(header: Mapping[str, Json]) -> PublicKey:
    """Give the key of the first certificate in `x5c`, which nobody has vouched for.

    It is for whoever proves to hold the key and is asked for no name. Raises
    `Malformed`, and `Refused` with `certificate-key-not-allowed`.
    """
    with _foreign_errors(_WHERE):
        chain = _parse_chain(header)
    return _public_key(chain[0])


def first_subject(header: Mapping[str, Json]) -> str:
    """Give the subject of the first certificate in `x5c` (RFC 4514), which is nobody's word yet.

    It names the issuer of a credential without `iss`, once `certified_key` has found the
    chain good. Raises `Malformed`, also where there is no subject.
    """
    with _foreign_errors(_WHERE):
        subject = _parse_chain(header)[0].subject.rfc4514_string()
    if not subject:
        raise Malformed("a certificate with a subject", "one without", _WHERE)
    return subject


def _parse_chain(header: Mapping[str, Json]) -> "list[x509.Certificate]":
    from cryptography import x509

    texts = texts_at(header, "x5c", "header")
    if not 1 <= len(texts) <= MAX_CERTIFICATES:
        raise Malformed(f"1 to {MAX_CERTIFICATES} certificates", f"{len(texts)}", _WHERE)
    chain = [
        x509.load_der_x509_certificate(_from_base64(text, f"{_WHERE}[{i}]"))
        for i, text in enumerate(texts)
    ]
    for certificate in chain:
        _read(certificate)
    chain[0].public_key()
    return chain


def _read(certificate: "x509.Certificate") -> None:
    # The package parses these when they are first asked for, and keeps them or fails.
    _ = certificate.subject, certificate.issuer, certificate.extensions


def _from_base64(text: str, where: str) -> bytes:
    # RFC 7515, section 4.1.6: base64 here is the one with padding, not base64url.
    if len(text) > MAX_CERTIFICATE:
        raise Malformed(f"at most {MAX_CERTIFICATE} characters", f"{len(text)}", where)
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as cause:
        raise Malformed("base64 with padding", "another text", where) from cause
    if binascii.b2a_base64(data, newline=False).decode("ascii") != text:
        raise Malformed("base64 whose unused bits are zero", "stray bits", where)
    return data


def _require_times(chain: "Sequence[x509.Certificate]", now: datetime) -> None:
    reasons: list[Reason] = []
    for i, certificate in enumerate(chain):
        expected, where = "a certificate in its time", f"{_WHERE}[{i}]"
        if now > certificate.not_valid_after_utc:
            reasons.append(Reason("certificate-expired", expected, "one past it", where))
        if now < certificate.not_valid_before_utc:
            reasons.append(Reason("certificate-not-yet-valid", expected, "one before it", where))
    if reasons:
        raise Refused(*reasons)


def _require_proper(chain: "Sequence[x509.Certificate]", anchors: TrustAnchors) -> None:
    if chain[0].subject == chain[0].issuer:
        raise _refused("certificate-self-signed", "a certificate of an authority", "its own")
    if any(certificate in anchors.certificates for certificate in chain):
        text = "a chain without its anchor"
        raise _refused("certificate-anchor-in-chain", text, "the anchor")


def _verify_path(
    chain: "Sequence[x509.Certificate]", anchors: TrustAnchors, now: datetime
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.x509.verification import (
        Criticality,
        ExtensionPolicy,
        PolicyBuilder,
        Store,
        VerificationError,
    )

    expected = "a chain to a trusted anchor"
    if not anchors.certificates:
        raise _refused("certificate-untrusted", expected, "no anchors at all")
    # The package's own policies are those of the web's servers: other names, other usages.
    authority = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_certifies)
    )
    verifier = (
        PolicyBuilder()
        .store(Store([*anchors.certificates]))
        .time(now)
        .max_chain_depth(MAX_CERTIFICATES)
        .extension_policies(ca_policy=authority, ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        with _foreign_errors(_WHERE):
            path = verifier.verify(chain[0], [*chain[1:]]).chain
    except VerificationError as cause:
        raise _refused("certificate-untrusted", expected, "none") from cause
    # The package finds a path in any order, and passes over what it does not need.
    if path[:-1] != [*chain]:
        raise _refused("certificate-untrusted", "each certificate certified by the next", "others")
    return path[-1]


def _require_certifies(
    _policy: "Policy", _certificate: "x509.Certificate", usage: "x509.KeyUsage | None"
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's key that may not sign certificates")


def _require_purpose(path: "Sequence[x509.Certificate]", purposes: Collection[str]) -> None:
    from cryptography import x509

    left = {*purposes}
    for i, certificate in enumerate(path):
        usage = _extension(certificate, x509.ExtendedKeyUsage)
        limits = None if usage is None else {one.dotted_string for one in usage}
        if limits is None or (i > 0 and _ANY_PURPOSE in limits):
            continue
        left &= limits
        if not left:
            text = "a certificate for one of the purposes that are allowed"
            raise _refused("certificate-not-for-this", text, "one for others")


def _certified(path: "Sequence[x509.Certificate]", anchors: TrustAnchors) -> CertifiedKey:
    from cryptography import x509

    leaf = path[0]
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise _refused("certificate-usage", "a certificate that ends the chain", "an authority's")
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise _refused("certificate-usage", "a key for digital signatures", "another usage")
    names = _extension(leaf, x509.SubjectAlternativeName) or x509.SubjectAlternativeName([])
    with _foreign_errors("anchors"):
        authorities = key_ids_proved(path, anchors.certificates)
    hosts = names.get_values_for_type(x509.DNSName)
    is_limited = any(_extension(one, x509.NameConstraints) is not None for one in path)
    urls = [] if is_limited else names.get_values_for_type(x509.UniformResourceIdentifier)
    return CertifiedKey(
        key=_public_key(leaf),
        subject=None if is_limited else leaf.subject.rfc4514_string() or None,
        urls=frozenset(filter(is_issuer_url, urls)),
        hosts=frozenset(host.lower() for host in hosts if _HOST.fullmatch(host.lower())),
        authorities=authorities,
    )


def _public_key(leaf: "x509.Certificate") -> PublicKey:
    key = leaf.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey | Ed25519PublicKey):
            return PublicKey.of(key)
    except Misuse:
        pass
    raise _refused("certificate-key-not-allowed", "a key that signs credentials", "another kind")


def _extension(certificate: "x509.Certificate", kind: "type[_Extension]") -> "_Extension | None":
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


@contextmanager
def _foreign_errors(where: str) -> Generator[None]:
    from cryptography import x509

    try:
        yield
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        Warning,  # what the package finds odd, where warnings are made errors
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as cause:
        raise Malformed("certificates", "other bytes", where) from cause


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(code, expected, found, _WHERE))
