"""`counterfoil demo [--data DIR] [--orders FILE] [--json] [--lang en|zh]`.

Exit status: 0 when every step was as it must be, 1 when one was not.

`counterfoil demo --serve [--open] [--reset]` shows it in a browser instead, until Ctrl-C.
"""

import argparse
import contextlib
import io
import locale
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from counterfoil_credentials.errors import CounterfoilError
from counterfoil_loyalty.chain_setting import chain_from

from counterfoil_demo.houses import FACES, HOUSES
from counterfoil_demo.points import set_chain
from counterfoil_demo.report import NotAsItMustBe, OrdersBroken, Report
from counterfoil_demo.serve import default_folder, serve_faces, start_over
from counterfoil_demo.supervisor import Supervisor, prepare_folder
from counterfoil_demo.words import LANGUAGES, Language

_SHOWN_ERRORS = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and give its exit status."""
    parser = argparse.ArgumentParser(
        prog="counterfoil demo",
        description="Two brands, a shop, a custodian, a points service and a customer.",
    )
    parser.add_argument("--data", metavar="DIR", help="keep everything in DIR, and go on there")
    parser.add_argument(
        "--orders", type=Path, metavar="FILE", help="a shop's export instead of the sample"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON line for each step")
    parser.add_argument("--lang", choices=LANGUAGES, help="the language; else the locale's")
    parser.add_argument(
        "--chain",
        metavar="CHAIN",
        help="where points live: embedded, none, or addresses of an EVM chain's nodes",
    )
    parser.add_argument(
        "--serve", action="store_true", help="show it in a browser, over a folder that is kept"
    )
    parser.add_argument("--open", action="store_true", help="with --serve: open the pages")
    parser.add_argument("--reset", action="store_true", help="with --serve: start over")
    given = parser.parse_args(arguments)
    if (given.open or given.reset) and not given.serve:
        parser.error("expected --serve with --open and --reset, found none")
    if given.orders is not None and not given.orders.is_file():
        parser.error(f"expected a file, found none (--orders {given.orders})")
    if given.chain is not None:
        try:
            chain_from(given.chain)
        except CounterfoilError as unusable:
            parser.error(f"{unusable} (--chain)")
    if given.data == "":
        parser.error("expected a folder, found an empty name (--data)")
    # A terminal that cannot show a character shows a question mark, and the demo goes on.
    with contextlib.suppress(AttributeError):
        cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    report = Report(given.lang or _language_of_the_locale(), as_json=given.json)
    with ExitStack() as stack:
        if given.data is None and given.serve:
            data = default_folder()
        elif given.data is None:
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="counterfoil-"))
            data = Path(made)
        else:
            data = Path(given.data).resolve()
        try:
            is_kept = given.data is not None or given.serve
            faces = Faces(opens=given.open, resets=given.reset) if given.serve else None
            return _run(data, report, given.orders, given.chain, faces, is_kept=is_kept)
        except BrokenPipeError:
            # Whoever read has gone. Python would complain once more when it closes the stream.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """What to do with the pages: open them in a browser, start over."""

    opens: bool
    resets: bool


def _run(
    data: Path,
    report: Report,
    orders: Path | None,
    chain: str | None,
    faces: Faces | None,
    *,
    is_kept: bool,
) -> int:
    try:
        prepare_folder(data)
        if faces is not None and faces.resets:
            start_over(data)
            report.say("started-over")
        if chain is not None:
            set_chain(data, chain)
    except CounterfoilError as unusable:
        print(f"counterfoil demo: {unusable}", file=sys.stderr)
        return 1
    report.say("title")
    report.say("kept-in" if is_kept else "kept-nowhere", folder=data)
    try:
        if faces is not None:
            names = ", ".join(house.name for house in (*HOUSES, *FACES))
            report.say("starting-faces", names=names)
            serve_faces(data, report, orders, opens=faces.opens)
        report.say("starting", names=", ".join(house.name for house in HOUSES))
        with Supervisor(data) as supervisor:
            # Loaded while the houses start: both take seconds, and neither waits for the other.
            from counterfoil_demo.walk import walk

            walk(data, supervisor, report, orders)
    except OrdersBroken as broken:
        report.say("orders-broken", count=len(broken.errors), file=broken.name)
        for error in broken.errors[:_SHOWN_ERRORS]:
            report.line(error)
        if len(broken.errors) > _SHOWN_ERRORS:
            report.say("more-errors", count=len(broken.errors) - _SHOWN_ERRORS)
        report.say("mend-and-resume")
        return 1
    except NotAsItMustBe:
        return 1
    except (CounterfoilError, PermissionError) as error:
        print(f"counterfoil demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        report.say("stopped")
        return 130
    report.say("all-well", seconds=f"{report.elapsed_s:.1f}")
    return 0


def _language_of_the_locale() -> Language:
    named = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG")
    spoken = named or locale.getlocale()[0] or ""
    return "zh" if spoken.lower().startswith("zh") else "en"
