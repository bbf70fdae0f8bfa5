"""W12, after the end: what happened so far, what is still owed, and how well erasure is proved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_consent.states import Level, Trigger
from counterfoil_wallet import Consent, ConsentState, Language, printable
from counterfoil_wallet.consent_view import End
from counterfoil_wallet.consent_words import lack_text

from counterfoil_demo.pages.words import Words, marked
from counterfoil_demo.phone.grants import facts_text

_ENDED: Final = {
    Trigger.WITHDRAWN: marked("You withdrew it"),
    Trigger.COMPLETED: marked("It was done"),
    Trigger.EXPIRED: marked("Its time was over"),
    Trigger.TERMINATED: marked("They ended it, or the authority did"),
}
_LEVELS: Final = {
    Level.E0: marked("They say so. Nobody signed."),
    Level.E1: marked("Signed by the brand"),
    Level.E2: marked("Signed, and the key is destroyed"),
    Level.E3: marked("Everyone they passed it to confirmed"),
    Level.E4: marked("Checked by an auditor"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened (`done`), is awaited (`wait`), is to come (`next`), or is `kept`."""

    kind: str
    text: str
    when: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One evidence of the erasure, there or awaited."""

    word: str
    is_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The proof so far: its bars, the level with its words once there is one, and what it lacks."""

    bars: Sequence[Bar]
    level: str
    meaning: str
    lacks: Sequence[str]


def steps_of(one: Consent, words: Words) -> Sequence[Step]:
    """Give what happened since the end, and what has not happened yet; none before an end."""
    end, say = one.end, words.gettext
    if end is None:
        return []
    is_signed = one.level is not None
    is_destroyed = one.level is not None and one.level >= Level.E2
    stopped, silent = say("They stopped reading"), say("They have not answered yet")
    destroyed = say("The custodian destroyed its key")
    intact = say("The custodian has not destroyed its key yet")
    steps = [
        Step("done", say(_ENDED[trigger_of(one, end)]), words.moment(end.at)),
        _answer(end.stopped_at, stopped if is_signed else "", silent, stopped, words),
        _answer(end.key_destroyed_at, destroyed if is_destroyed else "", intact, destroyed, words),
    ]
    if end.erased_at is not None:
        signed = say("They signed that it is erased")
        steps.append(Step("done", signed, words.moment(end.erased_at)))
    else:
        by = say("by %(when)s") % {"when": words.moment(end.erase_by)}
        steps.append(Step("wait", say("The signed proof of erasure"), by))
    for item in one.retained:
        kept = say("Kept by %(law)s: %(facts)s")
        facts = facts_text(map(str, item.claims), words)
        until = say("until %(day)s") % {"day": words.day(item.until)}
        steps.append(Step("kept", kept % {"law": printable(item.law), "facts": facts}, until))
    if one.backups_until is not None:
        until = say("until %(day)s") % {"day": words.day(one.backups_until)}
        steps.append(Step("kept", say("Backups may still hold it"), until))
    return steps


def trigger_of(one: Consent, end: End) -> Trigger:
    """Give why it ended; what was withdrawn from parties that heard it too late is withdrawn."""
    is_early = end.at < one.valid_until
    return Trigger.WITHDRAWN if end.trigger is Trigger.EXPIRED and is_early else end.trigger


def proof_of(one: Consent, words: Words) -> Proof:
    """Give how well the erasure is proved."""
    say, end, level = words.gettext, one.end, one.level
    has_key = end is not None and end.key_destroyed_at is not None
    bars = [
        Bar(say("Signed by them"), level is not None and level >= Level.E1),
        Bar(say("Key destroyed"), has_key or (level is not None and level >= Level.E2)),
    ]
    if one.recipients:
        bars.append(Bar(say("All recipients"), level is not None and level >= Level.E3))
    language = Language(words.language)
    return Proof(
        bars=bars,
        level="" if level is None else level.name,
        meaning="" if level is None else say(_LEVELS[level]),
        lacks=[
            " ".join(filter(None, (printable(lack.party), lack_text(lack.what, language))))
            for lack in one.lacks
        ],
    )


def is_owed(one: Consent) -> bool:
    """Tell whether the proof of erasure is still to come."""
    return one.state in {ConsentState.ERASURE_PENDING, ConsentState.OVERDUE}


def _answer(at: datetime | None, sure: str, silent: str, said: str, words: Words) -> Step:
    if at is not None:
        return Step("done", said, words.moment(at))
    # A later paper may prove what an earlier one, which is missing, would have said.
    return Step("done", sure, "") if sure else Step("next", silent, "")
