"""Issue a credential to whoever holds the access token and proves a key.

    token ─► session ─► request ─► proof ─► nonce ─► one transaction:
        spend the nonce, allot a status index, sign, record

The transaction makes a lost answer harmless. Asked again with the same token and
the same key, the service gives the same credential: no second one, no second
status index. The kept copy is erased when the wallet says that it has stored it.

OpenID4VCI 1.0, sections 8 and 11, appendix F.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    as_text,
    b64url,
    list_at,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.holder_proof import Proof, check_proof
from counterfoil_credentials.keys import PublicKey, Signer
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential

from counterfoil_issuer.catalogue import Catalogue
from counterfoil_issuer.nonces import NonceUse, check_nonce
from counterfoil_issuer.orders import Dataset, claims_of, ends_at, midnight
from counterfoil_issuer.records import (
    CredentialId,
    CredentialRecord,
    OfferState,
    Random,
    SecretHash,
    Session,
    secret_hash,
)
from counterfoil_issuer.spec import (
    ACCESS_TOKEN,
    CREDENTIAL_CONFIGURATION_ID,
    CREDENTIAL_IDENTIFIER,
    CREDENTIAL_RESPONSE_ENCRYPTION,
    EVENT,
    JWT_PROOF_TYPE,
    NOTIFICATION_ID,
    PROOF,
    PROOFS,
    ErrorCode,
    NotificationEvent,
    refusal,
)
from counterfoil_issuer.statuses import StatusLists, allot_index
from counterfoil_issuer.store import Held, Store

_REQUEST: Final = "credential_request"
_NOTIFICATION: Final = "notification_request"
_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """What goes to the wallet: the credential, and the id under which to acknowledge it."""

    credential: str = field(repr=False)
    notification_id: CredentialId


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialDesk:
    """Everything that issuing needs besides the request: who signs what, and for how long."""

    issuer: str
    catalogue: Catalogue
    signer: Signer
    key: bytes = field(repr=False)
    statuses: StatusLists
    nonce_lasts: timedelta
    proof_max_age: timedelta


def vct_of(issuer: str, type_name: str) -> str:
    """Give the type's identifier, which is also the URL of its metadata."""
    return f"{issuer}/types/{type_name}"


def issue(
    store: Store,
    desk: CredentialDesk,
    access_token: str | None,
    request: JsonObject,
    *,
    now: datetime,
    random: Random,
) -> IssuedCredential:
    """Give the credential that `request` asks for.

    Raises `Refused` with the code of RFC 6750 or OpenID4VCI 1.0, section 8.3.1.
    """
    with store.reading() as held:
        session = _session(held, access_token, now)
    type_name = _requested_type(request, desk.catalogue)
    dataset = session.offer.dataset_of(type_name)
    if dataset is None:
        raise refusal(
            ErrorCode.INSUFFICIENT_SCOPE,
            "a credential of the offer",
            "another that this issuer knows",
            CREDENTIAL_CONFIGURATION_ID,
        )
    proof = _proof(request, desk, now)
    nonce, nonce_ends_at = _nonce(proof, desk, now)
    token_hash = session.token.token_hash
    with store.transaction() as held:
        # Another transaction may have replaced the offer since the token was read.
        _require_live(held.session_of(token_hash), now)
        if not held.spend_nonce(secret_hash(nonce), nonce_ends_at, now):
            raise refusal(
                ErrorCode.INVALID_NONCE, "a nonce not used before", "a used one", "proof.nonce"
            )
        record = _issued_before(held, token_hash, dataset, proof.key, now)
        if record is None:
            record = _sign(
                held, desk, dataset, token_hash=token_hash, holder=proof.key, now=now, random=random
            )
            held.add_credential(record)
    if record.copy is None:
        raise Misuse("expected the credential just issued, found its copy erased")
    return IssuedCredential(record.copy, record.credential_id)


def notify(
    store: Store,
    access_token: str | None,
    request: JsonObject,
    *,
    lasts: timedelta,
    now: datetime,
) -> None:
    """Take the wallet's word on what became of a credential (section 11).

    The token may be `lasts` past its end here: a wallet that was away must still
    be able to say that it has the credential, and all it gains is our forgetting.
    The first event counts; the same again changes nothing.
    """
    try:
        notification_id = CredentialId(text_at(request, NOTIFICATION_ID, _NOTIFICATION))
        name = text_at(request, EVENT, _NOTIFICATION)
    except Malformed as error:
        raise _malformed(ErrorCode.INVALID_NOTIFICATION_REQUEST, error) from error
    if name not in set(NotificationEvent):
        raise refusal(
            ErrorCode.INVALID_NOTIFICATION_REQUEST,
            "one of " + ", ".join(NotificationEvent),
            "another text",
            f"{_NOTIFICATION}.{EVENT}",
        )
    event = NotificationEvent(name)
    with store.transaction() as held:
        session = _token_session(held, access_token)
        if now >= session.token.expires_at + lasts:
            raise _invalid_token("a token in time", "one long over")
        record = held.credential(notification_id)
        if record is None or record.token_hash != session.token.token_hash:
            raise refusal(
                ErrorCode.INVALID_NOTIFICATION_ID,
                "an id given with this token",
                "another text",
                f"{_NOTIFICATION}.{NOTIFICATION_ID}",
            )
        _note(held, record, event, now)


def _note(held: Held, record: CredentialRecord, event: NotificationEvent, now: datetime) -> None:
    match event:
        case NotificationEvent.ACCEPTED:
            if record.dropped_at is None:
                held.acknowledge(record.credential_id, now)
                return
            before = NotificationEvent.FAILED
        case NotificationEvent.FAILED | NotificationEvent.DELETED:
            if record.acknowledged_at is None:
                # Nobody holds it: it ends, and the dataset may be offered again.
                held.drop(record.credential_id, now)
                return
            before = NotificationEvent.ACCEPTED
    raise refusal(
        ErrorCode.INVALID_NOTIFICATION_REQUEST,
        f"no other event after {before}",
        event,
        f"{_NOTIFICATION}.{EVENT}",
    )


def _session(held: Held, access_token: str | None, now: datetime) -> Session:
    return _require_live(_token_session(held, access_token), now)


def _token_session(held: Held, access_token: str | None) -> Session:
    session = held.session_of(secret_hash(access_token)) if access_token else None
    if session is None:
        found = "another text" if access_token else "nothing"
        raise _invalid_token("an access token of this issuer", found)
    return session


def _require_live(session: Session | None, now: datetime) -> Session:
    if session is None or now >= session.token.expires_at:
        raise _invalid_token("a token in time", "an expired one")
    if session.offer.state is not OfferState.REDEEMED:
        raise _invalid_token("a token of the latest offer", "one that a newer offer has replaced")
    return session


def _invalid_token(expected: str, found: str) -> Refused:
    return refusal(ErrorCode.INVALID_TOKEN, expected, found, ACCESS_TOKEN)


def _requested_type(request: JsonObject, catalogue: Catalogue) -> str:
    if CREDENTIAL_RESPONSE_ENCRYPTION in request:
        raise refusal(
            ErrorCode.INVALID_ENCRYPTION_PARAMETERS,
            "no encryption: the metadata announces none",
            "some",
            f"{_REQUEST}.{CREDENTIAL_RESPONSE_ENCRYPTION}",
        )
    try:
        configuration = optional_text_at(request, CREDENTIAL_CONFIGURATION_ID, _REQUEST)
        identifier = optional_text_at(request, CREDENTIAL_IDENTIFIER, _REQUEST)
    except Malformed as error:
        raise _malformed(ErrorCode.INVALID_CREDENTIAL_REQUEST, error) from error
    if (configuration is None) == (identifier is None):
        raise refusal(
            ErrorCode.INVALID_CREDENTIAL_REQUEST,
            f"{CREDENTIAL_CONFIGURATION_ID}, and no {CREDENTIAL_IDENTIFIER}",
            "neither" if configuration is None else "both",
            _REQUEST,
        )
    if configuration is None:
        raise refusal(
            ErrorCode.UNKNOWN_CREDENTIAL_IDENTIFIER,
            f"{CREDENTIAL_CONFIGURATION_ID}: the token response gave no identifiers",
            CREDENTIAL_IDENTIFIER,
            _REQUEST,
        )
    if configuration not in catalogue.types:
        raise refusal(
            ErrorCode.UNKNOWN_CREDENTIAL_CONFIGURATION,
            "a configuration of the issuer's metadata",
            "another",
            f"{_REQUEST}.{CREDENTIAL_CONFIGURATION_ID}",
        )
    return configuration


def _proof(request: JsonObject, desk: CredentialDesk, now: datetime) -> Proof:
    """Give the one checked proof. Whatever is wrong with it is `invalid_proof`."""
    where = f"{_REQUEST}.{PROOFS}"
    if PROOF in request:
        raise refusal(
            ErrorCode.INVALID_PROOF, "proofs, as in OpenID4VCI 1.0", "a draft's proof", where
        )
    try:
        token = _proof_token(request, where)
        return check_proof(token, issuer=desk.issuer, now=now, max_age=desk.proof_max_age)
    except Malformed as error:
        raise _malformed(ErrorCode.INVALID_PROOF, error) from error
    except Refused as error:
        reason = error.reasons[0]
        raise refusal(
            ErrorCode.INVALID_PROOF, reason.expected, reason.found, reason.where
        ) from error


def _proof_token(request: JsonObject, where: str) -> str:
    proofs = object_at(request, PROOFS, _REQUEST)
    if list(proofs) != [JWT_PROOF_TYPE]:
        raise Malformed("exactly one proof type, jwt", f"{len(proofs)} types", where)
    tokens = list_at(proofs, JWT_PROOF_TYPE, where)
    if len(tokens) != 1:
        raise Malformed("one proof: no batch is announced", f"{len(tokens)}", where)
    return as_text(tokens[0], f"{where}.{JWT_PROOF_TYPE}[0]")


def _nonce(proof: Proof, desk: CredentialDesk, now: datetime) -> tuple[str, datetime]:
    if proof.nonce is None:
        raise refusal(
            ErrorCode.INVALID_PROOF, "a nonce of the nonce endpoint", "none", "proof.nonce"
        )
    ends_at = check_nonce(proof.nonce, desk.key, NonceUse.PROOF, now=now, lasts=desk.nonce_lasts)
    return proof.nonce, ends_at


def _issued_before(
    held: Held, token_hash: SecretHash, dataset: Dataset, holder: PublicKey, now: datetime
) -> CredentialRecord | None:
    """Give the credential that already answers this request, if one does.

    Raises `Refused` with `credential_request_denied` when the dataset is taken.
    """
    mine = held.credential_of_token(token_hash, dataset.type_name)
    if mine is not None:
        if mine.copy is None:
            raise _denied("a credential not yet stored or ended", "one that is")
        if mine.holder != holder.thumbprint():
            raise _denied("the key of the first request", "another key")
        return mine
    current = held.current_credential(dataset.dataset_id)
    if current is None:
        return None
    if current.acknowledged_at is not None or current.revoked_at is not None:
        raise _denied("a credential not issued before", "one that a wallet has stored, or revoked")
    if current.holder == holder.thumbprint():
        held.hand_to_token(current.credential_id, token_hash)
        return current
    # It was sent and never acknowledged, and the brand has offered again since. If a
    # wallet kept it in silence, that one ends here: never are two in force.
    held.drop(current.credential_id, now)
    return None


def _sign(
    held: Held,
    desk: CredentialDesk,
    dataset: Dataset,
    *,
    token_hash: SecretHash,
    holder: PublicKey,
    now: datetime,
    random: Random,
) -> CredentialRecord:
    order = held.order(dataset.order_number)
    if order is None:
        raise Misuse("expected the order of an offer, found none")
    kind = desk.catalogue.types[dataset.type_name]
    number, index = allot_index(held, size=desk.statuses.size, random=random)
    expires_at = ends_at(dataset, order, kind, now)
    credential = issue_credential(
        claims_of(dataset, order),
        vct=vct_of(desk.issuer, kind.name),
        issuer=desk.issuer,
        signer=desk.signer,
        holder=holder,
        issued_at=midnight(now),
        expires_at=expires_at,
        status=StatusReference(desk.statuses.url(number), index),
        concealed=kind.concealed,
        random=random,
    )
    return CredentialRecord(
        credential_id=CredentialId(b64url(random(_ID_BYTES))),
        dataset=dataset,
        token_hash=token_hash,
        holder=holder.thumbprint(),
        list_number=number,
        index=index,
        digest=sha256(credential.issuer_jwt.encode()).hexdigest(),
        copy=str(credential),
        issued_at=now,
        expires_at=expires_at,
    )


def _denied(expected: str, found: str) -> Refused:
    return refusal(ErrorCode.CREDENTIAL_REQUEST_DENIED, expected, found, _REQUEST)


def _malformed(code: ErrorCode, error: Malformed) -> Refused:
    return refusal(code, error.expected, error.found, error.where)
