"""A recipient's own erasure receipt: what it was handed is gone, signed by its own key.

The receiver nests it in its own receipt. It says nothing about anybody else: each
party answers for itself, and level E3 needs all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    list_at,
    object_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import Signer

from counterfoil_consent.artefacts import require_grant
from counterfoil_consent.erased_system import ErasedSystem, systems_at
from counterfoil_consent.spec import RECIPIENT_ERASURE_TYP
from counterfoil_consent.terms import ClaimName, claim_name_of
from counterfoil_consent.wire import (
    SKEW,
    GrantId,
    grant_id_of,
    instant_at,
    read_artefact,
    require_members,
    seconds,
    sign_artefact,
)

_WHERE: Final = "recipient_receipt"
_MOST_CLAIMS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientReceipt:
    """One recipient's word: `claims` were handed to it, and are erased from `systems`.

    Both are empty for a recipient that was never handed anything.
    """

    grant_id: GrantId
    stopped_at: datetime
    erased_at: datetime
    claims: tuple[ClaimName, ...]
    systems: tuple[ErasedSystem, ...]

    def sign(self, signer: Signer) -> str:
        """Sign with the recipient's key."""
        systems: list[Json] = [system.to_json() for system in self.systems]
        claims: JsonObject = {
            "iat": seconds(self.erased_at),
            "grant": {"id": self.grant_id},
            "stopped_at": seconds(self.stopped_at),
            "erased_at": seconds(self.erased_at),
            "claims": [name.to_json() for name in self.claims],
            "systems": systems,
            "tombstone": True,
        }
        return sign_artefact(claims, typ=RECIPIENT_ERASURE_TYP, signer=signer)

    @staticmethod
    def read(
        token: str,
        *,
        recipient: Did,
        grant_id: GrantId,
        granted: Sequence[ClaimName],
        now: datetime,
    ) -> "RecipientReceipt":
        """Read what `recipient` signed about this grant.

        Raises `Malformed`, or `Refused` with `signed-by-another`,
        `signature-invalid`, `grant-mismatch`, `claims-unknown`, `systems-missing`
        (something was handed over and erased from nowhere) or `times-out-of-order`.
        """
        claims = read_artefact(token, typ=RECIPIENT_ERASURE_TYP, by=recipient, where=_WHERE)
        require_members(claims, _MEMBERS, _WHERE)
        grant = object_at(claims, "grant", _WHERE)
        require_members(grant, ("id",), f"{_WHERE}.grant")
        found = grant_id_of(text_at(grant, "id", f"{_WHERE}.grant"), f"{_WHERE}.grant.id")
        require_grant(found, grant_id, _WHERE)
        receipt = RecipientReceipt(
            grant_id=grant_id,
            stopped_at=instant_at(claims, "stopped_at", _WHERE),
            erased_at=instant_at(claims, "erased_at", _WHERE),
            claims=_claims(claims),
            systems=systems_at(claims, _WHERE),
        )
        if reasons := receipt._reasons(granted, now, is_final=claims["tombstone"] is True):
            raise Refused(*reasons)
        return receipt

    def _reasons(
        self, granted: Sequence[ClaimName], now: datetime, *, is_final: bool
    ) -> list[Reason]:
        reasons: list[Reason] = []
        if not self.stopped_at <= self.erased_at <= now + SKEW:
            reasons.append(Reason("times-out-of-order", "stopped, erased, now", "another", _WHERE))
        if not set(self.claims) <= set(granted):
            reasons.append(Reason("claims-unknown", "claims granted", "others", f"{_WHERE}.claims"))
        if self.claims and not self.systems:
            where = f"{_WHERE}.systems"
            reasons.append(Reason("systems-missing", "where it was erased", "nothing", where))
        if not is_final:
            where = f"{_WHERE}.tombstone"
            reasons.append(Reason("tombstone-missing", "true", "another", where))
        return reasons


def _claims(claims: JsonObject) -> tuple[ClaimName, ...]:
    where = f"{_WHERE}.claims"
    listed = list_at(claims, "claims", _WHERE)
    if len(listed) > _MOST_CLAIMS:
        raise Malformed(f"at most {_MOST_CLAIMS}", f"{len(listed)}", where)
    return tuple(claim_name_of(as_object(value, where), where) for value in listed)


_MEMBERS: Final = (
    *("iss", "iat", "grant", "stopped_at", "erased_at", "claims", "systems", "tombstone"),
)
