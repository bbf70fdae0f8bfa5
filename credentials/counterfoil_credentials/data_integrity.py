"""Data Integrity: a JSON document that carries its own proofs.

    secured = add_proof(document, suite=EDDSA_JCS_2022, signer=signer, options=options)
    verified = verify_proofs(secured, policy=policy, keys=resolver, now=now)
    verified.document                                     # what the proofs cover, without them

Data Integrity 1.0, sections 4.2 to 4.5. Several proofs stand side by side (a set) or
sign one another (a chain); every one of them must verify.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.bbs_keys import ProofSigner, VerificationKey
from counterfoil_credentials.cryptosuites import Cryptosuite
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.dids import Did, DidUrl
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.integrity_proofs import (
    MAX_PROOFS,
    PROOF,
    ProofOptions,
    UnverifiedProof,
    proofs_of,
)
from counterfoil_credentials.records import record

_SKEW: Final = timedelta(seconds=60)
_CONTEXT: Final = "@context"


class ProofKeys(Protocol):
    """Where the key of a verification method comes from: a `Resolver` is one."""

    def key_for(
        self, did_url: str, relationship: Relationship, *, at: datetime, now: datetime
    ) -> VerificationKey:
        """Give the key, in that relationship and controlled by its own DID; or raise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPolicy:
    """What a proof must be, to be believed.

    A proof that names domains, or answers a challenge, is for nobody else: `domains` must
    be the same set, and `challenge` the same text or absent on both sides. `max_age` asks
    for `created`, and bounds it.
    """

    suites: Sequence[Cryptosuite]
    purpose: Relationship = Relationship.ASSERTION
    domains: frozenset[str] = frozenset()
    challenge: str | None = None
    max_age: timedelta | None = None


@record(kw_only=True)
class VerifiedProof:
    """A proof whose signature is good: `controller` made it for `purpose`."""

    controller: Did
    verification_method: str
    cryptosuite: str
    purpose: Relationship
    created: datetime | None
    id: str | None


@record(kw_only=True)
class VerifiedDocument:
    """A document as its proofs cover it, without them."""

    document: JsonObject = field(repr=False)
    proofs: tuple[VerifiedProof, ...]

    @property
    def controllers(self) -> frozenset[Did]:
        """Give everybody whose key signed the document."""
        return frozenset(proof.controller for proof in self.proofs)


def add_proof(
    document: JsonObject, *, suite: Cryptosuite, signer: ProofSigner, options: ProofOptions
) -> JsonObject:
    """Give `document` with one more proof (sections 4.2 and 4.3).

    Raises `Misuse` for a key of a curve that the suite does not use, for a proof too
    many, an id that is taken and a `previous` that is not there; and what the suite
    raises for a document that it cannot cover whole.
    """
    curve = signer.public.curve
    if curve not in suite.curves:
        raise Misuse(f"expected a key of {' or '.join(sorted(suite.curves))}, found {curve}")
    present = proofs_of(document) if "proof" in document else []
    if len(present) == MAX_PROOFS or (
        options.id is not None and any(proof.get("id") == options.id for proof in present)
    ):
        raise Misuse(f"expected at most {MAX_PROOFS} proofs of different ids, found others")
    unsecured = {name: value for name, value in document.items() if name != "proof"}
    proof = options.json(suite.name)
    if suite.context_in_proof and _CONTEXT in unsecured:
        proof[_CONTEXT] = unsecured[_CONTEXT]
    try:
        signed = _with_previous(unsecured, present, options.previous, PROOF)
    except Refused as cause:
        raise Misuse("expected previous proofs on the document, found none such") from cause
    proof["proofValue"] = suite.prove(signed, proof, signer)
    listed: list[Json] = [*present, proof]
    return {**unsecured, "proof": listed if len(listed) > 1 else proof}


def verify_proofs(
    secured: JsonObject, *, policy: ProofPolicy, keys: ProofKeys, now: datetime
) -> VerifiedDocument:
    """Give the document that all its proofs cover, or raise (sections 4.4 and 4.5).

    Raises `Malformed` for what is no secured document. `Refused` codes, the first ones
    alone: `cryptosuite-not-allowed`, `key-curve-mismatch`, `previous-proof-unknown`,
    `proof-context-mismatch`, `signature-invalid` and those of `key_for`; afterwards all of
    `proof-purpose-mismatch`, `proof-domain-mismatch`, `proof-challenge-mismatch`,
    `proof-expired`, `proof-from-the-future`, `proof-without-time` and `proof-too-old`.
    `Unavailable` when a key could not be had.
    """
    present = proofs_of(secured)
    unsecured = {name: value for name, value in secured.items() if name != "proof"}
    proofs = [
        UnverifiedProof.parse(obj, PROOF if len(present) == 1 else f"{PROOF}[{i}]")
        for i, obj in enumerate(present)
    ]
    documents: list[JsonObject] = []
    verified: list[VerifiedProof] = []
    for proof in proofs:
        suite = _suite_of(proof, policy)
        document = _document_covered(unsecured, proof, suite)
        key = _key(proof, suite, policy, keys, now)
        signed = _with_previous(document, present, proof.previous, proof.where)
        suite.check(signed, proof.options, proof.value, key)
        documents.append(document)
        verified.append(_as_verified(proof, policy))
    if any(document != documents[0] for document in documents):
        raise _refused("proof-context-mismatch", "proofs over one context", "several", PROOF)
    if reasons := [reason for proof in proofs for reason in _reasons(proof, policy, now)]:
        raise Refused(*reasons)
    return VerifiedDocument(document=documents[0], proofs=tuple(verified))


def _key(
    proof: UnverifiedProof,
    suite: Cryptosuite,
    policy: ProofPolicy,
    keys: ProofKeys,
    now: datetime,
) -> VerificationKey:
    # An assertion outlives its key's expiry; who proves control must do so now.
    at = now
    if policy.purpose is Relationship.ASSERTION and proof.created is not None:
        at = proof.created
    key = keys.key_for(proof.verification_method, policy.purpose, at=at, now=now)
    if key.curve not in suite.curves:
        curves, where = " or ".join(sorted(suite.curves)), f"{proof.where}.verificationMethod"
        raise _refused("key-curve-mismatch", f"a key of {curves}", f"one of {key.curve}", where)
    return key


def _as_verified(proof: UnverifiedProof, policy: ProofPolicy) -> VerifiedProof:
    method = proof.verification_method
    return VerifiedProof(
        controller=DidUrl.parse(method, f"{proof.where}.verificationMethod").did,
        verification_method=method,
        cryptosuite=proof.cryptosuite,
        purpose=policy.purpose,
        created=proof.created,
        id=proof.id,
    )


def _suite_of(proof: UnverifiedProof, policy: ProofPolicy) -> Cryptosuite:
    for suite in policy.suites:
        if suite.name == proof.cryptosuite:
            return suite
    names = " or ".join(sorted(suite.name for suite in policy.suites)) or "none at all"
    raise _refused("cryptosuite-not-allowed", names, "another", f"{proof.where}.cryptosuite")


def _document_covered(
    unsecured: JsonObject, proof: UnverifiedProof, suite: Cryptosuite
) -> JsonObject:
    # EdDSA Cryptosuites, section 3.3.2: contexts that were added behind the signer's are
    # not signed, so they are cut off. A suite that signs meanings keeps no context in the
    # proof, and one that is there all the same must change nothing.
    if _CONTEXT not in proof.options:
        return unsecured
    outer, inner = (_as_list(each.get(_CONTEXT)) for each in (unsecured, proof.options))
    if outer[: len(inner)] != inner or (not suite.context_in_proof and outer != inner):
        where = f"{proof.where}.{_CONTEXT}"
        raise _refused("proof-context-mismatch", "the document's context", "another", where)
    return {**unsecured, _CONTEXT: proof.options[_CONTEXT]}


def _with_previous(
    document: JsonObject, present: Sequence[JsonObject], previous: Sequence[str], where: str
) -> JsonObject:
    if not previous:
        return document
    signed: list[Json] = [proof for proof in present if proof.get("id") in previous]
    if len(signed) != len(previous):
        place = f"{where}.previousProof"
        raise _refused("previous-proof-unknown", "a proof of the document", "another", place)
    return {**document, "proof": signed}


def _reasons(proof: UnverifiedProof, policy: ProofPolicy, now: datetime) -> list[Reason]:
    where = proof.where
    reasons: list[Reason] = []
    if proof.purpose != policy.purpose:
        purpose = f"{where}.proofPurpose"
        reasons.append(Reason("proof-purpose-mismatch", policy.purpose, "another", purpose))
    if proof.domains != policy.domains:
        found = "others" if proof.domains else "none"
        reasons.append(
            Reason("proof-domain-mismatch", "the verifier's domains", found, f"{where}.domain")
        )
    if proof.challenge != policy.challenge:
        found = "none" if proof.challenge is None else "another"
        reasons.append(
            Reason("proof-challenge-mismatch", "what was asked", found, f"{where}.challenge")
        )
    if proof.expires is not None and now - _SKEW >= proof.expires:
        reasons.append(
            Reason("proof-expired", "a proof in its time", "one past it", f"{where}.expires")
        )
    return [*reasons, *_age_reasons(proof, policy, now)]


def _age_reasons(proof: UnverifiedProof, policy: ProofPolicy, now: datetime) -> list[Reason]:
    where = f"{proof.where}.created"
    if proof.created is None:
        if policy.max_age is None:
            return []
        return [Reason("proof-without-time", "the time of the proof", "none", where)]
    if proof.created > now + _SKEW:
        return [Reason("proof-from-the-future", "a proof of the past", "a later one", where)]
    if policy.max_age is not None and now - _SKEW - proof.created > policy.max_age:
        return [Reason("proof-too-old", f"one younger than {policy.max_age}", "an older", where)]
    return []


def _as_list(value: Json) -> list[Json]:
    if value is None:
        raise Malformed("a context", "none", f"document.{_CONTEXT}")
    return value if isinstance(value, list) else [value]


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
