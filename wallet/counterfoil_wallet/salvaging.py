"""Bring what is intact in a damaged wallet into a new one, and say what is not.

Every page is authenticated, so a page is whole or it is no page: what can be read is
what was written. The damaged file is read as a copy and stays as it is, for somebody
who knows more. What a damaged page 1 describes is out of reach: restore the backup.
"""

# ruff: noqa: S608  # the statements are put together from parts of our own, never from values

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
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
# No row is shorter: more of them than this are on no page.
_MOST_ROWS_A_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Lost:
    """Rows `first` to `last` of a table could not be read; some of them may never have been."""

    table: str
    first: int
    last: int


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
        with closing(FolderLock(folder)), TemporaryDirectory(dir=into.parent) as place:
            for suffix in ("", "-wal"):
                source = folder / f"{DATABASE}{suffix}"
                if source.exists():
                    shutil.copyfile(source, Path(place) / source.name)
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


class _Damaged:
    """A database with damaged pages. The cipher ends a connection at the first of them."""

    def __init__(self, folder: Path, key: FileKey) -> None:
        self._folder = folder
        self._key = key
        self._connection = connect(folder, key)
        self.version = version_of(self._connection)
        self.lost: list[Lost] = []

    def close(self) -> None:
        self._connection.close()

    def read(self, query: str, *values: int) -> list[Row] | None:
        """Give the rows, or None when one of them is on a damaged page."""
        try:
            with telling():
                return self._connection.execute(query, values).fetchall()
        except Malformed:
            self._connection.close()
            self._connection = connect(self._folder, self._key)
            return None

    def rows(self, table: str, columns: str) -> Iterator[Row]:
        """Give every intact row of a table, in order, and note the rest as lost."""
        yield from self._between(f"SELECT {columns} FROM {table}", table, 1, self._last(table))

    def _between(self, query: str, table: str, first: int, last: int) -> Iterator[Row]:
        if first > last:
            return
        found = self.read(f"{query} WHERE position BETWEEN ? AND ? ORDER BY position", first, last)
        if found is not None:
            yield from found
        elif first == last:
            self._note(table, first)
        else:
            middle = (first + last) // 2
            yield from self._between(query, table, first, middle)
            yield from self._between(query, table, middle + 1, last)

    def _last(self, table: str) -> int:
        for index in ("NOT INDEXED", f"INDEXED BY sqlite_autoindex_{table}_1"):
            found = self.read(f"SELECT ifnull(max(position), 0) FROM {table} {index}")
            if found is not None:
                return int(found[0][0])
        ((pages,),) = self.read("PRAGMA page_count") or [(0,)]
        return int(pages) * _MOST_ROWS_A_PAGE

    def _note(self, table: str, position: int) -> None:
        if self.lost and (self.lost[-1].table, self.lost[-1].last) == (table, position - 1):
            self.lost[-1] = replace(self.lost[-1], last=position)
        else:
            self.lost.append(Lost(table, position, position))


def _fill(store: SqliteStore, damaged: _Damaged) -> Salvaged:
    with store.step():
        for row in damaged.rows("records", RECORD):
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
    cards = {row[0]: row for row in damaged.rows("cards", f"position, face, {CARD}")}
    read = damaged.rows("copies", f"card, position, {COPY}")
    held = {
        card: {row[1]: row[2:] for row in rows}
        for card, rows in groupby(sorted(read, key=_card_then_place), key=lambda row: row[0])
    }
    for position, rows in held.items():
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


def _card_then_place(row: Row) -> tuple[int, int]:
    return row[0], row[1]


def _card(row: Row | None, copies: dict[int, Row]) -> tuple[int, HeldCredential | None]:
    first = next(iter(copies))
    if row is None:
        return first, _card_of_copy(copy_in(copies[first]))
    face = row[1] if row[1] in copies else first
    return face, card_in((*row[2:], *copies[face]))


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
