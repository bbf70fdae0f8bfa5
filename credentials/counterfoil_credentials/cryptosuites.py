"""Cryptosuites of Data Integrity: how a document and a proof's options become signed bytes.

Here stand those over JCS: eddsa-jcs-2022 (Data Integrity EdDSA Cryptosuites 1.0,
section 3.3) and ecdsa-jcs-2019 (Data Integrity ECDSA Cryptosuites 1.0, section 3.3).
They need no JSON-LD, and cover each byte's meaning: no name can be lost on the way.
"""

from dataclasses import dataclass
from hashlib import sha256, sha384
from typing import Final, Protocol

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.jcs import jcs
from counterfoil_credentials.keys import Curve

EDDSA_CURVES: Final = frozenset({Curve.ED25519})
ECDSA_CURVES: Final = frozenset({Curve.P256, Curve.P384})
DOCUMENT: Final = "document"
OPTIONS: Final = "document.proof"


class Cryptosuite(Protocol):
    """One way to sign a document. `context_in_proof` says whether proofs carry `@context`."""

    @property
    def name(self) -> str: ...

    @property
    def curves(self) -> frozenset[Curve]: ...

    @property
    def context_in_proof(self) -> bool: ...

    def signed_bytes(self, document: JsonObject, options: JsonObject, curve: Curve) -> bytes:
        """Give what a key of `curve` signs: two hashes, the options' and the document's.

        `document` is unsecured apart from proofs that this one signs with it; `options`
        is the proof without its value. Raises `Malformed` or `Refused` for a document
        that the suite cannot cover whole.
        """
        ...


@dataclass(frozen=True, slots=True)
class JcsSuite:
    """A suite over the JSON Canonicalization Scheme."""

    name: str
    curves: frozenset[Curve]
    context_in_proof: bool = True

    def signed_bytes(self, document: JsonObject, options: JsonObject, curve: Curve) -> bytes:
        """Give the two hashes of the canonical forms; see `Cryptosuite`."""
        return hashed(jcs(options, OPTIONS), jcs(document, DOCUMENT), curve)


EDDSA_JCS_2022: Final = JcsSuite("eddsa-jcs-2022", EDDSA_CURVES)
ECDSA_JCS_2019: Final = JcsSuite("ecdsa-jcs-2019", ECDSA_CURVES)


def hashed(options: bytes, document: bytes, curve: Curve) -> bytes:
    """Give both hashes in a row: SHA-384 for P-384, SHA-256 for every other curve.

    ECDSA Cryptosuites, section 3.2.4; EdDSA Cryptosuites, section 3.2.4.
    """
    of = sha384 if curve is Curve.P384 else sha256
    return of(options).digest() + of(document).digest()
