"""What each command does with an open wallet, in the order of `counterfoil wallet --help`."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dcql import parse_dcql
from counterfoil_credentials.digital_link import DigitalLink
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    object_at,
    optional_text_at,
    parse_json,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Unavailable

from counterfoil_wallet.acceptance import Dropped, Finished
from counterfoil_wallet.cli_forms import (
    Told,
    asker_json,
    asker_lines,
    credential_json,
    credential_line,
    event_json,
    event_line,
    grant_json,
    grant_line,
    matches_json,
    matches_lines,
    state_of,
    status_json,
    status_line,
    stuck_json,
    stuck_line,
)
from counterfoil_wallet.consents import AskedTerms
from counterfoil_wallet.counter_codes import CounterPreset
from counterfoil_wallet.held import CredentialId
from counterfoil_wallet.printable import printable, shortened
from counterfoil_wallet.routing import Offer, Request, Transfer, recognise
from counterfoil_wallet.wallet import Accepted, Wallet
from counterfoil_wallet.wire import refuse

_LONGEST_LINE = 2_000
_PRESET = "preset"


def line(text: str) -> str:
    """Give a line of ours, with whatever a stranger wrote in it made safe."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + shortened(printable(text), _LONGEST_LINE)


def say(text: str) -> None:
    """Say something that is not the answer, so that `--json` stays one line."""
    sys.stderr.write(f"{line(text)}\n")


def scan(given: Namespace) -> Told:
    """Say what a scanned or pasted text is. No wallet is opened, and nobody is asked."""
    found = recognise(given.text)
    match found:
        case Offer():
            return {"is": "offer", "link": found.link}, ["An offer: counterfoil wallet accept"]
        case Request():
            return {"is": "request", "link": found.link}, ["A request: counterfoil wallet ask"]
        case DigitalLink():
            parts = {"variant": found.variant, "lot": found.lot, "serial": found.serial}
            shown = [f"{name} {value}" for name, value in parts.items() if value is not None]
            said = ", ".join([f"A product: GTIN {found.gtin}", *shown])
            return {"is": "product", "url": found.url, "gtin": found.gtin, **parts}, [said]
        case Transfer():
            amount = "any amount" if found.amount is None else f"{found.amount} base units"
            return {
                "is": "transfer",
                "token": found.token,
                "chain_id": found.chain_id,
                "recipient": found.recipient,
                "amount": None if found.amount is None else str(found.amount),
            }, [f"A transfer of {amount} of {found.token} to {found.recipient}"]
        case _:
            assert_never(found)


# Offers.


def offered(wallet: Wallet, given: Namespace) -> Told:
    """Show what an offer would give, as its issuer says it. Nothing is accepted."""
    offer = wallet.offered(given.link)
    kinds: list[Json] = [{"type": one.vct, "name": one.name} for one in offer.credentials]
    offerer = offer.offerer
    lines = [f"Offered by {offerer.standing}: {offerer.known_as or offerer.url}"]
    lines += [f"  {one.name or one.vct}" for one in offer.credentials]
    lines += [f"Cannot be held here: {reason}" for reason in offer.refused]
    if offer.tx_code is not None:
        lines.append(f"It needs a code: {offer.tx_code.description or 'sent another way'}")
    if offer.needs_login:
        lines.append("It needs a login: counterfoil wallet login")
    return {
        "issuer": offer.issuer,
        "standing": offerer.standing.value,
        "known_as": offerer.known_as,
        "vouched_by": offerer.vouched_by,
        "issuer_name": offer.issuer_name,
        "credentials": kinds,
        "needs_tx_code": offer.tx_code is not None,
        "needs_login": offer.needs_login,
        "refused": [reason.code for reason in offer.refused],
    }, lines


def accept(wallet: Wallet, given: Namespace) -> Told:
    """Accept an offer."""
    return _accepted(wallet.accept(given.link, tx_code=given.tx_code))


def login(wallet: Wallet, given: Namespace) -> Told:
    """Begin a login: open the address in a browser, and come back with the one it ends at."""
    begun = wallet.authorize(
        given.source, redirect_uri=given.redirect_uri, configurations=given.configuration
    )
    ends_at = begun.ends_at.isoformat()
    return {"url": begun.url, "ends_at": ends_at}, ["Open this address in a browser:", begun.url]


def come_back(wallet: Wallet, given: Namespace) -> Told:
    """Go on with a login, from the address that the browser came back to."""
    return _accepted(wallet.come_back(given.url))


def _accepted(accepted: Accepted) -> Told:
    held: list[Json] = [credential_json(credential) for credential in accepted.credentials]
    refused: list[Json] = [reason.code for reason in accepted.refused]
    lines = [f"Accepted {credential.vct}" for credential in accepted.credentials]
    lines += [f"Refused: {reason}" for reason in accepted.refused]
    later = accepted.waits_until
    if later is not None:
        lines.append(f"Not ready yet: counterfoil wallet resume, from {later:%Y-%m-%d %H:%M}Z on")
    waits = None if later is None else later.isoformat()
    return {"accepted": held, "refused": refused, "waits_until": waits}, lines


# Cards.


def credentials(wallet: Wallet, _: Namespace) -> Told:
    """List what is held."""
    cards, damaged = wallet.credentials(), wallet.damaged()
    lines = [credential_line(card) for card in cards]
    lines += [f"Cannot be read: {stuck_line(record)}" for record in damaged]
    listed: list[Json] = [credential_json(card) for card in cards]
    result: JsonObject = {"credentials": listed, "damaged": stuck_json(damaged)}
    return result, lines or ["No credentials yet."]


def search(wallet: Wallet, given: Namespace) -> Told:
    """Find cards by words in them, or by how these begin."""
    found = wallet.search(given.text)
    listed: list[Json] = [credential_json(card) for card in found]
    return {"credentials": listed}, [*map(credential_line, found)] or ["Nothing found."]


def find(wallet: Wallet, given: Namespace) -> Told:
    """Find cards by the value of a claim."""
    found = wallet.find(tuple(given.path.split(".")), _json_or_text(given.value))
    listed: list[Json] = [credential_json(card) for card in found]
    return {"credentials": listed}, [*map(credential_line, found)] or ["Nothing found."]


def statuses(wallet: Wallet, given: Namespace) -> Told:
    """Say what issuers list about the cards; with --check, ask them now."""
    found = wallet.check_statuses(max_age=timedelta(0)) if given.check else wallet.statuses()
    listed: list[Json] = [status_json(one) for one in found]
    return {"statuses": listed}, [*map(status_line, found)] or ["No credentials yet."]


def reminders(wallet: Wallet, given: Namespace) -> Told:
    """List when an end is to be told: 30, 7 and 1 days before."""
    try:
        zone = ZoneInfo(given.zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as cause:
        raise Malformed("a time zone such as Europe/Berlin", "another", "--zone") from cause
    found = wallet.reminders(zone)
    listed: list[Json] = [
        {
            "id": one.credential_id,
            "type": one.vct,
            "days": one.days,
            "remind_at": one.remind_at.isoformat(),
            "ends_at": one.ends_at.isoformat(),
            "due": one.is_due,
        }
        for one in found
    ]
    lines = [
        f"{'now' if one.is_due else f'{one.remind_at:%Y-%m-%d %H:%M %Z}'}: {one.vct} "
        f"ends on {one.ends_at:%Y-%m-%d %H:%M %Z}"
        for one in found
    ]
    return {"reminders": listed}, lines or ["Nothing ends."]


def remove(wallet: Wallet, given: Namespace) -> Told:
    """Put a card into the trash, for thirty days."""
    removed = wallet.remove(CredentialId(given.id))
    until = removed.gone_at.isoformat()
    said = f"In the trash. It can be taken back until {removed.gone_at:%Y-%m-%d %H:%M}Z."
    return {"removed": removed.credential.credential_id, "gone_at": until}, [said]


def take_back(wallet: Wallet, given: Namespace) -> Told:
    """Take a card out of the trash."""
    card = wallet.take_back(CredentialId(given.id))
    return {"taken_back": credential_json(card)}, [f"Taken back: {credential_line(card)}"]


def trash(wallet: Wallet, given: Namespace) -> Told:
    """List what can be taken back; with --empty, destroy it."""
    if given.empty:
        count = wallet.empty_trash()
        return {"destroyed": count}, [f"Destroyed: {count}"]
    removed = wallet.removed()
    listed: list[Json] = [
        {**credential_json(one.credential), "gone_at": one.gone_at.isoformat()} for one in removed
    ]
    lines = [
        f"{credential_line(one.credential)}, until {one.gone_at:%Y-%m-%d %H:%M}Z" for one in removed
    ]
    return {"trash": listed}, lines or ["The trash is empty."]


# Requests.


def ask(wallet: Wallet, given: Namespace) -> Told:
    """Show what a request would reveal. Nothing is sent."""
    matches = wallet.matches(given.link)
    firsts = [fitting[0] for fitting in matches.answers.values() if fitting]
    lines = matches_lines(matches, firsts)
    lines += [f"Nothing held answers {query_id}" for query_id in matches.unanswered]
    return matches_json(matches), lines


def present(wallet: Wallet, given: Namespace) -> Told:
    """Answer a request, after showing what it would reveal."""
    matches = wallet.matches(given.link)
    choice = matches.choose(reuse_that_links=given.reuse_that_links)
    if not given.yes and not _agrees(matches_lines(matches, choice.disclosures), "Show this?"):
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


def decline(wallet: Wallet, given: Namespace) -> Told:
    """Say no to a request."""
    matches = wallet.matches(given.link)
    wallet.decline(matches)
    return {"declined": True, "to": matches.asker.client_id}, ["Declined. Nothing was shown."]


def show(wallet: Wallet, given: Namespace) -> Told:
    """Show a code for a counter that has not asked; it changes every thirty seconds."""
    preset = _preset(Path(given.preset))
    fitting = wallet.showable(preset)
    if not fitting:
        raise refuse("nothing-answers", "a credential that fits", "none", preset.query.id)
    lines = [f"Anybody who knows the preset {preset.name or preset.preset_id} could see"]
    lines += [f"  {name}" for name in fitting[0].names]
    if not given.yes and not _agrees(lines, "Show this?"):
        return {"code": None}, ["Nothing was shown."]
    code = wallet.show(preset, fitting[0], reuse_that_links=given.reuse_that_links).code()
    return {"code": code.text, "until": code.until.isoformat()}, [code.text]


def _preset(path: Path) -> CounterPreset:
    """Read `{"id": …, "name": …, "dcql_query": {"credentials": [one]}}`."""
    try:
        obj = parse_object(path.read_bytes(), _PRESET)
    except OSError as cause:
        raise Unavailable("expected a file with a preset, found none to read") from cause
    query = parse_dcql(object_at(obj, "dcql_query", _PRESET), f"{_PRESET}.dcql_query")
    if len(query.credentials) != 1 or query.credentials[0].multiple or not obj.get("id"):
        raise Malformed("an id and a query for one credential", "another", _PRESET)
    name = optional_text_at(obj, "name", _PRESET)
    preset_id = text_at(obj, "id", _PRESET)
    return CounterPreset(preset_id=preset_id, query=query.credentials[0], name=name)


# Consent.


def grant(wallet: Wallet, given: Namespace) -> Told:
    """Grant what is asked, after showing it."""
    asked = wallet.asked_terms(given.link)
    optional = [term.name for term in asked.terms.claims if str(term.name) in given.optional]
    choice = asked.choose(optional, max_reads=given.max_reads)
    if not given.yes and not _agrees(_terms_lines(asked), "Grant this?"):
        return {"granted": None}, ["Not granted. Nothing was sent."]
    in_force = wallet.grant(choice)
    return {"granted": grant_json(in_force)}, [f"Granted: {grant_line(in_force)}"]


def terms(wallet: Wallet, given: Namespace) -> Told:
    """Show what a grant would allow. Nothing is sent."""
    asked = wallet.asked_terms(given.link)
    claims: list[Json] = [
        {
            "claim": str(term.name),
            "type": term.name.vct,
            "required": term.is_required,
            "retain_days": term.retain_days,
        }
        for term in asked.terms.claims
    ]
    return {
        "asker": asker_json(asked.asker),
        "purpose": asked.terms.purpose.value,
        "claims": claims,
        "valid_until": asked.terms.valid_until.isoformat(),
        "max_reads": asked.terms.max_reads,
        "notice": asked.notice,
    }, _terms_lines(asked)


def grants(wallet: Wallet, _: Namespace) -> Told:
    """List what was granted."""
    held = wallet.grants()
    listed: list[Json] = [grant_json(one) for one in held]
    return {"grants": listed}, [*map(grant_line, held)] or ["No grants yet."]


def withdraw(wallet: Wallet, given: Namespace) -> Told:
    """End a grant for good."""
    end = wallet.withdraw(GrantId(given.id))
    return {"withdrawn": grant_json(end)}, [f"Withdrawn: {grant_line(end)}"]


# Everything.


def resume(wallet: Wallet, _: Namespace) -> Told:
    """Go on with what was under way."""
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
    lines += [f"Grant {one.grant_id}: {state_of(one)}" for one in resumed.grants]
    lines += [f"Stuck: {stuck_line(record)}" for record in resumed.stuck]
    states: list[Json] = [state_of(acceptance) for acceptance in resumed.acceptances]
    under_way: list[Json] = [{"id": one.grant_id, "state": state_of(one)} for one in resumed.grants]
    result: JsonObject = {
        "acceptances": states,
        "grants": under_way,
        "stuck": stuck_json(resumed.stuck),
    }
    return result, lines or ["Nothing was under way."]


def history(wallet: Wallet, _: Namespace) -> Told:
    """List what was accepted, shown, granted and withdrawn."""
    events = wallet.history()
    listed: list[Json] = [event_json(event) for event in events]
    return {"history": listed}, [*map(event_line, events)] or ["Nothing has happened yet."]


def _terms_lines(asked: AskedTerms) -> list[str]:
    said = [*asker_lines(asked.asker), f"For {asked.terms.purpose}"]
    for term in asked.terms.claims:
        need = "required" if term.is_required else "optional, off"
        said.append(f"  {need}: {term.name}, kept for {term.retain_days} days")
    said.append(f"Until {asked.terms.valid_until:%Y-%m-%d}, at most {asked.terms.max_reads} reads")
    return [*said, "It writes:", *(f"  {text}" for text in asked.notice.splitlines())]


def _agrees(lines: Sequence[str], question: str) -> bool:
    for text in lines:
        say(text)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _json_or_text(text: str) -> Json:
    try:
        return parse_json(text, "VALUE")
    except Malformed:
        return text
