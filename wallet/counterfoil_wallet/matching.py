"""Which held credentials answer a request, and what the customer agrees to show of them.

    Matches ─► choose ─► Choice     what the screen shows, and what was agreed to

Off until the app says otherwise: optional sets (`showing`), optional claims and claims
beyond what the verifier registered (`including`), and a copy that another verifier has
seen (`reuse_that_links`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.dcql_match import Ways, ways_to_answer
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.requests import PresentationRequest

from counterfoil_wallet.answers import answer_id
from counterfoil_wallet.disclosures import (
    Chosen,
    Disclosure,
    Joining,
    answers_to,
    own_copy,
)
from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.history import EventId
from counterfoil_wallet.printable import printable
from counterfoil_wallet.transactions import Transaction
from counterfoil_wallet.trust import Asker


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the customer agreed to show, in the order of the queries that it answers."""

    asker: Asker
    request: PresentationRequest = field(repr=False)
    disclosures: tuple[Disclosure, ...]
    transactions: tuple[Transaction, ...] = ()
    may_link: bool = False

    def signs_for(self, disclosure: Disclosure) -> tuple[Transaction, ...]:
        """Give the transactions that are signed with the key of this disclosure's copy.

        Each with one key alone: the first that the request allows (section 8.4).
        """
        return tuple(
            one
            for one in self.transactions
            if next(d for d in self.disclosures if d.query_id in one.query_ids) is disclosure
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What is asked, by whom, and what the wallet could answer.

    `answers` holds, for each query, the disclosures that fit: valid ones first,
    then the newest. `ways` says which queries can be answered together. `purpose` and
    `retention` are the asker's word on why it asks and what it keeps, made safe to show.
    `transactions` are signed together with what is shown. Nothing has been sent.
    """

    asker: Asker
    purpose: str | None
    retention: str | None
    transactions: tuple[Transaction, ...] = ()
    expires_at: datetime
    answers: Mapping[str, tuple[Disclosure, ...]]
    request: PresentationRequest = field(repr=False)

    @property
    def event_id(self) -> EventId:
        """Under which the history has the answer to it, once there is one."""
        return answer_id(self.request)

    @property
    def registered_purpose(self) -> str | None:
        """What the asker registered that it asks for, made safe to show; None where unknown."""
        registered = self.asker.registered
        if registered is None or registered.purpose is None:
            return None
        return printable(registered.purpose)

    @property
    def is_other_purpose(self) -> bool:
        """Whether its words of this time are not those that it registered: show both.

        They may say the same in another language; the customer can tell.
        """
        registered, given = self.registered_purpose, self.purpose
        return registered is not None and given is not None and registered != given

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The ids of queries that nothing held answers."""
        return tuple(query_id for query_id, fitting in self.answers.items() if not fitting)

    @property
    def ways(self) -> Ways:
        """The request's credential sets, each with the options that this wallet can answer."""
        return ways_to_answer(self.request.query, self.answers.keys() - set(self.unanswered))

    def choose(
        self,
        picks: Mapping[str, CredentialId | Collection[CredentialId]] | None = None,
        *,
        showing: Collection[str] | None = None,
        including: Mapping[str, Collection[ClaimPath]] | None = None,
        reuse_that_links: bool = False,
    ) -> Choice:
        """Agree to show the first fitting credential of each query, or what `picks` names for it.

        `showing` names the queries to answer: whole options of the request's sets.
        Without it, the first option of each required set; what is optional is off
        until it is named. Several credentials answer one query that wants several.
        `including` names, by query, claims that are off: optional ones, and those beyond
        what the verifier registered. With `reuse_that_links` a copy may be shown that
        another verifier has seen: the two can find out that they met the same customer.

        Raises `Refused` with `nothing-answers` when something required has no
        answer or a picked credential is not one, `nothing-chosen`,
        `not-an-option`, `one-credential-wanted`, `beyond-registration`,
        `only-copies-that-link`, or `transaction-not-signed`.
        """
        shown = self.ways.first if showing is None else frozenset(showing)
        reasons = self._against_showing(shown)
        chosen: list[Disclosure] = []
        for query in self.request.query.credentials:
            if reasons or query.id not in shown:
                continue
            wanted = _picked(picks, query.id)
            fitting = self.answers[query.id]
            found = [d for d in fitting if d.credential.credential_id in wanted]
            if len(found) < len(wanted):
                reasons.append(_no_answer(query.id))
            elif len(wanted) > 1 and not query.multiple:
                reasons.append(
                    Reason("one-credential-wanted", "one credential", f"{len(wanted)}", query.id)
                )
            named = () if including is None else including.get(query.id, ())
            for disclosure in found if wanted else fitting[:1]:
                shown_so = disclosure.including(named) if named else disclosure
                chosen.append(shown_so)
                reasons += _against_showing_so(shown_so, named, reuse_that_links=reuse_that_links)
        reasons += [
            Reason("transaction-not-signed", "a credential that signs it", "none", one.type)
            for one in self.transactions
            if not reasons and not {d.query_id for d in chosen} & {*one.query_ids}
        ]
        if reasons:
            raise Refused(*reasons)
        return Choice(
            asker=self.asker,
            request=self.request,
            disclosures=tuple(chosen),
            transactions=self.transactions,
            may_link=reuse_that_links,
        )

    def _against_showing(self, shown: frozenset[str]) -> list[Reason]:
        query, unanswered = self.request.query, self.unanswered
        if not self.ways.is_answerable:
            # Which query to blame is certain only where every one is required.
            return [
                _no_answer(at) for at in (("request",) if query.credential_sets else unanswered)
            ]
        if not shown:
            return [Reason("nothing-chosen", "at least one query", "none", "showing")]
        if missing := [_no_answer(query_id) for query_id in unanswered if query_id in shown]:
            return missing
        ways = ways_to_answer(query, shown)
        in_options = frozenset(name for one in ways.sets for ids in one.options for name in ids)
        if shown != in_options or not ways.is_answerable:
            expected = "whole options of the sets, every required one among them"
            return [Reason("not-an-option", expected, "others", "showing")]
        return []


def match_request(
    request: PresentationRequest,
    held: Sequence[HeldCredential],
    *,
    asker: Asker,
    now: datetime,
    transactions: tuple[Transaction, ...] = (),
    chosen: Chosen = own_copy,
) -> Matches:
    """Give what `held` can answer; `chosen` gives the copy of each that would be shown."""
    return Matches(
        asker=asker,
        purpose=None if request.purpose is None else printable(request.purpose),
        retention=None if request.retention is None else printable(request.retention),
        transactions=transactions,
        expires_at=request.expires_at,
        answers={
            query.id: answers_to(query, held, now=now, chosen=chosen, may_ask=asker.may_ask)
            for query in request.query.credentials
        },
        request=request,
    )


def _against_showing_so(
    disclosure: Disclosure, named: Collection[ClaimPath], *, reuse_that_links: bool
) -> list[Reason]:
    reasons = [
        Reason("beyond-registration", "a claim that the verifier registered", "another", claim.name)
        for claim in disclosure.beyond
        if claim.path not in named
    ]
    if disclosure.joining is Joining.OTHERS and not reuse_that_links:
        expected, where = "a copy that nobody else has seen", disclosure.query_id
        reasons.append(Reason("only-copies-that-link", expected, "shown ones", where))
    return reasons


def _picked(
    picks: Mapping[str, CredentialId | Collection[CredentialId]] | None, query_id: str
) -> frozenset[str]:
    """Give the credentials picked for a query; none is for the wallet to pick."""
    picked = () if picks is None else picks.get(query_id, ())
    return frozenset((picked,) if isinstance(picked, str) else picked)


def _no_answer(where: str) -> Reason:
    return Reason("nothing-answers", "a credential that fits", "none", where)
