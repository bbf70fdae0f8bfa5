"""The customer's receipt for what she showed; see `presentation_receipt` for what it says."""

from collections.abc import Iterable
from datetime import datetime

from counterfoil_credentials.did_web import DatedKey
from counterfoil_credentials.dids import did_jwk, key_id_of
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.jws import MAX_TOKEN_BYTES, Header
from counterfoil_credentials.presentation_receipt import PresentationReceipt, ShownNames
from counterfoil_credentials.qr_frames import frames
from counterfoil_credentials.requests import PresentationRequest

from counterfoil_verifier.identity import Certified, OwnKey, Unproved, WebDid
from counterfoil_verifier.requesting import Shop


def receipt_for(
    shop: Shop,
    request: PresentationRequest,
    shown: Iterable[JsonObject],
    *,
    now: datetime,
    kept_until: datetime | None,
) -> str | None:
    """Give the signed receipt, which names everything in the claims `shown`.

    None under `redirect_uri`: nobody could tell whose signature it is. None also for one
    that would be too long to be read: it would be worth less than none.
    """
    header = signature_header(shop)
    if header is None:
        return None
    receipt = PresentationReceipt(
        client_id=request.client_id,
        name=request.client_name or shop.name,
        nonce=request.nonce,
        purpose=request.purpose,
        shown=tuple(ShownNames.of(str(claims.get("vct", "")), claims) for claims in shown),
        shown_at=now,
        kept_until=kept_until,
    )
    token = receipt.sign(shop.signer, header=header)
    return token if len(token) <= MAX_TOKEN_BYTES else None


def receipt_codes(receipt: str) -> tuple[str, ...]:
    """Give it as QR codes, for a customer without a network; none where they are too many."""
    try:
        return tuple(frames(receipt))
    except Misuse:
        return ()


def signature_header(shop: Shop) -> Header | None:
    """Say where the key is, as the request does; None where no request is signed."""
    match shop.identity:
        case OwnKey():
            return {"kid": key_id_of(did_jwk(shop.signer.public))}
        case WebDid(did=did):
            return {"kid": f"{did}#{DatedKey(shop.signer.public).fragment}"}
        case Certified(chain=chain):
            return {"x5c": [*chain]}
        case Unproved():
            return None
