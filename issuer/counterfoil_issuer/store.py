"""Where the issuer keeps its state: one transaction per change, all of it or none.

    with store.transaction() as held:
        if not held.redeem_offer(offer_id):
            raise refusal(...)          # nothing above has happened then
        held.add_token(token, datasets)

Methods that consume something once (`redeem_offer`, `spend_nonce`, …) say whether
they did. One transaction writes at a time, so what it has read is still true when
it writes. `sql_store.SqlStore` over a file in a temporary folder is what tests use.
"""

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from counterfoil_issuer.orders import Order, OrderNumber, Serial
from counterfoil_issuer.records import (
    CredentialRecord,
    Dataset,
    DatasetId,
    Deferral,
    Issuance,
    IssuanceId,
    Listing,
    ListState,
    OfferId,
    OfferRecord,
    RevocationReason,
    SecretHash,
    Session,
    Summary,
    TokenRecord,
)

T = TypeVar("T")


class Held(Protocol):
    """The state as one transaction holds it."""

    # Orders and what follows from them.

    def order(self, number: OrderNumber) -> Order | None:
        """Give the order, or None."""
        ...

    def orders_of(self, email: str) -> list[Order]:
        """Give a buyer's orders, the latest payment first. Case does not matter."""
        ...

    def add_order(self, order: Order, imported_at: datetime) -> None:
        """Record a new order."""
        ...

    def return_units(
        self,
        number: OrderNumber,
        *,
        line: int,
        serials: Collection[Serial],
        count: int,
        at: datetime,
    ) -> None:
        """Note that `count` more units of a line came back, those of `serials` among them."""
        ...

    # Datasets.

    def dataset(self, dataset_id: DatasetId) -> Dataset | None:
        """Give the dataset, or None."""
        ...

    def datasets_of_order(self, number: OrderNumber) -> list[Dataset]:
        """Give what still belongs to the order."""
        ...

    def datasets_of_subject(self, subject: str) -> list[Dataset]:
        """Give what a customer who has logged in may fetch, the oldest first."""
        ...

    def add_dataset(self, dataset: Dataset, at: datetime) -> bool:
        """Record a dataset; False when its id is taken."""
        ...

    def change_dataset(self, dataset: Dataset) -> None:
        """Record all of a known dataset anew."""
        ...

    def release_dataset(self, dataset_id: DatasetId) -> bool:
        """Let a waiting dataset be issued; False when it does not wait."""
        ...

    def deny_dataset(self, dataset_id: DatasetId) -> bool:
        """Let a dataset never be issued again; False when that was so before."""
        ...

    # Offers and tokens.

    def add_offer(self, offer: OfferRecord) -> None:
        """Record a new offer."""
        ...

    def offer(self, offer_id: OfferId) -> OfferRecord | None:
        """Give the offer, in whatever state."""
        ...

    def offer_of_code(self, code_hash: SecretHash) -> OfferRecord | None:
        """Give the offer that a pre-authorized code belongs to, in whatever state."""
        ...

    def offer_of_issuer_state(self, issuer_state_hash: SecretHash) -> OfferRecord | None:
        """Give the offer that an `issuer_state` belongs to, in whatever state."""
        ...

    def offer_of_reference(self, reference_hash: SecretHash) -> OfferRecord | None:
        """Give the offer that a `credential_offer_uri` leads to, in whatever state."""
        ...

    def replace_offers(self, datasets: Collection[DatasetId]) -> None:
        """End offers that hold any of `datasets`, tokens for any of them, and what waits there.

        What waits under such a token is forgotten, for whichever dataset it waits.
        """
        ...

    def count_attempt(self, offer_id: OfferId, at_most: int) -> bool:
        """Count one guess at an open offer's transaction code; end it when none is left."""
        ...

    def redeem_offer(self, offer_id: OfferId) -> bool:
        """Take an open offer; False when it is open no longer."""
        ...

    def add_token(self, token: TokenRecord, datasets: Sequence[DatasetId]) -> None:
        """Record a new access token."""
        ...

    def session_of(self, token_hash: SecretHash) -> Session | None:
        """Give a token with its datasets, whether expired, ended or neither."""
        ...

    def spend_nonce(self, nonce_hash: SecretHash, expires_at: datetime) -> bool:
        """Spend a nonce; False when it was spent before."""
        ...

    # Issuances.

    def issuance(self, issuance_id: IssuanceId) -> Issuance | None:
        """Give what was issued in one answer, or None."""
        ...

    def current_issuance(self, dataset_id: DatasetId) -> Issuance | None:
        """Give the one issuance of a dataset that was neither dropped nor replaced."""
        ...

    def issuances_of(self, dataset_id: DatasetId, token_hash: SecretHash) -> list[Issuance]:
        """Give the current issuance of a dataset, and what else it has under one token."""
        ...

    def issuances_of_order(self, order: OrderNumber) -> list[Issuance]:
        """Give everything issued for an order, in the order of issue."""
        ...

    def add_issuance(self, issuance: Issuance) -> bool:
        """Record that credentials are issued; they follow by `add_credentials`.

        False, and nothing is recorded, when their dataset has a current issuance, or
        their token had one of it before.
        """
        ...

    def add_credentials(
        self, issuance_id: IssuanceId, credentials: Sequence[CredentialRecord]
    ) -> None:
        """Record the credentials of an issuance. Their status indices must be free."""
        ...

    def hand_to_token(self, issuance_id: IssuanceId, token_hash: SecretHash) -> None:
        """Let a new token ask again for what is not yet acknowledged."""
        ...

    def acknowledge(self, issuance_id: IssuanceId, at: datetime) -> bool:
        """Note that the wallet stored it, and erase our copies; False when noted before."""
        ...

    def drop(self, issuance_id: IssuanceId, at: datetime) -> bool:
        """End what no wallet stored; False when one did, or it had ended, or is suspended."""
        ...

    def revoke(self, issuance_id: IssuanceId, at: datetime, why: RevocationReason) -> bool:
        """Revoke for good; False when it had ended before."""
        ...

    def suspend(self, issuance_id: IssuanceId, at: datetime) -> bool:
        """Suspend; False when it had ended, or was suspended before."""
        ...

    def reinstate(self, issuance_id: IssuanceId) -> bool:
        """Take a suspension back; False when there is none, or it had ended."""
        ...

    def replace(self, issuance_id: IssuanceId, at: datetime) -> None:
        """Make room for another issuance of the same dataset."""
        ...

    # Requests that wait.

    def add_deferral(self, deferral: Deferral) -> None:
        """Record a request that waits; the same again changes nothing."""
        ...

    def deferral(self, transaction_hash: SecretHash) -> Deferral | None:
        """Give the request that waits, or has been answered."""
        ...

    def end_deferral(self, transaction_hash: SecretHash, at: datetime) -> bool:
        """Note that it was answered; False when it was before."""
        ...

    # Status lists.

    def last_list(self) -> ListState | None:
        """Give where the newest status list in use stands, or None when none is."""
        ...

    def list_state(self, list_number: int) -> ListState | None:
        """Give where a status list stands, or None when it is not in use."""
        ...

    def add_list(self, list_number: int, used: int) -> None:
        """Begin a list with so many entries used."""
        ...

    def take_entry(self, list_number: int, index: int, *, up_to: int) -> bool:
        """Count one entry more as used, the one that a credential of this transaction gets.

        False, and nothing changes, when that entry was allotted before, when `up_to` are
        used, or when there is no such list.
        """
        ...

    def status_index_is_free(self, list_number: int, index: int) -> bool:
        """Say whether an entry was never allotted."""
        ...

    def statuses(self, list_number: int, after: int) -> Mapping[int, int]:
        """Give the entries whose latest change is a later one than number `after`."""
        ...

    def put_listing(self, list_number: int, listing: Listing) -> None:
        """Record what is about to be published of a status list."""
        ...

    # Housekeeping.

    def forget_dead(self, before: datetime, now: datetime) -> None:
        """Forget what nobody can use any more since `before`.

        Tokens that ended by then go, with every copy and holder that stood for
        them, unless a request under them still waits; so do offers that ended by
        then and have no token left, nonces that are over `now`, and the claims of
        what can no longer be issued.
        """
        ...

    def summary(self, now: datetime) -> Summary:
        """Count everything."""
        ...


class Store(Protocol):
    """Gives transactions that reach the disk when they end, or leave no trace."""

    def transaction(self) -> AbstractContextManager[Held]:
        """Hold the state for a change; nobody else changes it meanwhile."""
        ...

    def reading(self) -> AbstractContextManager[Held]:
        """Hold one moment of the state, to read."""
        ...

    @property
    def commits(self) -> int:
        """How many changes this process has made: while it stays, only others changed anything."""
        ...

    def write(self, work: Callable[[Held], T]) -> Coroutine[None, None, T]:
        """Give what `work` gives, once its change is on disk; what it raises undoes it alone."""
        ...
