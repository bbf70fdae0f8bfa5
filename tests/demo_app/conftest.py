"""The phone that the tests of its pages share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo_app.phone_scene import PASSPHRASE, Scene
from tests.demo_app.sharing_scene import SharingScene


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Scene]:
    """Give a phone on which nothing was done yet."""
    scene = Scene(tmp_path)
    yield scene
    scene.pocket.lock()


@pytest.fixture(scope="session")
def bought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a phone that bought once, and is closed."""
    scene = Scene(tmp_path_factory.mktemp("bought"))
    scene.first_run()
    scene.pocket.settle()
    scene.buy()
    scene.pocket.lock()
    return scene.folder


@pytest.fixture
def shopper(bought: Path, tmp_path: Path) -> Iterator[Scene]:
    """Give an unlocked phone with a receipt and two warranties, and the brand they are of."""
    scene = Scene(shutil.copytree(bought, tmp_path / "phone"))
    _ = scene.office
    scene.post("/unlock", passphrase=PASSPHRASE)
    scene.pocket.settle()
    yield scene
    scene.pocket.lock()


@pytest.fixture
def sharer(bought: Path, tmp_path: Path) -> Iterator[SharingScene]:
    """Give an unlocked phone that bought once, and a brand that asks for facts of receipts."""
    scene = SharingScene(shutil.copytree(bought, tmp_path / "phone"))
    _ = scene.office
    scene.post("/unlock", passphrase=PASSPHRASE)
    scene.pocket.settle()
    yield scene
    scene.pocket.lock()
