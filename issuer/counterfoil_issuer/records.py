"""What the issuer writes down: datasets, offers, tokens, issuances. Secrets only as hashes."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NewType

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.records import record

from counterfoil_issuer.orders import OrderNumber, Serial

Random = Callable[[int], bytes]
Clock = Callable[[], datetime]

DatasetId = NewType("DatasetId", str)
OfferId = NewType("OfferId", str)
IssuanceId = NewType("IssuanceId", str)
SecretHash = NewType("SecretHash", str)

SECRET_BYTES: Final = 32


class DatasetState(StrEnum):
    """Whether a dataset may be issued now, later, or never."""

    READY = "ready"
    WAITING = "waiting"
    DENIED = "denied"


class OfferState(StrEnum):
    """Where an offer stands. Only `open` ones can be redeemed; none ever opens again.

    `replaced` by a newer offer, or `ended` by too many guesses at its code.
    """

    OPEN = "open"
    REDEEMED = "redeemed"
    REPLACED = "replaced"
    ENDED = "ended"


class RevocationReason(StrEnum):
    """Why a brand takes a credential back."""

    GOODS_RETURNED = "goods-returned"
    ISSUED_IN_ERROR = "issued-in-error"
    DEVICE_LOST = "device-lost"
    TRANSFERRED = "transferred"
    FRAUD = "fraud"


@record(kw_only=True)
class Dataset:
    """What one credential will say.

    `claims` is None while they follow from the order (a receipt, a unit's
    warranty), and after they were erased. `ends_at` is when its credentials
    expire, None for the type's validity counted from the day of issue.
    `subject` may fetch it by logging in: the brand's own customer id, or a
    verified e-mail address in lower case.
    """

    dataset_id: DatasetId
    type_name: str
    claims: JsonObject | None = field(default=None, repr=False)
    ends_at: datetime | None = None
    order_number: OrderNumber | None = None
    serial: Serial | None = None
    subject: str | None = field(default=None, repr=False)
    state: DatasetState = DatasetState.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRecord:
    """An offer of credentials. `attempts` counts guesses at the transaction code."""

    offer_id: OfferId
    reference_hash: SecretHash | None = field(repr=False)
    code_hash: SecretHash | None = field(repr=False)
    issuer_state_hash: SecretHash | None = field(repr=False)
    tx_code_mac: str | None = field(repr=False)
    attempts: int
    state: OfferState
    expires_at: datetime
    datasets: tuple[Dataset, ...]


@record(kw_only=True)
class TokenRecord:
    """An access token for datasets, which the record of its session names.

    Whoever presents it proves the key of `dpop_jkt` (a thumbprint), if it has one.
    `by_identifier`: its datasets are asked for by identifier, not by configuration.
    `ended`: what it was for has been offered again.
    """

    token_hash: SecretHash = field(repr=False)
    offer_id: OfferId | None
    client_id: str | None
    dpop_jkt: str | None = field(repr=False)
    by_identifier: bool
    ended: bool = False
    expires_at: datetime


@record()
class Session:
    """A token together with the datasets that it was given for."""

    token: TokenRecord
    datasets: tuple[Dataset, ...]


@record(kw_only=True)
class CredentialRecord:
    """One credential of an issuance, as far as its issuer remembers it.

    `copy` and `holder` (the key's thumbprint) stand until the wallet has said
    that it stored the credential, so that a request whose answer was lost can be
    answered again, or until the token is past its every use; then both are
    erased.
    """

    list_number: int
    index: int
    digest: str
    holder: str | None = field(repr=False)
    copy: str | None = field(repr=False)


@record(kw_only=True)
class Issuance:
    """One answer to a wallet: credentials that say the same, each with a key of its own.

    `dropped_at` is set when it never reached a wallet, or another took its place
    before it did; `replaced_at` when it was revoked to make room for another. A
    dataset has one issuance at most that is neither: the current one.
    """

    issuance_id: IssuanceId
    dataset_id: DatasetId
    type_name: str
    order_number: OrderNumber | None
    serial: Serial | None
    token_hash: SecretHash = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    credentials: tuple[CredentialRecord, ...] = ()
    acknowledged_at: datetime | None = None
    dropped_at: datetime | None = None
    suspended_at: datetime | None = None
    revoked_at: datetime | None = None
    revocation_reason: RevocationReason | None = None
    replaced_at: datetime | None = None

    @property
    def in_force(self) -> bool:
        """Say whether the status list calls these credentials valid, or suspended for now."""
        return self.dropped_at is None and self.revoked_at is None

    @property
    def is_taken(self) -> bool:
        """Say whether no offer replaces it: a wallet stored it, or staff suspended or revoked it.

        What was sent and stayed silent is offered again; were that so of a suspended
        one too, whoever is suspended would fetch a valid one in its place.
        """
        return (self.acknowledged_at or self.suspended_at or self.revoked_at) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """A request that waits: for what dataset, under which token, for whose keys (public JWKs)."""

    transaction_hash: SecretHash = field(repr=False)
    dataset_id: DatasetId
    token_hash: SecretHash = field(repr=False)
    keys: tuple[JsonObject, ...] = field(repr=False)
    expires_at: datetime
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a status list said when it was last published: how many changes it had had by then."""

    changes: int
    listed_at: datetime


@record()
class ListState:
    """A status list now: entries allotted, changes of entries so far, what was published last."""

    number: int
    used: int
    changes: int
    listing: Listing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCounts:
    """How many issuances of one type are in force, were revoked, were dropped."""

    in_force: int = 0
    revoked: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts over everything the issuer holds, none of them personal.

    `status_indices_used` equals the number of credentials ever issued, and
    `datasets_issued_twice` is zero, whatever was killed when. `personal_data`
    counts the rows that hold a personal datum, by column.
    """

    orders: int
    offers_open: int
    credentials: Mapping[str, TypeCounts]
    status_indices_used: int
    datasets_issued_twice: int
    personal_data: Mapping[str, int]


def secret_hash(secret: str) -> SecretHash:
    """Give the hash under which a 256-bit secret (a code, a token) is stored.

    Such a secret cannot be guessed, so a plain hash keeps it.
    """
    return SecretHash(sha256(secret.encode()).hexdigest())


def tx_code_mac(key: bytes, offer_id: OfferId, tx_code: str) -> str:
    """Give the keyed hash of a transaction code.

    Six digits are found in a moment by whoever reads a plain hash of them; this
    one tells nothing without the key, which is not in the database.
    """
    message = b"tx_code\x00" + offer_id.encode() + b"\x00" + tx_code.encode()
    return hmac.new(key, message, sha256).hexdigest()


def random_below(limit: int, random: Random) -> int:
    """Give a whole number from zero to `limit` - 1, each as likely as the other."""
    ceiling = 2**64 - 2**64 % limit
    while True:
        number = int.from_bytes(random(8))
        # What lies above the last whole multiple would favour the small numbers.
        if number < ceiling:
            return number % limit


def dataset_ids(datasets: Sequence[Dataset]) -> frozenset[DatasetId]:
    """Give the ids of `datasets`."""
    return frozenset(dataset.dataset_id for dataset in datasets)
