"""Issue credentials to whoever holds the access token and proves keys: one for each key.

    session ─► request ─► dataset ─► issued before? ─► status indices ─► sign, record

All of it is one transaction, and that makes a lost answer harmless: asked again
with the same token and the same keys, the service gives the same credentials, no
second ones, no second status index. The kept copies are erased when the wallet
says that it has stored them.

OpenID4VCI 1.0, section 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.records import record
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential

from counterfoil_issuer.catalogue import Catalogue, CredentialType, StatusUse
from counterfoil_issuer.credential_request import requested_names
from counterfoil_issuer.datasets import claims_of, ends_at
from counterfoil_issuer.deferred import Deferrals, Deferred, keys_of, transaction_id_of
from counterfoil_issuer.key_ring import Keys
from counterfoil_issuer.metadata import type_integrity
from counterfoil_issuer.orders import midnight
from counterfoil_issuer.records import (
    CredentialRecord,
    Dataset,
    DatasetState,
    Issuance,
    IssuanceId,
    Random,
    Session,
)
from counterfoil_issuer.spec import (
    CREDENTIAL_CONFIGURATION_ID,
    CREDENTIAL_IDENTIFIER,
    CREDENTIAL_REQUEST,
    PROOFS,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.statuses import StatusLists
from counterfoil_issuer.store import Held

_ID_BYTES: Final = 16


@record()
class Issued:
    """What goes to the wallet: a credential for each key, and the id to acknowledge them under."""

    credentials: tuple[str, ...] = field(repr=False)
    notification_id: IssuanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialDesk:
    """Everything that issuing needs besides the request: who signs what, and for how long."""

    issuer: str
    catalogue: Catalogue
    keys: Keys
    statuses: StatusLists
    batch_size: int
    deferrals: Deferrals


def requested_dataset(session: Session, request: JsonObject, catalogue: Catalogue) -> Dataset:
    """Give the dataset of the token that `request` names (section 8.2).

    Raises `Refused` with the code of RFC 6750, or of section 8.3.1.2.
    """
    configuration, identifier = requested_names(request)
    if identifier is not None:
        dataset = _identified(session, identifier)
        _kind_of(dataset, catalogue)
        return dataset
    if configuration not in catalogue.types:
        raise refusal(
            ErrorCode.UNKNOWN_CREDENTIAL_CONFIGURATION,
            "a configuration of the issuer's metadata",
            "another",
            f"{CREDENTIAL_REQUEST}.{CREDENTIAL_CONFIGURATION_ID}",
        )
    if session.token.by_identifier:
        raise refusal(
            ErrorCode.INVALID_CREDENTIAL_REQUEST,
            f"a {CREDENTIAL_IDENTIFIER} of the token response",
            CREDENTIAL_CONFIGURATION_ID,
            CREDENTIAL_REQUEST,
        )
    for dataset in session.datasets:
        if dataset.type_name == configuration:
            return dataset
    raise refusal(
        ErrorCode.INSUFFICIENT_SCOPE,
        "a credential that the token is for",
        "another that this issuer knows",
        CREDENTIAL_CONFIGURATION_ID,
    )


def issue(
    held: Held,
    desk: CredentialDesk,
    session: Session,
    dataset: Dataset,
    keys: Sequence[PublicKey],
    *,
    now: datetime,
    random: Random,
) -> Issued | Deferred:
    """Give the credentials for the `dataset` asked for, one for each of the proven `keys`.

    The metadata announces one size for all types: of a type with smaller batches some keys get
    none, the same ones in any order (section 8.3: the issuer may decide to issue fewer).

    Raises `Refused` with the code of section 8.3.1.2.
    """
    if not 1 <= len(set(keys)) == len(keys) <= desk.batch_size:
        raise refusal(
            ErrorCode.INVALID_PROOF,
            f"1 to {desk.batch_size} proofs, each of another key",
            f"{len(keys)}",
            f"{CREDENTIAL_REQUEST}.{PROOFS}",
        )
    batch_size = desk.catalogue.types[dataset.type_name].batch_size
    if len(keys) > batch_size:
        keys = sorted(keys, key=PublicKey.thumbprint)[:batch_size]
    if dataset.state is DatasetState.WAITING:
        return desk.deferrals.defer(held, session, dataset, keys, now)
    return _issue(held, desk, session, dataset, keys, now=now, random=random)


def issue_deferred(
    held: Held,
    desk: CredentialDesk,
    session: Session,
    request: JsonObject,
    *,
    now: datetime,
    random: Random,
) -> Issued | Deferred:
    """Give the credentials of a request that waited, or tell the wallet to ask again (section 9).

    Raises `Refused` with `invalid_transaction_id`, or `credential_request_denied`
    when the brand has decided against it.
    """
    transaction_id = transaction_id_of(request)
    waiting = desk.deferrals.waiting(held, session, transaction_id, now)
    dataset = held.dataset(waiting.dataset_id)
    if dataset is None:
        raise Misuse("expected the dataset of a request that waits, found none")
    if dataset.state is DatasetState.WAITING:
        return desk.deferrals.again(transaction_id)
    issued = _issue(held, desk, session, dataset, keys_of(waiting), now=now, random=random)
    held.end_deferral(waiting.transaction_hash, now)
    return issued


def _issue(
    held: Held,
    desk: CredentialDesk,
    session: Session,
    dataset: Dataset,
    keys: Sequence[PublicKey],
    *,
    now: datetime,
    random: Random,
) -> Issued:
    """Give the credentials of a dataset that does not wait: those issued before, or new ones."""
    if dataset.state is DatasetState.DENIED:
        raise _denied("a credential that the brand agreed to", "one that it refused")
    kind = _kind_of(dataset, desk.catalogue)
    claims = claims_of(held, dataset)
    issuance = Issuance(
        issuance_id=IssuanceId(b64url(random(_ID_BYTES))),
        dataset_id=dataset.dataset_id,
        type_name=dataset.type_name,
        order_number=dataset.order_number,
        serial=dataset.serial,
        token_hash=session.token.token_hash,
        issued_at=now,
        expires_at=ends_at(dataset, claims, kind, now),
    )
    # Most ask once, so what was issued before is looked for when something was.
    if not held.add_issuance(issuance):
        before = _issued_before(held, session, dataset, keys, now)
        if before is not None:
            return _issued(before, before.credentials)
        if not held.add_issuance(issuance):
            raise Misuse("expected room for an issuance, found another of its dataset")
    credentials = _sign(held, desk, issuance, claims, keys, random=random)
    held.add_credentials(issuance.issuance_id, credentials)
    return _issued(issuance, credentials)


def _issued(issuance: Issuance, credentials: Sequence[CredentialRecord]) -> Issued:
    copies = [one.copy for one in credentials if one.copy is not None]
    return Issued(tuple(copies), issuance.issuance_id)


def _kind_of(dataset: Dataset, catalogue: Catalogue) -> CredentialType:
    kind = catalogue.types.get(dataset.type_name)
    if kind is None:
        raise _denied("a type that the brand still issues", "one that is gone from its catalogue")
    return kind


def _identified(session: Session, identifier: str) -> Dataset:
    if session.token.by_identifier:
        for dataset in session.datasets:
            if dataset.dataset_id == identifier:
                return dataset
        expected = "an identifier of the token response"
    else:
        expected = f"{CREDENTIAL_CONFIGURATION_ID}: the token response gave no identifiers"
    raise refusal(
        ErrorCode.UNKNOWN_CREDENTIAL_IDENTIFIER,
        expected,
        "another" if session.token.by_identifier else CREDENTIAL_IDENTIFIER,
        f"{CREDENTIAL_REQUEST}.{CREDENTIAL_IDENTIFIER}",
    )


def _issued_before(
    held: Held, session: Session, dataset: Dataset, keys: Sequence[PublicKey], now: datetime
) -> Issuance | None:
    """Give the issuance that already answers this request, if one does.

    Raises `Refused` with `credential_request_denied` when the dataset is taken.
    """
    token_hash, dataset_id = session.token.token_hash, dataset.dataset_id
    known = held.issuances_of(dataset_id, token_hash)
    for mine in known:
        if mine.token_hash != token_hash:
            continue
        if any(one.copy is None for one in mine.credentials):
            raise _denied("a credential not yet stored or ended", "one that is")
        if not _is_for(mine, keys):
            raise _denied("the keys of the first request", "other keys")
        return mine
    if not known:
        return None
    (current,) = known
    if current.is_taken:
        found = "one that a wallet has stored, or that was suspended or revoked"
        raise _denied("a credential not issued before", found)
    if _is_for(current, keys):
        held.hand_to_token(current.issuance_id, token_hash)
        return current
    # It was sent and never acknowledged, and the brand has offered again since. If a
    # wallet kept it in silence, that one ends here: never are two in force.
    held.drop(current.issuance_id, now)
    return None


def _is_for(issuance: Issuance, keys: Sequence[PublicKey]) -> bool:
    holders = {credential.holder for credential in issuance.credentials}
    return holders == {key.thumbprint() for key in keys}


def _sign(
    held: Held,
    desk: CredentialDesk,
    issuance: Issuance,
    claims: JsonObject,
    keys: Sequence[PublicKey],
    *,
    random: Random,
) -> list[CredentialRecord]:
    kind = desk.catalogue.types[issuance.type_name]
    has_status = kind.status is not StatusUse.NONE
    signer = desk.keys.ring().signer(issuance.issued_at)
    issued_at = midnight(issuance.issued_at)
    list_number, indices = desk.statuses.allot(held, len(keys), random)
    url = desk.statuses.url(list_number)
    credentials: list[CredentialRecord] = []
    for key, index in zip(keys, indices, strict=True):
        credential = issue_credential(
            claims,
            vct=kind.vct_of(desk.issuer),
            vct_integrity=type_integrity(desk.issuer, kind),
            issuer=desk.issuer,
            signer=signer,
            holder=key,
            issued_at=issued_at,
            expires_at=issuance.expires_at,
            status=StatusReference(url, index) if has_status else None,
            concealed=kind.concealed,
            decoys_to=kind.decoys_to,
            random=random,
        )
        credentials.append(
            CredentialRecord(
                list_number=list_number,
                index=index,
                digest=sha256(credential.issuer_jwt.encode()).hexdigest(),
                holder=key.thumbprint(),
                copy=str(credential),
            )
        )
    return credentials


def _denied(expected: str, found: str) -> Refused:
    return refusal(ErrorCode.CREDENTIAL_REQUEST_DENIED, expected, found, CREDENTIAL_REQUEST)
