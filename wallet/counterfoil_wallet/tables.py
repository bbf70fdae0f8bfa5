"""The verbs of the store over one SQLite connection, encrypted on disk or plain in memory."""

# ruff: noqa: S608  # the statements are put together from parts of our own, never from values

import re
import threading
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

from counterfoil_credentials.claims import ClaimPath, values_at
from counterfoil_credentials.encoding import Json, compact_json
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import StatusReference, read_credential

from counterfoil_wallet.held import Copy, CopyId, CredentialId, HeldCredential
from counterfoil_wallet.searching import (
    fact_path,
    fact_value,
    found_by,
    query_of,
    require_findable,
)
from counterfoil_wallet.store import (
    CopiesLeft,
    Kind,
    NoFreshCopy,
    Record,
    Showing,
    Taken,
    locked,
)

Value: TypeAlias = str | bytes | int | None
# What a column holds, the tables say (they are STRICT); the functions at the end make values of it.
Row: TypeAlias = tuple[Any, ...]

RECORD: Final = "kind, key, label, body"
COPY: Final = "copy_id, sd_jwt, key, keeper, expires_at"
CARD: Final = (
    "card_id, issuer, vct, configuration_id, accepted_at, expires_at,"
    " status_url, status_index, state, trashed_at"
)
_KEEPER: Final = COPY.split(", ").index("keeper")
_COPY: Final = ", ".join(f"f.{name}" for name in COPY.split(", "))
_CARD: Final = ", ".join(f"c.{name}" for name in CARD.split(", "))
_CARDS: Final = f"SELECT {_CARD}, {_COPY} FROM cards c JOIN copies f ON f.position = c.face"
_PLACES: Final = (
    "SELECT (SELECT position FROM cards WHERE card_id = ?),"
    " (SELECT ifnull(max(position), 0) + 1 FROM cards),"
    " (SELECT ifnull(max(position), 0) + 1 FROM copies)"
)
_FACELESS: Final = (
    "SELECT count(*) FROM cards c WHERE NOT EXISTS"
    " (SELECT 1 FROM copies WHERE position = c.face AND card = c.position)"
)
_MOST_FOUND: Final = 2**31
_TREE_AND_PAGE: Final = re.compile(r"^Tree (\d+) page (\d+)", re.MULTILINE)
# Every card that was indexed has a place among the words, if only an empty one.
_INDEXED: Final = "(SELECT ifnull(max(id), 0) FROM words_docsize)"
_HAS_NEW_CARDS: Final = f"SELECT (SELECT max(position) FROM cards) > {_INDEXED}"
_NEW_CARDS: Final = (
    "SELECT c.position, f.sd_jwt FROM cards c JOIN copies f ON f.position = c.face"
    f" WHERE c.position > {_INDEXED} ORDER BY c.position"
)


class Rows(Protocol):
    """What a statement gives."""

    def fetchall(self) -> list[Row]:
        """Give all rows that are left."""
        ...


class Connection(Protocol):
    """What we use of apsw's connection; its own types name one that Python 3.11 lacks."""

    @property
    def in_transaction(self) -> bool: ...
    def execute(
        self, statements: str, bindings: Sequence[Value] = ..., *, can_cache: bool = ...
    ) -> Rows: ...
    def executemany(self, statements: str, rows: Sequence[Sequence[Value]]) -> Rows: ...
    def pragma(self, name: str, value: str | None = ...) -> object: ...
    def close(self) -> None: ...


class Tables:
    """A store over a connection of its own. `telling` says in our words what goes wrong with it."""

    def __init__(
        self,
        connection: Connection,
        telling: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._connection: Connection | None = connection
        self._telling = telling
        # Whose keys can be used: the file's own, and those of the stores that are here.
        self._keepers = {""}
        # Reentrant: a verb called inside a step joins it.
        self._lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def step(self) -> Generator[None, None, None]:
        with self._lock:
            with self._telling():
                connection = self._open_connection()
                self._require_whole(connection)
                # The outermost begins a transaction; the ones inside can be undone alone.
                connection.execute("SAVEPOINT step")
            self._depth += 1
            try:
                yield
                with self._telling():
                    self._require_whole(connection)
                    connection.execute("RELEASE step")
            except BaseException:
                # A full disk undoes the whole transaction by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK TO step; RELEASE step")
                raise
            finally:
                self._depth -= 1

    def _require_whole(self, connection: Connection) -> None:
        if self._depth > 0 and not connection.in_transaction:
            raise Unavailable("expected the disk to take a step, found it undone")

    def get(self, kind: Kind, key: str) -> Record | None:
        rows = self._read(f"SELECT {RECORD} FROM records WHERE kind = ? AND key = ?", kind, key)
        return record_in(rows[0]) if rows else None

    def find(self, kind: Kind, labels: Collection[str] | None = None) -> list[Record]:
        labelled, values = ("", []) if labels is None else _among(" AND label", labels)
        rows = self._read(
            f"SELECT {RECORD} FROM records WHERE kind = ?{labelled} ORDER BY position",
            kind,
            *values,
        )
        return [record_in(row) for row in rows]

    def put(self, *records: Record) -> None:
        rows = [(record.kind, record.key, record.label, record.body) for record in records]
        self._write(
            "INSERT INTO records (kind, key, label, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET label = excluded.label, body = excluded.body",
            *rows,
        )

    def forget(self, kind: Kind, *keys: str) -> None:
        self._write(
            "DELETE FROM records WHERE kind = ? AND key = ?", *((kind, key) for key in keys)
        )

    def hold(self, card: HeldCredential, copies: Collection[Copy] = ()) -> None:
        status = (None, None) if card.status is None else (card.status.url, card.status.index)
        # One savepoint for all: each statement's own would cost as much as the statement.
        with self.step(), self._telling():
            run = self._open_connection()
            ((known, next_card, next_copy),) = self._read(_PLACES, card.credential_id)
            position = next_card if known is None else known
            run.executemany(
                "INSERT INTO copies (position, card, copy_id, sd_jwt, key, keeper, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (copy_id) DO NOTHING",
                [
                    (place, position, copy.copy_id, copy.issued, copy.key, copy.keeper, ends)
                    for place, copy in enumerate((card.copy, *copies), next_copy)
                    for ends in (_seconds(copy.expires_at),)
                ],
            )
            face = self._read(
                "SELECT position FROM copies WHERE copy_id = ? AND card = ?",
                card.copy.copy_id,
                position,
            )
            if not face:
                raise Misuse("expected a copy of this card to read it from, found another card's")
            run.execute(
                "INSERT INTO cards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (card_id) DO UPDATE SET face = excluded.face,"
                " expires_at = excluded.expires_at, status_url = excluded.status_url,"
                " status_index = excluded.status_index",
                (
                    position,
                    card.credential_id,
                    card.issuer,
                    card.vct,
                    card.configuration_id,
                    _seconds(card.accepted_at),
                    _seconds(card.expires_at),
                    *status,
                    card.state,
                    _seconds(card.trashed_at),
                    *face[0],
                ),
            )
            if known is not None:
                # Its new copy may say it anew. The others first: the last one found marks the end.
                self._index_new_cards()
                self._unindex(known)
                self._index(known, card.copy.issued)

    def card(self, credential_id: CredentialId) -> HeldCredential | None:
        found = self._cards("WHERE c.card_id = ?", credential_id)
        return found[0] if found else None

    def cards(
        self, types: Collection[str] | None = None, *, trashed: bool | None = False
    ) -> list[HeldCredential]:
        typed, values = ("", []) if types is None else _among(" AND c.vct", types)
        wanted = {None: "1", False: "c.trashed_at IS NULL", True: "c.trashed_at IS NOT NULL"}
        return self._cards(f"WHERE {wanted[trashed]}{typed} ORDER BY c.position", *values)

    def cards_with(self, path: ClaimPath, value: Json) -> list[HeldCredential]:
        require_findable(path, value)
        self._index_new_cards()
        found = self._cards(
            "WHERE c.trashed_at IS NULL AND c.position IN"
            " (SELECT card FROM facts WHERE path = ? AND value = ?) ORDER BY c.position",
            fact_path(path),
            fact_value(value),
        )
        if not any(isinstance(step, int) for step in path):
            return found
        # The facts do not tell a list's elements apart; the card does.
        wanted = fact_value(value)
        return [card for card in found if wanted in map(fact_value, values_at(card.claims, path))]

    def search(self, text: str, *, limit: int = 50) -> list[HeldCredential]:
        query = query_of(text)
        if not query:
            return []
        self._index_new_cards()
        return self._cards(
            "JOIN words ON words.rowid = c.position"
            " WHERE words MATCH ? AND c.trashed_at IS NULL ORDER BY words.rowid DESC LIMIT ?",
            query,
            min(max(limit, 0), _MOST_FOUND),
        )

    def mark(self, credential_id: CredentialId, state: str) -> None:
        self._write("UPDATE cards SET state = ? WHERE card_id = ?", (state, credential_id))

    def trash(self, credential_id: CredentialId, at: datetime | None) -> None:
        self._write(
            "UPDATE cards SET trashed_at = ? WHERE card_id = ?", (_seconds(at), credential_id)
        )

    def discard(self, credential_id: CredentialId) -> None:
        with self.step():
            for position in self._read(
                "SELECT position FROM cards WHERE card_id = ?", credential_id
            ):
                self._write(
                    "DELETE FROM showings WHERE copy IN"
                    " (SELECT position FROM copies WHERE card = ?)",
                    position,
                )
                self._write("DELETE FROM copies WHERE card = ?", position)
                self._unindex(position[0])
                self._write("DELETE FROM cards WHERE position = ?", position)

    def card_of(self, copies: Collection[CopyId]) -> HeldCredential | None:
        listed, values = _among("copy_id", copies)
        found = self._cards(
            f"WHERE c.position IN (SELECT card FROM copies WHERE {listed})"
            " ORDER BY c.position LIMIT 1",
            *values,
        )
        return found[0] if found else None

    def copies(self, credential_id: CredentialId) -> list[Copy]:
        rows = self._read(
            f"SELECT {_COPY} FROM copies f JOIN cards c ON c.position = f.card"
            " WHERE c.card_id = ? ORDER BY f.position",
            credential_id,
        )
        return [copy_in(row) for row in rows]

    def copies_left(self, credential_id: CredentialId, *, at: datetime) -> CopiesLeft:
        ((unexpired, fresh),) = self._read(
            "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS"
            " (SELECT 1 FROM showings WHERE copy = f.position))"
            " FROM copies f JOIN cards c ON c.position = f.card"
            " WHERE c.card_id = ? AND (f.expires_at IS NULL OR f.expires_at > ?)"
            " AND f.keeper IN (SELECT value FROM json_each(?))",
            credential_id,
            _seconds(at),
            compact_json([*self._keepers]).decode(),
        )
        return CopiesLeft(fresh=fresh, unexpired=unexpired)

    def drop_expired(self, credential_id: CredentialId, *, at: datetime) -> None:
        self._write(
            "DELETE FROM copies WHERE card = (SELECT position FROM cards WHERE card_id = ?)"
            " AND position <> (SELECT face FROM cards WHERE card_id = ?) AND expires_at <= ?"
            " AND NOT EXISTS (SELECT 1 FROM showings WHERE copy = copies.position)"
            # A key in a store outlives this: it goes with its card, by its reference.
            " AND keeper = ''",
            (credential_id, credential_id, _seconds(at)),
        )

    def reach(self, keeper: str) -> None:
        self._keepers.add(keeper)

    def peek_copy(
        self, credential_id: CredentialId, verifier: str, *, at: datetime
    ) -> Taken | NoFreshCopy:
        return self._pick(credential_id, verifier, at, reuse_that_links=False)

    def take_copy(
        self,
        credential_id: CredentialId,
        verifier: str,
        *,
        at: datetime,
        reuse_that_links: bool = False,
    ) -> Taken | NoFreshCopy:
        with self.step():
            picked = self._pick(credential_id, verifier, at, reuse_that_links=reuse_that_links)
            if isinstance(picked, Taken):
                self.show(picked.copy.copy_id, verifier, at=at)
        return picked

    def showings(self, credential_id: CredentialId) -> list[Showing]:
        rows = self._read(
            "SELECT f.copy_id, s.verifier, s.shown_at FROM showings s"
            " JOIN copies f ON f.position = s.copy JOIN cards c ON c.position = f.card"
            " WHERE c.card_id = ? ORDER BY f.position, s.shown_at, s.verifier",
            credential_id,
        )
        return [
            Showing(copy_id, verifier, _from_seconds(shown_at, UTC))
            for copy_id, verifier, shown_at in rows
        ]

    def show(self, copy_id: CopyId, verifier: str, *, at: datetime) -> None:
        self._write(
            "INSERT INTO showings SELECT position, ?, ? FROM copies WHERE copy_id = ?"
            " ON CONFLICT DO NOTHING",
            (verifier, _seconds(at), copy_id),
        )

    def check(self) -> None:
        trees = self._read("SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0")
        ((found,),) = self._read("PRAGMA integrity_check(1)")
        if found != "ok":
            # The cipher gives no page after a damaged one, so the first complaint is about that.
            named = _TREE_AND_PAGE.search(found)
            of = [name for root, name in trees if named is not None and str(root) == named[1]]
            page = "" if named is None else f": page {named[2]}, {', '.join(of)}"
            raise Malformed("an intact wallet file", f"a damaged one{page}", "wallet.db")
        ((faceless,),) = self._read(_FACELESS)
        if faceless:
            found = f"{faceless} without one"
            raise Malformed("every card with a copy of its own", found, "wallet.db")

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _index_new_cards(self) -> None:
        # Indexing a card costs more than keeping it, so that it waits for the first search;
        # then all that came since are indexed together.
        if self._read(_HAS_NEW_CARDS) == [(1,)]:
            with self.step():
                for position, issued in self._read(_NEW_CARDS):
                    self._index(position, issued)

    def _index(self, position: int, issued: str) -> None:
        facts, words = _found_by(issued)
        self._write(
            "INSERT INTO facts VALUES (?, ?, ?)",
            *((path, value, position) for path, value in sorted(facts)),
        )
        self._write("INSERT INTO words (rowid, text) VALUES (?, ?)", (position, words))

    def _unindex(self, position: int) -> None:
        self._write("DELETE FROM facts WHERE card = ?", (position,))
        self._write("DELETE FROM words WHERE rowid = ?", (position,))

    def _pick(
        self, credential_id: CredentialId, verifier: str, at: datetime, *, reuse_that_links: bool
    ) -> Taken | NoFreshCopy:
        now = _seconds(at)
        rows = self._read(
            f"SELECT {_COPY}, f.expires_at <= ?,"
            " (SELECT count(*) FROM showings WHERE copy = f.position),"
            " EXISTS (SELECT 1 FROM showings WHERE copy = f.position AND verifier = ?)"
            " FROM copies f JOIN cards c ON c.position = f.card"
            " WHERE c.card_id = ? AND c.trashed_at IS NULL ORDER BY f.position",
            now,
            verifier,
            credential_id,
        )
        if not rows:
            raise Refused(
                Reason("credential-unknown", "a held credential", "another id", "credential_id")
            )
        here = [row for row in rows if row[_KEEPER] in self._keepers]
        if not here:
            expected = "the key store that keeps this card's keys"
            raise Refused(Reason("key-elsewhere", expected, "none", "credential_id"))
        # An expired copy is for nobody, unless the card has expired as a whole.
        usable = [row for row in here if not row[-3]] or here
        fewest = min(usable, key=lambda row: (not row[-1], row[-2]))
        is_mine, times_shown = bool(fewest[-1]), fewest[-2]
        if is_mine:
            return Taken(copy_in(fewest), shown_before=True, links=times_shown > 1)
        if times_shown == 0:
            return Taken(copy_in(fewest), shown_before=False)
        if reuse_that_links:
            return Taken(copy_in(fewest), shown_before=False, links=True)
        return NoFreshCopy(len(usable))

    def _cards(self, which: str, *values: Value) -> list[HeldCredential]:
        return [card_in(row) for row in self._read(f"{_CARDS} {which}", *values)]

    def _read(self, query: str, *values: Value) -> list[Row]:
        try:
            with self._lock, self._telling():
                return self._open_connection().execute(query, values).fetchall()
        except UnicodeEncodeError:
            raise _no_text() from None

    def _write(self, statement: str, *rows: Sequence[Value]) -> None:
        try:
            with self.step(), self._telling():
                self._open_connection().executemany(statement, rows)
        except UnicodeEncodeError:
            raise _no_text() from None

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise locked()
        return self._connection


def _no_text() -> Malformed:
    # The encoder's own error would carry the text.
    return Malformed("whole characters", "half a surrogate pair", "a text to keep or look for")


def _among(column: str, values: Collection[str]) -> tuple[str, list[Value]]:
    """Give the condition that `column` is one of `values`, and what to bind to it."""
    wanted = sorted(set(values))
    if len(wanted) == 1:
        # The index then gives the rows in their order; nothing is sorted.
        return f"{column} = ?", [*wanted]
    listed = compact_json([*wanted]).decode()
    return f"{column} IN (SELECT value FROM json_each(?))", [listed]


def _found_by(issued: str) -> tuple[set[tuple[str, str]], str]:
    try:
        return found_by(read_credential(SdJwt.parse(issued)).revealed.claims)
    except CounterfoilError:
        # `Wallet.damaged` names it; nothing finds it.
        return set(), ""


def record_in(row: Row) -> Record:
    """Give the record in a row of `RECORD`."""
    kind, key, label, body = row
    return Record(Kind(kind), key, label, body)


def card_in(row: Row) -> HeldCredential:
    """Give the card in a row of `CARD` and, for the copy that it is read from, `COPY`."""
    # fmt: off
    (
        card_id, issuer, vct, named, accepted_at, expires_at, url, index, state, trashed_at,
        copy_id, issued, key, keeper, ends_at,
    ) = row
    # fmt: on
    return HeldCredential(
        card_id,
        issuer,
        vct,
        named,
        _from_seconds(accepted_at, UTC),
        None if expires_at is None else _from_seconds(expires_at, UTC),
        None if url is None else StatusReference(url, index),
        Copy(
            copy_id, issued, key, None if ends_at is None else _from_seconds(ends_at, UTC), keeper
        ),
        state,
        None if trashed_at is None else _from_seconds(trashed_at, UTC),
    )


def copy_in(row: Row) -> Copy:
    """Give the copy in a row of `COPY`."""
    copy_id, issued, key, keeper, ends_at = row[:5]
    return Copy(
        copy_id, issued, key, None if ends_at is None else _from_seconds(ends_at, UTC), keeper
    )


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


_from_seconds: Final = datetime.fromtimestamp
