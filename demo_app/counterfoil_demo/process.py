"""What the process of every house does first and last: its place, its lock, its socket."""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_service.access import load_or_create_key
from counterfoil_service.serving import AsgiApp, serve

from counterfoil_demo.houses import BY_NAME, House, fetcher_for

_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one house stands: its folder, its back-office key, and its way to the others."""

    house: House
    folder: Path
    back_office_key: str
    fetcher: GuardedFetcher


def run(build: Callable[[Place], AsgiApp]) -> None:
    """Build the house named on the command line and serve it until the demo ends.

    The arguments come from the supervisor: name, data folder, the bound socket's
    and the lifeline's descriptor.
    """
    name, data, listener, lifeline = sys.argv[1:]
    house = BY_NAME[name]
    folder = Path(data) / house.name
    with (folder / ".lock").open("a") as lock:
        # A house that was killed a moment ago may still be closing its database.
        _wait_for(lock.fileno())
        place = Place(
            house=house,
            folder=folder,
            back_office_key=load_or_create_key(folder / "back-office.key"),
            fetcher=fetcher_for(Path(data)),
        )
        serve(
            build(place),
            listener=socket.socket(fileno=int(listener)),
            lifeline=os.fdopen(int(lifeline), "rb", buffering=0),
        )


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
