"""`counterfoil consent …`: run a custodian over one folder.

    counterfoil consent serve DIR [--port N] [--public-url URL]
    counterfoil consent backup DIR TARGET

DIR holds `custodian.sqlite3` and, readable by their owner alone,
`signing-key.pem` and the folder `one-time-keys`. `backup` copies the first two
into the new folder TARGET, also while the service runs; nothing may ever copy
the last: a share whose key is gone must stay closed.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import CounterfoilError
from counterfoil_credentials.key_file import load_or_create_signer

from counterfoil_consent.custodian import Custodian
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.tombstone_journal import FileTombstoneJournal

DATABASE: Final = "custodian.sqlite3"
SIGNING_KEY: Final = "signing-key.pem"
KEY_FOLDER: Final = "one-time-keys"
JOURNAL: Final = "tombstones.journal"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not as it must be, 2 misused."""
    parser = argparse.ArgumentParser(prog="counterfoil consent", description="Keep consent.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run a custodian on loopback")
    serve.add_argument("dir", type=Path)
    serve.add_argument("--port", type=int, help="the port; a free one when it is taken")
    serve.add_argument("--public-url", help="the custodian's origin; default: where it listens")
    backup = commands.add_parser("backup", help="copy database and signing key, never the keys")
    backup.add_argument("dir", type=Path)
    backup.add_argument("target", type=Path, help="a folder that is not there yet")
    given = parser.parse_args(arguments)
    try:
        if given.command == "backup":
            return _back_up(given.dir, given.target)
        return _serve(given.dir, given.port, given.public_url)
    except (CounterfoilError, OSError) as error:
        print(f"counterfoil consent {given.command}: {error}", file=sys.stderr)
        return 1


def _back_up(folder: Path, target: Path) -> int:
    from counterfoil_consent.sqlite_file import back_up

    # Nothing is made before it is known that there is something to copy.
    signing_key = (folder / SIGNING_KEY).read_bytes()
    target.mkdir(mode=0o700, parents=True)
    back_up(folder / DATABASE, target / DATABASE)
    descriptor = os.open(target / SIGNING_KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(signing_key)
        file.flush()
        os.fsync(file.fileno())
    print(f"custodian copied to {target}, without its one-time keys")
    return 0


def _serve(folder: Path, port: int | None, public_url: str | None) -> int:
    from counterfoil_service.serving import bind, serve

    from counterfoil_consent.app import create_app
    from counterfoil_consent.sql_custodian_store import SqlCustodianStore

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with bind(port) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        store = SqlCustodianStore(folder / DATABASE)
        custodian = Custodian(
            origin=public_url or address,
            signer=load_or_create_signer(folder / SIGNING_KEY),
            store=store,
            keys=FileKeyFolder(folder / KEY_FOLDER),
            journal=FileTombstoneJournal(folder / JOURNAL),
            clock=lambda: datetime.now(UTC),
            random=secrets.token_bytes,
        )
        print(f"custodian {custodian.party.origin} listens on {address}", flush=True)
        try:
            serve(create_app(custodian), listener=listener, lifeline=None)
        finally:
            store.close()
    return 0
