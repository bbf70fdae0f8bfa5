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
from collections.abc import Callable, Sequence
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse, Reason
from counterfoil_credentials.fetch import GuardedFetcher

from counterfoil_wallet.acceptance import Dropped, Finished
from counterfoil_wallet.disclosures import Disclosure
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.matching import Matches
from counterfoil_wallet.printable import printable, shortened
from counterfoil_wallet.reading import Stuck
from counterfoil_wallet.wallet import Wallet
from counterfoil_wallet.wire import reasons_of

PASSPHRASE_VARIABLE: Final = "COUNTERFOIL_PASSPHRASE"
_LONGEST_LINE: Final = 2_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status: 0 done, 1 not done, 2 misused."""
    given = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], tuple[JsonObject, Sequence[str]]] = given.run
    try:
        result, lines = run(given)
    except Misuse as error:
        _say(f"counterfoil wallet: {error}")
        return 2
    except CounterfoilError as error:
        if given.json:
            reasons = _reasons(reasons_of(error))
            print(_json({"error": type(error).__name__.lower(), "reasons": reasons}))
        _say(f"counterfoil wallet: {error}")
        return 1
    if given.json:
        print(_json(result))
    else:
        for line in lines:
            print(_line(line))
    return 0


def _say(text: str) -> None:
    # To the error stream, so that --json stays one line on the other.
    sys.stderr.write(f"{_line(text)}\n")


def _line(text: str) -> str:
    """Give a line of ours, with whatever a stranger wrote in it made safe."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + shortened(printable(text), _LONGEST_LINE)


def _json(result: JsonObject) -> str:
    # In ASCII every control character is escaped, but the one that JSON forgot.
    return json.dumps(result).replace("\x7f", "\\u007f")


def _create(given: argparse.Namespace) -> tuple[JsonObject, Sequence[str]]:
    Wallet.create(given.folder, _passphrase()).lock()
    return {"created": given.folder}, [f"A new wallet is in {given.folder}."]


def _accept(given: argparse.Namespace) -> tuple[JsonObject, Sequence[str]]:
    with _open(given) as wallet:
        accepted = wallet.accept(given.link, tx_code=given.tx_code)
    held: list[Json] = [_credential(credential) for credential in accepted.credentials]
    refused: list[Json] = [reason.code for reason in accepted.refused]
    lines = [f"Accepted {credential.vct}" for credential in accepted.credentials]
    return (
        {"accepted": held, "refused": refused},
        [*lines, *(f"Refused: {reason}" for reason in accepted.refused)],
    )


def _credentials(given: argparse.Namespace) -> tuple[JsonObject, Sequence[str]]:
    with _open(given) as wallet:
        credentials, damaged = wallet.credentials(), wallet.damaged()
    listed: list[Json] = [_credential(credential) for credential in credentials]
    lines = [f"{c.credential_id}  {c.vct}  from {c.issuer}" for c in credentials]
    lines += [f"Cannot be read: {_why_stuck(record)}" for record in damaged]
    result: JsonObject = {"credentials": listed, "damaged": _stuck(damaged)}
    return result, lines or ["No credentials yet."]


def _present(given: argparse.Namespace) -> tuple[JsonObject, Sequence[str]]:
    with _open(given) as wallet:
        matches = wallet.matches(given.link)
        choice = matches.choose()
        if not given.yes and not _agrees(matches, choice.disclosures):
            wallet.decline(matches)
            return {"presented": False}, ["Declined. Nothing was shown."]
        presented = wallet.present(choice)
    claims: list[Json] = [name for shown in choice.disclosures for name in shown.names]
    result: JsonObject = {
        "presented": True,
        "to": matches.asker.client_id,
        "claims": claims,
        "redirect_uri": presented.redirect_uri,
    }
    return result, ["Shown."]


def _resume(given: argparse.Namespace) -> tuple[JsonObject, Sequence[str]]:
    with _open(given) as wallet:
        resumed = wallet.resume()
    lines: list[str] = []
    for acceptance in resumed.acceptances:
        match acceptance:
            case Finished():
                lines.append(f"Accepted from {acceptance.issuer}")
            case Dropped():
                why = "; ".join(map(str, acceptance.reasons))
                lines.append(f"Dropped an offer from {acceptance.issuer}: {why}")
            case _:
                lines.append(f"Still under way with {acceptance.issuer}")
    lines += [f"Grant {grant.grant_id}: {_state(grant)}" for grant in resumed.grants]
    lines += [f"Stuck: {_why_stuck(record)}" for record in resumed.stuck]
    states: list[Json] = [_state(acceptance) for acceptance in resumed.acceptances]
    grants: list[Json] = [{"id": g.grant_id, "state": _state(g)} for g in resumed.grants]
    result: JsonObject = {
        "acceptances": states,
        "grants": grants,
        "stuck": _stuck(resumed.stuck),
    }
    return result, lines or ["Nothing was under way."]


def _history(given: argparse.Namespace) -> tuple[JsonObject, Sequence[str]]:
    with _open(given) as wallet:
        events = wallet.history()
    listed: list[Json] = [
        {
            "at": event.at.isoformat(),
            "act": event.act.value,
            "party": event.party,
            "types": [*event.types],
            "claims": [*event.claims],
            "outcome": event.outcome.value,
        }
        for event in events
    ]
    lines = [
        f"{event.at:%Y-%m-%d %H:%M} {event.act} {event.outcome} {', '.join(event.claims)}"
        for event in events
    ]
    return {"history": listed}, lines or ["Nothing has happened yet."]


def _agrees(matches: Matches, disclosures: Sequence[Disclosure]) -> bool:
    asker = matches.asker
    # The standing comes first: a name cannot say how well it is proved.
    _say(f"Asked by {asker.standing}: {asker.known_as or asker.claimed_name or asker.client_id}")
    if matches.purpose:
        _say(f"Why, in its own words: {matches.purpose}")
    for disclosure in disclosures:
        _say(f"It would see, from {disclosure.credential.vct}")
        for claim in disclosure.claims:
            mark = "asked" if claim.is_asked else "always visible"
            _say(f"  {mark}: {claim.name} = {json.dumps(claim.value, ensure_ascii=False)}")
    sys.stderr.write("Show this? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _credential(held: HeldCredential) -> JsonObject:
    return {
        "id": held.credential_id,
        "type": held.vct,
        "issuer": held.issuer,
        "accepted_at": held.accepted_at.isoformat(),
        "expires_at": None if held.expires_at is None else held.expires_at.isoformat(),
    }


def _stuck(records: Sequence[Stuck]) -> list[Json]:
    return [{"kind": r.kind.value, "id": r.key, "reasons": _reasons(r.reasons)} for r in records]


def _why_stuck(record: Stuck) -> str:
    return f"{record.kind} {record.key}: {'; '.join(map(str, record.reasons))}"


def _reasons(reasons: Sequence[Reason]) -> list[Json]:
    return [
        {"code": r.code, "expected": r.expected, "found": r.found, "where": r.where}
        for r in reasons
    ]


def _state(state: object) -> str:
    return type(state).__name__.lower()


def _open(given: argparse.Namespace) -> Wallet:
    routes: dict[str, str] = {}
    for route in given.loopback_unsafely:
        origin, separator, target = str(route).partition("=")
        if not separator:
            raise Malformed("ORIGIN=LOOPBACK_ORIGIN", "another text", "--loopback-unsafely")
        routes[origin] = target
    fetcher = GuardedFetcher(loopback_routes_unsafely=routes)
    return Wallet.open(given.folder, _passphrase(), fetcher=fetcher)


def _passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    try:
        return getpass.getpass("Passphrase: ")
    except EOFError as cause:
        expected = f"a passphrase in {PASSPHRASE_VARIABLE}, or a terminal to ask for it"
        raise Misuse(f"expected {expected}, found neither") from cause


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="counterfoil wallet", description="A customer's wallet in a folder."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str,
        run: Callable[[argparse.Namespace], tuple[JsonObject, Sequence[str]]],
        what: str,
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("folder", metavar="DIR", help="where the wallet is")
        command.add_argument("--json", action="store_true", help="print one line of JSON")
        command.set_defaults(run=run)
        if run is not _create:
            command.add_argument(
                "--loopback-unsafely",
                action="append",
                default=[],
                metavar="ORIGIN=LOOPBACK_ORIGIN",
                help="reach a public origin on this machine, for development",
            )
        return command

    add("create", _create, "make a new wallet")
    accept = add("accept", _accept, "accept an offer")
    accept.add_argument("link", help="the offer's link")
    accept.add_argument("--tx-code", help="the code that came another way")
    add("credentials", _credentials, "list what is held")
    present = add("present", _present, "answer a request, after showing what it would reveal")
    present.add_argument("link", help="the request's link")
    present.add_argument("--yes", action="store_true", help="show it without asking")
    add("resume", _resume, "go on with what was under way")
    add("history", _history, "list what was accepted, shown, granted and withdrawn")
    return parser
