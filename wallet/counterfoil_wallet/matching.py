"""Which held credentials answer a query, and exactly what each would reveal.

A `Disclosure` is made by cutting the credential down to what was asked: what is
shown on the screen is what will be sent. Elements of a list that are withheld
leave no gap, so whoever reads the rest may find another element under a number.
A credential is offered only where the verifier reads the same as the customer.
"""

from collections.abc import Iterable, Mapping, Sequence
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
    """What the customer agreed to show, one disclosure for each query."""

    asker: Asker
    request: PresentationRequest = field(repr=False)
    disclosures: tuple[Disclosure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What is asked, by whom, and what the wallet could answer.

    `answers` holds, for each query, the disclosures that fit: valid ones first,
    then the newest. `purpose` is the asker's word, made safe to show. Nothing has
    been sent.
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
        purpose=None if request.purpose is None else printable(request.purpose),
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
    cut = (disclosure_of(credential, paths, query_id=query.id) for credential in fitting)
    return tuple(disclosure for disclosure in cut if _still_answers(query, disclosure))


def disclosure_of(
    credential: HeldCredential, paths: Sequence[ClaimPath], *, query_id: str
) -> Disclosure:
    """Give what showing `paths` of a credential would reveal: that, and what cannot be withheld.

    Each claim stands under its path in the whole credential.
    """
    shown = disclose(credential.sd_jwt, paths)
    whole = read_credential(credential.sd_jwt).revealed
    kept = frozenset(shown.disclosures)
    withheld = {path for disclosure, path in whole.paths.items() if disclosure not in kept}
    claims = tuple(
        RevealedClaim(path, value, any(covers(asked, path) for asked in paths))
        for path, value in leaves(whole.claims)
        if not any(path[:length] in withheld for length in range(1, len(path) + 1))
    )
    return Disclosure(query_id=query_id, credential=credential, claims=claims, sd_jwt=shown)


def _still_answers(query: CredentialQuery, disclosure: Disclosure) -> bool:
    whole = disclosure.credential.claims
    left = read_credential(disclosure.sd_jwt).revealed.claims
    return not query.mismatches(disclosure.credential.vct, left) and all(
        values_at(left, claim.path) == values_at(whole, claim.path) for claim in query.claims
    )


def _is_over(credential: HeldCredential, now: datetime) -> bool:
    return credential.expires_at is not None and credential.expires_at <= now
