"""`counterfoil issuer …`: set up a folder for a development issuer, and serve it.

    counterfoil issuer init DIR            catalogue, sample orders, keys
    counterfoil issuer serve DIR           the service, on a free loopback port
    counterfoil issuer import DIR FILE     take in an orders file

DIR holds everything: `catalogue.json`, `issuer.sqlite3` and, readable by their
owner alone, `signing-key.pem`, `secret.key` and `back-office.key`.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil_credentials.errors import CounterfoilError
from counterfoil_credentials.key_file import load_or_create_signer

from counterfoil_issuer.catalogue import parse_catalogue
from counterfoil_issuer.importing import MAX_FILE_BYTES
from counterfoil_issuer.issuer import Issuer

if TYPE_CHECKING:
    from counterfoil_issuer.sql_store import SqlStore

CATALOGUE: Final = "catalogue.json"
ORDERS: Final = "orders.csv"
DATABASE: Final = "issuer.sqlite3"
SIGNING_KEY: Final = "signing-key.pem"
SECRET: Final = "secret.key"
BACK_OFFICE_KEY: Final = "back-office.key"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not as it must be, 2 misused."""
    parser = argparse.ArgumentParser(prog="counterfoil issuer", description="Issue credentials.")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make a folder for a development issuer")
    init.add_argument("dir", type=Path)
    serve = commands.add_parser("serve", help="answer wallets and the back office on loopback")
    serve.add_argument("dir", type=Path)
    serve.add_argument("--port", type=int, help="the port; a free one when it is taken")
    serve.add_argument("--public-url", help="the issuer's identifier; default: where it listens")
    load = commands.add_parser("import", help="take in an orders file")
    load.add_argument("dir", type=Path)
    load.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "init":
                return _init(given.dir)
            case "serve":
                return _serve(given.dir, given.port, given.public_url)
            case _:
                return _import(given.dir, given.file)
    except (CounterfoilError, OSError) as error:
        print(f"counterfoil issuer {given.command}: {error}", file=sys.stderr)
        return 1


def _init(folder: Path) -> int:
    from counterfoil_service.access import load_or_create_key

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, sample in ((CATALOGUE, "sample_catalogue.json"), (ORDERS, "sample_orders.csv")):
        if not (folder / name).exists():
            with as_file(files("counterfoil_issuer") / sample) as source:
                shutil.copyfile(source, folder / name)
    load_or_create_signer(folder / SIGNING_KEY)
    for name in (SECRET, BACK_OFFICE_KEY):
        load_or_create_key(folder / name)
    print(f"{folder} is ready. Next:")
    print(f"  counterfoil issuer import {folder} {folder / ORDERS}")
    print(f"  counterfoil issuer serve {folder}")
    return 0


def _serve(folder: Path, port: int | None, public_url: str | None) -> int:
    from counterfoil_service.access import load_or_create_key
    from counterfoil_service.serving import bind, serve

    from counterfoil_issuer.app import create_app

    with bind(port) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        issuer, store = _open(folder, public_url or address)
        app = create_app(issuer, back_office_key=load_or_create_key(folder / BACK_OFFICE_KEY))
        print(f"issuer {issuer.url} listens on {address}", flush=True)
        try:
            serve(app, listener=listener, lifeline=None)
        finally:
            store.close()
    return 0


def _import(folder: Path, file: Path) -> int:
    size_bytes = file.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        print(f"expected at most {MAX_FILE_BYTES} bytes, found {size_bytes} ({file})")
        return 1
    # Importing names no URL, so any identifier will do.
    issuer, store = _open(folder, "http://127.0.0.1")
    try:
        report = issuer.import_orders(file.read_bytes())
    finally:
        store.close()
    for error in report.errors:
        print(error)
    if more := report.error_count - len(report.errors):
        print(f"and {more} more")
    count = report.error_count
    print(f"{len(report.imported)} imported, {report.unchanged} unchanged, {count} errors")
    return 1 if count else 0


def _open(folder: Path, url: str) -> "tuple[Issuer, SqlStore]":
    from counterfoil_service.access import load_or_create_key

    from counterfoil_issuer.sql_store import SqlStore

    catalogue = parse_catalogue((folder / CATALOGUE).read_bytes())
    store = SqlStore(folder / DATABASE)
    issuer = Issuer(
        url=url,
        catalogue=catalogue,
        signer=load_or_create_signer(folder / SIGNING_KEY),
        secret=load_or_create_key(folder / SECRET).encode(),
        store=store,
    )
    return issuer, store
