"""Roots, batches and salts in files.

    anchor/roots.jsonl     one line a root, each naming the digest of the line before
    anchor/batches/N.json  the whole batch, for everybody
    anchor/waiting.jsonl   leaves whose batch is not due yet
    salts/GRANT.tickets    what proves a grant's leaves, until it ends
    salts/GRANT.ended      it has

Everything is on disk before a call returns. `anchor` may be copied and shown to
anybody; `salts` belongs beside the one-time keys, out of every backup.
"""

import os
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    canonical_json,
    from_b64url,
    int_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Unavailable

from counterfoil_consent.anchor_tree import MAX_BATCH_BYTES, Batch, ListOpening
from counterfoil_consent.anchoring import Ticket, ended_refusal
from counterfoil_consent.wire import Digest, GrantId, digest_of, refuse, require_members

_BEGINNING: Final = digest_of("counterfoil anchor roots")
_WHERE: Final = "roots"


class FileAnchor:
    """`Anchor` over one folder, with one process that writes."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made when missing. Raises as `read_roots` does."""
        self._folder = folder
        self._lock = threading.Lock()
        with _naming_trouble():
            (folder / "batches").mkdir(mode=0o755, parents=True, exist_ok=True)
            cut_torn_line(self._lines)
        self._roots, self._head = read_roots(self._lines)

    def wait(self, leaf: bytes, opening: ListOpening | None) -> None:
        said: JsonObject = {"leaf": b64url(leaf)}
        if opening is not None:
            said["list"] = opening.to_json()
        with self._lock, _naming_trouble():
            _append(self._waiting, canonical_json(said) + b"\n")

    def waiting(self) -> tuple[list[bytes], list[ListOpening]]:
        with self._lock, _naming_trouble():
            return self._read_waiting()

    def publish(self, batch: Batch) -> Batch:
        with self._lock, _naming_trouble():
            if batch.number <= max(self._roots, default=-1):
                raise Misuse("expected a number higher than all before, found another")
            path = self._batch(batch.number)
            if path.exists():
                # Written before a crash and never rooted: what was drawn first is what counts.
                batch = Batch.from_bytes(path.read_bytes())
            else:
                _replace(path, batch.to_bytes())
            line = canonical_json(
                {
                    "number": batch.number,
                    "root": b64url(batch.root),
                    "leaves": len(batch.leaves),
                    "previous": self._head,
                }
            )
            _append(self._lines, line + b"\n")
            self._roots[batch.number], self._head = batch.root, digest_of(line)
            self._keep_waiting_without(set(batch.leaves))
            return batch

    def roots(self) -> dict[int, bytes]:
        with self._lock:
            return dict(self._roots)

    def batch(self, number: int) -> Batch | None:
        with self._lock, _naming_trouble():
            path = self._batch(number)
            if number not in self._roots or not path.exists():
                return None
            return read_batch(path)

    @property
    def _lines(self) -> Path:
        return self._folder / "roots.jsonl"

    @property
    def _waiting(self) -> Path:
        return self._folder / "waiting.jsonl"

    def _batch(self, number: int) -> Path:
        return self._folder / "batches" / f"{number}.json"

    def _read_waiting(self) -> tuple[list[bytes], list[ListOpening]]:
        leaves: list[bytes] = []
        lists: list[ListOpening] = []
        for line in _lines_of(self._waiting):
            said = parse_object(line, "waiting")
            leaves.append(from_b64url(text_at(said, "leaf", "waiting"), "waiting.leaf"))
            if "list" in said:
                where = "waiting.list"
                lists.append(ListOpening.from_json(object_at(said, "list", "waiting"), where))
        return leaves, lists

    def _keep_waiting_without(self, published: set[bytes]) -> None:
        # A leaf that waits again after a crash is found in its batch here, and goes.
        kept = [
            line
            for line in _lines_of(self._waiting)
            if from_b64url(text_at(parse_object(line, "waiting"), "leaf", "waiting"), "waiting")
            not in published
        ]
        _replace(self._waiting, b"".join(line + b"\n" for line in kept))


class FileSalts:
    """`Salts` in a folder of mode 0700. Destroying overwrites, syncs and unlinks."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made when missing."""
        self._folder = folder
        self._lock = threading.Lock()
        with _naming_trouble():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, grant_id: GrantId, ticket: Ticket) -> None:
        with self._lock, _naming_trouble():
            if self._tombstone(grant_id).exists():
                raise ended_refusal()
            _append(self._tickets(grant_id), canonical_json(ticket.to_json()) + b"\n")

    def find(self, grant_id: GrantId) -> list[Ticket]:
        with self._lock, _naming_trouble():
            if self._tombstone(grant_id).exists():
                return []
            lines = _lines_of(self._tickets(grant_id))
            return [Ticket.from_json(parse_object(line, "stored_ticket")) for line in lines]

    def destroy(self, grant_id: GrantId) -> None:
        with self._lock, _naming_trouble():
            # The tombstone first: a crash between leaves salts that nobody may use.
            self._tombstone(grant_id).touch(mode=0o600)
            _sync(self._folder)
            path = self._tickets(grant_id)
            if path.exists():
                with path.open("r+b") as file:
                    file.write(secrets.token_bytes(path.stat().st_size))
                    file.flush()
                    os.fsync(file.fileno())
                path.unlink()
                _sync(self._folder)

    def _tickets(self, grant_id: GrantId) -> Path:
        return self._folder / f"{grant_id}.tickets"

    def _tombstone(self, grant_id: GrantId) -> Path:
        return self._folder / f"{grant_id}.ended"


def read_roots(path: Path) -> tuple[dict[int, bytes], Digest]:
    """Give the roots by number in the file `roots.jsonl`, and the head of their chain.

    Raises `Refused` with `roots-broken` where a line does not follow the one before,
    `Malformed` for one that is not a root.
    """
    roots: dict[int, bytes] = {}
    head = _BEGINNING
    with _naming_trouble():
        lines = _lines_of(path)
    for line in lines:
        said = parse_object(line, _WHERE)
        require_members(said, ("number", "root", "leaves", "previous"), _WHERE)
        number = int_at(said, "number", _WHERE)
        root = from_b64url(text_at(said, "root", _WHERE), f"{_WHERE}.root")
        if len(root) != 32:
            raise Malformed("a root of 32 bytes", f"{len(root)}", f"{_WHERE}.root")
        if text_at(said, "previous", _WHERE) != head or number <= max(roots, default=-1):
            raise refuse("roots-broken", "a line that follows the last", "another", _WHERE)
        roots[number], head = root, digest_of(line)
    return roots, head


def read_batch(path: Path) -> Batch:
    """Give the batch in one file; `Malformed` for what is none."""
    with _naming_trouble(), path.open("rb") as file:
        return Batch.from_bytes(file.read(MAX_BATCH_BYTES + 1))


def _lines_of(path: Path) -> list[bytes]:
    # What follows the last line break was being written when the power went.
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def cut_torn_line(path: Path) -> None:
    """Cut off what was being written to the end of a file of lines when the power went."""
    if path.exists():
        whole = path.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end != len(whole):
            os.truncate(path, end)


def _append(path: Path, line: bytes) -> None:
    is_first = not path.exists()
    if not is_first:
        cut_torn_line(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_first:
        _sync(path.parent)


def _replace(path: Path, raw: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync(path.parent)


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
        # The class alone: the text of the cause would tell the folder's path to a caller.
        found = type(cause).__name__
        raise Unavailable(f"expected the anchor's folder to take part, found {found}") from cause
