"""The scan for planted values: in databases, indexes, logs, dumps and backups, however written."""

import gzip
import os
import zlib
from base64 import b64encode
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

from counterfoil_consent.audit_evidence import Evidence, Notes

_CHUNK: Final = 1024 * 1024
_MOST_BYTES: Final = 64 * 1024 * 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_SHORTEST: Final = 6
_PACKED: Final = {
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"PGDMP": "a dump of pg_dump's own format",
}
"""What files that hold something packed begin with."""

_LONGEST_MARK: Final = 8


def planted_values_are_nowhere(evidence: Evidence, notes: Notes) -> None:
    """Check 13: none of the planted values is in any of the files.

    Looked for as UTF-8, UTF-16, in JSON's escapes, in hexadecimal and in base64; gzip
    is opened. A file that is packed otherwise, or that cannot be read to its end, is not
    known; what is encrypted is not seen. No value is shown: a finding names the file, and
    the value by its place in the list.
    """
    scan = evidence.scan
    if scan is None or not scan.values:
        return
    if short := [str(i) for i, value in enumerate(scan.values, 1) if len(value) < _SHORTEST]:
        notes.unknown(f"values shorter than {_SHORTEST} characters: {', '.join(short)}")
    needles = [
        (place, needle)
        for place, value in enumerate(scan.values, 1)
        if len(value) >= _SHORTEST
        for needle in spellings(value)
    ]
    count = 0
    for place in scan.places:
        if not place.exists():
            notes.unknown(f"{place.name}: not there")
        for path in _files(place, notes):
            found: set[int] = set()
            try:
                _find_in(path, needles, found, notes)
            except (OSError, EOFError, zlib.error) as trouble:
                notes.unknown(f"{path.name}: not read to its end, {type(trouble).__name__}")
            count += 1
            for number in sorted(found):
                notes.wrong(f"{path.name}: holds planted value {number}")
    if count:
        notes.fine(f"{count} files, {len(scan.values)} planted values")


def spellings(value: str) -> set[bytes]:
    """Give what `value` looks like in a file."""
    raw = value.encode()
    escaped = "".join(c if ord(c) < 128 else f"\\u{ord(c):04x}" for c in value if ord(c) < 65_536)
    # Three ways in which base64 can fall on it; the ends mix with what stands beside it.
    cut = [b64encode(bytes(shift) + raw)[4 if shift else 0 : -4] for shift in range(3)]
    encoded = [part for part in cut if len(part) >= _SHORTEST]
    return {
        raw,
        escaped.encode(),
        value.encode("utf-16-le"),
        value.encode("utf-16-be"),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        *encoded,
        *(part.replace(b"+", b"-").replace(b"/", b"_") for part in encoded),
    }


def _files(place: Path, notes: Notes) -> Iterator[Path]:
    if place.is_file():
        yield place
        return

    def closed(trouble: OSError) -> None:
        name = Path(trouble.filename or place).name
        notes.unknown(f"{name}: {type(trouble).__name__}")

    for folder, _, names in sorted(os.walk(place, onerror=closed)):
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_symlink():
                notes.unknown(f"{path.name}: a link, name what it leads to")
            elif path.is_file():
                yield path


def _find_in(path: Path, needles: list[tuple[int, bytes]], found: set[int], notes: Notes) -> None:
    with path.open("rb") as file:
        head = file.read(_LONGEST_MARK)
        packed = [name for mark, name in _PACKED.items() if head.startswith(mark)]
        if packed:
            notes.unknown(f"{path.name}: packed as {packed[0]}, unpack it first")
        file.seek(0)
        _find_in_stream(file, needles, found)
    if head.startswith(_GZIP):
        with gzip.open(path) as inside:
            _find_in_stream(inside, needles, found)


def _find_in_stream(
    stream: BufferedReader | gzip.GzipFile, needles: list[tuple[int, bytes]], found: set[int]
) -> None:
    """Add the numbers of the values in `stream`; what was found before an error stays found."""
    overlap = max((len(needle) for _, needle in needles), default=1) - 1
    tail = b""
    read = 0
    # One piece at a time: of a torn file all that can be unpacked is looked at.
    while (
        chunk := stream.read1(_CHUNK) if isinstance(stream, gzip.GzipFile) else stream.read(_CHUNK)
    ):
        read += len(chunk)
        if read > _MOST_BYTES:
            raise EOFError
        window = tail + chunk
        found |= {number for number, needle in needles if needle in window}
        tail = window[-overlap:] if overlap else b""
