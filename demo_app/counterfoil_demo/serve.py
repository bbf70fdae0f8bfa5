"""`counterfoil demo --serve`: every house and the three faces, until somebody stops them.

The faces are programs of their own: the phone has the wallet and no key of a house, the
counter and the desk have one house's key each. What they keep survives a restart.
"""

import os
import shutil
import time
import webbrowser
from importlib.resources import files
from pathlib import Path
from typing import Final, NoReturn

from counterfoil_demo.houses import AURICLE, FACES, HOUSES, fetcher_for, read_routes
from counterfoil_demo.office import Office
from counterfoil_demo.report import Report
from counterfoil_demo.supervisor import LOCK_FILE, Supervisor, only_one_at_a_time

_LOOK_EVERY_S: Final = 1.0


def default_folder() -> Path:
    """Give the folder where pages keep their things when none is named."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "counterfoil" / "demo"


def start_over(data: Path) -> None:
    """Empty a folder of the demo; `Refused` while another demo uses it."""
    with only_one_at_a_time(data / LOCK_FILE):
        for entry in data.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != LOCK_FILE:
                entry.unlink()


def serve_faces(data: Path, report: Report, orders: Path | None, *, opens: bool) -> NoReturn:
    """Start everything over `data`, print the addresses, and stay until Ctrl-C.

    Raises `Unavailable`, naming the house, when one stops by itself.
    """
    with Supervisor(data, (*HOUSES, *FACES)) as supervisor:
        routes = read_routes(data)
        _bring_orders(data, supervisor, report, orders)
        report.say("faces")
        addresses = {face.name: routes[face.origin] for face in FACES}
        for name, address in addresses.items():
            report.say(f"face-{name}", address=f"{address}/")
        report.say("how-to-stop")
        if opens:
            for address in addresses.values():
                webbrowser.open(f"{address}/")
        while True:
            supervisor.require_all_alive()
            time.sleep(_LOOK_EVERY_S)


def _bring_orders(data: Path, supervisor: Supervisor, report: Report, orders: Path | None) -> None:
    name = "orders.csv" if orders is None else orders.name
    sample = files("counterfoil_demo").joinpath("data", "orders.csv")
    csv = sample.read_bytes() if orders is None else orders.read_bytes()
    office = Office(fetcher_for(data), AURICLE.origin, supervisor.key_of(AURICLE))
    told = office.post_bytes("/back-office/orders", csv, "text/csv")
    report.say("imported", file=name, imported=told["imported"], unchanged=told["unchanged"])
