"""W11: who may read what of hers, or still has it; by brand, by fact, and what needs her eye."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_wallet import (
    Consent,
    ConsentReminder,
    ConsentState,
    FactHolder,
    FactView,
    Language,
    Notable,
    PartyView,
    Wallet,
    printable,
)
from counterfoil_wallet.consent_words import notable_text

from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.grants import Mark, Shared, end_text, facts_text, mark_of, shared_of

ASKED_AGAIN_AFTER: Final = timedelta(minutes=5)
# The custodian's clock may be a little behind.
_JUST_NOW: Final = timedelta(minutes=1)
_IN_FORCE: Final = frozenset({ConsentState.ACTIVE, ConsentState.SUSPENDED})
_OWING: Final = frozenset({ConsentState.ERASURE_PENDING, ConsentState.OVERDUE})
_ALARMING: Final = frozenset({Notable.ERASURE_OVERDUE, Notable.LOG_CHANGED})


@dataclass(frozen=True, slots=True)
class Alert:
    """Something about one grant that she is to see: the grant, the brand, the sentence."""

    grant_id: str
    name: str
    text: str
    is_alarming: bool


@dataclass(frozen=True, slots=True)
class Party:
    """What one brand may read, or still has, the newest grant first; `over` is what it had."""

    name: str
    is_known: bool
    current: Sequence[Shared]
    over: Sequence[Shared]


@dataclass(frozen=True, slots=True)
class Having:
    """How somebody has a fact: in words, by which grant, and where that stands."""

    name: str
    how: str
    grant_id: str | None
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, and everybody who has it."""

    name: str
    holders: Sequence[Having]


def alerts_of(reminders: Sequence[ConsentReminder], words: Words) -> Sequence[Alert]:
    """Give what needs her eye, what is alarming first."""
    alerts = [
        Alert(
            each.grant_id,
            printable(each.receiver),
            notable_text(each.notable, Language(words.language)),
            each.notable in _ALARMING,
        )
        for each in reminders
    ]
    return sorted(alerts, key=lambda each: not each.is_alarming)


def party_of(party: PartyView, words: Words) -> Party:
    """Give one brand's grants."""
    shared = [shared_of(one, words) for one in party.consents]
    return Party(
        name=printable(party.name),
        is_known=any(each.is_known for each in shared),
        current=[each for each in shared if not each.is_over],
        over=[each for each in shared if each.is_over],
    )


def fact_of(view: FactView, words: Words) -> Fact:
    """Give one fact with whoever has it."""
    name = facts_text([view.fact], words)
    return Fact(name, [each for holder in view.holders for each in _havings(holder, words)])


def asked_at(consents: Sequence[Consent]) -> datetime | None:
    """Give since when it is known how all in force was used; None: of one it is not."""
    usages = [one.usage for one in consents if one.state in _IN_FORCE]
    times = [usage.at for usage in usages if usage is not None]
    return min(times) if times and len(times) == len(usages) else None


def is_to_be_asked(consents: Sequence[Consent]) -> bool:
    """Tell whether there is something to ask, of which the last answer is not fresh."""
    return any(
        one.state in _OWING
        or (
            one.state in _IN_FORCE
            and (one.usage is None or one.seen_at - one.usage.at > ASKED_AGAIN_AFTER)
        )
        for one in consents
    )


def ask_all(wallet: Wallet) -> bool:
    """Ask how everything is used and what was erased; tell whether all that is in force answered.

    What is owed and has not come is no failure: its page says since when.
    """
    return all(
        one.usage is not None and one.seen_at - one.usage.at < _JUST_NOW
        for one in wallet.consent.check()
        if one.state in _IN_FORCE
    )


def _havings(holder: FactHolder, words: Words) -> list[Having]:
    name = printable(holder.name)
    found = [
        Having(name, end_text(one, words), one.grant_id, mark_of(one.state, words))
        for one in holder.consents
    ]
    for one in holder.handed_on:
        how = words.gettext("%(brand)s may have handed it on") % {"brand": printable(one.name)}
        found.append(Having(name, how, one.grant_id, None))
    if holder.shown_at:
        shown = words.gettext("was shown it on %(when)s")
        how = shown % {"when": words.moment(max(holder.shown_at))}
        if holder.kept_until is not None:
            kept = words.gettext("keeps it until %(day)s")
            how = f"{how} · {kept % {'day': words.day(holder.kept_until)}}"
        found.append(Having(name, how, None, None))
    return found
