"""The customer's receipt for what she showed; see `presentation_receipt` for what it says."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.did_web import DatedKey
from counterfoil_credentials.dids import did_jwk, key_id_of
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.jws import Header
from counterfoil_credentials.presentation_receipt import PresentationReceipt, ShownNames
from counterfoil_credentials.requests import PresentationRequest

from counterfoil_verifier.identity import Certified, OwnKey, Unproved, WebDid
from counterfoil_verifier.requesting import Shop

# What a credential says of itself and its issuer, and nothing of what the customer showed.
_OF_THE_CREDENTIAL: Final = frozenset(
    {"iss", "iat", "nbf", "exp", "jti", "cnf", "vct", "vct#integrity", "aka_vcts", "status"}
)


def receipt_for(
    shop: Shop,
    request: PresentationRequest,
    shown: Iterable[JsonObject],
    *,
    now: datetime,
    kept_until: datetime | None,
) -> str | None:
    """Give the signed receipt, which names everything in the claims `shown`.

    None under `redirect_uri`: nobody could tell whose signature it is.
    """
    header = signature_header(shop)
    if header is None:
        return None
    receipt = PresentationReceipt(
        client_id=request.client_id,
        name=request.client_name or shop.name,
        nonce=request.nonce,
        purpose=request.purpose,
        shown=tuple(ShownNames(str(claims.get("vct", "")), _names(claims)) for claims in shown),
        shown_at=now,
        kept_until=kept_until,
    )
    return receipt.sign(shop.signer, header=header)


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


def _names(claims: JsonObject) -> tuple[ClaimPath, ...]:
    paths = (
        path
        for name, value in claims.items()
        if name not in _OF_THE_CREDENTIAL
        for path in _leaves(value, (name,))
    )
    return tuple(dict.fromkeys(paths))


def _leaves(value: Json, path: ClaimPath) -> Iterator[ClaimPath]:
    match value:
        case dict():
            for name, member in value.items():
                yield from _leaves(member, (*path, name))
        case list():
            # How many there were is a value too: one name stands for every element.
            for element in value:
                yield from _leaves(element, (*path, None))
        case _:
            yield path
