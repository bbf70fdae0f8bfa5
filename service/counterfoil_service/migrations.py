"""A schema that moves from revision to revision, up when a database is opened.

    MIGRATIONS = Migrations(METADATA, folder=Path(__file__).parent / "migrations", head="2")
    database = Database.open(where, MIGRATIONS)

`folder` is an alembic environment whose `env.py` takes the connection that it is
given; all steps happen in one transaction, under the writers' lock, or none does.
alembic is slow to import, so that an empty database, and one that stands at `head`,
are opened without it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Misuse
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)

_HOUSE: Final = MetaData()
_REVISION: Final = Table(
    "alembic_version",
    _HOUSE,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_SCHEMA_VERSION: Final = Table("schema_version", MetaData(), Column("version", Integer))


@dataclass(frozen=True, slots=True)
class Migrations:
    """The revisions in `folder`, the latest of which is `head` and leads to `tables`."""

    tables: MetaData
    folder: Path
    head: str

    def upgrade(self, connection: Connection) -> None:
        """Bring the schema to `head`. Raises `Misuse` for a revision that is not known."""
        current = revision_of(connection)
        if current is None:
            self.tables.create_all(connection)
            _HOUSE.create_all(connection)
            connection.execute(insert(_REVISION).values(version_num=self.head))
        elif current != self.head:
            self.move(connection, self.head)

    def move(self, connection: Connection, revision: str) -> None:
        """Bring the schema to `revision`, upwards or back ("base": no tables at all).

        Going back, what an older schema cannot hold is refused as `Misuse`, never
        dropped in silence.
        """
        from alembic import command  # noqa: PLC0415  # half a second
        from alembic.config import Config  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
        current = revision_of(connection)
        if current is not None and current not in known:
            raise Misuse(f"expected a schema revision up to {self.head}, found {current}")
        if current is not None and _is_before_alembic(connection):
            command.stamp(config, current)
            _SCHEMA_VERSION.drop(connection)
        # Revisions are listed from the latest down.
        is_back = revision == "base" or (
            current is not None and known.index(revision) > known.index(current)
        )
        (command.downgrade if is_back else command.upgrade)(config, revision)
        if connection.dialect.name == "sqlite":
            lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if lost:
                raise Misuse(f"expected rows that point to others, found {len(lost)} to none")


def revision_of(connection: Connection) -> str | None:
    """Give the revision at which the schema stands, or None when there is no schema."""
    if inspect(connection).has_table(_REVISION.name):
        return connection.scalar(select(_REVISION.c.version_num))
    if _is_before_alembic(connection):
        return str(connection.scalar(select(_SCHEMA_VERSION.c.version)))
    return None


def _is_before_alembic(connection: Connection) -> bool:
    # The first schema kept its number in a table of its own.
    return inspect(connection).has_table(_SCHEMA_VERSION.name)
