"""Bytes and a policy in; a decision out.

    accepted = Verifier(policy, trust, statuses).verify(vp_token, request, now=now)
    accepted.claims["warranty"]["item"]["serial"]

That the answer has the presentations which the query wants is seen before the
first of them is opened; `judging.py` says in which order each is looked at. One
that is refused speaks against the whole answer.

A `Verifier` remembers nothing about requests: that one request is answered
once is the session's part, in `requesting.py`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dcql import CredentialQuery
from counterfoil_credentials.dcql_match import unmet
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.jws import ES256_ONLY
from counterfoil_credentials.key_binding import HolderProof
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.requests import PresentationRequest, VpToken

from counterfoil_verifier.judging import Binding, Judge
from counterfoil_verifier.outcomes import Accepted, CouldNotCheck, Decision, NotAccepted
from counterfoil_verifier.policy import Policy
from counterfoil_verifier.presets import Preset
from counterfoil_verifier.remembered import Remembered
from counterfoil_verifier.shown import Till, shown_nonce
from counterfoil_verifier.statuses import Statuses
from counterfoil_verifier.transactions import Transaction, transactions_of
from counterfoil_verifier.trust import Trust

__all__ = ["Accepted", "CouldNotCheck", "Decision", "NotAccepted", "Verifier"]

PROOF_MAX_AGE: Final = timedelta(minutes=5)
"""A holder's proof older than this was not made for the person at the counter now."""


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
        self._judge = Judge(policy, trust, statuses, algorithms, remembered)

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
                    judged = self._judge.judge(text, query, binding, now)
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
            raise NotAccepted(*against, status_as_of=status_as_of, unknown=unknown)
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
        binding = Binding(preset.name, shown_nonce(presentation), preset.shown_within)
        judged = self._judge.judge(presentation, query, binding, now)
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
    ) -> list[Decision]:
        """Give the outcome of each presentation with its request, in their order.

        What cannot be read is `Refused` with `malformed`: it ends nobody else's. On several
        cores at once: `VerifierPool`.
        """
        return [self._outcome(*pair, now) for pair in pairs]

    def _outcome(
        self, presentation: VpToken, request: PresentationRequest, now: datetime
    ) -> Decision:
        try:
            return self.verify(presentation, request, now=now)
        except (Refused, Unavailable) as outcome:
            # Given as a value, it must not hold on to what was read on its way.
            return outcome.with_traceback(None)
        except Malformed as cause:
            return Refused(Reason("malformed", cause.expected, cause.found, cause.where))


def _require_answerable(presentation: VpToken, request: PresentationRequest, now: datetime) -> None:
    """Return only if the request is open and its queries have the presentations they want."""
    if now >= request.expires_at:
        raise Refused(Reason("request-expired", "an open request", "an expired one", "request.exp"))
    if reasons := unmet(request.query, {name: len(given) for name, given in presentation.items()}):
        raise Refused(*reasons)


def _binding(
    query: CredentialQuery, request: PresentationRequest, transactions: Sequence[Transaction]
) -> Binding:
    may_sign = frozenset(one.digest for one in transactions if query.id in one.query_ids)
    # Always the full client id, prefix included (OpenID4VP 1.0, section 8.6).
    return Binding(request.client_id, request.nonce, PROOF_MAX_AGE, may_sign)


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
    if not reasons:
        return []
    placed: dict[str, Reason] = {}
    for reason in reasons:
        placed.setdefault(
            f"{reason.code} {reason.where}", replace(reason, where=f"{query.id}: {reason.where}")
        )
    return list(placed.values())
