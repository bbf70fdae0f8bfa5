"""Bring what is intact in a damaged wallet into a new one, and say what is not.

Every page is authenticated, so a page is whole or it is no page: what can be read is
what was written. The damaged file is read as a copy and stays as it is, for somebody
who knows more. Where the way through a table is damaged, or the file was cut, each page
is read by itself. Without page 1, which says what the others are, nothing is: restore
the backup.
"""

# ruff: noqa: S608  # the statements are put together from parts of our own, never from values

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Malformed
from counterfoil_credentials.sdjwt_vc import read_credential, time_at

from counterfoil_wallet.held import Copy, CredentialId, HeldCredential
from counterfoil_wallet.migrations import cards_of_records, version_of
from counterfoil_wallet.passphrase import Cost, FileKey
from counterfoil_wallet.sqlite_store import (
    DATABASE,
    FolderLock,
    SqliteStore,
    connect,
    key_of,
    telling,
)
from counterfoil_wallet.tables import CARD, COPY, RECORD, Row, card_in, copy_in, record_in
from counterfoil_wallet.wire import Random

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_UNKNOWN: Final = "unknown"
_BLOCK_BYTES: Final = 4_096
# What tells the rows of one table from the others, on a page that does not say of which it is.
_SHAPES: Final = {
    "records": {"kind": "text", "key": "text", "label": "text", "body": "blob"},
    "cards": {"card_id": "text", "issuer": "text", "vct": "text", "face": "integer"},
    "copies": {"card": "integer", "copy_id": "text", "sd_jwt": "text", "key": "blob"},
}


@dataclass(frozen=True, slots=True)
class Lost:
    """Rows `first` to `last` of a table could not be read; some of them may never have been.

    `issuer` and `vct` tell of a card of which nothing else is left.
    """

    table: str
    first: int
    last: int
    issuer: str = ""
    vct: str = ""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What the new wallet holds, and what it could not be given."""

    cards: int
    copies: int
    records: int
    lost: tuple[Lost, ...]


def salvage(
    folder: Path, passphrase: str, into: Path, *, random: Random, cost: Cost | None = None
) -> Salvaged:
    """Make a wallet in `into`, with the same passphrase, of what is intact in `folder`.

    A card whose own row is lost is made of its copies again, without its
    configuration; a copy of which it is lost whom it was shown to counts as shown.
    Raises as opening and creating do, and `Malformed` when page 1 is damaged.
    """
    key = key_of(folder, passphrase)
    ended: list[Salvaged] = []
    try:
        with telling():
            into.parent.mkdir(parents=True, exist_ok=True)
        with (
            telling(),
            closing(FolderLock(folder, writing=False)),
            TemporaryDirectory(dir=into.parent) as place,
        ):
            for name in (DATABASE, f"{DATABASE}-wal"):
                if (folder / name).exists():
                    _copy(folder / name, Path(place) / name)
            with closing(_Damaged(Path(place), key)) as damaged:
                SqliteStore.create(
                    into,
                    passphrase,
                    random=random,
                    cost=cost,
                    fill=lambda store: ended.append(_fill(store, damaged)),
                ).close()
    finally:
        key.forget()
    return ended[0]


def _copy(source: Path, to: Path) -> None:
    """Copy a file; what the disk does not give back of it is zeros, which are no page."""
    with source.open("rb", buffering=0) as file, to.open("xb") as copy:
        for offset in range(0, source.stat().st_size, _BLOCK_BYTES):
            try:
                file.seek(offset)
                block = file.read(_BLOCK_BYTES)
            except OSError:
                block = bytes(_BLOCK_BYTES)
            copy.write(block)


class _Damaged:
    """A database with damaged pages. The cipher ends a connection at the first of them."""

    def __init__(self, folder: Path, key: FileKey) -> None:
        self._folder = folder
        self._key = key
        self._connection = connect(folder, key, damaged=True)
        self.version = version_of(self._connection)
        self.lost: list[Lost] = []

    def close(self) -> None:
        self._connection.close()

    def read(self, query: str, *values: int) -> list[Row] | None:
        """Give the rows, or None when one of them is on a damaged page."""
        return self._read(query, values)

    def rows(self, table: str, columns: str) -> dict[int, Row]:
        """Give every intact row of a table by its position, and note the others as lost."""
        query = f"SELECT position, {columns} FROM {table} NOT INDEXED"
        whole = self.read(query)
        if whole is not None:
            return {row[0]: row[1:] for row in sorted(whole, key=_first_of)}
        found = {row[0]: row[1:] for row in self._page_by_page(table, query)}
        self._note(table, self._positions(table, found) - found.keys())
        return dict(sorted(found.items()))

    def _page_by_page(self, table: str, query: str) -> Iterator[Row]:
        """Give the rows of whichever page holds some, more than once where pages lead to others."""
        is_one = " AND ".join(f"typeof({name}) = '{of}'" for name, of in _SHAPES[table].items())
        ((pages,),) = self.read("PRAGMA page_count") or [(0,)]
        for page in range(2, int(pages) + 1):
            root = (table, page)
            rows = self._read(f"{query} WHERE {is_one}", (), root)
            if rows is not None:
                yield from rows
                continue
            # One of its rows goes on in a damaged page, or this is no page of a table.
            for (position,) in (
                self._read(f"SELECT position FROM {table} NOT INDEXED WHERE {is_one}", (), root)
                or ()
            ):
                yield from self._read(f"{query} WHERE position = ?", (position,), root) or ()
        self._reopen()

    def _positions(self, table: str, found: Collection[int]) -> set[int]:
        """Give which rows there were, or where nobody knows, all that there may have been."""
        by_index = f"SELECT position FROM {table} INDEXED BY sqlite_autoindex_{table}_1"
        known = self.read(by_index)
        if known is not None:
            return {row[0] for row in known}
        return set(range(1, max(found, default=0) + 2))

    def _read(
        self, query: str, values: tuple[int, ...], root: tuple[str, int] | None = None
    ) -> list[Row] | None:
        try:
            with telling():
                if root is not None:
                    self._begin_at(*root)
                return self._connection.execute(query, values).fetchall()
        except Malformed:
            self._reopen()
            return None

    def _begin_at(self, table: str, page: int) -> None:
        """Take `page` for the beginning of a table; what is written of it stays in memory."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")
        self._connection.execute("PRAGMA writable_schema = on")
        self._connection.execute(
            "UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (page, table)
        )
        self._connection.execute("PRAGMA writable_schema = reset")

    def _reopen(self) -> None:
        self._connection.close()
        self._connection = connect(self._folder, self._key, damaged=True)

    def _note(self, table: str, positions: set[int]) -> None:
        for position in sorted(positions):
            if self.lost and (self.lost[-1].table, self.lost[-1].last) == (table, position - 1):
                self.lost[-1] = replace(self.lost[-1], last=position)
            else:
                self.lost.append(Lost(table, position, position))


def _fill(store: SqliteStore, damaged: _Damaged) -> Salvaged:
    with store.step():
        for row in damaged.rows("records", RECORD).values():
            store.put(record_in(row))
        if damaged.version == 1:
            cards_of_records(store, store.connection)
        else:
            _fill_cards(store, damaged)
        ((cards, copies, records),) = store.connection.execute(
            "SELECT (SELECT count(*) FROM cards), (SELECT count(*) FROM copies),"
            " (SELECT count(*) FROM records)"
        ).fetchall()
    return Salvaged(cards, copies, records, tuple(damaged.lost))


def _fill_cards(store: SqliteStore, damaged: _Damaged) -> None:
    cards = damaged.rows("cards", f"face, issuer, vct, {CARD}")
    held: dict[int, dict[int, Row]] = {}
    for place, (position, *copy_row) in damaged.rows("copies", f"card, {COPY}").items():
        held.setdefault(position, {})[place] = tuple(copy_row)
    damaged.lost += [
        Lost("cards", position, position, issuer, vct)
        for position, (_, issuer, vct, *_) in cards.items()
        if position not in held
    ]
    for position, rows in sorted(held.items()):
        face, card = _card(cards.get(position), rows)
        if card is None:
            damaged.lost.append(Lost("cards", position, position))
            continue
        copies = {place: copy_in(row) for place, row in rows.items()}
        store.hold(card, [copy for place, copy in copies.items() if place != face])
        for place, copy in copies.items():
            shown = damaged.read("SELECT verifier, shown_at FROM showings WHERE copy = ?", place)
            for verifier, at in [(_UNKNOWN, 0)] if shown is None else shown:
                store.show(copy.copy_id, verifier, at=datetime.fromtimestamp(at, UTC))


def _first_of(row: Row) -> int:
    return int(row[0])


def _card(row: Row | None, copies: dict[int, Row]) -> tuple[int, HeldCredential | None]:
    first = next(iter(copies))
    if row is None:
        return first, _card_of_copy(copy_in(copies[first]))
    face = row[0] if row[0] in copies else first
    return face, card_in((*row[3:], *copies[face]))


def _card_of_copy(copy: Copy) -> HeldCredential | None:
    try:
        parsed = read_credential(copy.sd_jwt)
        claims = parsed.revealed.claims
        return HeldCredential(
            credential_id=CredentialId(copy.copy_id),
            issuer=parsed.unverified_issuer,
            vct=parsed.unverified_vct,
            configuration_id="",
            accepted_at=time_at(claims, "iat", "credential") or _EPOCH,
            expires_at=copy.expires_at,
            status=copy.status,
            copy=copy,
        )
    except CounterfoilError:
        return None
