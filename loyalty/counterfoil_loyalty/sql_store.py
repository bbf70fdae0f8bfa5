"""The points service's store in SQL: see store.py for what each method promises.

Amounts are texts: a contract counts to 2**256, an SQL integer to 2**63. What
came with a block carries its number, and goes when the block goes.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection, Statement, Value
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    delete,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy import (
    Connection as EngineConnection,
)

from counterfoil_loyalty import sql_outbox
from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.ledger import Event, LedgerIdentity, Outcome, SignedTransaction
from counterfoil_loyalty.pending_awards import (
    MOST_LISTED,
    PendingAward,
    PendingChange,
    state_of,
)
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.store import (
    Brand,
    Corridor,
    Head,
    Movement,
    Order,
    Placed,
    PointsStore,
    Projected,
    is_taken_in,
    newest,
    newest_final,
    require_next,
    require_not_final,
    require_same_ledger,
    sums,
    whole_blocks,
)

SCHEMA_VERSION: Final = 4

_IDENTITY = Table(
    "ledger_identity",
    METADATA,
    Column("chain_id", String, nullable=False),
    Column("genesis", String, nullable=False),
    Column("exchange", String, nullable=False),
)
# From the newest final block to the head.
_BLOCKS = Table(
    "blocks",
    METADATA,
    Column("block", Integer, primary_key=True),
    Column("block_id", String, nullable=False),
)
_FINAL = Table("final_block", METADATA, Column("number", Integer, nullable=False))
_BRANDS = Table(
    "brands",
    METADATA,
    Column("token", String, primary_key=True),
    Column("block", Integer, nullable=False),
    Column("brand", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("symbol", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("price", String, nullable=False),
)
# Every version, so that the one before is there when its block goes.
_CORRIDORS = Table(
    "corridors",
    METADATA,
    Column("token_in", String, primary_key=True),
    Column("token_out", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("block", Integer, nullable=False),
    Column("numerator", String, nullable=False),
    Column("denominator", String, nullable=False),
    Column("ends_at", String, nullable=False),
)
# Every price since the first, which stands with the brand.
_PRICES = Table(
    "prices",
    METADATA,
    Column("block", Integer, primary_key=True),
    # Two changes of one token in one block: the later one counts.
    Column("place", Integer, primary_key=True),
    Column("token", String, nullable=False),
    Column("price", String, nullable=False),
)
# Few, and read as a whole: see standing.py.
_STANDING = Table(
    "standing",
    METADATA,
    Column("block", Integer, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("transaction_id", String, nullable=False),
    Column("contract", String, nullable=False),
    Column("name", String, nullable=False),
    Column("body", String, nullable=False),
)
# An award that waits; without an account: that it was cancelled.
_PENDING = Table(
    "pending_awards",
    METADATA,
    Column("block", Integer, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("token", String, nullable=False),
    Column("ref", String, nullable=False, index=True),
    Column("account", String),
    Column("units", String),
    Column("at", BigInteger),
    Column("available_at", BigInteger),
    Index("pending_of_account", "account", "block"),
)
_MOVEMENTS = Table(
    "movements",
    METADATA,
    Column("block", Integer, primary_key=True),
    # Not "index": a row has a method of that name.
    Column("place", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
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
# Both sides of one transfer stand at neighbouring places: see `project`.
_OTHER_SIDE = _MOVEMENTS.alias("other_side")
_MOVED: Final = select(_MOVEMENTS, _OTHER_SIDE.c.account.label("other_account")).outerjoin(
    _OTHER_SIDE,
    (_OTHER_SIDE.c.block == _MOVEMENTS.c.block)
    & (_OTHER_SIDE.c.place == _MOVEMENTS.c.place + 1 - 2 * (_MOVEMENTS.c.place % 2)),
)
_BALANCES = Table(
    "balances",
    METADATA,
    # The supply of a token stands under the account of nobody.
    Column("account", String, primary_key=True),
    Column("token", String, primary_key=True),
    Column("units", String, nullable=False),
)


# What a block brings, and what goes with it.
_OF_BLOCKS: Final = (_BLOCKS, _BRANDS, _CORRIDORS, _PRICES, _PENDING, _STANDING, _MOVEMENTS)

_KNOWN: Final = Statement(select(_IDENTITY))
_BIND: Final = Statement(insert(_IDENTITY))
_HEAD: Final = Statement(select(_BLOCKS).order_by(_BLOCKS.c.block.desc()).limit(1))
_AT: Final = Statement(select(_BLOCKS.c.block_id).where(_BLOCKS.c.block == bindparam("number")))
_ADD_BLOCK: Final = Statement(insert(_BLOCKS))
_ADD_PRICE: Final = Statement(insert(_PRICES))
_DROP_BLOCKS: Final = Statement(delete(_BLOCKS).where(_BLOCKS.c.block < bindparam("number")))
_FINAL_NOW: Final = Statement(select(_FINAL.c.number))
_BEGIN_FINAL: Final = Statement(insert(_FINAL))
_SET_FINAL: Final = Statement(update(_FINAL).values(number=bindparam("to")))
_ADD_BRAND: Final = Statement(insert(_BRANDS))
_ADD_CORRIDOR: Final = Statement(insert(_CORRIDORS))
_ADD_STANDING: Final = Statement(insert(_STANDING))
_ADD_PENDING: Final = Statement(insert(_PENDING))
_ADD_MOVEMENT: Final = Statement(insert(_MOVEMENTS))
_HELD: Final = Statement(
    select(_BALANCES.c.units).where(
        (_BALANCES.c.account == bindparam("whose")) & (_BALANCES.c.token == bindparam("what"))
    )
)
_HOLD: Final = Statement(insert(_BALANCES))
_CHANGE: Final = Statement(
    update(_BALANCES)
    .where((_BALANCES.c.account == bindparam("whose")) & (_BALANCES.c.token == bindparam("what")))
    .values(units=bindparam("total"))
)
_ABOVE: Final = Statement(_MOVED.where(_MOVEMENTS.c.block > bindparam("number")))
_UNDO: Final = tuple(
    Statement(delete(table).where(table.c.block > bindparam("number"))) for table in _OF_BLOCKS
)

_RELEASED: Final = range(2, SCHEMA_VERSION)
_PROJECTED: Final = (
    "blocks",
    "final_block",
    "brands",
    "corridors",
    "prices",
    "movements",
    "balances",
    "standing",
    "pending_awards",
)
"""What came with blocks, in any schema."""


class SqlStore(PointsStore):
    """A `PointsStore` in one database, SQLite or PostgreSQL; see `counterfoil_service.sql`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bind(self, identity: LedgerIdentity) -> None:
        with self._database.transaction() as connection:
            row = connection.row(_KNOWN)
            if row is None:
                connection.change(
                    _BIND,
                    chain_id=str(identity.chain_id),
                    genesis=identity.genesis,
                    exchange=identity.exchange,
                )
            else:
                known = LedgerIdentity(int(row.chain_id), row.genesis, Account(row.exchange))
                require_same_ledger(known, identity)

    def place(self, orders: Sequence[Order], *, relayer: Account, floor: int) -> Sequence[Placed]:
        with self._database.transaction() as connection:
            return [sql_outbox.place(connection, order, relayer, floor) for order in orders]

    def placed(self, key: str) -> Placed | None:
        with self._database.reading() as connection:
            return sql_outbox.placed(connection, key)

    def waiting(self, relayer: Account) -> Sequence[Placed]:
        with self._database.reading() as connection:
            return sql_outbox.waiting(connection, relayer)

    def attempt(self, key: str, transaction: SignedTransaction) -> None:
        with self._database.transaction() as connection:
            sql_outbox.attempt(connection, key, transaction)

    def renumber(
        self, key: str, sign: Callable[[int], SignedTransaction], *, relayer: Account, floor: int
    ) -> None:
        with self._database.transaction() as connection:
            known = sql_outbox.placed(connection, key)
            if known is not None:
                order = Order(key, known.fingerprint, sign)
                sql_outbox.renumber(connection, order, relayer, floor)

    def close(self, outcomes: Mapping[str, tuple[SignedTransaction, Outcome]]) -> None:
        with self._database.transaction() as connection:
            head, final = _head(connection), _final(connection)
            for key, (transaction, outcome) in outcomes.items():
                known = connection.value(_AT, number=outcome.block)
                if is_taken_in(outcome, head, final, known):
                    sql_outbox.close(connection, key, transaction, outcome)

    def head(self) -> Head | None:
        with self._database.reading() as connection:
            return _head(connection)

    def final(self) -> int:
        with self._database.reading() as connection:
            return _final(connection)

    def block_id(self, number: int) -> str | None:
        with self._database.reading() as connection:
            known: str | None = connection.value(_AT, number=number)
            return known

    def record(self, *blocks: Projected, final: int | None = None) -> None:
        with self._database.transaction() as connection:
            for block in blocks:
                require_next(_head(connection), block)
                _record(connection, block)
            _move_final(connection, newest_final(blocks, final))

    def roll_back(self, number: int) -> None:
        with self._database.transaction() as connection:
            require_not_final(number, _final(connection))
            gone = [_movement(row, -1) for row in connection.rows(_ABOVE, number=number)]
            _add_up(connection, gone, -1)
            for statement in _UNDO:
                connection.change(statement, number=number)
            sql_outbox.reopen(connection, number)

    def brands(self) -> Sequence[Brand]:
        ordered = select(_PRICES).order_by(_PRICES.c.block, _PRICES.c.place)
        with self._database.reading() as connection:
            prices = {row.token: row.price for row in connection.rows(ordered)}
            return [
                Brand(
                    row.brand,
                    row.name,
                    row.symbol,
                    Account(row.token),
                    Account(row.issuer),
                    int(prices.get(row.token, row.price)),
                )
                for row in connection.rows(select(_BRANDS).order_by(_BRANDS.c.brand))
            ]

    def corridors(self) -> Sequence[Corridor]:
        with self._database.reading() as connection:
            return newest(
                Corridor(
                    Account(row.token_in),
                    Account(row.token_out),
                    Rate(int(row.numerator), int(row.denominator)),
                    int(row.version),
                    int(row.ends_at),
                )
                for row in connection.rows(select(_CORRIDORS))
            )

    def standing(self) -> Sequence[Event]:
        ordered = select(_STANDING).order_by(_STANDING.c.block, _STANDING.c.place)
        with self._database.reading() as connection:
            return [
                Event(
                    row.transaction_id,
                    row.place,
                    Account(row.contract),
                    row.name,
                    json.loads(row.body),
                )
                for row in connection.rows(ordered)
            ]

    def balances(self, account: Account) -> Mapping[Account, int]:
        rows = select(_BALANCES).where(_BALANCES.c.account == account)
        with self._database.reading() as connection:
            return {Account(row.token): int(row.units) for row in connection.rows(rows)}

    def supplies(self) -> Mapping[Account, int]:
        return self.balances(NOBODY)

    def grown_since(self, since: int) -> Mapping[Account, int]:
        # Newest first, by the key: no more rows are read than there are after `since`.
        older = select(_MOVEMENTS.c.block).where(_MOVEMENTS.c.at <= since)
        last = older.order_by(_MOVEMENTS.c.block.desc()).limit(1)
        grown: dict[Account, int] = {}
        with self._database.reading() as connection:
            known = [int(row.block) for row in connection.rows(last)]
            rows = select(_MOVEMENTS.c.token, _MOVEMENTS.c.units).where(
                _MOVEMENTS.c.block > (known[0] if known else -1)
            )
            for row in connection.rows(rows):
                token = Account(row.token)
                grown[token] = grown.get(token, 0) + int(row.units)
        return grown

    def history(self, account: Account, *, after: int, limit: int) -> Sequence[Movement]:
        mine = (_MOVEMENTS.c.account == account) & (_MOVEMENTS.c.block > after)
        rows = _MOVED.where(mine).order_by(_MOVEMENTS.c.block, _MOVEMENTS.c.place)
        with self._database.reading() as connection:
            final = _final(connection)
            found = [_movement(row, final) for row in connection.rows(rows.limit(limit + 1))]
            if len(found) <= limit:
                return found
            # The last block may go on behind the limit.
            last = found[limit - 1].block
            whole = connection.rows(rows.where(_MOVEMENTS.c.block <= last))
            return whole_blocks([_movement(row, final) for row in whole], limit)

    def pending_awards(self, account: Account) -> Sequence[PendingAward]:
        newest_first = (_PENDING.c.block.desc(), _PENDING.c.place.desc())
        mine = select(_PENDING).where(_PENDING.c.account == account).order_by(*newest_first)
        with self._database.reading() as connection:
            rows = connection.rows(mine.limit(MOST_LISTED))
            refs = [row.ref for row in rows]
            ended = (_PENDING.c.ref.in_(refs)) & (_PENDING.c.account.is_(None))
            moved = (_MOVEMENTS.c.reference.in_(refs)) & (_MOVEMENTS.c.kind == "awarded")
            gone = connection.rows(select(_PENDING).where(ended))
            cancelled = {(it.token, it.ref) for it in gone}
            came = connection.rows(select(_MOVEMENTS).where(moved))
            given = {(it.token, it.reference) for it in came}
        return [
            PendingAward(
                Account(row.token),
                account,
                row.ref,
                int(row.units),
                row.at,
                row.available_at,
                state_of((row.token, row.ref), cancelled=cancelled, given=given),
            )
            for row in rows
        ]

    def movements(self, transaction_id: str) -> Sequence[Movement]:
        return self._moved(_MOVEMENTS.c.transaction_id == transaction_id)

    def moved_for(self, kind: str, reference: str) -> Sequence[Movement]:
        return self._moved((_MOVEMENTS.c.reference == reference) & (_MOVEMENTS.c.kind == kind))

    def _moved(self, which: ColumnElement[bool]) -> Sequence[Movement]:
        rows = _MOVED.where(which).order_by(_MOVEMENTS.c.block, _MOVEMENTS.c.place)
        with self._database.reading() as connection:
            final = _final(connection)
            return [_movement(row, final) for row in connection.rows(rows)]


def open_store(where: Path | str) -> Database:
    """Open the points' database: a SQLite file, or a `postgresql://` URL.

    A store of a released schema is brought to the present one. Its outbox stays: what it
    knows stands nowhere else. What came with blocks goes, and the indexer takes it in
    again from the ledger, from the first block.

    Raises `Misuse` for a schema of a later version, which is left as it is.
    """
    return Database.open(where, METADATA, version=SCHEMA_VERSION, renew=_renew)


def _renew(connection: EngineConnection) -> None:
    names = inspect(connection).get_table_names()
    if "schema_version" not in names:
        return
    found = connection.scalar(text("SELECT version FROM schema_version"))
    if found not in _RELEASED:
        return
    for name in _PROJECTED:
        if name in names:
            connection.execute(text(f"DROP TABLE {name}"))
    now = {"version": SCHEMA_VERSION}
    connection.execute(text("UPDATE schema_version SET version = :version"), now)


def _head(connection: Connection) -> Head | None:
    row = connection.row(_HEAD)
    return None if row is None else Head(row.block, row.block_id)


def _final(connection: Connection) -> int:
    known: int | None = connection.value(_FINAL_NOW)
    return -1 if known is None else known


def _move_final(connection: Connection, number: int) -> None:
    known: int | None = connection.value(_FINAL_NOW)
    if known is None:
        connection.change(_BEGIN_FINAL, number=number)
    elif number > known:
        connection.change(_SET_FINAL, to=number)
        # Blocks that were skipped for having nothing of ours left no row of their own.
        connection.change(_DROP_BLOCKS, number=number)


def _record(connection: Connection, block: Projected) -> None:
    connection.change(_ADD_BLOCK, block=block.head.number, block_id=block.head.block_id)
    for brand in block.brands:
        connection.change(_ADD_BRAND, **_brand_columns(brand), block=block.head.number)
    for corridor in block.corridors:
        connection.change(_ADD_CORRIDOR, **_corridor_columns(corridor), block=block.head.number)
    for place, (token, price) in enumerate(block.prices):
        number = block.head.number
        connection.change(_ADD_PRICE, block=number, place=place, token=token, price=str(price))
    for event in block.standing:
        connection.change(
            _ADD_STANDING,
            block=block.head.number,
            place=event.index,
            transaction_id=event.transaction_id,
            contract=event.contract,
            name=event.name,
            body=json.dumps(dict(event.values)),
        )
    for change in block.pending:
        connection.change(_ADD_PENDING, **_pending_columns(change), block=block.head.number)
    for movement in block.movements:
        connection.change(_ADD_MOVEMENT, **_movement_columns(movement))
    _add_up(connection, block.movements, 1)


def _add_up(connection: Connection, movements: Iterable[Movement], sign: int) -> None:
    """Add what moved to the balances, once for each; the supply is the balance of nobody."""
    moved: dict[tuple[Account, Account], int] = {}
    listed = list(movements)
    for it in listed:
        moved[it.account, it.token] = moved.get((it.account, it.token), 0) + it.units
    for token, units in sums(listed).items():
        moved[NOBODY, token] = units
    for (account, token), units in moved.items():
        _add(connection, account, token, sign * units)


def _add(connection: Connection, account: Account, token: Account, units: int) -> None:
    known = connection.value(_HELD, whose=account, what=token)
    if known is None:
        connection.change(_HOLD, account=account, token=token, units=str(units))
    else:
        connection.change(_CHANGE, whose=account, what=token, total=str(int(known) + units))


def _brand_columns(brand: Brand) -> dict[str, Value]:
    return {
        "token": brand.token,
        "brand": brand.brand,
        "name": brand.name,
        "symbol": brand.symbol,
        "issuer": brand.issuer,
        "price": str(brand.price),
    }


def _corridor_columns(corridor: Corridor) -> dict[str, Value]:
    return {
        "token_in": corridor.token_in,
        "token_out": corridor.token_out,
        "version": str(corridor.version),
        "numerator": str(corridor.rate.numerator),
        "denominator": str(corridor.rate.denominator),
        "ends_at": str(corridor.ends_at),
    }


def _movement_columns(movement: Movement) -> dict[str, Value]:
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


def _pending_columns(change: PendingChange) -> dict[str, Value]:
    award = change.award
    return {
        "place": change.index,
        "token": change.token,
        "ref": change.ref,
        "account": None if award is None else award.account,
        "units": None if award is None else str(award.units),
        "at": None if award is None else award.at,
        "available_at": None if award is None else award.available_at,
    }


def _movement(row: Any, final: int) -> Movement:  # noqa: ANN401  # a row has the columns' names
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
        is_final=row.block <= final,
        other_account=None if row.other_account is None else Account(row.other_account),
    )
