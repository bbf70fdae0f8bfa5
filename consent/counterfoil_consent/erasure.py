"""The erasure receipt: what the receiver erased, how, and how well that is proved.

The level is computed here from the evidence, when the receipt is made and again
whenever it is checked; the level that a receipt states is read by nobody. This
version names no recipients and knows no attestation, so E3 and E4 are out of
reach until a later one can check what they claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    list_at,
    object_at,
    optional_text_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import Signer

from counterfoil_consent.artefacts import KeyDestruction, require_grant, trigger_at
from counterfoil_consent.laws import LAWS
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Agreement, Erased, Level, Retained, Trigger
from counterfoil_consent.terms import claim_name_of
from counterfoil_consent.wire import (
    SKEW,
    grant_id_of,
    instant_at,
    read_artefact,
    require_members,
    seconds,
    sign_artefact,
)

_WHERE: Final = "erasure_receipt"
_MOST_RETAINED: Final = 50


class System(StrEnum):
    """Where data can have lain: a closed list."""

    LIVE_DATABASE = "live-database"
    SEALING_KEY = "sealing-key"
    BACKUPS = "backups"
    CACHES = "caches"
    LOGS = "logs"


class Method(StrEnum):
    """How it was erased there."""

    DELETED = "deleted"
    KEY_DESTROYED = "key-destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedSystem:
    """One place where the data lay, and how it was erased there."""

    system: System
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReceipt:
    """The receiver's word about one ended grant, with the custodian's statement inside.

    `destruction` is the custodian's token as received, or None when it could not
    be had. `recipients` are names; no claim value stands anywhere.
    """

    agreement: Agreement
    trigger: Trigger
    requested_at: datetime
    stopped_at: datetime
    erased_at: datetime
    systems: tuple[ErasedSystem, ...]
    recipients: tuple[str, ...] = ()
    retained: tuple[Retained, ...] = ()
    destruction: str | None = None

    @property
    def level(self) -> Level:
        """The level that the evidence inside reaches."""
        return level_of(has_statement=self.destruction is not None)

    def sign(self, signer: Signer) -> str:
        """Sign with the receiver's key."""
        kept: list[Json] = [item.to_json() for item in self.retained]
        names = sorted(self.agreement.terms.claim_names, key=str)
        claims: JsonObject = {
            "iat": seconds(self.erased_at),
            "grant": {
                "id": self.agreement.grant_id,
                "sha-256": self.agreement.grant_digest,
            },
            "trigger": self.trigger.value,
            "requested_at": seconds(self.requested_at),
            "stopped_at": seconds(self.stopped_at),
            "erased_at": seconds(self.erased_at),
            "controller": self.agreement.terms.receiver.name,
            "systems": [{"class": s.system, "method": s.method} for s in self.systems],
            "claims": [name.to_json() for name in names],
            "recipients": [*self.recipients],
            "retained": kept,
            "tombstone": True,
            "level": self.level.name,
        }
        if self.destruction is not None:
            claims["destruction"] = self.destruction
        return sign_artefact(claims, typ=ERASURE_TYP, signer=signer)


def level_of(*, has_statement: bool) -> Level:
    """Give the level of a signed receipt, by the evidence that was verified with it."""
    return Level.E2 if has_statement else Level.E1


def verify_erasure_receipt(token: str, *, agreement: Agreement, now: datetime) -> Erased:
    """Give the erasure that the receiver of `agreement` proved, at the level it really reached.

    Checked: the receiver's signature; that it is about this grant; that its
    times are in order and not in the future; that every claim granted is named;
    that the sealing key was destroyed; that what is kept was granted, under a law
    of our table and no longer than it asks for; that nobody received the data
    whom the terms do not name; and the custodian's signature and trigger in the
    statement inside, if there is one. What is kept stands in `Erased.retained`.

    Raises `Refused` with every reason (`grant-mismatch`, `times-out-of-order`,
    `claims-missing`, `recipients-unknown`, …) or `Malformed`. A receipt without
    the custodian's statement is worth E1, whatever it says of itself.
    """
    terms = agreement.terms
    claims = read_artefact(token, typ=ERASURE_TYP, by=terms.receiver.did, where=_WHERE)
    require_members(claims, _MEMBERS, _WHERE, optional=("destruction",))
    reasons = [
        *_grant_reasons(claims, agreement),
        *_time_reasons(claims, now),
        *_claim_reasons(claims, agreement),
        *_system_reasons(claims),
    ]
    retained = _retained(claims)
    trigger = trigger_at(claims, _WHERE)
    erased_at = instant_at(claims, "erased_at", _WHERE)
    reasons += _retained_reasons(retained, agreement, erased_at)
    if texts_at(claims, "recipients", _WHERE):
        reasons.append(
            Reason("recipients-unknown", "no recipients", "some", f"{_WHERE}.recipients")
        )
    if claims["tombstone"] is not True:
        reasons.append(Reason("tombstone-missing", "true", "another", f"{_WHERE}.tombstone"))
    if reasons:
        raise Refused(*reasons)
    statement = optional_text_at(claims, "destruction", _WHERE)
    if statement is not None:
        _require_statement(statement, agreement, trigger, now)
    level = level_of(has_statement=statement is not None)
    return Erased(agreement, trigger, erased_at, level, retained)


def retained_in(token: str, *, agreement: Agreement) -> tuple[Retained, ...]:
    """Give what a receipt of this receiver says it keeps."""
    claims = read_artefact(token, typ=ERASURE_TYP, by=agreement.terms.receiver.did, where=_WHERE)
    return _retained(claims)


def _grant_reasons(claims: JsonObject, agreement: Agreement) -> list[Reason]:
    where = f"{_WHERE}.grant"
    grant = object_at(claims, "grant", _WHERE)
    require_members(grant, ("id", "sha-256"), where)
    found = grant_id_of(text_at(grant, "id", where), f"{where}.id")
    same = found == agreement.grant_id
    if same and text_at(grant, "sha-256", where) == agreement.grant_digest:
        return []
    return [Reason("grant-mismatch", "this grant", "another", where)]


def _time_reasons(claims: JsonObject, now: datetime) -> list[Reason]:
    names = ("requested_at", "stopped_at", "erased_at")
    requested, stopped, erased = (instant_at(claims, name, _WHERE) for name in names)
    # The request's time is another party's clock.
    if requested <= stopped + SKEW and stopped <= erased <= now + SKEW:
        return []
    return [Reason("times-out-of-order", "requested, stopped, erased, now", "another", _WHERE)]


def _claim_reasons(claims: JsonObject, agreement: Agreement) -> list[Reason]:
    named = {
        claim_name_of(as_object(value, f"{_WHERE}.claims"), f"{_WHERE}.claims")
        for value in list_at(claims, "claims", _WHERE)
    }
    named |= {name for item in _retained(claims) for name in item.claims}
    return [
        Reason("claims-missing", "every claim that was granted", str(name), f"{_WHERE}.claims")
        for name in sorted(agreement.terms.claim_names - named, key=str)
    ]


def _system_reasons(claims: JsonObject) -> list[Reason]:
    where = f"{_WHERE}.systems"
    erased: list[tuple[str, str]] = []
    for value in list_at(claims, "systems", _WHERE):
        item = as_object(value, where)
        require_members(item, ("class", "method"), where)
        erased.append((text_at(item, "class", where), text_at(item, "method", where)))
    reasons: list[Reason] = []
    if any(system not in set(System) or method not in set(Method) for system, method in erased):
        reasons.append(Reason("systems-unknown", "systems and methods listed", "others", where))
    # Whatever else is true: without this key nothing that was received opens.
    if {method for system, method in erased if system == System.SEALING_KEY} != {
        Method.KEY_DESTROYED
    }:
        reasons.append(Reason("sealing-key-kept", Method.KEY_DESTROYED, "another", where))
    return reasons


def _retained(claims: JsonObject) -> tuple[Retained, ...]:
    where = f"{_WHERE}.retained"
    listed = list_at(claims, "retained", _WHERE)
    if len(listed) > _MOST_RETAINED:
        raise Malformed(f"at most {_MOST_RETAINED}", f"{len(listed)}", where)
    return tuple(Retained.from_json(as_object(value, where), where) for value in listed)


def _retained_reasons(
    retained: Sequence[Retained], agreement: Agreement, erased_at: datetime
) -> list[Reason]:
    where = f"{_WHERE}.retained"
    reasons: list[Reason] = []
    for item in retained:
        law = LAWS.get(item.law)
        if law is None:
            reasons.append(Reason("law-unknown", "a law of the table", "another", f"{where}.law"))
        elif item.until - erased_at > law.longest:
            longest = f"at most {law.longest.days} days"
            reasons.append(Reason("retained-too-long", longest, "more", f"{where}.until"))
        if not set(item.claims) <= agreement.terms.claim_names:
            reasons.append(Reason("claims-unknown", "claims granted", "others", f"{where}.claims"))
    return reasons


def _require_statement(token: str, agreement: Agreement, trigger: Trigger, now: datetime) -> None:
    statement = KeyDestruction.read(
        token, custodian=agreement.terms.custodian.did, grant_id=agreement.grant_id
    )
    require_grant(statement.grant_id, agreement.grant_id, _WHERE)
    where = f"{_WHERE}.destruction"
    if statement.grant_digest != agreement.grant_digest:
        raise Refused(Reason("grant-mismatch", "this grant", "another", where))
    if statement.trigger is not trigger:
        raise Refused(
            Reason("trigger-mismatch", "the end that the custodian saw", "another", where)
        )
    if statement.destroyed_at > now + SKEW:
        raise Refused(Reason("times-out-of-order", "a destruction by now", "a later one", where))


_MEMBERS: Final = (
    *("iss", "iat", "grant", "trigger", "requested_at", "stopped_at", "erased_at"),
    *("controller", "systems", "claims", "recipients", "retained", "tombstone", "level"),
)
