"""One-time keys, one file each, beside the database and never in it.

Whoever kept every byte that was ever sent or stored, and every backup of the
database, opens nothing once the file is gone. Keep the folder out of backups.

A destroyed key leaves a `<name>.ended` file: a tombstone that survives a database
restored from before the end, and forbids a new key under the name. The signed
statement of the destruction is inscribed on it.
"""

import os
import secrets
import threading
from pathlib import Path
from typing import Final, Protocol

from counterfoil_credentials.errors import Misuse, Refused, Unavailable

from counterfoil_consent.sealing import OpeningKey
from counterfoil_consent.wire import GrantId, Random, refuse

_KEY_BYTES: Final = 32


class KeyFolder(Protocol):
    """Where one-time keys live and die."""

    def create(self, name: GrantId, random: Random) -> OpeningKey:
        """Give the key under `name`, made on first use; `grant-ended` once destroyed."""
        ...

    def find(self, name: GrantId) -> OpeningKey | None:
        """Give the key under `name`, or None when it was never made or is destroyed."""
        ...

    def destroy(self, name: GrantId) -> None:
        """Destroy the key for ever and leave the tombstone. Again is the same as once."""
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
        self._keys: dict[GrantId, OpeningKey] = {}
        self._ended: dict[GrantId, str] = {}
        self._lock = threading.Lock()

    def create(self, name: GrantId, random: Random) -> OpeningKey:
        with self._lock:
            if name in self._ended:
                raise _ended()
            return self._keys.setdefault(name, OpeningKey.generate(random))

    def find(self, name: GrantId) -> OpeningKey | None:
        with self._lock:
            return None if name in self._ended else self._keys.get(name)

    def destroy(self, name: GrantId) -> None:
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
        """Use `folder`, made when missing."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()

    def create(self, name: GrantId, random: Random) -> OpeningKey:
        with self._lock:
            if self.is_destroyed(name):
                raise _ended()
            if not self._key(name).exists():
                self._write(name, random(_KEY_BYTES))
            return OpeningKey(self._read(name))

    def find(self, name: GrantId) -> OpeningKey | None:
        with self._lock:
            if self.is_destroyed(name) or not self._key(name).exists():
                return None
            return OpeningKey(self._read(name))

    def destroy(self, name: GrantId) -> None:
        with self._lock:
            # The tombstone first: a crash between leaves a key that nobody may use.
            if not self.is_destroyed(name):
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

    def is_destroyed(self, name: GrantId) -> bool:
        return self._tombstone(name).exists()

    def inscribe(self, name: GrantId, text: str) -> str:
        with self._lock:
            found = self.inscription(name)
            if found is None:
                draft = self._write_draft(name, text.encode())
                # Renamed over the empty one: the inscription appears whole or not at all.
                draft.replace(self._tombstone(name))
                self._sync()
            return found or text

    def inscription(self, name: GrantId) -> str | None:
        path = self._tombstone(name)
        return (path.read_text() or None) if path.exists() else None

    def _key(self, name: GrantId) -> Path:
        return self._folder / f"{name}.key"

    def _tombstone(self, name: GrantId) -> Path:
        return self._folder / f"{name}.ended"

    def _read(self, name: GrantId) -> bytes:
        raw = self._key(name).read_bytes()
        if len(raw) != _KEY_BYTES:
            raise Misuse(f"expected a key file of {_KEY_BYTES} bytes, found {len(raw)}")
        return raw

    def _write(self, name: GrantId, raw: bytes) -> None:
        draft = self._write_draft(name, raw)
        try:
            # A link fails when another process was first: then its key is the key.
            self._key(name).hardlink_to(draft)
        except FileExistsError:
            return
        finally:
            draft.unlink(missing_ok=True)
        self._sync()

    def _write_draft(self, name: GrantId, raw: bytes) -> Path:
        draft = self._folder / f".{name}.{secrets.token_hex(8)}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError as cause:
            draft.unlink(missing_ok=True)
            raise Unavailable("expected room for a key file, found none") from cause
        return draft

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _ended() -> Refused:
    return refuse("grant-ended", "a grant that never ended", "a tombstone", "grant_id")
