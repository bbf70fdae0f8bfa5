"""Turn a pre-authorized code into an access token, once.

The order of the steps is the protection. A guess at the transaction code is
counted, and the count is on disk, before the guess is compared: guesses sent all
at once, or around a crash, get no more comparisons than five. A wrong guess does
not burn the code, the sixth ends it. The right one takes it and makes the token in
one transaction.

OpenID4VCI 1.0, sections 6 and 13.6.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import as_list, as_object, parse_json, text_at
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT

from counterfoil_issuer.records import (
    Dataset,
    OfferRecord,
    OfferState,
    Random,
    secret_hash,
    tx_code_mac,
)
from counterfoil_issuer.spec import (
    AUTHORIZATION_DETAILS,
    CREDENTIAL_CONFIGURATION_ID,
    GRANT_TYPE,
    LOCATIONS,
    OPENID_CREDENTIAL,
    PRE_AUTHORIZED_CODE,
    TX_CODE,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.store import Held, Store
from counterfoil_issuer.tokens import AccessToken, Once, grant_token, spend_once

MAX_ATTEMPTS: Final = 5
_LONGEST_SECRET: Final = 512
_LONGEST_DETAILS: Final = 16_384
_MOST_DETAILS: Final = 50


async def redeem_code(
    store: Store,
    form: Mapping[str, str],
    *,
    issuer: str,
    key: bytes,
    client_id: str | None,
    dpop_jkt: str | None,
    once: Once,
    lasts: timedelta,
    now: datetime,
    random: Random,
) -> AccessToken:
    """Give the access token for the token request in `form`.

    The token is bound to the DPoP key `dpop_jkt` when there is one, whose proof
    the caller has checked; `once` is spent with the code. Raises `Refused` with
    `unsupported_grant_type`, `invalid_request`, `invalid_authorization_details`,
    `invalid_grant` or `invalid_dpop_proof`. Parameters that we do not know are
    ignored (RFC 6749, 3.2).
    """
    code, tx_code = _read(form)
    details = form.get(AUTHORIZATION_DETAILS)
    wanted = None if details is None else requested_configurations(details, issuer)
    with store.reading() as held:
        offer = held.offer_of_code(secret_hash(code))
    if offer is None:
        raise _invalid_grant("a code of an offer", "another code", PRE_AUTHORIZED_CODE)
    _require_usable(offer, now)
    if (offer.tx_code_mac is None) != (tx_code is None):
        expected = "no tx_code" if offer.tx_code_mac is None else "the offer's tx_code"
        found = "none" if tx_code is None else "one"
        raise refusal(ErrorCode.INVALID_REQUEST, expected, found, TX_CODE)
    datasets = offer.datasets if wanted is None else _of_types(offer.datasets, wanted)
    if tx_code is not None:
        await _check_tx_code(store, offer, tx_code, key)

    def take(held: Held) -> AccessToken:
        if not held.redeem_offer(offer.offer_id):
            raise _invalid_grant("a code not used before", "a used code", PRE_AUTHORIZED_CODE)
        spend_once(held, once)
        return grant_token(
            held,
            datasets=datasets,
            offer_id=offer.offer_id,
            client_id=client_id,
            dpop_jkt=dpop_jkt,
            lasts=lasts,
            now=now,
            random=random,
            by_identifier=wanted is not None,
        )

    return await store.write(take)


def requested_configurations(details: str, issuer: str) -> list[str]:
    """Give the configurations that an `authorization_details` parameter names.

    Our metadata name authorization servers, so each entry says in `locations` that it
    means this issuer (OpenID4VCI 1.0, sections 5.1.1 and 6.1). Raises
    `Refused` with `invalid_authorization_details` (RFC 9396, section 5).
    """
    try:
        return _configurations(details, issuer, AUTHORIZATION_DETAILS)
    except Malformed as error:
        raise refusal(
            ErrorCode.INVALID_AUTHORIZATION_DETAILS, error.expected, error.found, error.where
        ) from error


def _configurations(details: str, issuer: str, where: str) -> list[str]:
    listed = as_list(parse_json(details, where, max_bytes=_LONGEST_DETAILS), where)
    if not 1 <= len(listed) <= _MOST_DETAILS:
        raise Malformed(f"1 to {_MOST_DETAILS} objects", f"{len(listed)}", where)
    objects = [as_object(value, where) for value in listed]
    if any(text_at(one, "type", where) != OPENID_CREDENTIAL for one in objects):
        raise Malformed(f"the type {OPENID_CREDENTIAL}", "another", f"{where}.type")
    for one in objects:
        found = one.get(LOCATIONS)
        if not isinstance(found, list) or issuer not in found:
            text = "none" if found is None else "another"
            raise Malformed("this issuer's identifier", text, f"{where}.{LOCATIONS}")
    return [text_at(one, CREDENTIAL_CONFIGURATION_ID, where) for one in objects]


def _of_types(datasets: Sequence[Dataset], wanted: Sequence[str]) -> Sequence[Dataset]:
    if not {dataset.type_name for dataset in datasets}.issuperset(wanted):
        raise refusal(
            ErrorCode.INVALID_AUTHORIZATION_DETAILS,
            "configurations of the offer",
            "another",
            f"{AUTHORIZATION_DETAILS}.{CREDENTIAL_CONFIGURATION_ID}",
        )
    return [dataset for dataset in datasets if dataset.type_name in wanted]


def _read(form: Mapping[str, str]) -> tuple[str, str | None]:
    grant_type = form.get(GRANT_TYPE)
    if grant_type is None:
        raise refusal(ErrorCode.INVALID_REQUEST, PRE_AUTHORIZED_GRANT, "nothing", GRANT_TYPE)
    if grant_type != PRE_AUTHORIZED_GRANT:
        raise refusal(ErrorCode.UNSUPPORTED_GRANT_TYPE, PRE_AUTHORIZED_GRANT, "another", GRANT_TYPE)
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
        case OfferState.ENDED:
            raise _too_many_attempts()
        case OfferState.OPEN:
            if now >= offer.expires_at:
                raise _invalid_grant("a code in time", "an expired code", PRE_AUTHORIZED_CODE)


async def _check_tx_code(store: Store, offer: OfferRecord, tx_code: str, key: bytes) -> None:
    # The count is on disk when this returns, and only then is anything compared.
    if not await store.write(lambda held: held.count_attempt(offer.offer_id, MAX_ATTEMPTS)):
        raise _too_many_attempts()
    expected = offer.tx_code_mac or ""
    if not hmac.compare_digest(tx_code_mac(key, offer.offer_id, tx_code), expected):
        raise _invalid_grant("the offer's transaction code", "another", TX_CODE)


def _too_many_attempts() -> Refused:
    found = "one more; ask the brand for a new offer"
    return _invalid_grant(f"at most {MAX_ATTEMPTS} attempts", found, TX_CODE)


def _invalid_grant(expected: str, found: str, where: str) -> Refused:
    return refusal(ErrorCode.INVALID_GRANT, expected, found, where)
