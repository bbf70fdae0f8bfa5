"""A receiver over one folder: its keys and its rows, and safe ways to everything else.

    receiver = open_receiver(
        Path("velo-consent"),
        origin="https://velo.example",
        name="Velo",
        custodian="https://custodian.example",
        issuers={"https://audio.example/types/warranty": ["https://audio.example"]},
    )

The folder holds `receiver-key.pem`, `custodian.json` and `consent.sqlite3` (unless the rows are
in PostgreSQL). No backup may have what else is in it: `access-events.sqlite3`, the chain of
what was opened, `status-lists.jsonl`, the lists that were relied on, and the folders
`sealing-keys`, `kept-keys` and `salts`. What a receiver asks, for how
long and for what, each `Wish` decides: there is no default for any of it.
"""

import os
import secrets
import weakref
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import compact_json, parse_object
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import Fetcher, GuardedFetcher
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.token_status_list import FetchedStatusSource

from counterfoil_consent.anchoring import Anchoring
from counterfoil_consent.client import fetch_custodian
from counterfoil_consent.file_anchor import FileAnchor, FileSalts
from counterfoil_consent.issuer_trust import FetchedIssuerKeys, ListedStatus
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.parties import CustodianParty
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.seen_lists import FileListJournal, JournalledLists
from counterfoil_consent.sql_access_log import SqlAccessEvents
from counterfoil_consent.sql_accesses import SqlAccesses
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.systems import RegisteredSystem

DATABASE: Final = "consent.sqlite3"
ACCESS_EVENTS: Final = "access-events.sqlite3"
SIGNING_KEY: Final = "receiver-key.pem"
SEALING_KEYS: Final = "sealing-keys"
KEPT_KEYS: Final = "kept-keys"
CUSTODIAN: Final = "custodian.json"
STATUS_LISTS: Final = "status-lists.jsonl"
SALTS: Final = "salts"


def open_receiver(
    folder: Path,
    *,
    origin: str,
    name: str,
    custodian: str,
    issuers: Mapping[str, Collection[str]],
    database: str | None = None,
    fetcher: Fetcher | None = None,
    systems: Sequence[RegisteredSystem] = (),
    anchor: Path | None = None,
) -> Receiver:
    """Give the receiver of `folder`, which is made when it is not there.

    `custodian` is its origin. It is asked once who it is, and believed from then on: later the
    receiver starts, and ends grants, also while the custodian is away. `issuers` says whom
    to believe by credential type (`vct` to issuer URLs), with the keys that they publish;
    a credential that they have revoked is not read. `database` is a `postgresql://` URL for
    rows that several processes share. Without `fetcher`, public HTTPS addresses alone are
    reached. `systems` are where else facts lie in your house, and erase at an end too.

    Each read is logged beside the rows, and written down for the customer before it gives
    anything. With `anchor`, a folder that you publish and one process writes, its heads are
    anchored there (`anchoring.py`), and the status lists that were relied on.

    Raises `Misuse` for another custodian than the folder's, `Unavailable` when the custodian
    cannot be asked the first time, or as `Receiver` does.
    """
    network = GuardedFetcher() if fetcher is None else fetcher
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    trusted = {vct: tuple(urls) for vct, urls in issuers.items()}
    trust = FetchedIssuerKeys(network, trusted, _now)
    party = _custodian(folder / CUSTODIAN, custodian, network)
    with ExitStack() as opened:
        store = SqlReceiverStore(folder / DATABASE if database is None else database)
        opened.callback(store.close)
        access_events = SqlAccessEvents(folder / ACCESS_EVENTS)
        opened.callback(access_events.close)
        anchoring = None if anchor is None else _anchoring(anchor, folder / SALTS)
        lists = JournalledLists(
            FetchedStatusSource(network),
            FileListJournal(folder / STATUS_LISTS),
            _now,
            anchoring=anchoring,
        )
        receiver = Receiver(
            origin=origin,
            name=name,
            signer=load_or_create_signer(folder / SIGNING_KEY),
            custodian=party,
            store=store,
            keys=FileKeyFolder(folder / SEALING_KEYS),
            fetcher=network,
            trust=trust,
            status=ListedStatus(lists, trust),
            clock=_now,
            random=secrets.token_bytes,
            systems=systems,
            accesses=SqlAccesses(store.database),
            access_events=access_events,
            anchoring=anchoring,
            kept_keys=FileKeyFolder(folder / KEPT_KEYS),
        )
        # Whoever holds the receiver holds the databases: they close when the last one lets go.
        weakref.finalize(receiver, opened.pop_all().close)
        return receiver


def _anchoring(anchor: Path, salts: Path) -> Anchoring:
    return Anchoring(FileAnchor(anchor), FileSalts(salts), clock=_now, random=secrets.token_bytes)


def _now() -> datetime:
    return datetime.now(UTC)


def _custodian(path: Path, origin: str, fetcher: Fetcher) -> CustodianParty:
    if path.exists():
        known = CustodianParty.from_json(parse_object(path.read_bytes(), path.name), path.name)
        if known.origin != origin:
            raise Misuse(f"expected the custodian of this folder, {known.origin}, found another")
        return known
    party = fetch_custodian(fetcher, origin)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(compact_json(party.to_json()))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return party
