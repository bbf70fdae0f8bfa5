"""`counterfoil loyalty serve DIR`: the points service with its chain, on loopback.

DIR holds everything: `chain.sqlite3` (the chain and the relayer's key, readable
by their owner alone), `points.sqlite3` (the outbox and the projection), `voucher.key` (what
vouchers are derived from: kept, or given vouchers change) and `operator.key`:
who carries it admits brands (POST /brands). `--chain` puts the points on a chain
that others run (then `relayer.key` is in DIR), or switches them off.
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

OPERATOR_KEY: Final = "operator.key"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not as it must be, 2 misused."""
    parser = argparse.ArgumentParser(prog="counterfoil loyalty", description="Run points.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="the points service and its chain, on loopback")
    serve.add_argument("dir", type=Path)
    serve.add_argument("--port", type=int, help="the port; a free one when it is taken")
    serve.add_argument(
        "--chain",
        default="embedded",
        help="embedded (the default), none, or the addresses of a chain's nodes, commas between",
    )
    serve.add_argument("--exchange", help="the programme's exchange, where another made it")
    serve.add_argument("--first-block", type=int, default=0, help="the block that it came into")
    serve.add_argument(
        "--finality", default="finalized", help="finalized (the chain's word), or a depth in blocks"
    )
    move = commands.add_parser("move", help="begin a programme of newer contracts in DIR")
    move.add_argument("dir", type=Path)
    given = parser.parse_args(arguments)
    try:
        return _move(given) if given.command == "move" else _serve(given)
    except (CounterfoilError, OSError) as error:
        print(f"counterfoil loyalty {given.command}: {error}", file=sys.stderr)
        return 1


def open_app(
    folder: Path, stack: ExitStack, *, operator_key: str, chain: str = "embedded"
) -> "AsgiApp":
    """Give the points service over the files in `folder`; see `points_folder.open_points`."""
    from counterfoil_loyalty.chain_setting import chain_from
    from counterfoil_loyalty.points_folder import open_points

    return open_points(folder, chain_from(chain), stack, operator_key=operator_key)


def _move(given: argparse.Namespace) -> int:
    from counterfoil_loyalty.points_folder import move_programme

    version = move_programme(given.dir)
    print(f"the programme in {given.dir} is one of contracts of version {version}")
    return 0


def _serve(given: argparse.Namespace) -> int:
    from counterfoil_service.access import load_or_create_key
    from counterfoil_service.serving import bind, serve

    from counterfoil_loyalty.accounts import PointsSigner, account_from
    from counterfoil_loyalty.chain_setting import Nodes, chain_from
    from counterfoil_loyalty.points_folder import open_points, relayer_key

    exchange = None if given.exchange is None else account_from(given.exchange, "--exchange")
    chain = chain_from(
        given.chain,
        exchange=exchange,
        first_block=given.first_block,
        finality=given.finality,
    )
    with bind(given.port) as listener, ExitStack() as stack:
        operator_key = load_or_create_key(given.dir / OPERATOR_KEY)
        if isinstance(chain, Nodes):
            # Somebody has to give it coins before its first transaction finds a block.
            print(f"the relayer pays as {PointsSigner(relayer_key(given.dir)).account}", flush=True)
        app = open_points(given.dir, chain, stack, operator_key=operator_key)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        print(f"points listen on {address}", flush=True)
        serve(app, listener=listener, lifeline=None)
    return 0
