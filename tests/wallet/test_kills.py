"""`kill -9` while accepting, presenting, migrating, backing up, restoring, exporting.

No credential is lost, none is there twice, the file opens. A tenth runs always;
`scripts/soak` runs all of three hundred.
"""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.requests import parse_response_form
from counterfoil_wallet import Act, Dropped, Finished, Wallet
from counterfoil_wallet.backup import read_backup, write_backup
from counterfoil_wallet.contents import Contents
from counterfoil_wallet.exporting import read_export
from counterfoil_wallet.sqlite_store import SqliteStore, exists

from tests.conftest import NOON, Clock
from tests.issuer.brand import AUDIO, ORDER_1001, orders_file
from tests.wallet.killed import BACKUPS, CHEAP, SECRET, Kill, Victims
from tests.wallet.strangers import SHOP, StrangeShop
from tests.wallet.town import CUSTODIAN, TILL, VELO, WARRANTY_TYPE, Town

FEW = 5
MANY = 50
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or random.SystemRandom().randrange(2**32)
ORIGINS = f"{AUDIO} {TILL} {VELO} {CUSTODIAN} {SHOP}"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="victims are forked")


class Scene(NamedTuple):
    """A town, a wallet's folder in it, whoever is killed there, and a second shop."""

    town: Town
    folder: Path
    victims: Victims
    chance: random.Random
    shop: StrangeShop

    def given(self, **more: str) -> dict[str, str]:
        """Give what each victim is told."""
        return {"folder": str(self.folder), "now": NOON.isoformat(), "origins": ORIGINS, **more}

    def open(self) -> Wallet:
        """Open the wallet, as the next program does."""
        return self.town.wallet(SqliteStore.open(self.folder, SECRET))

    def contents(self) -> Contents:
        """Give all that the wallet holds."""
        store = SqliteStore.open(self.folder, SECRET)
        contents = Contents.of(store)
        store.close()
        return contents

    def seconds(self, verb: str, given: dict[str, str]) -> float:
        """Give how long `verb` takes here when nobody kills it, so that kills fall inside."""
        began = time.perf_counter()
        self.victims.run(verb, given, kill=None)
        return time.perf_counter() - began


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    victims = Victims()
    yield victims
    victims.close()


@pytest.fixture
def scene(town: Town, tmp_path: Path, victims: Victims, clock: Clock) -> Scene:
    folder = tmp_path / "wallet"
    SqliteStore.create(folder, SECRET, random=os.urandom, cost=CHEAP).close()
    shop = StrangeShop(town.network, clock, vct=WARRANTY_TYPE)
    return Scene(town, folder, victims, random.Random(1), shop)


@pytest.fixture
def long(scene: Scene, soak_count: Callable[[int], int]) -> tuple[Scene, int]:
    print(f"COUNTERFOIL_SOAK_SEED={SEED}")  # noqa: T201  # shown when it fails
    return scene._replace(chance=random.Random(SEED)), soak_count(MANY)


def accept_under_fire(scene: Scene, kills: int) -> None:
    """Accept an offer for each kill; after each, finish and compare with the brand's books."""
    bought = ORDER_1001[0].removeprefix("#1001")
    rows = (f"#{number}{bought}" for number in range(2_000, 2_001 + kills))
    scene.town.issuer.import_orders(orders_file(*rows))
    orders: list[str] = []
    said: list[Any] = []
    before = scene.contents()
    for i in range(kills + 1):
        orders.append(f"#{2_000 + i}")
        offer = scene.town.offer(orders[-1])
        said = scene.victims.run(
            "accept",
            scene.given(link=offer.link, tx_code=offer.tx_code or ""),
            network=scene.town.network,
            kill=Kill.by(scene.chance, lines=10, longest_s=0.006) if i < kills else None,
        )
        with scene.open() as wallet:
            ends = wallet.resume().acceptances
            assert all(isinstance(end, Finished | Dropped) for end in ends)
            held = wallet.credentials()
            assert wallet.damaged() == []
            accepted = [event for event in wallet.history() if event.act is Act.ACCEPTED]
        now = scene.contents()
        copies = [copy for card in now.cards for copy in card.copies]
        places = [(copy.status.url, copy.status.index) for copy in copies if copy.status]
        assert len(set(places)) == len(copies), "two copies have one place in a status list"
        assert len({copy.key for copy in copies}) == len(copies), "two copies have one key"
        assert len({len(card.copies) for card in now.cards}) <= 1, "a copy was lost"
        assert len(held) == sum(scene.town.in_force(number) for number in orders)
        ids = [credential.credential_id for credential in held]
        assert {named for one in said for named in one} <= set(ids), "a card was lost"
        assert len(set(ids)) == len(ids) == len(accepted), "a card is there twice"
        serials = [str(card.claims["item"]) for card in held if "warranty" in card.vct]
        assert len(set(serials)) == len(serials), "one warranty is two cards"
        assert now.cards[: len(before.cards)] == before.cards, "what was there has changed"
        before = now
    assert said, "the last one was not killed"


def present_under_fire(scene: Scene, kills: int) -> None:
    """Answer a request for each kill: at most once, and each of two verifiers with its own copy."""
    offer, shop = scene.town.offer(), scene.shop
    with scene.open() as wallet:
        wallet.accept(offer.link, tx_code=offer.tx_code)
    before, shown_in_all = scene.contents(), 0
    copies: set[str] = set()
    met: set[str] = set()
    for i in range(kills + 2):
        shop.nonce = f"nonce {i}"
        link = shop.link if i % 2 else scene.town.counter.ask("warranty").link
        said = scene.victims.run(
            "present",
            scene.given(link=link),
            network=scene.town.network,
            kill=Kill.by(scene.chance, lines=4, longest_s=0.006) if i < kills else None,
        )
        with scene.open() as wallet:
            shown = [event for event in wallet.history() if event.act is Act.SHOWN]
            assert len(shown) - shown_in_all in ((1,) if said else (0, 1)), f"kill {i}"
            if len(shown) > shown_in_all:
                with pytest.raises(Refused) as refusal:
                    wallet.present(wallet.matches(link).choose())
                # The till gives a request until it has its answer.
                assert refusal.value.codes in (["already-shown"], ["request-not-there"])
            shown_in_all = len(shown)
        now = scene.contents()
        assert [card.card for card in now.cards] == [card.card for card in before.cards]
        assert [card.copies for card in now.cards] == [card.copies for card in before.cards]
        showings = [shown for card in now.cards for shown in card.showings]
        copies = {shown.copy_id for shown in showings}
        assert len(copies) == len(showings), "two verifiers met one copy"
        assert len({shown.verifier for shown in showings}) == len(showings), "one met two copies"
        issued = {
            copy.issued.split("~", 1)[0]: copy.copy_id for card in now.cards for copy in card.copies
        }
        met = {issued[text] for text in map(_issued, shop.forms)}
        assert met <= {shown.copy_id for shown in showings if shown.verifier == shop.client_id}
        assert said or i < kills, "nobody killed this one"
    assert len(copies) == 2
    assert met


def _issued(form: dict[str, list[str]]) -> str:
    """Give what the issuer signed of the copy in an answer."""
    ((text,),) = parse_response_form({name: one for name, (one,) in form.items()}).values()
    return text.split("~", 1)[0]


def back_up_under_fire(scene: Scene, kills: int) -> None:
    """Write a backup again and again: there is a whole one at any time, and one draft at most."""
    offer = scene.town.offer()
    with scene.open() as wallet:
        wallet.accept(offer.link, tx_code=offer.tx_code)
    contents, file = scene.contents(), scene.folder.parent / "backups" / "one"
    file.parent.mkdir()
    whole_s = scene.seconds("back up", scene.given(file=str(file)))
    file.unlink()
    for _ in range(kills):
        had_one = file.exists()
        said = scene.victims.run(
            "back up",
            scene.given(file=str(file)),
            kill=Kill.by(scene.chance, lines=BACKUPS, longest_s=whole_s / BACKUPS),
        )
        if had_one or said:
            assert read_backup(file, SECRET) == contents
        assert len(list(file.parent.iterdir())) <= 2
        assert scene.contents() == contents
    assert read_backup(file, SECRET) == contents


def migrate_under_fire(scene: Scene, kills: int) -> None:
    """Open a file of the first version, and bring it back: at either end everything is in it."""
    oldest = Path(__file__).parent / "files" / "1"
    shutil.rmtree(scene.folder)
    shutil.copytree(oldest, scene.folder)
    whole_s = scene.seconds("open", scene.given())
    contents = scene.contents()
    assert len(contents.cards) == 5
    shutil.rmtree(scene.folder)
    shutil.copytree(oldest, scene.folder)
    for i in range(kills):
        scene.victims.run(
            "go back" if i % 2 else "open",
            scene.given(),
            kill=Kill.by(scene.chance, lines=0, longest_s=whole_s),
        )
        if i % 3 == 0:  # else the next victim finds what the last one left behind
            assert scene.contents() == contents
    assert scene.contents() == contents


def restore_under_fire(scene: Scene, kills: int) -> None:
    """Restore on a clean device: the whole wallet is there, or none and it can be tried again."""
    offer = scene.town.offer()
    with scene.open() as wallet:
        wallet.accept(offer.link, tx_code=offer.tx_code)
        asked = wallet.asked_terms(scene.town.receiver.request(scene.town.wish()).link)
        wallet.grant(asked.choose())
    contents, file = scene.contents(), scene.folder.parent / "backup"
    store = SqliteStore.open(scene.folder, SECRET)
    write_backup(store, file, SECRET, at=NOON, random=os.urandom, cost=CHEAP)
    store.close()
    fresh = scene._replace(folder=scene.folder.parent / "fresh")
    whole_s = fresh.seconds("restore", fresh.given(file=str(file)))
    shutil.rmtree(fresh.folder)
    for _ in range(kills):
        said = scene.victims.run(
            "restore",
            fresh.given(file=str(file)),
            kill=Kill.by(scene.chance, lines=1, longest_s=whole_s),
        )
        if "restored" in said:
            assert exists(fresh.folder)
        if exists(fresh.folder):
            assert fresh.contents() == contents
            shutil.rmtree(fresh.folder)
    fresh.victims.run("restore", fresh.given(file=str(file)), kill=None)
    assert fresh.contents() == contents


def export_under_fire(scene: Scene, kills: int) -> None:
    """Export to one place: it is there whole or not at all, and one draft beside it at most."""
    offer = scene.town.offer()
    with scene.open() as wallet:
        wallet.accept(offer.link, tx_code=offer.tx_code)
    contents, into = scene.contents(), scene.folder.parent / "exports" / "my data"
    into.parent.mkdir()
    whole_s = scene.seconds("export", scene.given(into=str(into)))
    shutil.rmtree(into)
    drafts: list[Path] = []
    for i in range(kills + 1):
        said = scene.victims.run(
            "export",
            scene.given(into=str(into)),
            kill=Kill.by(scene.chance, lines=1, longest_s=whole_s) if i < kills else None,
        )
        drafts = [path for path in into.parent.iterdir() if path != into]
        assert len(drafts) <= (0 if "exported" in said else 1)
        if into.exists():
            assert read_export(into, SECRET) == contents
            shutil.rmtree(into)
    assert drafts == []
    assert scene.contents() == contents


FIRES = (
    accept_under_fire,
    present_under_fire,
    migrate_under_fire,
    back_up_under_fire,
    restore_under_fire,
    export_under_fire,
)


@pytest.mark.parametrize("under_fire", FIRES)
def test_a_few_kills_lose_nothing(scene: Scene, under_fire: Callable[[Scene, int], None]) -> None:
    under_fire(scene, FEW)


@pytest.mark.soak
@pytest.mark.parametrize("under_fire", FIRES)
def test_fifty_kills_each_lose_nothing(
    long: tuple[Scene, int], under_fire: Callable[[Scene, int], None]
) -> None:
    under_fire(*long)
