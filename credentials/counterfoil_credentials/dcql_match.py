"""What answers a DCQL query (OpenID4VP 1.0, section 6.4), for both sides of the counter.

    wallet      claims_to_show: one credential, one query        ─► ways_to_answer: the whole query
    verifier    mismatches: one presentation, one query          ─► unmet: the whole answer

The wallet's word is not enough (section 14, "Security Checks on the Returned
Credentials and Presentations"): the verifier evaluates the same query on what
arrived. Every answer here is a plain function of its arguments. A query that wants
more walking through one credential than `MOST_STEPS` is malformed, on both sides.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from counterfoil_credentials.claims import ClaimPath, Steps, path_text
from counterfoil_credentials.dcql import (
    Authority,
    ClaimQuery,
    CredentialQuery,
    CredentialSet,
    DcqlQuery,
)
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Reason
from counterfoil_credentials.records import record
from counterfoil_credentials.spec import SD_JWT_VC_FORMAT


@record(kw_only=True)
class Candidate:
    """An SD-JWT VC as a query sees it.

    `types` holds its own type and, where its type metadata was verified, each one
    that it extends (appendix B.3.5). `authorities` are the ones behind its issuer:
    for `aki`, each authority key identifier in its certificate chain. A verifier
    fills in only what was proved to it; a wallet, which only chooses, what the
    credential says.
    """

    types: tuple[str, ...]
    claims: JsonObject = field(repr=False)
    has_holder_key: bool = True
    authorities: frozenset[Authority] = frozenset()


@dataclass(frozen=True, slots=True)
class Ways:
    """The credential sets of a query, each with only the options that can be answered."""

    sets: tuple[CredentialSet, ...]

    @property
    def is_answerable(self) -> bool:
        """Whether every required set has an option; if not, nothing at all may be sent."""
        return all(one.options for one in self.sets if one.is_required)

    @property
    def first(self) -> frozenset[str]:
        """The ids of the first option of each required set; what is optional is left out."""
        return frozenset(
            name for one in self.sets if one.is_required for ids in one.options[:1] for name in ids
        )


def claims_to_show(query: CredentialQuery, candidate: Candidate) -> tuple[ClaimPath, ...] | None:
    """Give the claims that `candidate` has to show as an answer to `query`; None: it is none.

    No claims is an answer too: it shows what cannot be withheld. Of the elements of a
    list that a claim asks for by `values`, only those are named that have one of them:
    what does not match should not be shown (section 6.4.1).
    Raises `Malformed` where looking for them takes more than `MOST_STEPS`.
    """
    return next(iter(ways_to_show(query, candidate).values()), None)


def ways_to_show(
    query: CredentialQuery, candidate: Candidate
) -> dict[tuple[ClaimQuery, ...], tuple[ClaimPath, ...]]:
    """Give every combination of claims that answers `query`, the verifier's favourite first.

    Each with the paths in `candidate` that show it. More than one only where the query
    has claim sets. See `claims_to_show`.
    """
    if _frame_mismatches(query, candidate):
        return {}
    combinations = _combinations(query, _absent(query, candidate))
    steps = Steps(f"{query.id}.claims")
    # Each claim once, however many combinations it stands in.
    found = {
        claim: _paths_to(claim, candidate.claims, steps)
        for claims in combinations
        for claim in claims
    }
    return {
        claims: tuple(dict.fromkeys(path for claim in claims for path in found[claim]))
        for claims in combinations
    }


def ways_to_answer(query: DcqlQuery, answered: Collection[str]) -> Ways:
    """Give the ways to answer `query` with credentials for the queries `answered` (by id)."""
    return Ways(
        tuple(
            CredentialSet(
                tuple(ids for ids in one.options if all(name in answered for name in ids)),
                one.is_required,
            )
            for one in query.sets
        )
    )


def mismatches(query: CredentialQuery, candidate: Candidate) -> list[Reason]:
    """Give the reasons why `candidate` does not answer `query`; none means it does.

    Codes: `format-not-asked-for`, `type-not-asked-for`, `holder-key-missing`,
    `authority-not-asked-for`, `claim-missing`. Raises like `claims_to_show`.
    """
    reasons = _frame_mismatches(query, candidate)
    if query.format != SD_JWT_VC_FORMAT:
        return reasons
    absent = _absent(query, candidate)
    if _combinations(query, absent):
        return reasons
    if query.claim_sets:
        expected, where = "every claim of one of the sets", f"{query.id}.claim_sets"
        return [*reasons, Reason("claim-missing", expected, "no set that is whole", where)]
    return reasons + [
        Reason("claim-missing", "every claim asked for", "none that fits", path_text(claim.path))
        for claim in absent
    ]


def unmet(query: DcqlQuery, presented: Mapping[str, int]) -> list[Reason]:
    """Give the reasons why answers in these numbers, by query id, do not answer `query`.

    That each of them answers its own query is for `mismatches` to say. Codes:
    `credential-not-asked-for`, `credential-repeated`, `credential-missing`.
    """
    asked = {credential.id: credential for credential in query.credentials}
    answered = {name for name, count in presented.items() if count and name in asked}
    reasons: list[Reason] = []
    if any(name not in asked for name in presented):
        expected = "answers to this request's queries"
        reasons.append(Reason("credential-not-asked-for", expected, "another", "vp_token"))
    for name, credential in asked.items():
        count = presented.get(name, 0)
        if count > 1 and not credential.multiple:
            reasons.append(
                Reason("credential-repeated", "one presentation", f"{count}", f"vp_token.{name}")
            )
    if not query.credential_sets:
        missing = [f"vp_token.{name}" for name in asked if name not in answered]
    elif answered:
        missing = [
            f"vp_token for credential_sets[{i}]"
            for i, one in enumerate(ways_to_answer(query, answered).sets)
            if one.is_required and not one.options
        ]
    else:
        # Where all is optional, who shows nothing says so by an error (section 8.5).
        missing = ["vp_token"]
    return reasons + [
        Reason("credential-missing", "a presentation", "none", where) for where in missing
    ]


def judge(query: DcqlQuery, presented: Mapping[str, Sequence[Candidate]]) -> list[Reason]:
    """Give every reason why verified presentations, by query id, do not answer `query`.

    One that does not fit speaks against the whole, though it might have been left out.
    """
    return unmet(query, {name: len(shown) for name, shown in presented.items()}) + [
        reason
        for credential in query.credentials
        for candidate in presented.get(credential.id, ())
        for reason in mismatches(credential, candidate)
    ]


def _frame_mismatches(query: CredentialQuery, candidate: Candidate) -> list[Reason]:
    if query.format != SD_JWT_VC_FORMAT:
        return [Reason("format-not-asked-for", "another format", SD_JWT_VC_FORMAT, query.id)]
    reasons: list[Reason] = []
    if not set(query.vct_values) & set(candidate.types):
        where = f"{query.id}.vct"
        reasons.append(Reason("type-not-asked-for", "a type that was asked for", "another", where))
    if query.requires_holder_binding and not candidate.has_holder_key:
        expected = "a credential with a holder's key"
        reasons.append(Reason("holder-key-missing", expected, "none", "credential.cnf"))
    authorities = query.trusted_authorities
    if authorities and not any(asked.fits(candidate.authorities) for asked in authorities):
        expected = "an issuer under an authority that was asked for"
        where = f"{query.id}.trusted_authorities"
        reasons.append(Reason("authority-not-asked-for", expected, "none that was proved", where))
    return reasons


def _absent(query: CredentialQuery, candidate: Candidate) -> list[ClaimQuery]:
    """Give the claims of the query that the credential does not hold."""
    steps = Steps(f"{query.id}.claims")
    asked = query.claims if query.claim_sets else _distinct(query.claims)
    return [claim for claim in asked if not claim.fits(candidate.claims, steps)]


def _combinations(
    query: CredentialQuery, absent: Collection[ClaimQuery]
) -> list[tuple[ClaimQuery, ...]]:
    """Give the combinations of claims that are there, the verifier's favourite first."""
    if not query.claim_sets:
        return [] if absent else [_distinct(query.claims)]
    defined = {claim.id: claim for claim in query.claims}
    absent_ids = {claim.id for claim in absent}
    wanted = (_distinct(defined[name] for name in ids) for ids in query.claim_sets)
    return [claims for claims in wanted if all(claim.id not in absent_ids for claim in claims)]


def _distinct(claims: Iterable[ClaimQuery]) -> tuple[ClaimQuery, ...]:
    # Section 6.1: who points to one claim twice is heard the first time.
    by_path: dict[ClaimPath, ClaimQuery] = {}
    for claim in claims:
        by_path.setdefault(claim.path, claim)
    return tuple(by_path.values())


def _paths_to(claim: ClaimQuery, claims: JsonObject, steps: Steps) -> Sequence[ClaimPath]:
    """Give the paths in `claims` of what `claim` asks for: one for each element that matches."""
    if not claim.values or None not in claim.path:
        return (claim.path,)
    found: list[tuple[ClaimPath, Json]] = [((), claims)]
    for step in claim.path:
        found = [below for path, value in found for below in _below(path, value, step)]
        steps.take(len(found))
    wanted = {(type(value), value) for value in claim.values}
    return [
        path
        for path, value in found
        if isinstance(value, str | int) and (type(value), value) in wanted
    ]


def _below(
    path: ClaimPath, value: Json, step: str | int | None
) -> Iterator[tuple[ClaimPath, Json]]:
    if isinstance(value, dict) and isinstance(step, str) and step in value:
        yield (*path, step), value[step]
    elif isinstance(value, list) and not isinstance(step, str):
        for i in range(len(value)) if step is None else (step,):
            if i < len(value):
                yield (*path, i), value[i]
