"""Who holds which data now, by looking: every file of a house is searched for the facts.

A table of promises would be worth little. This reads the bytes on disk,
databases, journals and logs alike, the way a thief with a copy would.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_CHUNK: Final = 1024 * 1024


def facts_found(folder: Path, facts: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the names of those `facts` of which a spelling stands readable in a file of `folder`."""
    found = {
        name
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for name, spellings in facts.items()
        if any(_stands_in(path, spelling) for spelling in spellings)
    }
    return [name for name in facts if name in found]


def _stands_in(path: Path, spelling: str) -> bool:
    if not spelling:
        return False
    return any(
        needle in window
        for needle in (spelling.encode("utf-8"), spelling.encode("utf-16-le"))
        for window in _windows(path, len(needle))
    )


def _windows(path: Path, overlap: int) -> Iterator[bytes]:
    # Each window begins with the end of the last: nothing hides on a boundary.
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield tail + chunk
            tail = chunk[-overlap:]
