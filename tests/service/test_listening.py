"""What one process tells, another hears: after the commit, and again after the server was away."""

import queue
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from counterfoil_service.listening import Listener
from counterfoil_service.sql import Database
from counterfoil_service.statements import Statement
from sqlalchemy import MetaData, bindparam, func, select

TELL = Statement(select(func.pg_notify("news", bindparam("name"))))
WITHIN_S = 60
LISTENS = "SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN \"news\"' AND state = 'idle'"


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    found = Database.open(postgres_url, MetaData())
    yield found
    found.close()


@pytest.fixture
def heard(postgres_url: str) -> Iterator["queue.Queue[str]"]:
    """Give the names that a listener has heard."""
    names: queue.Queue[str] = queue.Queue()
    listener = Listener(postgres_url, "news", names.put)
    listening(postgres_url)
    yield names
    listener.close()


def listening(url: str, *, but: int | None = None) -> int:
    """Wait until somebody listens, on another connection than `but`; give its number."""
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            for (pid,) in connection.execute(LISTENS).fetchall():
                if pid != but:
                    return int(pid)


def tell(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.add(TELL, name=name)


def test_what_was_told_is_heard_once_it_is_on_disk(
    database: Database, heard: "queue.Queue[str]"
) -> None:
    def undone() -> None:
        with database.transaction() as connection:
            connection.add(TELL, name="never")
            raise KeyError

    with pytest.raises(KeyError):
        undone()
    with database.transaction() as connection:
        connection.add(TELL, name="one")
        # Whoever hears of it earlier would look in vain.
        assert heard.empty()
    tell(database, "two 商")

    assert [heard.get(timeout=WITHIN_S), heard.get(timeout=WITHIN_S)] == ["one", "two 商"]


def test_it_listens_again_after_the_server_was_away(
    database: Database, heard: "queue.Queue[str]", postgres_url: str
) -> None:
    before = listening(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 20000)", (before,))
    listening(postgres_url, but=before)

    tell(database, "again")

    assert heard.get(timeout=WITHIN_S) == "again"


def test_another_channel_is_not_heard_nor_anything_after_the_end(
    database: Database, postgres_url: str
) -> None:
    names: queue.Queue[str] = queue.Queue()
    listener = Listener(postgres_url, "news", names.put)
    other = Listener(postgres_url, "no news", names.put)
    listening(postgres_url)
    tell(database, "one")
    assert names.get(timeout=WITHIN_S) == "one"

    listener.close()
    other.close()
    tell(database, "two")

    assert names.empty()


def test_it_ends_while_the_server_is_away(postgres_url: str) -> None:
    nowhere = urlsplit(postgres_url)._replace(path="/missing").geturl()
    names: queue.Queue[str] = queue.Queue()

    listener = Listener(nowhere, "news", names.put)
    listener.close()

    assert names.empty()
