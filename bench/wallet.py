"""Open a wallet of 10,000 credentials, find by type and by claim, add and search, next to SQLite.

The other candidate keeps the same texts in the open, in tables of its own with the
same indices and a cache of the same size, and gives bare rows; ours are encrypted, and
values of the wallet. The peer is aries-askar, with a raw key and its claims as tags.
Each commit is synced; the files are in memory where the machine has a folder for that,
because waiting for the disk costs all three the same and hides the rest. CPU time.

"add one" leaves out the index: the wallet indexes what it can be searched by at the first
search after a card came, while the others index as they add. "add 20, find by claim" has
the index on both sides. Reading a card's claims is left out everywhere, as is argon2id.
The searches, each for a receipt among 1,000, English and Chinese, stand next to the same
queries of a full-text table.
"""

import asyncio
import importlib.util
import random
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from typing import Any, Final, TypeVar

from counterfoil_credentials import MemorySigner, StatusReference, issue_credential
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_wallet.card_keys import CardKey
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.passphrase import Cost, FileKey
from counterfoil_wallet.searching import fact_path, fact_value
from counterfoil_wallet.sqlite_store import SqliteStore, key_of
from counterfoil_wallet.store import Store

from bench.measure import ROUNDS, Operation, Other, cpu

_SHM: Final = Path("/dev/shm")  # noqa: S108  # a folder of its own in it
_IN_MEMORY: Final = _SHM if _SHM.is_dir() else None
_CREDENTIALS: Final = 10_000
_QUICK_CREDENTIALS: Final = 40
_TYPES: Final = 4
_RECEIPTS: Final = 1_000
_EVERY: Final = 10
_ADDED: Final = 20
_NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_BRAND: Final = "https://auricle.example"
_T = TypeVar("_T")
_THINGS: Final = ("洗衣机 滚筒", "耳机 降噪", "电饭煲", "headphones", "coffee grinder", "bicycle")
_PASSPHRASE: Final = "a passphrase of this bench"
# As the wallet opens its file, the size of the cache too.
_OPENED: Final = ("journal_mode = wal", "synchronous = full", "cache_size = -32768")
_PLAIN: Final = """
    CREATE TABLE credentials (
        position INTEGER PRIMARY KEY, id TEXT UNIQUE, vct TEXT, issuer TEXT, body TEXT, key BLOB
    );
    CREATE INDEX by_type ON credentials (vct);
    CREATE TABLE facts (
        path TEXT, value TEXT, card INTEGER, PRIMARY KEY (path, value, card)
    ) WITHOUT ROWID;
    CREATE TABLE records (position INTEGER PRIMARY KEY, kind TEXT, id TEXT, body BLOB);
    CREATE INDEX by_kind ON records (kind, id);
    CREATE VIRTUAL TABLE words USING fts5 (text);
"""
_BY_CLAIM: Final = """
    SELECT credentials.* FROM facts JOIN credentials ON position = card
    WHERE path = ? AND value = ?
"""
_BY_WORDS: Final = """
    SELECT credentials.* FROM words JOIN credentials ON position = words.rowid
    WHERE words MATCH ? ORDER BY words.rowid DESC LIMIT 50
"""


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give opening, finding, adding and searching."""
    number = _QUICK_CREDENTIALS if quick else _CREDENTIALS
    cards = _cards()
    held = [next(cards) for _ in range(number)]
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as folder:
        yield from _storing(Path(folder), held, cards)
        yield from _searching(Path(folder) / "receipts", held[:_RECEIPTS])


def _storing(
    folder: Path, held: Sequence[HeldCredential], more: Iterator[HeldCredential]
) -> Iterator[Operation]:
    ours, plain = folder / "ours", _Plain(folder / "plain.sqlite3")
    key = _make(ours, held)
    plain.make(held)
    first = held[0].credential_id

    def open_ours() -> object:
        with closing(SqliteStore.open(ours, key)) as store:
            return store.card(first)

    yield Operation(
        name="open, read one credential",
        ours=cpu(open_ours),
        others=[
            Other(name="plain SQLite", sampler=cpu(lambda: plain.open_and_read(first)), floor=1.5)
        ],
        at_most=True,
    )
    is_installed = importlib.util.find_spec("aries_askar") is not None
    askar = _Askar(folder / "askar.sqlite3", held) if is_installed else None
    serials, serials_too, vct = _serials(held), _serials(held), held[0].vct
    with closing(SqliteStore.open(ours, key)) as store, closing(plain.open()) as connection:
        store.cards_with(("serial",), next(serials))
        yield Operation(
            name="find by claim, 1 hit",
            ours=cpu(lambda: store.cards_with(("serial",), next(serials))),
            others=[
                Other(
                    name="plain SQLite",
                    sampler=cpu(lambda: plain.by_claim(connection, next(serials_too))),
                    floor=3.0,
                )
            ],
            at_most=True,
        )
        yield from _against_both(
            f"find by type, {len(held) // _TYPES:,} hits",
            lambda: store.cards([vct]),
            lambda: plain.by_type(connection, vct),
            None if askar is None else lambda: askar.by_type(vct),
        )
        # Signed beforehand: adding is to be measured, not issuing.
        fresh = iter([next(more) for _ in range(6 * _ADDED * (ROUNDS + 1))])
        yield from _against_both(
            "add one",
            lambda: store.hold(next(fresh)),
            lambda: plain.add(connection, next(fresh)),
            None if askar is None else lambda: askar.add(next(fresh)),
            batch=_ADDED,
        )

        def add_and_find() -> None:
            for _ in range(_ADDED):
                store.hold(next(fresh))
            store.cards_with(("serial",), next(serials))

        def add_and_find_plainly() -> None:
            for _ in range(_ADDED):
                plain.add(connection, next(fresh))
            plain.by_claim(connection, next(serials_too))

        yield Operation(
            name=f"add {_ADDED}, find by claim",
            ours=cpu(add_and_find, batch=1),
            others=[
                Other(
                    name="plain SQLite",
                    sampler=cpu(add_and_find_plainly, batch=1),
                    floor=2.0,
                )
            ],
            at_most=True,
        )
    if askar is not None:
        askar.close()


def _against_both(
    name: str,
    ours: Callable[[], object],
    plain: Callable[[], object],
    askar: Callable[[], object] | None,
    *,
    batch: int | None = None,
) -> Iterator[Operation]:
    sampler = cpu(ours, batch=batch)
    yield Operation(
        name=name,
        ours=sampler,
        others=[Other(name="plain SQLite", sampler=cpu(plain, batch=batch), floor=2.0)],
        at_most=True,
    )
    theirs = None if askar is None else cpu(askar, batch=batch)
    other = Other(name="aries-askar 0.5", sampler=theirs, floor=8.0)
    yield Operation(name=name, ours=sampler, others=[other])


def _cards() -> Iterator[HeldCredential]:
    issuer = MemorySigner.generate()
    chance = random.Random(1)  # noqa: S311  # seeded: every run measures the same wallet
    for i in count():
        holder = MemorySigner.generate()
        thing = _THINGS[i % len(_THINGS)]
        sd_jwt = issue_credential(
            {
                "order": f"#{i:05}-2026",
                "item": f"{thing} {i}",
                "gtin": f"{4012345000000 + i}",
                "serial": f"AU-2026-{i:06}",
                "bought_on": "2026-11-02",
                "price": f"{chance.randrange(100, 90_000) / 100:.2f}",
                "currency": "EUR",
                "shop": f"Corner Shop {i % 100}",
            },
            vct=f"{_BRAND}/types/{i % _TYPES}",
            issuer=_BRAND,
            signer=issuer,
            holder=holder.public,
            issued_at=_NOW,
            expires_at=None,
            status=StatusReference(f"{_BRAND}/status-lists/1", i),
            concealed=[("order",), ("item",), ("serial",), ("price",)],
            random=chance.randbytes,
        )
        verified = read_credential(sd_jwt).verify(issuer.public)
        yield HeldCredential.of(
            sd_jwt, verified, configuration_id="receipt", key=CardKey.own(holder), at=_NOW
        )


def _make(folder: Path, held: Sequence[HeldCredential]) -> FileKey:
    cheap = Cost(memory_kib=32, iterations=1, lanes=1)
    chance = random.Random(2)  # noqa: S311  # the key of a wallet that nobody keeps
    with closing(
        SqliteStore.create(folder, _PASSPHRASE, random=chance.randbytes, cost=cheap)
    ) as store:
        _hold(store, held)
    return key_of(folder, _PASSPHRASE)


def _hold(store: Store, held: Sequence[HeldCredential]) -> None:
    with store.step():
        for card in held:
            store.hold(card)


def _facts(card: HeldCredential) -> list[tuple[str, str]]:
    said = ((name, value) for name, value in card.claims.items() if isinstance(value, str))
    return [(fact_path((name,)), fact_value(value)) for name, value in said]


def _serials(held: Sequence[HeldCredential]) -> Iterator[str]:
    return cycle([str(card.claims["serial"]) for card in held])


class _Plain:
    """The same texts in stock SQLite, in the open."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self, held: Sequence[HeldCredential]) -> None:
        with closing(self.open()) as connection:
            connection.executescript(_PLAIN)
            connection.execute("BEGIN")
            for card in held:
                self._insert(connection, card)
            connection.execute("COMMIT")

    def open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        for pragma in _OPENED:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def open_and_read(self, credential_id: str) -> object:
        with closing(self.open()) as connection:
            query = "SELECT * FROM credentials WHERE id = ?"
            return connection.execute(query, (credential_id,)).fetchall()

    def by_type(self, connection: sqlite3.Connection, vct: str) -> object:
        query = "SELECT * FROM credentials WHERE vct = ? ORDER BY position"
        return connection.execute(query, (vct,)).fetchall()

    def by_claim(self, connection: sqlite3.Connection, serial: str) -> object:
        return connection.execute(_BY_CLAIM, ('["serial"]', f'"{serial}"')).fetchall()

    def add(self, connection: sqlite3.Connection, card: HeldCredential) -> None:
        connection.execute("BEGIN")
        self._insert(connection, card)
        connection.execute("COMMIT")

    def _insert(self, connection: sqlite3.Connection, card: HeldCredential) -> None:
        row = (card.credential_id, card.vct, card.issuer, card.copy.issued, card.copy.key)
        added = connection.execute("INSERT INTO credentials VALUES (NULL, ?, ?, ?, ?, ?)", row)
        connection.executemany(
            "INSERT INTO facts VALUES (?, ?, ?)",
            [(*fact, added.lastrowid) for fact in _facts(card)],
        )


class _Askar:
    """The peer, with a raw key in its own SQLite file; each claim is a tag."""

    def __init__(self, path: Path, held: Sequence[HeldCredential]) -> None:
        self._loop = asyncio.new_event_loop()
        # The package need not be installed, and ships no types.
        package: Any = importlib.import_module("aries_askar")
        self._store: Any = self._run(self._make(package.Store, path, held))

    async def _make(
        self,
        store: Any,  # noqa: ANN401  # it ships no types
        path: Path,
        held: Sequence[HeldCredential],
    ) -> object:
        made = await store.provision(f"sqlite://{path}", "raw", store.generate_raw_key())
        async with made.transaction() as transaction:
            for card in held:
                await self._insert(transaction, card)
            await transaction.commit()
        return made

    def by_type(self, vct: str) -> object:
        return self._run(self._fetch({"vct": vct}))

    def add(self, card: HeldCredential) -> None:
        self._run(self._add(card))

    def close(self) -> None:
        self._run(self._store.close())
        self._loop.close()

    async def _fetch(self, tags: dict[str, str]) -> object:
        async with self._store.session() as session:
            return [entry.value for entry in await session.fetch_all("credential", tags)]

    async def _add(self, card: HeldCredential) -> None:
        async with self._store.session() as session:
            await self._insert(session, card)

    async def _insert(
        self,
        session: Any,  # noqa: ANN401  # it ships no types
        card: HeldCredential,
    ) -> None:
        said = {name: value for name, value in card.claims.items() if isinstance(value, str)}
        await session.insert("credential", card.credential_id, card.copy.issued, tags=said)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(work)


def _searching(folder: Path, receipts: Sequence[HeldCredential]) -> Iterator[Operation]:
    key, beside = _make(folder, receipts), _Plain(folder / "plain.sqlite3")
    # The same words on both sides in each sample: some begin many numbers, some one.
    typed = [["corner", *str(card.claims["item"]).split()] for card in receipts[::_EVERY]]
    asked = [" ".join(words) for words in typed]
    asked_too = [" ".join([*words[:-1], f"{words[-1]}*"]) for words in typed]
    with closing(SqliteStore.open(folder, key)) as ours, closing(beside.open()) as plain:
        plain.executescript(_PLAIN)
        plain.execute("BEGIN")
        for position, card in enumerate(receipts, 1):
            text = " ".join(str(value) for value in card.claims.values())
            plain.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (position, text))
            row = (position, card.credential_id, card.vct, card.issuer, card.copy.issued)
            plain.execute("INSERT INTO credentials VALUES (?, ?, ?, ?, ?, NULL)", row)
        plain.execute("COMMIT")
        yield Operation(
            name=f"search {len(asked)} of {len(receipts):,} receipts",
            ours=cpu(lambda: [ours.search(words) for words in asked]),
            others=[
                Other(
                    name="plain FTS5 query",
                    sampler=cpu(
                        lambda: [
                            plain.execute(_BY_WORDS, (words,)).fetchall() for words in asked_too
                        ]
                    ),
                    floor=5.0,
                )
            ],
            at_most=True,
        )
