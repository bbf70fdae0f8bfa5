"""The town, and a wallet's place to keep things: each test that asks runs on both kinds."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_wallet import MemoryStore, Store, Wallet
from counterfoil_wallet.cli import PASSPHRASE_VARIABLE
from counterfoil_wallet.passphrase import Cost
from counterfoil_wallet.sqlite_store import SqliteStore

from tests.conftest import Clock
from tests.wallet.brand_scene import BrandScene, Mode, Serve
from tests.wallet.town import Town

PASSPHRASE = "correct horse battery staple"
CHEAP = Cost(memory_kib=32, iterations=1, lanes=1)
"""What a guess costs in these tests, which are not about guessing."""


Reach = Callable[[MemoryFetcher], None]


@pytest.fixture
def cheap_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make wallets and backups whose passphrase costs next to nothing to try."""
    for module in ("sqlite_store", "envelope"):
        monkeypatch.setattr(f"counterfoil_wallet.{module}.Cost", lambda: CHEAP)


@pytest.fixture
def commands_reach(monkeypatch: pytest.MonkeyPatch, cheap_guesses: None) -> Reach:
    """Let commands reach a network in memory, with the passphrase in its variable."""

    def reach(network: MemoryFetcher) -> None:
        def fetcher(**_: object) -> MemoryFetcher:
            return network

        monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
        monkeypatch.setattr("counterfoil_wallet.cli.GuardedFetcher", fetcher)

    return reach


class Place(Protocol):
    """Where a wallet is kept between two starts of a program."""

    def start(self) -> Store:
        """Give the store, as a program has it that just started."""
        ...


class MemoryPlace:
    """A store that outlives the wallet over it."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def start(self) -> Store:
        return self._store

    def close(self) -> None:
        self._store.close()


class SqlitePlace:
    """A folder with an encrypted file."""

    def __init__(self, folder: Path, random: Callable[[int], bytes]) -> None:
        self._folder = folder
        self._store = SqliteStore.create(folder, PASSPHRASE, random=random, cost=CHEAP)

    def start(self) -> Store:
        self._store.close()
        self._store = SqliteStore.open(self._folder, PASSPHRASE)
        return self._store

    def close(self) -> None:
        self._store.close()


@pytest.fixture(params=["memory", "sqlite"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, random_bytes: Callable[[int], bytes]
) -> Iterator[Place]:
    if request.param == "memory":
        kept: MemoryPlace | SqlitePlace = MemoryPlace()
    else:
        kept = SqlitePlace(tmp_path / "wallet", random_bytes)
    yield kept
    kept.close()


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path) -> Iterator[Town]:
    town = Town(clock, random_bytes, tmp_path / "brand")
    yield town
    town.issuer_store.close()


@pytest.fixture
def serve(tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]) -> Iterator[Serve]:
    """Give how to start a brand in a mode."""
    with ExitStack() as stack:

        def start(mode: Mode) -> BrandScene:
            scene = BrandScene(clock, random_bytes, tmp_path / "brand", mode)
            stack.callback(scene.close)
            return scene

        yield start


@pytest.fixture
def wallet(town: Town, place: Place) -> Wallet:
    """Give an empty wallet."""
    return town.wallet(place.start())


@pytest.fixture
def full(town: Town) -> Wallet:
    """Give a wallet that holds the receipt and the warranty of one order."""
    wallet = town.wallet(MemoryStore())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet
