"""W13: what the wallet did, event by event: in words, with names of facts and never a value."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Final

from counterfoil_wallet import Act, Event, HeldGrant, Outcome, Wallet, printable

from counterfoil_demo.naming import STANDARD_NAMES
from counterfoil_demo.pages.words import Words, marked
from counterfoil_demo.phone.brands import brand_of
from counterfoil_demo.phone.cards import day_in
from counterfoil_demo.phone.grants import Mark, facts_text

_SAID: Final[Mapping[Act, tuple[str, str]]] = {
    Act.ACCEPTED: ("cards", marked("You took a card of %(name)s")),
    Act.SHOWN: ("halves", marked("You showed something to %(name)s")),
    Act.DECLINED: ("cross", marked("You said no to %(name)s")),
    Act.GRANTED: ("halves", marked("You let %(name)s read something")),
    Act.WITHDRAWN: ("tear", marked("You withdrew from %(name)s")),
    Act.PAUSED: ("clock", marked("You paused what %(name)s may read")),
    Act.RESUMED: ("check", marked("You let %(name)s go on")),
    Act.ERASED: ("stamp", marked("%(name)s proved the erasure")),
    Act.REMOVED: ("trash", marked("You removed a card of %(name)s")),
    Act.TAKEN_BACK: ("cards", marked("You took back a card of %(name)s")),
    Act.SUSPENDED: ("alert", marked("%(name)s paused a card of yours")),
    Act.REVOKED: ("stop", marked("%(name)s took a card of yours back")),
    Act.REINSTATED: ("check", marked("%(name)s lets a card count again")),
    Act.MARKED: ("alert", marked("%(name)s marked a card of yours")),
}
KINDS: Final[Mapping[str, tuple[str, frozenset[Act]]]] = {
    "shown": (marked("Shown"), frozenset({Act.SHOWN, Act.DECLINED})),
    "shared": (
        marked("Shared"),
        frozenset({Act.GRANTED, Act.WITHDRAWN, Act.PAUSED, Act.RESUMED, Act.ERASED}),
    ),
    "cards": (
        marked("Cards"),
        frozenset(
            {
                *(Act.ACCEPTED, Act.REMOVED, Act.TAKEN_BACK),
                *(Act.SUSPENDED, Act.REVOKED, Act.REINSTATED, Act.MARKED),
            }
        ),
    ),
}
_LOSSES: Final[Mapping[Act, str]] = {
    Act.SHOWN: marked(
        "You can no longer see that they have seen this, nor prove what they said that they keep. "
        "What they saw, they have seen."
    ),
    Act.GRANTED: marked("The grant itself, its papers and the button that ends it stay."),
    Act.WITHDRAWN: marked("The withdrawal stands, and the papers that prove it stay."),
    Act.PAUSED: marked("The record of this grant no longer tells when it was paused."),
    Act.RESUMED: marked("The record of this grant no longer tells when it went on."),
    Act.ERASED: marked("The receipt that proves the erasure stays with the grant."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event as a page tells it. `name` is its own on this phone, `loss` what deleting costs."""

    name: str
    at: datetime
    icon: str
    text: str
    facts: str
    kinds: str
    mark: Mark | None
    reason: str
    loss: str
    grant_id: str | None
    has_receipt: bool
    kept_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events are looked for; what is empty or None does not narrow."""

    party: str = ""
    kind: str = ""
    only_failed: bool = False
    first_day: date | None = None
    last_day: date | None = None

    @staticmethod
    def of(query: Mapping[str, str]) -> "Wanted":
        """Give what a form asks for; what cannot be read does not narrow."""
        kind = query.get("kind", "")
        return Wanted(
            party=query.get("party", "")[:100],
            kind=kind if kind in KINDS else "",
            only_failed=query.get("failed", "") == "yes",
            first_day=day_in(query.get("from", "")),
            last_day=day_in(query.get("to", "")),
        )

    @property
    def narrows(self) -> bool:
        """Whether anything is looked for."""
        return self != Wanted()

    def fits(self, event: Event) -> bool:
        """Tell whether an event is one of those."""
        day = event.at.astimezone().date()
        return not (
            (self.party and self.party != name_of_party(event.party))
            or (self.kind and event.act not in KINDS[self.kind][1])
            or (self.only_failed and event.outcome is Outcome.DONE and not event.is_warning)
            or (self.first_day is not None and day < self.first_day)
            or (self.last_day is not None and day > self.last_day)
        )


def name_of_event(event: Event) -> str:
    """Give the name that an event has in addresses of this phone: no party is in it."""
    return sha256(event.event_id.encode()).hexdigest()[:32]


def name_of_party(party: str) -> str:
    """Give the name that a party has in addresses of this phone."""
    return sha256(party.encode()).hexdigest()[:16]


def parties_of(wallet: Wallet, events: Iterable[Event], words: Words) -> dict[str, str]:
    """Give how each party of `events` is called, by its own id."""
    granted = {one.party: printable(one.name) for one in wallet.consent.all()}
    return {event.party: _called(event, granted, words) for event in sorted(events, key=_by_time)}


def told_of(
    event: Event, parties: Mapping[str, str], grants: Sequence[HeldGrant], words: Words
) -> Told:
    """Give one event in words."""
    icon, said = _SAID[event.act]
    receipt = event.receipt
    loss = _LOSSES.get(event.act, marked("Nothing else changes. The card itself is not touched."))
    return Told(
        name=name_of_event(event),
        at=event.at,
        icon=icon,
        text=words.gettext(said) % {"name": parties[event.party]},
        facts=facts_text(event.claims, words),
        kinds=_kinds(event.types, words),
        mark=_mark(event, words),
        reason=printable(event.detail or ""),
        loss=words.gettext(loss),
        grant_id=next(
            (one.grant_id for one in grants if event.event_id.startswith(_grant_id(event, one))),
            None,
        ),
        has_receipt=receipt is not None,
        kept_until=None if receipt is None else receipt.kept_until,
    )


def _grant_id(event: Event, grant: HeldGrant) -> str:
    return f"{event.act}-{grant.grant_id}"


def _by_time(event: Event) -> datetime:
    return event.at


def _called(event: Event, granted: Mapping[str, str], words: Words) -> str:
    if event.party.startswith("https://"):
        return brand_of(event.party, words.language).name
    name = event.party_name or granted.get(event.party)
    return printable(name) if name else words.gettext("a party without a verified name")


def _kinds(types: Sequence[str], words: Words) -> str:
    kinds = (one.rpartition("/")[2] for one in types)
    names = [STANDARD_NAMES.get(kind, {}).get(words.language, printable(kind)) for kind in kinds]
    return ("、" if words.language == "zh" else ", ").join(names)


def _mark(event: Event, words: Words) -> Mark | None:
    if event.is_warning:
        return Mark("stop", "alert", words.gettext("Their receipt is wrong"))
    match event.outcome:
        case Outcome.DONE:
            return None
        case Outcome.SENT:
            return Mark("wait", "clock", words.gettext("No answer is known"))
        case Outcome.REFUSED:
            return Mark("stop", "stop", words.gettext("It failed"))
