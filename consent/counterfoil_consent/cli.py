"""`counterfoil consent …`: run a custodian over one folder.

    counterfoil consent init DIR [--public-url URL] [--database URL] [--journal FILE]
    counterfoil consent serve DIR [--port N]           the service; DIR remembers where
    counterfoil consent backup DIR TARGET              without one-time keys and journal
    counterfoil consent events DIR [--again RECEIVER]  what could not be told to whom, and why
    counterfoil consent dossier DIR FILE               for an auditor, of a custodian or a receiver
    counterfoil consent figures DIR --days N           what a receiver publishes of itself, signed
    counterfoil consent audit --receiver FILE …        the fourteen checks, see below

`custodian_folder.py` says what is in DIR. Exit status: 0 done, 1 not as it must be, 2
misused, 3 could not be found out. `audit` alone answers like a test: 0 all checks are
well, 1 one is not, 2 one could not find out (`cli_audit.py`).
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Misuse, Unavailable
from counterfoil_credentials.fetch import GuardedFetcher

from counterfoil_consent import cli_audit

_DONE: Final = 0
_BROKEN: Final = 1
_MISUSED: Final = 2
_UNKNOWN: Final = 3
_MOST_LETTERS: Final = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    given = _parser().parse_args(arguments)
    run = {
        "init": _init,
        "serve": _serve,
        "backup": _back_up,
        "events": _events,
        **_AUDITING,
    }[given.command]
    try:
        return run(given)
    except Misuse as error:
        return _told(given, error, _MISUSED)
    except Unavailable as error:
        return _told(given, error, _UNKNOWN)
    except CounterfoilError as error:
        return _told(given, error, _BROKEN)
    except OSError as error:
        # Such as a target that is there already, which is never written over.
        found = f"expected to read or write {error.filename}, found: {error.strerror}"
        return _told(given, found, _BROKEN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="counterfoil consent", description="Keep consent.")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="make a custodian's folder")
    init.add_argument("dir", type=Path)
    init.add_argument("--public-url", help="its https origin; without, it stays on this machine")
    init.add_argument("--database", help="a postgresql:// URL instead of a SQLite file")
    init.add_argument("--journal", help="the journal of ends, best on another disk")
    serve = commands.add_parser("serve", help="run a custodian on loopback")
    serve.add_argument("dir", type=Path)
    serve.add_argument("--port", type=int, help="the port; the last one, or a free one")
    serve.add_argument("--public-url", help="the custodian's origin; default: where it listens")
    backup = commands.add_parser("backup", help="copy database and signing key, never the keys")
    backup.add_argument("dir", type=Path)
    backup.add_argument("target", type=Path, help="a folder that is not there yet")
    events = commands.add_parser("events", help="list what could not be told to a receiver")
    events.add_argument("dir", type=Path)
    events.add_argument(
        "--again", metavar="RECEIVER", help="push at once what is dead for this DID"
    )
    cli_audit.add_parsers(commands.add_parser)
    return parser


def _audit(given: argparse.Namespace) -> int:
    text, status = cli_audit.run_audit(given)
    print(text)
    return status


def _dossier(given: argparse.Namespace) -> int:
    from counterfoil_consent.dossier_folder import dossier_of

    dossier = dossier_of(given.dir, now=_now(), database=given.database)
    cli_audit.write_dossier(given.target, dossier)
    print(f"dossier written to {given.target}; grants in it: {len(dossier.grants)}")
    return _DONE


def _figures(given: argparse.Namespace) -> int:
    from counterfoil_consent.dossier_folder import FIGURES, publish_figures

    figures = publish_figures(given.dir, days=given.days, now=_now(), database=given.database)
    stop = "no stop yet" if figures.median_stop_s is None else f"{figures.median_stop_s} s to stop"
    print(f"{figures.overdue} of {figures.ended} overdue, {stop} (median)")
    print(f"publish {given.dir / FIGURES}")
    return _DONE


def _init(given: argparse.Namespace) -> int:
    from counterfoil_consent.custodian_folder import CustodianFolder
    from counterfoil_consent.custodian_settings import CustodianSettings

    CustodianFolder(given.dir).make(
        CustodianSettings(
            public_url=given.public_url,
            develops=given.public_url is None,
            database=given.database,
            journal=given.journal,
        )
    )
    print(f"{given.dir} is ready. Next:\n  counterfoil consent serve {given.dir}")
    return _DONE


def _serve(given: argparse.Namespace) -> int:
    from counterfoil_service.serving import bind, bind_exactly, serve

    from counterfoil_consent.custodian_folder import CustodianFolder
    from counterfoil_consent.operating import operated_app

    folder = CustodianFolder(given.dir)
    folder.require_made(given.public_url)
    # What cannot be its origin is refused before a port is taken.
    folder.url(given.public_url, "http://127.0.0.1")
    last = folder.last_port()
    # A port that was asked for is the one that others were told: nothing moves it.
    socket = bind(last) if given.port is None else bind_exactly(given.port)
    with socket as listener:
        port = listener.getsockname()[1]
        if given.port is None and last not in (None, port):
            moved = f"port {last} is in use; it listens on {port} instead"
            print(f"counterfoil consent serve: {moved}", file=sys.stderr)
        address = f"http://127.0.0.1:{port}"
        url = folder.url(given.public_url, address)
        here = folder.settings().loopback_receivers
        with folder.open(url) as opened:
            app = operated_app(
                opened,
                signer=folder.signer(),
                metrics_key=folder.metrics_key(),
                data=folder.path,
                fetcher=GuardedFetcher(loopback_routes_unsafely={one: one for one in here}),
                clock=_now,
            )
            folder.record_address(url)
            folder.record_port(port)
            print(f"custodian {url} listens on {address}", flush=True)
            serve(app, listener=listener, lifeline=None)
    return _DONE


def _back_up(given: argparse.Namespace) -> int:
    from counterfoil_consent.custodian_folder import CustodianFolder

    if CustodianFolder(given.dir).back_up(given.target):
        print(f"custodian copied to {given.target}, without its one-time keys and its journal")
    else:
        print(f"settings and signing key copied to {given.target}; dump the database (pg_dump)")
    return _DONE


def _events(given: argparse.Namespace) -> int:
    from contextlib import closing

    from counterfoil_consent.custodian_folder import CustodianFolder
    from counterfoil_consent.sql_custodian_store import SqlCustodianStore

    folder = CustodianFolder(given.dir)
    folder.require_made()
    with closing(SqlCustodianStore(folder.database())) as store:
        if given.again is not None:
            store.outbox.send_again(given.again)
        letters, counts = store.outbox.undelivered(_MOST_LETTERS), store.outbox.counts()
    for letter in letters:
        print(f"{letter.state} {letter.died_at:%Y-%m-%dT%H:%M:%SZ} {letter.event_id}")
        print(f"  to {letter.destination}\n  {letter.failure}")
    print(f"{counts.waiting} wait, {counts.dead} are dead, {counts.refused} were refused")
    return _DONE


def _now() -> datetime:
    return datetime.now(UTC)


_AUDITING: Final = {"audit": _audit, "dossier": _dossier, "figures": _figures}


def _told(given: argparse.Namespace, error: Exception | str, status: int) -> int:
    print(f"counterfoil consent {given.command}: {error}", file=sys.stderr)
    return status
