"""One presentation, judged: first whose word it is, then everything that speaks against it.

The order is the order of the standards (RFC 9901, sections 7.1 and 7.3;
OpenID4VP 1.0, section 8.6):

    1. parse, and put the disclosures back: every rejection of section 7.1
    2. is the issuer trusted for this type
    3. the issuer's signature
    4. and then every reason, gathered: the holder's binding to this request,
       times, what the query asked for, the policy with the status list
"""

import contextlib
from collections.abc import Iterator
from dataclasses import field, replace
from datetime import datetime, timedelta

from counterfoil_credentials.dcql import Authority, CredentialQuery
from counterfoil_credentials.dcql_match import Candidate, mismatches
from counterfoil_credentials.encoding import JsonObject, optional_text_at
from counterfoil_credentials.errors import Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.jws import Header
from counterfoil_credentials.key_binding import HolderProof, check_key_binding
from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_credentials.records import record
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

from counterfoil_verifier.outcomes import CouldNotCheck
from counterfoil_verifier.policy import Judgement, Policy, Presented
from counterfoil_verifier.remembered import Remembered
from counterfoil_verifier.statuses import StatusAt, Statuses
from counterfoil_verifier.trust import KeyAsked, Trust


@record()
class Binding:
    """To what the presentations of one query must be bound, and what they may sign besides."""

    audience: str
    nonce: str
    max_age: timedelta
    may_sign: frozenset[str] = frozenset()


@record()
class Judged:
    """One presentation whose issuer's signature is good, and what was found about it."""

    claims: JsonObject = field(repr=False)
    judgement: Judgement
    holder: PublicKey | None
    proof: HolderProof | None


class Judge:
    """Judges presentations, one by one: see `Verifier` for what it is made of."""

    def __init__(
        self,
        policy: Policy,
        trust: Trust,
        statuses: Statuses,
        algorithms: frozenset[Algorithm],
        remembered: Remembered | None,
    ) -> None:
        self._check = None if remembered is None else remembered.check
        self._policy = policy
        self._algorithms = algorithms
        self._trust = trust
        self._statuses = statuses

    def judge(self, text: str, query: CredentialQuery, binding: Binding, now: datetime) -> Judged:
        """Judge the presentation `text` as an answer to `query`.

        Raises `Refused` and `CouldNotCheck` where the issuer's word is not certain, and
        `Malformed`. All that is found after that is in what it gives.
        """
        sd_jwt = SdJwt.parse(text, "presentation")
        unverified = read_credential(sd_jwt)
        asked = _asked(unverified)
        try:
            issuer_key = self._trust.key_for(asked, now=now)
            authorities = self._authorities(query, asked, now)
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
            authorities=authorities,
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
        return Judged(credential.claims, judgement, credential.holder_key, proof)

    def _authorities(
        self, query: CredentialQuery, asked: KeyAsked, now: datetime
    ) -> frozenset[Authority]:
        """Give the authorities behind the issuer, where the query names some."""
        if not query.trusted_authorities:
            return frozenset()
        return frozenset(self._trust.authorities_behind(asked, now=now) or ())

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
    is_lent = "x5c" in asked.header and "x5c" not in header
    if is_lent:
        header = {**header, "x5c": asked.header["x5c"]}
    return replace(asked, header=header, issued_at=listed_at, is_chain_lent=is_lent)


def _proof(
    sd_jwt: SdJwt, credential: VerifiedCredential, binding: Binding, now: datetime
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
