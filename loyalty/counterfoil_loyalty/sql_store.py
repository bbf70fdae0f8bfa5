"""The points service's store in SQL: see store.py for what each method promises.

Amounts are texts: a contract counts to 2**256, an SQL integer to 2**63.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from counterfoil_credentials.errors import Reason
from counterfoil_service.sql import reading, transaction
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    func,
    insert,
    select,
    update,
)

from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.ledger import LedgerIdentity, Outcome, SignedTransaction
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.store import (
    Brand,
    Corridor,
    Head,
    Movement,
    Placed,
    Projected,
    require_next,
    require_same_ledger,
    sums,
    whole_blocks,
)

METADATA = MetaData()

_IDENTITY = Table(
    "ledger_identity",
    METADATA,
    Column("chain_id", String, nullable=False),
    Column("genesis", String, nullable=False),
    Column("exchange", String, nullable=False),
)
_OUTBOX = Table(
    "outbox",
    METADATA,
    Column("key", String, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("sequence", Integer, nullable=False, unique=True),
    Column("transaction_id", String, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("block", Integer),  # null until a block says what became of it
    Column("code", String),
    Column("expected", String),
    Column("found", String),
)
Index("outbox_waiting", _OUTBOX.c.sequence, sqlite_where=_OUTBOX.c.block.is_(None))
_HEAD = Table(
    "head",
    METADATA,
    Column("number", Integer, nullable=False),
    Column("block_id", String, nullable=False),
)
_BRANDS = Table(
    "brands",
    METADATA,
    Column("token", String, primary_key=True),
    Column("brand", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("symbol", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("price", String, nullable=False),
)
_CORRIDORS = Table(
    "corridors",
    METADATA,
    Column("token_in", String, primary_key=True),
    Column("token_out", String, primary_key=True),
    Column("numerator", String, nullable=False),
    Column("denominator", String, nullable=False),
    Column("version", String, nullable=False),
    Column("ends_at", String, nullable=False),
)
_MOVEMENTS = Table(
    "movements",
    METADATA,
    Column("block", Integer, primary_key=True),
    # Not "index": a row has a method of that name.
    Column("place", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
    Column("transaction_id", String, nullable=False, index=True),
    Column("token", String, nullable=False),
    Column("account", String, nullable=False),
    Column("units", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("reference", String, nullable=False, index=True),
    Column("other_token", String),
    Column("other_units", String),
    Index("movements_of_account", "account", "block"),
)
_BALANCES = Table(
    "balances",
    METADATA,
    # The supply of a token stands under the account of nobody.
    Column("account", String, primary_key=True),
    Column("token", String, primary_key=True),
    Column("units", String, nullable=False),
)


class SqlStore:
    """A `PointsStore` in one database; see `counterfoil_service.sql`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def bind(self, identity: LedgerIdentity) -> None:
        with transaction(self._engine) as connection:
            row = connection.execute(select(_IDENTITY)).one_or_none()
            if row is None:
                connection.execute(
                    insert(_IDENTITY).values(
                        chain_id=str(identity.chain_id),
                        genesis=identity.genesis,
                        exchange=identity.exchange,
                    )
                )
            else:
                known = LedgerIdentity(int(row.chain_id), row.genesis, Account(row.exchange))
                require_same_ledger(known, identity)

    def place(
        self, key: str, fingerprint: bytes, sign: Callable[[int], SignedTransaction], *, floor: int
    ) -> Placed:
        with transaction(self._engine) as connection:
            known = _placed(connection, key)
            if known is not None:
                return known
            last = connection.scalar(select(func.max(_OUTBOX.c.sequence)))
            signed = sign(floor if last is None else max(floor, last + 1))
            connection.execute(
                insert(_OUTBOX).values(
                    key=key,
                    fingerprint=fingerprint,
                    sequence=signed.sequence,
                    transaction_id=signed.transaction_id,
                    raw=signed.raw,
                )
            )
            return Placed(key, fingerprint, signed)

    def placed(self, key: str) -> Placed | None:
        with reading(self._engine) as connection:
            return _placed(connection, key)

    def waiting(self) -> Sequence[Placed]:
        rows = select(_OUTBOX).where(_OUTBOX.c.block.is_(None)).order_by(_OUTBOX.c.sequence)
        with reading(self._engine) as connection:
            return [_entry(row) for row in connection.execute(rows)]

    def close(self, outcomes: Mapping[str, Outcome]) -> None:
        with transaction(self._engine) as connection:
            for key, outcome in outcomes.items():
                reason = outcome.reason
                why = {
                    "code": reason.code if reason else None,
                    "expected": reason.expected if reason else None,
                    "found": reason.found if reason else None,
                }
                entry = update(_OUTBOX).where(_OUTBOX.c.key == key)
                connection.execute(entry.values(block=outcome.block, **why))

    def head(self) -> Head | None:
        with reading(self._engine) as connection:
            return _head(connection)

    def record(self, projected: Projected) -> None:
        with transaction(self._engine) as connection:
            known = _head(connection)
            require_next(known, projected.head)
            values = {"number": projected.head.number, "block_id": projected.head.block_id}
            connection.execute((insert if known is None else update)(_HEAD).values(**values))
            for brand in projected.brands:
                connection.execute(insert(_BRANDS).values(**_brand_columns(brand)))
            for corridor in projected.corridors:
                _replace_corridor(connection, corridor)
            for movement in projected.movements:
                connection.execute(insert(_MOVEMENTS).values(**_movement_columns(movement)))
                _add(connection, movement.account, movement.token, movement.units)
            for token, units in sums(projected.movements).items():
                _add(connection, NOBODY, token, units)

    def brands(self) -> Sequence[Brand]:
        with reading(self._engine) as connection:
            return [
                Brand(
                    row.brand,
                    row.name,
                    row.symbol,
                    Account(row.token),
                    Account(row.issuer),
                    int(row.price),
                )
                for row in connection.execute(select(_BRANDS).order_by(_BRANDS.c.brand))
            ]

    def corridors(self) -> Sequence[Corridor]:
        with reading(self._engine) as connection:
            return [
                Corridor(
                    Account(row.token_in),
                    Account(row.token_out),
                    Rate(int(row.numerator), int(row.denominator)),
                    int(row.version),
                    int(row.ends_at),
                )
                for row in connection.execute(select(_CORRIDORS))
            ]

    def balances(self, account: Account) -> Mapping[Account, int]:
        rows = select(_BALANCES).where(_BALANCES.c.account == account)
        with reading(self._engine) as connection:
            return {Account(row.token): int(row.units) for row in connection.execute(rows)}

    def supplies(self) -> Mapping[Account, int]:
        return self.balances(NOBODY)

    def history(self, account: Account, *, after: int, limit: int) -> Sequence[Movement]:
        mine = (_MOVEMENTS.c.account == account) & (_MOVEMENTS.c.block > after)
        rows = select(_MOVEMENTS).where(mine).order_by(_MOVEMENTS.c.block, _MOVEMENTS.c.place)
        with reading(self._engine) as connection:
            found = [_movement(row) for row in connection.execute(rows.limit(limit + 1))]
            if len(found) <= limit:
                return found
            # The last block may go on behind the limit.
            last = found[limit - 1].block
            whole = rows.where(_MOVEMENTS.c.block <= last)
            return whole_blocks([_movement(row) for row in connection.execute(whole)], limit)

    def movements(self, transaction_id: str) -> Sequence[Movement]:
        rows = select(_MOVEMENTS).where(_MOVEMENTS.c.transaction_id == transaction_id)
        with reading(self._engine) as connection:
            ordered = rows.order_by(_MOVEMENTS.c.block, _MOVEMENTS.c.place)
            return [_movement(row) for row in connection.execute(ordered)]

    def moved_for(self, kind: str, reference: str) -> Sequence[Movement]:
        named = (_MOVEMENTS.c.reference == reference) & (_MOVEMENTS.c.kind == kind)
        rows = select(_MOVEMENTS).where(named).order_by(_MOVEMENTS.c.block, _MOVEMENTS.c.place)
        with reading(self._engine) as connection:
            return [_movement(row) for row in connection.execute(rows)]


def _placed(connection: Connection, key: str) -> Placed | None:
    row = connection.execute(select(_OUTBOX).where(_OUTBOX.c.key == key)).one_or_none()
    return None if row is None else _entry(row)


def _entry(row: Row[Any]) -> Placed:
    signed = SignedTransaction(row.transaction_id, row.sequence, row.raw)
    if row.block is None:
        return Placed(row.key, row.fingerprint, signed)
    reason = None if row.code is None else Reason(row.code, row.expected, row.found, "ledger")
    return Placed(row.key, row.fingerprint, signed, Outcome(row.block, reason))


def _head(connection: Connection) -> Head | None:
    row = connection.execute(select(_HEAD)).one_or_none()
    return None if row is None else Head(row.number, row.block_id)


def _add(connection: Connection, account: Account, token: Account, units: int) -> None:
    here = (_BALANCES.c.account == account) & (_BALANCES.c.token == token)
    known = connection.scalar(select(_BALANCES.c.units).where(here))
    if known is None:
        row = {"account": account, "token": token, "units": str(units)}
        connection.execute(insert(_BALANCES).values(**row))
    else:
        total = str(int(known) + units)
        connection.execute(update(_BALANCES).where(here).values(units=total))


def _replace_corridor(connection: Connection, corridor: Corridor) -> None:
    here = (_CORRIDORS.c.token_in == corridor.token_in) & (
        _CORRIDORS.c.token_out == corridor.token_out
    )
    values = {
        "numerator": str(corridor.rate.numerator),
        "denominator": str(corridor.rate.denominator),
        "version": str(corridor.version),
        "ends_at": str(corridor.ends_at),
    }
    changed = connection.execute(update(_CORRIDORS).where(here).values(**values))
    if changed.rowcount == 0:
        pair = {"token_in": corridor.token_in, "token_out": corridor.token_out}
        connection.execute(insert(_CORRIDORS).values(**pair, **values))


def _brand_columns(brand: Brand) -> dict[str, str]:
    return {
        "token": brand.token,
        "brand": brand.brand,
        "name": brand.name,
        "symbol": brand.symbol,
        "issuer": brand.issuer,
        "price": str(brand.price),
    }


def _movement_columns(movement: Movement) -> dict[str, object]:
    other = movement.other_units
    return {
        "block": movement.block,
        "place": movement.index,
        "at": movement.at,
        "transaction_id": movement.transaction_id,
        "token": movement.token,
        "account": movement.account,
        "units": str(movement.units),
        "kind": movement.kind,
        "reference": movement.reference,
        "other_token": movement.other_token,
        "other_units": None if other is None else str(other),
    }


def _movement(row: Row[Any]) -> Movement:
    return Movement(
        block=row.block,
        index=row.place,
        at=row.at,
        transaction_id=row.transaction_id,
        token=Account(row.token),
        account=Account(row.account),
        units=int(row.units),
        kind=row.kind,
        reference=row.reference,
        other_token=None if row.other_token is None else Account(row.other_token),
        other_units=None if row.other_units is None else int(row.other_units),
    )
