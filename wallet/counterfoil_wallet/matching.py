"""Which held credentials answer a query, and exactly what each would reveal.

A `Disclosure` is made by cutting the credential down to what was asked and
reading back what is left: what is shown on the screen is what will be sent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_credentials.claims import ClaimPath, covers, path_text, values_at
from counterfoil_credentials.dcql import CredentialQuery
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.spec import NEVER_CONCEALED

from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.trust import Asker
from counterfoil_wallet.wire import refuse

# What says how the credential is signed, bound and checked, rather than what it says.
_FRAME: Final = NEVER_CONCEALED | {"iat"}


@dataclass(frozen=True, slots=True)
class RevealedClaim:
    """One value that would be seen. `is_asked` is False for what travels with it anyway."""

    path: ClaimPath
    value: Json = field(repr=False)
    is_asked: bool

    @property
    def name(self) -> str:
        """Give the path as people read it."""
        return path_text(self.path)


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
    """What the customer agreed to show, one disclosure for each query."""

    asker: Asker
    request: PresentationRequest = field(repr=False)
    disclosures: tuple[Disclosure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What is asked, by whom, and what the wallet could answer.

    `answers` holds, for each query, the disclosures that fit: valid ones first,
    then the newest. Nothing has been sent.
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

    def choose(self, picks: Mapping[str, CredentialId] | None = None) -> Choice:
        """Agree to show the first fitting credential of each query, or the one that `picks` names.

        Raises `Refused` with `nothing-answers` when a query has no answer, or
        the picked credential is not one.
        """
        chosen: list[Disclosure] = []
        reasons: list[Reason] = []
        for query_id, fitting in self.answers.items():
            wanted = None if picks is None else picks.get(query_id)
            found = [d for d in fitting if wanted in (None, d.credential.credential_id)]
            if found:
                chosen.append(found[0])
            else:
                reasons.append(
                    Reason("nothing-answers", "a credential that fits", "none", query_id)
                )
        if reasons:
            raise Refused(*reasons)
        return Choice(asker=self.asker, request=self.request, disclosures=tuple(chosen))


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
        purpose=request.purpose,
        expires_at=request.expires_at,
        answers={query.id: answers_to(query, held, now=now) for query in request.query.credentials},
        request=request,
    )


def answers_to(
    query: CredentialQuery, held: Iterable[HeldCredential], *, now: datetime
) -> tuple[Disclosure, ...]:
    """Give a disclosure for every credential that answers `query`: valid first, then newest."""
    fitting = [c for c in held if not query.mismatches(c.vct, c.claims)]
    fitting.sort(key=lambda credential: credential.accepted_at, reverse=True)
    fitting.sort(key=lambda credential: _is_over(credential, now))
    paths = [claim.path for claim in query.claims]
    return tuple(disclosure_of(credential, paths, query_id=query.id) for credential in fitting)


def disclosure_of(
    credential: HeldCredential, paths: Sequence[ClaimPath], *, query_id: str
) -> Disclosure:
    """Give what showing `paths` of a credential would reveal: that, and what cannot be withheld."""
    shown = disclose(credential.sd_jwt, paths)
    claims = tuple(
        RevealedClaim(path, value, any(covers(asked, path) for asked in paths))
        for path, value in _leaves(read_credential(shown).revealed.claims, ())
        # An object that is empty because everything in it is withheld says nothing.
        if value not in ({}, []) or values_at(credential.claims, path) == [value]
    )
    return Disclosure(query_id=query_id, credential=credential, claims=claims, sd_jwt=shown)


def _is_over(credential: HeldCredential, now: datetime) -> bool:
    return credential.expires_at is not None and credential.expires_at <= now


def _leaves(value: Json, path: ClaimPath) -> Iterator[tuple[ClaimPath, Json]]:
    match value:
        case dict() if value:
            for name, member in value.items():
                yield from _leaves(member, (*path, name))
        case list() if value:
            for i, element in enumerate(value):
                yield from _leaves(element, (*path, i))
        case _:
            yield path, value
