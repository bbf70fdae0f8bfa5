"""The outbox in SQL: each number of each relayer is taken with the transaction that uses it.

`SqlStore` (sql_store.py) gives these functions their connections. Bytes are
hex digits and large numbers texts, so that both databases hold them alike.
"""

from collections.abc import Sequence
from typing import Any, Final

from counterfoil_credentials.errors import Reason
from counterfoil_service.statements import Connection, Statement
from sqlalchemy import (
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.ledger import Outcome, SignedTransaction
from counterfoil_loyalty.store import Order, Placed, require_same_number

METADATA: Final = MetaData()

_OUTBOX = Table(
    "outbox",
    METADATA,
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("relayer", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("block", Integer, index=True),  # null until a block says what became of it
    Column("block_id", String),
    Column("transaction_id", String),  # which of the attempts came into the block
    Column("code", String),
    Column("expected", String),
    Column("found", String),
)
Index("outbox_numbers", _OUTBOX.c.relayer, _OUTBOX.c.sequence, unique=True)
_ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("key", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("transaction_id", String, nullable=False),
    Column("raw", String, nullable=False),
)
# One row for each relayer; a store is bound to one chain (`PointsStore.bind`).
_NUMBERS = Table(
    "relayers",
    METADATA,
    Column("relayer", String, primary_key=True),
    Column("next_sequence", Integer, nullable=False),
)

_FIND: Final = Statement(select(_OUTBOX).where(_OUTBOX.c.key == bindparam("key")))
_TRIED: Final = Statement(
    select(_ATTEMPTS).where(_ATTEMPTS.c.key == bindparam("key")).order_by(_ATTEMPTS.c.number)
)
_WAITING: Final = Statement(
    select(_OUTBOX)
    .where((_OUTBOX.c.relayer == bindparam("relayer")) & _OUTBOX.c.block.is_(None))
    .order_by(_OUTBOX.c.sequence)
)
_ALL_TRIED: Final = Statement(
    select(_ATTEMPTS)
    .join(_OUTBOX, _OUTBOX.c.key == _ATTEMPTS.c.key)
    .where((_OUTBOX.c.relayer == bindparam("relayer")) & _OUTBOX.c.block.is_(None))
    .order_by(_ATTEMPTS.c.number)
)
_ADD: Final = Statement(insert(_OUTBOX), columns=("key", "fingerprint", "relayer", "sequence"))
_TRY: Final = Statement(insert(_ATTEMPTS))
_FORGET: Final = Statement(delete(_ATTEMPTS).where(_ATTEMPTS.c.key == bindparam("key")))
_REMOVE: Final = Statement(delete(_OUTBOX).where(_OUTBOX.c.key == bindparam("key")))
_NEXT: Final = Statement(
    select(_NUMBERS.c.next_sequence).where(_NUMBERS.c.relayer == bindparam("relayer"))
)
_BEGIN: Final = Statement(insert(_NUMBERS))
_ADVANCE: Final = Statement(
    update(_NUMBERS)
    .where(_NUMBERS.c.relayer == bindparam("whose"))
    .values(next_sequence=bindparam("to"))
)
_OUTCOME: Final = ("block", "block_id", "transaction_id", "code", "expected", "found")
_CLOSE: Final = Statement(
    update(_OUTBOX)
    .where(_OUTBOX.c.key == bindparam("called"))
    .values({name: bindparam(f"its_{name}") for name in _OUTCOME})
)
_REOPEN: Final = Statement(
    update(_OUTBOX).where(_OUTBOX.c.block > bindparam("number")).values(dict.fromkeys(_OUTCOME))
)


def placed(connection: Connection, key: str) -> Placed | None:
    """Give the entry under `key`."""
    row = connection.row(_FIND, key=key)
    return None if row is None else _entry(row, connection.rows(_TRIED, key=key))


def place(connection: Connection, order: Order, relayer: Account, floor: int) -> Placed:
    """Give the entry under the order's key, signed now when it is missing or was cancelled."""
    known = placed(connection, order.key)
    if known is not None and not known.was_cancelled:
        return known
    if known is not None:
        _drop(connection, order.key)
    return _put(connection, order, relayer, floor)


def renumber(connection: Connection, order: Order, relayer: Account, floor: int) -> None:
    """Sign an entry without an outcome under the relayer's next number."""
    known = placed(connection, order.key)
    if known is not None and known.outcome is None:
        _drop(connection, order.key)
        _put(connection, order, relayer, floor)


def waiting(connection: Connection, relayer: Account) -> Sequence[Placed]:
    """Give the relayer's entries without an outcome, in their sequence."""
    tried: dict[str, list[Any]] = {}
    for row in connection.rows(_ALL_TRIED, relayer=relayer):
        tried.setdefault(row.key, []).append(row)
    rows = connection.rows(_WAITING, relayer=relayer)
    return [_entry(row, tried[row.key]) for row in rows]


def attempt(connection: Connection, key: str, transaction: SignedTransaction) -> None:
    """Keep another transaction under the entry's number."""
    known = placed(connection, key)
    if known is not None and known.outcome is None:
        require_same_number(known, transaction)
        _try(connection, key, len(known.attempts), transaction)


def close(
    connection: Connection, key: str, transaction: SignedTransaction, outcome: Outcome
) -> None:
    """Record what became of an entry, and which transaction it was."""
    reason = outcome.reason
    connection.change(
        _CLOSE,
        called=key,
        its_block=outcome.block,
        its_block_id=outcome.block_id,
        its_transaction_id=transaction.transaction_id,
        its_code=reason.code if reason else None,
        its_expected=reason.expected if reason else None,
        its_found=reason.found if reason else None,
    )


def reopen(connection: Connection, number: int) -> None:
    """Let every entry wait again that came into a block above `number`."""
    connection.change(_REOPEN, number=number)


def _drop(connection: Connection, key: str) -> None:
    connection.change(_FORGET, key=key)
    connection.change(_REMOVE, key=key)


def _put(connection: Connection, order: Order, relayer: Account, floor: int) -> Placed:
    known = connection.value(_NEXT, relayer=relayer)
    sequence = floor if known is None else max(floor, known)
    if known is None:
        connection.change(_BEGIN, relayer=relayer, next_sequence=sequence + 1)
    else:
        connection.change(_ADVANCE, whose=relayer, to=sequence + 1)
    transaction = order.sign(sequence)
    connection.change(
        _ADD,
        key=order.key,
        fingerprint=order.fingerprint.hex(),
        relayer=relayer,
        sequence=sequence,
    )
    _try(connection, order.key, 0, transaction)
    return Placed(order.key, order.fingerprint, transaction)


def _try(connection: Connection, key: str, number: int, transaction: SignedTransaction) -> None:
    connection.change(
        _TRY,
        key=key,
        number=number,
        transaction_id=transaction.transaction_id,
        raw=transaction.raw.hex(),
    )


def _entry(row: Any, tried: Sequence[Any]) -> Placed:  # noqa: ANN401  # a row has the columns' names
    attempts = [
        SignedTransaction(it.transaction_id, row.sequence, bytes.fromhex(it.raw)) for it in tried
    ]
    fingerprint = bytes.fromhex(row.fingerprint)
    if row.block is None:
        return Placed(row.key, fingerprint, attempts[-1], earlier=tuple(attempts[:-1]))
    mined = next(it for it in attempts if it.transaction_id == row.transaction_id)
    reason = None if row.code is None else Reason(row.code, row.expected, row.found, "ledger")
    outcome = Outcome(row.block, reason, row.block_id)
    rest = tuple(it for it in attempts if it != mined)
    return Placed(row.key, fingerprint, mined, outcome, rest)
