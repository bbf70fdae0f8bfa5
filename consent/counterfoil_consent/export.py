"""A grant as others read it: a consent record and receipt of ISO/IEC TS 27560 in JSON-LD.

    history = ConsentHistory.of(state)
    consent_record(history)                   what was agreed, and what became of it
    consent_receipt(history, active.receipt)  the receiver's signed word, and that record

Terms are those of the W3C Data Privacy Vocabulary 2.3 (DPV); the members stand where the
DPVCG guide "Consent Records and Receipts as per ISO/IEC TS 27560:2023" wants them, section
by section. Where the GDPR applies, the profile is the one for it. The context is inside, so
that nothing is fetched to read a record, and no claim value is in it. What the guide asks for
and no party of ours ever states (postal addresses, 8.4.4.1) is left out rather than made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse

from counterfoil_consent.artefacts import Receipt
from counterfoil_consent.export_terms import (
    entities_of,
    is_under_gdpr,
    moment,
    period,
    process_of,
    until,
)
from counterfoil_consent.states import (
    Agreement,
    Erased,
    Granted,
    Retained,
    State,
    Suspended,
    Trigger,
    Withdrawn,
)
from counterfoil_consent.terms import Terms
from counterfoil_consent.wire import GrantId, digest_of

CONTEXT: Final[JsonObject] = {
    "dpv": "https://w3id.org/dpv#",
    "dpv-27560": "https://w3id.org/dpv/schema/dpv-27560#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "loc": "https://w3id.org/dpv/loc#",
    "dct": "http://purl.org/dc/terms/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "counterfoil": "urn:counterfoil:consent:record:1:",
}


class ConsentStatus(StrEnum):
    """Where a consent stands (`dpv:hasConsentStatus`): a part of DPV's list."""

    REQUESTED = "dpv:ConsentRequested"
    DEFERRED = "dpv:ConsentRequestDeferred"
    REFUSED = "dpv:ConsentRefused"
    GIVEN = "dpv:ConsentGiven"
    PAUSED = "dpv:ConsentUnknown"
    WITHDRAWN = "dpv:ConsentWithdrawn"
    REVOKED = "dpv:ConsentRevoked"
    EXPIRED = "dpv:ConsentExpired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentEvent:
    """From `at` on the consent stood so, by the word of `by`."""

    status: ConsentStatus
    at: datetime
    by: Did


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentHistory:
    """A grant with all that happened to it, oldest first. `agreement` is None before it."""

    grant_id: GrantId
    terms: Terms
    events: tuple[ConsentEvent, ...]
    agreement: Agreement | None = None
    erased: Erased | None = None

    @staticmethod
    def of(state: State, pauses: Sequence[ConsentEvent] = ()) -> "ConsentHistory":
        """Give what the state tells: given, then `pauses` and resumptions, then the end.

        Raises `Misuse` for a `Suspended` state without the pause that made it so.
        """
        agreement = state.agreement
        if isinstance(state, Suspended) and not pauses:
            raise Misuse("expected the pause of a suspended grant, found none")
        given = ConsentEvent(
            status=ConsentStatus.GIVEN, at=agreement.granted_at, by=agreement.holder
        )
        return ConsentHistory(
            grant_id=agreement.grant_id,
            terms=agreement.terms,
            events=(given, *pauses, *_end_of(state)),
            agreement=agreement,
            erased=state if isinstance(state, Erased) else None,
        )


def consent_record(history: ConsentHistory) -> JsonObject:
    """Give the record: JSON-LD that needs nothing from the network to be read."""
    return {"@context": CONTEXT, **_record(history)}


def consent_receipt(history: ConsentHistory, receipt: str) -> JsonObject:
    """Give the receipt: the receiver's signed one, and the record of what it is for (guide, 9).

    Raises `Refused` when the receiver did not sign it, or not for this grant; `Misuse`
    before the grant.
    """
    agreement = history.agreement
    if agreement is None:
        raise Misuse("expected a consent that was given, found none")
    signed = Receipt.read(
        receipt,
        receiver=agreement.terms.receiver.did,
        grant_id=agreement.grant_id,
        grant_digest=agreement.grant_digest,
    )
    digest = digest_of(receipt)
    return {
        "@context": CONTEXT,
        "@id": f"urn:counterfoil:consent:receipt:{digest}",
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": _profile("receipt", agreement.terms),
        "dct:identifier": digest,
        "dpv:hasIdentifier": digest,
        "dct:created": moment(signed.received_at),
        "dct:publisher": {"@id": agreement.terms.receiver.did},
        "dct:audience": {"@id": "dpv:DataSubject"},
        "counterfoil:erased-within": period(f"PT{signed.erase_within_s}S"),
        "counterfoil:jws": receipt,
        "dpv:hasRecordOfActivity": _record(history),
    }


def _record(history: ConsentHistory) -> JsonObject:
    terms, agreement = history.terms, history.agreement
    subject: JsonObject = {"@type": "dpv:DataSubject"}
    if agreement is not None:
        subject |= {"@id": agreement.holder, "dct:identifier": agreement.holder}
    record: JsonObject = {
        # 8.1 Record metadata.
        "@id": f"urn:counterfoil:consent:grant:{history.grant_id}",
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": _profile("record", terms),
        "dct:identifier": history.grant_id,
        "dpv:hasIdentifier": history.grant_id,
        "dpv:hasDataSubject": subject,
        # 8.2 Notice.
        "dpv:hasNotice": {
            "@id": terms.notice.uri,
            "@type": "dpv:ConsentNotice",
            "dct:language": terms.notice.language,
            "counterfoil:sha-256": terms.notice.sha256,
        },
        # 8.3 Processing.
        "dpv:hasProcess": process_of(terms, history.grant_id),
        # 8.4 Entities: their roles stand where they are named in the process.
        "dpv:hasEntity": entities_of(terms),
        # 8.5 Events.
        "dpv:hasConsentStatus": [_status(event, terms) for event in history.events],
    }
    if agreement is not None:
        record["counterfoil:grant-sha-256"] = agreement.grant_digest
        record["counterfoil:request-sha-256"] = agreement.request_digest
    if history.erased is not None:
        record["counterfoil:erasure"] = _erasure(history.erased)
    return record


def _status(event: ConsentEvent, terms: Terms) -> JsonObject:
    status: JsonObject = {
        "@type": event.status.value,
        "dpv:isIndicatedAtTime": moment(event.at),
        "dpv:isIndicatedBy": {"@id": event.by},
    }
    if event.status is ConsentStatus.GIVEN:
        status["@type"] = [event.status.value, "dpv:ExplicitlyExpressedConsent"]
        status["dpv:hasDuration"] = until(terms.valid_until)
    return status


def _end_of(state: State) -> tuple[ConsentEvent, ...]:
    match state:
        case Granted():
            return ()
        case Withdrawn():
            trigger, at = state.trigger, state.ended_at
        case Erased():
            # A row of an older version does not say when it ended.
            trigger, at = state.trigger, state.ended_at or state.erased_at
        case _:
            assert_never(state)
    agreement = state.agreement
    terms = agreement.terms
    match trigger:
        case Trigger.WITHDRAWN:
            status, by = ConsentStatus.WITHDRAWN, agreement.holder
        case Trigger.COMPLETED:
            status, by = ConsentStatus.EXPIRED, terms.completer
        case Trigger.EXPIRED:
            # Nobody says so but the clock that counts.
            status, by = ConsentStatus.EXPIRED, terms.custodian.did
        case Trigger.TERMINATED:
            status, by = ConsentStatus.REVOKED, terms.receiver.did
    return (ConsentEvent(status=status, at=at, by=by),)


def _erasure(erased: Erased) -> JsonObject:
    backups = erased.backups_until
    return {
        "@type": "dpv:Erase",
        "counterfoil:level": erased.level.name,
        "dpv:isIndicatedAtTime": moment(erased.erased_at),
        "counterfoil:lacks": [lack.what.value for lack in erased.lacks],
        "counterfoil:retained": [_retained(item) for item in erased.retained],
        **({} if backups is None else {"counterfoil:backups-until": moment(backups)}),
    }


def _retained(item: Retained) -> JsonObject:
    return {
        "dpv:hasPersonalData": [
            {"dct:type": name.vct, "dct:identifier": str(name)} for name in item.claims
        ],
        "counterfoil:kind": item.kind.value,
        "counterfoil:law": item.law,
        "dpv:hasDuration": until(item.until),
    }


def _profile(kind: str, terms: Terms) -> JsonObject:
    return {"@id": f"dpv-27560:{kind}{'-eu-gdpr' if is_under_gdpr(terms) else ''}"}
