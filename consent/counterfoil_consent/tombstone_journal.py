"""The custodian's journal of ends, outside its backup: what it says has ended has ended.

    <chain> begun <id>
    <chain> ended <grant id> <the signed statement>

A line is added, and on the disk, before anybody is told of an end. Each `<chain>` is the
digest of the one before and of its own line, so that nothing can be left out or changed
in between; the database remembers how far it has read (`Mark`). A line that was being
written when the power went is cut off: nobody was told of it.

Keep the file on another disk than the database, and out of every backup.
"""

import fcntl
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from counterfoil_credentials.errors import Unavailable

from counterfoil_consent.wire import Digest, GrantId, digest_of

_BEGUN: Final = "begun"
_ENDED: Final = "ended"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a journal: after so many lines, with this chain."""

    lines: int
    chain: Digest


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One line: the grant, and the custodian's signed statement that it has ended."""

    grant_id: GrantId
    statement: str


class TombstoneJournal(Protocol):
    """Where the ends are written down. Every method raises `Unavailable` without the disk."""

    def begin(self, name: str) -> Mark:
        """Begin a journal, or a new part of the one that is there, under the random `name`."""
        ...

    def name(self) -> str | None:
        """Give the name of the part that was begun last; None where no journal is."""
        ...

    def append(self, tombstone: Tombstone) -> Mark:
        """Add a line, on the disk when this returns."""
        ...

    def holds(self, mark: Mark) -> bool:
        """Say whether this is the journal in which `mark` was made, with all until then."""
        ...

    def since(self, mark: Mark | None) -> Sequence[Tombstone]:
        """Give the tombstones after `mark`, or all."""
        ...

    def end_mark(self) -> Mark:
        """Give the place after the last line."""
        ...


class _Chain:
    """The lines of a journal, each with the digest that binds it to those before."""

    def __init__(self) -> None:
        self.chains: list[Digest] = []
        self.tombstones: list[tuple[int, Tombstone]] = []
        self.name: str | None = None

    def next(self, said: str) -> str:
        """Give the line that says this after all others."""
        before = self.chains[-1] if self.chains else ""
        return f"{digest_of(f'{before} {said}')} {said}"

    def add(self, line: str) -> None:
        """Take a line that follows; raises `Unavailable` for any other."""
        _, _, said = line.partition(" ")
        words = said.split(" ")
        if line != self.next(said):
            raise _broken(len(self.chains))
        match words:
            case ["begun", name]:
                self.name = name
            case ["ended", grant_id, statement] if self.name is not None:
                self.tombstones.append(
                    (len(self.chains) + 1, Tombstone(GrantId(grant_id), statement))
                )
            case _:
                raise _broken(len(self.chains))
        self.chains.append(Digest(line.partition(" ")[0]))

    def mark(self) -> Mark:
        return Mark(len(self.chains), self.chains[-1] if self.chains else Digest(""))

    def holds(self, mark: Mark) -> bool:
        is_here = 0 < mark.lines <= len(self.chains)
        return is_here and self.chains[mark.lines - 1] == mark.chain

    def since(self, mark: Mark | None) -> list[Tombstone]:
        lines = 0 if mark is None else mark.lines
        return [tombstone for line, tombstone in self.tombstones if line > lines]


class MemoryTombstoneJournal:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._chain = _Chain()
        self._lock = threading.Lock()

    def begin(self, name: str) -> Mark:
        return self._add(f"{_BEGUN} {name}")

    def name(self) -> str | None:
        with self._lock:
            return self._chain.name

    def append(self, tombstone: Tombstone) -> Mark:
        return self._add(f"{_ENDED} {tombstone.grant_id} {tombstone.statement}")

    def holds(self, mark: Mark) -> bool:
        with self._lock:
            return self._chain.holds(mark)

    def since(self, mark: Mark | None) -> Sequence[Tombstone]:
        with self._lock:
            return self._chain.since(mark)

    def end_mark(self) -> Mark:
        with self._lock:
            return self._chain.mark()

    def _add(self, said: str) -> Mark:
        with self._lock:
            self._chain.add(self._chain.next(said))
            return self._chain.mark()


class FileTombstoneJournal:
    """The journal in the file at `path`, made by `begin`; several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chain = _Chain()
        self._read_bytes = 0
        self._lock = threading.Lock()

    def begin(self, name: str) -> Mark:
        try:
            with self._held(os.O_RDWR | os.O_CREAT) as descriptor:
                mark = self._add(descriptor, f"{_BEGUN} {name}")
                folder = os.open(self._path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
                return mark
        except FileNotFoundError as cause:
            raise Unavailable("expected a folder for the journal, found none") from cause

    def name(self) -> str | None:
        try:
            with self._held(os.O_RDWR):
                return self._chain.name
        except FileNotFoundError:
            return None

    def append(self, tombstone: Tombstone) -> Mark:
        try:
            with self._held(os.O_RDWR) as descriptor:
                said = f"{_ENDED} {tombstone.grant_id} {tombstone.statement}"
                return self._add(descriptor, said)
        except FileNotFoundError as cause:
            raise Unavailable("expected the journal that was in use, found none") from cause

    def holds(self, mark: Mark) -> bool:
        return self.name() is not None and self._chain.holds(mark)

    def since(self, mark: Mark | None) -> Sequence[Tombstone]:
        return self._chain.since(mark) if self.name() is not None else ()

    def end_mark(self) -> Mark:
        self.name()
        return self._chain.mark()

    @contextmanager
    def _held(self, flags: int) -> Generator[int, None, None]:
        """Hold the file, with everything read that others have written."""
        with self._lock:
            try:
                descriptor = os.open(self._path, flags, 0o600)
                try:
                    # Whoever closes the file, however it dies, lets go.
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    self._catch_up(descriptor)
                    yield descriptor
                finally:
                    os.close(descriptor)
            except FileNotFoundError:
                raise
            except OSError as cause:
                # The class alone: the text of the cause would tell the file's path.
                found = type(cause).__name__
                raise Unavailable(f"expected the journal to take part, found {found}") from cause

    def _catch_up(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        if size < self._read_bytes:
            raise Unavailable("expected the journal that was in use, found a shorter one")
        fresh = os.pread(descriptor, size - self._read_bytes, self._read_bytes)
        lines = fresh.split(b"\n")
        for line in lines[:-1]:
            try:
                text = line.decode("ascii")
            except UnicodeDecodeError as cause:
                raise _broken(len(self._chain.chains)) from cause
            self._chain.add(text)
            self._read_bytes += len(line) + 1
        if lines[-1]:
            os.ftruncate(descriptor, self._read_bytes)

    def _add(self, descriptor: int, said: str) -> Mark:
        line = self._chain.next(said)
        raw = f"{line}\n".encode("ascii")
        written = 0
        while written < len(raw):
            written += os.pwrite(descriptor, raw[written:], self._read_bytes + written)
        os.fsync(descriptor)
        self._chain.add(line)
        self._read_bytes += len(raw)
        return self._chain.mark()


def _broken(lines: int) -> Unavailable:
    return Unavailable(f"expected an unbroken journal, found it broken after line {lines}")
