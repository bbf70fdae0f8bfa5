"""What the product's rows promise of points, by the rows' names."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty.chain import EmbeddedChainLedger, embedded_ledger
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_service.sql import Database

from tests.loyalty.programme import AUDIO, BICYCLE, Clock, programme_on, seeded


def test_row_A12_a_forked_chain_is_refused_by_name_and_no_points_are_lost(  # noqa: N802
    tmp_path: Path,
) -> None:
    """A backup of the chain's file goes on by itself, beside the chain; then it takes its place."""
    clock, chain, fork = Clock(), tmp_path / "chain.sqlite3", tmp_path / "fork.sqlite3"
    where = tmp_path / "points.sqlite3"
    database = Database.open(where, METADATA, version=SCHEMA_VERSION)
    store = SqlStore(database)

    def opened(path: Path) -> EmbeddedChainLedger:
        return embedded_ledger(path, now=clock.now, random=seeded("chain"))

    def award(relayer: Relayer, order: str) -> None:
        relayer.accept(programme.award(order=order))
        clock.advance(1)
        assert relayer.turn(clock.now)

    with closing(opened(chain)) as ledger:
        programme = programme_on(ledger, clock)
        relayer = Relayer(ledger, store)
        relayer.start()
        for brand in (AUDIO, BICYCLE):
            relayer.accept(programme.registration(brand))
        clock.advance(1)
        assert relayer.turn(clock.now)
        programme.tokens |= {brand.brand: brand.token for brand in store.brands()}
        award(relayer, "1001")
    shutil.copyfile(chain, fork)
    with closing(opened(chain)) as ledger:
        relayer = Relayer(ledger, store)
        relayer.start()
        award(relayer, "1002")
        head = ledger.head()
    account, token = programme.customer.of(AUDIO).account, programme.tokens[AUDIO]
    with closing(opened(fork)) as programme.ledger:
        assert programme.perform(programme.award(5_000, order="another")).reason is None
        assert programme.ledger.head() == head

        with pytest.raises(Misuse, match=f"hold block {head}, .*found another block there"):
            Relayer(programme.ledger, store).start()

    assert store.balances(account) == {token: 2_000}
    with closing(opened(chain)) as ledger:
        relayer = Relayer(ledger, store)
        relayer.start()
        award(relayer, "1003")
        assert ledger.balance(token, account) == 3_000
    assert store.balances(account) == {token: 3_000}
    database.close()
