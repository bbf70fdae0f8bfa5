"""Files that are there whole or not at all, and are read only as far as they may reach."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` under `path`, readable by its owner alone: durable when this returns.

    Killed before, `path` is what it was. Raises `Unavailable` when the disk does not
    take it.
    """
    draft = path.with_name(f".{path.name}.part")
    with telling(path):
        # What is there under that name is a killed program's, or planted: a link to elsewhere,
        # a file that others can read. It is never written through.
        draft.unlink(missing_ok=True)
        try:
            with open(draft, "xb", opener=_for_its_owner) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


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
