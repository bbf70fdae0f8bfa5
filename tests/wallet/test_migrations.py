"""Every version of the file opens, goes to the newest version and back, and loses nothing."""

import shutil
from pathlib import Path

import pytest
from counterfoil_wallet.history import Act, Event
from counterfoil_wallet.schema import VERSION
from counterfoil_wallet.sqlite_store import SqliteStore, change_version
from counterfoil_wallet.store import Kind, Showing
from counterfoil_wallet.tables import Tables

from tests.conftest import NOON
from tests.wallet.conftest import PASSPHRASE

FILES = Path(__file__).parent / "files"
VERSIONS = sorted(int(path.name) for path in FILES.iterdir() if path.is_dir())
SHOP = "https://shop.example"


@pytest.fixture(params=VERSIONS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a copy of the wallet folder of one version."""
    return Path(shutil.copytree(FILES / str(request.param), tmp_path / "wallet"))


def dump(tables: Tables) -> list[object]:
    """Give everything that a wallet holds, as values to compare."""
    cards = tables.cards(trashed=None)
    return [
        [tables.find(kind) for kind in Kind],
        sorted(cards, key=lambda card: card.credential_id),
        [tables.copies(card.credential_id) for card in cards],
        [tables.showings(card.credential_id) for card in cards],
    ]


def test_every_version_opens_with_everything_in_it(folder: Path) -> None:
    store = SqliteStore.open(folder, PASSPHRASE)

    cards = store.cards()
    assert len(cards) == 5
    assert [card.claims["price"] for card in cards[2:]] == ["199.00", "200.00", "201.00"]
    assert [len(store.copies(card.credential_id)) for card in cards] == [1] * 5
    assert [len(store.find(kind)) for kind in Kind][:5] == [0, 5, 1, 7, 1]
    assert [card.vct for card in store.search("洗衣")] == [cards[2].vct]
    assert store.cards_with(("item", "serial"), "CM-17") == [cards[3]]
    store.check()
    store.close()


def test_what_may_have_been_shown_before_counts_as_shown(folder: Path) -> None:
    store = SqliteStore.open(folder, PASSPHRASE)

    (event,) = map(Event.from_record, store.find(Kind.EVENT, [Act.SHOWN]))
    receipt, _, *shown = store.cards()
    assert store.showings(receipt.credential_id) == []
    assert [store.showings(card.credential_id) for card in shown] == [
        [Showing(card.copy.copy_id, event.party, NOON)] for card in shown
    ]
    store.close()


def test_a_wallet_goes_back_to_every_version_and_comes_again_without_a_loss(folder: Path) -> None:
    store = SqliteStore.open(folder, PASSPHRASE)
    first, second = store.cards()[:2]
    store.hold(second, [first.copy])
    store.trash(first.credential_id, NOON)
    store.mark(second.credential_id, '{"status":1}')
    store.take_copy(second.credential_id, SHOP, at=NOON)
    before = dump(store)
    store.close()

    for version in range(VERSION - 1, 0, -1):
        change_version(folder, PASSPHRASE, version)

    store = SqliteStore.open(folder, PASSPHRASE)
    assert dump(store) == before
    store.close()
