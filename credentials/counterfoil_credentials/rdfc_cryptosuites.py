"""Cryptosuites of Data Integrity over RDF: eddsa-rdfc-2022 and ecdsa-rdfc-2019.

Data Integrity EdDSA Cryptosuites 1.0, section 3.2; Data Integrity ECDSA Cryptosuites
1.0, section 3.2. What is signed is what the document means by its contexts: whoever
verifies must also know those, to the letter (`W3cPolicy.contexts`). Needs `[ld]`.
"""

from dataclasses import dataclass
from hashlib import sha256, sha384

from counterfoil_credentials.bbs_keys import (
    ProofSigner,
    VerificationKey,
    single,
    single_signer,
)
from counterfoil_credentials.cryptosuites import (
    DOCUMENT,
    ECDSA_CURVES,
    EDDSA_CURVES,
    OPTIONS,
    ProofValue,
    check_signature,
    hashed,
)
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.multikey import multibase
from counterfoil_credentials.rdf_canonical import canonicalize


@dataclass(frozen=True, slots=True)
class RdfcSuite:
    """A suite over RDF Dataset Canonicalization; see `Cryptosuite`."""

    name: str
    curves: frozenset[Curve]
    contexts: FrozenContexts
    context_in_proof: bool = False

    def signed_bytes(self, document: JsonObject, options: JsonObject, curve: Curve) -> bytes:
        """Give the two hashes of the canonical datasets.

        The proof's options speak in the document's contexts (sections 3.2.5). Raises what
        `FrozenContexts.quads` and `canonicalize` raise.
        """
        spoken = {**options, "@context": document.get("@context", [])}
        return hashed(
            self._canonical(spoken, OPTIONS, curve),
            self._canonical(document, DOCUMENT, curve),
            curve,
        )

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

    def _canonical(self, document: JsonObject, where: str, curve: Curve) -> bytes:
        hash_of = sha384 if curve is Curve.P384 else sha256
        return canonicalize(self.contexts.quads(document, where), where, hash_of=hash_of).data


def eddsa_rdfc_2022(contexts: FrozenContexts) -> RdfcSuite:
    """Give the suite for Ed25519."""
    return RdfcSuite("eddsa-rdfc-2022", EDDSA_CURVES, contexts)


def ecdsa_rdfc_2019(contexts: FrozenContexts) -> RdfcSuite:
    """Give the suite for P-256 and P-384."""
    return RdfcSuite("ecdsa-rdfc-2019", ECDSA_CURVES, contexts)
