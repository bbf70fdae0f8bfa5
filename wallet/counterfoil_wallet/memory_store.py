"""The in-memory twin of the wallet's file: the same tables, gone when the program ends."""

from typing import cast

from counterfoil_wallet.schema import HEAD
from counterfoil_wallet.tables import Connection, Tables


class MemoryStore(Tables):
    """A wallet's store without a file."""

    def __init__(self) -> None:
        """Start empty."""
        # Loaded here: the wallet's face must load without the encrypted SQLite.
        import apsw  # noqa: PLC0415

        connection = cast("Connection", apsw.Connection(":memory:"))
        connection.execute(HEAD)
        super().__init__(connection)
