"""The issuer's state in a database; what it looks like there stands in `tables.py`."""

import json
from collections.abc import Callable, Collection, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from counterfoil_credentials.encoding import compact_json, parse_object
from counterfoil_service.migrations import Migrations
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Row, Statement, Value
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Table,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from counterfoil_issuer import sql_statements as do
from counterfoil_issuer.migrations import FOLDER, HEAD
from counterfoil_issuer.orders import Order, OrderLine, OrderNumber, Serial
from counterfoil_issuer.records import (
    CredentialRecord,
    Dataset,
    DatasetId,
    DatasetState,
    Deferral,
    Issuance,
    IssuanceId,
    Listing,
    ListState,
    OfferId,
    OfferRecord,
    OfferState,
    RevocationReason,
    SecretHash,
    Session,
    Summary,
    TokenRecord,
    TypeCounts,
)
from counterfoil_issuer.sql_back_office import METADATA
from counterfoil_issuer.tables import (
    CREDENTIALS,
    CURRENT,
    DATASETS,
    DEFERRALS,
    ISSUANCES,
    OFFER_DATASETS,
    OFFERS,
    ORDER_LINES,
    ORDERS,
    SPENT_NONCES,
    TOKEN_DATASETS,
    TOKENS,
    UNITS,
)

__all__ = ["METADATA", "MIGRATIONS", "SqlHeld", "SqlStore"]

T = TypeVar("T")

MIGRATIONS: Final = Migrations(METADATA, folder=FOLDER, head=HEAD)

_STATES: Final = {state.value: state for state in DatasetState}
# Claims were bounded when they came in.
_ANY_SIZE: Final = 2**31
_VALID: Final = 0
_INVALID: Final = 1
_SUSPENDED: Final = 2


class SqlStore:
    """Keeps the issuer's state in a database, made when missing.

    `where` is the path of a SQLite file, or the `postgresql://` URL of a database.
    """

    def __init__(self, where: Path | str) -> None:
        self.database = Database.open(where, MIGRATIONS)

    @contextmanager
    def transaction(self) -> Generator["SqlHeld", None, None]:
        """Hold the state for a change; it is on disk when this ends."""
        with self.database.transaction() as connection:
            yield SqlHeld(connection)

    @contextmanager
    def reading(self) -> Generator["SqlHeld", None, None]:
        """Hold one moment of the state, to read."""
        with self.database.reading() as connection:
            yield SqlHeld(connection)

    @property
    def commits(self) -> int:
        """How many changes this process has made."""
        return self.database.commits

    def write(self, work: Callable[["SqlHeld"], T]) -> Coroutine[None, None, T]:
        """Give what `work` gives, once its change is on disk, with those of others."""
        return self.database.write(lambda connection: work(SqlHeld(connection)))

    def close(self) -> None:
        """Finish the writes that wait and close the database."""
        self.database.close()


class SqlHeld:
    """The state as one transaction holds it. Others read and write through `connection` too."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    # Orders and what follows from them.

    def order(self, number: OrderNumber) -> Order | None:
        row = self._one(do.ORDER, number=number)
        return None if row is None else self._order(row)

    def orders_of(self, email: str) -> list[Order]:
        query = (
            select(ORDERS)
            .where(func.lower(ORDERS.c.buyer_email) == email.lower())
            .order_by(ORDERS.c.paid_at.desc())
        )
        return [self._order(row) for row in self._all(query)]

    def add_order(self, order: Order, imported_at: datetime) -> None:
        self._add(
            ORDERS,
            number=order.number,
            paid_at=_seconds(order.paid_at),
            currency=order.currency,
            tax=order.tax,
            total=order.total,
            buyer_name=order.buyer_name,
            buyer_email=order.buyer_email,
            imported_at=_seconds(imported_at),
        )
        for i, line in enumerate(order.lines, start=1):
            self._add(
                ORDER_LINES,
                order_number=order.number,
                line=i,
                gtin=line.gtin,
                name=line.name,
                quantity=line.quantity,
                price=line.price,
                tax=line.tax,
                warranty_months=line.warranty_months,
                returned=line.returned,
            )
            for unit, serial in enumerate(line.serials, start=1):
                self._add(UNITS, serial=serial, order_number=order.number, line=i, unit=unit)

    def return_units(
        self,
        number: OrderNumber,
        *,
        line: int,
        serials: Collection[Serial],
        count: int,
        at: datetime,
    ) -> None:
        self._run(
            update(ORDER_LINES)
            .where(ORDER_LINES.c.order_number == number, ORDER_LINES.c.line == line)
            .values(returned=ORDER_LINES.c.returned + count)
        )
        self._run(
            update(UNITS)
            .where(UNITS.c.order_number == number, UNITS.c.serial.in_(serials))
            .values(returned_at=_seconds(at))
        )

    # Datasets.

    def dataset(self, dataset_id: DatasetId) -> Dataset | None:
        row = self._one(do.DATASET, dataset=dataset_id)
        return None if row is None else _dataset(row)

    def datasets_of_order(self, number: OrderNumber) -> list[Dataset]:
        return [
            _dataset(row)
            for row in self._all(select(DATASETS).where(DATASETS.c.order_number == number))
        ]

    def datasets_of_subject(self, subject: str) -> list[Dataset]:
        query = (
            select(DATASETS)
            .where(DATASETS.c.subject == subject)
            .order_by(DATASETS.c.created_at, DATASETS.c.dataset_id)
        )
        return [_dataset(row) for row in self._all(query)]

    def add_dataset(self, dataset: Dataset, at: datetime) -> bool:
        return self._add_if_new(
            DATASETS,
            dataset_id=dataset.dataset_id,
            created_at=_seconds(at),
            **_dataset_values(dataset),
        )

    def change_dataset(self, dataset: Dataset) -> None:
        self._run(
            update(DATASETS)
            .where(DATASETS.c.dataset_id == dataset.dataset_id)
            .values(**_dataset_values(dataset))
        )

    def release_dataset(self, dataset_id: DatasetId) -> bool:
        waits = (DATASETS.c.dataset_id == dataset_id) & (
            DATASETS.c.state == DatasetState.WAITING.value
        )
        return self._run(update(DATASETS).where(waits).values(state=DatasetState.READY.value)) == 1

    def deny_dataset(self, dataset_id: DatasetId) -> bool:
        may = (DATASETS.c.dataset_id == dataset_id) & (
            DATASETS.c.state != DatasetState.DENIED.value
        )
        return self._run(update(DATASETS).where(may).values(state=DatasetState.DENIED.value)) == 1

    # Offers and tokens.

    def add_offer(self, offer: OfferRecord) -> None:
        self._add(
            OFFERS,
            offer_id=offer.offer_id,
            reference_hash=offer.reference_hash,
            code_hash=offer.code_hash,
            issuer_state_hash=offer.issuer_state_hash,
            tx_code_mac=offer.tx_code_mac,
            attempts=offer.attempts,
            state=offer.state.value,
            expires_at=_seconds(offer.expires_at),
        )
        for position, dataset in enumerate(offer.datasets):
            self._add(
                OFFER_DATASETS,
                offer_id=offer.offer_id,
                position=position,
                dataset_id=dataset.dataset_id,
            )

    def offer(self, offer_id: OfferId) -> OfferRecord | None:
        return self._offer("offer_id", offer_id)

    def offer_of_code(self, code_hash: SecretHash) -> OfferRecord | None:
        return self._offer("code_hash", code_hash)

    def offer_of_issuer_state(self, issuer_state_hash: SecretHash) -> OfferRecord | None:
        return self._offer("issuer_state_hash", issuer_state_hash)

    def offer_of_reference(self, reference_hash: SecretHash) -> OfferRecord | None:
        return self._offer("reference_hash", reference_hash)

    def replace_offers(self, datasets: Collection[DatasetId]) -> None:
        offered = select(OFFER_DATASETS.c.offer_id).where(OFFER_DATASETS.c.dataset_id.in_(datasets))
        self._run(
            update(OFFERS)
            .where(OFFERS.c.offer_id.in_(offered))
            .values(state=OfferState.REPLACED.value)
        )
        given = select(TOKEN_DATASETS.c.token_hash).where(TOKEN_DATASETS.c.dataset_id.in_(datasets))
        theirs = or_(TOKENS.c.offer_id.in_(offered), TOKENS.c.token_hash.in_(given))
        self._run(update(TOKENS).where(theirs).values(ended=1))
        under_them = DEFERRALS.c.token_hash.in_(select(TOKENS.c.token_hash).where(theirs))
        self._run(delete(DEFERRALS).where(under_them, DEFERRALS.c.done_at.is_(None)))

    def count_attempt(self, offer_id: OfferId, at_most: int) -> bool:
        counted = self._run(do.COUNT_ATTEMPT, offer=offer_id, at_most=at_most)
        if not counted:
            self._run(do.END_OFFER, offer=offer_id)
        return counted == 1

    def redeem_offer(self, offer_id: OfferId) -> bool:
        return self._run(do.REDEEM, offer=offer_id) == 1

    def add_token(self, token: TokenRecord, datasets: Sequence[DatasetId]) -> None:
        self._add(
            TOKENS,
            token_hash=token.token_hash,
            offer_id=token.offer_id,
            client_id=token.client_id,
            dpop_jkt=token.dpop_jkt,
            by_identifier=int(token.by_identifier),
            ended=int(token.ended),
            expires_at=_seconds(token.expires_at),
        )
        for position, dataset_id in enumerate(datasets):
            self._add(
                TOKEN_DATASETS,
                token_hash=token.token_hash,
                position=position,
                dataset_id=dataset_id,
            )

    def session_of(self, token_hash: SecretHash) -> Session | None:
        rows = self.connection.rows(do.SESSION, token=token_hash)
        if not rows:
            return None
        row = rows[0]
        token = TokenRecord(
            token_hash=token_hash,
            offer_id=row.offer_id,
            client_id=row.client_id,
            dpop_jkt=row.dpop_jkt,
            by_identifier=bool(row.by_identifier),
            ended=bool(row.ended),
            expires_at=_instant(row.expires_at),
        )
        return Session(token, tuple(map(_dataset, rows)))

    def spend_nonce(self, nonce_hash: SecretHash, expires_at: datetime) -> bool:
        ends_at = _seconds(expires_at)
        return (
            self.connection.change(do.SPEND_NONCE, nonce_hash=nonce_hash, expires_at=ends_at) == 1
        )

    # Issuances.

    def issuance(self, issuance_id: IssuanceId) -> Issuance | None:
        row = self._one(do.ISSUANCE, issuance=issuance_id)
        return None if row is None else self._with_credentials(row)

    def current_issuance(self, dataset_id: DatasetId) -> Issuance | None:
        row = self._one(do.CURRENT_ISSUANCE, dataset=dataset_id)
        return None if row is None else self._with_credentials(row)

    def issuances_of(self, dataset_id: DatasetId, token_hash: SecretHash) -> list[Issuance]:
        rows = self._all(do.ISSUANCES_OF, dataset=dataset_id, token=token_hash)
        return [self._with_credentials(row) for row in rows]

    def issuances_of_order(self, order: OrderNumber) -> list[Issuance]:
        query = (
            select(ISSUANCES)
            .where(ISSUANCES.c.order_number == order)
            .order_by(ISSUANCES.c.position)
        )
        return [self._with_credentials(row) for row in self._all(query)]

    def add_issuance(self, issuance: Issuance) -> bool:
        added = self.connection.change(
            do.ADD_ISSUANCE,
            issuance_id=issuance.issuance_id,
            dataset_id=issuance.dataset_id,
            type_name=issuance.type_name,
            order_number=issuance.order_number,
            serial=issuance.serial,
            token_hash=issuance.token_hash,
            issued_at=_seconds(issuance.issued_at),
            expires_at=_seconds(issuance.expires_at),
        )
        return added == 1

    def add_credentials(
        self, issuance_id: IssuanceId, credentials: Sequence[CredentialRecord]
    ) -> None:
        for number, credential in enumerate(credentials):
            self.connection.add(
                do.ADD_CREDENTIAL,
                issuance_id=issuance_id,
                number=number,
                list_number=credential.list_number,
                status_index=credential.index,
                status=_VALID,
                digest=credential.digest,
                holder=credential.holder,
                copy=credential.copy,
            )

    def hand_to_token(self, issuance_id: IssuanceId, token_hash: SecretHash) -> None:
        self._run(
            update(ISSUANCES)
            .where(ISSUANCES.c.issuance_id == issuance_id)
            .values(token_hash=token_hash)
        )

    def acknowledge(self, issuance_id: IssuanceId, at: datetime) -> bool:
        if not self._run(do.ACKNOWLEDGE, issuance=issuance_id, at=_seconds(at)):
            return False
        self._forget_copies(issuance_id)
        return True

    def drop(self, issuance_id: IssuanceId, at: datetime) -> bool:
        # A holder's "it failed" does not lift a suspension.
        unsuspended = ISSUANCES.c.suspended_at.is_(None) & _IN_FORCE
        nobodys = ISSUANCES.c.acknowledged_at.is_(None) & unsuspended
        if not self._changed(issuance_id, nobodys, dropped_at=_seconds(at)):
            return False
        self._forget_copies(issuance_id)
        self._set_status(issuance_id, _INVALID)
        return True

    def revoke(self, issuance_id: IssuanceId, at: datetime, why: RevocationReason) -> bool:
        at_s = _seconds(at)
        if not self._changed(issuance_id, _IN_FORCE, revoked_at=at_s, revocation_reason=why.value):
            return False
        self._forget_copies(issuance_id)
        self._set_status(issuance_id, _INVALID)
        return True

    def suspend(self, issuance_id: IssuanceId, at: datetime) -> bool:
        unsuspended = ISSUANCES.c.suspended_at.is_(None) & _IN_FORCE
        if not self._changed(issuance_id, unsuspended, suspended_at=_seconds(at)):
            return False
        self._set_status(issuance_id, _SUSPENDED)
        return True

    def reinstate(self, issuance_id: IssuanceId) -> bool:
        suspended = ISSUANCES.c.suspended_at.is_not(None) & _IN_FORCE
        if not self._changed(issuance_id, suspended, suspended_at=None):
            return False
        self._set_status(issuance_id, _VALID)
        return True

    def replace(self, issuance_id: IssuanceId, at: datetime) -> None:
        self._changed(issuance_id, CURRENT, replaced_at=_seconds(at))

    # Requests that wait.

    def add_deferral(self, deferral: Deferral) -> None:
        self._add_if_new(
            DEFERRALS,
            transaction_hash=deferral.transaction_hash,
            dataset_id=deferral.dataset_id,
            token_hash=deferral.token_hash,
            keys=json.dumps(deferral.keys),
            expires_at=_seconds(deferral.expires_at),
        )

    def deferral(self, transaction_hash: SecretHash) -> Deferral | None:
        row = self._one(select(DEFERRALS).where(DEFERRALS.c.transaction_hash == transaction_hash))
        if row is None:
            return None
        return Deferral(
            transaction_hash=SecretHash(row.transaction_hash),
            dataset_id=DatasetId(row.dataset_id),
            token_hash=SecretHash(row.token_hash),
            keys=tuple(json.loads(row.keys)),
            expires_at=_instant(row.expires_at),
            done_at=_optional_instant(row.done_at),
        )

    def end_deferral(self, transaction_hash: SecretHash, at: datetime) -> bool:
        ended = self._run(
            update(DEFERRALS)
            .where(DEFERRALS.c.transaction_hash == transaction_hash, DEFERRALS.c.done_at.is_(None))
            .values(done_at=_seconds(at), keys="[]")
        )
        return ended == 1

    # Status lists.

    def last_list(self) -> ListState | None:
        row = self._one(do.LAST_LIST)
        return None if row is None else _list_state(row)

    def list_state(self, list_number: int) -> ListState | None:
        row = self._one(do.LIST, list_number=list_number)
        return None if row is None else _list_state(row)

    def add_list(self, list_number: int, used: int) -> None:
        self.connection.add(do.ADD_LIST, list_number=list_number, used=used, changes=0)

    def take_entry(self, list_number: int, index: int, *, up_to: int) -> bool:
        return self._run(do.TAKE_ENTRY, number=list_number, index=index, up_to=up_to) == 1

    def status_index_is_free(self, list_number: int, index: int) -> bool:
        return not self.connection.rows(do.INDEX_TAKEN, list_number=list_number, index=index)

    def statuses(self, list_number: int, after: int) -> Mapping[int, int]:
        rows = self._all(do.CHANGED_ENTRIES, list=list_number, after=after)
        return {row.status_index: row.status for row in rows}

    def put_listing(self, list_number: int, listing: Listing) -> None:
        self._run(
            do.PUT_LISTING,
            list=list_number,
            changes_now=listing.changes,
            at=_seconds(listing.listed_at),
        )

    # Housekeeping.

    def forget_dead(self, before: datetime, now: datetime) -> None:
        at = _seconds(before)
        self._run(delete(SPENT_NONCES).where(SPENT_NONCES.c.expires_at <= _seconds(now)))
        answered = or_(DEFERRALS.c.expires_at <= at, DEFERRALS.c.done_at <= at)
        self._run(delete(DEFERRALS).where(answered))
        waiting = select(DEFERRALS.c.token_hash)
        dead = (TOKENS.c.expires_at <= at) & TOKENS.c.token_hash.not_in(waiting)
        dead_tokens = select(TOKENS.c.token_hash).where(dead)
        theirs = select(ISSUANCES.c.issuance_id).where(ISSUANCES.c.token_hash.in_(dead_tokens))
        self._run(
            update(CREDENTIALS)
            .where(CREDENTIALS.c.issuance_id.in_(theirs), CREDENTIALS.c.copy.is_not(None))
            .values(copy=None, holder=None)
        )
        self._run(delete(TOKEN_DATASETS).where(TOKEN_DATASETS.c.token_hash.in_(dead_tokens)))
        self._run(delete(TOKENS).where(dead))
        ended = (OFFERS.c.expires_at <= at) & ~exists().where(
            TOKENS.c.offer_id == OFFERS.c.offer_id
        )
        of_ended = OFFER_DATASETS.c.offer_id.in_(select(OFFERS.c.offer_id).where(ended))
        self._run(delete(OFFER_DATASETS).where(of_ended))
        self._run(delete(OFFERS).where(ended))
        revoked = select(ISSUANCES.c.dataset_id).where(CURRENT, ISSUANCES.c.revoked_at.is_not(None))
        over = or_(
            DATASETS.c.dataset_id.in_(revoked),
            DATASETS.c.ends_at <= at,
            DATASETS.c.state == DatasetState.DENIED.value,
        )
        self._run(
            update(DATASETS)
            .where(over, or_(DATASETS.c.claims.is_not(None), DATASETS.c.subject.is_not(None)))
            .values(claims=None, subject=None)
        )

    def summary(self, now: datetime) -> Summary:
        is_open = (OFFERS.c.state == OfferState.OPEN.value) & (OFFERS.c.expires_at > _seconds(now))
        orders = self._count(select(func.count()).select_from(ORDERS))
        twice = (
            select(ISSUANCES.c.dataset_id)
            .where(CURRENT)
            .group_by(ISSUANCES.c.dataset_id)
            .having(func.count() > 1)
            .subquery()
        )
        return Summary(
            orders=orders,
            offers_open=self._count(_counting(OFFERS, is_open)),
            credentials=self._type_counts(),
            status_indices_used=self._count(select(func.count()).select_from(CREDENTIALS)),
            datasets_issued_twice=self._count(select(func.count()).select_from(twice)),
            personal_data={
                "orders.buyer_name": orders,
                "orders.buyer_email": orders,
                "datasets.claims": self._count(_counting(DATASETS, DATASETS.c.claims.is_not(None))),
                "datasets.subject": self._count(
                    _counting(DATASETS, DATASETS.c.subject.is_not(None))
                ),
                "credentials.copy": self._count(
                    _counting(CREDENTIALS, CREDENTIALS.c.copy.is_not(None))
                ),
                "credentials.holder": self._count(
                    _counting(CREDENTIALS, CREDENTIALS.c.holder.is_not(None))
                ),
                "deferrals.keys": self._count(_counting(DEFERRALS, DEFERRALS.c.done_at.is_(None))),
            },
        )

    def _type_counts(self) -> dict[str, TypeCounts]:
        query = (
            select(
                ISSUANCES.c.type_name,
                func.count().label("issued"),
                func.count(ISSUANCES.c.revoked_at).label("revoked"),
                func.count(ISSUANCES.c.dropped_at).label("dropped"),
            )
            .group_by(ISSUANCES.c.type_name)
            .order_by(ISSUANCES.c.type_name)
        )
        return {
            row.type_name: TypeCounts(
                in_force=row.issued - row.revoked - row.dropped,
                revoked=row.revoked,
                dropped=row.dropped,
            )
            for row in self._all(query)
        }

    def _order(self, row: Row) -> Order:
        units: dict[int, list[Row]] = {}
        for unit in self._all(do.UNITS_OF, number=row.number):
            units.setdefault(unit.line, []).append(unit)
        lines = self._all(do.LINES, number=row.number)
        return Order(
            number=OrderNumber(row.number),
            paid_at=_instant(row.paid_at),
            currency=row.currency,
            tax=row.tax,
            total=row.total,
            buyer_name=row.buyer_name,
            buyer_email=row.buyer_email,
            lines=tuple(_line(line, units.get(line.line, [])) for line in lines),
        )

    def _offer(self, column: str, value: str) -> OfferRecord | None:
        row = self._one(do.OFFER_OF[column], value=value)
        if row is None:
            return None
        datasets = self._all(do.OFFERED, offer=row.offer_id)
        return OfferRecord(
            offer_id=OfferId(row.offer_id),
            reference_hash=row.reference_hash,
            code_hash=row.code_hash,
            issuer_state_hash=row.issuer_state_hash,
            tx_code_mac=row.tx_code_mac,
            attempts=row.attempts,
            state=OfferState(row.state),
            expires_at=_instant(row.expires_at),
            datasets=tuple(_dataset(dataset) for dataset in datasets),
        )

    def _with_credentials(self, row: Row) -> Issuance:
        credentials = self._all(do.CREDENTIALS_OF, issuance=row.issuance_id)
        return Issuance(
            issuance_id=IssuanceId(row.issuance_id),
            dataset_id=DatasetId(row.dataset_id),
            type_name=row.type_name,
            order_number=row.order_number,
            serial=row.serial,
            token_hash=SecretHash(row.token_hash),
            issued_at=_instant(row.issued_at),
            expires_at=_instant(row.expires_at),
            credentials=tuple(
                CredentialRecord(
                    list_number=credential.list_number,
                    index=credential.status_index,
                    digest=credential.digest,
                    holder=credential.holder,
                    copy=credential.copy,
                )
                for credential in credentials
            ),
            acknowledged_at=_optional_instant(row.acknowledged_at),
            dropped_at=_optional_instant(row.dropped_at),
            suspended_at=_optional_instant(row.suspended_at),
            revoked_at=_optional_instant(row.revoked_at),
            revocation_reason=RevocationReason(row.revocation_reason)
            if row.revocation_reason
            else None,
            replaced_at=_optional_instant(row.replaced_at),
        )

    def _changed(
        self, issuance_id: IssuanceId, condition: ColumnElement[bool], **values: str | int | None
    ) -> bool:
        statement = update(ISSUANCES).where(ISSUANCES.c.issuance_id == issuance_id, condition)
        return self._run(statement.values(**values)) == 1

    def _forget_copies(self, issuance_id: IssuanceId) -> None:
        self._run(do.FORGET_COPIES, issuance=issuance_id)

    def _set_status(self, issuance_id: IssuanceId, status: int) -> None:
        for row in self._all(do.PLACES, issuance=issuance_id):
            self._run(do.COUNT_CHANGE, list=row.list_number)
            self._run(
                do.SET_STATUS,
                issuance=issuance_id,
                place=row.number,
                status_now=status,
                list=row.list_number,
            )

    def _one(self, query: ClauseElement | Statement, **values: Value) -> Row | None:
        return self.connection.row(query, **values)

    def _all(self, query: ClauseElement | Statement, **values: Value) -> list[Row]:
        return self.connection.rows(query, **values)

    def _count(self, query: ClauseElement | Statement, **values: Value) -> int:
        return int(self.connection.value(query, **values) or 0)

    def _run(self, statement: ClauseElement | Statement, **values: Value) -> int:
        return self.connection.change(statement, **values)

    def _add(self, table: Table, **values: Value) -> None:
        self.connection.add(_adding(table, tuple(values)), **values)

    def _add_if_new(self, table: Table, **values: Value) -> bool:
        return self.connection.change(_adding_if_new(table, tuple(values)), **values) == 1


_IN_FORCE: Final = ISSUANCES.c.dropped_at.is_(None) & ISSUANCES.c.revoked_at.is_(None)


@cache
def _adding(table: Table, columns: tuple[str, ...]) -> Statement:
    return Statement(insert(table), columns=columns)


@cache
def _adding_if_new(table: Table, columns: tuple[str, ...]) -> Statement:
    return Statement(upsert(table).on_conflict_do_nothing(), columns=columns)


def _line(row: Row, units: Sequence[Row]) -> OrderLine:
    return OrderLine(
        gtin=row.gtin,
        name=row.name,
        quantity=row.quantity,
        price=row.price,
        tax=row.tax,
        warranty_months=row.warranty_months,
        serials=tuple(Serial(unit.serial) for unit in units),
        returned=row.returned,
        returned_serials=frozenset(
            Serial(unit.serial) for unit in units if unit.returned_at is not None
        ),
    )


def _list_state(row: Row) -> ListState:
    listed_at = row.listed_at
    return ListState(
        number=row.list_number,
        used=row.used,
        changes=row.changes,
        listing=None if listed_at is None else Listing(row.listed_changes, _instant(listed_at)),
    )


def _dataset(row: Row) -> Dataset:
    return Dataset(
        dataset_id=DatasetId(row.dataset_id),
        type_name=row.type_name,
        claims=None
        if row.claims is None
        else parse_object(row.claims, "datasets.claims", max_bytes=_ANY_SIZE),
        ends_at=_optional_instant(row.ends_at),
        order_number=row.order_number,
        serial=row.serial,
        subject=row.subject,
        state=_STATES[row.state],
    )


def _dataset_values(dataset: Dataset) -> dict[str, str | int | None]:
    return {
        "type_name": dataset.type_name,
        "claims": None if dataset.claims is None else compact_json(dataset.claims).decode(),
        "ends_at": None if dataset.ends_at is None else _seconds(dataset.ends_at),
        "order_number": dataset.order_number,
        "serial": dataset.serial,
        "subject": dataset.subject,
        "state": dataset.state.value,
    }


def _counting(table: Table, condition: ColumnElement[bool]) -> ClauseElement:
    return select(func.count()).select_from(table).where(condition)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _optional_instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else _instant(seconds)
