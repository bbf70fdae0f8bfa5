"""The commands about what comes, what is held, and what happened."""

from argparse import Namespace
from datetime import timedelta
from typing import assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from counterfoil_credentials.digital_link import DigitalLink, parse_digital_link
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    parse_json,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_wallet.acceptance import Dropped, Finished
from counterfoil_wallet.cli_forms import (
    Told,
    access_line,
    credential_json,
    credential_line,
    event_json,
    event_line,
    grant_line,
    kind_of,
    state_of,
    status_json,
    status_line,
    stuck_json,
    stuck_line,
)
from counterfoil_wallet.cli_screen import claim_lines
from counterfoil_wallet.held import CredentialId
from counterfoil_wallet.routing import Offer, Receipt, Request, Transfer, recognise
from counterfoil_wallet.wallet import Accepted, Wallet
from counterfoil_wallet.wire import refuse


def scan(given: Namespace) -> Told:
    """Say what a scanned or pasted text is. No wallet is opened, and nobody is asked."""
    found = recognise(given.text)
    match found:
        case Offer():
            return {"is": "offer", "link": found.link}, [
                "An offer: counterfoil wallet offered shows it, accept takes it"
            ]
        case Request():
            return {"is": "request", "link": found.link}, [
                "A request: counterfoil wallet ask shows it, present answers it"
            ]
        case DigitalLink():
            parts = {"variant": found.variant, "lot": found.lot, "serial": found.serial}
            shown = [f"{name} {value}" for name, value in parts.items() if value is not None]
            said = ", ".join([f"A product: GTIN {found.gtin}", *shown])
            return {"is": "product", "url": found.url, "gtin": found.gtin, **parts}, [said]
        case Receipt():
            return {"is": "receipt", "token": found.token}, [
                "A shop's receipt for what it was shown: counterfoil wallet take-receipt keeps it"
            ]
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
    offer = wallet.offered(offer_link(given.link))
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
    return _accepted(wallet.accept(offer_link(given.link), tx_code=given.tx_code))


def offer_link(text: str) -> str:
    """Give the link of an offer, in whichever form it was scanned."""
    found = recognise(text)
    if not isinstance(found, Offer):
        raise refuse("not-for-this-wallet", "an offer's link", kind_of(found), "LINK")
    return found.link


def login(wallet: Wallet, given: Namespace) -> Told:
    """Begin a login: open the address in a browser, and come back with the one it ends at."""
    source = given.source if given.configuration else offer_link(given.source)
    begun = wallet.authorize(
        source, redirect_uri=given.redirect_uri, configurations=given.configuration
    )
    ends_at = begun.ends_at.isoformat()
    lines = ["Open this address in a browser; go on with: counterfoil wallet come-back", begun.url]
    return {"url": begun.url, "ends_at": ends_at}, lines


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


def card(wallet: Wallet, given: Namespace) -> Told:
    """Show what a card says."""
    found = [one for one in wallet.credentials() if one.credential_id == given.id]
    if not found:
        raise refuse("credential-unknown", "a card that is held", "none", "credential_id")
    held = found[0]
    lines = [credential_line(held), *claim_lines(held)]
    return {**credential_json(held), "claims": held.claims}, lines


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


def about(wallet: Wallet, given: Namespace) -> Told:
    """Find the cards about a product, by the link in the code on its box."""
    found = wallet.about(parse_digital_link(given.link))
    listed: list[Json] = [credential_json(card) for card in found]
    return {"credentials": listed}, [*map(credential_line, found)] or ["Nothing found."]


def statuses(wallet: Wallet, given: Namespace) -> Told:
    """Say what issuers list about the cards; with --check, ask them now."""
    found = wallet.check_statuses(max_age=timedelta(0)) if given.check else wallet.statuses()
    listed: list[Json] = [status_json(one) for one in found]
    types = {card.credential_id: card.vct for card in wallet.credentials()}
    lines = [status_line(one, types.get(one.credential_id, "a card")) for one in found]
    if any(one.listed_at is None for one in found) and not given.check:
        lines.append("Nobody was asked: add --check to ask the issuers' lists.")
    return {"statuses": listed}, lines or ["No credentials yet."]


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
        return {"destroyed": count}, [f"Cards destroyed: {count}"]
    removed = wallet.removed()
    listed: list[Json] = [
        {**credential_json(one.credential), "gone_at": one.gone_at.isoformat()} for one in removed
    ]
    lines = [
        f"{credential_line(one.credential)}; can be taken back until {one.gone_at:%Y-%m-%d %H:%M}Z"
        for one in removed
    ]
    return {"trash": listed}, lines or ["The trash is empty."]


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
    lines += [f"Grant {grant_line(one)}" for one in resumed.grants]
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


def access(wallet: Wallet, _: Namespace) -> Told:
    """Say who has seen what, and until when each says that it keeps it."""
    report = wallet.access_report()
    listed: list[Json] = [one.to_json() for one in report]
    return {"access": listed}, [*map(access_line, report)] or ["Nobody has seen anything yet."]


def _json_or_text(text: str) -> Json:
    try:
        return parse_json(text, "VALUE")
    except Malformed:
        return text
