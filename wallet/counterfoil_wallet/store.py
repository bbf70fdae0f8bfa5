"""Where the wallet keeps what it must not forget: a port, and its in-memory twin.

The store knows records, not protocols. One `put` is one durable step: after it
returns, `kill -9` changes nothing; before it returns, nothing has changed.
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from counterfoil_credentials.errors import Misuse


class Kind(StrEnum):
    """What a record is about."""

    CREDENTIAL = "credential"
    ACCEPTANCE = "acceptance"
    GRANT = "grant"
    EVENT = "event"
    SECRET = "secret"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Record:
    """One thing kept. `label` is what it can be found by: a type, or a state."""

    kind: Kind
    key: str
    label: str
    body: bytes = field(repr=False)


class Store(Protocol):
    """Records in the order in which they first came. Safe from several threads."""

    def get(self, kind: Kind, key: str) -> Record | None:
        """Give the record, or None."""
        ...

    def find(self, kind: Kind, labels: Collection[str] | None = None) -> list[Record]:
        """Give the records of a kind, oldest first; with `labels`, only those so labelled."""
        ...

    def put(self, *records: Record) -> None:
        """Keep all of them or none. A record that was there is replaced and keeps its place."""
        ...

    def close(self) -> None:
        """Let go of the file and the key. Closing twice is closing once."""
        ...


class MemoryStore:
    """The in-memory twin: gone when the program ends."""

    def __init__(self) -> None:
        """Start empty."""
        self._records: dict[tuple[Kind, str], Record] = {}
        self._lock = threading.Lock()
        self._closed = False

    def get(self, kind: Kind, key: str) -> Record | None:
        with self._lock:
            self._require_open()
            return self._records.get((kind, key))

    def find(self, kind: Kind, labels: Collection[str] | None = None) -> list[Record]:
        with self._lock:
            self._require_open()
            return [
                record
                for record in self._records.values()
                if record.kind is kind and (labels is None or record.label in labels)
            ]

    def put(self, *records: Record) -> None:
        with self._lock:
            self._require_open()
            self._records.update({(record.kind, record.key): record for record in records})

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._records.clear()

    def _require_open(self) -> None:
        if self._closed:
            raise locked()


def locked() -> Misuse:
    """Give the error of a caller who uses a wallet after locking it."""
    return Misuse("expected an open wallet, found a locked one")
