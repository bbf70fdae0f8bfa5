"""A receiver's schema from its first revision to this version's: an alembic environment.

A change of the tables is a new file in `versions/` and a new `HEAD`; a revision that
was released is never edited. `sql_receiver_store.py` brings a database to `HEAD` when
it opens it, and one of each revision is kept in tests/consent/databases.
"""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
HEAD: Final = "3"
