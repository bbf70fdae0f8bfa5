"""Which held credentials answer a query, and exactly what each would reveal.

A `Disclosure` is made by cutting the credential down to what was asked: what is
shown on the screen is what will be sent. Elements of a list that are withheld
leave no gap, so whoever reads the rest may find another element under a number.
A credential is offered only where the verifier reads the same as the customer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from counterfoil_credentials.claims import ClaimPath, covers, path_text, values_at
from counterfoil_credentials.dcql import CredentialQuery
from counterfoil_credentials.dcql_match import (
    Candidate,
    Ways,
    claims_asked,
    claims_to_show,
    ways_to_answer,
)
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.spec import NEVER_CONCEALED

from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.leaves import leaves
from counterfoil_wallet.printable import printable
from counterfoil_wallet.trust import Asker
from counterfoil_wallet.wire import refuse

# What says how the credential is signed, bound and checked, rather than what it says.
_FRAME: Final = NEVER_CONCEALED | {"iat"}


@dataclass(frozen=True, slots=True)
class RevealedClaim:
    """One value that would be seen. `is_asked` is False for what travels with it anyway.

    `path` and `value` are as issued; `name` is safe to show, and so must `value`
    be made (`printable`).
    """

    path: ClaimPath
    value: Json = field(repr=False)
    is_asked: bool

    @property
    def name(self) -> str:
        """Give the path as people read it."""
        return printable(path_text(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One credential that answers, and every claim that it would reveal."""

    query_id: str
    credential: HeldCredential
    claims: tuple[RevealedClaim, ...]
    sd_jwt: SdJwt = field(repr=False)

    @property
    def asked(self) -> tuple[RevealedClaim, ...]:
        """The claims that were asked for."""
        return tuple(claim for claim in self.claims if claim.is_asked)

    @property
    def names(self) -> tuple[str, ...]:
        """What is revealed about the customer, by name: all but the credential's own frame."""
        return tuple(claim.name for claim in self.claims if claim.path[0] not in _FRAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the customer agreed to show, in the order of the queries that it answers."""

    asker: Asker
    request: PresentationRequest = field(repr=False)
    disclosures: tuple[Disclosure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What is asked, by whom, and what the wallet could answer.

    `answers` holds, for each query, the disclosures that fit: valid ones first,
    then the newest. `ways` says which queries can be answered together. `purpose`
    is the asker's word, made safe to show. Nothing has been sent.
    """

    asker: Asker
    purpose: str | None
    expires_at: datetime
    answers: Mapping[str, tuple[Disclosure, ...]]
    request: PresentationRequest = field(repr=False)

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
    ) -> Choice:
        """Agree to show the first fitting credential of each query, or what `picks` names for it.

        `showing` names the queries to answer: whole options of the request's sets.
        Without it, the first option of each required set; what is optional is off
        until it is named. Several credentials answer one query that wants several.

        Raises `Refused` with `nothing-answers` when something required has no
        answer or a picked credential is not one, `nothing-chosen`,
        `not-an-option`, or `one-credential-wanted`.
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
            chosen += found if wanted else fitting[:1]
        if reasons:
            raise Refused(*reasons)
        return Choice(asker=self.asker, request=self.request, disclosures=tuple(chosen))

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
    request: PresentationRequest, held: Sequence[HeldCredential], *, asker: Asker, now: datetime
) -> Matches:
    """Give what `held` can answer.

    Raises `Refused` with `transaction-data-unknown` when the request wants more
    signed than a presentation (OpenID4VP 1.0, section 8.4: what the wallet does
    not understand it must not sign).
    """
    if request.transaction_data:
        raise refuse(
            "transaction-data-unknown",
            "no transaction data, or of a type this wallet understands",
            "another type",
            "request.transaction_data",
        )
    return Matches(
        asker=asker,
        purpose=None if request.purpose is None else printable(request.purpose),
        expires_at=request.expires_at,
        answers={query.id: answers_to(query, held, now=now) for query in request.query.credentials},
        request=request,
    )


def answers_to(
    query: CredentialQuery, held: Iterable[HeldCredential], *, now: datetime
) -> tuple[Disclosure, ...]:
    """Give a disclosure for every credential that answers `query`: valid first, then newest."""
    answers: list[Disclosure] = []
    for credential in held:
        paths = claims_to_show(query, _as_candidate(query, credential))
        if paths is None:
            continue
        disclosure = disclosure_of(credential, paths, query_id=query.id)
        if _still_answers(query, disclosure, paths):
            answers.append(disclosure)
    answers.sort(key=lambda disclosure: disclosure.credential.accepted_at, reverse=True)
    answers.sort(key=lambda disclosure: _is_over(disclosure.credential, now))
    return tuple(answers)


def disclosure_of(
    credential: HeldCredential, paths: Sequence[ClaimPath], *, query_id: str
) -> Disclosure:
    """Give what showing `paths` of a credential would reveal: that, and what cannot be withheld.

    Each claim stands under its path in the whole credential.
    """
    shown = credential.disclosable.disclose(paths)
    whole = credential.revealed
    kept = frozenset(shown.disclosures)
    withheld = {path for disclosure, path in whole.paths.items() if disclosure not in kept}
    claims = tuple(
        RevealedClaim(path, value, any(covers(asked, path) for asked in paths))
        for path, value in leaves(whole.claims)
        if not any(path[:length] in withheld for length in range(1, len(path) + 1))
    )
    return Disclosure(query_id=query_id, credential=credential, claims=claims, sd_jwt=shown)


def _still_answers(
    query: CredentialQuery, disclosure: Disclosure, paths: Sequence[ClaimPath]
) -> bool:
    whole = _as_candidate(query, disclosure.credential)
    left = replace(whole, claims=read_credential(disclosure.sd_jwt).revealed.claims)
    # What is left of a list is numbered anew, so the values are compared, not their places.
    return claims_asked(query, left) == claims_asked(query, whole) and [
        values_at(left.claims, path) for path in claims_to_show(query, left) or ()
    ] == [values_at(whole.claims, path) for path in paths]


def _as_candidate(query: CredentialQuery, credential: HeldCredential) -> Candidate:
    # Whatever is held is bound to a key of this wallet.
    return Candidate(
        types=(credential.vct,),
        claims=credential.claims,
        authorities=credential.authorities if query.trusted_authorities else frozenset(),
    )


def _picked(
    picks: Mapping[str, CredentialId | Collection[CredentialId]] | None, query_id: str
) -> frozenset[str]:
    """Give the credentials picked for a query; none is for the wallet to pick."""
    picked = () if picks is None else picks.get(query_id, ())
    return frozenset((picked,) if isinstance(picked, str) else picked)


def _no_answer(where: str) -> Reason:
    return Reason("nothing-answers", "a credential that fits", "none", where)


def _is_over(credential: HeldCredential, now: datetime) -> bool:
    return credential.expires_at is not None and credential.expires_at <= now
