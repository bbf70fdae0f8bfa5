"""A service's SQLite file beside its journal: folded in before it counts as one, and copied."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Unavailable

_PATIENCE_S: Final = 10.0


def fold_in(path: Path) -> None:
    """Move the journal into the database at `path` and empty it (`secure_delete` is on).

    Until then the journal holds what was deleted since. Raises `Unavailable` while
    somebody reads.
    """
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as opened:
            # One row: whether somebody was in the way, and two sizes.
            (was_busy, *_) = opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as cause:
        raise Unavailable(f"expected the journal to be folded in, found {cause}") from cause
    if was_busy:
        raise Unavailable("expected the journal to be folded in, found it in use")


def back_up(source: Path, target: Path) -> None:
    """Write the database at `source` to the new file `target`, as of one moment.

    What a running service has written stands partly in its journal: a copy of the
    one file is not a copy of the database.

    Raises `Unavailable` when there is no database or no room.
    """
    # SQLite writes into an empty file that is there, and keeps its mode.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as opened:
            opened.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as cause:
        target.unlink()
        raise Unavailable(f"expected a database to back up, found {cause}") from cause
