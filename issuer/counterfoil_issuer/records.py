"""What the issuer writes down: offers, tokens, issued credentials. Secrets only as hashes."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NewType

from counterfoil_issuer.orders import Dataset, DatasetId, OrderNumber

Random = Callable[[int], bytes]
Clock = Callable[[], datetime]

OfferId = NewType("OfferId", str)
CredentialId = NewType("CredentialId", str)
SecretHash = NewType("SecretHash", str)

SECRET_BYTES: Final = 32


class OfferState(StrEnum):
    """Where an offer stands. Only `open` ones can be redeemed; none ever opens again."""

    OPEN = "open"
    REDEEMED = "redeemed"
    REPLACED = "replaced"


class RevocationReason(StrEnum):
    """Why a brand takes a credential back."""

    GOODS_RETURNED = "goods-returned"
    ISSUED_IN_ERROR = "issued-in-error"
    DEVICE_LOST = "device-lost"
    FRAUD = "fraud"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRecord:
    """An offer of credentials. `attempts` counts guesses at the transaction code."""

    offer_id: OfferId
    order_number: OrderNumber
    code_hash: SecretHash = field(repr=False)
    tx_code_mac: str | None = field(repr=False)
    attempts: int
    state: OfferState
    expires_at: datetime
    datasets: tuple[Dataset, ...]

    def dataset_of(self, type_name: str) -> Dataset | None:
        """Give the one dataset of `type_name` that this offer holds."""
        for dataset in self.datasets:
            if dataset.type_name == type_name:
                return dataset
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """An access token for one offer's datasets."""

    token_hash: SecretHash = field(repr=False)
    offer_id: OfferId
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRecord:
    """An issued credential, as far as its issuer remembers it.

    `copy` and `holder` (the key's thumbprint) stand until the wallet has said
    that it stored the credential, so that a request whose answer was lost can be
    answered again, or until the token is past its every use; then both are
    erased. `dropped_at` is set when the credential
    never reached a wallet, or another took its place before it did.
    """

    credential_id: CredentialId
    dataset: Dataset
    token_hash: SecretHash = field(repr=False)
    holder: str | None = field(repr=False)
    list_number: int
    index: int
    digest: str
    copy: str | None = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    acknowledged_at: datetime | None = None
    dropped_at: datetime | None = None
    revoked_at: datetime | None = None
    revocation_reason: RevocationReason | None = None

    @property
    def in_force(self) -> bool:
        """Say whether the status list calls this credential valid."""
        return self.dropped_at is None and self.revoked_at is None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a status list said when it was last published, by its time and its `ended` entries.

    Entries only ever go from valid to invalid, so their count tells the contents.
    """

    ended: int
    listed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCounts:
    """How many credentials of one type are in force, were revoked, were dropped."""

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


@dataclass(frozen=True, slots=True)
class Session:
    """A token together with the offer that it was given for."""

    token: TokenRecord
    offer: OfferRecord


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


def dataset_ids(datasets: tuple[Dataset, ...]) -> frozenset[DatasetId]:
    """Give the ids of `datasets`."""
    return frozenset(dataset.dataset_id for dataset in datasets)
