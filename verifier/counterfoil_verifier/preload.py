"""What a till takes along before it goes offline, in one file.

    gathering = Gathering(fetcher, clock)
    gathering.issuer("https://audio.example")       # its keys, and every status list of it
    gathering.document(trust_list_url, accept)      # a signed trust list, a DID document
    file = write_preload(gathering.documents, signer=shop_key, at=now)

    kept = read_preload(file, signed_by=shop_key.public, now=now)
    fetcher = PreloadedFetcher(GuardedFetcher(), kept, clock)

The file is a zip of the documents as they came, and a manifest with each one's address,
time and hash, signed with the shop's key: who carries it to the till can change nothing.
Trust and status lists ask the same fetcher as online, and judge what it gives as online:
signatures, and the age of a list, which is the issuer's word and not the file's.
"""

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    as_object,
    int_at,
    list_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import PublicKey, Signer
from counterfoil_credentials.sdjwt_vc import time_at

MAX_FILE_BYTES: Final = 192 * 1024 * 1024
_TYP: Final = "counterfoil-preload+jwt"
_MANIFEST: Final = "manifest.jwt"
_WHERE: Final = "preload"
_MAX_DOCUMENTS: Final = 2_000
_MAX_MANIFEST_BYTES: Final = 2 * 1024 * 1024
_MAX_BODIES_BYTES: Final = 128 * 1024 * 1024
_MAX_DIRECTORY_BYTES: Final = 512 * 1024
_END: Final = struct.Struct("<4s6xHI4xH")
_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What stood at `url` at `had_at`, as it came."""

    url: str
    media_type: str
    body: bytes = field(repr=False)
    had_at: datetime


@dataclass(frozen=True, slots=True)
class Preload:
    """A file's documents by address, and when the file was made."""

    made_at: datetime
    documents: Mapping[str, Document]


def write_preload(documents: Iterable[Document], *, signer: Signer, at: datetime) -> bytes:
    """Give the file of `documents`, signed; `Misuse` for more than a till would load."""
    each = tuple({document.url: document for document in documents}.values())
    size = sum(len(document.body) for document in each)
    if len(each) > _MAX_DOCUMENTS or size > _MAX_BODIES_BYTES:
        expected = f"at most {_MAX_DOCUMENTS} documents of {_MAX_BODIES_BYTES} bytes"
        raise Misuse(f"expected {expected}, found {len(each)} of {size}")
    listed: list[Json] = [
        {
            "url": document.url,
            "media_type": document.media_type,
            "had_at": int(document.had_at.timestamp()),
            "size": len(document.body),
            "sha256": sha256(document.body).hexdigest(),
        }
        for document in each
    ]
    manifest = sign_jws(
        {"iat": int(at.timestamp()), "documents": listed}, typ=_TYP, signer=signer, header={}
    )
    packed = io.BytesIO()
    # Stored as they are: a list is deflated already, and what is not inflated is no bomb.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
        for name, data in [
            (_MANIFEST, manifest.encode()),
            *((_name(number), document.body) for number, document in enumerate(each)),
        ]:
            file.writestr(zipfile.ZipInfo(name), data)
    return packed.getvalue()


def read_preload(
    data: bytes, *, signed_by: PublicKey, now: datetime, newer_than: datetime | None = None
) -> Preload:
    """Give what is in a file.

    `newer_than` is the `made_at` of the one loaded last: an older file would bring back what
    was revoked since. Raises `Malformed`, and `Refused` with `signature-invalid`,
    `preload-changed` (a document is not the one that was signed),
    `preload-from-the-future` or `preload-older`.
    """
    if len(data) > MAX_FILE_BYTES:
        raise Malformed(f"at most {MAX_FILE_BYTES} bytes", f"{len(data)}", _WHERE)
    _require_small_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return _read(file, signed_by, now, newer_than)
    # What the standard library raises for one broken byte or another of a zip.
    except (zipfile.BadZipFile, struct.error, ValueError, RuntimeError, EOFError, OSError) as cause:
        raise Malformed("a zip file that a till can read", "other bytes", _WHERE) from cause


def _read(
    file: zipfile.ZipFile, signed_by: PublicKey, now: datetime, newer_than: datetime | None
) -> Preload:
    token = _member(file, _MANIFEST, _MAX_MANIFEST_BYTES)
    try:
        text = token.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("an ASCII token", "other bytes", _MANIFEST) from None
    claims = read_jws(text, typ=_TYP, where=_WHERE, max_bytes=_MAX_MANIFEST_BYTES).verify(signed_by)
    made_at = time_at(claims, "iat", _WHERE)
    if made_at is None:
        raise Malformed("a time", "none", f"{_WHERE}.iat")
    if made_at > now + _SKEW:
        raise _refused("preload-from-the-future", "a file made by now", "a later one", "iat")
    if newer_than is not None and made_at < newer_than:
        raise _refused(
            "preload-older", f"a file from {newer_than} on", f"one from {made_at}", "iat"
        )
    listed = list_at(claims, "documents", _WHERE)
    documents: dict[str, Document] = {}
    left = _MAX_BODIES_BYTES
    for number, one in enumerate(listed):
        where = f"{_WHERE}.documents[{number}]"
        entry = as_object(one, where)
        size, had_at = int_at(entry, "size", where), time_at(entry, "had_at", where)
        if had_at is None or not 0 <= size <= left:
            raise Malformed("a time, and a size that fits", "others", where)
        body = _member(file, _name(number), size)
        left -= size
        if sha256(body).hexdigest() != text_at(entry, "sha256", where):
            raise _refused("preload-changed", "the document that was signed", "another", where)
        url = text_at(entry, "url", where)
        documents[url] = Document(
            url=url, media_type=text_at(entry, "media_type", where), body=body, had_at=had_at
        )
    return Preload(made_at, documents)


def _require_small_directory(data: bytes) -> None:
    """Return only if the zip names no more members than a till's file has.

    Python reads the whole directory to open a zip, before any signature can be checked.
    """
    # The end of a zip without a comment, and what precedes it in one of 64 bits.
    end = data[-_END.size :]
    if len(end) == _END.size:
        mark, count, size, comment = _END.unpack(end)
        is_ours = mark == b"PK\5\6" and not comment and data[-42:-38] != b"PK\6\7"
        if is_ours and count <= _MAX_DOCUMENTS + 1 and size <= _MAX_DIRECTORY_BYTES:
            return
    raise Malformed("a zip file with a till's small directory", "another", _WHERE)


def _member(file: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    try:
        info = file.getinfo(name)
    except KeyError:
        raise Malformed(f"a member {name}", "none", _WHERE) from None
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > max_bytes:
        raise Malformed(f"at most {max_bytes} bytes, stored", "others", name)
    with file.open(info) as member:
        return member.read(max_bytes)


def _name(number: int) -> str:
    return f"documents/{number:04d}"


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, f"{_WHERE}.{where}"))
