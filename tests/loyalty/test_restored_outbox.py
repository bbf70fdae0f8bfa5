"""Yesterday's copy of the points' database, under a chain that has gone on since."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty.relayer import Patience

from tests.loyalty.test_anvil import Works, make

__all__ = ["make"]

pytestmark = [pytest.mark.loopback, pytest.mark.once]


def copied(folder: Path) -> Path:
    """Give a copy of the database in `folder`, made while a service has it open."""
    backup = folder / "backup"
    with (
        closing(sqlite3.connect(folder / "points.sqlite3")) as live,
        closing(sqlite3.connect(backup)) as copy,
    ):
        live.backup(copy)
    return backup


def restore(backup: Path) -> None:
    for left in ("-wal", "-shm"):
        backup.with_name(f"points.sqlite3{left}").unlink(missing_ok=True)
    backup.replace(backup.with_name("points.sqlite3"))


def test_an_older_copy_of_the_outbox_mints_nothing_again_and_loses_nothing(
    make: Callable[..., Works], tmp_path: Path
) -> None:
    works = make(patience=Patience(stuck_after_s=10, raises=3))
    works.award("before")
    works.settle()
    waits = works.award("waits in the copy")
    backup = copied(tmp_path)
    # What comes into a block for it is an attempt that the copy has never seen.
    for _ in range(3):
        works.turn(after_s=5)
    works.settle()
    forgotten = [works.award(f"later {order}") for order in range(3)]
    works.settle()
    forgotten.append(works.award("on its way when the disk failed"))

    restore(backup)
    works.start()
    assert [works.store.placed(key) for key in forgotten] == [None] * 4
    for _ in range(14):
        works.anvil.mine()
        works.turn()
    works.settle()

    # All of it is on the chain, once, and the projection says so.
    works.require_exactly_once(6)
    kept = works.store.placed(waits)
    assert kept is not None
    assert kept.outcome is not None
    assert kept.outcome.reason is not None
    assert kept.outcome.reason.code == "duplicate-ref"
    for order in ("later 0", "later 1", "later 2", "on its way when the disk failed"):
        with pytest.raises(Refused) as refusal:
            works.award(order)
        assert refusal.value.codes == ["duplicate-ref"]
    works.award("new")
    works.settle()
    works.require_exactly_once(7)
