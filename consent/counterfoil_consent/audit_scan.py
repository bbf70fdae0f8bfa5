"""The scan for planted values: in databases, indexes, logs, dumps and backups, however written."""

import gzip
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from counterfoil_consent.audit_evidence import Evidence, Notes

_CHUNK: Final = 1024 * 1024
_MOST_BYTES: Final = 64 * 1024 * 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_SHORTEST: Final = 6


def planted_values_are_nowhere(evidence: Evidence, notes: Notes) -> None:
    """Check 13: none of the planted values is in any of the files.

    Looked for as UTF-8, UTF-16, in JSON's escapes, in hexadecimal and in base64; gzip
    is opened. What is encrypted or packed otherwise is not seen. No value is shown:
    a finding names the file, and the value by its place in the list.
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
        for path in _files(place):
            try:
                found = _found_in(path, needles)
            except OSError as trouble:
                notes.unknown(f"{path.name}: {type(trouble).__name__}")
                continue
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


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from sorted(
            path for path in place.rglob("*") if path.is_file() and not path.is_symlink()
        )


def _found_in(path: Path, needles: list[tuple[int, bytes]]) -> set[int]:
    with path.open("rb") as file:
        found = _found_in_stream(file, needles)
        file.seek(0)
        if file.read(2) == _GZIP:
            try:
                with gzip.open(path) as inside:
                    found |= _found_in_stream(inside, needles)
            except EOFError:
                pass
    return found


def _found_in_stream(
    stream: IO[bytes] | gzip.GzipFile, needles: list[tuple[int, bytes]]
) -> set[int]:
    overlap = max((len(needle) for _, needle in needles), default=1) - 1
    found: set[int] = set()
    tail = b""
    read = 0
    while (chunk := stream.read(_CHUNK)) and read < _MOST_BYTES:
        read += len(chunk)
        window = tail + chunk
        found |= {number for number, needle in needles if needle in window}
        tail = window[-overlap:] if overlap else b""
    return found
