"""How the command line writes each value: as JSON, and as lines for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Reason

from counterfoil_wallet.disclosures import Disclosure, RevealedClaim
from counterfoil_wallet.grant_states import HeldGrant, Proved
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.history import Event
from counterfoil_wallet.matching import Matches
from counterfoil_wallet.printable import printable, shortened
from counterfoil_wallet.reading import Stuck
from counterfoil_wallet.statuses import CardStatus
from counterfoil_wallet.trust import Asker

Told: TypeAlias = tuple[JsonObject, Sequence[str]]
"""What a command answers with `--json`, and what it prints without."""

_LONGEST_LINE: Final = 2_000


def line(text: str) -> str:
    """Give a line of ours, with whatever a stranger wrote in it made safe."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + shortened(printable(text), _LONGEST_LINE)


def say(text: str) -> None:
    """Say something that is not the answer, so that `--json` stays one line."""
    sys.stderr.write(f"{line(text)}\n")


def credential_json(held: HeldCredential) -> JsonObject:
    """Give a card without its claims."""
    return {
        "id": held.credential_id,
        "type": held.vct,
        "issuer": held.issuer,
        "accepted_at": held.accepted_at.isoformat(),
        "expires_at": None if held.expires_at is None else held.expires_at.isoformat(),
    }


def credential_line(held: HeldCredential) -> str:
    """Give a card on one line."""
    return f"{held.credential_id}  {held.vct}  from {held.issuer}"


def status_json(found: CardStatus) -> JsonObject:
    """Give what was found out about a card."""
    return {
        "id": found.credential_id,
        "status": found.status.value,
        "code": found.code,
        "listed_at": None if found.listed_at is None else found.listed_at.isoformat(),
        "failed": reasons_json(found.failed),
    }


def status_line(found: CardStatus) -> str:
    """Give what was found out about a card, on one line."""
    listed = "" if found.listed_at is None else f", listed at {found.listed_at:%Y-%m-%d %H:%M}Z"
    failed = "".join(f"; could not find out now: {reason}" for reason in found.failed)
    return f"{found.credential_id}  {found.status}{listed}{failed}"


def event_json(event: Event) -> JsonObject:
    """Give an event."""
    return {
        "at": event.at.isoformat(),
        "act": event.act.value,
        "party": event.party,
        "types": [*event.types],
        "claims": [*event.claims],
        "outcome": event.outcome.value,
    }


def event_line(event: Event) -> str:
    """Give an event on one line."""
    about = ", ".join(event.claims or event.types)
    return f"{event.at:%Y-%m-%d %H:%M} {event.act} {event.outcome} {about}"


def matches_json(matches: Matches) -> JsonObject:
    """Give what is asked, and all that could answer."""
    answers: dict[str, Json] = {
        query_id: [_disclosure_json(disclosure) for disclosure in fitting]
        for query_id, fitting in matches.answers.items()
    }
    return {
        "asker": asker_json(matches.asker),
        "purpose": matches.purpose,
        "retention": matches.retention,
        "transactions": [one.type for one in matches.transactions],
        "expires_at": matches.expires_at.isoformat(),
        "answers": answers,
    }


def matches_lines(matches: Matches, disclosures: Iterable[Disclosure]) -> list[str]:
    """Give what the customer is asked, in the order in which it matters."""
    lines = asker_lines(matches.asker)
    if matches.purpose:
        lines.append(f"Why, in its own words: {matches.purpose}")
    if matches.retention:
        lines.append(f"What it keeps, in its own words: {matches.retention}")
    lines += [f"You would also sign: {one.type}" for one in matches.transactions]
    for disclosure in disclosures:
        lines.append(f"It would see, from {disclosure.credential.vct}")
        for claim in disclosure.claims:
            mark = "asked" if claim.is_asked else "always visible"
            lines.append(_claim_line(mark, claim))
        lines += [_claim_line("optional, off", claim) for claim in disclosure.optional]
        lines.append(f"  It can join: {disclosure.joining}")
    return lines


def asker_json(asker: Asker) -> JsonObject:
    """Give who asks."""
    return {
        "client_id": asker.client_id,
        "standing": asker.standing.value,
        "known_as": asker.known_as,
        "proved_name": asker.proved_name,
        "claimed_name": asker.claimed_name,
    }


def asker_lines(asker: Asker) -> list[str]:
    """Give who asks, as far as it is proved."""
    # The standing comes first: a name cannot say how well it is proved.
    name = asker.known_as or asker.proved_name or asker.claimed_name or asker.client_id
    return [f"Asked by {asker.standing}: {name}"]


def grant_json(grant: HeldGrant) -> JsonObject:
    """Give a grant and where it stands."""
    return {
        "id": grant.grant_id,
        "state": state_of(grant),
        "receiver": grant.terms.receiver.name,
        "purpose": grant.terms.purpose.value,
        "claims": [str(claim.name) for claim in grant.terms.claims],
        "valid_until": grant.terms.valid_until.isoformat(),
        "level": grant.erased.level.value if isinstance(grant, Proved) else None,
    }


def grant_line(grant: HeldGrant) -> str:
    """Give a grant on one line."""
    claims = ", ".join(str(claim.name) for claim in grant.terms.claims)
    end = f"{grant.terms.valid_until:%Y-%m-%d}"
    return f"{grant.grant_id}  {state_of(grant)}  until {end}: {claims}"


def stuck_json(records: Iterable[Stuck]) -> list[Json]:
    """Give what cannot be read."""
    return [
        {"kind": r.kind.value, "id": r.key, "reasons": reasons_json(r.reasons)} for r in records
    ]


def stuck_line(record: Stuck) -> str:
    """Give what cannot be read, on one line."""
    return f"{record.kind} {record.key}: {'; '.join(map(str, record.reasons))}"


def reasons_json(reasons: Iterable[Reason]) -> list[Json]:
    """Give reasons."""
    return [
        {"code": r.code, "expected": r.expected, "found": r.found, "where": r.where}
        for r in reasons
    ]


def state_of(state: object) -> str:
    """Give a state's name."""
    return type(state).__name__.lower()


def _disclosure_json(disclosure: Disclosure) -> JsonObject:
    return {
        "id": disclosure.credential.credential_id,
        "type": disclosure.credential.vct,
        "claims": [_claim_json(claim) for claim in disclosure.claims],
        "optional": [_claim_json(claim) for claim in disclosure.optional],
        "joining": disclosure.joining.name.lower(),
    }


def _claim_json(claim: RevealedClaim) -> JsonObject:
    return {
        "path": [*claim.path],
        "value": claim.value,
        "asked": claim.is_asked,
        "beyond": claim.is_beyond,
    }


def _claim_line(mark: str, claim: RevealedClaim) -> str:
    beyond = ", beyond what it registered" if claim.is_beyond else ""
    return f"  {mark}{beyond}: {claim.name} = {json.dumps(claim.value, ensure_ascii=False)}"
