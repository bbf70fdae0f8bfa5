"""Cryptosuites of Data Integrity: how a document and a proof's options become signed bytes.

Here stand those over JCS: eddsa-jcs-2022 (Data Integrity EdDSA Cryptosuites 1.0,
section 3.3) and ecdsa-jcs-2019 (Data Integrity ECDSA Cryptosuites 1.0, section 3.3).
They need no JSON-LD, and cover each byte's meaning: no name can be lost on the way.
"""

from dataclasses import dataclass
from hashlib import sha256, sha384
from typing import Final, NamedTuple, Protocol

from counterfoil_credentials.bbs_keys import (
    ProofSigner,
    VerificationKey,
    single,
    single_signer,
)
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jcs import jcs
from counterfoil_credentials.keys import Curve, PublicKey
from counterfoil_credentials.multikey import multibase

EDDSA_CURVES: Final = frozenset({Curve.ED25519})
ECDSA_CURVES: Final = frozenset({Curve.P256, Curve.P384})
DOCUMENT: Final = "document"
OPTIONS: Final = "document.proof"


class ProofValue(NamedTuple):
    """A proof's value: its bytes, the multibase prefix that they came in, and where it stood."""

    base: str
    data: bytes
    where: str


class Cryptosuite(Protocol):
    """One way to sign a document. `context_in_proof` says whether proofs carry `@context`.

    `document` is always unsecured, apart from proofs that this one signs with it; `options`
    is the proof without its value.
    """

    @property
    def name(self) -> str: ...

    @property
    def curves(self) -> frozenset[str]: ...

    @property
    def context_in_proof(self) -> bool: ...

    def prove(self, document: JsonObject, options: JsonObject, signer: ProofSigner) -> str:
        """Give the proof's value, in multibase.

        Raises `Malformed` or `Refused` for a document that the suite cannot cover whole.
        """
        ...

    def check(
        self, document: JsonObject, options: JsonObject, value: ProofValue, key: VerificationKey
    ) -> None:
        """Return only if `value` is a proof by `key` over document and options.

        Raises `Refused` with the code `signature-invalid`, `Malformed` for a value that is
        none of this suite's, and what `prove` raises for a document.
        """
        ...


@dataclass(frozen=True, slots=True)
class JcsSuite:
    """A suite over the JSON Canonicalization Scheme."""

    name: str
    curves: frozenset[Curve]
    context_in_proof: bool = True

    def signed_bytes(self, document: JsonObject, options: JsonObject, curve: Curve) -> bytes:
        """Give the two hashes of the canonical forms: what a key of `curve` signs."""
        return hashed(jcs(options, OPTIONS), jcs(document, DOCUMENT), curve)

    def prove(self, document: JsonObject, options: JsonObject, signer: ProofSigner) -> str:
        """Give the signature in base58btc; see `Cryptosuite`."""
        one = single_signer(signer)
        return multibase(one.sign(self.signed_bytes(document, options, one.public.curve)))

    def check(
        self, document: JsonObject, options: JsonObject, value: ProofValue, key: VerificationKey
    ) -> None:
        """Check the signature; see `Cryptosuite`."""
        one = single(key, value.where)
        check_signature(value, one, self.signed_bytes(document, options, one.curve))


EDDSA_JCS_2022: Final = JcsSuite("eddsa-jcs-2022", EDDSA_CURVES)
ECDSA_JCS_2019: Final = JcsSuite("ecdsa-jcs-2019", ECDSA_CURVES)


def hashed(options: bytes, document: bytes, curve: Curve) -> bytes:
    """Give both hashes in a row: SHA-384 for P-384, SHA-256 for every other curve.

    ECDSA Cryptosuites, section 3.2.4; EdDSA Cryptosuites, section 3.2.4.
    """
    of = sha384 if curve is Curve.P384 else sha256
    return of(options).digest() + of(document).digest()


def check_signature(value: ProofValue, key: PublicKey, signed: bytes) -> None:
    """Return only if `value`, in base58btc, is one signature of `key` over `signed`."""
    if value.base != "z":
        raise Malformed("base58btc with its prefix z", "another base", value.where)
    try:
        key.verify(value.data, signed)
    except Refused as cause:
        found = cause.reasons[0]
        reason = Reason(found.code, found.expected, found.found, value.where)
        raise Refused(reason) from cause
