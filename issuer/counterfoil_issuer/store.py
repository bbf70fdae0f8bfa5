"""Where the issuer keeps its state: one transaction per change, all of it or none.

    with store.transaction() as held:
        if not held.redeem_offer(offer_id):
            raise refusal(...)          # nothing above has happened then
        held.add_token(token)

Methods that consume something once (`redeem_offer`, `spend_nonce`, …) say whether
they did. `MemoryStore` is the twin for tests and demonstrations.
"""

import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from counterfoil_credentials.errors import Misuse

from counterfoil_issuer.orders import DatasetId, Order, OrderNumber
from counterfoil_issuer.records import (
    CredentialId,
    CredentialRecord,
    Listing,
    OfferId,
    OfferRecord,
    OfferState,
    RevocationReason,
    SecretHash,
    Session,
    Summary,
    TokenRecord,
    TypeCounts,
    dataset_ids,
)


class Held(Protocol):
    """The state as one transaction holds it."""

    def order(self, number: OrderNumber) -> Order | None:
        """Give the order, or None."""
        ...

    def orders_of(self, email: str) -> list[Order]:
        """Give a buyer's orders, the latest payment first. Case does not matter."""
        ...

    def add_order(self, order: Order, imported_at: datetime) -> None:
        """Record a new order."""
        ...

    def add_offer(self, offer: OfferRecord) -> None:
        """Record a new offer."""
        ...

    def offer_of_code(self, code_hash: SecretHash) -> OfferRecord | None:
        """Give the offer that a code belongs to, in whatever state."""
        ...

    def replace_offers(self, order: OrderNumber, datasets: Collection[DatasetId]) -> int:
        """Make offers of `order` that hold any of `datasets` unusable, tokens included.

        Gives how many offers that were open or redeemed this ended.
        """
        ...

    def count_attempt(self, offer_id: OfferId, at_most: int) -> bool:
        """Count one guess at an open offer's transaction code; False when none is left."""
        ...

    def redeem_offer(self, offer_id: OfferId) -> bool:
        """Take an open offer; False when it is open no longer."""
        ...

    def add_token(self, token: TokenRecord) -> None:
        """Record a new access token."""
        ...

    def session_of(self, token_hash: SecretHash) -> Session | None:
        """Give a token with its offer, whether expired or not."""
        ...

    def spend_nonce(self, nonce_hash: SecretHash, expires_at: datetime, now: datetime) -> bool:
        """Spend a nonce; False when it was spent before. Expired ones are forgotten."""
        ...

    def credential(self, credential_id: CredentialId) -> CredentialRecord | None:
        """Give an issued credential's record, or None."""
        ...

    def credential_of_token(
        self, token_hash: SecretHash, type_name: str
    ) -> CredentialRecord | None:
        """Give what was issued under one token, dropped or not."""
        ...

    def current_credential(self, dataset: DatasetId) -> CredentialRecord | None:
        """Give the one credential of a dataset that was not dropped."""
        ...

    def credentials_of(self, order: OrderNumber) -> list[CredentialRecord]:
        """Give everything issued for an order, in the order of issue."""
        ...

    def add_credential(self, record: CredentialRecord) -> None:
        """Record an issued credential; its status index and dataset must be free."""
        ...

    def hand_to_token(self, credential_id: CredentialId, token_hash: SecretHash) -> None:
        """Let a new token ask again for a credential that is not yet acknowledged."""
        ...

    def acknowledge(self, credential_id: CredentialId, at: datetime) -> bool:
        """Note that the wallet stored it, and erase our copy; False when noted before."""
        ...

    def drop(self, credential_id: CredentialId, at: datetime) -> bool:
        """End a credential that no wallet stored; False when one did, or it had ended."""
        ...

    def revoke(self, credential_id: CredentialId, at: datetime, why: RevocationReason) -> bool:
        """Revoke a credential; False when it had ended before."""
        ...

    def last_status_list(self) -> int:
        """Give the number of the newest status list in use, zero when none is."""
        ...

    def status_indices_used(self, list_number: int) -> int:
        """Count the entries of a status list that were ever allotted."""
        ...

    def status_index_is_free(self, list_number: int, index: int) -> bool:
        """Say whether an entry was never allotted."""
        ...

    def ended_indices(self, list_number: int, since: datetime | None = None) -> Sequence[int]:
        """Give the entries of a status list that are invalid; only those `since`, if given."""
        ...

    def last_ended_at(self, list_number: int) -> datetime | None:
        """Give when the latest of these became invalid, or None when none is."""
        ...

    def ended_count(self, list_number: int) -> int:
        """Count the entries of a status list that are invalid."""
        ...

    def listing(self, list_number: int) -> Listing | None:
        """Give what was last published of a status list, or None before the first time."""
        ...

    def put_listing(self, list_number: int, listing: Listing) -> None:
        """Record what is about to be published of a status list."""
        ...

    def forget_dead(self, before: datetime) -> None:
        """Forget what nobody can use any more since `before`.

        Tokens that ended by then go, with every copy and holder that stood for
        them; so do offers that ended by then and have no token left.
        """
        ...

    def summary(self, now: datetime, *, max_attempts: int) -> Summary:
        """Count everything. An offer with `max_attempts` guesses behind it is not open."""
        ...


class Store(Protocol):
    """Gives transactions that reach the disk when they end, or leave no trace."""

    def transaction(self) -> AbstractContextManager[Held]:
        """Hold the state for a change; nobody else changes it meanwhile."""
        ...

    def reading(self) -> AbstractContextManager[Held]:
        """Hold one moment of the state, to read."""
        ...


@dataclass(slots=True)
class _State:
    orders: dict[OrderNumber, Order] = field(default_factory=dict[OrderNumber, Order])
    offers: dict[OfferId, OfferRecord] = field(default_factory=dict[OfferId, OfferRecord])
    tokens: dict[SecretHash, TokenRecord] = field(default_factory=dict[SecretHash, TokenRecord])
    nonces: dict[SecretHash, datetime] = field(default_factory=dict[SecretHash, datetime])
    credentials: dict[CredentialId, CredentialRecord] = field(
        default_factory=dict[CredentialId, CredentialRecord]
    )

    listings: dict[int, Listing] = field(default_factory=dict[int, Listing])

    def copied(self) -> "_State":
        return _State(
            dict(self.orders),
            dict(self.offers),
            dict(self.tokens),
            dict(self.nonces),
            dict(self.credentials),
            dict(self.listings),
        )


class MemoryStore:
    """Keeps everything in memory, with the same promises as the database."""

    def __init__(self) -> None:
        self._state = _State()
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Generator[Held, None, None]:
        """Hold the state for a change."""
        with self._lock:
            draft = self._state.copied()
            yield _MemoryHeld(draft)
            self._state = draft

    @contextmanager
    def reading(self) -> Generator[Held, None, None]:
        """Hold one moment of the state, to read."""
        with self._lock:
            draft = self._state.copied()
        yield _MemoryHeld(draft)


class _MemoryHeld:
    def __init__(self, state: _State) -> None:
        self._state = state

    def order(self, number: OrderNumber) -> Order | None:
        return self._state.orders.get(number)

    def orders_of(self, email: str) -> list[Order]:
        wanted = email.lower()
        found = [o for o in self._state.orders.values() if o.buyer_email.lower() == wanted]
        return sorted(found, key=lambda order: order.paid_at, reverse=True)

    def add_order(self, order: Order, imported_at: datetime) -> None:
        if order.number in self._state.orders:
            raise Misuse("expected a new order, found a known one")
        self._state.orders[order.number] = order

    def add_offer(self, offer: OfferRecord) -> None:
        self._state.offers[offer.offer_id] = offer

    def offer_of_code(self, code_hash: SecretHash) -> OfferRecord | None:
        for offer in self._state.offers.values():
            if offer.code_hash == code_hash:
                return offer
        return None

    def replace_offers(self, order: OrderNumber, datasets: Collection[DatasetId]) -> int:
        usable = [
            offer
            for offer in self._state.offers.values()
            if offer.order_number == order
            and offer.state is not OfferState.REPLACED
            and not dataset_ids(offer.datasets).isdisjoint(datasets)
        ]
        for offer in usable:
            self._state.offers[offer.offer_id] = replace(offer, state=OfferState.REPLACED)
        return len(usable)

    def count_attempt(self, offer_id: OfferId, at_most: int) -> bool:
        offer = self._state.offers[offer_id]
        if offer.state is not OfferState.OPEN or offer.attempts >= at_most:
            return False
        self._state.offers[offer_id] = replace(offer, attempts=offer.attempts + 1)
        return True

    def redeem_offer(self, offer_id: OfferId) -> bool:
        offer = self._state.offers[offer_id]
        if offer.state is not OfferState.OPEN:
            return False
        self._state.offers[offer_id] = replace(offer, state=OfferState.REDEEMED)
        return True

    def add_token(self, token: TokenRecord) -> None:
        self._state.tokens[token.token_hash] = token

    def session_of(self, token_hash: SecretHash) -> Session | None:
        token = self._state.tokens.get(token_hash)
        return None if token is None else Session(token, self._state.offers[token.offer_id])

    def spend_nonce(self, nonce_hash: SecretHash, expires_at: datetime, now: datetime) -> bool:
        for spent, ends_at in list(self._state.nonces.items()):
            if ends_at <= now:
                del self._state.nonces[spent]
        if nonce_hash in self._state.nonces:
            return False
        self._state.nonces[nonce_hash] = expires_at
        return True

    def credential(self, credential_id: CredentialId) -> CredentialRecord | None:
        return self._state.credentials.get(credential_id)

    def credential_of_token(
        self, token_hash: SecretHash, type_name: str
    ) -> CredentialRecord | None:
        for record in self._state.credentials.values():
            if record.token_hash == token_hash and record.dataset.type_name == type_name:
                return record
        return None

    def current_credential(self, dataset: DatasetId) -> CredentialRecord | None:
        for record in self._state.credentials.values():
            if record.dataset.dataset_id == dataset and record.dropped_at is None:
                return record
        return None

    def credentials_of(self, order: OrderNumber) -> list[CredentialRecord]:
        return [r for r in self._state.credentials.values() if r.dataset.order_number == order]

    def add_credential(self, record: CredentialRecord) -> None:
        if not self.status_index_is_free(record.list_number, record.index):
            raise Misuse("expected a free status index, found a used one")
        if self.current_credential(record.dataset.dataset_id) is not None:
            raise Misuse("expected a dataset without a credential, found one with")
        self._put(record)

    def hand_to_token(self, credential_id: CredentialId, token_hash: SecretHash) -> None:
        self._put(replace(self._state.credentials[credential_id], token_hash=token_hash))

    def acknowledge(self, credential_id: CredentialId, at: datetime) -> bool:
        record = self._state.credentials[credential_id]
        if record.acknowledged_at is not None or record.dropped_at is not None:
            return False
        self._put(replace(record, acknowledged_at=at, copy=None, holder=None))
        return True

    def drop(self, credential_id: CredentialId, at: datetime) -> bool:
        record = self._state.credentials[credential_id]
        if not record.in_force or record.acknowledged_at is not None:
            return False
        self._put(replace(record, dropped_at=at, copy=None, holder=None))
        return True

    def revoke(self, credential_id: CredentialId, at: datetime, why: RevocationReason) -> bool:
        record = self._state.credentials[credential_id]
        if not record.in_force:
            return False
        self._put(replace(record, revoked_at=at, revocation_reason=why, copy=None, holder=None))
        return True

    def last_status_list(self) -> int:
        return max((r.list_number for r in self._state.credentials.values()), default=0)

    def status_indices_used(self, list_number: int) -> int:
        return sum(r.list_number == list_number for r in self._state.credentials.values())

    def status_index_is_free(self, list_number: int, index: int) -> bool:
        return all(
            (r.list_number, r.index) != (list_number, index)
            for r in self._state.credentials.values()
        )

    def ended_indices(self, list_number: int, since: datetime | None = None) -> list[int]:
        return [
            r.index
            for r in self._state.credentials.values()
            if r.list_number == list_number and any(since is None or at >= since for at in _ends(r))
        ]

    def ended_count(self, list_number: int) -> int:
        return len(self.ended_indices(list_number))

    def last_ended_at(self, list_number: int) -> datetime | None:
        records = [r for r in self._state.credentials.values() if r.list_number == list_number]
        return max((at for r in records for at in _ends(r)), default=None)

    def listing(self, list_number: int) -> Listing | None:
        return self._state.listings.get(list_number)

    def put_listing(self, list_number: int, listing: Listing) -> None:
        self._state.listings[list_number] = listing

    def forget_dead(self, before: datetime) -> None:
        state = self._state
        dead = {name for name, token in state.tokens.items() if token.expires_at <= before}
        for record in [r for r in state.credentials.values() if r.token_hash in dead]:
            self._put(replace(record, copy=None, holder=None))
        for name in dead:
            del state.tokens[name]
        in_use = {token.offer_id for token in state.tokens.values()}
        for offer in list(state.offers.values()):
            if offer.expires_at <= before and offer.offer_id not in in_use:
                del state.offers[offer.offer_id]

    def summary(self, now: datetime, *, max_attempts: int) -> Summary:
        records = list(self._state.credentials.values())
        current = [r.dataset.dataset_id for r in records if r.dropped_at is None]
        return Summary(
            orders=len(self._state.orders),
            offers_open=sum(
                offer.state is OfferState.OPEN
                and offer.expires_at > now
                and offer.attempts < max_attempts
                for offer in self._state.offers.values()
            ),
            credentials={
                name: TypeCounts(
                    in_force=sum(r.in_force for r in records if r.dataset.type_name == name),
                    revoked=sum(
                        r.revoked_at is not None for r in records if r.dataset.type_name == name
                    ),
                    dropped=sum(
                        r.dropped_at is not None for r in records if r.dataset.type_name == name
                    ),
                )
                for name in sorted({r.dataset.type_name for r in records})
            },
            status_indices_used=len({(r.list_number, r.index) for r in records}),
            datasets_issued_twice=len(current) - len(set(current)),
            personal_data={
                "orders.buyer_name": len(self._state.orders),
                "orders.buyer_email": len(self._state.orders),
                "credentials.copy": sum(r.copy is not None for r in records),
                "credentials.holder": sum(r.holder is not None for r in records),
            },
        )

    def _put(self, record: CredentialRecord) -> None:
        self._state.credentials[record.credential_id] = record


def _ends(record: CredentialRecord) -> list[datetime]:
    return [at for at in (record.dropped_at, record.revoked_at) if at is not None]
