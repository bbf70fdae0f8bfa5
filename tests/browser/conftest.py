"""A browser, and a phone that serves its pages to it over loopback."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import uvicorn
from counterfoil_service.serving import bind
from playwright.sync_api import Browser, sync_playwright

from tests.browser.seeing import AXE, chromium
from tests.demo_app.phone_scene import PASSPHRASE, Scene
from tests.demo_app.points_scene import PointsScene, points_service, with_points
from tests.demo_app.sharing_scene import SharingScene

_Scene = TypeVar("_Scene", bound=Scene)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give the system's Chromium, until the module ends: its driver holds this thread's loop."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium: apt install chromium fonts-noto-cjk")
    if not AXE.exists():
        pytest.skip("no axe-core: npm --prefix tests/browser ci")
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, as in a container.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=program, args=arguments)
        yield started
        started.close()


@contextmanager
def served(kind: Callable[[Path, str], _Scene], folder: Path) -> Generator[_Scene]:
    """Serve a phone over `folder` as its program does; `scene.address` is where."""
    listener = bind(None)
    scene = kind(folder, f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = uvicorn.Server(uvicorn.Config(scene.app, ws="none", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield scene
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        scene.pocket.lock()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Scene]:
    """Give a phone on which nothing was done yet."""
    with served(Scene, tmp_path / "phone") as scene:
        yield scene


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
    """Give a locked phone with a receipt and two warranties, and the brand they are of."""
    with served(Scene, shutil.copytree(bought, tmp_path / "phone")) as scene:
        _ = scene.office
        yield scene


@pytest.fixture
def sharer(bought: Path, tmp_path: Path) -> Iterator[SharingScene]:
    """Give an unlocked phone that bought once, and a brand that asks for facts of receipts."""
    with served(SharingScene, shutil.copytree(bought, tmp_path / "phone")) as scene:
        _ = scene.office
        scene.pocket.unlock(PASSPHRASE)
        yield scene


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[PointsScene]:
    """Give an unlocked phone with points of two brands, which has not looked at them yet."""
    with (
        points_service() as service,
        served(partial(PointsScene, service=service), tmp_path / "phone") as scene,
    ):
        yield with_points(scene)
