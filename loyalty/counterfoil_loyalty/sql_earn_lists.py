"""`EarnLists` (earn_lists.py) in SQL, beside the outbox: one row a brand, its list as JSON."""

from typing import Final

from counterfoil_credentials.encoding import JsonObject, canonical_json, int_at, parse_object
from counterfoil_service.sql import Database
from counterfoil_service.statements import Statement
from sqlalchemy import BigInteger, Column, String, Table, Text, bindparam, delete, insert, select

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.earn_lists import EarnList, EarnLists
from counterfoil_loyalty.sql_outbox import METADATA

_LISTS: Final = Table(
    "earn_lists",
    METADATA,
    Column("token", String, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("totals", Text, nullable=False),
)
_LATEST: Final = Statement(select(_LISTS).where(_LISTS.c.token == bindparam("whose")))
_FORGET: Final = Statement(delete(_LISTS).where(_LISTS.c.token == bindparam("whose")))
_KEEP: Final = Statement(insert(_LISTS))


class SqlEarnLists(EarnLists):
    """Lists in one database, SQLite or PostgreSQL; see `counterfoil_service.sql`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, token: Account, listed: EarnList) -> None:
        units: JsonObject = {str(account): it for account, it in listed.totals.items()}
        totals = canonical_json(units).decode()
        with self._database.transaction() as connection:
            known = connection.row(_LATEST, whose=token)
            if known is not None and known.epoch >= listed.epoch:
                return
            connection.change(_FORGET, whose=token)
            connection.change(_KEEP, token=token, epoch=listed.epoch, totals=totals)

    def latest(self, token: Account) -> EarnList | None:
        with self._database.reading() as connection:
            row = connection.row(_LATEST, whose=token)
        if row is None:
            return None
        totals = parse_object(row.totals.encode(), "earn_lists.totals")
        where = "earn_lists.totals"
        units = {Account(account): int_at(totals, account, where) for account in totals}
        return EarnList(epoch=row.epoch, totals=units)
