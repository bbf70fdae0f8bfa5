"""`counterfoil wallet …`: a wallet in a folder, from the command line.

The passphrase comes from COUNTERFOIL_PASSPHRASE, or is asked for; never from an
argument, which every process list shows. What a stranger wrote is printed at the
end of a line of ours and made `printable`: it can neither move the cursor nor
write a line of its own.
"""

import argparse
import getpass
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from counterfoil_credentials.arguments import parse_arguments
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import CounterfoilError, Misuse
from counterfoil_credentials.fetch import GuardedFetcher

from counterfoil_wallet import cli_asking as asks
from counterfoil_wallet import cli_commands as does
from counterfoil_wallet import cli_consents as consents
from counterfoil_wallet import cli_keeping as keeps
from counterfoil_wallet.cli_forms import Told, line, reasons_json, say
from counterfoil_wallet.cli_hints import next_step
from counterfoil_wallet.refusing import RefusalClass
from counterfoil_wallet.trust import Trust
from counterfoil_wallet.trust_file import read_trust_file
from counterfoil_wallet.wallet import Wallet
from counterfoil_wallet.wire import reasons_of, refuse

Command: TypeAlias = Callable[[Wallet, argparse.Namespace], Told]

PASSPHRASE_VARIABLE: Final = "COUNTERFOIL_PASSPHRASE"
_STOPPED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not done, 2 misused, 130 stopped."""
    given = parse_arguments(_parser(), arguments)
    run: Callable[[argparse.Namespace], Told] = given.run
    try:
        result, lines = run(given)
    except Misuse as error:
        say(f"counterfoil wallet: {error}")
        return 2
    except CounterfoilError as error:
        if given.json:
            reasons = reasons_json(reasons_of(error))
            print(_json({"error": type(error).__name__.lower(), "reasons": reasons}))
        say(f"counterfoil wallet: {error}")
        if (hint := next_step(error)) is not None and not given.json:
            say(hint)
        return 1
    except KeyboardInterrupt:
        has_begun = hasattr(given, "passphrase")
        what = "; counterfoil wallet resume goes on with what had begun" if has_begun else ""
        sys.stderr.write("\n")
        say(f"counterfoil wallet: stopped{what}")
        return _STOPPED
    return _printed([_json(result)] if given.json else [line(text) for text in lines])


def _printed(lines: Sequence[str]) -> int:
    try:
        for text in lines:
            print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has read enough; what is left must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _json(result: JsonObject) -> str:
    # In ASCII every control character is escaped, but the one that JSON forgot.
    return json.dumps(result).replace("\x7f", "\\u007f")


def _create(given: argparse.Namespace) -> Told:
    """Make a new wallet."""
    # Nobody is asked for a passphrase in vain.
    if Wallet.exists(given.folder):
        raise refuse("wallet-exists", "no wallet yet", "one", given.folder)
    Wallet.create(given.folder, _passphrase(is_new=True)).lock()
    return {"created": given.folder}, [f"A new wallet is in {given.folder}."]


def _with_passphrase(
    run: Callable[[argparse.Namespace], Told],
) -> Callable[[argparse.Namespace], Told]:
    def asked(given: argparse.Namespace) -> Told:
        # What contacts keep opens a backup without its passphrase: then this is a new one.
        given.passphrase = _passphrase(is_new=getattr(given, "shares", False))
        return run(given)

    return asked


def _open(given: argparse.Namespace) -> Wallet:
    trust = Trust() if given.trust is None else read_trust_file(Path(given.trust))
    fetcher = _fetcher(given)
    if not Wallet.exists(given.folder):
        raise refuse("wallet-missing", "a wallet", "none", given.folder)
    given.passphrase = _passphrase()
    return Wallet.open(given.folder, given.passphrase, fetcher=fetcher, trust=trust)


def _fetcher(given: argparse.Namespace) -> GuardedFetcher:
    routes: dict[str, str] = {}
    for route in given.loopback_unsafely:
        origin, _, target = str(route).partition("=")
        routes[origin] = target or origin
    return GuardedFetcher(loopback_routes_unsafely=routes)


def _passphrase(*, is_new: bool = False) -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    try:
        with warnings.catch_warnings():
            # Without a terminal it would go on, and read what is typed in the open.
            warnings.simplefilter("error", getpass.GetPassWarning)
            typed = getpass.getpass("New passphrase: " if is_new else "Passphrase: ")
            if is_new and getpass.getpass("The same once more: ") != typed:
                raise Misuse("expected the same passphrase twice, found two")
    except (EOFError, getpass.GetPassWarning) as cause:
        expected = f"a passphrase in {PASSPHRASE_VARIABLE}, or a terminal to ask for it"
        raise Misuse(f"expected {expected}, found neither") from cause
    return typed


def _opened(run: Command) -> Callable[[argparse.Namespace], Told]:
    def opened(given: argparse.Namespace) -> Told:
        with _open(given) as wallet:
            return run(wallet, given)

    return opened


def _reaches(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--loopback-unsafely",
        action="append",
        default=[],
        metavar="ORIGIN[=LOOPBACK_ORIGIN]",
        help="reach an origin on this machine, without TLS, for development",
    )


def _suspend_all(given: argparse.Namespace) -> Told:
    return consents.suspend_all(_fetcher(given), given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="counterfoil wallet", description="A customer's wallet in a folder."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def plain(
        name: str, run: Callable[[argparse.Namespace], Told], what: str | None
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--json", action="store_true", help="print one line of JSON")
        command.set_defaults(run=run)
        return command

    def add(name: str, run: Command, **arguments: str) -> argparse.ArgumentParser:
        command = plain(name, _opened(run), run.__doc__)
        command.add_argument("folder", metavar="DIR", help="where the wallet is")
        for argument, what in arguments.items():
            command.add_argument(argument, metavar=argument.upper(), help=what)
        command.add_argument("--trust", metavar="FILE", help="whom to trust; see docs/wallet.md")
        _reaches(command)
        return command

    create = plain("create", _create, _create.__doc__)
    create.add_argument("folder", metavar="DIR", help="where the wallet is to be")
    scan = plain("scan", does.scan, does.scan.__doc__)
    scan.add_argument("text", metavar="TEXT", help="what the QR code says")

    add("offered", does.offered, link="the offer's link")
    accept = add("accept", does.accept, link="the offer's link")
    accept.add_argument("--tx-code", help="the code that came another way")
    login = add("login", does.login, source="the offer's link, or the issuer's URL")
    login.add_argument("--redirect-uri", required=True, help="the address that takes you back")
    login.add_argument(
        "--configuration", action="append", default=[], help="what to ask an issuer's URL for"
    )
    add("come-back", does.come_back, url="the whole address that the browser came back to")

    add("credentials", does.credentials)
    add("card", does.card, id="the card's id")
    add("search", does.search, text="words, or how they begin")
    add("find", does.find, path="the claim, such as item.serial", value="its value")
    add("about", does.about, link="the product's link")
    statuses = add("statuses", does.statuses)
    statuses.add_argument("--check", action="store_true", help="ask the issuers' lists now")
    reminders = add("reminders", does.reminders)
    reminders.add_argument("--zone", default="UTC", help="your time zone, such as Europe/Berlin")
    add("remove", does.remove, id="the card's id")
    add("take-back", does.take_back, id="the card's id")
    trash = add("trash", does.trash)
    trash.add_argument("--empty", action="store_true", help="destroy it now")

    link, codes = "the request's link", "its link, or the QR codes that hold it, spaces between"
    add("ask", asks.ask, link=codes)
    present = add("present", asks.present, link=codes)
    present.add_argument("--yes", action="store_true", help="show it without asking")
    present.add_argument(
        "--codes", action="store_true", help="give the answer as QR codes; send nothing"
    )
    show = add("show", asks.show, preset="a file with the counter's preset")
    show.add_argument("--yes", action="store_true", help="show it without asking")
    add("decline", asks.decline, link=link)
    add("take-receipt", asks.take_receipt, receipt="the QR codes on the shop's screen, with spaces")

    add("terms", asks.terms, link=link)
    grant = add("grant", asks.grant, link=link)
    grant.add_argument("--optional", action="append", default=[], help="an optional claim to grant")
    grant.add_argument("--max-reads", type=int, help="fewer reads than asked for")
    grant.add_argument("--days", type=int, help="a sooner end than asked for")
    grant.add_argument("--recipient", action="append", help="whom alone it may be handed to")
    grant.add_argument("--yes", action="store_true", help="grant it without asking")
    for command in (present, show, grant):
        command.add_argument(
            "--reuse-that-links",
            action="store_true",
            help="show a copy that another verifier has seen, when no other is left",
        )
    add("grants", asks.grants)
    withdraw = add("withdraw", consents.withdraw, id="the grant's id")
    seen = add("consents", consents.consents)
    seen.add_argument("--check", action="store_true", help="ask how each was used, first")
    seen.add_argument("--fact", help="who has this one, such as phone_number")
    preview = add("preview", consents.preview, id="the grant's id")
    suspend = add("suspend", consents.suspend, id="the grant's id")
    go_on = add("go-on", consents.go_on, id="the paused grant's id")
    add("stand-by", consents.stand_by, file="the file to write")
    away = plain("suspend-all", _suspend_all, consents.suspend_all.__doc__)
    away.add_argument("file", metavar="FILE", help="what stand-by wrote")
    _reaches(away)
    refuse_it = add("refuse", consents.refuse, link=link)
    refuse_it.add_argument("--why", choices=[*RefusalClass], help="the class of the reason")
    add("defer", consents.defer, link=link)
    add("waiting", consents.waiting)
    guard = add("guard", consents.guard)
    guard.add_argument("--adult-from", metavar="DAY", help="such as 2031-05-24")
    waited = add("grant-waiting", consents.grant_waiting, id="the request's id")
    waited.add_argument("--yes", action="store_true", help="grant it without asking")
    complaint = add("complaint", consents.complaint, id="the grant's id", file="the file to write")
    add("consent-log", consents.log, file="the file to write")
    add("dossier", consents.dossier, file="the file to write")
    for command in (withdraw, seen, preview, suspend, go_on, complaint):
        command.add_argument("--language", default="en", help="en or zh")

    add("backup", keeps.backup, file="the file to write")
    restore = plain("restore", _with_passphrase(keeps.restore), keeps.restore.__doc__)
    restore.add_argument("folder", metavar="DIR", help="where the wallet is to be")
    restore.add_argument("file", metavar="FILE", help="the backup")
    add("check", keeps.check)
    salvage = plain("salvage", _with_passphrase(keeps.salvage), keeps.salvage.__doc__)
    salvage.add_argument("folder", metavar="DIR", help="where the damaged wallet is")
    salvage.add_argument("into", metavar="NEW", help="where the new one is to be")
    split = add("split", keeps.split)
    split.add_argument("contact", nargs="+", metavar="NAME", help="who is to keep a share")
    split.add_argument("--threshold", type=int, required=True, help="how many must come together")
    add("recovery", keeps.recovery)
    add("export", keeps.export, to="the folder to make")
    add("receipt", keeps.receipt, id="the visit's id in the history", to="the file to write")
    brought = add("import", keeps.import_from, source="the export's folder, or a backup")
    for command in (restore, brought):
        command.add_argument(
            "--shares", action="store_true", help="read contacts' words, a line for each share"
        )

    add("resume", does.resume)
    add("history", does.history)
    add("access", does.access)
    return parser
