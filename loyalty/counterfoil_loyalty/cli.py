"""`counterfoil loyalty serve DIR`: the points service with its chain, on loopback.

DIR holds everything: `chain.sqlite3` (the chain and the relayer's key, readable
by their owner alone), `points.sqlite3` (the outbox and the projection), `voucher.key` (what
vouchers are derived from: kept, or given vouchers change) and `operator.key`:
who carries it admits brands (POST /brands).
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil_credentials.errors import CounterfoilError

if TYPE_CHECKING:
    from counterfoil_service.serving import AsgiApp

CHAIN: Final = "chain.sqlite3"
DATABASE: Final = "points.sqlite3"
OPERATOR_KEY: Final = "operator.key"
VOUCHER_KEY: Final = "voucher.key"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not as it must be, 2 misused."""
    parser = argparse.ArgumentParser(prog="counterfoil loyalty", description="Run points.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="the points service and its chain, on loopback")
    serve.add_argument("dir", type=Path)
    serve.add_argument("--port", type=int, help="the port; a free one when it is taken")
    given = parser.parse_args(arguments)
    try:
        return _serve(given.dir, given.port)
    except (CounterfoilError, OSError) as error:
        print(f"counterfoil loyalty {given.command}: {error}", file=sys.stderr)
        return 1


def open_app(folder: Path, stack: ExitStack, *, operator_key: str) -> "AsgiApp":
    """Give the points service over the files in `folder`; `stack` closes them.

    `operator_key` is the bearer key of whoever admits brands.

    The exchange and every brand's points that were there are there again, and
    whatever was under way when the last process ended is taken up.
    """
    import secrets
    import time

    from counterfoil_service.access import load_or_create_key
    from counterfoil_service.sql import Database

    from counterfoil_loyalty.app import create_app
    from counterfoil_loyalty.chain import embedded_ledger
    from counterfoil_loyalty.relayer import Relayer, Ticker
    from counterfoil_loyalty.service import PointsService
    from counterfoil_loyalty.sql_outbox import METADATA
    from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore

    def clock() -> int:
        return int(time.time())

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = embedded_ledger(folder / CHAIN, now=clock(), random=secrets.token_bytes)
    stack.callback(ledger.close)
    database = Database.open(folder / DATABASE, METADATA, version=SCHEMA_VERSION)
    stack.callback(database.close)
    store = SqlStore(database)
    relayer = Relayer(ledger, store)
    relayer.start()
    voucher_secret = load_or_create_key(folder / VOUCHER_KEY).encode()
    service = PointsService(relayer, store, clock, voucher_secret=voucher_secret)
    return create_app(service, Ticker(relayer, clock), operator_key=operator_key)


def _serve(folder: Path, port: int | None) -> int:
    from counterfoil_service.access import load_or_create_key
    from counterfoil_service.serving import bind, serve

    with bind(port) as listener, ExitStack() as stack:
        operator_key = load_or_create_key(folder / OPERATOR_KEY)
        app = open_app(folder, stack, operator_key=operator_key)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        print(f"points listen on {address}", flush=True)
        serve(app, listener=listener, lifeline=None)
    return 0
