"""Access tokens: who may ask for which datasets, for how long, with which key.

A token is 256 random bits; its hash stands in the database. One that was given to
a DPoP key (RFC 9449) is of use to that key alone. `grant_token` is the last step of
every grant, `session_of` the first of every request with a token.

OpenID4VCI 1.0, sections 6.2 and 13.10; RFC 6750, section 3.1.
"""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from counterfoil_credentials.encoding import Json, b64url
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.records import record

from counterfoil_issuer.records import (
    SECRET_BYTES,
    Dataset,
    OfferId,
    Random,
    SecretHash,
    Session,
    TokenRecord,
    secret_hash,
)
from counterfoil_issuer.spec import (
    ACCESS_TOKEN,
    BEARER,
    CREDENTIAL_CONFIGURATION_ID,
    CREDENTIAL_IDENTIFIERS,
    DPOP,
    OPENID_CREDENTIAL,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.store import Held

Once: TypeAlias = tuple[tuple[SecretHash, datetime], ...]
_LONGEST_TOKEN: Final = 512


@record()
class AccessToken:
    """A new token; `token_type` is `Bearer`, or `DPoP` for one that is bound to a key.

    `authorization_details` go into the token response when they are there: then
    the credentials are asked for by `credential_identifier` (section 6.2).
    """

    value: str = field(repr=False)
    expires_in_s: int
    token_type: str
    authorization_details: list[Json] | None


@record()
class Presented:
    """The token of a request, and the thumbprint of the DPoP key proved with it, if any.

    `once` are hashes of proofs that must not come again, each with when it is over.
    """

    value: str | None = field(repr=False)
    dpop_jkt: str | None = field(default=None, repr=False)
    once: Once = field(default=(), repr=False)


def spend_once(held: Held, once: Once) -> None:
    """Take the proofs of a request; raises `Refused` with `invalid_dpop_proof` for a used one."""
    for proof_hash, ends_at in once:
        if not held.spend_nonce(proof_hash, ends_at):
            raise refusal(
                ErrorCode.INVALID_DPOP_PROOF, "a proof made for this request", "a used one", "jti"
            )


def grant_token(
    held: Held,
    *,
    datasets: Sequence[Dataset],
    offer_id: OfferId | None,
    client_id: str | None,
    dpop_jkt: str | None,
    lasts: timedelta,
    now: datetime,
    random: Random,
    by_identifier: bool = False,
) -> AccessToken:
    """Give a new token for `datasets`.

    `by_identifier` says that the wallet sent `authorization_details`. Datasets of
    one type cannot be told apart otherwise, so these always have identifiers.
    """
    value = b64url(random(SECRET_BYTES))
    types = [dataset.type_name for dataset in datasets]
    by_identifier = by_identifier or len(set(types)) < len(types)
    token = TokenRecord(
        token_hash=secret_hash(value),
        offer_id=offer_id,
        client_id=client_id,
        dpop_jkt=dpop_jkt,
        by_identifier=by_identifier,
        expires_at=now + lasts,
    )
    held.add_token(token, [dataset.dataset_id for dataset in datasets])
    return AccessToken(
        value=value,
        expires_in_s=int(lasts.total_seconds()),
        token_type=BEARER if dpop_jkt is None else DPOP,
        authorization_details=_details(datasets) if by_identifier else None,
    )


def session_of(
    held: Held,
    presented: Presented,
    now: datetime,
    *,
    grace: timedelta | None = None,
    may_be_ended: bool = False,
) -> Session:
    """Give the token that was presented, with its datasets.

    With `grace` it may be so long past its end; `may_be_ended` is for whoever gains
    nothing by it, though what the token was for was offered again. Raises `Refused`
    with `invalid_token`.
    """
    text = presented.value
    # What is longer than any of ours is not worth a hash.
    known = text and len(text) <= _LONGEST_TOKEN and text.isascii()
    session = held.session_of(secret_hash(text)) if text and known else None
    if session is None:
        raise _invalid_token(
            "an access token of this issuer", "another text" if text else "nothing"
        )
    token = session.token
    if token.dpop_jkt != presented.dpop_jkt:
        expected = "a bearer token" if token.dpop_jkt is None else "a proof of the token's DPoP key"
        raise _invalid_token(expected, "a DPoP proof" if presented.dpop_jkt else "no such proof")
    if now >= token.expires_at + (grace or timedelta()):
        raise _invalid_token("a token in time", "an expired one")
    if token.ended and not may_be_ended:
        raise _invalid_token("a token of the latest offer", "one that a newer offer has replaced")
    return session


def _details(datasets: Sequence[Dataset]) -> list[Json]:
    by_type: dict[str, list[Json]] = {}
    for dataset in datasets:
        by_type.setdefault(dataset.type_name, []).append(dataset.dataset_id)
    return [
        {
            "type": OPENID_CREDENTIAL,
            CREDENTIAL_CONFIGURATION_ID: type_name,
            CREDENTIAL_IDENTIFIERS: identifiers,
        }
        for type_name, identifiers in by_type.items()
    ]


def _invalid_token(expected: str, found: str) -> Refused:
    return refusal(ErrorCode.INVALID_TOKEN, expected, found, ACCESS_TOKEN)
