"""A receiver's journal of the status lists that it relied on, for an auditor to compare.

    status = ListedStatus(JournalledLists(FetchedStatusSource(fetcher), journal, clock), keys)

An entry says which list, of when, by its digest; a list that is the same as the last
one of its URL adds none. No credential and no index is in it.
"""

import os
import threading
from pathlib import Path
from typing import Protocol

from counterfoil_credentials.encoding import canonical_json, parse_object
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.spec import STATUS_LIST_TYP
from counterfoil_credentials.token_status_list import MAX_TOKEN_BYTES, StatusSource

from counterfoil_consent.anchoring import Anchoring
from counterfoil_consent.dossier import SeenList
from counterfoil_consent.file_anchor import cut_torn_line
from counterfoil_consent.wire import Clock, digest_of, instant_at


class ListJournal(Protocol):
    """Where the entries lie, on disk when a call returns."""

    def add(self, seen: SeenList) -> None:
        """Add an entry."""
        ...

    def all(self) -> list[SeenList]:
        """Give every entry, oldest first."""
        ...


class JournalledLists:
    """A `StatusSource` that writes down what another one gave, before it is relied on.

    With `anchoring` the hash of each goes into the next batch, open for everybody.
    """

    def __init__(
        self,
        source: StatusSource,
        journal: ListJournal,
        clock: Clock,
        *,
        anchoring: Anchoring | None = None,
    ) -> None:
        self._source = source
        self._journal = journal
        self._clock = clock
        self._anchoring = anchoring
        self._last = {seen.url: seen.sha256 for seen in journal.all()}
        self._lock = threading.Lock()

    def fetch(self, url: str) -> str:
        """Give the signed token at `url`. Whether it is good, the reader finds out."""
        token = self._source.fetch(url)
        where = "status_list"
        jws = read_jws(token, typ=STATUS_LIST_TYP, where=where, max_bytes=MAX_TOKEN_BYTES)
        seen = SeenList(
            url=url,
            listed_at=instant_at(jws.unverified_claims, "iat", where),
            sha256=digest_of(token),
            seen_at=self._clock(),
        )
        with self._lock:
            if self._last.get(url) != seen.sha256:
                if self._anchoring is not None:
                    self._anchoring.add_status_list(token, url=url, listed_at=seen.listed_at)
                self._journal.add(seen)
                self._last[url] = seen.sha256
        return token


class MemoryListJournal:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._seen: list[SeenList] = []

    def add(self, seen: SeenList) -> None:
        self._seen.append(seen)

    def all(self) -> list[SeenList]:
        return [*self._seen]


class FileListJournal:
    """One line an entry, in a file that only grows."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, seen: SeenList) -> None:
        cut_torn_line(self._path)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, canonical_json(seen.to_json()) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def all(self) -> list[SeenList]:
        if not self._path.exists():
            return []
        # What follows the last line break was being written when the power went.
        lines = self._path.read_bytes().split(b"\n")[:-1]
        return [SeenList.from_json(parse_object(line, "seen_list"), "seen_list") for line in lines]
