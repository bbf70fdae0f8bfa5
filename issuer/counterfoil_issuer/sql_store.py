"""The issuer's state in SQLite.

What must never happen twice is a constraint of the schema, not a habit of the
code: a status index is allotted once, a dataset has one credential that was not
dropped, a token gets one credential of a type, a nonce is spent once.
"""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from counterfoil_service.sql import open_database, reading, transaction
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    UniqueConstraint,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from counterfoil_issuer.orders import (
    Dataset,
    DatasetId,
    Order,
    OrderLine,
    OrderNumber,
    Serial,
)
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
)
from counterfoil_issuer.store import Held

METADATA: Final = MetaData()

# Amounts are whole minor units, times whole seconds since 1970.
ORDERS: Final = Table(
    "orders",
    METADATA,
    Column("number", String, primary_key=True),
    Column("paid_at", Integer, nullable=False),
    Column("currency", String, nullable=False),
    Column("tax", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("buyer_name", String, nullable=False),
    Column("buyer_email", String, nullable=False),
    Column("imported_at", Integer, nullable=False),
)
Index("orders_by_email", func.lower(ORDERS.c.buyer_email))

ORDER_LINES: Final = Table(
    "order_lines",
    METADATA,
    Column("order_number", String, ForeignKey(ORDERS.c.number), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("gtin", String, nullable=False),
    Column("name", String, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("price", Integer, nullable=False),
    Column("tax", Integer, nullable=False),
    Column("warranty_months", Integer, nullable=False),
)

UNITS: Final = Table(
    "units",
    METADATA,
    Column("serial", String, primary_key=True),
    Column("order_number", String, ForeignKey(ORDERS.c.number), nullable=False, index=True),
    Column("line", Integer, nullable=False),
    Column("unit", Integer, nullable=False),
)

OFFERS: Final = Table(
    "offers",
    METADATA,
    Column("offer_id", String, primary_key=True),
    Column("order_number", String, ForeignKey(ORDERS.c.number), nullable=False, index=True),
    Column("code_hash", String, nullable=False, unique=True),
    Column("tx_code_mac", String),
    Column("attempts", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("expires_at", Integer, nullable=False),
)

OFFER_DATASETS: Final = Table(
    "offer_datasets",
    METADATA,
    Column("offer_id", String, ForeignKey(OFFERS.c.offer_id), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("dataset_id", String, nullable=False),
    Column("type_name", String, nullable=False),
    Column("serial", String),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("token_hash", String, primary_key=True),
    Column("offer_id", String, ForeignKey(OFFERS.c.offer_id), nullable=False),
    Column("expires_at", Integer, nullable=False),
)

SPENT_NONCES: Final = Table(
    "spent_nonces",
    METADATA,
    Column("nonce_hash", String, primary_key=True),
    Column("expires_at", Integer, nullable=False, index=True),
)

CREDENTIALS: Final = Table(
    "credentials",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("credential_id", String, nullable=False, unique=True),
    Column("dataset_id", String, nullable=False),
    Column("type_name", String, nullable=False),
    Column("order_number", String, ForeignKey(ORDERS.c.number), nullable=False, index=True),
    Column("serial", String),
    Column("token_hash", String, nullable=False),
    Column("holder", String),
    Column("list_number", Integer, nullable=False),
    Column("status_index", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("copy", String),
    Column("issued_at", Integer, nullable=False),
    Column("expires_at", Integer, nullable=False),
    Column("acknowledged_at", Integer),
    Column("dropped_at", Integer),
    Column("revoked_at", Integer),
    Column("revocation_reason", String),
    UniqueConstraint("list_number", "status_index"),
    UniqueConstraint("token_hash", "type_name"),
)
_NOT_DROPPED: Final = CREDENTIALS.c.dropped_at.is_(None)
_IN_FORCE: Final = and_(_NOT_DROPPED, CREDENTIALS.c.revoked_at.is_(None))
Index(
    "one_credential_per_dataset",
    CREDENTIALS.c.dataset_id,
    unique=True,
    sqlite_where=_NOT_DROPPED,
    postgresql_where=_NOT_DROPPED,
)

LISTINGS: Final = Table(
    "listings",
    METADATA,
    Column("list_number", Integer, primary_key=True, autoincrement=False),
    Column("ended", Integer, nullable=False),
    Column("listed_at", Integer, nullable=False),
)


class SqlStore:
    """Keeps the issuer's state in the SQLite file at `path`, made when missing."""

    def __init__(self, path: Path) -> None:
        self._engine = open_database(path, METADATA)

    @contextmanager
    def transaction(self) -> Generator[Held, None, None]:
        """Hold the state for a change; it is on disk when this ends."""
        with transaction(self._engine) as connection:
            yield _SqlHeld(connection)

    @contextmanager
    def reading(self) -> Generator[Held, None, None]:
        """Hold one moment of the state, to read."""
        with reading(self._engine) as connection:
            yield _SqlHeld(connection)

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()


class _SqlHeld:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def order(self, number: OrderNumber) -> Order | None:
        row = self._one(select(ORDERS).where(ORDERS.c.number == number))
        return None if row is None else self._order(row)

    def orders_of(self, email: str) -> list[Order]:
        query = (
            select(ORDERS)
            .where(func.lower(ORDERS.c.buyer_email) == email.lower())
            .order_by(ORDERS.c.paid_at.desc())
        )
        return [self._order(row) for row in self._connection.execute(query)]

    def add_order(self, order: Order, imported_at: datetime) -> None:
        self._connection.execute(
            insert(ORDERS).values(
                number=order.number,
                paid_at=_seconds(order.paid_at),
                currency=order.currency,
                tax=order.tax,
                total=order.total,
                buyer_name=order.buyer_name,
                buyer_email=order.buyer_email,
                imported_at=_seconds(imported_at),
            )
        )
        for i, line in enumerate(order.lines, start=1):
            self._connection.execute(
                insert(ORDER_LINES).values(
                    order_number=order.number,
                    line=i,
                    gtin=line.gtin,
                    name=line.name,
                    quantity=line.quantity,
                    price=line.price,
                    tax=line.tax,
                    warranty_months=line.warranty_months,
                )
            )
            for unit, serial in enumerate(line.serials, start=1):
                values = {"serial": serial, "order_number": order.number, "line": i, "unit": unit}
                self._connection.execute(insert(UNITS).values(**values))

    def add_offer(self, offer: OfferRecord) -> None:
        self._connection.execute(
            insert(OFFERS).values(
                offer_id=offer.offer_id,
                order_number=offer.order_number,
                code_hash=offer.code_hash,
                tx_code_mac=offer.tx_code_mac,
                attempts=offer.attempts,
                state=offer.state,
                expires_at=_seconds(offer.expires_at),
            )
        )
        for position, dataset in enumerate(offer.datasets):
            self._connection.execute(
                insert(OFFER_DATASETS).values(
                    offer_id=offer.offer_id,
                    position=position,
                    dataset_id=dataset.dataset_id,
                    type_name=dataset.type_name,
                    serial=dataset.serial,
                )
            )

    def offer_of_code(self, code_hash: SecretHash) -> OfferRecord | None:
        row = self._one(select(OFFERS).where(OFFERS.c.code_hash == code_hash))
        return None if row is None else self._offer(row)

    def replace_offers(self, order: OrderNumber, datasets: Collection[DatasetId]) -> int:
        holding = select(OFFER_DATASETS.c.offer_id).where(OFFER_DATASETS.c.dataset_id.in_(datasets))
        return self._changed(
            update(OFFERS)
            .where(OFFERS.c.order_number == order)
            .where(OFFERS.c.state != OfferState.REPLACED)
            .where(OFFERS.c.offer_id.in_(holding))
            .values(state=OfferState.REPLACED)
        )

    def count_attempt(self, offer_id: OfferId, at_most: int) -> bool:
        counted = self._changed(
            update(OFFERS)
            .where(OFFERS.c.offer_id == offer_id)
            .where(OFFERS.c.state == OfferState.OPEN)
            .where(OFFERS.c.attempts < at_most)
            .values(attempts=OFFERS.c.attempts + 1)
        )
        return counted == 1

    def redeem_offer(self, offer_id: OfferId) -> bool:
        taken = self._changed(
            update(OFFERS)
            .where(OFFERS.c.offer_id == offer_id)
            .where(OFFERS.c.state == OfferState.OPEN)
            .values(state=OfferState.REDEEMED)
        )
        return taken == 1

    def add_token(self, token: TokenRecord) -> None:
        self._connection.execute(
            insert(TOKENS).values(
                token_hash=token.token_hash,
                offer_id=token.offer_id,
                expires_at=_seconds(token.expires_at),
            )
        )

    def session_of(self, token_hash: SecretHash) -> Session | None:
        row = self._one(select(TOKENS).where(TOKENS.c.token_hash == token_hash))
        if row is None:
            return None
        offer = self._one(select(OFFERS).where(OFFERS.c.offer_id == row.offer_id))
        if offer is None:
            return None
        token = TokenRecord(
            token_hash=SecretHash(row.token_hash),
            offer_id=OfferId(row.offer_id),
            expires_at=_instant(row.expires_at),
        )
        return Session(token, self._offer(offer))

    def spend_nonce(self, nonce_hash: SecretHash, expires_at: datetime, now: datetime) -> bool:
        self._connection.execute(
            delete(SPENT_NONCES).where(SPENT_NONCES.c.expires_at <= _seconds(now))
        )
        spent = self._changed(
            sqlite_insert(SPENT_NONCES)
            .values(nonce_hash=nonce_hash, expires_at=_seconds(expires_at))
            .on_conflict_do_nothing()
        )
        return spent == 1

    def credential(self, credential_id: CredentialId) -> CredentialRecord | None:
        return self._credential(CREDENTIALS.c.credential_id == credential_id)

    def credential_of_token(
        self, token_hash: SecretHash, type_name: str
    ) -> CredentialRecord | None:
        same_token = CREDENTIALS.c.token_hash == token_hash
        return self._credential(same_token & (CREDENTIALS.c.type_name == type_name))

    def current_credential(self, dataset: DatasetId) -> CredentialRecord | None:
        return self._credential((CREDENTIALS.c.dataset_id == dataset) & _NOT_DROPPED)

    def credentials_of(self, order: OrderNumber) -> list[CredentialRecord]:
        query = (
            select(CREDENTIALS)
            .where(CREDENTIALS.c.order_number == order)
            .order_by(CREDENTIALS.c.position)
        )
        return [_credential(row) for row in self._connection.execute(query)]

    def add_credential(self, record: CredentialRecord) -> None:
        self._connection.execute(
            insert(CREDENTIALS).values(
                credential_id=record.credential_id,
                dataset_id=record.dataset.dataset_id,
                type_name=record.dataset.type_name,
                order_number=record.dataset.order_number,
                serial=record.dataset.serial,
                token_hash=record.token_hash,
                holder=record.holder,
                list_number=record.list_number,
                status_index=record.index,
                digest=record.digest,
                copy=record.copy,
                issued_at=_seconds(record.issued_at),
                expires_at=_seconds(record.expires_at),
            )
        )

    def hand_to_token(self, credential_id: CredentialId, token_hash: SecretHash) -> None:
        self._connection.execute(
            update(CREDENTIALS)
            .where(CREDENTIALS.c.credential_id == credential_id)
            .values(token_hash=token_hash)
        )

    def acknowledge(self, credential_id: CredentialId, at: datetime) -> bool:
        noted = self._changed(
            update(CREDENTIALS)
            .where(CREDENTIALS.c.credential_id == credential_id)
            .where(CREDENTIALS.c.acknowledged_at.is_(None), _NOT_DROPPED)
            .values(acknowledged_at=_seconds(at), copy=None, holder=None)
        )
        return noted == 1

    def drop(self, credential_id: CredentialId, at: datetime) -> bool:
        dropped = self._changed(
            update(CREDENTIALS)
            .where(CREDENTIALS.c.credential_id == credential_id)
            .where(CREDENTIALS.c.acknowledged_at.is_(None), _IN_FORCE)
            .values(dropped_at=_seconds(at), copy=None, holder=None)
        )
        return dropped == 1

    def revoke(self, credential_id: CredentialId, at: datetime, why: RevocationReason) -> bool:
        revoked = self._changed(
            update(CREDENTIALS)
            .where(CREDENTIALS.c.credential_id == credential_id, _IN_FORCE)
            .values(revoked_at=_seconds(at), revocation_reason=why, copy=None, holder=None)
        )
        return revoked == 1

    def last_status_list(self) -> int:
        return self._count(select(func.coalesce(func.max(CREDENTIALS.c.list_number), 0)))

    def status_indices_used(self, list_number: int) -> int:
        return self._count(_counting(CREDENTIALS.c.list_number == list_number))

    def status_index_is_free(self, list_number: int, index: int) -> bool:
        same_list = CREDENTIALS.c.list_number == list_number
        return not self._count(_counting(same_list & (CREDENTIALS.c.status_index == index)))

    def ended_indices(self, list_number: int, since: datetime | None = None) -> list[int]:
        ended = ~_IN_FORCE
        if since is not None:
            at = _seconds(since)
            ended = (CREDENTIALS.c.dropped_at >= at) | (CREDENTIALS.c.revoked_at >= at)
        query = select(CREDENTIALS.c.status_index).where(
            CREDENTIALS.c.list_number == list_number, ended
        )
        return [int(index) for index in self._connection.scalars(query)]

    def ended_count(self, list_number: int) -> int:
        return self._count(_counting((CREDENTIALS.c.list_number == list_number) & ~_IN_FORCE))

    def last_ended_at(self, list_number: int) -> datetime | None:
        latest = select(
            func.max(CREDENTIALS.c.dropped_at), func.max(CREDENTIALS.c.revoked_at)
        ).where(CREDENTIALS.c.list_number == list_number)
        ended = [at for at in self._connection.execute(latest).one() if at is not None]
        return _optional_instant(max(ended, default=None))

    def listing(self, list_number: int) -> Listing | None:
        row = self._one(select(LISTINGS).where(LISTINGS.c.list_number == list_number))
        return None if row is None else Listing(row.ended, _instant(row.listed_at))

    def put_listing(self, list_number: int, listing: Listing) -> None:
        said = {"ended": listing.ended, "listed_at": _seconds(listing.listed_at)}
        self._connection.execute(
            sqlite_insert(LISTINGS)
            .values(list_number=list_number, **said)
            .on_conflict_do_update(index_elements=[LISTINGS.c.list_number], set_=said)
        )

    def forget_dead(self, before: datetime) -> None:
        dead = TOKENS.c.expires_at <= _seconds(before)
        self._connection.execute(
            update(CREDENTIALS)
            .where(CREDENTIALS.c.token_hash.in_(select(TOKENS.c.token_hash).where(dead)))
            .values(copy=None, holder=None)
        )
        self._connection.execute(delete(TOKENS).where(dead))
        ended = (OFFERS.c.expires_at <= _seconds(before)) & OFFERS.c.offer_id.not_in(
            select(TOKENS.c.offer_id)
        )
        theirs = OFFER_DATASETS.c.offer_id.in_(select(OFFERS.c.offer_id).where(ended))
        self._connection.execute(delete(OFFER_DATASETS).where(theirs))
        self._connection.execute(delete(OFFERS).where(ended))

    def summary(self, now: datetime, *, max_attempts: int) -> Summary:
        is_open = (
            (OFFERS.c.state == OfferState.OPEN)
            & (OFFERS.c.expires_at > _seconds(now))
            & (OFFERS.c.attempts < max_attempts)
        )
        orders = self._count(select(func.count()).select_from(ORDERS))
        twice = (
            select(CREDENTIALS.c.dataset_id)
            .where(_NOT_DROPPED)
            .group_by(CREDENTIALS.c.dataset_id)
            .having(func.count() > 1)
            .subquery()
        )
        indices = select(CREDENTIALS.c.list_number, CREDENTIALS.c.status_index).distinct()
        return Summary(
            orders=orders,
            offers_open=self._count(select(func.count()).select_from(OFFERS).where(is_open)),
            credentials=self._type_counts(),
            status_indices_used=self._count(select(func.count()).select_from(indices.subquery())),
            datasets_issued_twice=self._count(select(func.count()).select_from(twice)),
            personal_data={
                "orders.buyer_name": orders,
                "orders.buyer_email": orders,
                "credentials.copy": self._count(_counting(CREDENTIALS.c.copy.is_not(None))),
                "credentials.holder": self._count(_counting(CREDENTIALS.c.holder.is_not(None))),
            },
        )

    def _type_counts(self) -> dict[str, TypeCounts]:
        query = (
            select(
                CREDENTIALS.c.type_name,
                func.count(),
                func.count(CREDENTIALS.c.revoked_at),
                func.count(CREDENTIALS.c.dropped_at),
            )
            .group_by(CREDENTIALS.c.type_name)
            .order_by(CREDENTIALS.c.type_name)
        )
        return {
            name: TypeCounts(in_force=issued - revoked - dropped, revoked=revoked, dropped=dropped)
            for name, issued, revoked, dropped in self._connection.execute(query)
        }

    def _order(self, row: Row[Any]) -> Order:
        units: dict[int, list[Serial]] = {}
        for unit in self._connection.execute(
            select(UNITS).where(UNITS.c.order_number == row.number).order_by(UNITS.c.unit)
        ):
            units.setdefault(unit.line, []).append(Serial(unit.serial))
        lines = self._connection.execute(
            select(ORDER_LINES)
            .where(ORDER_LINES.c.order_number == row.number)
            .order_by(ORDER_LINES.c.line)
        )
        return Order(
            number=OrderNumber(row.number),
            paid_at=_instant(row.paid_at),
            currency=row.currency,
            tax=row.tax,
            total=row.total,
            buyer_name=row.buyer_name,
            buyer_email=row.buyer_email,
            lines=tuple(
                OrderLine(
                    gtin=line.gtin,
                    name=line.name,
                    quantity=line.quantity,
                    price=line.price,
                    tax=line.tax,
                    warranty_months=line.warranty_months,
                    serials=tuple(units.get(line.line, [])),
                )
                for line in lines
            ),
        )

    def _offer(self, row: Row[Any]) -> OfferRecord:
        datasets = self._connection.execute(
            select(OFFER_DATASETS)
            .where(OFFER_DATASETS.c.offer_id == row.offer_id)
            .order_by(OFFER_DATASETS.c.position)
        )
        return OfferRecord(
            offer_id=OfferId(row.offer_id),
            order_number=OrderNumber(row.order_number),
            code_hash=SecretHash(row.code_hash),
            tx_code_mac=row.tx_code_mac,
            attempts=row.attempts,
            state=OfferState(row.state),
            expires_at=_instant(row.expires_at),
            datasets=tuple(_dataset(dataset, row.order_number) for dataset in datasets),
        )

    def _credential(self, condition: ColumnElement[bool]) -> CredentialRecord | None:
        row = self._one(select(CREDENTIALS).where(condition))
        return None if row is None else _credential(row)

    def _one(self, query: Any) -> Row[Any] | None:  # noqa: ANN401  # SQLAlchemy's own generic
        return self._connection.execute(query).one_or_none()

    def _count(self, query: Any) -> int:  # noqa: ANN401  # SQLAlchemy's own generic
        return int(self._connection.scalar(query) or 0)

    def _changed(self, statement: Any) -> int:  # noqa: ANN401  # SQLAlchemy's own generic
        return int(self._connection.execute(statement).rowcount)


def _credential(row: Row[Any]) -> CredentialRecord:
    return CredentialRecord(
        credential_id=CredentialId(row.credential_id),
        dataset=_dataset(row, row.order_number),
        token_hash=SecretHash(row.token_hash),
        holder=row.holder,
        list_number=row.list_number,
        index=row.status_index,
        digest=row.digest,
        copy=row.copy,
        issued_at=_instant(row.issued_at),
        expires_at=_instant(row.expires_at),
        acknowledged_at=_optional_instant(row.acknowledged_at),
        dropped_at=_optional_instant(row.dropped_at),
        revoked_at=_optional_instant(row.revoked_at),
        revocation_reason=RevocationReason(row.revocation_reason)
        if row.revocation_reason
        else None,
    )


def _dataset(row: Row[Any], order_number: str) -> Dataset:
    return Dataset(
        type_name=row.type_name,
        order_number=OrderNumber(order_number),
        serial=None if row.serial is None else Serial(row.serial),
    )


def _counting(condition: ColumnElement[bool]) -> Any:  # noqa: ANN401  # SQLAlchemy's own generic
    return select(func.count()).select_from(CREDENTIALS).where(condition)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _optional_instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else _instant(seconds)
