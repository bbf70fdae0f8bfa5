"""A third party's word that an erasure took place: what lifts a receipt to level E4.

    spot-check      an auditor looked into each system and found nothing of the grant
    deletion-log    an entry of a log that the receiver cannot write alone (HSM, TEE)

The receipt carries the attestation; whether its signer counts is decided by who
checks the receipt, who names the keys that he trusts. A party of the grant attests
nothing: its word stands in its own paper already.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import Json, JsonObject, object_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import Signer

from counterfoil_consent.erased_system import ErasedSystem, systems_at
from counterfoil_consent.spec import ATTESTATION_TYP
from counterfoil_consent.states import Agreement
from counterfoil_consent.wire import (
    SKEW,
    Digest,
    GrantId,
    grant_id_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    sign_artefact,
)

_WHERE: Final = "attestation"


class AttestationKind(StrEnum):
    """How the attestor knows."""

    SPOT_CHECK = "spot-check"
    DELETION_LOG = "deletion-log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """`systems` hold nothing of the grant at `attested_at`, as the attestor saw itself."""

    grant_id: GrantId
    grant_digest: Digest
    kind: AttestationKind
    systems: tuple[ErasedSystem, ...]
    attested_at: datetime

    def sign(self, signer: Signer) -> str:
        """Sign with the attestor's key."""
        systems: list[Json] = [system.to_json() for system in self.systems]
        claims: JsonObject = {
            "iat": seconds(self.attested_at),
            "grant": {"id": self.grant_id, "sha-256": self.grant_digest},
            "kind": self.kind.value,
            "systems": systems,
        }
        return sign_artefact(claims, typ=ATTESTATION_TYP, signer=signer)

    @staticmethod
    def read(
        token: str,
        *,
        attestors: Collection[Did],
        agreement: Agreement,
        systems: tuple[ErasedSystem, ...],
        erased_at: datetime,
        now: datetime,
    ) -> "Attestation":
        """Read what one of `attestors` signed about the erasure of `agreement`.

        Raises `Malformed`, or `Refused`: `attestor-not-trusted`,
        `attestor-is-a-party`, `signature-invalid`, `grant-mismatch`,
        `systems-not-attested` (it leaves out one that the receipt lists), or
        `times-out-of-order` (nobody sees an erasure before it happened).
        """
        claims = read_artefact(token, typ=ATTESTATION_TYP, by=None, where=_WHERE)
        by = text_at(claims, "iss", _WHERE)
        if by in _parties(agreement):
            raise refuse("attestor-is-a-party", "a third party", "a party", f"{_WHERE}.iss")
        if by not in attestors:
            raise refuse("attestor-not-trusted", "a key trusted here", "another", f"{_WHERE}.iss")
        require_members(claims, ("iss", "iat", "grant", "kind", "systems"), _WHERE)
        grant = object_at(claims, "grant", _WHERE)
        require_members(grant, ("id", "sha-256"), f"{_WHERE}.grant")
        attestation = Attestation(
            grant_id=grant_id_of(text_at(grant, "id", f"{_WHERE}.grant"), f"{_WHERE}.grant.id"),
            grant_digest=Digest(text_at(grant, "sha-256", f"{_WHERE}.grant")),
            kind=_kind(claims),
            systems=systems_at(claims, _WHERE),
            attested_at=instant_at(claims, "iat", _WHERE),
        )
        if reasons := attestation._reasons(agreement, systems, erased_at, now):
            raise Refused(*reasons)
        return attestation

    def _reasons(
        self,
        agreement: Agreement,
        systems: tuple[ErasedSystem, ...],
        erased_at: datetime,
        now: datetime,
    ) -> list[Reason]:
        reasons: list[Reason] = []
        ours, named = (
            (agreement.grant_id, agreement.grant_digest),
            (
                self.grant_id,
                self.grant_digest,
            ),
        )
        if ours != named:
            reasons.append(Reason("grant-mismatch", "this grant", "another", f"{_WHERE}.grant"))
        seen = {(system.system, system.name) for system in self.systems}
        if not {(system.system, system.name) for system in systems} <= seen:
            where = f"{_WHERE}.systems"
            reasons.append(Reason("systems-not-attested", "each that is listed", "fewer", where))
        if not erased_at - SKEW <= self.attested_at <= now + SKEW:
            reasons.append(Reason("times-out-of-order", "erased, attested, now", "another", _WHERE))
        return reasons


def _parties(agreement: Agreement) -> set[Did]:
    terms = agreement.terms
    recipients = {party.did for party in terms.recipients}
    return {terms.receiver.did, terms.custodian.did, agreement.holder, *recipients}


def _kind(claims: JsonObject) -> AttestationKind:
    try:
        return AttestationKind(text_at(claims, "kind", _WHERE))
    except ValueError as cause:
        raise Malformed("a known kind", "another", f"{_WHERE}.kind") from cause
