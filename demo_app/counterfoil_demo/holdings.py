"""Who holds which data now, by looking: every file of a house is searched for the facts.

A table of promises would be worth little. This reads the bytes on disk,
databases, journals and logs alike, the way a thief with a copy would: as they
are, in UTF-16, and inside base64, which is how credentials carry their claims.
"""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_CHUNK: Final = 1024 * 1024


def facts_found(folder: Path, facts: Mapping[str, Sequence[str]]) -> list[str]:
    """Give the names of those `facts` of which a spelling stands readable in a file of `folder`."""
    needles = {
        name: {needle for spelling in spellings for needle in needles_for(spelling)}
        for name, spellings in facts.items()
    }
    longest = max((len(needle) for group in needles.values() for needle in group), default=0)
    found: set[str] = set()
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        for window in _windows(path, longest):
            found |= {
                name for name, group in needles.items() if any(needle in window for needle in group)
            }
    return [name for name in facts if name in found]


def needles_for(spelling: str) -> set[bytes]:
    """Give the byte strings under which `spelling` may lie in a file."""
    if not spelling:
        return set()
    raw = spelling.encode("utf-8")
    needles = {raw, spelling.encode("utf-16-le")}
    for before in range(3):
        # Base64 takes three bytes at a time: the text may begin at any of them. Only
        # the characters that depend on the text alone are searched for.
        first = -(-before * 8 // 6)
        last = (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            needles.add(encode(b"\0" * before + raw)[first:last])
    return needles


def _windows(path: Path, overlap: int) -> Iterator[bytes]:
    # Each window begins with the end of the last: nothing hides on a boundary.
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield tail + chunk
            tail = chunk[-overlap:] if overlap else b""
