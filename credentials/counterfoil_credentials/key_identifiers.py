"""Which authorities stand above a certificate, by the identifiers of their keys.

    root ◄── "s9tI…" ── intermediate ◄── "A1b2…" ── the certificate that signs

A certificate names the key above it (authority key identifier), and the one above
names its own (subject key identifier). Verifiers ask for credentials by these names
(OpenID4VP 1.0, section 6.1.1.1). RFC 5280, sections 4.2.1.1 and 4.2.1.2.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from counterfoil_credentials.encoding import b64url

if TYPE_CHECKING:  # loaded by the first chain: most programs never meet one
    from cryptography import x509


def key_id(certificate: "x509.Certificate") -> str:
    """Give the identifier of a certificate's key, in base64url.

    Where the certificate has none, it is the SHA-1 of the key: the way in which nearly
    every authority makes it (RFC 5280, section 4.2.1.2, method 1).
    """
    from cryptography import x509

    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    return b64url(own.digest)


def key_id_above(certificate: "x509.Certificate") -> str | None:
    """Give the identifier of the key that signed, as the certificate names it, if it does."""
    from cryptography import x509

    try:
        above = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    return b64url(above.key_identifier) if above.key_identifier else None


def key_ids_proved(
    path: "Sequence[x509.Certificate]", anchors: "Sequence[x509.Certificate]"
) -> frozenset[str]:
    """Give the identifiers of the authorities in a verified `path` that ends in an anchor.

    One counts if the certificate below names it and the one above bears it. Whoever
    certifies others can have any identifier written into a certificate, so that of an
    anchor counts for the anchor's own key alone.
    """
    return frozenset(
        named
        for below, above in pairwise(path)
        if (named := key_id_above(below)) is not None
        and named == key_id(above)
        and all(one.public_key() == above.public_key() for one in anchors if key_id(one) == named)
    )
