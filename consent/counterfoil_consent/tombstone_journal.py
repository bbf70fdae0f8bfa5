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
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from counterfoil_credentials.errors import Unavailable

from counterfoil_consent.wire import Digest, GrantId, digest_of

_BEGUN: Final = "begun"
_ENDED: Final = "ended"
_PIECE_BYTES: Final = 1_048_576


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
    """Where a journal stands: each line is bound to those before by its digest."""

    def __init__(self) -> None:
        self.mark = Mark(0, Digest(""))
        self.name: str | None = None

    def next(self, said: str) -> str:
        """Give the line that says this after all others."""
        return f"{digest_of(f'{self.mark.chain} {said}')} {said}"

    def add(self, line: str) -> Tombstone | None:
        """Take a line that follows; raises `Unavailable` for any other."""
        chain, _, said = line.partition(" ")
        if line != self.next(said):
            raise _broken(self.mark.lines)
        tombstone: Tombstone | None = None
        match said.split(" "):
            case ["begun", name]:
                self.name = name
            case ["ended", grant_id, statement] if self.name is not None:
                tombstone = Tombstone(GrantId(grant_id), statement)
            case _:
                raise _broken(self.mark.lines)
        self.mark = Mark(self.mark.lines + 1, Digest(chain))
        return tombstone


class MemoryTombstoneJournal:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._chain = _Chain()
        self._lines: list[tuple[Mark, Tombstone | None]] = []
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
            return any(here == mark for here, _ in self._lines)

    def since(self, mark: Mark | None) -> Sequence[Tombstone]:
        with self._lock:
            return _after(mark, self._lines)

    def end_mark(self) -> Mark:
        with self._lock:
            return self._chain.mark

    def _add(self, said: str) -> Mark:
        with self._lock:
            tombstone = self._chain.add(self._chain.next(said))
            self._lines.append((self._chain.mark, tombstone))
            return self._chain.mark


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
        try:
            with self._held(os.O_RDWR) as descriptor:
                # As a rule nothing was lost, and nothing has to be read again.
                if mark == self._chain.mark:
                    return True
                return any(here == mark for here, _ in _lines(descriptor, self._read_bytes))
        except FileNotFoundError:
            return False

    def since(self, mark: Mark | None) -> Sequence[Tombstone]:
        try:
            with self._held(os.O_RDWR) as descriptor:
                if mark == self._chain.mark:
                    return ()
                return _after(mark, _lines(descriptor, self._read_bytes))
        except FileNotFoundError:
            return ()

    def end_mark(self) -> Mark:
        self.name()
        return self._chain.mark

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
        for raw in _raw_lines(descriptor, self._read_bytes, size):
            self._chain.add(_text(raw, self._chain))
            self._read_bytes += len(raw) + 1
        if self._read_bytes < size:
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
        return self._chain.mark


def _lines(descriptor: int, size: int) -> Iterator[tuple[Mark, Tombstone | None]]:
    """Give each line's place and what it says, from the first: none of them is kept at hand."""
    chain = _Chain()
    for raw in _raw_lines(descriptor, 0, size):
        tombstone = chain.add(_text(raw, chain))
        yield chain.mark, tombstone


def _raw_lines(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """Give the whole lines between two places; what follows the last line break is none."""
    rest = b""
    while start < end:
        piece = os.pread(descriptor, min(_PIECE_BYTES, end - start), start)
        if not piece:
            return
        start += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole


def _text(raw: bytes, chain: _Chain) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as cause:
        raise _broken(chain.mark.lines) from cause


def _after(
    mark: Mark | None, lines: Iterable[tuple[Mark, Tombstone | None]]
) -> Sequence[Tombstone]:
    done = 0 if mark is None else mark.lines
    return [tombstone for here, tombstone in lines if here.lines > done and tombstone is not None]


def _broken(lines: int) -> Unavailable:
    return Unavailable(f"expected an unbroken journal, found it broken after line {lines}")
