"""What showing a credential would reveal, claim by claim, before anything is sent.

A `Disclosure` is made by cutting one copy down to what was asked: what is shown on the
screen is what will be sent. Elements of a list that are withheld leave no gap, so whoever
reads the rest may find another element under a number. A credential is offered only where
the verifier reads the same as the customer.

Of the combinations of claims that would do (`claim_sets`), the verifier's favourite is
meant, unless a smaller one is a part of it, or one asks for less beyond what the verifier
registered: then the rest is optional, and off until the customer names it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from counterfoil_credentials.claims import ClaimPath, covers, path_text, values_at
from counterfoil_credentials.dcql import CredentialQuery
from counterfoil_credentials.dcql_match import (
    Candidate,
    ways_to_show,
)
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential
from counterfoil_credentials.spec import NEVER_CONCEALED

from counterfoil_wallet.held import Copy, HeldCredential
from counterfoil_wallet.leaves import leaves
from counterfoil_wallet.printable import printable
from counterfoil_wallet.statuses import Status, known_status
from counterfoil_wallet.wire import refuse

# What says how the credential is signed, bound and checked, rather than what it says: unless
# its issuer concealed it, for then it goes to whoever asks for it, like any claim.
FRAME: Final = NEVER_CONCEALED | {"iat", "jti"}

Claims: TypeAlias = tuple[ClaimPath, ...]
MayAsk: TypeAlias = Callable[[str, ClaimPath], bool]
"""Says whether whoever asks registered that it asks for this claim of this type."""


class Joining(StrEnum):
    """What the verifier can join with the copy that it would be shown."""

    NOTHING = "nothing: nobody has seen this copy"
    ITSELF = "only its own visits: it has seen this copy before"
    OTHERS = "visits to others: another verifier has seen this copy"


@dataclass(frozen=True, slots=True)
class RevealedClaim:
    """One value that would be seen. `is_asked` is False for what travels with it anyway.

    `is_optional`: it is off until the customer names it. `is_beyond`: whoever asks did
    not register that it asks for this. `is_frame`: it says nothing about the customer, but
    how the credential is signed and bound, and goes to everybody. `path` and `value` are
    as issued; `name` is safe to show, and so must `value` be made (`printable`).
    """

    path: ClaimPath
    value: Json = field(repr=False)
    is_asked: bool
    is_optional: bool = False
    is_beyond: bool = False
    is_frame: bool = False

    @property
    def name(self) -> str:
        """Give the path as people read it."""
        return printable(path_text(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One credential that answers, and every claim that it would reveal.

    `optional` are claims that could be shown beside them (`including`). `joining` says
    what the verifier can join with what it is shown.
    """

    query_id: str
    credential: HeldCredential
    copy: Copy = field(repr=False)
    claims: tuple[RevealedClaim, ...]
    optional: tuple[RevealedClaim, ...] = ()
    joining: Joining = Joining.NOTHING
    sd_jwt: SdJwt = field(repr=False)
    paths: Claims = field(repr=False)
    ways: tuple[Claims, ...] = field(default=(), repr=False)
    may_ask: MayAsk | None = field(default=None, repr=False, compare=False)

    @property
    def asked(self) -> tuple[RevealedClaim, ...]:
        """The claims that were asked for."""
        return tuple(claim for claim in self.claims if claim.is_asked)

    @property
    def beyond(self) -> tuple[RevealedClaim, ...]:
        """The claims that were asked for beyond what the verifier registered."""
        return tuple(claim for claim in self.claims if claim.is_beyond)

    @property
    def names(self) -> tuple[str, ...]:
        """What is revealed about the customer, by name: all but the credential's own frame."""
        return tuple(claim.name for claim in self.claims if not claim.is_frame)

    def including(self, paths: Collection[ClaimPath]) -> "Disclosure":
        """Give the disclosure that shows `paths` too, by the smallest combination that does.

        `Refused` with `not-an-option` when no combination that the verifier takes does.
        """
        wanted = [
            way
            for way in self.ways
            if {*self.paths} <= {*way} and all(_is_shown(path, way) for path in paths)
        ]
        if not wanted:
            expected = "claims that whoever asks takes together"
            raise refuse("not-an-option", expected, "others", self.query_id)
        return self.showing(min(wanted, key=len))

    def of_copy(self, copy: Copy) -> "Disclosure":
        """Give the same disclosure of another copy of the same credential.

        `Refused` with `copy-differs` when it would reveal anything else about the customer.
        """
        if copy.copy_id == self.copy.copy_id:
            return self
        other = replace(self, copy=copy).showing(self.paths)
        if _said(other.claims) != _said(self.claims):
            expected = "a copy that says what was on the screen"
            raise refuse("copy-differs", expected, "another", self.query_id)
        return other

    def showing(self, paths: Claims) -> "Disclosure":
        """Give what showing exactly `paths` would reveal."""
        shown, claims = _cut(self.copy, paths)
        marked = tuple(self._marked(claim) for claim in claims)
        seen = {claim.path for claim in marked}
        extra = {path for way in self.ways if {*paths} < {*way} for path in way} - {*paths}
        optional = tuple(
            self._marked(RevealedClaim(path, value, is_asked=True, is_optional=True))
            for path, value in leaves(self.copy.parsed.revealed.claims)
            if path not in seen and any(covers(more, path) for more in extra)
        )
        return replace(self, sd_jwt=shown, paths=paths, claims=marked, optional=optional)

    def _marked(self, claim: RevealedClaim) -> RevealedClaim:
        if self.may_ask is None or not claim.is_asked or claim.is_frame:
            return claim
        return replace(claim, is_beyond=not self.may_ask(self.credential.vct, claim.path))


Chosen: TypeAlias = Callable[[HeldCredential], tuple[Copy, Joining]]
"""Gives the copy of a card that whoever asks would be shown, and what that lets it join."""


def own_copy(credential: HeldCredential) -> tuple[Copy, Joining]:
    """Give the copy that the card is read from."""
    return credential.copy, Joining.NOTHING


def answers_to(
    query: CredentialQuery,
    held: Iterable[HeldCredential],
    *,
    now: datetime,
    chosen: Chosen = own_copy,
    may_ask: MayAsk | None = None,
) -> tuple[Disclosure, ...]:
    """Give a disclosure for every credential that answers `query`: valid first, then newest."""
    answers: list[Disclosure] = []
    for credential in held:
        ways = ways_to_show(query, _as_candidate(query, credential, credential.copy))
        if not ways:
            continue
        copy, joining = chosen(credential)
        disclosure = disclosure_of(
            credential,
            _least([*ways.values()], credential.vct, may_ask),
            query_id=query.id,
            copy=copy,
            joining=joining,
            ways=tuple(ways.values()),
            may_ask=may_ask,
        )
        if still_answers(query, disclosure):
            answers.append(disclosure)
    answers.sort(key=lambda disclosure: disclosure.credential.accepted_at, reverse=True)
    answers.sort(key=lambda disclosure: _is_over(disclosure.credential, now))
    return tuple(answers)


def disclosure_of(
    credential: HeldCredential,
    paths: Sequence[ClaimPath],
    *,
    query_id: str,
    copy: Copy | None = None,
    joining: Joining = Joining.NOTHING,
    ways: tuple[Claims, ...] = (),
    may_ask: MayAsk | None = None,
) -> Disclosure:
    """Give what showing `paths` of a credential would reveal: that, and what cannot be withheld.

    Each claim stands under its path in the whole credential.
    """
    shown = credential.copy if copy is None else copy
    blank = Disclosure(
        query_id=query_id,
        credential=credential,
        copy=shown,
        claims=(),
        joining=joining,
        sd_jwt=shown.sd_jwt,
        paths=(),
        ways=ways,
        may_ask=may_ask,
    )
    return blank.showing(tuple(paths))


def still_answers(query: CredentialQuery, disclosure: Disclosure) -> bool:
    """Say whether the verifier reads in what is shown what the customer reads in the whole.

    It also reads who certified the issuer of this very copy.
    """
    whole = _as_candidate(query, disclosure.credential, disclosure.copy)
    left = replace(whole, claims=read_credential(disclosure.sd_jwt).revealed.claims)
    meant, read = ways_to_show(query, whole), ways_to_show(query, left)
    # What is left of a list is numbered anew, so the values are compared, not their places.
    return any(
        paths == disclosure.paths and claims in read for claims, paths in meant.items()
    ) and all(
        claims in meant
        and [values_at(left.claims, path) for path in paths]
        == [values_at(whole.claims, path) for path in meant[claims]]
        for claims, paths in read.items()
    )


def _cut(copy: Copy, paths: Claims) -> tuple[SdJwt, tuple[RevealedClaim, ...]]:
    shown = copy.disclosable.disclose(paths)
    whole = copy.parsed.revealed
    kept = frozenset(shown.disclosures)
    concealed = set(whole.paths.values())
    withheld = {path for disclosure, path in whole.paths.items() if disclosure not in kept}
    return shown, tuple(
        RevealedClaim(
            path,
            value,
            is_asked=any(covers(asked, path) for asked in paths),
            is_frame=path[0] in FRAME and not _is_within(path, concealed),
        )
        for path, value in leaves(whole.claims)
        if not _is_within(path, withheld)
    )


def _is_within(path: ClaimPath, places: Collection[ClaimPath]) -> bool:
    return any(path[:length] in places for length in range(1, len(path) + 1))


def _is_shown(path: ClaimPath, way: Claims) -> bool:
    return any(len(shown) <= len(path) and covers(shown, path) for shown in way)


def _said(claims: Iterable[RevealedClaim]) -> list[tuple[ClaimPath, Json]]:
    return [(claim.path, claim.value) for claim in claims if not claim.is_frame]


def _least(ways: Sequence[Claims], vct: str, may_ask: MayAsk | None) -> Claims:
    """Give the combination that is meant; see the head of the module."""

    def beyond(way: Claims) -> int:
        return 0 if may_ask is None else sum(not may_ask(vct, path) for path in way)

    first = min(ways, key=beyond)
    return min((way for way in ways if {*way} <= {*first}), key=len)


def _as_candidate(query: CredentialQuery, credential: HeldCredential, copy: Copy) -> Candidate:
    # Whatever is held is bound to a key of this wallet.
    return Candidate(
        types=(credential.vct,),
        claims=credential.claims,
        authorities=copy.authorities if query.trusted_authorities else frozenset(),
    )


def _is_over(credential: HeldCredential, now: datetime) -> bool:
    has_ended = credential.expires_at is not None and credential.expires_at <= now
    return has_ended or known_status(credential).status in (Status.REVOKED, Status.SUSPENDED)
