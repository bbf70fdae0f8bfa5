"""A `RulesBook` (rules_book.py) in SQL, beside the outbox: what it counts is on disk.

Amounts are texts: a contract counts to 2**256, an SQL integer to 2**63. There is one writer
at a time, so what a check read is still true when its award is counted.
"""

from typing import Any, Final

from counterfoil_credentials.encoding import canonical_json, parse_object
from counterfoil_service.sql import Database
from counterfoil_service.statements import Statement
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
)

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.rules_book import (
    Check,
    Published,
    RulesBook,
    Spent,
    require_next_version,
    require_same_award,
)
from counterfoil_loyalty.rules_bounds import Counted
from counterfoil_loyalty.sql_outbox import METADATA

_RULES: Final = Table(
    "programme_rules",
    METADATA,
    Column("token", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("rules", String, nullable=False),
    Column("key", String, nullable=False),
    Column("signature", String, nullable=False),
)
_COUNTED: Final = Table(
    "counted_awards",
    METADATA,
    Column("token", String, primary_key=True),
    Column("ref", String, primary_key=True),
    Column("account", String, nullable=False),
    Column("units", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("counted_awards_of_account", "token", "account"),
)
_SPENT: Final = Table(
    "redemption_uses",
    METADATA,
    Column("reference", String, primary_key=True),
    Column("token", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("redemption_id", String, nullable=False),
    Column("use", String, nullable=False),
)

_of_token: Final = _RULES.c.token == bindparam("whose")
_LATEST: Final = Statement(
    select(_RULES).where(_of_token).order_by(_RULES.c.version.desc()).limit(1)
)
_VERSION: Final = Statement(
    select(_RULES).where(_of_token & (_RULES.c.version == bindparam("number")))
)
_PUBLISH: Final = Statement(insert(_RULES))
_this_ref: Final = (_COUNTED.c.token == bindparam("whose")) & (_COUNTED.c.ref == bindparam("this"))
_OF_REF: Final = Statement(select(_COUNTED).where(_this_ref))
_OF_ACCOUNT: Final = Statement(
    select(_COUNTED).where(
        (_COUNTED.c.token == bindparam("whose")) & (_COUNTED.c.account == bindparam("holder"))
    )
)
_COUNT: Final = Statement(insert(_COUNTED))
_UNCOUNT: Final = Statement(delete(_COUNTED).where(_this_ref))
_NOTED: Final = Statement(select(_SPENT).where(_SPENT.c.reference == bindparam("this")))
_FORGET: Final = Statement(delete(_SPENT).where(_SPENT.c.reference == bindparam("this")))
_NOTE: Final = Statement(insert(_SPENT))


class SqlRulesBook(RulesBook):
    """A `RulesBook` in one database, SQLite or PostgreSQL; see `counterfoil_service.sql`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, token: Account, published: Published) -> None:
        with self._database.transaction() as connection:
            same = connection.row(_VERSION, whose=token, number=published.version)
            latest = connection.row(_LATEST, whose=token)
            if require_next_version(_published(same), _published(latest), published):
                connection.change(
                    _PUBLISH,
                    token=token,
                    version=published.version,
                    rules=published.rules,
                    key=canonical_json(published.key).decode(),
                    signature=published.signature.hex(),
                )

    def latest(self, token: Account) -> Published | None:
        with self._database.reading() as connection:
            return _published(connection.row(_LATEST, whose=token))

    def version(self, token: Account, version: int) -> Published | None:
        with self._database.reading() as connection:
            return _published(connection.row(_VERSION, whose=token, number=version))

    def count(
        self, token: Account, account: Account, ref: str, counted: Counted, check: Check
    ) -> None:
        with self._database.transaction() as connection:
            known = connection.row(_OF_REF, whose=token, this=ref)
            if known is not None:
                before = (Account(known.account), int(known.units))
                require_same_award(before, (account, counted.units))
                return
            rows = connection.rows(_OF_ACCOUNT, whose=token, holder=account)
            check({row.ref: Counted(int(row.units), row.at) for row in rows})
            connection.change(
                _COUNT,
                token=token,
                ref=ref,
                account=account,
                units=str(counted.units),
                at=counted.at,
            )

    def uncount(self, token: Account, ref: str) -> None:
        with self._database.transaction() as connection:
            connection.change(_UNCOUNT, whose=token, this=ref)

    def note(self, spent: Spent) -> None:
        with self._database.transaction() as connection:
            connection.change(_FORGET, this=spent.reference)
            connection.change(
                _NOTE,
                reference=spent.reference,
                token=spent.token,
                holder=spent.holder,
                redemption_id=spent.redemption_id,
                use=spent.use,
            )

    def noted(self, reference: str) -> Spent | None:
        with self._database.reading() as connection:
            row = connection.row(_NOTED, this=reference)
        if row is None:
            return None
        return Spent(
            reference=row.reference,
            token=Account(row.token),
            holder=Account(row.holder),
            redemption_id=row.redemption_id,
            use=row.use,
        )


def _published(row: Any) -> Published | None:  # noqa: ANN401  # a row has the columns' names
    if row is None:
        return None
    return Published(
        version=row.version,
        rules=row.rules,
        key=parse_object(row.key.encode(), "programme_rules.key"),
        signature=bytes.fromhex(row.signature),
    )
