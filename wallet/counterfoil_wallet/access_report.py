"""Who has seen what of the customer, and until when each says that it keeps it.

Made of the history alone. What was sent counts as seen, also where the other side refused it
or nobody knows whether it arrived. What the shop keeps is the word of its receipts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from counterfoil_credentials.encoding import JsonObject

from counterfoil_wallet.history import Act, Event
from counterfoil_wallet.visit_receipts import ReceiptStanding

_SEEN = frozenset({Act.SHOWN, Act.GRANTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one party has seen, by name: `claims` of `types`, in so many `visits`.

    `kept_until` is the last end that its receipts name. `without_receipt` counts what it was
    shown without a receipt that is its word, `warnings` the receipts with something wrong.
    """

    party: str
    party_name: str | None
    first_at: datetime
    last_at: datetime
    visits: int
    types: tuple[str, ...]
    claims: tuple[str, ...]
    kept_until: datetime | None
    without_receipt: int
    warnings: int

    def to_json(self) -> JsonObject:
        """Give it as JSON."""
        return {
            "party": self.party,
            "party_name": self.party_name,
            "first_at": self.first_at.isoformat(),
            "last_at": self.last_at.isoformat(),
            "visits": self.visits,
            "types": [*self.types],
            "claims": [*self.claims],
            "kept_until": None if self.kept_until is None else self.kept_until.isoformat(),
            "without_receipt": self.without_receipt,
            "warnings": self.warnings,
        }


def access_report(history: Iterable[Event]) -> tuple[Access, ...]:
    """Give what each party has seen; whoever saw something last stands first."""
    seen: dict[str, list[Event]] = {}
    for event in history:
        if event.act in _SEEN:
            seen.setdefault(event.party, []).append(event)
    report = [_access(party, events) for party, events in seen.items()]
    return tuple(sorted(report, key=lambda one: one.last_at, reverse=True))


def _access(party: str, events: list[Event]) -> Access:
    receipts = [event.receipt for event in events if event.receipt is not None]
    believed = [one for one in receipts if one.standing is not ReceiptStanding.WORTHLESS]
    shown = [event for event in events if event.act is Act.SHOWN]
    return Access(
        party=party,
        party_name=next((event.party_name for event in reversed(events) if event.party_name), None),
        first_at=min(event.at for event in events),
        last_at=max(event.at for event in events),
        visits=len(events),
        types=tuple(dict.fromkeys(name for event in events for name in event.types)),
        claims=tuple(dict.fromkeys(name for event in events for name in event.claims)),
        kept_until=max((one.kept_until for one in believed if one.kept_until), default=None),
        without_receipt=len(shown) - len(believed),
        warnings=sum(event.is_warning for event in events),
    )
