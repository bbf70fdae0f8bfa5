"""From a customer who has logged in to an authorization code, and from the code to a token.

    issuable(held, request, subject, now)          what this customer may have of what was asked
    agree(held, grants, visit, ...)                the customer says yes: a code, for a minute
    redeem_authorization_code(store, ..., form)    the wallet turns it into a token, once

A code is bound to the wallet, to its address, to the challenge that only the wallet can
answer, and to the key and the attested instance that were proved when it was asked for.
All of that is checked before the code is taken. One that comes a second time ends the
token that the first gave.

RFC 6749, section 4.1; RFC 7636, section 4.6; RFC 9449, section 10; OpenID4VCI 1.0,
sections 5 and 6.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused

from counterfoil_issuer.authorization_request import AuthorizationRequest
from counterfoil_issuer.clients import Sender
from counterfoil_issuer.grants import CodeRecord, Grants
from counterfoil_issuer.login import Subject
from counterfoil_issuer.pushing import PUSHED_LASTS
from counterfoil_issuer.records import (
    SECRET_BYTES,
    Dataset,
    DatasetState,
    OfferId,
    OfferState,
    Random,
    secret_hash,
)
from counterfoil_issuer.redeeming import requested_configurations
from counterfoil_issuer.spec import (
    AUTHORIZATION_DETAILS,
    CLIENT_ID,
    CODE,
    CODE_VERIFIER,
    ISSUER_STATE,
    REDIRECT_URI,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.store import Held, Store
from counterfoil_issuer.tokens import AccessToken, grant_token, spend_once
from counterfoil_issuer.visits import Visit, visit_over

CODE_LASTS: Final = timedelta(seconds=60)
_LONGEST: Final = 2_048
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, section 4.1


@dataclass(frozen=True, slots=True)
class Issuable:
    """What a customer may have of what was asked for; `offer_id` when an offer led here."""

    datasets: tuple[Dataset, ...]
    offer_id: OfferId | None


def issuable(
    held: Held, request: AuthorizationRequest, subject: Subject, now: datetime
) -> Issuable:
    """Give the datasets that `subject` may have of what `request` asks for.

    An `issuer_state` may come from anywhere (OpenID4VCI 1.0, section 5.1.3): it
    narrows to one offer, and never gives what is another customer's. What a wallet
    has stored is not issued again. Raises `Refused` with `invalid_request` for an
    offer that is not open, and with `access_denied` when nothing remains.
    """
    if request.issuer_state is None:
        offer_id = None
        found = [each for name in subject.names for each in held.datasets_of_subject(name)]
    else:
        offer = held.offer_of_issuer_state(secret_hash(request.issuer_state))
        if offer is None or offer.state is not OfferState.OPEN or now >= offer.expires_at:
            expected = "the issuer_state of an open offer"
            raise refusal(ErrorCode.INVALID_REQUEST, expected, "another", ISSUER_STATE)
        offer_id = offer.offer_id
        found = [each for each in offer.datasets if each.subject in subject.names]
    datasets = {
        each.dataset_id: each
        for each in found
        if (not request.configuration_ids or each.type_name in request.configuration_ids)
        and each.state is not DatasetState.DENIED
        and not _is_stored(held, each)
    }
    if not datasets:
        expected = "a credential that this customer may have now"
        raise refusal(ErrorCode.ACCESS_DENIED, expected, "none", "subject")
    return Issuable(tuple(datasets.values()), offer_id)


def agree(held: Held, grants: Grants, visit: Visit, *, now: datetime, random: Random) -> str:
    """End the visit with the customer's yes, and give the code for the wallet."""
    if visit.subject is None:
        raise visit_over("a customer who has logged in", "nobody")
    request = visit.request
    wanted = issuable(held, request, visit.subject, now)
    _take_answer(held, visit)
    code = b64url(random(SECRET_BYTES))
    record = CodeRecord(
        code_hash=secret_hash(code),
        client_id=request.client_id,
        redirect_uri=request.redirect_uri,
        code_challenge=request.code_challenge,
        dpop_jkt=request.dpop_jkt,
        instance_jkt=request.instance_jkt,
        by_identifier=request.by_identifier,
        dataset_ids=tuple(each.dataset_id for each in wanted.datasets),
        offer_id=wanted.offer_id,
        expires_at=now + CODE_LASTS,
    )
    grants.add_code(record, now)
    return code


def decline(held: Held, visit: Visit) -> Refused:
    """End the visit with the customer's no, and give what the wallet is told."""
    _take_answer(held, visit)
    return refusal(ErrorCode.ACCESS_DENIED, "the customer's consent", "a refusal", "customer")


async def redeem_authorization_code(
    store: Store,
    grants_of: Callable[[Held], Grants],
    form: Mapping[str, str],
    sender: Sender,
    *,
    issuer: str,
    lasts: timedelta,
    now: datetime,
    random: Random,
) -> AccessToken:
    """Give the access token for the token request in `form`, sent by `sender`.

    Raises `Refused` with `invalid_request`, `invalid_authorization_details`,
    `invalid_grant` or `invalid_dpop_proof`.
    """
    code, redirect_uri, verifier = _read(form)
    if sender.client_id is None:
        raise refusal(ErrorCode.INVALID_REQUEST, "the wallet's client_id", "none", CLIENT_ID)
    details = form.get(AUTHORIZATION_DETAILS)
    wanted = None if details is None else frozenset(requested_configurations(details, issuer))

    def take(held: Held) -> AccessToken | Refused:
        grants = grants_of(held)
        record = grants.code(secret_hash(code))
        if record is None:
            raise _invalid_grant("a code of this server", "another text", CODE)
        _check_binding(record, sender, redirect_uri, verifier)
        if record.token_hash is not None:
            # Whoever comes second may be the wallet: the first one's token ends (RFC 6749,
            # section 4.1.2). That must stand, so it is no exception that undoes it.
            grants.end_token(record.token_hash)
            return _invalid_grant("a code not used before", "a used code", CODE)
        if now >= record.expires_at:
            raise _invalid_grant("a code of the last minute", "an expired one", CODE)
        datasets = _datasets(held, record, wanted)
        if record.offer_id is None:
            # As with every new offer: earlier ones of the same end, with their tokens.
            held.replace_offers(record.dataset_ids)
        elif not held.redeem_offer(record.offer_id):
            raise _invalid_grant("a code of an open offer", "one whose offer has ended", CODE)
        spend_once(held, sender.once)
        token = grant_token(
            held,
            datasets=datasets,
            offer_id=record.offer_id,
            client_id=record.client_id,
            dpop_jkt=sender.dpop_jkt,
            lasts=lasts,
            now=now,
            random=random,
            by_identifier=record.by_identifier or wanted is not None,
        )
        grants.redeem_code(record.code_hash, secret_hash(token.value))
        return token

    answer = await store.write(take)
    if isinstance(answer, Refused):
        raise answer
    return answer


def _read(form: Mapping[str, str]) -> tuple[str, str, str]:
    values: list[str] = []
    for name, expected in (
        (CODE, "the authorization code"),
        (REDIRECT_URI, "the address of the authorization request"),
        (CODE_VERIFIER, "the verifier of the code challenge"),
    ):
        value = form.get(name)
        if not value or len(value) > _LONGEST:
            found = "none" if not value else "a longer text"
            raise refusal(ErrorCode.INVALID_REQUEST, expected, found, name)
        values.append(value)
    code, redirect_uri, verifier = values
    if not _VERIFIER.fullmatch(verifier):
        expected = "43 to 128 letters, digits and . _ ~ -"
        raise refusal(ErrorCode.INVALID_REQUEST, expected, "another text", CODE_VERIFIER)
    return code, redirect_uri, verifier


def _check_binding(record: CodeRecord, sender: Sender, redirect_uri: str, verifier: str) -> None:
    if sender.client_id != record.client_id:
        raise _invalid_grant("a code of this client", "another's", CLIENT_ID)
    if redirect_uri != record.redirect_uri:
        expected = "the address of the authorization request"
        raise _invalid_grant(expected, "another", REDIRECT_URI)
    answered = b64url(sha256(verifier.encode()).digest())
    if not hmac.compare_digest(answered, record.code_challenge):
        raise _invalid_grant("the verifier of the challenge", "another", CODE_VERIFIER)
    if record.dpop_jkt is not None and sender.dpop_jkt != record.dpop_jkt:
        found = "none" if sender.dpop_jkt is None else "one by another"
        raise _invalid_grant("a DPoP proof by the key of the request", found, "dpop")
    if record.instance_jkt is not None and sender.instance_jkt != record.instance_jkt:
        found = "none" if sender.instance_jkt is None else "another's"
        raise _invalid_grant("the attestation of the wallet that asked", found, CLIENT_ID)


def _datasets(held: Held, record: CodeRecord, wanted: frozenset[str] | None) -> tuple[Dataset, ...]:
    kept = [held.dataset(each) for each in record.dataset_ids]
    datasets = tuple(each for each in kept if each is not None)
    if wanted is not None:
        # Fewer than before is fine, more is not (OpenID4VCI 1.0, section 6.1.1).
        if not wanted <= {each.type_name for each in datasets}:
            raise refusal(
                ErrorCode.INVALID_AUTHORIZATION_DETAILS,
                "no more than the customer agreed to",
                "more",
                AUTHORIZATION_DETAILS,
            )
        datasets = tuple(each for each in datasets if each.type_name in wanted)
    if not datasets:
        raise _invalid_grant("a code for something that is still there", "none of it is", CODE)
    return datasets


def _is_stored(held: Held, dataset: Dataset) -> bool:
    current = held.current_issuance(dataset.dataset_id)
    return current is not None and current.is_taken


def _take_answer(held: Held, visit: Visit) -> None:
    # Remembered until the last visit that may have begun with the same pushed request ends.
    if not held.spend_nonce(visit.answer_hash, visit.expires_at + PUSHED_LASTS):
        raise visit_over("a visit not answered before", "an answered one")


def _invalid_grant(expected: str, found: str, where: str) -> Refused:
    return refusal(ErrorCode.INVALID_GRANT, expected, found, where)
