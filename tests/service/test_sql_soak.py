"""The database under many kills: what was reported stays, whatever the moment."""

import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from counterfoil_service.sql import open_database, reading
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
