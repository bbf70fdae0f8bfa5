"""The facts that a grant lets a receiver read, for the length of one `with` block.

    with receiver.read(grant_id, Purpose.PERSONALISED_BENEFITS) as facts:
        size = facts.one(ClaimName(RIDER, ("frame_size",)))

`Facts` has no serialiser, does not copy, pickle or print its values, and is
empty once the block is left. Python may keep freed text in memory for a while,
and nobody can stop a program from copying a value on purpose: see docs/consent.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn, Protocol

from counterfoil_credentials.claims import values_at
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.key_binding import check_key_binding
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import (
    VerifiedCredential,
    audience_reasons,
    read_credential,
    time_reasons,
)

from counterfoil_consent.states import Agreement
from counterfoil_consent.terms import ClaimName
from counterfoil_consent.wire import GrantId, refuse

# The presentation is made just before the grant is signed.
_MAX_AGE: Final = timedelta(minutes=10)


class IssuerTrust(Protocol):
    """Which issuers a receiver believes, and with which key."""

    def key_of(self, *, issuer: str, vct: str, key_id: str | None) -> PublicKey:
        """Give the key; `Refused` for an issuer not trusted, `Unavailable` if it cannot be had."""
        ...


class StatusCheck(Protocol):
    """Whether a credential is in force now."""

    def require_valid(self, credential: VerifiedCredential, *, now: datetime) -> None:
        """Return only if the status reads valid; `Refused` or `Unavailable` otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class LeaseCount:
    """The lease under which facts were opened: the `read`-th of `max_reads`, from 1."""

    read: int
    max_reads: int


class Facts:
    """Values by claim, open inside one `with` block and while its lease lasts.

    `lease` says which read this is. Later they are `Refused` with `lease-expired`.
    """

    __slots__ = ("_is_over", "_values", "grant_id", "lease")

    def __init__(
        self,
        values: Mapping[ClaimName, list[Json]],
        lease: LeaseCount,
        grant_id: GrantId,
        *,
        is_over: Callable[[], bool],
    ) -> None:
        """Hold `values` of a grant until `is_over` says that the lease is; `close` forgets them."""
        self.grant_id = grant_id
        self._values: dict[ClaimName, list[Json]] | None = dict(values)
        self._is_over = is_over
        self.lease = lease

    @property
    def names(self) -> frozenset[ClaimName]:
        """The claims that were granted."""
        return frozenset(self._open())

    def all(self, name: ClaimName) -> list[Json]:
        """Give every value that the claim's path selects."""
        values = self._open()
        if name not in values:
            raise Misuse("expected a claim that was granted, found another")
        return list(values[name])

    def one(self, name: ClaimName) -> Json:
        """Give the one value of the claim."""
        found = self.all(name)
        if len(found) != 1:
            raise Misuse(f"expected one value, found {len(found)}")
        return found[0]

    def close(self) -> None:
        """Forget the values."""
        if self._values is not None:
            self._values.clear()
        self._values = None

    def _open(self) -> dict[ClaimName, list[Json]]:
        if self._values is None:
            raise Misuse("expected facts inside their with block, found them outside")
        # A block that is never left must not outlive the grant by more than its lease.
        if self._is_over():
            self._values.clear()
            raise refuse("lease-expired", "a lease in force", "an old one", "facts")
        return self._values

    def __repr__(self) -> str:
        """Show how many claims there are, never what they say."""
        return "Facts(closed)" if self._values is None else f"Facts({len(self._values)} claims)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise Misuse("expected facts to stay where they are, found a copy asked for")


def verify_facts(
    presentations: Mapping[str, str],
    agreement: Agreement,
    *,
    trust: IssuerTrust,
    status: StatusCheck,
    lease: LeaseCount,
    is_over: Callable[[], bool],
    now: datetime,
) -> Facts:
    """Give the granted facts in freshly opened presentations, verified anew.

    The issuer's signature, validity and status are judged as of now; nonce,
    audience, terms and age of the key binding as of the grant's time.
    Raises `Refused` with every reason, or `Unavailable`.
    """
    values: dict[ClaimName, list[Json]] = {}
    reasons: list[Reason] = []
    for vct in sorted({claim.name.vct for claim in agreement.terms.claims}):
        if vct not in presentations:
            reasons.append(Reason("presentation-missing", "each credential", "none", "bundle"))
            continue
        credential = _verified(presentations[vct], vct, agreement, trust=trust, now=now)
        status.require_valid(credential, now=now)
        claims = credential.claims
        for claim in agreement.terms.claims:
            if claim.name.vct != vct:
                continue
            found = values_at(claims, claim.name.path)
            if found:
                values[claim.name] = found
            else:
                reasons.append(Reason("claim-missing", str(claim.name), "nothing", "bundle"))
    if reasons:
        raise Refused(*reasons)
    return Facts(values, lease, agreement.grant_id, is_over=is_over)


def _verified(
    presentation: str, vct: str, agreement: Agreement, *, trust: IssuerTrust, now: datetime
) -> VerifiedCredential:
    sd_jwt = SdJwt.parse(presentation, "bundle")
    unverified = read_credential(sd_jwt)
    if unverified.unverified_vct != vct:
        raise refuse("type-not-granted", "the type that was granted", "another", "bundle.vct")
    key = trust.key_of(issuer=unverified.unverified_issuer, vct=vct, key_id=unverified.key_id)
    credential = unverified.verify(key)
    if credential.holder_key is None:
        raise refuse("holder-key-missing", "a credential bound to a holder", "none", "bundle.cnf")
    audience = agreement.terms.receiver.client_id
    reasons = time_reasons(credential, now) + audience_reasons(credential, audience)
    try:
        check_key_binding(
            sd_jwt,
            holder_key=credential.holder_key,
            audience=audience,
            nonce=agreement.nonce,
            now=agreement.granted_at,
            max_age=_MAX_AGE,
            transaction_data_hashes=[agreement.terms_hash],
        )
    except Refused as refusal:
        reasons.extend(refusal.reasons)
    if reasons:
        raise Refused(*reasons)
    return credential
