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
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, assert_never

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Misuse

from counterfoil_consent.artefacts import Receipt
from counterfoil_consent.completion import Completion, CompletionKind
from counterfoil_consent.parties import origin_of
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
from counterfoil_consent.terms import ClaimTerm, Terms
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
GDPR_PLACES: Final = frozenset(
    # The Union and the Economic Area, and who is in them, by ISO 3166-1.
    {"EU", "EEA", "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR"}
    | {"HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE"}
    | {"SI", "SK"}
)
"""Jurisdictions in which the GDPR applies."""

_PLACES: Final = GDPR_PLACES | {"CN"}
_COMPLETED_BY: Final = {
    CompletionKind.SINGLE_USE: "the first read",
    CompletionKind.TRANSACTION: "the end of the transaction",
    CompletionKind.CASE: "the end of the case",
    CompletionKind.ORDER: "the fulfilment of the order",
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
        "dct:created": _moment(signed.received_at),
        "dct:publisher": {"@id": agreement.terms.receiver.did},
        "dct:audience": {"@id": "dpv:DataSubject"},
        "counterfoil:erased-within": _period(f"PT{signed.erase_within_s}S"),
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
        "dpv:hasProcess": _process(terms, history.grant_id),
        # 8.4 Entities: their roles stand where they are named in the process.
        "dpv:hasEntity": _entities(terms),
        # 8.5 Events.
        "dpv:hasConsentStatus": [_status(event, terms) for event in history.events],
    }
    if agreement is not None:
        record["counterfoil:grant-sha-256"] = agreement.grant_digest
        record["counterfoil:request-sha-256"] = agreement.request_digest
    if history.erased is not None:
        record["counterfoil:erasure"] = _erasure(history.erased)
    return record


def _process(terms: Terms, grant_id: GrantId) -> JsonObject:
    """Give the guide's section 8.3, whose rows stand here in its order."""
    controller: JsonObject = {"@id": terms.receiver.did}
    recipients: list[Json] = [controller]
    recipients.extend({"@id": party.did} for party in terms.recipients)
    process: JsonObject = {
        "@type": "dpv:Process",
        "dpv:hasPurpose": {"@id": terms.purpose.value},
        "dpv:hasPersonalData": [_personal_data(claim) for claim in terms.claims],
        "dpv:hasProcessing": [{"@id": operation.value} for operation in terms.operations],
        "dpv:hasStorageCondition": [
            {
                # No party states more than that the data leaves the customer's device.
                "@type": "dpv:StorageLocation",
                "dpv:hasLocation": {"@id": "dpv:RemoteLocation"},
            },
            {"@type": "dpv:StorageDuration", "dpv:hasDuration": _until(terms.valid_until)},
        ],
        "dpv:hasDataController": controller,
        "dpv:hasLegalBasis": [{"@id": basis} for basis in _legal_bases(terms)],
        "dpv:hasRecipient": recipients,
        "dpv:hasConsentControl": {
            "@type": "dpv:WithdrawConsent",
            "dpv:isExercisedAt": {"@id": terms.withdrawal_url(grant_id)},
        },
        "dpv:hasJurisdiction": _place(terms.jurisdiction),
        "dpv:hasRight": _rights(terms, grant_id),
        "dpv:hasDuration": [
            {"@type": "dpv:FixedOccurrencesDuration", "rdf:value": terms.max_reads},
            *([] if terms.completion is None else [_completion(terms.completion)]),
        ],
        "dpv:hasTechnicalMeasure": {
            "@type": ["dpv:EncryptionAtRest", "dpv:CryptographicKeyManagement"],
            "dpv:isImplementedByEntity": {"@id": terms.custodian.did},
        },
    }
    if terms.authority is not None:
        process["dpv:hasAuthority"] = {"@id": terms.authority.did}
    return process


def _personal_data(claim: ClaimTerm) -> JsonObject:
    return {
        "@type": "dpv:PersonalData",
        # 8.3.3.1: a category of DPV. What a claim is about, its issuer's type says.
        "skos:broader": {"@id": "dpv:ProvidedPersonalData"},
        "dct:type": claim.name.vct,
        "dct:identifier": str(claim.name),
        "dpv:hasNecessity": {"@id": claim.necessity.value},
        "dpv:hasStorageCondition": {
            "@type": "dpv:StorageDeletion",
            "dpv:hasDuration": {
                "@type": "dpv:TemporalDuration",
                "rdf:value": _period(f"P{claim.retain_days}D"),
            },
        },
    }


def _entities(terms: Terms) -> list[Json]:
    receiver, custodian = terms.receiver, terms.custodian
    desk = origin_of(terms.withdrawal_endpoint, "terms.withdrawal_method")
    entities: list[Json] = [
        _entity(["dpv:DataController", "dpv:Recipient"], receiver.did, receiver.name, desk),
        _entity(["dpv:Entity"], custodian.did, custodian.origin, custodian.origin),
    ]
    for party in terms.recipients:
        where = origin_of(party.endpoint, "terms.recipient_third_parties")
        entities.append(_entity(["dpv:Recipient", "dpv:ThirdParty"], party.did, party.name, where))
    if terms.authority is not None:
        entities.append(_entity(["dpv:Authority"], terms.authority.did, terms.authority.name, None))
    return entities


def _entity(roles: list[Json], did: Did, name: str, contact: str | None) -> JsonObject:
    entity: JsonObject = {
        "@id": did,
        "@type": roles,
        "dpv:hasName": name,
        "dpv:hasIdentifier": did,
    }
    if contact is not None:
        point: JsonObject = {"@type": "schema:ContactPoint", "schema:url": {"@id": contact}}
        entity["schema:contactPoint"] = point
    return entity


def _status(event: ConsentEvent, terms: Terms) -> JsonObject:
    status: JsonObject = {
        "@type": event.status.value,
        "dpv:isIndicatedAtTime": _moment(event.at),
        "dpv:isIndicatedBy": {"@id": event.by},
    }
    if event.status is ConsentStatus.GIVEN:
        status["@type"] = [event.status.value, "dpv:ExplicitlyExpressedConsent"]
        status["dpv:hasDuration"] = _until(terms.valid_until)
    return status


def _end_of(state: State) -> tuple[ConsentEvent, ...]:
    match state:
        case Granted():
            return ()
        case Withdrawn():
            trigger, at = state.trigger, state.ended_at
        case Erased():
            trigger, at = state.trigger, state.erased_at
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
    return {
        "@type": "dpv:Erase",
        "counterfoil:level": erased.level.name,
        "dpv:isIndicatedAtTime": _moment(erased.erased_at),
        "counterfoil:retained": [_retained(item) for item in erased.retained],
    }


def _retained(item: Retained) -> JsonObject:
    return {
        "dpv:hasPersonalData": [
            {"dct:type": name.vct, "dct:identifier": str(name)} for name in item.claims
        ],
        "counterfoil:kind": item.kind.value,
        "counterfoil:law": item.law,
        "dpv:hasDuration": _until(item.until),
    }


def _rights(terms: Terms, grant_id: GrantId) -> list[Json]:
    here: JsonObject = {"@id": terms.withdrawal_url(grant_id)}
    withdraw, erase, complain = "withdraw consent", "erasure", "complain to the authority"
    found = [("eu-gdpr:A7-3", withdraw, here), ("eu-gdpr:A17", erase, here)]
    if terms.authority is not None:
        found.append(("eu-gdpr:A77", complain, {"@id": terms.authority.did}))
    return [
        {
            "@type": ["dpv:DataSubjectRight", *([article] if _is_gdpr(terms) else [])],
            "dct:title": f"Right to {title}",
            "dpv:isExercisedAt": where,
        }
        for article, title, where in found
    ]


def _legal_bases(terms: Terms) -> list[str]:
    explicit = "dpv:ExplicitlyExpressedConsent"
    return [explicit, "eu-gdpr:A6-1-a"] if _is_gdpr(terms) else [explicit]


def _completion(completion: Completion) -> JsonObject:
    event: JsonObject = {
        "@type": "dpv:UntilEventDuration",
        "rdf:value": _COMPLETED_BY[completion.kind],
    }
    if completion.reference is not None:
        event["dct:identifier"] = completion.reference
    return event


def _place(jurisdiction: str) -> JsonObject:
    if jurisdiction in _PLACES:
        return {"@id": f"loc:{jurisdiction}"}
    return {"@type": "dpv:Location", "dct:title": jurisdiction}


def _profile(kind: str, terms: Terms) -> JsonObject:
    return {"@id": f"dpv-27560:{kind}{'-eu-gdpr' if _is_gdpr(terms) else ''}"}


def _is_gdpr(terms: Terms) -> bool:
    return terms.jurisdiction in GDPR_PLACES


def _until(at: datetime) -> JsonObject:
    return {"@type": "dpv:UntilTimeDuration", "rdf:value": _moment(at)}


def _moment(at: datetime) -> JsonObject:
    text = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"@type": "xsd:dateTime", "@value": text}


def _period(text: str) -> JsonObject:
    return {"@type": "xsd:duration", "@value": text}
