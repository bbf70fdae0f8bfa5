"""A grant as a page shows it: with whom, what for, which facts, where it stands, how it was used.

Each function decides from what the wallet knows; nothing here asks anybody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from counterfoil_wallet import Consent, ConsentState, Language, printable
from counterfoil_wallet.consent_words import purpose_text

from counterfoil_demo.naming import claim_names
from counterfoil_demo.pages.words import Words, marked
from counterfoil_demo.phone.cards import number_of

_MARKS: Final[Mapping[ConsentState, tuple[str, str, str]]] = {
    ConsentState.WAITING: ("wait", "clock", marked("Waiting for them")),
    ConsentState.UNACKNOWLEDGED: ("wait", "alert", marked("Not acknowledged")),
    ConsentState.ACTIVE: ("ok", "check", marked("In force")),
    ConsentState.SUSPENDED: ("plain", "clock", marked("Paused")),
    ConsentState.ERASURE_PENDING: ("wait", "clock", marked("Erasing")),
    ConsentState.OVERDUE: ("stop", "stop", marked("Overdue")),
    ConsentState.ERASED: ("plain", "check", marked("Erased")),
    ConsentState.ERASED_IN_PART: ("plain", "law", marked("Erased in part")),
    ConsentState.NOT_GRANTED: ("plain", "cross", marked("Not granted")),
}
_OVER: Final = frozenset({ConsentState.ERASED, ConsentState.NOT_GRANTED})


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands, as a badge: its tone, its icon and its word."""

    tone: str
    icon: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One grant in a list. `is_over`: nothing is with them any more, or ever was."""

    grant_id: str
    number: str
    name: str
    is_known: bool
    purpose: str
    facts: str
    mark: Mark
    ends_soon: bool
    used: str
    end: str
    is_over: bool


def shared_of(one: Consent, words: Words) -> Shared:
    """Give a grant as a list shows it."""
    return Shared(
        grant_id=one.grant_id,
        number=number_of(one.grant_id),
        name=printable(one.name),
        is_known=one.known_as is not None,
        purpose=capital(purpose_text(one.purpose, Language(words.language))),
        facts=facts_text(map(str, one.claims), words),
        mark=mark_of(one.state, words),
        ends_soon=one.ends_soon,
        used=used_text(one, words),
        end=end_text(one, words),
        is_over=one.state in _OVER,
    )


def mark_of(state: ConsentState, words: Words) -> Mark:
    """Give the badge of a state."""
    tone, icon, word = _MARKS[state]
    return Mark(tone, icon, words.gettext(word))


def facts_text(facts: Iterable[str], words: Words) -> str:
    """Give the names of facts, by their claims' paths."""
    return claim_names((printable(fact) for fact in facts), words.language)


def used_text(one: Consent, words: Words) -> str:
    """Give how often a grant was used and when last, as the custodian said it."""
    if one.usage is None and not one.state.is_live:
        return ""
    if one.usage is None:
        return words.gettext("not asked yet how it was used")
    if one.usage.reads == 0:
        return words.gettext("never used")
    count = one.usage.reads
    used = words.ngettext("used %(num)s time", "used %(num)s times", count) % {"num": count}
    last = one.usage.last_read_at
    if last is None:
        return used
    said = words.gettext("%(used)s, last %(when)s")
    return said % {"used": used, "when": words.since(last, one.seen_at)}


def end_text(one: Consent, words: Words) -> str:
    """Give when a grant ends, or what is owed after its end and until when."""
    if one.state.is_live:
        days = one.days_left
        if days == 0:
            return words.gettext("ends %(when)s") % {"when": words.moment(one.valid_until)}
        return words.ngettext("%(num)s day left", "%(num)s days left", days) % {"num": days}
    if one.end is None:
        return ""
    if one.state is ConsentState.ERASURE_PENDING:
        said = words.gettext("proof of erasure due by %(when)s")
        return said % {"when": words.moment(one.end.erase_by)}
    if one.state is ConsentState.OVERDUE:
        said = words.gettext("proof of erasure overdue since %(when)s")
        return said % {"when": words.moment(one.end.erase_by)}
    if one.state is ConsentState.ERASED_IN_PART:
        until = max(item.until for item in one.retained)
        return words.gettext("some is kept until %(day)s") % {"day": words.day(until)}
    return words.gettext("ended on %(day)s") % {"day": words.day(one.end.at)}


def capital(phrase: str) -> str:
    """Give a phrase as a line begins."""
    return phrase[:1].upper() + phrase[1:]
