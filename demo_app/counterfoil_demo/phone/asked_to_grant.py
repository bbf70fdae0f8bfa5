"""W5: a request for a grant, as a sheet: which facts, until when, how often, for whom.

Whatever she changes makes it narrower: fewer facts, a sooner end, one use, fewer recipients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_consent import ClaimName, ClaimTerm, CompletionKind
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.errors import Refused
from counterfoil_wallet import AskedTerms, GrantChoice, HeldCredential, Language
from counterfoil_wallet.consent_words import concern_text, operation_text
from counterfoil_wallet.policy import Concern

from counterfoil_demo.pages.words import Words, marked
from counterfoil_demo.phone.card_facts import fact_at
from counterfoil_demo.phone.grants import facts_text
from counterfoil_demo.phone.sheet import (
    ON,
    REUSE,
    Row,
    Sheet,
    Term,
    card_term,
    problem_text,
    reuse_row,
)

_SHORTER: Final = (1, 7, 30, 90)
_ONCE: Final = "once"
_OTHERS: Final = "only-copies-that-link"
_COMPLETED: Final = {
    CompletionKind.SINGLE_USE: marked("After the first use, on %(day)s at the latest"),
    CompletionKind.TRANSACTION: marked(
        "When the payment or delivery is done, on %(day)s at the latest"
    ),
    CompletionKind.CASE: marked("When the case closes, on %(day)s at the latest"),
    CompletionKind.ORDER: marked("When the order is complete, on %(day)s at the latest"),
}


@dataclass(frozen=True, slots=True)
class _Claim:
    term: ClaimTerm
    field: str
    is_on: bool


def sheet_to_grant(asked: AskedTerms, given: Mapping[str, str], words: Words) -> Sheet[GrantChoice]:
    """Give the sheet for what she has chosen so far; `given` holds the fields of its form."""
    terms, say = asked.terms, words.gettext
    claims = [_claim(asked, at, one, given) for at, one in enumerate(terms.claims)]
    passed = [
        Row(name=party.name, value="", field=f"pass-{at}", is_on=given.get(f"pass-{at}") == ON)
        for at, party in enumerate(terms.recipients)
    ]
    days = _days(asked, given)
    reads = 1 if given.get("reads") == _ONCE else None
    picks = _picks(asked, given)
    choice, problems, codes = None, list[str](), list[str]()
    try:
        choice = asked.choose(
            [one.term.name for one in claims if one.field and one.is_on],
            recipients=[
                party.did for party, row in zip(terms.recipients, passed, strict=True) if row.is_on
            ],
            valid_until=None if days is None else _ends(asked, days),
            max_reads=reads,
            picks={vct: held.credential_id for vct, held in picks.items()},
            reuse_that_links=given.get(REUSE) == ON,
        )
    except Refused as refusal:
        codes = refusal.codes
        problems = [
            *(
                concern_text(one.concern, Language(words.language))
                for one in asked.judgement.excess
                if asked.judgement.refused and one.concern in {Concern.MINOR, Concern.BRIBE}
            ),
            *problem_text(codes, words),
        ]
    rows = [_row(asked, one, picks, words) for one in claims]
    if REUSE in given or _OTHERS in codes:
        rows.append(reuse_row(given, words))
    custodian = terms.custodian.origin.removeprefix("https://")
    most = max(one.retain_days for one in terms.claims)
    kept = words.ngettext(
        "Sealed, for %(num)s day at most. The key is with %(who)s.",
        "Sealed, for %(num)s days at most. The key is with %(who)s.",
        most,
    )
    shown: list[Term] = [
        _ends_term(asked, days, words),
        _reads_term(asked, reads, words),
        *(
            card_term(f"card-{at}", _of_type(asked, vct), held, words)
            for at, (vct, held) in enumerate(sorted(picks.items()))
        ),
        Term(label=say("Kept"), text=kept % {"num": most, "who": custodian}),
        Term(label=say("They may"), text=_may(asked, words)),
        Term(label=say("Law of"), text=words.country(terms.jurisdiction)),
    ]
    if not passed:
        shown.append(Term(label=say("Passed on"), text=say("To nobody")))
    return Sheet(
        rows=[row for row in rows if not row.field],
        optional=[row for row in rows if row.field],
        terms=shown,
        passed=passed,
        warnings=_warnings(asked, words),
        problems=[*dict.fromkeys(problems)],
        choice=choice,
    )


def _claim(asked: AskedTerms, at: int, term: ClaimTerm, given: Mapping[str, str]) -> _Claim:
    is_fixed = term.is_required and term.name not in asked.judgement.off
    if is_fixed:
        return _Claim(term, "", is_on=True)
    return _Claim(term, f"claim-{at}", is_on=given.get(f"claim-{at}") == ON)


def _row(asked: AskedTerms, one: _Claim, picks: Mapping[str, HeldCredential], words: Words) -> Row:
    held = picks.get(one.term.name.vct)
    notes = tuple(
        concern_text(each.concern, Language(words.language))
        for each in asked.judgement.excess
        if one.term.name in each.claims
    )
    if held is None:
        return Row(
            name=_name(one.term.name, words),
            value="",
            field=one.field,
            is_on=one.is_on,
            notes=notes,
        )
    path = one.term.name.path
    fact = fact_at(held, path, list(values_at(held.claims, path)), words)
    return Row(
        name=fact.name,
        value=fact.value or words.gettext("Your card does not say it"),
        is_code=fact.is_code,
        field=one.field,
        is_on=one.is_on,
        notes=notes,
    )


def _name(claim: ClaimName, words: Words) -> str:
    return facts_text([str(claim)], words)


def _of_type(asked: AskedTerms, vct: str) -> list[HeldCredential]:
    return [held for held in asked.held if held.vct == vct][::-1]


def _picks(asked: AskedTerms, given: Mapping[str, str]) -> dict[str, HeldCredential]:
    """Give the card of each type that is asked for: the one she picked, else the newest."""
    picks: dict[str, HeldCredential] = {}
    types = sorted({name.vct for name in asked.terms.claim_names})
    for at, vct in enumerate(vct for vct in types if _of_type(asked, vct)):
        fitting = _of_type(asked, vct)
        wanted = given.get(f"card-{at}")
        picks[vct] = next((one for one in fitting if one.credential_id == wanted), fitting[0])
    return picks


def _days(asked: AskedTerms, given: Mapping[str, str]) -> int | None:
    chosen = given.get("ends", "")
    offered = [days for days in _SHORTER if _ends(asked, days) < asked.terms.valid_until]
    return next((days for days in offered if str(days) == chosen), None)


def _ends(asked: AskedTerms, days: int) -> datetime:
    return asked.at + timedelta(days=days)


def _ends_term(asked: AskedTerms, days: int | None, words: Words) -> Term:
    until = asked.terms.valid_until
    completion = asked.terms.completion

    def text(end: datetime) -> str:
        if completion is None:
            return words.day(end)
        return words.gettext(_COMPLETED[completion.kind]) % {"day": words.day(end)}

    options = [("", text(until))]
    for each in _SHORTER:
        if _ends(asked, each) < until:
            said = words.ngettext("After %(num)s day", "After %(num)s days", each) % {"num": each}
            options.append((str(each), said))
    return Term(
        label=words.gettext("Ends"),
        text=text(until if days is None else _ends(asked, days)),
        field="ends" if len(options) > 1 else "",
        options=tuple(options) if len(options) > 1 else (),
        chosen="" if days is None else str(days),
    )


def _reads_term(asked: AskedTerms, reads: int | None, words: Words) -> Term:
    most = asked.terms.max_reads
    often = words.ngettext("%(num)s time at most", "%(num)s times at most", most) % {"num": most}
    once = words.gettext("Once only")
    can_change = most > 1 and not asked.terms.is_single_use
    return Term(
        label=words.gettext("Read"),
        text=once if reads == 1 or not can_change else often,
        field="reads" if can_change else "",
        options=(("", often), (_ONCE, once)) if can_change else (),
        chosen=_ONCE if reads == 1 else "",
    )


def _may(asked: AskedTerms, words: Words) -> str:
    language = Language(words.language)
    separator = "、" if words.language == "zh" else ", "
    return separator.join(operation_text(one, language) for one in asked.terms.operations)


def _warnings(asked: AskedTerms, words: Words) -> Sequence[str]:
    language = Language(words.language)
    found = [
        concern_text(one.concern, language)
        for one in asked.judgement.excess
        if not one.claims and not asked.judgement.refused
    ]
    if asked.terms.incentive is not None:
        points = asked.terms.incentive.points
        said = words.ngettext(
            "They give you %(num)s point for it. It stays yours if you withdraw.",
            "They give you %(num)s points for it. They stay yours if you withdraw.",
            points,
        )
        found.append(said % {"num": words.number(points)})
    return found
