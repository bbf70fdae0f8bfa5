"""One-time keys, one file each, beside the database and never in it.

Whoever kept every byte that was ever sent or stored, and every backup of the
database, opens nothing once the file is gone. Keep the folder out of backups.

    <name>.key      32 bytes, while the key lives
    <name>.note     whose key it is: outlives the key and every restored database
    <name>.reads    one byte for each read that it was used for
    <name>.pauses   the pause or resumption that holds
    <name>.ended    the tombstone: no new key under this name, for ever
    in-use          says that this is the folder, and not the place where it should be

The signed statement of the destruction is inscribed on the tombstone. A folder
without its `in-use` file answers nothing: a disk that is not mounted must not
look like keys that are destroyed. Processes that share a folder take turns by a lock
on that file.
"""

import fcntl
import os
import re
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    JsonObject,
    canonical_json,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Misuse, Refused, Unavailable

from counterfoil_consent.events import Pause, later_pause
from counterfoil_consent.sealing import OpeningKey
from counterfoil_consent.wire import Digest, GrantId, Random, refuse

_KEY_BYTES: Final = 32
_MARKER: Final = "in-use"
_PAUSE: Final = re.compile(r"(\d{1,16}) ([01])")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNote:
    """Whose key it is: the holder, and, once registered, the receiver and the grant's digest.

    A database that is restored from before forgets a grant, or its holder. The
    note does not.
    """

    holder: Did
    receiver: Did | None = None
    grant_digest: Digest | None = None
    completer: Did | None = None
    authority: Did | None = None

    def to_json(self) -> JsonObject:
        """Give the note for storage."""
        obj: JsonObject = {"holder": self.holder}
        if self.receiver is not None:
            obj["receiver"] = self.receiver
        if self.grant_digest is not None:
            obj["grant_digest"] = self.grant_digest
        if self.completer is not None:
            obj["completer"] = self.completer
        if self.authority is not None:
            obj["authority"] = self.authority
        return obj

    @staticmethod
    def from_json(obj: JsonObject) -> "KeyNote":
        """Read a stored note."""
        where = "stored_note"
        digest = optional_text_at(obj, "grant_digest", where)
        return KeyNote(
            holder=Did(text_at(obj, "holder", where)),
            receiver=_did(obj, "receiver", where),
            grant_digest=None if digest is None else Digest(digest),
            completer=_did(obj, "completer", where),
            authority=_did(obj, "authority", where),
        )


def _did(obj: JsonObject, name: str, where: str) -> Did | None:
    found = optional_text_at(obj, name, where)
    return None if found is None else Did(found)


class KeyFolder(Protocol):
    """Where one-time keys live and die. Every method raises `Unavailable` without the folder."""

    def begin(self, *, is_new: bool) -> None:
        """Take the folder into use. It is made only when `is_new`: nothing depends on it yet."""
        ...

    def create(self, name: GrantId, random: Random, note: KeyNote | None = None) -> OpeningKey:
        """Give the key under `name`, made on first use with its `note`.

        `Refused` with `grant-ended` once destroyed, with `signed-by-another` when
        the key was made for another holder.
        """
        ...

    def find(self, name: GrantId) -> OpeningKey | None:
        """Give the key under `name`, or None when it was never made or is destroyed."""
        ...

    def names(self) -> list[GrantId]:
        """Give the name of every key that lies here."""
        ...

    def tombstones(self) -> list[GrantId]:
        """Give every name that stands on a tombstone."""
        ...

    def note(self, name: GrantId) -> KeyNote | None:
        """Give the note of a key, destroyed or not."""
        ...

    def annotate(self, name: GrantId, note: KeyNote) -> None:
        """Add receiver and digest to the note, once; `already-registered` for others."""
        ...

    def pause(self, name: GrantId) -> Pause | None:
        """Give the pause or resumption that holds: the one with the highest sequence."""
        ...

    def add_pause(self, name: GrantId, pause: Pause) -> Pause:
        """Add one, on disk when this returns; give the one that holds now."""
        ...

    def reads(self, name: GrantId) -> int:
        """Give how many reads the key was used for."""
        ...

    def count_read(self, name: GrantId) -> None:
        """Count one more, on disk when this returns."""
        ...

    def destroy(self, name: GrantId) -> None:
        """Destroy the key for ever and leave the tombstone. Again is the same as once.

        Raises `Unavailable` when neither key nor tombstone is here: the key may lie
        elsewhere, and nobody may say that it is destroyed.
        """
        ...

    def forbid(self, name: GrantId) -> None:
        """Do the same for a name whose key may never have been made."""
        ...

    def is_destroyed(self, name: GrantId) -> bool:
        """Say whether the tombstone stands."""
        ...

    def inscribe(self, name: GrantId, text: str) -> str:
        """Write `text` on the tombstone unless something stands there; give what stands there."""
        ...

    def inscription(self, name: GrantId) -> str | None:
        """Give what is written on the tombstone."""
        ...


class MemoryKeyFolder:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._is_in_use = False
        self._keys: dict[GrantId, OpeningKey] = {}
        self._notes: dict[GrantId, KeyNote] = {}
        self._reads: dict[GrantId, int] = {}
        self._pauses: dict[GrantId, Pause] = {}
        self._ended: dict[GrantId, str] = {}
        self._lock = threading.Lock()

    def begin(self, *, is_new: bool) -> None:
        with self._lock:
            if not is_new and not self._is_in_use:
                raise _missing()
            self._is_in_use = True

    def create(self, name: GrantId, random: Random, note: KeyNote | None = None) -> OpeningKey:
        with self._lock:
            if name in self._ended:
                raise _ended()
            if note is not None:
                _require_same_holder(self._notes.setdefault(name, note), note)
            return self._keys.setdefault(name, OpeningKey.generate(random))

    def find(self, name: GrantId) -> OpeningKey | None:
        with self._lock:
            return None if name in self._ended else self._keys.get(name)

    def names(self) -> list[GrantId]:
        with self._lock:
            return list(self._keys)

    def tombstones(self) -> list[GrantId]:
        with self._lock:
            return list(self._ended)

    def note(self, name: GrantId) -> KeyNote | None:
        with self._lock:
            return self._notes.get(name)

    def annotate(self, name: GrantId, note: KeyNote) -> None:
        with self._lock:
            _require_first(self._notes.get(name), note)
            self._notes[name] = note

    def pause(self, name: GrantId) -> Pause | None:
        with self._lock:
            return self._pauses.get(name)

    def add_pause(self, name: GrantId, pause: Pause) -> Pause:
        with self._lock:
            self._pauses[name] = later_pause(self._pauses.get(name), pause)
            return self._pauses[name]

    def reads(self, name: GrantId) -> int:
        with self._lock:
            return self._reads.get(name, 0)

    def count_read(self, name: GrantId) -> None:
        with self._lock:
            self._reads[name] = self._reads.get(name, 0) + 1

    def destroy(self, name: GrantId) -> None:
        with self._lock:
            if name not in self._ended and name not in self._keys:
                raise _lost()
            self._ended.setdefault(name, "")
            self._keys.pop(name, None)

    def forbid(self, name: GrantId) -> None:
        with self._lock:
            self._ended.setdefault(name, "")
            self._keys.pop(name, None)

    def is_destroyed(self, name: GrantId) -> bool:
        with self._lock:
            return name in self._ended

    def inscribe(self, name: GrantId, text: str) -> str:
        with self._lock:
            self._ended[name] = self._ended.get(name) or text
            return self._ended[name]

    def inscription(self, name: GrantId) -> str | None:
        with self._lock:
            return self._ended.get(name) or None


class FileKeyFolder:
    """One 32-byte file for each key, mode 0600, in a folder of mode 0700.

    Destroying overwrites, syncs and unlinks. A disk that remaps its blocks may
    keep a copy below the file system: what that leaves open stands in
    docs/consent.md.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`; `begin` makes it."""
        self._folder = folder
        self._lock = threading.Lock()

    def begin(self, *, is_new: bool) -> None:
        if is_new:
            with _naming_trouble():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                (self._folder / _MARKER).touch(mode=0o600)
                self._sync()
        with self._in_use():
            pass

    def create(self, name: GrantId, random: Random, note: KeyNote | None = None) -> OpeningKey:
        with self._in_use():
            if self._is_destroyed(name):
                raise _ended()
            if note is not None:
                # The note first: there is no key whose holder is not known.
                if self._find_note(name) is None:
                    self._write(self._note(name), canonical_json(note.to_json()))
                _require_same_holder(self._find_note(name), note)
            if not self._key(name).exists():
                self._write(self._key(name), random(_KEY_BYTES))
            return OpeningKey(self._read(name))

    def find(self, name: GrantId) -> OpeningKey | None:
        with self._in_use():
            if self._is_destroyed(name) or not self._key(name).exists():
                return None
            return OpeningKey(self._read(name))

    def names(self) -> list[GrantId]:
        with self._in_use():
            return [GrantId(path.stem) for path in self._folder.glob("*.key")]

    def tombstones(self) -> list[GrantId]:
        with self._in_use():
            # A name that begins with a dot is a draft.
            found = [path.stem for path in self._folder.glob("*.ended")]
            return [GrantId(name) for name in found if not name.startswith(".")]

    def note(self, name: GrantId) -> KeyNote | None:
        with self._in_use():
            return self._find_note(name)

    def annotate(self, name: GrantId, note: KeyNote) -> None:
        with self._in_use():
            found = self._find_note(name)
            _require_first(found, note)
            if found != note:
                self._replace(self._note(name), canonical_json(note.to_json()))

    def pause(self, name: GrantId) -> Pause | None:
        with self._in_use():
            return self._find_pause(name)

    def add_pause(self, name: GrantId, pause: Pause) -> Pause:
        with self._in_use():
            found = self._find_pause(name)
            holds = later_pause(found, pause)
            if holds != found:
                line = f"{holds.sequence} {int(holds.is_suspended)}\n"
                self._replace(self._pauses(name), line.encode())
            return holds

    def reads(self, name: GrantId) -> int:
        with self._in_use():
            path = self._tally(name)
            return path.stat().st_size if path.exists() else 0

    def count_read(self, name: GrantId) -> None:
        with self._in_use():
            path = self._tally(name)
            is_first = not path.exists()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, b".")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_first:
                self._sync()

    def destroy(self, name: GrantId) -> None:
        with self._in_use():
            if not self._is_destroyed(name) and not self._key(name).exists():
                raise _lost()
            self._bury(name)

    def forbid(self, name: GrantId) -> None:
        with self._in_use():
            self._bury(name)

    def is_destroyed(self, name: GrantId) -> bool:
        with self._in_use():
            return self._is_destroyed(name)

    def inscribe(self, name: GrantId, text: str) -> str:
        with self._in_use():
            found = self._find_inscription(name)
            if found is None:
                self._replace(self._tombstone(name), text.encode())
            return found or text

    def inscription(self, name: GrantId) -> str | None:
        with self._in_use():
            return self._find_inscription(name)

    @contextmanager
    def _in_use(self) -> Generator[None, None, None]:
        """Hold the folder, if it is there, alone of all threads and processes."""
        with self._lock, _naming_trouble():
            try:
                marker = os.open(self._folder / _MARKER, os.O_RDONLY)
            except FileNotFoundError:
                raise _missing() from None
            try:
                # Whoever closes the file, however it dies, lets go.
                fcntl.flock(marker, fcntl.LOCK_EX)
                yield
            finally:
                os.close(marker)

    def _bury(self, name: GrantId) -> None:
        # The tombstone first: a crash between leaves a key that nobody may use.
        if not self._is_destroyed(name):
            self._tombstone(name).touch(mode=0o600)
            self._sync()
        path = self._key(name)
        if path.exists():
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            self._sync()

    def _find_pause(self, name: GrantId) -> Pause | None:
        path = self._pauses(name)
        if not path.exists():
            return None
        found: Pause | None = None
        # There was a line for each of them once; what follows the last was cut off.
        for line in path.read_text().split("\n")[:-1]:
            if words := _PAUSE.fullmatch(line):
                found = later_pause(found, Pause(int(words[1]), words[2] == "1"))
        return found

    def _key(self, name: GrantId) -> Path:
        return self._folder / f"{name}.key"

    def _note(self, name: GrantId) -> Path:
        return self._folder / f"{name}.note"

    def _tally(self, name: GrantId) -> Path:
        return self._folder / f"{name}.reads"

    def _pauses(self, name: GrantId) -> Path:
        return self._folder / f"{name}.pauses"

    def _tombstone(self, name: GrantId) -> Path:
        return self._folder / f"{name}.ended"

    def _is_destroyed(self, name: GrantId) -> bool:
        return self._tombstone(name).exists()

    def _find_note(self, name: GrantId) -> KeyNote | None:
        path = self._note(name)
        if not path.exists():
            return None
        return KeyNote.from_json(parse_object(path.read_bytes(), "stored_note"))

    def _find_inscription(self, name: GrantId) -> str | None:
        path = self._tombstone(name)
        return (path.read_text() or None) if path.exists() else None

    def _read(self, name: GrantId) -> bytes:
        raw = self._key(name).read_bytes()
        if len(raw) != _KEY_BYTES:
            raise Misuse(f"expected a key file of {_KEY_BYTES} bytes, found {len(raw)}")
        return raw

    def _write(self, path: Path, raw: bytes) -> None:
        draft = self._write_draft(path, raw)
        try:
            # A link fails when another process was first: then its file is the file.
            path.hardlink_to(draft)
        except FileExistsError:
            return
        finally:
            draft.unlink(missing_ok=True)
        self._sync()

    def _replace(self, path: Path, raw: bytes) -> None:
        # Renamed over what was there: it appears whole or not at all.
        self._write_draft(path, raw).replace(path)
        self._sync()

    def _write_draft(self, path: Path, raw: bytes) -> Path:
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        return draft

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _naming_trouble() -> Generator[None, None, None]:
    try:
        yield
    except OSError as cause:
        # The class alone: the text of the cause would tell the folder's path to a caller.
        found = type(cause).__name__
        raise Unavailable(f"expected the key folder to take part, found {found}") from cause


def _require_same_holder(found: KeyNote | None, note: KeyNote) -> None:
    if found is None or found.holder != note.holder:
        raise refuse("signed-by-another", "the holder of this key", "another", "iss")


def _require_first(found: KeyNote | None, note: KeyNote) -> None:
    _require_same_holder(found, note)
    if found not in (note, KeyNote(holder=note.holder)):
        raise refuse("already-registered", "the same registration", "another", "grant_id")


def _missing() -> Unavailable:
    return Unavailable("expected the key folder that was in use, found none")


def _lost() -> Unavailable:
    return Unavailable("expected a key or its tombstone, found neither")


def _ended() -> Refused:
    return refuse("grant-ended", "a grant that never ended", "a tombstone", "grant_id")
