"""A8 on points: whoever steals the points service and the chain joins no customer across brands.

Until she exchanges: `Swapped` names her accounts with both brands, as loyalty/README.md says.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rlp  # type: ignore[import-untyped] # pyright: ignore[reportMissingTypeStubs]  # no types
from counterfoil_loyalty.accounts import Account, PointsAccounts
from counterfoil_loyalty.chain import EmbeddedChainLedger
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.points_folder import CHAIN, DATABASE
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_service.sql import Database

from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, Programme, programme_on, seeded
from tests.walks.test_consent_rows import read_out, rows_of

pytestmark = pytest.mark.once

MIRA, JUN = PointsAccounts(b"mira of a8" * 4), PointsAccounts(b"jun of a8 " * 4)
RLP: Any = rlp
LEAST_BYTES = 8  # What is shorter joins too many to join anybody.


class Houses:
    """The folder of a points service, with two brands on its chain."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain = EmbeddedChain(folder / CHAIN, now=NOW, random=seeded("stolen"))
        self.clock = Clock()
        self.ledger = EmbeddedChainLedger(self.chain)
        self.programme: Programme = programme_on(self.ledger, self.clock).open()
        self.database = Database.open(folder / DATABASE, METADATA, version=SCHEMA_VERSION)
        self.relayer = Relayer(self.ledger, SqlStore(self.database))
        self.relayer.start()
        self.orders = 1_000

    def award(self, brand: str, to: Account, units: int) -> None:
        self.orders += 1
        action = self.programme.award(units, str(self.orders), brand=brand, to=to)
        self.relayer.accept(action)
        self.turn()

    def turn(self) -> None:
        for _ in range(2):
            self.clock.now = max(self.clock.now, self.chain.time()) + 1
            self.relayer.turn(self.clock.now)

    def stolen(self) -> list[set[str]]:
        """Give the rows of every table of both databases, each as what can be read in it."""
        self.database.close()
        self.chain.close()
        return [row for name in (CHAIN, DATABASE) for row in rows(self.folder / name)]


def rows(file: Path) -> Iterator[set[str]]:
    with closing(sqlite3.connect(file)) as connection:
        tables = [*connection.execute("select name from sqlite_master where type='table'")]
    for (table,) in tables:
        for row in rows_of(file, str(table)):
            yield {leaf for cell in row for value in read_out(cell) for leaf in leaves(value)}


def leaves(value: str) -> Iterator[str]:
    """Give a value, and what is in it where it is hexadecimal: RLP and words of a call."""
    text = value.lower().removeprefix("0x")
    yield text
    if len(text) > 64 and len(text) % 2 == 0:
        try:
            data = bytes.fromhex(text)
        except ValueError:
            return
        yield from parts(data)


def parts(data: bytes) -> Iterator[str]:
    for begin in (0, 1):  # A typed transaction, and its receipt, have a byte before the list.
        try:
            decoded: Any = RLP.decode(data[begin:])
        except rlp.DecodingError:
            continue
        if isinstance(decoded, list):
            yield from of_list(decoded)
            return
    if len(data) % 32 in (0, 4):  # Words, or a call of them.
        for at in range(len(data) % 32, len(data), 32):
            word = data[at : at + 32].strip(b"\0")
            if len(word) >= LEAST_BYTES:
                yield word.hex()


def of_list(items: Any) -> Iterator[str]:  # noqa: ANN401  # as rlp gives it
    for item in items:
        if isinstance(item, list):
            yield from of_list(item)
        elif isinstance(item, bytes) and len(item) >= LEAST_BYTES:
            yield item.strip(b"\0").hex()
            if len(item) > 32:
                yield from parts(item)


Held = tuple[Account, Account]
"""An account, and the points that it holds."""


def bare(account: Account) -> str:
    return account.lower().removeprefix("0x")


def about(stolen: list[set[str]], held: Held) -> set[str]:
    """Give everything that stands in one row with an account and its points."""
    names = {bare(account) for account in held}
    found = [row for row in stolen if names <= row]
    assert len(found) >= 3  # The transaction, its receipt, the projection.
    return {value for row in found for value in row if len(value) >= 2 * LEAST_BYTES}


def joined(stolen: list[set[str]], one: Held, other: Held, others: list[Held]) -> set[str]:
    """Give what stands with both, and with none of another customer's."""
    everybody = {value for held in others for value in about(stolen, held)}
    return about(stolen, one) & about(stolen, other) - everybody


@pytest.fixture
def houses(tmp_path: Path) -> Houses:
    it = Houses(tmp_path)
    for number, brand in enumerate((AUDIO, BICYCLE)):
        it.award(brand, MIRA.of(brand).account, 1_111 + number)
        it.award(brand, JUN.of(brand).account, 2_222 + number)
    return it


def held(houses: Houses, customer: PointsAccounts) -> list[Held]:
    tokens = houses.programme.tokens
    return [(customer.of(brand).account, tokens[brand]) for brand in (AUDIO, BICYCLE)]


def test_row_A8_whoever_steals_points_and_chain_cannot_join_a_customer_across_brands(  # noqa: N802
    houses: Houses,
) -> None:
    one, other = held(houses, MIRA)

    assert joined(houses.stolen(), one, other, held(houses, JUN)) == set()


def test_row_A8_one_account_for_two_brands_would_be_found(houses: Houses) -> None:  # noqa: N802
    one, (_, bicycle) = held(houses, MIRA)
    account, _ = one
    houses.award(BICYCLE, account, 3_333)

    found = joined(houses.stolen(), one, (account, bicycle), held(houses, JUN))
    assert found == {bare(account)}


def test_row_A8_an_exchange_joins_the_accounts_as_the_readme_says(houses: Houses) -> None:  # noqa: N802
    one, other = held(houses, MIRA)
    houses.programme.customer = MIRA
    houses.relayer.accept(houses.programme.swap(200))
    houses.turn()

    found = joined(houses.stolen(), one, other, held(houses, JUN))
    assert {bare(one[0]), bare(other[0])} <= found
