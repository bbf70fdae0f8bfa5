"""How often a grant was read, in the custodian's signed word, to the holder alone.

    UsageRequest   wallet    ─► custodian, receiver    how was my grant used?
    Usage          custodian ─► wallet    so often, last at this time; where it stands now
    AccessEvent    receiver  ─► wallet    each opening of facts (access_log.py)

The count is of the leases that were given: a receiver that asked for one and did not
open anything with it is counted too.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject, text_at, texts_at
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.spec import TOKEN_MEDIA_TYPE

from counterfoil_consent.access_log import read_chain
from counterfoil_consent.artefacts import require_grant, trigger_at
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.spec import USAGE_REQUEST_TYP, USAGE_TYP
from counterfoil_consent.states import Agreement, Trigger
from counterfoil_consent.terms import MAX_READS
from counterfoil_consent.wire import (
    GrantId,
    count_at,
    grant_id_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    sign_artefact,
)

MAX_ACCESSES: Final = 2_000
_MAX_ACCESSES_BYTES: Final = 8 * 1024 * 1024
_WHERE: Final = "usage"


class Custodial(StrEnum):
    """Where a grant stands at its custodian.

    `UNCONFIRMED`: its journal was lost, and the holder is to confirm (`confirmation.py`).
    """

    REGISTERED = "registered"
    UNCONFIRMED = "unconfirmed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRequest:
    """The holder asks `audience`: a custodian's origin or a receiver's client id."""

    grant_id: GrantId
    holder: Did
    asked_at: datetime

    def sign(self, signer: Signer, *, audience: str) -> str:
        """Sign with the pairwise key."""
        claims: JsonObject = {
            "aud": audience,
            "iat": seconds(self.asked_at),
            "grant_id": self.grant_id,
        }
        return sign_artefact(claims, typ=USAGE_REQUEST_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, audience: str, holder: Did) -> "UsageRequest":
        """Read what `holder` signed for `audience`; `Refused` for another's or another party's."""
        where = "usage_request"
        claims = read_artefact(token, typ=USAGE_REQUEST_TYP, by=holder, where=where)
        require_members(claims, ("iss", "aud", "iat", "grant_id"), where)
        if text_at(claims, "aud", where) != audience:
            raise refuse("audience-mismatch", "this party", "another", f"{where}.aud")
        return UsageRequest(
            grant_id=grant_id_of(text_at(claims, "grant_id", where), f"{where}.grant_id"),
            holder=holder,
            asked_at=instant_at(claims, "iat", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """`reads` were lent by `at`, the last at `last_read_at` (None: none, or not known any more).

    `ended_by` and `ended_at` stand together, and only where the state is `ENDED`.
    """

    grant_id: GrantId
    state: Custodial
    reads: int
    last_read_at: datetime | None
    at: datetime
    ended_by: Trigger | None = None
    ended_at: datetime | None = None

    def sign(self, signer: Signer) -> str:
        """Sign with the custodian's key."""
        claims: JsonObject = {
            "iat": seconds(self.at),
            "grant_id": self.grant_id,
            "state": self.state.value,
            "reads": self.reads,
        }
        if self.last_read_at is not None:
            claims["last_read_at"] = seconds(self.last_read_at)
        if self.ended_by is not None and self.ended_at is not None:
            claims |= {"trigger": self.ended_by.value, "ended_at": seconds(self.ended_at)}
        return sign_artefact(claims, typ=USAGE_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, custodian: Did, grant_id: GrantId) -> "Usage":
        """Read what `custodian` signed about this grant."""
        claims = read_artefact(token, typ=USAGE_TYP, by=custodian, where=_WHERE)
        required = ("iss", "iat", "grant_id", "state", "reads")
        ending = ("trigger", "ended_at")
        require_members(claims, required, _WHERE, optional=("last_read_at", *ending))
        require_grant(
            grant_id_of(text_at(claims, "grant_id", _WHERE), f"{_WHERE}.grant_id"), grant_id, _WHERE
        )
        try:
            state = Custodial(text_at(claims, "state", _WHERE))
        except ValueError as cause:
            raise Malformed("a known state", "another", f"{_WHERE}.state") from cause
        has_ended = state is Custodial.ENDED
        if any((name in claims) is not has_ended for name in ending):
            raise Malformed("an end where it has ended", "another", f"{_WHERE}.ended_at")
        return Usage(
            grant_id=grant_id,
            state=state,
            reads=count_at(claims, "reads", _WHERE, most=MAX_READS),
            last_read_at=instant_at(claims, "last_read_at", _WHERE)
            if "last_read_at" in claims
            else None,
            at=instant_at(claims, "iat", _WHERE),
            ended_by=trigger_at(claims, _WHERE) if has_ended else None,
            ended_at=instant_at(claims, "ended_at", _WHERE) if has_ended else None,
        )


def fetch_usage(
    agreement: Agreement, *, signer: Signer, fetcher: Fetcher, now: datetime
) -> tuple[Usage, str]:
    """Ask the custodian how a grant was used; give its word, verified and as it came.

    `signer` is the grant's own. Raises `Refused` with the custodian's reasons
    (`usage-request-not-fresh` where the clocks differ by minutes), `Unavailable`.
    """
    custodian = agreement.terms.custodian
    asked = UsageRequest(grant_id=agreement.grant_id, holder=agreement.holder, asked_at=now)
    token = CustodianClient(custodian, fetcher).usage(
        agreement.grant_id, asked.sign(signer, audience=custodian.origin)
    )
    return Usage.read(token, custodian=custodian.did, grant_id=agreement.grant_id), token


def fetch_accesses(
    agreement: Agreement, *, signer: Signer, fetcher: Fetcher, now: datetime
) -> tuple[str, ...]:
    """Ask the receiver for its access events; give the whole chain, verified, as it came.

    Empty where it keeps none. Raises `Refused` with its reasons or `access-log-broken`,
    `Malformed` for more than `MAX_ACCESSES`, `Unavailable`.
    """
    receiver = agreement.terms.receiver
    asked = UsageRequest(grant_id=agreement.grant_id, holder=agreement.holder, asked_at=now)
    response = fetcher.post(
        agreement.terms.accesses_url(agreement.grant_id),
        asked.sign(signer, audience=receiver.client_id).encode("ascii"),
        media_type=TOKEN_MEDIA_TYPE,
        max_bytes=_MAX_ACCESSES_BYTES,
    )
    tokens = texts_at(answer_of(response, "receiver"), "access_events", "receiver")
    if len(tokens) > MAX_ACCESSES:
        raise Malformed(f"at most {MAX_ACCESSES} events", f"{len(tokens)}", "receiver")
    read_chain(tokens, receiver=receiver.did, grant_id=agreement.grant_id)
    return tuple(tokens)
