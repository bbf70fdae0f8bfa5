"""How the command line writes each value: as JSON, and as lines for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, assert_never

from counterfoil_credentials.digital_link import DigitalLink
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Reason

from counterfoil_wallet.access_report import Access
from counterfoil_wallet.grant_states import (
    Abandoned,
    Deciding,
    Delivering,
    Ending,
    HeldGrant,
    InForce,
    Proved,
)
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.history import Act, Event, Outcome
from counterfoil_wallet.printable import printable, shortened
from counterfoil_wallet.reading import Stuck
from counterfoil_wallet.routing import Offer, Receipt, Recognised, Request, Transfer
from counterfoil_wallet.statuses import CardStatus
from counterfoil_wallet.visit_receipts import ReceiptStanding, VisitReceipt

Told: TypeAlias = tuple[JsonObject, Sequence[str]]
"""What a command answers with `--json`, and what it prints without."""

_LONGEST_LINE: Final = 4_096  # the code for a counter and the address of a login fit
_LONGEST_PARTY: Final = 60
_ACTS: Final = {
    Act.ACCEPTED: "accepted from",
    Act.SHOWN: "shown to",
    Act.DECLINED: "declined, asked by",
    Act.GRANTED: "granted to",
    Act.WITHDRAWN: "withdrawn from",
    Act.PAUSED: "paused for",
    Act.RESUMED: "resumed for",
    Act.ERASED: "erased by",
    Act.REMOVED: "removed, a card of",
    Act.TAKEN_BACK: "taken back, a card of",
    Act.SUSPENDED: "suspended by",
    Act.REVOKED: "revoked by",
    Act.REINSTATED: "reinstated by",
    Act.MARKED: "marked by",
}
_OUTCOMES: Final = {
    Outcome.DONE: "",
    Outcome.SENT: ", sent and not answered",
    Outcome.REFUSED: ", refused",
}


def line(text: str) -> str:
    """Give a line of ours, with whatever a stranger wrote in it made safe."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + shortened(printable(text), _LONGEST_LINE)


def say(text: str) -> None:
    """Say something that is not the answer, so that `--json` stays one line."""
    sys.stderr.write(f"{line(text)}\n")


def kind_of(found: Recognised) -> str:
    """Say what was recognised."""
    match found:
        case Offer():
            return "an offer"
        case Request():
            return "a request"
        case DigitalLink():
            return "a product's link"
        case Transfer():
            return "a transfer of points"
        case Receipt():
            return "a shop's receipt"
        case _:
            assert_never(found)


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
    ends = "" if held.expires_at is None else f", until {held.expires_at:%Y-%m-%d}"
    return f"{held.credential_id} {held.vct} from {held.issuer}{ends}"


def status_json(found: CardStatus) -> JsonObject:
    """Give what was found out about a card."""
    return {
        "id": found.credential_id,
        "status": found.status.value,
        "code": found.code,
        "listed_at": None if found.listed_at is None else found.listed_at.isoformat(),
        "failed": reasons_json(found.failed),
    }


def status_line(found: CardStatus, vct: str) -> str:
    """Give what was found out about a card of the type `vct`, on one line."""
    listed = "" if found.listed_at is None else f", listed at {found.listed_at:%Y-%m-%d %H:%M}Z"
    failed = "".join(f"; could not find out now: {reason_text(why)}" for why in found.failed)
    return f"{found.credential_id} {vct}: {found.status.replace('-', ' ')}{listed}{failed}"


def event_json(event: Event) -> JsonObject:
    """Give an event."""
    return {
        "id": event.event_id,
        "at": event.at.isoformat(),
        "act": event.act.value,
        "party": event.party,
        "party_name": event.party_name,
        "types": [*event.types],
        "claims": [*event.claims],
        "outcome": event.outcome.value,
        "detail": event.detail,
        "purpose": None if event.visit is None else event.visit.purpose,
        "receipt": receipt_json(event.receipt),
    }


def event_line(event: Event) -> str:
    """Give an event on one line."""
    about = ", ".join(event.claims or event.types)
    detail = "" if event.detail is None else f" ({event.detail})"
    return (
        f"{event.at:%Y-%m-%d %H:%M}Z {_ACTS[event.act]} {_party(event)}"
        f"{_OUTCOMES[event.outcome]}{detail}: {about}{_receipt_in_short(event.receipt)}"
    )


def receipt_json(receipt: VisitReceipt | None) -> Json:
    """Give what is known of a shop's receipt."""
    if receipt is None:
        return None
    return {
        "standing": receipt.standing.value,
        "kept_until": None if receipt.kept_until is None else receipt.kept_until.isoformat(),
        "reasons": reasons_json(receipt.reasons),
    }


def receipt_lines(receipt: VisitReceipt | None) -> list[str]:
    """Give what the shop says that it keeps, and what is wrong with its word."""
    if receipt is None:
        return ["It gave no signed receipt: nothing says what it keeps, and until when."]
    why = [f"  {reason_text(reason)}" for reason in receipt.reasons]
    match receipt.standing:
        case ReceiptStanding.GOOD:
            return [f"Its signed receipt says: {_kept(receipt)}"]
        case ReceiptStanding.DIFFERS:
            said = "Careful: its signed receipt does not say what was shown. It is in your history."
            return [said, *why, f"It also says: {_kept(receipt)}"]
        case ReceiptStanding.WORTHLESS:
            said = "Careful: what it gave as a receipt is not its word on this, and is not kept."
            return [said, *why]
        case _:
            assert_never(receipt.standing)


def _kept(receipt: VisitReceipt) -> str:
    if receipt.kept_until is None:
        return "nothing of this is kept."
    return f"the last of this that it keeps is gone by {receipt.kept_until:%Y-%m-%d %H:%M}Z."


def _receipt_in_short(receipt: VisitReceipt | None) -> str:
    if receipt is None:
        return ""
    match receipt.standing:
        case ReceiptStanding.GOOD if receipt.kept_until is None:
            return " (receipt: nothing kept)"
        case ReceiptStanding.GOOD:
            return f" (receipt: kept until {receipt.kept_until:%Y-%m-%d})"
        case ReceiptStanding.DIFFERS:
            return " (careful: its receipt does not say what was shown)"
        case ReceiptStanding.WORTHLESS:
            return " (careful: its receipt is worthless)"
        case _:
            assert_never(receipt.standing)


def access_line(access: Access) -> str:
    """Give what one party has seen, on one line."""
    name = access.party_name or shortened(access.party, _LONGEST_PARTY)
    times = "once" if access.visits == 1 else f"{access.visits} times"
    kept = "" if access.kept_until is None else f", kept until {access.kept_until:%Y-%m-%d}"
    without = f", without a receipt: {access.without_receipt}" if access.without_receipt else ""
    wrong = f", careful, wrong receipts: {access.warnings}" if access.warnings else ""
    what = ", ".join(access.claims or access.types)
    return f"{name}, {times}, last {access.last_at:%Y-%m-%d}{kept}{without}{wrong}: {what}"


def _party(event: Event) -> str:
    # A client id may be a whole key.
    return event.party_name or shortened(event.party, _LONGEST_PARTY)


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
    said = f"{_stand(grant)}, to {grant.terms.receiver.name} until {end}"
    return f"{grant.grant_id} {said}: {claims}"


def _stand(grant: HeldGrant) -> str:
    match grant:
        case Deciding() | Delivering():
            return "on its way"
        case InForce():
            return "in force"
        case Ending():
            heard = "both were told" if grant.is_heard else "not both were told yet: resume"
            return f"withdrawn, no proof of erasure yet ({heard})"
        case Proved():
            return f"erased, proved at level {grant.level.name}"
        case Abandoned():
            return "not granted"
        case _:
            assert_never(grant)


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


def reason_text(reason: Reason) -> str:
    """Give a reason; one that wraps another error's text is that text."""
    return reason.found if reason.code == "failed" else str(reason)


def state_of(state: object) -> str:
    """Give a state's name."""
    return type(state).__name__.lower()


def value_line(name: str, value: Json) -> str:
    """Give a claim's name and value."""
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"
