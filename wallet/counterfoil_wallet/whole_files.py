"""Files and folders that are there whole or not at all, and are read only as far as they may reach.

What is written goes into a draft beside its place, which no other program writes to. A
program that was killed leaves its draft behind: the next one for the same place removes it.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO

from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable

if sys.platform == "win32":

    @contextmanager
    def _held(_draft: Path) -> Generator[None, None, None]:
        # An open file is not removed there.
        yield

else:
    import fcntl

    @contextmanager
    def _held(draft: Path) -> Generator[None, None, None]:
        # Neither through a link that was planted, nor waiting for a pipe.
        entry = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(entry, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(entry)


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` under `path`, readable by its owner alone: durable when this returns.

    Killed before, `path` is what it was. Of two who write it at once, the last one's is
    there, and the other may be told so. Raises `Unavailable` when the disk does not take it.
    """
    with telling(path):
        _sweep(path)
        descriptor, name = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file, _held(draft):
                _put(file, data)
                file.close()
                draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_whole_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make `folder` of `files`, by their paths inside, as `write_whole` makes a file."""
    with telling(folder):
        _sweep(folder)
        draft = Path(tempfile.mkdtemp(".part", f".{folder.name}.", folder.parent))
        try:
            with _held(draft):
                for name, data in files.items():
                    (draft / name).parent.mkdir(mode=0o700, exist_ok=True)
                    with open(draft / name, "xb", opener=_for_its_owner) as file:
                        _put(file, data)
                for inside in {(draft / name).parent for name in files}:
                    sync_folder(inside)
                draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_folder(folder.parent)


def _sweep(path: Path) -> None:
    """Remove what killed programs left behind of `path`; the draft of a living one is held."""
    for draft in path.parent.glob(f".{escape(path.name)}.????????.part"):
        with suppress(OSError), _held(draft):
            if not draft.is_dir():
                draft.unlink()
            elif os.name == "posix":
                shutil.rmtree(draft)


def _put(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def read_start(path: Path, max_bytes: int) -> bytes | None:
    """Give the first bytes of what is there, or None where nothing is."""
    with telling(path):
        if not path.exists():
            return None
        if not path.is_file():
            raise Refused(Reason("not-a-file", "a file, or none yet", "something else", path.name))
        with path.open("rb") as file:
            return file.read(max_bytes)


def read_whole(path: Path, max_bytes: int) -> bytes:
    """Give what the file holds; `Malformed` when it is longer, or no file; `Unavailable`."""
    with telling(path):
        if not path.exists():
            raise Refused(Reason("file-missing", "a file", "none", path.name))
        # A pipe or a device may never end.
        if not path.is_file():
            raise Malformed("a file", "something else", path.name)
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Malformed(f"at most {max_bytes} bytes", "more", path.name)
    return data


def sync_folder(folder: Path) -> None:
    """Bring the folder's entries to the disk, where the platform can."""
    if os.name == "posix":
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)


@contextmanager
def telling(path: Path) -> Generator[None, None, None]:
    """Say what went wrong with `path` in our own words."""
    try:
        yield
    except ValueError as cause:  # a path with a zero character
        raise Malformed("a path of whole characters", "another text", "path") from cause
    except OSError as cause:
        found = type(cause).__name__
        raise Unavailable(f"expected the disk to serve {path.name}, found {found}") from cause
