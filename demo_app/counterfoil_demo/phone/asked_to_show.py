"""W5: a request to show something once, as a sheet: each query's card and its facts.

Off until she turns it on: whatever is optional, and whatever was not registered. Of several
ways to answer, the wallet takes the one that says least: a yes before the date behind it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.errors import Refused
from counterfoil_wallet import Choice, CredentialId, Disclosure, Joining, Matches, RevealedClaim

from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.card_facts import fact_at
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


@dataclass(slots=True)
class _Draft:
    """What is put together, query by query."""

    rows: list[Row] = field(default_factory=list[Row])
    optional: list[Row] = field(default_factory=list[Row])
    cards: list[Term] = field(default_factory=list[Term])
    warnings: list[str] = field(default_factory=list[str])
    picks: dict[str, CredentialId] = field(default_factory=dict[str, CredentialId])
    including: dict[str, list[ClaimPath]] = field(default_factory=dict[str, list[ClaimPath]])


def sheet_to_show(matches: Matches, given: Mapping[str, str], words: Words) -> Sheet[Choice]:
    """Give the sheet for what she has chosen so far; `given` holds the fields of its form."""
    say, draft = words.gettext, _Draft()
    showing = _queries(matches, given, draft, words)
    for at, query in enumerate(matches.request.query.credentials):
        fitting = matches.answers[query.id]
        if query.id in showing and fitting:
            wanted = given.get(f"card-{at}")
            base = next((d for d in fitting if d.credential.credential_id == wanted), fitting[0])
            _add(draft, at, base, given, words)
            cards = [each.credential for each in fitting]
            draft.cards.append(card_term(f"card-{at}", cards, base.credential, words))
    choice, problems = None, []
    try:
        choice = matches.choose(
            draft.picks,
            showing=showing or None,
            including=draft.including,
            reuse_that_links=given.get(REUSE) == ON,
        )
    except Refused as refusal:
        problems = problem_text(refusal.codes, words)
    terms = [
        *draft.cards,
        Term(label=say("Seen"), text=say("Once, when you share it")),
        Term(label=say("Kept"), text=matches.retention or say("They do not say")),
        Term(label=say("Passed on"), text=say("They do not say")),
    ]
    return Sheet(
        rows=draft.rows,
        optional=draft.optional,
        terms=terms,
        warnings=[*dict.fromkeys(draft.warnings)],
        problems=problems,
        choice=choice,
    )


def _queries(
    matches: Matches, given: Mapping[str, str], draft: _Draft, words: Words
) -> frozenset[str]:
    """Give what is answered: what is required, and the optional cards that she turned on."""
    showing = set(matches.ways.first)
    for at, one in enumerate(matches.ways.sets):
        if one.is_required or not one.options:
            continue
        name = f"set-{at}"
        is_on = given.get(name) == ON
        if is_on:
            showing |= set(one.options[0])
        first = matches.answers[one.options[0][0]][0].credential
        row = Row(
            name=words.gettext("Another card as well"),
            value=card_term("", [first], first, words).text,
            field=name,
            is_on=is_on,
        )
        draft.optional.append(row)
    return frozenset(showing)


def _add(draft: _Draft, at: int, base: Disclosure, given: Mapping[str, str], words: Words) -> None:
    say = words.gettext
    draft.picks[base.query_id] = base.credential.credential_id
    switched = _grouped([*base.beyond, *base.optional])
    named: list[ClaimPath] = []
    for number, claims in enumerate(switched):
        name = f"more-{at}-{number}"
        is_on = given.get(name) == ON
        notes = (say("They did not register that they ask for this."),)
        is_beyond = claims[0].is_beyond
        draft.optional.append(
            _row(base, claims, words, field=name, is_on=is_on, notes=notes if is_beyond else ())
        )
        if is_on:
            named += [claim.path for claim in claims]
    shown = base
    if named:
        draft.including[base.query_id] = named
        try:
            shown = base.including(named)
        except Refused:
            # `choose` refuses it too, and the sheet says so.
            shown = base
    seen = {claim.path for claims in switched for claim in claims}
    rest = [claim for claim in shown.claims if not claim.is_frame and claim.path not in seen]
    for claims in sorted(_grouped(rest), key=lambda each: not each[0].is_asked):
        along = () if claims[0].is_asked else (say("Goes along with it."),)
        draft.rows.append(_row(base, claims, words, notes=along))
    if base.joining is Joining.ITSELF:
        draft.warnings.append(say("They saw this card before and can tell that it is you again."))
    if base.joining is Joining.OTHERS:
        draft.optional.append(reuse_row(given, words))


def _row(
    base: Disclosure,
    claims: Sequence[RevealedClaim],
    words: Words,
    *,
    field: str = "",
    is_on: bool = True,
    notes: tuple[str, ...] = (),
) -> Row:
    values = [claim.value for claim in claims]
    fact = fact_at(base.credential, claims[0].path, values, words)
    return Row(
        name=fact.name,
        value=fact.value,
        is_code=fact.is_code,
        field=field,
        is_on=is_on,
        is_asked=claims[0].is_asked,
        notes=notes,
    )


def _grouped(claims: Sequence[RevealedClaim]) -> list[list[RevealedClaim]]:
    """Give claims together that differ only by their place in a list."""
    groups: dict[tuple[object, ...], list[RevealedClaim]] = {}
    for claim in claims:
        generic = tuple(None if isinstance(step, int) else step for step in claim.path)
        groups.setdefault((*generic, claim.is_asked, claim.is_beyond), []).append(claim)
    return list(groups.values())
