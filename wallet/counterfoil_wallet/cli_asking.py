"""The commands about what others ask: to be shown something, or to be granted it."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from counterfoil_credentials.dcql import parse_dcql
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.qr_frames import is_frame

from counterfoil_wallet.asked_terms import AskedTerms
from counterfoil_wallet.cli_forms import (
    Told,
    event_json,
    event_line,
    grant_json,
    grant_line,
    kind_of,
    receipt_json,
    receipt_lines,
    say,
)
from counterfoil_wallet.cli_screen import (
    asker_json,
    asker_lines,
    disclosure_lines,
    matches_json,
    matches_lines,
    presented_lines,
)
from counterfoil_wallet.consent_words import Language, concern_text
from counterfoil_wallet.counter_codes import CounterPreset
from counterfoil_wallet.handing import collected
from counterfoil_wallet.presenting import Declined
from counterfoil_wallet.routing import Request, recognise
from counterfoil_wallet.wallet import Wallet
from counterfoil_wallet.wire import refuse

_PRESET = "preset"


def ask(wallet: Wallet, given: Namespace) -> Told:
    """Show what a request would reveal. Nothing is sent."""
    matches = wallet.matches(request_link(given.link))
    firsts = [fitting[0] for fitting in matches.answers.values() if fitting]
    lines = matches_lines(matches, firsts)
    lines += [f"No card here answers what it calls {name}" for name in matches.unanswered]
    return matches_json(matches), lines


def present(wallet: Wallet, given: Namespace) -> Told:
    """Answer a request, after showing what it would reveal."""
    matches = wallet.matches(request_link(given.link))
    choice = matches.choose(reuse_that_links=given.reuse_that_links)
    if not given.yes and not agrees(matches_lines(matches, choice.disclosures), "Show this?"):
        if given.codes:
            return {"presented": False}, ["Declined. Nothing was shown."]
        return {"presented": False}, [_declined(wallet.decline(matches))]
    claims: list[Json] = [name for shown in choice.disclosures for name in shown.names]
    result: JsonObject = {"presented": True, "to": matches.asker.client_id, "claims": claims}
    if given.codes:
        handed = wallet.hand_over(choice)
        codes: list[Json] = [*handed.codes]
        return {**result, "codes": codes, "until": handed.until.isoformat()}, [*handed.codes]
    presented = wallet.present(choice)
    result |= {
        "redirect_uri": presented.redirect_uri,
        "match_code": presented.match_code,
        "receipt": receipt_json(presented.receipt),
    }
    return result, [f"Shown: {', '.join(map(str, claims))}", *presented_lines(presented)]


def take_receipt(wallet: Wallet, given: Namespace) -> Told:
    """Keep a shop's receipt that was read off its screen."""
    event = wallet.take_receipt(collected(given.receipt))
    return {"visit": event_json(event)}, [event_line(event), *receipt_lines(event.receipt)]


def decline(wallet: Wallet, given: Namespace) -> Told:
    """Say no to a request."""
    matches = wallet.matches(request_link(given.link))
    declined = wallet.decline(matches)
    result: JsonObject = {
        "declined": True,
        "to": matches.asker.client_id,
        "heard": declined.is_heard,
        "redirect_uri": declined.redirect_uri,
    }
    return result, [_declined(declined)]


def _declined(declined: Declined) -> str:
    heard = "" if declined.is_heard else " Whoever asked could not be told."
    return f"Declined. Nothing was shown.{heard}"


def request_link(text: str) -> str:
    """Give the link of a request, in whichever form it was scanned."""
    found = recognise(collected(text) if is_frame(text.strip()) else text)
    if not isinstance(found, Request):
        raise refuse("not-for-this-wallet", "a request's link", kind_of(found), "LINK")
    return found.link


def show(wallet: Wallet, given: Namespace) -> Told:
    """Show a code for a counter that has not asked; it changes every thirty seconds."""
    preset = _preset(Path(given.preset))
    fitting = wallet.showable(preset)
    if not fitting:
        raise refuse("nothing-answers", "a credential that fits", "none", preset.query.id)
    lines = [f"For whoever knows the preset {preset.name or preset.preset_id}"]
    lines += disclosure_lines(fitting[0], "A counter")
    if not given.yes and not agrees(lines, "Show this?"):
        return {"code": None}, ["Nothing was shown."]
    code = wallet.show(preset, fitting[0], reuse_that_links=given.reuse_that_links).code()
    until = f"Good until {code.until:%H:%M:%S}Z. Draw it as a QR code:"
    return {"code": code.text, "until": code.until.isoformat()}, [until, code.text]


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
    asked = wallet.asked_terms(request_link(given.link))
    if unknown := {*given.optional} - {str(term.name) for term in asked.terms.claims}:
        raise refuse(
            "claim-not-asked", "claims that are asked for", f"{len(unknown)}", "--optional"
        )
    optional = [term.name for term in asked.terms.claims if str(term.name) in given.optional]
    choice = asked.choose(
        optional,
        recipients=_recipients(asked, given.recipient),
        valid_until=None if given.days is None else asked.at + timedelta(days=given.days),
        max_reads=given.max_reads,
        reuse_that_links=given.reuse_that_links,
    )
    lines = terms_lines(asked)
    for disclosure in choice.disclosures:
        lines += disclosure_lines(disclosure, "It")
    if not given.yes and not agrees(lines, "Grant this?"):
        return {"granted": None}, ["Not granted. Nothing was sent."]
    in_force = wallet.grant(choice, screen="command line")
    return {"granted": grant_json(in_force)}, [f"Granted: {grant_line(in_force)}"]


def terms(wallet: Wallet, given: Namespace) -> Told:
    """Show what a grant would allow. Nothing is sent."""
    asked = wallet.asked_terms(request_link(given.link))
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
    }, terms_lines(asked)


def grants(wallet: Wallet, _: Namespace) -> Told:
    """List what was granted."""
    held = wallet.grants()
    listed: list[Json] = [grant_json(one) for one in held]
    return {"grants": listed}, [*map(grant_line, held)] or ["No grants yet."]


def _recipients(asked: AskedTerms, names: Sequence[str] | None) -> frozenset[Did] | None:
    if names is None:
        return None
    allowed = {party.did for party in asked.terms.recipients if party.name in names}
    if len(allowed) != len(set(names)):
        expected = "recipients that are asked for"
        raise refuse("recipient-not-asked", expected, "another", "--recipient")
    return frozenset(allowed)


def terms_lines(asked: AskedTerms) -> list[str]:
    """Give what a grant would allow, with what the policy finds too much."""
    purpose = asked.terms.purpose.name.lower().replace("_", " ")
    said = [*asker_lines(asked.asker), f"For {purpose}"]
    for term in asked.terms.claims:
        need = "required" if term.is_required else "optional, off"
        said.append(f"  {need}: {term.name}, kept for {term.retain_days} days")
    said += [f"  to be handed to {party.name}" for party in asked.terms.recipients]
    said.append(f"Until {asked.terms.valid_until:%Y-%m-%d}, at most {asked.terms.max_reads} reads")
    if asked.terms.incentive is not None:
        offered = asked.terms.incentive
        said.append(f"For it: {offered.points} points, by {offered.rule}; yours also after the end")
    for one in asked.judgement.excess:
        named = f" ({', '.join(map(str, one.claims))})" if one.claims else ""
        said.append(f"Careful: {concern_text(one.concern, Language.ENGLISH)}{named}")
    return [*said, "It writes:", *(f"  {text}" for text in asked.notice.splitlines())]


def agrees(lines: Sequence[str], question: str) -> bool:
    """Say what is meant, ask, and give whether the answer was yes."""
    for text in lines:
        say(text)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        sys.stderr.write("\n")
    return answer.strip().lower() in ("y", "yes")
