"""Whoever signs documents in these tests: keys from seeds or from the published files."""

from dataclasses import replace
from typing import Any, TypeAlias, cast

from counterfoil_credentials.bbs_keys import ProofSigner
from counterfoil_credentials.dids import did_key, key_id_of
from counterfoil_credentials.integrity_proofs import ProofOptions
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.multikey import from_multibase

Object: TypeAlias = dict[str, Any]


def published_key(multibase: str, curve: Curve) -> MemorySigner:
    """Give the signer of a published private Multikey: its first two bytes name the kind."""
    return MemorySigner.from_private_bytes(from_multibase(multibase, "key")[2:], curve)


def prover(curve: Curve = Curve.ED25519, seed: int = 7) -> MemorySigner:
    """Give the same key for the same seed."""
    size = 48 if curve is Curve.P384 else 32
    return MemorySigner.from_private_bytes(bytes([0] + [seed] * (size - 1)), curve)


def options(of: ProofSigner, **changes: object) -> ProofOptions:
    """Give the options of a proof by the `did:key` of `of`."""
    plain = ProofOptions(verification_method=key_id_of(did_key(of.public)))
    return replace(plain, **cast("Object", changes))
