"""The authorities that a held credential names: who certified its issuer, by its own account.

A query may ask for credentials under certain authorities (OpenID4VP 1.0, section
6.1.1.1). The wallet only chooses by that, so it takes the chain that travels in the
credential, which the issuer signed; to verify the chain is for whoever asked.
"""

import binascii
from collections.abc import Mapping

from counterfoil_credentials.dcql import Authority, AuthorityType
from counterfoil_credentials.encoding import Json, texts_at
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.key_identifiers import key_id_above
from counterfoil_credentials.x509 import MAX_CERTIFICATE, MAX_CERTIFICATES
from cryptography.exceptions import UnsupportedAlgorithm


def authorities_in(header: Mapping[str, Json]) -> frozenset[Authority]:
    """Give the authority key identifier of each certificate in `x5c`; none for a broken chain."""
    if "x5c" not in header:
        return frozenset()
    from cryptography import x509  # noqa: PLC0415  # most wallets never meet a chain

    found: set[Authority] = set()
    try:
        texts = texts_at(header, "x5c", "header")
        if len(texts) > MAX_CERTIFICATES or any(len(text) > MAX_CERTIFICATE for text in texts):
            return frozenset()
        for text in texts:
            data = binascii.a2b_base64(text, strict_mode=True)
            named = key_id_above(x509.load_der_x509_certificate(data))
            if named is not None:
                found.add(Authority(AuthorityType.AKI, named))
    except (
        Malformed,
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        Warning,  # what the package finds odd, where warnings are made errors
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ):
        return frozenset()
    return frozenset(found)
