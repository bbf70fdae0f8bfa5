"""What a receiver asks to be granted, and what the customer agrees to of it.

    AskedTerms ─► choose ─► GrantChoice     what the screen shows, and what was agreed to

Off until the app says otherwise: optional claims, and whatever the policy finds too much.
Whatever is chosen is equal to what was asked, or narrower.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from counterfoil_consent import holder
from counterfoil_consent.terms import ClaimName, Terms
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery
from counterfoil_credentials.dids import Did
from counterfoil_credentials.errors import Reason, Refused

from counterfoil_wallet.answers import answer_id
from counterfoil_wallet.asking import SignedRequest
from counterfoil_wallet.disclosures import Chosen, Disclosure, Joining, answers_to, own_copy
from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.history import EventId
from counterfoil_wallet.policy import Concern, Judgement
from counterfoil_wallet.trust import Asker
from counterfoil_wallet.wire import refuse

_WHERE: Final = "grant"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantChoice:
    """What the customer agreed to grant, and what the receiver will be able to read."""

    asker: Asker
    asked: holder.Asked = field(repr=False)
    signed: SignedRequest = field(repr=False)
    at: datetime
    claims: frozenset[ClaimName]
    recipients: frozenset[Did] | None
    valid_until: datetime | None
    max_reads: int | None
    disclosures: tuple[Disclosure, ...]
    may_link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTerms:
    """What a receiver asks to be granted. Nothing has been sent.

    `terms` say purpose, claims, recipients, end, reads and custodian; `notice` is the text
    whose digest they name. `held` are the credentials of the types asked for. `judgement`
    is what the customer's policy finds too much in it.
    """

    asker: Asker
    asked: holder.Asked = field(repr=False)
    signed: SignedRequest = field(repr=False)
    held: tuple[HeldCredential, ...]
    judgement: Judgement
    at: datetime
    chosen: Chosen = field(default=own_copy, repr=False, compare=False)

    @property
    def event_id(self) -> EventId:
        """Under which the history has a refusal of it, once there is one."""
        return answer_id(self.signed.request)

    @property
    def terms(self) -> Terms:
        """The terms asked for."""
        return self.asked.terms

    @property
    def beyond(self) -> frozenset[ClaimName]:
        """The claims that are asked for beyond what the receiver registered."""
        return frozenset(
            name
            for one in self.judgement.excess
            if one.concern is Concern.BEYOND_REGISTRATION
            for name in one.claims
        )

    @property
    def notice(self) -> str:
        """The text that the customer is to read.

        As the receiver wrote it, for its digest is what is agreed to: show it
        line by line, each made `printable`.
        """
        return self.asked.notice

    def hidden(self) -> "AskedTerms":
        """Give what a wallet with nothing in it would show here, for a screen that others watch."""
        return replace(self, held=(), chosen=own_copy)

    def choose(
        self,
        optional: Collection[ClaimName] = (),
        *,
        recipients: Collection[Did] | None = None,
        valid_until: datetime | None = None,
        max_reads: int | None = None,
        picks: Mapping[str, CredentialId] | None = None,
        reuse_that_links: bool = False,
    ) -> GrantChoice:
        """Agree to the required claims, to `optional` ones, and to less where she likes.

        Less: only these `recipients`, a sooner end, fewer reads. `picks` names a
        credential by type where several fit; else the first is taken: valid, then newest.
        A claim that is too much (`judgement.off`) is off until `optional` names it, also a
        required one. With `reuse_that_links` a copy may be sealed that a verifier has
        seen: the two can find out that they met the same customer. Raises `Refused` with
        `refused-by-policy`, `nothing-chosen`, `nothing-answers`, `beyond-registration`,
        `over-asking` or `only-copies-that-link`.
        """
        if self.judgement.refused:
            raise Refused(*self.judgement.refused)
        required = {claim.name for claim in self.terms.claims if claim.is_required}
        claims = frozenset(required | set(optional))
        if not claims:
            raise refuse("nothing-chosen", "at least one claim", "none", _WHERE)
        disclosures: list[Disclosure] = []
        reasons = self._too_much(claims - set(optional))
        for vct in sorted({name.vct for name in claims}):
            fitting = self._answers(vct, claims)
            wanted = None if picks is None else picks.get(vct)
            found = [d for d in fitting if wanted in (None, d.credential.credential_id)]
            if not found:
                reasons.append(Reason("nothing-answers", "a credential that fits", "none", vct))
            elif found[0].joining is Joining.OTHERS and not reuse_that_links:
                expected = "a copy that nobody else has seen"
                reasons.append(Reason("only-copies-that-link", expected, "shown ones", vct))
            else:
                disclosures.append(found[0])
        if reasons:
            raise Refused(*reasons)
        return GrantChoice(
            asker=self.asker,
            asked=self.asked,
            signed=self.signed,
            at=self.at,
            claims=claims,
            recipients=None if recipients is None else frozenset(recipients),
            valid_until=valid_until,
            max_reads=max_reads,
            disclosures=tuple(disclosures),
            may_link=reuse_that_links,
        )

    def _too_much(self, unnamed: Collection[ClaimName]) -> list[Reason]:
        beyond = sorted(self.beyond.intersection(unnamed), key=str)
        others = sorted((self.judgement.off - self.beyond).intersection(unnamed), key=str)
        return [
            *(
                Reason("beyond-registration", "a claim that was registered", "another", str(name))
                for name in beyond
            ),
            *(
                Reason("over-asking", "a claim that she names herself", "one taken", str(name))
                for name in others
            ),
        ]

    def _answers(self, vct: str, claims: Collection[ClaimName]) -> tuple[Disclosure, ...]:
        wanted = tuple(ClaimQuery(name.path) for name in sorted(claims, key=str) if name.vct == vct)
        query = CredentialQuery(vct, (vct,), wanted)
        return answers_to(query, self.held, now=self.at, chosen=self.chosen)
