"""Cards as they come from an issuer, without one."""

import random
from collections.abc import Callable
from datetime import datetime

from counterfoil_credentials import MemorySigner, SdJwt, StatusReference, issue_credential
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.sdjwt_vc import VerifiedCredential, read_credential
from counterfoil_wallet import Copy, HeldCredential
from counterfoil_wallet.card_keys import CardKey

from tests.conftest import NOON

BRAND = "https://brand.example"
TYPE = f"{BRAND}/types/receipt"
ISSUER = MemorySigner.generate()
_RANDOM = random.Random("cards").randbytes


def card_of(
    claims: JsonObject,
    random_bytes: Callable[[int], bytes] = _RANDOM,
    *,
    vct: str = TYPE,
    expires_at: datetime | None = None,
) -> HeldCredential:
    """Give a card of these claims, all concealed, with one copy."""
    signer = MemorySigner.generate()
    sd_jwt, verified = _issued(claims, random_bytes, signer, vct, expires_at)
    return HeldCredential.of(
        sd_jwt, verified, configuration_id="receipt", key=CardKey.own(signer), at=NOON
    )


def copy_of(claims: JsonObject, *, expires_at: datetime | None = None) -> Copy:
    """Give one more copy of the card of these claims."""
    signer = MemorySigner.generate()
    return Copy.of(*_issued(claims, _RANDOM, signer, TYPE, expires_at), key=CardKey.own(signer))


def _issued(
    claims: JsonObject,
    random_bytes: Callable[[int], bytes],
    signer: MemorySigner,
    vct: str,
    expires_at: datetime | None,
) -> tuple[SdJwt, VerifiedCredential]:
    sd_jwt = issue_credential(
        claims,
        vct=vct,
        issuer=BRAND,
        signer=ISSUER,
        holder=signer.public,
        issued_at=NOON,
        expires_at=expires_at,
        status=StatusReference(f"{BRAND}/status-lists/1", 7),
        concealed=[(name,) for name in claims],
        random=random_bytes,
    )
    return sd_jwt, read_credential(sd_jwt).verify(ISSUER.public)
