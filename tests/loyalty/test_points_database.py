"""The points' database, SQLite or PostgreSQL: from an earlier schema, and under a real service."""

import io
import json
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty.cli import main
from counterfoil_loyalty.indexer import Indexer
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore, open_store
from counterfoil_service.sql import Database
from sqlalchemy import text

from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, programme_on, seeded
from tests.loyalty.released import SINCE_SCHEMA_2
from tests.loyalty.test_points_commands import agree, serving
from tests.loyalty.test_reorg import Unsettled, award, everything, opened, replayed


def aged(where: Path | str, version: int) -> None:
    """Leave the schema as `version` had it."""
    with (
        closing(Database.open(where, METADATA, version=SCHEMA_VERSION)) as database,
        database.transaction() as connection,
    ):
        for name in SINCE_SCHEMA_2 if version == 2 else ():
            connection.change(text(f"DROP TABLE IF EXISTS {name}"))
        connection.change(text("UPDATE schema_version SET version = :version"), version=version)


@pytest.mark.once
@pytest.mark.parametrize("version", [2, 3])
def test_an_earlier_schema_is_renewed_with_its_outbox_on_every_database(
    where: Path | str, clock: Clock, version: int
) -> None:
    ledger = Unsettled(now=NOW, random=seeded("renewed"))
    programme = programme_on(ledger, clock)
    with closing(open_store(where)) as database:
        key = award(opened(programme, SqlStore(database)), programme)
    aged(where, version)

    with closing(open_store(where)) as database:
        store = SqlStore(database)
        assert store.head() is None
        kept = store.placed(key)
        assert kept is not None
        assert kept.outcome is not None
        Indexer(programme.ledger, store).catch_up()
        assert everything(store, programme) == replayed(ledger, programme)
        # It goes on: what was placed before is not placed again, and numbers go on.
        relayer = Relayer(programme.ledger, store)
        relayer.start()
        award(relayer, programme)
        assert store.supplies()[programme.tokens[AUDIO]] == 800


@pytest.mark.once
def test_a_later_schema_is_refused_and_left_as_it_is(where: Path | str, clock: Clock) -> None:
    programme = programme_on(Unsettled(now=NOW, random=seeded("later")), clock)
    with closing(open_store(where)) as database:
        opened(programme, SqlStore(database))
        before = everything(SqlStore(database), programme)
    aged(where, SCHEMA_VERSION + 1)

    with pytest.raises(Misuse, match=f"found {SCHEMA_VERSION + 1}"):
        open_store(where)

    with closing(Database.open(where, METADATA, version=SCHEMA_VERSION + 1)) as database:
        assert everything(SqlStore(database), programme) == before


@pytest.mark.loopback
@pytest.mark.once
def test_a_service_on_postgresql_goes_on_after_a_kill_and_from_an_earlier_schema(
    tmp_path: Path, postgres_url: str
) -> None:
    folder, secret, refs = tmp_path / "points", tmp_path / "customer.secret", tmp_path / "refs"
    database = ("--database", postgres_url)
    for brand, price in ((AUDIO, 100), (BICYCLE, 50)):
        key = tmp_path / f"{brand.split('//')[1]}.key"
        told("key", key)
        named = ("--brand", brand, "--name", "Points", "--symbol", "PTS", "--price", price)
        told("deploy", folder, *named, "--key", key, *database)
    told("key", refs)
    account = told("key", secret, "--with", AUDIO)["account"]
    signed = ("--key", tmp_path / "audio.example.key", "--ref-secret", refs)
    earned = (AUDIO, "10.00", "--account", account, "--order", "1001", *signed)
    swap = (AUDIO, "2", BICYCLE, "--secret", secret, "--id", "ab" * 32)

    # `serving` ends with SIGKILL: nothing is told that the end has come.
    with serving(folder, *database) as url:
        agree(url, tmp_path)
        first = told("award", url, *earned)
        swapped = told("exchange", url, *swap)
    aged(postgres_url, 3)
    with serving(folder, *database) as url:
        assert told("award", url, *earned) == first
        assert told("exchange", url, *swap) == swapped
        held = told("balance", url, "--secret", secret)["balances"]
        assert told("audit", url)["exchanges"] == 1

    assert held == [{"brand": AUDIO, "amount": "8.00"}, {"brand": BICYCLE, "amount": "3.00"}]
    assert not (folder / "points.sqlite3").exists()


def told(*words: object) -> dict[str, Any]:
    """Give what a command of a customer, a brand or an operator says, in this process."""
    with redirect_stdout(io.StringIO()) as said:
        assert main([*map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(said.getvalue())
    return found
