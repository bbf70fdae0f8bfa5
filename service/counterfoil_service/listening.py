"""What one process tells, every process on the same PostgreSQL database hears (LISTEN, NOTIFY).

    TELL = Statement(select(func.pg_notify("sessions", bindparam("name"))))
    connection.add(TELL, name=name)               # told once this transaction has ended well
    listener = Listener(url, "sessions", heard)   # heard(name), in a thread of its own
    listener.close()

Nothing is kept for whoever does not listen: what is told while the server is away, or
through a pool that lends connections by the transaction, is not heard. So it makes
nobody's wait longer to be told, and nobody may wait for it alone.
"""

import selectors
import socket
import threading
from collections.abc import Callable
from typing import Final

import psycopg
from counterfoil_credentials.errors import Unavailable
from psycopg.sql import SQL, Identifier

from counterfoil_service.postgres_session import connected

AGAIN_AFTER_S: Final = 1.0
"""How long a server that is away is left alone."""


class Listener:
    """Calls `heard` with each name that is told on `channel`, until it is closed."""

    def __init__(self, url: str, channel: str, heard: Callable[[str], None]) -> None:
        self._url = url
        self._listen = SQL("LISTEN {}").format(Identifier(channel))
        self._heard = heard
        self._end, self._other_end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; nothing is heard any more when this returns."""
        self._other_end.close()
        self._thread.join()
        self._end.close()

    def _run(self) -> None:
        while True:
            try:
                with connected(self._url) as connection:
                    connection.execute(self._listen)
                    self._hear(connection)
                    return
            except (Unavailable, psycopg.OperationalError):
                if self._ends(None, AGAIN_AFTER_S):
                    return

    def _hear(self, connection: psycopg.Connection) -> None:
        raw = connection.pgconn
        while True:
            while (told := raw.notifies()) is not None:
                self._heard(told.extra.decode())
            if self._ends(raw.socket, None):
                return
            raw.consume_input()

    def _ends(self, server: int | None, within_s: float | None) -> bool:
        """Wait for the server to say something, or for the end; say whether it is the end."""
        with selectors.DefaultSelector() as either:
            either.register(self._end, selectors.EVENT_READ)
            if server is not None:
                either.register(server, selectors.EVENT_READ)
            return any(key.fileobj is self._end for key, _ in either.select(within_s))
