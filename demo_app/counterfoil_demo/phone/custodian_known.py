"""The custodian that this phone relies on: asked once who it is, and believed from then on."""

import os
from pathlib import Path
from typing import Final

from counterfoil_consent.client import fetch_custodian
from counterfoil_consent.parties import CustodianParty
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import compact_json, parse_object
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher

from counterfoil_demo.houses import CUSTODIAN

_FILE: Final = "custodian.json"


def known_custodians(folder: Path, fetcher: Fetcher) -> dict[str, Did]:
    """Give the custodian by its origin; nobody while it was never reached.

    Without it a phone starts all the same, and grants nothing before its next start.
    """
    path = folder / _FILE
    if path.exists():
        party = CustodianParty.from_json(parse_object(path.read_bytes(), _FILE), _FILE)
        return {party.origin: party.did}
    try:
        party = fetch_custodian(fetcher, CUSTODIAN.origin)
    except Unavailable:
        return {}
    part = path.with_name(f".{_FILE}")
    with part.open("wb") as file:
        file.write(compact_json(party.to_json()))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return {party.origin: party.did}
