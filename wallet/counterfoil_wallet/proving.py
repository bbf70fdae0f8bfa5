"""Prove the keys that the copies of a credential will be bound to.

Three ways, and the issuer says which: each key signs; each key signs and its keeper vouches
for all; the keeper vouches and nobody signs. OpenID4VCI 1.0, appendices D.1 and F.
"""

from datetime import datetime

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.keys import Signer

from counterfoil_wallet import spec
from counterfoil_wallet.acceptance import Wanted
from counterfoil_wallet.attesting import KeyAttester
from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.configurations import Proving


def make_proofs(
    wanted: Wanted,
    keys: CardKeys,
    *,
    issuer: str,
    nonce: str | None,
    client_id: str | None,
    attester: KeyAttester | None,
    now: datetime,
) -> JsonObject:
    """Give the member `proofs` of a credential request, for all keys of `wanted`.

    `client_id` is the one that the token was given to, None for nobody's. Raises
    `Unavailable` or `Refused` when the keys' keeper does not vouch for them.
    """
    attestation = None
    proving = wanted.configuration.proving
    if proving is not Proving.SIGNED:
        if attester is None:
            raise Misuse("expected whoever keeps the keys to vouch for them, found nobody")
        levels = wanted.configuration.levels
        attestation = attester.attest_keys(wanted.public_keys, nonce=nonce, levels=levels)
    if proving is Proving.ATTESTED:
        return {spec.ATTESTATION_PROOF: [attestation]}

    def proof(signer: Signer) -> str:
        header: JsonObject = {"jwk": signer.public.jwk()}
        if attestation is not None:
            header[spec.KEY_ATTESTATION] = attestation
        return make_proof(
            signer, issuer=issuer, nonce=nonce, now=now, client_id=client_id, header=header
        )

    return {spec.JWT_PROOF: [proof(keys.of(key)) for key in wanted.keys]}
