"""Look through what a shop leaves behind for values that were shown to it.

A value may lie there in many spellings: `spelled` gives them, and `scan` looks for each in
files, in what archives and codes hold, and in PostgreSQL's own files.
"""

import base64
import json
import logging
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from counterfoil_credentials.encoding import b64url
from counterfoil_service import logs, serving
from counterfoil_verifier.verifier import Verifier
from psycopg.sql import SQL, Identifier

_CODES = re.compile(rb"CFQ1:[A-Z2-7]{8}:1/1:([A-Z2-7]+)")


def spelled(value: str) -> list[bytes]:
    """Give the ways in which a value may be written, each as bytes to look for."""
    found: list[bytes] = []
    for plain in (value.encode(), value.encode("utf-16-le"), value.encode("utf-16-be")):
        found += [plain, plain.hex().encode(), plain.hex().upper().encode()]
        for shift in range(5):
            # It lies at any offset of what is encoded; the ragged ends are others' too.
            shifted = b"x" * shift + plain
            if shift < 3:
                found += [base64.b64encode(shifted)[4:-4], b64url(shifted)[4:-4].encode()]
            found.append(base64.b32encode(shifted)[8:-8])
    found += [
        json.dumps(value)[1:-1].encode(),
        json.dumps(json.dumps(value)[1:-1])[1:-1].encode(),
        value.encode("unicode_escape"),
        repr(value.encode())[2:-1].encode(),
        quote(value).encode(),
        quote(value).lower().encode(),
    ]
    return [*dict.fromkeys(found)]


def scan(folders: Iterable[Path], wanted: Iterable[bytes]) -> list[str]:
    """Give each file with what was found in it."""
    wanted = [*wanted]
    assert all(len(each) >= 8 for each in wanted)
    return [
        f"{file}: {each!r}"
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        for content in _contents(file.read_bytes())
        for each in wanted
        if each in content
    ]


def _contents(data: bytes) -> Iterator[bytes]:
    """Give what a file holds, and what is packed in it."""
    yield data
    if data.startswith(b"PK"):
        with zipfile.ZipFile(BytesIO(data)) as packed:
            for name in packed.namelist():
                yield from _contents(packed.read(name))
    for code in _CODES.findall(data):
        padded = code + b"=" * (-len(code) % 8)
        yield zlib.decompress(base64.b32decode(padded))


def as_it_is_written(url: str) -> None:
    """Have PostgreSQL write each text as it is: what it packs, nobody could find."""
    columns = (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type IN ('text', 'character varying')"
    )
    with psycopg.connect(url) as connection:
        for table, column in connection.execute(columns).fetchall():
            change = SQL("ALTER TABLE {} ALTER COLUMN {} SET STORAGE EXTERNAL")
            connection.execute(change.format(Identifier(table), Identifier(column)))


def files_of(url: str) -> list[Path]:
    """Give the folders of a PostgreSQL database: its own, and those of the log and temporary."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        (number,) = connection.execute(
            "SELECT oid FROM pg_database WHERE datname = %s", (urlsplit(url).path[1:],)
        ).fetchone() or (0,)
        (where,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    folder = Path(where)
    # Other databases of the server are of others.
    rest = [each for each in folder.iterdir() if each.is_dir() and each.name != "base"]
    return [folder / "base" / str(number), *rest]


def say_everything() -> None:
    """Let the process that calls it log at every level, of every library."""
    usual = logs.log_as_json

    def log_as_json() -> None:
        usual()
        for name in (None, "counterfoil.requests", "uvicorn", "asyncio"):
            logging.getLogger(name).setLevel(logging.DEBUG)

    setattr(serving, "log_as_json", log_as_json)  # noqa: B010  # as nobody should


def crash() -> None:
    """Let each answer that was good end as nobody foresaw, with all that was shown in the error."""
    say_everything()
    verify = Verifier.verify

    def crashing(*given: Any, **more: Any) -> None:  # noqa: ANN401
        accepted = verify(*given, **more)
        raise RuntimeError(f"what nobody foresaw about {accepted.claims!r} in {given!r}")

    setattr(Verifier, "verify", crashing)  # noqa: B010  # likewise
