"""A receiver's own files as a registered system: overwritten, then unlinked.

    FolderFiles(folder, pattern="invoices/{grant_id}.pdf", place=Place(name="invoices", ...))

The pattern names one file or one folder for each grant, below `folder`. Nothing
outside is ever touched: a link, on the way or at the end, is refused, because what it
leads to is not the folder's.
"""

import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from counterfoil_credentials.errors import Misuse, Unavailable

from counterfoil_consent.erased_system import ErasedSystem, Method
from counterfoil_consent.systems import Place
from counterfoil_consent.wire import Clock, GrantId, grant_id_of, refuse

_GRANT_ID: Final = "{grant_id}"
_CHUNK: Final = 1 << 20


class FolderFiles:
    """`RegisteredSystem` over the files of one folder."""

    def __init__(
        self, folder: Path, *, place: Place, clock: Clock, pattern: str = _GRANT_ID
    ) -> None:
        """Use `folder`, which must be there.

        Raises `Misuse` for a pattern that does not name the grant once, or leaves the folder.
        """
        parts = PurePosixPath(pattern).parts
        if pattern.count(_GRANT_ID) != 1 or pattern.startswith("/") or ".." in parts or not parts:
            raise Misuse("expected a path below the folder with {grant_id} once, found another")
        self.place = place
        self._folder = folder
        self._parts = parts
        self._clock = clock

    def erase(self, grant_id: GrantId) -> ErasedSystem:
        """Overwrite and unlink the grant's file, or every file of its folder.

        Raises `Refused` with `path-leaves-folder` for a link: then nothing is said to
        be erased, and somebody has to look.
        """
        with _naming_trouble():
            path = self._path(grant_id)
            if path is not None:
                _erase(path)
                _sync(path.parent)
        return self.place.erased(Method.OVERWRITTEN, self._clock())

    def holds(self, grant_id: GrantId) -> bool:
        """Say whether there is such a file or folder."""
        with _naming_trouble():
            return self._path(grant_id) is not None

    def _path(self, grant_id: GrantId) -> Path | None:
        """Give the grant's path, or None when nothing is there; no link is followed."""
        name = grant_id_of(grant_id, "grant_id")
        path = self._folder
        # A folder that is away must not look like files that are erased.
        if not path.is_dir():
            raise Unavailable("expected the folder of the files, found none")
        for part in self._parts:
            path /= part.replace(_GRANT_ID, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                return None
            _require_no_link(mode)
        return path


def _erase(path: Path) -> None:
    mode = path.lstat().st_mode
    _require_no_link(mode)
    if stat.S_ISDIR(mode):
        # Links first: whatever must be refused is refused before anything is gone.
        for below in path.rglob("*"):
            _require_no_link(below.lstat().st_mode)
        for below in sorted(path.iterdir()):
            _erase(below)
        path.rmdir()
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, secrets.token_bytes(min(left, _CHUNK)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()


def _require_no_link(mode: int) -> None:
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise refuse("path-leaves-folder", "files and folders", "a link or a device", "system")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _naming_trouble() -> Generator[None, None, None]:
    try:
        yield
    except OSError as cause:
        # Without the path: a file's name may say whose it is.
        raise Unavailable(f"expected the disk to take part, found {cause.strerror}") from cause
