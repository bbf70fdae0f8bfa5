"""How much an erasure receipt proves, computed from the evidence inside it.

    E1  the receiver's signature
    E2  with the custodian's key destruction statement
    E3  with a receipt of every recipient that the terms name, no more and no fewer,
        and a lease log that is closed: each lease the custodian counted is accounted for
    E4  with an attestation by a key that whoever checks the receipt trusts

E3 says something about recipients, so a grant that names none goes from E2 to E4. The
level that a receipt states is read by nobody. What keeps a receipt from a level is
named in `Erased.lacks`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    list_at,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused

from counterfoil_consent.artefacts import KeyDestruction, require_grant, trigger_at
from counterfoil_consent.attestation import Attestation
from counterfoil_consent.erased_system import ErasedSystem, Method, System, systems_at
from counterfoil_consent.erasure import (
    WHERE,
    AccessLog,
    RecipientAnswer,
    Released,
    read_recipients,
    read_released,
    read_retained,
)
from counterfoil_consent.laws import LAWS
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Agreement, Erased, Lack, Level, Missing, Retained, Trigger
from counterfoil_consent.terms import claim_name_of
from counterfoil_consent.wire import (
    SKEW,
    grant_id_of,
    instant_at,
    read_artefact,
    require_members,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was verified inside a receipt. `lacks` names what was not there, or not good."""

    has_statement: bool
    names_recipients: bool
    is_attested: bool
    lacks: tuple[Lack, ...]
    backups_until: datetime | None

    @property
    def level(self) -> Level:
        """Give the level that all of it reaches."""
        if not self.has_statement:
            return Level.E1
        if any(lack.what in _KEEPS_FROM_E3 for lack in self.lacks):
            return Level.E2
        if self.is_attested:
            return Level.E4
        return Level.E3 if self.names_recipients else Level.E2


def verify_erasure_receipt(
    token: str, *, agreement: Agreement, now: datetime, attestors: Collection[Did] = ()
) -> Erased:
    """Give the erasure that the receiver of `agreement` proved, at the level it really reached.

    Checked: the receiver's signature; that it is about this grant; that its
    times are in order and not in the future; that every claim granted is named;
    that the sealing key was destroyed; that what is kept was granted, under a law
    of our table that holds where the terms say, for such claims, and no longer than
    it asks for; that nobody received the data whom the terms do not name; the
    custodian's signature and trigger in the statement inside; each recipient's own
    receipt; and an attestation, if its signer is one of `attestors`.

    Raises `Refused` with every reason (`grant-mismatch`, `times-out-of-order`,
    `claims-missing`, `recipients-unknown`, …) or `Malformed`. A recipient whose
    receipt is missing or not good spoils nothing: it keeps the level at E2, and
    `Erased.lacks` names it. What is kept stands in `Erased.retained`.
    """
    terms = agreement.terms
    claims = read_artefact(token, typ=ERASURE_TYP, by=terms.receiver.did, where=WHERE)
    require_members(claims, _MEMBERS, WHERE, optional=_OPTIONAL_MEMBERS)
    retained, released = read_retained(claims), read_released(claims)
    systems, answers = systems_at(claims, WHERE), read_recipients(claims)
    trigger, erased_at = trigger_at(claims, WHERE), instant_at(claims, "erased_at", WHERE)
    reasons = [
        *_grant_reasons(claims, agreement),
        *_time_reasons(claims, now),
        *_claim_reasons(claims, agreement),
        *_system_reasons(systems),
        *_kept_reasons([*retained, *(each.item for each in released)], agreement, erased_at),
        *_released_reasons(released, erased_at, now),
        *_recipient_reasons(answers, agreement),
    ]
    if claims["tombstone"] is not True:
        reasons.append(Reason("tombstone-missing", "true", "another", f"{WHERE}.tombstone"))
    if reasons:
        raise Refused(*reasons)
    evidence = _evidence(
        claims,
        agreement,
        trigger=trigger,
        systems=systems,
        answers=answers,
        attestors=attestors,
        now=now,
    )
    return Erased(
        agreement,
        trigger,
        erased_at,
        evidence.level,
        retained,
        evidence.lacks,
        ended_at=min(
            instant_at(claims, "requested_at", WHERE), instant_at(claims, "stopped_at", WHERE)
        ),
        backups_until=evidence.backups_until,
    )


def require_nothing_forgotten(first: Erased, second: Erased, now: datetime) -> None:
    """Return only if a second receipt keeps what the first kept, or says it is erased in time.

    Raises `Refused` with `retained-forgotten` when an item is neither kept nor due,
    `retained-longer` when its end was moved, and `retained-unsaid` for what the first
    receipt said was erased.
    """
    where = f"{WHERE}.retained"
    reasons = [
        Reason("retained-forgotten", "kept until its end", "nothing", where)
        for item in first.retained
        if now < item.until and not any(_is_part(item, kept) for kept in second.retained)
    ]
    for kept in second.retained:
        ends = [item.until for item in first.retained if _is_part(kept, item)]
        if not ends:
            reasons.append(Reason("retained-unsaid", "what was said to be kept", "more", where))
        elif kept.until > max(ends):
            reasons.append(Reason("retained-longer", "the end that was said", "a later", where))
    if reasons:
        raise Refused(*reasons)


def _is_part(item: Retained, of: Retained) -> bool:
    return item.law == of.law and set(item.claims) <= set(of.claims)


def _evidence(
    claims: JsonObject,
    agreement: Agreement,
    *,
    trigger: Trigger,
    systems: tuple[ErasedSystem, ...],
    answers: Sequence[RecipientAnswer],
    attestors: Collection[Did],
    now: datetime,
) -> Evidence:
    lacks: list[Lack] = []
    token = optional_text_at(claims, "destruction", WHERE)
    statement = None if token is None else _statement(token, agreement, trigger, now)
    if statement is None:
        lacks.append(Lack(Missing.STATEMENT))
    elif "access_log" not in claims:
        lacks.append(Lack(Missing.LEASE_LOG))
    else:
        where = f"{WHERE}.access_log"
        log = AccessLog.from_json(object_at(claims, "access_log", WHERE), where)
        if not log.matches(statement.leases):
            lacks.append(Lack(Missing.LEASE_LOG))
    recipients_lack, theirs = _recipients_evidence(answers, agreement, now)
    lacks += recipients_lack
    backups = [
        system.backups_until for system in (*systems, *theirs) if system.backups_until is not None
    ]
    attestation = optional_text_at(claims, "attestation", WHERE)
    if attestation is not None:
        try:
            Attestation.read(
                attestation,
                attestors=attestors,
                agreement=agreement,
                systems=systems,
                erased_at=instant_at(claims, "erased_at", WHERE),
                now=now,
            )
        except (Malformed, Refused):
            attestation = None
            lacks.append(Lack(Missing.ATTESTATION))
    return Evidence(
        has_statement=statement is not None,
        names_recipients=bool(agreement.terms.recipients),
        is_attested=attestation is not None,
        lacks=tuple(lacks),
        backups_until=max(backups, default=None),
    )


def _recipients_evidence(
    answers: Sequence[RecipientAnswer], agreement: Agreement, now: datetime
) -> tuple[list[Lack], list[ErasedSystem]]:
    """Give which recipients' good receipts are missing, and the systems that the others list."""
    by_did = {answer.did: answer.receipt for answer in answers}
    granted = tuple(agreement.terms.claim_names)
    lacks: list[Lack] = []
    systems: list[ErasedSystem] = []
    for party in agreement.terms.recipients:
        receipt = by_did.get(party.did)
        if receipt is None:
            lacks.append(Lack(Missing.RECIPIENT, party.name))
            continue
        try:
            read = RecipientReceipt.read(
                receipt,
                recipient=party.did,
                grant_id=agreement.grant_id,
                granted=granted,
                now=now,
            )
        except (Malformed, Refused):
            lacks.append(Lack(Missing.GOOD_RECIPIENT, party.name))
        else:
            systems += read.systems
    return lacks, systems


def _recipient_reasons(answers: Sequence[RecipientAnswer], agreement: Agreement) -> list[Reason]:
    named = {party.did for party in agreement.terms.recipients}
    if {answer.did for answer in answers} <= named:
        return []
    where = f"{WHERE}.recipients"
    return [Reason("recipients-unknown", "recipients that the terms name", "others", where)]


def _grant_reasons(claims: JsonObject, agreement: Agreement) -> list[Reason]:
    where = f"{WHERE}.grant"
    grant = object_at(claims, "grant", WHERE)
    require_members(grant, ("id", "sha-256"), where)
    found = grant_id_of(text_at(grant, "id", where), f"{where}.id")
    same = found == agreement.grant_id
    if same and text_at(grant, "sha-256", where) == agreement.grant_digest:
        return []
    return [Reason("grant-mismatch", "this grant", "another", where)]


def _time_reasons(claims: JsonObject, now: datetime) -> list[Reason]:
    names = ("requested_at", "stopped_at", "erased_at")
    requested, stopped, erased = (instant_at(claims, name, WHERE) for name in names)
    # The request's time is another party's clock.
    if requested <= stopped + SKEW and stopped <= erased <= now + SKEW:
        return []
    return [Reason("times-out-of-order", "requested, stopped, erased, now", "another", WHERE)]


def _claim_reasons(claims: JsonObject, agreement: Agreement) -> list[Reason]:
    where = f"{WHERE}.claims"
    named = {
        claim_name_of(as_object(value, where), where) for value in list_at(claims, "claims", WHERE)
    }
    return [
        Reason("claims-missing", "every claim that was granted", str(name), where)
        for name in sorted(agreement.terms.claim_names - named, key=str)
    ]


def _system_reasons(systems: Sequence[ErasedSystem]) -> list[Reason]:
    # Whatever else is true: without this key nothing that was received opens.
    keys = {each.method for each in systems if each.system is System.SEALING_KEY}
    if keys == {Method.KEY_DESTROYED}:
        return []
    where = f"{WHERE}.systems"
    return [Reason("sealing-key-kept", Method.KEY_DESTROYED, "another", where)]


def _kept_reasons(
    kept: Sequence[Retained], agreement: Agreement, erased_at: datetime
) -> list[Reason]:
    where = f"{WHERE}.retained"
    jurisdiction = agreement.terms.jurisdiction
    reasons: list[Reason] = []
    for item in kept:
        law = LAWS.get(item.law)
        if law is None:
            reasons.append(Reason("law-unknown", "a law of the table", "another", f"{where}.law"))
            continue
        if not law.holds_in(jurisdiction):
            reasons.append(Reason("law-elsewhere", jurisdiction, law.place, f"{where}.law"))
        if item.kind not in law.kinds:
            kinds = ", ".join(sorted(law.kinds))
            reasons.append(Reason("kind-not-kept", kinds, item.kind, f"{where}.kind"))
        if item.until > law.latest_end(erased_at):
            longest = f"at most {law.years} years"
            reasons.append(Reason("retained-too-long", longest, "more", f"{where}.until"))
        if not set(item.claims) <= agreement.terms.claim_names:
            reasons.append(Reason("claims-unknown", "claims granted", "others", f"{where}.claims"))
    return reasons


def _released_reasons(
    released: Sequence[Released], erased_at: datetime, now: datetime
) -> list[Reason]:
    if all(erased_at <= each.erased_at <= now + SKEW for each in released):
        return []
    where = f"{WHERE}.released"
    return [Reason("times-out-of-order", "erased, released, now", "another", where)]


def _statement(token: str, agreement: Agreement, trigger: Trigger, now: datetime) -> KeyDestruction:
    statement = KeyDestruction.read(
        token, custodian=agreement.terms.custodian.did, grant_id=agreement.grant_id
    )
    require_grant(statement.grant_id, agreement.grant_id, WHERE)
    where = f"{WHERE}.destruction"
    if statement.grant_digest != agreement.grant_digest:
        raise Refused(Reason("grant-mismatch", "this grant", "another", where))
    if statement.trigger is not trigger:
        raise Refused(
            Reason("trigger-mismatch", "the end that the custodian saw", "another", where)
        )
    if statement.destroyed_at > now + SKEW:
        raise Refused(Reason("times-out-of-order", "a destruction by now", "a later one", where))
    return statement


_KEEPS_FROM_E3: Final = frozenset({Missing.RECIPIENT, Missing.GOOD_RECIPIENT, Missing.LEASE_LOG})
_MEMBERS: Final = (
    *("iss", "iat", "grant", "trigger", "requested_at", "stopped_at", "erased_at"),
    *("controller", "systems", "claims", "recipients", "retained", "tombstone", "level"),
)
_OPTIONAL_MEMBERS: Final = (
    *("released", "access_log", "access_log_head", "destruction", "attestation"),
)
