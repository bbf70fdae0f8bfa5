"""The database under many kills: what was reported stays, whatever the moment."""

import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from counterfoil_service.sql import Database, open_database, reading
from sqlalchemy import Column, Integer, MetaData, Table, func, select

METADATA = MetaData()
TAKEN = Table("taken", METADATA, Column("id", Integer, primary_key=True))
WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select
    from counterfoil_service.sql import open_database, transaction

    metadata = MetaData()
    taken = Table("taken", metadata, Column("id", Integer, primary_key=True))
    engine = open_database(Path(sys.argv[1]), metadata)
    while True:
        with transaction(engine) as connection:
            last = connection.scalar(select(func.max(taken.c.id))) or 0
            connection.execute(insert(taken).values(id=last + 1))
        print(last + 1, flush=True)
    """
)

GROUP_WRITER = textwrap.dedent(
    """
    import asyncio, itertools, sys
    from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select
    from counterfoil_service.sql import Database
    from counterfoil_service.statements import Statement

    metadata = MetaData()
    taken = Table("taken", metadata, Column("id", Integer, primary_key=True))
    last = Statement(select(func.coalesce(func.max(taken.c.id), 0)))
    add = Statement(insert(taken))
    database = Database.open(sys.argv[1], metadata)

    def take(connection):
        number = connection.value(last) + 1
        connection.change(add, id=number)
        return number

    async def go_on():
        while True:
            print(await database.write(take), flush=True)

    async def main():
        await asyncio.gather(*(go_on() for _ in range(20)))

    asyncio.run(main())
    """
)


@pytest.mark.soak
def test_keeps_every_reported_write_through_many_kills(
    tmp_path: Path, soak_count: Callable[[int], int]
) -> None:
    path = tmp_path / "taken.sqlite3"
    moments = random.Random(20261102)

    for _ in range(soak_count(100)):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(moments.uniform(0, 0.05))
            writer.kill()
            reported = [first, *writer.stdout.readlines()]

        last = max(int(line) for line in reported if line.endswith("\n"))
        engine = open_database(path, METADATA)
        with reading(engine) as connection:
            highest = connection.scalars(select(func.max(TAKEN.c.id))).one()
            count = connection.scalars(select(func.count()).select_from(TAKEN)).one()
        engine.dispose()
        # The last write may have reached the disk without being reported; none may be missing.
        assert highest in {last, last + 1}
        assert count == highest


@pytest.mark.soak
def test_keeps_every_reported_write_of_a_group_through_many_kills(
    where: Path | str, soak_count: Callable[[int], int]
) -> None:
    moments = random.Random(20261122)
    reported: set[int] = set()

    for kill in range(1, soak_count(100) + 1):
        with subprocess.Popen(
            [sys.executable, "-c", GROUP_WRITER, str(where)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(moments.uniform(0, 0.05))
            writer.kill()
            lines = [first, *writer.stdout.readlines()]

        numbers = [int(line) for line in lines if line.endswith("\n")]
        assert reported.isdisjoint(numbers)
        assert len(set(numbers)) == len(numbers)
        reported.update(numbers)
        database = Database.open(where, METADATA)
        with database.reading() as connection:
            kept = {row.id for row in connection.rows(select(TAKEN.c.id))}
        database.close()
        # Nothing is missing and no number is left out. What reached the disk without being
        # reported had been asked for: one at most for each of the twenty, each time.
        assert kept == set(range(1, len(kept) + 1))
        assert reported <= kept
        assert len(kept - reported) <= 20 * kill
