"""Who takes part in the demo, under which public origin, and where each one listens today.

An origin is for good: it stands in every credential. The loopback port behind
it is today's; `addresses.json` maps one to the other, as DNS and TLS would.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import parse_object, text_at
from counterfoil_credentials.fetch import GuardedFetcher

# Where a brand keeps the keys to what was granted to it, and the custodian its shares'.
SEALING_KEYS: Final = "sealing-keys"
ONE_TIME_KEYS: Final = "one-time-keys"

ADDRESSES: Final = "addresses.json"
# Enough for a service that is still starting: its socket already listens.
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One service: a process, a folder and a database of its own.

    `port` is where it would like to listen, None anywhere.
    """

    name: str
    origin: str
    module: str
    port: int | None = None


AURICLE: Final = House(
    name="auricle", origin="https://auricle.example", module="counterfoil_demo.brand"
)
VELORUM: Final = House(
    name="velorum", origin="https://velorum.example", module="counterfoil_demo.brand"
)
SHOP: Final = House(
    name="shop", origin="https://quay-street.example", module="counterfoil_demo.shop"
)
CUSTODIAN: Final = House(
    name="custodian", origin="https://custodian.example", module="counterfoil_demo.custodian"
)
POINTS: Final = House(
    name="points", origin="https://points.example", module="counterfoil_demo.points"
)

# The points service starts first: its chain takes the longest.
HOUSES: Final = (POINTS, AURICLE, VELORUM, SHOP, CUSTODIAN)

# What people see: each a program with pages, under an address of this machine.
PHONE: Final = House(
    name="phone", origin="https://phone.example", module="counterfoil_demo.phone.face", port=4710
)
COUNTER: Final = House(
    name="counter",
    origin="https://counter.example",
    module="counterfoil_demo.counter.face",
    port=4711,
)
DESK: Final = House(
    name="desk", origin="https://desk.example", module="counterfoil_demo.desk.face", port=4712
)
FACES: Final = (PHONE, COUNTER, DESK)

BY_ORIGIN: Final[Mapping[str, House]] = {house.origin: house for house in HOUSES}
BY_NAME: Final[Mapping[str, House]] = {house.name: house for house in (*HOUSES, *FACES)}


def read_routes(data: Path) -> dict[str, str]:
    """Give the loopback address behind each origin, as the last start wrote them."""
    path = data / ADDRESSES
    if not path.exists():
        return {}
    found = parse_object(path.read_bytes(), ADDRESSES)
    return {origin: text_at(found, origin, ADDRESSES) for origin in found}


def write_routes(data: Path, routes: Mapping[str, str]) -> None:
    """Keep the addresses of this start; the file is always whole."""
    draft = data / f".{ADDRESSES}"
    draft.write_text(json.dumps(routes, indent=2) + "\n", encoding="utf-8")
    draft.replace(data / ADDRESSES)


def fetcher_for(data: Path) -> GuardedFetcher:
    """Give the fetcher with which every part of the demo reaches the others."""
    return GuardedFetcher(timeout_s=_TIMEOUT_S, loopback_routes_unsafely=read_routes(data))
