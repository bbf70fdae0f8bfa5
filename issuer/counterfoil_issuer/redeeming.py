"""Turn a pre-authorized code into an access token, once.

The order of the steps is the protection. A guess at the transaction code is
counted, and the count is on disk, before the guess is compared: guesses sent all
at once, or around a crash, get no more comparisons than five. A wrong guess does
not burn the code. The right one takes it and makes the token in one transaction.

OpenID4VCI 1.0, sections 6 and 13.6.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT

from counterfoil_issuer.records import (
    SECRET_BYTES,
    OfferRecord,
    OfferState,
    Random,
    TokenRecord,
    secret_hash,
    tx_code_mac,
)
from counterfoil_issuer.spec import (
    AUTHORIZATION_DETAILS,
    GRANT_TYPE,
    PRE_AUTHORIZED_CODE,
    TX_CODE,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.store import Store

MAX_ATTEMPTS: Final = 5
_LONGEST_SECRET: Final = 512


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token; whoever holds it may ask for the offered credentials."""

    value: str = field(repr=False)
    expires_in_s: int


def redeem_code(
    store: Store,
    form: Mapping[str, str],
    *,
    key: bytes,
    lasts: timedelta,
    now: datetime,
    random: Random,
) -> AccessToken:
    """Give the access token for the token request in `form`.

    Raises `Refused` with `unsupported_grant_type`, `invalid_request` or
    `invalid_grant`. Parameters that we do not know are ignored (RFC 6749, 3.2).
    """
    code, tx_code = _read(form)
    with store.reading() as held:
        offer = held.offer_of_code(secret_hash(code))
    if offer is None:
        raise _invalid_grant("a code of an offer", "another code", PRE_AUTHORIZED_CODE)
    _require_usable(offer, now)
    if (offer.tx_code_mac is None) != (tx_code is None):
        expected = "no tx_code" if offer.tx_code_mac is None else "the offer's tx_code"
        found = "none" if tx_code is None else "one"
        raise refusal(ErrorCode.INVALID_REQUEST, expected, found, TX_CODE)
    if tx_code is not None:
        _check_tx_code(store, offer, tx_code, key)
    token = b64url(random(SECRET_BYTES))
    with store.transaction() as held:
        if not held.redeem_offer(offer.offer_id):
            raise _invalid_grant("a code not used before", "a used code", PRE_AUTHORIZED_CODE)
        held.add_token(
            TokenRecord(
                token_hash=secret_hash(token), offer_id=offer.offer_id, expires_at=now + lasts
            )
        )
    return AccessToken(token, int(lasts.total_seconds()))


def _read(form: Mapping[str, str]) -> tuple[str, str | None]:
    grant_type = form.get(GRANT_TYPE)
    if grant_type is None:
        raise refusal(ErrorCode.INVALID_REQUEST, PRE_AUTHORIZED_GRANT, "nothing", GRANT_TYPE)
    if grant_type != PRE_AUTHORIZED_GRANT:
        raise refusal(ErrorCode.UNSUPPORTED_GRANT_TYPE, PRE_AUTHORIZED_GRANT, "another", GRANT_TYPE)
    if AUTHORIZATION_DETAILS in form:
        # To ignore it would leave the wallet waiting for credential_identifiers.
        raise refusal(
            ErrorCode.INVALID_REQUEST,
            "no authorization_details: the code stands for the whole offer",
            "some",
            AUTHORIZATION_DETAILS,
        )
    code, tx_code = form.get(PRE_AUTHORIZED_CODE), form.get(TX_CODE)
    if not code:
        raise refusal(ErrorCode.INVALID_REQUEST, "the offer's code", "nothing", PRE_AUTHORIZED_CODE)
    for name, value in ((PRE_AUTHORIZED_CODE, code), (TX_CODE, tx_code or "")):
        if len(value) > _LONGEST_SECRET:
            expected = f"at most {_LONGEST_SECRET} characters"
            raise refusal(ErrorCode.INVALID_REQUEST, expected, f"{len(value)}", name)
    return code, tx_code


def _require_usable(offer: OfferRecord, now: datetime) -> None:
    match offer.state:
        case OfferState.REDEEMED:
            raise _invalid_grant("a code not used before", "a used code", PRE_AUTHORIZED_CODE)
        case OfferState.REPLACED:
            found = "one that a newer offer has replaced"
            raise _invalid_grant("the code of the latest offer", found, PRE_AUTHORIZED_CODE)
        case OfferState.OPEN:
            if now >= offer.expires_at:
                raise _invalid_grant("a code in time", "an expired code", PRE_AUTHORIZED_CODE)


def _check_tx_code(store: Store, offer: OfferRecord, tx_code: str, key: bytes) -> None:
    with store.transaction() as held:
        if not held.count_attempt(offer.offer_id, MAX_ATTEMPTS):
            raise _invalid_grant(
                f"at most {MAX_ATTEMPTS} attempts",
                "one more; ask the brand for a new offer",
                TX_CODE,
            )
    expected = offer.tx_code_mac or ""
    if not hmac.compare_digest(tx_code_mac(key, offer.offer_id, tx_code), expected):
        raise _invalid_grant("the offer's transaction code", "another", TX_CODE)


def _invalid_grant(expected: str, found: str, where: str) -> Refused:
    return refusal(ErrorCode.INVALID_GRANT, expected, found, where)
