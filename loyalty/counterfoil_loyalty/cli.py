"""`counterfoil loyalty …`: run points, and use them from the command line.

    counterfoil loyalty serve DIR | deploy DIR | move DIR      an operator
    counterfoil loyalty key FILE                               a key in a file, and its account
    counterfoil loyalty award | settle URL ...                 a brand
    counterfoil loyalty balance | history | quote | exchange | redeem URL ...
    counterfoil loyalty audit URL                              anybody

With `--json` a command prints one JSON object, trouble too; exit status: 0 done, 1 not as
it must be, 2 misused. `serve DIR` runs the points service with its chain, on loopback.

DIR holds everything: `chain.sqlite3` (the chain and the relayer's key, readable
by their owner alone), `points.sqlite3` (the outbox and the projection), `voucher.key` (what
vouchers are derived from: kept, or given vouchers change) and `operator.key`:
who carries it admits brands (POST /brands). `--chain` puts the points on a chain
that others run (then `relayer.key` is in DIR), or switches them off.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil_credentials.errors import CounterfoilError, Misuse, Refused

if TYPE_CHECKING:
    from counterfoil_service.serving import AsgiApp

OPERATOR_KEY: Final = "operator.key"
_EXCHANGE: Final = ("url", "brand", "amount", "to_brand")
_FUNCTIONS: Final = {"audit": "audit_all"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not as it must be, 2 misused."""
    parser = argparse.ArgumentParser(prog="counterfoil loyalty", description="Run points.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="the points service and its chain, on loopback")
    serve.add_argument("dir", type=Path)
    serve.add_argument("--port", type=int, help="the port; a free one when it is taken")
    _place(serve)
    move = commands.add_parser("move", help="begin a programme of newer contracts in DIR")
    move.add_argument("dir", type=Path)
    _add_commands(commands.add_parser)
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "serve":
                return _serve(given)
            case "move":
                return _move(given)
            case _:
                return _told(given)
    except Misuse as error:
        # What serve cannot take up is no misuse of the command.
        return _failed(given, error, 1 if given.command in ("serve", "move") else 2)
    except (CounterfoilError, OSError) as error:
        return _failed(given, error, 1)


def _told(given: argparse.Namespace) -> int:
    from counterfoil_loyalty import cli_commands

    name = str(given.command)
    result, lines = getattr(cli_commands, _FUNCTIONS.get(name, name))(given)
    for line in [json.dumps(result)] if given.json else lines:
        # What a stranger wrote moves no cursor.
        print("".join(it if it.isprintable() else "\ufffd" for it in line))
    return 0


def _failed(given: argparse.Namespace, error: Exception, status: int) -> int:
    if getattr(given, "json", False):
        reasons = [asdict(it) for it in error.reasons] if isinstance(error, Refused) else []
        is_ours = isinstance(error, CounterfoilError)
        kind = type(error).__name__.lower() if is_ours else "unavailable"
        print(json.dumps({"error": kind, "reasons": reasons}))
    print(f"counterfoil loyalty {given.command}: {error}", file=sys.stderr)
    return status


def _place(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--chain",
        default="embedded",
        help="embedded (the default), none, or the addresses of a chain's nodes, commas between",
    )
    _programme(command)
    command.add_argument("--database", help="a postgresql:// URL, in place of a file in DIR")


def _programme(command: argparse.ArgumentParser) -> None:
    command.add_argument("--exchange", help="the programme's exchange, where another made it")
    command.add_argument("--first-block", type=int, default=0, help="the block that it came into")
    command.add_argument(
        "--finality", default="finalized", help="finalized (the chain's word), or a depth in blocks"
    )


def _add_commands(parser: Callable[..., argparse.ArgumentParser]) -> None:
    def add(name: str, text: str, *words: str) -> argparse.ArgumentParser:
        command = parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="print one line of JSON")
        for word in words:
            command.add_argument(word, metavar=word.upper().replace("_", "-"))
        return command

    key = add("key", "make a key in a file, or read it, and tell its account")
    key.add_argument("file", type=Path, metavar="FILE")
    key.add_argument("--with", dest="with_brand", metavar="BRAND", help="a customer's, with BRAND")
    deploy = add("deploy", "put a programme's contracts, and a brand's points, onto a chain")
    deploy.add_argument("dir", type=Path, metavar="DIR")
    _place(deploy)
    deploy.add_argument("--brand", help="the brand's public name, https://…")
    deploy.add_argument("--name", help="what its points are called")
    deploy.add_argument("--symbol", help="and in short")
    deploy.add_argument("--price", type=int, help="millionths of a currency unit per base unit")
    deploy.add_argument("--key", type=Path, help="the file with the brand's key")
    deploy.add_argument("--wait", type=float, default=60, help="seconds to wait for blocks")
    award = add("award", "award points for an order, once", "url", "brand", "amount")
    award.add_argument("--account", required=True, help="the customer's account with the brand")
    award.add_argument("--order", required=True, help="the order that earned them")
    award.add_argument("--kind", default="purchase", help="what of the order (purchase)")
    award.add_argument("--key", type=Path, required=True, help="the file with the issuer's key")
    award.add_argument(
        "--ref-secret", type=Path, required=True, help="the file with the secret of award refs"
    )
    for name, text, words in (
        ("balance", "what a customer holds", ("url",)),
        ("history", "every movement of a customer's points", ("url",)),
        ("exchange", "exchange points, as quoted or not at all", _EXCHANGE),
        ("redeem", "turn points into a voucher", ("url", "brand", "amount")),
    ):
        command = add(name, text, *words)
        command.add_argument(
            "--secret", type=Path, required=True, help="the file with the customer's secret"
        )
        if name in ("exchange", "redeem"):
            command.add_argument("--id", help="64 hex digits; the same again happens once")
        if name == "exchange":
            command.add_argument("--least", help="less than this is not exchanged")
    add("quote", "what an exchange would give now", *_EXCHANGE)
    settle = add("settle", "what brands owe; acknowledge a payment, or net a cycle", "url")
    settle.add_argument("brands", nargs="+", metavar="BRAND", help="debtor, creditor; or a cycle")
    settle.add_argument("--paid", type=int, help="millionths that the creditor was paid elsewhere")
    settle.add_argument("--ref", help="the payment's reference, 64 hex digits, used once")
    settle.add_argument("--key", type=Path, help="the file with the creditor's key")
    settle.add_argument("--number", type=int, help="which netting of this cycle it is")
    audit = add("audit", "add everything up again from the first event")
    audit.add_argument("url", nargs="?", metavar="URL", help="the service")
    audit.add_argument("--chain", help="or the addresses of a chain's nodes")
    _programme(audit)


def key_in(path: Path, *, make: bool = False) -> str:
    """Give the key in a file of its owner's alone; with `make`, one at random where none is."""
    from counterfoil_service.access import load_or_create_key

    if not make and not path.is_file():
        raise Misuse(f"expected a key in {path.name or path} (counterfoil loyalty key makes one)")
    return load_or_create_key(path)


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
        app = open_points(
            given.dir, chain, stack, operator_key=operator_key, database=given.database
        )
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        print(f"points listen on {address}", flush=True)
        serve(app, listener=listener, lifeline=None)
    return 0
