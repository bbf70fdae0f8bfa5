"""The keys that a credential request proves: one credential will be bound to each.

    proofs = read_proofs(request, issuer=url, policy=policy, now=now)
    proofs.keys                               # distinct, at most policy.batch_size
    check_nonce(proofs.nonce, ...)            # and spend it with the credential
    require_holder(proofs, client_id)         # once the token has told whose it is

Proof type `jwt`: each proof is signed by its own key. Proof type `attestation`: whoever
keeps the keys vouches for them, and no key signs. A `jwt` proof may carry such an
attestation in its header, and then stands for all of the attested keys.

OpenID4VCI 1.0, section 8.2 and appendix F.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import key_of
from counterfoil_credentials.encoding import Json, JsonObject, list_at, object_at, text_at, texts_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.holder_proof import (
    Proof,
    key_header,
    read_proof,
    require_client,
)
from counterfoil_credentials.jws import ES256_ONLY, Header
from counterfoil_credentials.key_attestation import (
    KeyAttestation,
    KeyAttestationPolicy,
    check_key_attestation,
)
from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_credentials.records import record
from counterfoil_credentials.x509 import first_key

from counterfoil_issuer.credential_type import AcceptedProof, CredentialType, KeyProtection
from counterfoil_issuer.spec import (
    ATTESTATION_PROOF_TYPE,
    JWT_PROOF_TYPE,
    KEY_ATTESTATION,
    PROOF,
    PROOFS,
    ErrorCode,
    refusal,
)

_REQUEST: Final = "credential_request"
_WHERE: Final = f"{_REQUEST}.{PROOFS}"
_DID: Final = "did:"


@record(kw_only=True)
class ProofPolicy:
    """What an issuer takes as proof of a key.

    `batch_size` is the most keys in one request. With `binds_dids` a proof may name its
    key by a `did:jwk` or a `did:key`. `attestation` says whose attestations of keys are
    believed, None nobody's; with `attestation_required` no proof does without.
    """

    batch_size: int = 1
    max_age: timedelta = timedelta(minutes=5)
    algorithms: frozenset[Algorithm] = ES256_ONLY
    binds_dids: bool = False
    attestation: KeyAttestationPolicy | None = None
    attestation_required: bool = False


@record()
class Proofs:
    """The proven keys, and what all proofs together say of their nonce and their client."""

    keys: tuple[PublicKey, ...]
    nonce: str = field(repr=False)
    client_id: str | None


class ProofPolicies:
    """What each type of credential takes as proof, made once for all requests."""

    def __init__(
        self,
        types: Mapping[str, CredentialType],
        *,
        attesters: frozenset[PublicKey],
        batch_size: int,
        max_age: timedelta,
    ) -> None:
        """`attesters` are believed to keep keys well.

        A type that asks for attestations takes nothing while there are none.
        """
        self._policies = {
            name: {
                proof_type: _policy(kind, accepted, attesters, batch_size, max_age)
                for proof_type, accepted in kind.proofs.items()
                if accepted.attested is None or attesters
            }
            for name, kind in types.items()
        }

    def of(self, request: JsonObject, kind: CredentialType) -> ProofPolicy:
        """Give what `kind` takes as proof, for the proof type that `request` names.

        Raises `Refused` with `invalid_proof`.
        """
        proofs = request.get(PROOFS)
        named = next(iter(proofs), JWT_PROOF_TYPE) if isinstance(proofs, dict) else JWT_PROOF_TYPE
        policy = self._policies[kind.name].get(named)
        if policy is None:
            expected = " or ".join(sorted(kind.proofs))
            raise refusal(ErrorCode.INVALID_PROOF, f"proof type {expected}", "another type", _WHERE)
        return policy


def _policy(
    kind: CredentialType,
    accepted: AcceptedProof,
    attesters: frozenset[PublicKey],
    batch_size: int,
    max_age: timedelta,
) -> ProofPolicy:
    attestation = None
    if attesters:
        protection = accepted.attested or KeyProtection()
        attestation = KeyAttestationPolicy(
            attesters=attesters,
            key_storage=frozenset(protection.key_storage),
            user_authentication=frozenset(protection.user_authentication),
            algorithms=accepted.algorithms,
        )
    return ProofPolicy(
        batch_size=batch_size,
        max_age=max_age,
        algorithms=accepted.algorithms,
        binds_dids=any(name.startswith(_DID) for name in kind.binds),
        attestation=attestation,
        attestation_required=accepted.attested is not None,
    )


def read_proofs(request: JsonObject, *, issuer: str, policy: ProofPolicy, now: datetime) -> Proofs:
    """Give the keys that the `proofs` of a credential request prove.

    The caller must check the nonce and spend it, and ask `require_holder`. Raises
    `Refused` with `invalid_proof`, whatever is wrong.
    """
    if PROOF in request:
        raise refusal(
            ErrorCode.INVALID_PROOF, "proofs, as in OpenID4VCI 1.0", "a draft's proof", _WHERE
        )
    try:
        kind, values = _one_type(request)
        if kind == ATTESTATION_PROOF_TYPE:
            return _attested(values, policy, now)
        return _signed(values, issuer, policy, now)
    except Malformed as error:
        raise refusal(ErrorCode.INVALID_PROOF, error.expected, error.found, error.where) from error
    except Refused as error:
        raise _invalid(error.reasons) from error


def require_holder(proofs: Proofs, client_id: str | None) -> None:
    """Return only if the proofs may be those of `client_id`, which the token was given to.

    None is the anonymous pre-authorized flow: then a proof names no client. Raises
    `Refused` with `invalid_proof`.
    """
    try:
        require_client(proofs.client_id, client_id)
    except Refused as error:
        raise _invalid(error.reasons) from error


def _one_type(request: JsonObject) -> tuple[str, list[Json]]:
    proofs = object_at(request, PROOFS, _REQUEST)
    if len(proofs) != 1:
        raise Malformed("exactly one proof type", f"{len(proofs)}", _WHERE)
    (kind,) = proofs
    if kind not in (JWT_PROOF_TYPE, ATTESTATION_PROOF_TYPE):
        raise Malformed(f"{JWT_PROOF_TYPE} or {ATTESTATION_PROOF_TYPE}", "another type", _WHERE)
    values = list_at(proofs, kind, _WHERE)
    if not values:
        raise Malformed("at least one proof", "none", f"{_WHERE}.{kind}")
    return kind, values


def _signed(values: list[Json], issuer: str, policy: ProofPolicy, now: datetime) -> Proofs:
    place = f"{_WHERE}.{JWT_PROOF_TYPE}"
    if len(values) > policy.batch_size:
        raise Malformed(f"at most {policy.batch_size} proofs", f"{len(values)}", place)
    tokens = texts_at({JWT_PROOF_TYPE: values}, JWT_PROOF_TYPE, _WHERE)
    finder = _KeyFinder(policy, now)
    proofs = [
        read_proof(
            token,
            issuer=issuer,
            now=now,
            max_age=policy.max_age,
            algorithms=policy.algorithms,
            key_of=finder.key_of,
        )
        for token in tokens
    ]
    first = proofs[0]
    if len(proofs) > 1:
        _require_alike(proofs, place)
    nonce = _nonce(finder.nonces | {proof.nonce for proof in proofs})
    # A proof's own key stays, however many others its keeper vouches for.
    keys = (*(proof.key for proof in proofs), *finder.attested)
    return Proofs(_first(keys, policy.batch_size), nonce, first.client_id)


def _attested(values: list[Json], policy: ProofPolicy, now: datetime) -> Proofs:
    tokens = texts_at({ATTESTATION_PROOF_TYPE: values}, ATTESTATION_PROOF_TYPE, _WHERE)
    if len(tokens) != 1:
        place = f"{_WHERE}.{ATTESTATION_PROOF_TYPE}"
        raise Malformed("exactly one attestation", f"{len(tokens)}", place)
    if policy.attestation is None:
        raise Malformed(f"proof type {JWT_PROOF_TYPE}", ATTESTATION_PROOF_TYPE, _WHERE)
    attested = check_key_attestation(tokens[0], policy.attestation, now=now, must_end=False)
    return Proofs(_first(attested.keys, policy.batch_size), _nonce({attested.nonce}), None)


class _KeyFinder:
    """Finds the keys of one request's proofs, and keeps what their attestations say.

    `attested` are all keys of all attestations, `nonces` what the attestations carry.
    """

    def __init__(self, policy: ProofPolicy, now: datetime) -> None:
        self.attested: tuple[PublicKey, ...] = ()
        self.nonces: set[str | None] = set()
        self._policy = policy
        self._now = now
        self._known: dict[str, KeyAttestation] = {}

    def key_of(self, header: Header) -> PublicKey:
        """Give the key that a proof's header names, or raise `Malformed` or `Refused`."""
        name = key_header(header)
        # An attestation of a keeper whom nobody here trusts says nothing, and is passed over.
        if KEY_ATTESTATION not in header or self._policy.attestation is None:
            if self._policy.attestation_required:
                raise Malformed("an attestation of the key", "none", f"proof.{KEY_ATTESTATION}")
            return self._named(name, header)
        attestation = self._read(text_at(header, KEY_ATTESTATION, "proof"))
        if name == "kid" and not text_at(header, "kid", "proof").startswith(_DID):
            return _numbered(text_at(header, "kid", "proof"), attestation)
        key = self._named(name, header)
        if key not in attestation.keys:
            raise Malformed("one of the attested keys", "another", f"proof.{name}")
        return key

    def _named(self, name: str, header: Header) -> PublicKey:
        if name == "jwk":
            return PublicKey.from_jwk(object_at(header, "jwk", "proof"), "proof.jwk")
        if name == "x5c":
            return first_key(header)
        if not self._policy.binds_dids:
            raise Malformed("the key itself, in jwk", "its name", "proof.kid")
        return key_of(text_at(header, "kid", "proof"), "proof.kid")

    def _read(self, token: str) -> KeyAttestation:
        """Check an attestation; the proofs of a batch mostly carry one and the same."""
        policy = self._policy.attestation
        if token not in self._known and policy is not None:
            attestation = check_key_attestation(token, policy, now=self._now, must_end=True)
            self._known[token] = attestation
            self.attested += attestation.keys
            self.nonces.add(attestation.nonce)
        return self._known[token]


def _numbered(key_id: str, attestation: KeyAttestation) -> PublicKey:
    """Give the attested key of that place, counted from zero as in the example of appendix F.1."""
    keys = attestation.keys
    if key_id not in {str(place) for place in range(len(keys))}:
        raise Malformed("the place of an attested key", "another text", "proof.kid")
    return keys[int(key_id)]


def _require_alike(proofs: list[Proof], place: str) -> None:
    if len({proof.key for proof in proofs}) != len(proofs):
        # Two credentials for one key would be told as one holder's.
        raise Malformed("a key of its own for each proof", "one key twice", place)
    if len({proof.client_id for proof in proofs}) != 1:
        raise Malformed("one client for all proofs", "several", place)


def _nonce(found: set[str | None]) -> str:
    nonce = next(iter(found))
    if len(found) > 1:
        raise Malformed("one nonce for all proofs", "several", "proof.nonce")
    if nonce is None:
        raise Malformed("a nonce of the nonce endpoint", "none", "proof.nonce")
    return nonce


def _first(keys: Iterable[PublicKey], count: int) -> tuple[PublicKey, ...]:
    # Section 8.3: an issuer may give fewer credentials than keys were attested.
    return tuple(dict.fromkeys(keys))[:count]


def _invalid(reasons: tuple[Reason, ...]) -> Refused:
    reason = reasons[0]
    return refusal(ErrorCode.INVALID_PROOF, reason.expected, reason.found, reason.where)
