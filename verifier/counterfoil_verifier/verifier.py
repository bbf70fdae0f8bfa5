"""Bytes and a policy in; a decision out.

    accepted = Verifier(policy, trust, statuses).verify(vp_token, request, now=now)
    accepted.claims["warranty"]["item"]["serial"]

The order is the order of the standards (RFC 9901, sections 7.1 and 7.3;
OpenID4VP 1.0, section 8.6):

    1. parse, and put the disclosures back: every rejection of section 7.1
    2. is the issuer trusted for this type
    3. the issuer's signature
    4. and then every reason, gathered: the holder's binding to this request,
       times, what the query asked for, the policy with the status list

That the answer has the presentations which the query wants is seen before the
first of them is opened. One that is refused speaks against the whole answer.

A `Verifier` remembers nothing about requests: that one request is answered
once is the session's part, in `requesting.py`.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from counterfoil_credentials.dcql import CredentialQuery
from counterfoil_credentials.dcql_match import Candidate, mismatches, unmet
from counterfoil_credentials.encoding import JsonObject, optional_text_at
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.jws import ES256_ONLY, Header
from counterfoil_credentials.key_binding import HolderProof, check_key_binding
from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_credentials.records import record
from counterfoil_credentials.requests import PresentationRequest, VpToken
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import (
    UnverifiedCredential,
    VerifiedCredential,
    audience_reasons,
    read_credential,
    time_at,
    time_reasons,
)
from counterfoil_credentials.x509 import first_subject

from counterfoil_verifier.policy import Judgement, Policy, Presented
from counterfoil_verifier.presets import Preset
from counterfoil_verifier.remembered import Remembered
from counterfoil_verifier.shown import Till, shown_nonce
from counterfoil_verifier.statuses import StatusAt, Statuses
from counterfoil_verifier.transactions import Transaction, transactions_of
from counterfoil_verifier.trust import KeyAsked, Trust

PROOF_MAX_AGE: Final = timedelta(minutes=5)
"""A holder's proof older than this was not made for the person at the counter now."""

# To hand one presentation to another thread costs as much as to verify it.
_CHUNK: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was shown, verified, under the ids of the credential queries that were answered.

    `shown` holds the claims of every presentation; more than one only where the
    query wants several. `status_as_of` is the time of the oldest status list that
    took part; None when the policy asked for none.
    """

    shown: Mapping[str, tuple[JsonObject, ...]] = field(repr=False)
    checked_at: datetime
    status_as_of: datetime | None

    @property
    def claims(self) -> Mapping[str, JsonObject]:
        """The claims of each query's first presentation: of its only one, mostly."""
        return {query_id: several[0] for query_id, several in self.shown.items()}


class NotAccepted(Refused):
    """Something speaks against the presentation.

    `status_as_of` is the time of the oldest status list that took part, such as the one
    that says "revoked"; None when none did.
    """

    def __init__(self, *reasons: Reason, status_as_of: datetime | None) -> None:
        super().__init__(*reasons)
        self.status_as_of = status_as_of


class CouldNotCheck(Unavailable):
    """Nothing speaks against the presentation, and something could not be found out.

    `reasons` say what, with codes such as `status-too-old`. `status_as_of` as in `NotAccepted`.
    """

    def __init__(self, *reasons: Reason, status_as_of: datetime | None = None) -> None:
        super().__init__("; ".join(str(reason) for reason in reasons))
        self.reasons = reasons
        self.status_as_of = status_as_of

    @property
    def codes(self) -> list[str]:
        """Give the reasons' codes."""
        return [reason.code for reason in self.reasons]


Outcome: TypeAlias = Accepted | Refused | Unavailable


@record()
class _Binding:
    """To what the presentations of one query must be bound, and what they may sign besides."""

    audience: str
    nonce: str
    max_age: timedelta
    may_sign: frozenset[str] = frozenset()


@record()
class _Judged:
    """One presentation whose issuer's signature is good, and what was found about it."""

    claims: JsonObject = field(repr=False)
    judgement: Judgement
    holder: PublicKey | None
    proof: HolderProof | None


class Verifier:
    """Decides about presentations: one policy, one trust, one memory of status lists.

    `algorithms` are those under which an issuer may sign a credential; what may sign
    its lists is for `statuses` to say.
    """

    def __init__(
        self,
        policy: Policy,
        trust: Trust,
        statuses: Statuses,
        *,
        algorithms: frozenset[Algorithm] = ES256_ONLY,
        remembered: Remembered | None = None,
    ) -> None:
        self._check = None if remembered is None else remembered.check
        self._policy = policy
        self._algorithms = algorithms
        self._trust = trust
        self._statuses = statuses

    def verify(
        self, presentation: VpToken, request: PresentationRequest, *, now: datetime
    ) -> Accepted:
        """Give the claims that `presentation` proves in answer to `request`.

        Raises `NotAccepted` (a `Refused`) with every reason that was found, `CouldNotCheck`
        (an `Unavailable`) when only open questions remain, `Refused` for an answer that has
        not what the request wants, and `Malformed` for bytes that are no presentation.
        """
        _require_answerable(presentation, request, now)
        transactions = transactions_of(request) if request.transaction_data else ()
        shown: dict[str, list[JsonObject]] = {}
        against: list[Reason] = []
        unknown: list[Reason] = []
        listed: list[datetime] = []
        proofs: list[HolderProof] = []
        unproved: set[str] = set()
        for query in request.query.credentials:
            binding = _binding(query, request, transactions)
            for text in presentation.get(query.id, ()):
                try:
                    judged = self._judge(text, query, binding, now)
                except Refused as refused:
                    against += _placed(refused.reasons, query)
                    unproved.add(query.id)
                    continue
                except CouldNotCheck as undecided:
                    unknown += _placed(undecided.reasons, query)
                    unproved.add(query.id)
                    continue
                against += _placed(judged.judgement.reasons, query)
                unknown += _placed(judged.judgement.unknown, query)
                if judged.judgement.status_as_of is not None:
                    listed.append(judged.judgement.status_as_of)
                if judged.proof is None:
                    unproved.add(query.id)
                else:
                    proofs.append(judged.proof)
                shown.setdefault(query.id, []).append(judged.claims)
        if transactions:
            against += _unsigned(transactions, proofs, unproved)
        # A known "no" outweighs an open question: asking again would not change it.
        status_as_of = min(listed, default=None)
        if against:
            raise NotAccepted(*against, status_as_of=status_as_of)
        if unknown:
            raise CouldNotCheck(*unknown, status_as_of=status_as_of)
        return Accepted(
            shown={query_id: tuple(several) for query_id, several in shown.items()},
            checked_at=now,
            status_as_of=status_as_of,
        )

    def verify_shown(
        self, presentation: str, preset: Preset, till: Till, *, now: datetime
    ) -> Accepted:
        """Give the claims of what a holder shows unasked, such as a code on a phone.

        Nobody asked, so there is no request to be bound to: its audience is the name of
        the preset, it was made within `preset.shown_within`, and this till takes it once.
        It is taken when all else is good, so that a refusal spends nothing.

        Raises as `verify` does; the codes of its own are `holder-shown-not-accepted` (the
        preset wants to ask) and `already-shown`.
        """
        if preset.shown_within is None:
            expected = "an answer to this till's question"
            raise Refused(
                Reason("holder-shown-not-accepted", expected, "one that nobody asked for", "preset")
            )
        (query,) = preset.query().credentials
        binding = _Binding(preset.name, shown_nonce(presentation), preset.shown_within)
        judged = self._judge(presentation, query, binding, now)
        judgement = judged.judgement
        if against := _placed(judgement.reasons, query):
            raise NotAccepted(*against, status_as_of=judgement.status_as_of)
        if unknown := _placed(judgement.unknown, query):
            raise CouldNotCheck(*unknown, status_as_of=judgement.status_as_of)
        if judged.proof is None or judged.holder is None:
            raise Misuse("expected a query that requires the holder's proof, found another")
        till.take(binding.nonce, judged.holder, judged.proof.issued_at + preset.shown_within)
        return Accepted(
            shown={query.id: (judged.claims,)},
            checked_at=now,
            status_as_of=judgement.status_as_of,
        )

    def verify_each(
        self,
        pairs: Iterable[tuple[VpToken, PresentationRequest]],
        *,
        now: datetime,
        threads: int = 2,
    ) -> list[Accepted | Refused | Unavailable]:
        """Give the outcome of each presentation with its request, in their order.

        What cannot be read is `Refused` with `malformed`: it ends nobody else's.
        """
        each = [*pairs]
        chunks = [each[i : i + _CHUNK] for i in range(0, len(each), _CHUNK)]

        def outcomes(chunk: list[tuple[VpToken, PresentationRequest]]) -> list[Outcome]:
            return [self._outcome(*pair, now) for pair in chunk]

        with ThreadPoolExecutor(threads) as pool:
            return [outcome for several in pool.map(outcomes, chunks) for outcome in several]

    def _outcome(
        self, presentation: VpToken, request: PresentationRequest, now: datetime
    ) -> Outcome:
        try:
            return self.verify(presentation, request, now=now)
        except (Refused, Unavailable) as outcome:
            # Given as a value, it must not hold on to what was read on its way.
            return outcome.with_traceback(None)
        except Malformed as cause:
            return Refused(Reason("malformed", cause.expected, cause.found, cause.where))

    def _judge(
        self, text: str, query: CredentialQuery, binding: _Binding, now: datetime
    ) -> _Judged:
        sd_jwt = SdJwt.parse(text, "presentation")
        unverified = read_credential(sd_jwt)
        asked = _asked(unverified)
        try:
            issuer_key = self._trust.key_for(asked, now=now)
        except Unavailable as cause:
            open_question = Reason(
                "issuer-keys-unreachable", "the issuer's keys", cause.what, "credential.iss"
            )
            raise CouldNotCheck(open_question) from cause
        credential = unverified.verify(
            issuer_key,
            issuer=first_subject(asked.header) if asked.issuer is None else None,
            algorithms=self._algorithms,
            check=self._check,
        )

        # From here on the issuer's word is certain, and reasons are gathered.
        proof, unbound = _proof(sd_jwt, credential, binding, now)
        judgement = self._policy.judge(
            Presented(
                credential=credential,
                disclosed=frozenset(unverified.revealed.paths.values()),
                bound_at=None if proof is None else proof.issued_at,
                unbound=unbound,
                status=lambda max_age: self._status(credential, asked, now, max_age),
                now=now,
            )
        )
        # The query is evaluated again on what arrived: the wallet's word is not enough.
        arrived = Candidate(
            types=(credential.vct, *self._trusted_aka(credential, asked, issuer_key, now)),
            claims=credential.claims,
            has_holder_key=credential.holder_key is not None,
        )
        reasons = (
            # Bad where it was not wanted is bad all the same.
            *(unbound if query.requires_holder_binding or sd_jwt.key_binding is not None else ()),
            *time_reasons(credential, now),
            *audience_reasons(credential, binding.audience),
            *mismatches(query, arrived),
            *judgement.reasons,
        )
        judgement = Judgement(reasons, judgement.unknown, judgement.status_as_of)
        return _Judged(credential.claims, judgement, credential.holder_key, proof)

    def _trusted_aka(
        self, credential: VerifiedCredential, asked: KeyAsked, signed_by: PublicKey, now: datetime
    ) -> Iterator[str]:
        """Give the further types that the issuer is trusted for: its own word is not enough."""
        for vct in credential.aka_vcts:
            with contextlib.suppress(Refused, Unavailable):
                if self._trust.key_for(replace(asked, vct=vct), now=now) == signed_by:
                    yield vct

    def _status(
        self, credential: VerifiedCredential, asked: KeyAsked, now: datetime, max_age: timedelta
    ) -> StatusAt:
        # The list is asked for after the signature: asking the brand's server about
        # a forged credential would tell the brand which shop was attacked.
        if credential.status is None:
            raise Misuse("expected a credential with a status reference, found one without")
        return self._statuses.at(
            credential.status,
            issuer=credential.issuer,
            issuer_key=lambda header, listed_at: self._trust.key_for(
                _of_list(asked, header, listed_at), now=now
            ),
            now=now,
            max_age=max_age,
        )


def _asked(unverified: UnverifiedCredential) -> KeyAsked:
    claims = unverified.revealed.claims
    return KeyAsked(
        issuer=optional_text_at(claims, "iss", "credential"),
        vct=unverified.unverified_vct,
        header=unverified.header,
        issued_at=time_at(claims, "iat", "credential"),
    )


def _of_list(asked: KeyAsked, header: Header, listed_at: datetime | None) -> KeyAsked:
    """Ask for the key of the issuer's list; without a chain of its own, the credential's counts."""
    if "x5c" in asked.header and "x5c" not in header:
        header = {**header, "x5c": asked.header["x5c"]}
    return replace(asked, header=header, issued_at=listed_at)


def _require_answerable(presentation: VpToken, request: PresentationRequest, now: datetime) -> None:
    """Return only if the request is open and its queries have the presentations they want."""
    if now >= request.expires_at:
        raise Refused(Reason("request-expired", "an open request", "an expired one", "request.exp"))
    if reasons := unmet(request.query, {name: len(given) for name, given in presentation.items()}):
        raise Refused(*reasons)


def _binding(
    query: CredentialQuery, request: PresentationRequest, transactions: Sequence[Transaction]
) -> _Binding:
    may_sign = frozenset(one.digest for one in transactions if query.id in one.query_ids)
    # Always the full client id, prefix included (OpenID4VP 1.0, section 8.6).
    return _Binding(request.client_id, request.nonce, PROOF_MAX_AGE, may_sign)


def _proof(
    sd_jwt: SdJwt, credential: VerifiedCredential, binding: _Binding, now: datetime
) -> tuple[HolderProof | None, tuple[Reason, ...]]:
    """Give the holder's proof for this request, or why there is none.

    Where the request demands the proof, that it is absent never makes it optional
    (RFC 9901, section 9.5). Where it does not, a policy may still want it.
    """
    if credential.holder_key is None:
        expected = "a credential with a holder's key"
        return None, (Reason("holder-key-missing", expected, "none", "credential.cnf"),)
    try:
        proof = check_key_binding(
            sd_jwt,
            holder_key=credential.holder_key,
            audience=binding.audience,
            nonce=binding.nonce,
            now=now,
            max_age=binding.max_age,
            allowing=binding.may_sign,
        )
    except Refused as refused:
        return None, refused.reasons
    return proof, ()


def _unsigned(
    transactions: Sequence[Transaction], proofs: Sequence[HolderProof], unproved: set[str]
) -> Iterator[Reason]:
    """Give the reason against each transaction that not exactly one credential signs.

    Whose own proof is bad has been told so already.
    """
    times = Counter(digest for proof in proofs for digest in proof.transaction_data_hashes)
    for one in transactions:
        reason = one.reason_unless_signed(times[one.digest])
        if reason is not None and (times[one.digest] or one.query_ids.isdisjoint(unproved)):
            yield reason


def _placed(reasons: Sequence[Reason], query: CredentialQuery) -> list[Reason]:
    """Say for which credential query each reason stands, and each reason once."""
    placed: dict[str, Reason] = {}
    for reason in reasons:
        placed.setdefault(
            f"{reason.code} {reason.where}", replace(reason, where=f"{query.id}: {reason.where}")
        )
    return list(placed.values())
