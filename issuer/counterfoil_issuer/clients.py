"""Which wallet sends a request, and which key it holds: client authentication and DPoP.

    sender = identify(headers, client_id, url=..., policy=policy, issuer=..., key=..., now=now)
    with store.transaction() as held:
        ...                                # every other check
        spend_once(held, sender.once)      # tokens.py: no proof counts twice

What is demanded is the brand's policy, and never follows from what a request happens
to carry. A proof's `jti` is written down only together with what the request was good
for, until the proof is too old by itself: strangers cannot fill the disk.

RFC 6749, section 2; RFC 9449; OAuth 2.0 Attestation-Based Client Authentication, draft
10; OpenID4VCI 1.0, appendix E.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.client_attestation import (
    ClientAttestation,
    check_client_attestation,
    check_client_attestation_pop,
)
from counterfoil_credentials.dpop import DpopProof, check_dpop
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY
from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_credentials.spec import (
    ATTESTATION_CHALLENGE_HEADER,
    CLIENT_ATTESTATION_HEADER,
    CLIENT_ATTESTATION_POP_HEADER,
    DPOP_HEADER,
    DPOP_NONCE_HEADER,
)

from counterfoil_issuer.nonces import NonceUse, check_nonce, make_nonce
from counterfoil_issuer.records import Random, SecretHash, secret_hash
from counterfoil_issuer.spec import CLIENT_ID, ErrorCode, refusal
from counterfoil_issuer.tokens import Once

Headers = Callable[[str], Sequence[str]]
"""Every value of one request header, such as Starlette's `request.headers.getlist`."""

_ATTESTATION: Final = "client_attestation"
_LONGEST_ADDRESS: Final = 2_048
# RFC 3986, without a fragment (RFC 6749, section 3.1.2).
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+")
# What else a host might hold means something in a header or on a page.
_PLACE: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_UNSAFE_SCHEMES: Final = frozenset({"javascript", "data", "vbscript", "blob", "file", "about"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Demand(StrEnum):
    """Whether something is ignored, taken when it comes, or must come."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """Which wallets a brand lets in, and what they must prove.

    `redirect_uris` registers public wallets by `client_id`, each with its exact
    redirection URIs. A wallet that one of `attesters` vouches for need not be
    registered: it names its URI in a pushed request (RFC 9126, section 2.4).
    `attestation_max_age` counts from an attestation's `iat`.
    """

    redirect_uris: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: MappingProxyType(dict[str, frozenset[str]]())
    )
    pushed: Demand = Demand.OPTIONAL
    attestation: Demand = Demand.OFF
    attesters: frozenset[PublicKey] = frozenset()
    attestation_max_age: timedelta | None = None
    challenge: Demand = Demand.REQUIRED
    dpop: Demand = Demand.OPTIONAL
    dpop_nonce: Demand = Demand.OPTIONAL
    algorithms: frozenset[Algorithm] = ES256_ONLY
    proof_lasts: timedelta = timedelta(minutes=5)
    nonce_lasts: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        """Refuse what nobody could meet, and addresses that no browser should be sent to."""
        if self.attestation is not Demand.OFF and not self.attesters:
            raise Misuse("expected attesters to believe, found none")
        if Demand.OFF in (self.challenge, self.dpop_nonce):
            raise Misuse("expected nonces to be optional or required: one that comes is checked")
        addresses = [each for listed in self.redirect_uris.values() for each in listed]
        if not all(is_return_address(each) for each in addresses):
            raise Misuse("expected https addresses or those of apps, without fragment, as wallets'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sent a request, as far as it was proved.

    `client_id` is only what the request says of itself unless it was `attested`.
    `once` is what `tokens.spend_once` takes: hashes of proofs, and when each is forgotten.
    """

    client_id: str | None = None
    attested: ClientAttestation | None = None
    dpop_jkt: str | None = field(default=None, repr=False)
    once: Once = field(default=(), repr=False)

    @property
    def instance_jkt(self) -> str | None:
        """The thumbprint of the attested wallet's own key."""
        return None if self.attested is None else self.attested.instance_key.thumbprint()


def identify(
    headers: Headers,
    client_id: str | None,
    *,
    url: str,
    policy: ClientPolicy,
    issuer: str,
    key: bytes,
    now: datetime,
) -> Sender:
    """Give the sender of a POST to `url`, the endpoint's public URL.

    `client_id` is the request's parameter. Raises `Refused` with `invalid_client`,
    `invalid_client_attestation`, `use_fresh_attestation`, `use_attestation_challenge`,
    `invalid_dpop_proof` or `use_dpop_nonce`; `fresh_nonces` goes with the answer.
    """
    attested = _attestation(headers, client_id, policy, now)
    pop = _only(headers, CLIENT_ATTESTATION_POP_HEADER) if attested is not None else None
    combined = attested is not None and pop is None
    proof = read_dpop(
        headers, method="POST", url=url, policy=policy, key=key, now=now, combined=combined
    )
    once = [] if proof is None else [spent_dpop(proof)]
    if attested is not None and pop is not None:
        once.append(_check_pop(pop, attested, policy=policy, issuer=issuer, key=key, now=now))
    elif attested is not None and (proof is None or not attested.is_proved_by(proof)):
        found = "none" if proof is None else "a DPoP proof by another key"
        raise _not_attested("a proof of possession of the attested key", found)
    return Sender(
        client_id=client_id if attested is None else attested.client_id,
        attested=attested,
        # Where no token is bound, the proof has done its work for the attestation.
        dpop_jkt=None if proof is None or policy.dpop is Demand.OFF else proof.jkt,
        once=tuple(once),
    )


def read_dpop(
    headers: Headers,
    *,
    method: str,
    url: str,
    policy: ClientPolicy,
    key: bytes,
    now: datetime,
    access_token: str | None = None,
    combined: bool = False,
) -> DpopProof | None:
    """Give the checked DPoP proof of a request, or None where none came and none must.

    At a protected resource `access_token` is the one that came along, and whether it
    is bound to this key is the caller's to compare. `combined`: the proof stands for
    that of an attested key too, and its nonce may be an attestation challenge.

    Raises `Refused` with `invalid_dpop_proof` or `use_dpop_nonce`. RFC 9449, 4.3 and 8.
    """
    if policy.dpop is Demand.OFF and not combined:
        return None
    text = _only(headers, DPOP_HEADER)
    if text is None:
        if policy.dpop is Demand.REQUIRED:
            raise refusal(ErrorCode.INVALID_DPOP_PROOF, "a DPoP proof", "none", "dpop")
        return None
    try:
        proof = check_dpop(
            text,
            method=method,
            url=url,
            now=now,
            max_age=policy.proof_lasts,
            access_token=access_token,
            algorithms=policy.algorithms,
        )
    except (Malformed, Refused) as cause:
        raise _told(ErrorCode.INVALID_DPOP_PROOF, cause) from cause
    _check_dpop_nonce(proof, policy, key, now, combined=combined)
    return proof


def spent_dpop(proof: DpopProof) -> tuple[SecretHash, datetime]:
    """Give what is remembered of a proof, and until when."""
    return secret_hash(f"dpop {proof.jkt} {proof.jti}"), proof.ends_at


def fresh_nonces(
    policy: ClientPolicy, *, key: bytes, now: datetime, random: Random
) -> dict[str, str]:
    """Give the response headers that carry the next nonces (RFC 9449, 8.2; draft 10, 6.2)."""
    fresh: dict[str, str] = {}
    if policy.dpop is not Demand.OFF:
        fresh[DPOP_NONCE_HEADER] = make_nonce(key, NonceUse.DPOP, now=now, random=random)
    if policy.attestation is not Demand.OFF:
        challenge = make_nonce(key, NonceUse.ATTESTATION, now=now, random=random)
        fresh[ATTESTATION_CHALLENGE_HEADER] = challenge
    return fresh


def is_return_address(address: str) -> bool:
    """Say whether a browser may be sent there: https, an app's own scheme, http on loopback.

    RFC 6749, section 3.1.2; RFC 8252, section 7.
    """
    if len(address) > _LONGEST_ADDRESS or not _ADDRESS.fullmatch(address):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme in ("http", "https"):
        is_place = bool(_PLACE.fullmatch(parts.netloc))
        return is_place and (parts.scheme == "https" or parts.hostname in _LOOPBACK)
    return parts.scheme not in _UNSAFE_SCHEMES


def _attestation(
    headers: Headers, client_id: str | None, policy: ClientPolicy, now: datetime
) -> ClientAttestation | None:
    if policy.attestation is Demand.OFF:
        return None
    text = _only(headers, CLIENT_ATTESTATION_HEADER)
    if text is None:
        if policy.attestation is Demand.REQUIRED:
            raise refusal(ErrorCode.INVALID_CLIENT, "a wallet attestation", "none", _ATTESTATION)
        if _only(headers, CLIENT_ATTESTATION_POP_HEADER) is not None:
            raise _not_attested("an attestation beside its proof of possession", "none")
        return None
    try:
        attested = check_client_attestation(
            text,
            attesters=policy.attesters,
            now=now,
            max_age=policy.attestation_max_age,
            algorithms=policy.algorithms,
        )
    except (Malformed, Refused) as cause:
        is_stale = isinstance(cause, Refused) and cause.codes == ["attestation-not-fresh"]
        code = ErrorCode.USE_FRESH_ATTESTATION if is_stale else ErrorCode.INVALID_CLIENT_ATTESTATION
        raise _told(code, cause) from cause
    if client_id not in (None, attested.client_id):
        raise refusal(ErrorCode.INVALID_CLIENT, "the attested client", "another", CLIENT_ID)
    return attested


def _check_pop(
    text: str,
    attested: ClientAttestation,
    *,
    policy: ClientPolicy,
    issuer: str,
    key: bytes,
    now: datetime,
) -> tuple[SecretHash, datetime]:
    try:
        pop = check_client_attestation_pop(
            text,
            attested,
            audience=issuer,
            now=now,
            max_age=policy.proof_lasts,
            algorithms=policy.algorithms,
        )
    except (Malformed, Refused) as cause:
        raise _told(ErrorCode.INVALID_CLIENT_ATTESTATION, cause) from cause
    if pop.challenge is not None:
        check_nonce(pop.challenge, key, NonceUse.ATTESTATION, now=now, lasts=policy.nonce_lasts)
    elif policy.challenge is Demand.REQUIRED:
        raise NonceUse.ATTESTATION.refused("a challenge of the challenge endpoint", "none")
    used = f"pop {attested.instance_key.thumbprint()} {pop.jti}"
    return secret_hash(used), pop.ends_at


def _check_dpop_nonce(
    proof: DpopProof, policy: ClientPolicy, key: bytes, now: datetime, *, combined: bool
) -> None:
    if proof.nonce is None:
        if combined and policy.challenge is Demand.REQUIRED:
            raise NonceUse.ATTESTATION.refused("a challenge as the proof's nonce", "none")
        if policy.dpop_nonce is Demand.REQUIRED:
            raise NonceUse.DPOP.refused("a nonce of this service", "none")
        return
    try:
        check_nonce(proof.nonce, key, NonceUse.DPOP, now=now, lasts=policy.nonce_lasts)
    except Refused:
        if not combined:
            raise
        check_nonce(proof.nonce, key, NonceUse.ATTESTATION, now=now, lasts=policy.nonce_lasts)


def _only(headers: Headers, name: str) -> str | None:
    """Give the one value of a header, or None; two are refused, whichever is meant."""
    values = headers(name)
    if len(values) > 1:
        code = (
            ErrorCode.INVALID_DPOP_PROOF
            if name == DPOP_HEADER
            else ErrorCode.INVALID_CLIENT_ATTESTATION
        )
        raise refusal(code, f"one header {name}", f"{len(values)}", name)
    return values[0] if values else None


def _told(code: ErrorCode, cause: Malformed | Refused) -> Refused:
    """Say what is wrong under the code that the wire knows."""
    if isinstance(cause, Malformed):
        return refusal(code, cause.expected, cause.found, cause.where)
    return Refused(*(Reason(code, r.expected, r.found, r.where) for r in cause.reasons))


def _not_attested(expected: str, found: str) -> Refused:
    return refusal(ErrorCode.INVALID_CLIENT_ATTESTATION, expected, found, _ATTESTATION)
