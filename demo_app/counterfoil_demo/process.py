"""What every house does around its service: take its place and its lock, serve, close."""

import fcntl
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_service.access import load_or_create_key
from counterfoil_service.serving import AsgiApp, serve

from counterfoil_demo.houses import BY_NAME, House, fetcher_for

_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one house stands: its folder, its key, its way to the others, what it must close."""

    house: House
    folder: Path
    back_office_key: str
    fetcher: Fetcher
    # What must be closed at the end, so that every database is whole in its one file.
    closing: ExitStack


def run(build: Callable[[Place], AsgiApp], name: str, data: Path, listener: int) -> None:
    """Build the house and serve it on the bound socket until the demo ends."""
    folder = data / BY_NAME[name].name
    with (folder / ".lock").open("a") as lock, ExitStack() as closing:
        # A house that was killed a moment ago may still be closing its database.
        _wait_for(lock.fileno())
        place = Place(
            house=BY_NAME[name],
            folder=folder,
            back_office_key=load_or_create_key(folder / "back-office.key"),
            fetcher=fetcher_for(data),
            closing=closing,
        )
        serve(build(place), listener=socket.socket(fileno=listener), lifeline=None)


def _wait_for(lock: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise Unavailable("expected the folder's last user to be gone") from None
            time.sleep(0.05)
        else:
            return
