"""A grant as others read it: a consent record by ISO/IEC TS 27560 in JSON-LD.

Names are those of the Data Privacy Vocabulary 2 (DPV) in its profile `dpv-27560`; the
fields stand in the order of its guide, section 8. What the guide requires and no party
of ours ever states (where data is stored, postal addresses) is left out rather than
made up. The context is inside: nothing is fetched to read it.
"""

from datetime import datetime
from typing import Final, assert_never

from counterfoil_consent.states import Agreement, Level
from counterfoil_consent.terms import ClaimTerm, Terms
from counterfoil_credentials.encoding import Json, JsonObject

from counterfoil_wallet.grant_states import (
    Abandoned,
    Deciding,
    Delivering,
    Ending,
    HeldGrant,
    InForce,
    Proved,
)

_PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#record"
_CONTEXT: Final[JsonObject] = {
    "dpv": "https://w3id.org/dpv#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dct": "http://purl.org/dc/terms/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "schema": "https://schema.org/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "counterfoil": "urn:counterfoil:consent:record:1:",
}


def consent_record(grant: HeldGrant) -> JsonObject:
    """Give the record of one grant: what was agreed, with whom, and what became of it."""
    terms = grant.terms
    record_id = f"urn:counterfoil:consent:grant:{grant.grant_id}"
    agreement = _agreement(grant)
    subject: JsonObject = {"@type": "dpv:DataSubject"}
    if agreement is not None:
        subject["@id"] = agreement.holder
    return {
        "@context": _CONTEXT,
        "@id": record_id,
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": {"@id": _PROFILE},
        "dct:identifier": grant.grant_id,
        "dpv:hasDataSubject": subject,
        "dpv:hasNotice": {
            "@id": terms.notice.uri,
            "@type": "dpv:ConsentNotice",
            "dct:language": terms.notice.language,
            "counterfoil:sha-256": terms.notice.sha256,
        },
        "dpv:hasProcess": _process(terms),
        "dpv:hasDataController": _party(
            "dpv:DataController", terms.receiver.client_id, terms.receiver.name
        ),
        "dpv:hasLegalBasis": {"@id": "dpv:Consent"},
        "dpv:hasConsentControl": {
            "@type": "dpv:WithdrawConsent",
            "dpv:isExercisedAt": {"@id": terms.withdrawal_url(grant.grant_id)},
        },
        "dpv:hasJurisdiction": terms.jurisdiction,
        "dpv:hasRight": {
            "@type": ["dpv:DataSubjectRight", "eu-gdpr:A7-3"],
            "dct:title": "Right to withdraw consent",
            "dpv:isExercisedAt": {"@id": terms.withdrawal_url(grant.grant_id)},
        },
        "dpv:hasTechnicalMeasure": {
            "@type": "dpv:CryptographicMethods",
            "counterfoil:custodian": terms.custodian.did,
            "schema:url": {"@id": terms.custodian.origin},
        },
        "dpv:hasConsentStatus": _statuses(grant, terms, agreement),
    }


def _process(terms: Terms) -> JsonObject:
    return {
        "@type": "dpv:Process",
        "dpv:hasPurpose": {"@id": terms.purpose.value},
        "dpv:hasPersonalData": [_personal_data(claim) for claim in terms.claims],
        "dpv:hasProcessing": [{"@id": operation.value} for operation in terms.operations],
        "dpv:hasStorageCondition": [
            {"@type": "dpv:StorageDuration", "dpv:hasDuration": _until(terms.valid_until)},
            {
                "@type": "dpv:StorageDeletion",
                "dpv:hasDuration": _duration(
                    "dpv:TemporalDuration",
                    f"P{max(claim.retain_days for claim in terms.claims)}D",
                    "xsd:duration",
                ),
            },
        ],
        "dpv:hasRecipient": _party("dpv:Recipient", terms.receiver.client_id, terms.receiver.name),
        "dpv:hasDuration": {
            "@type": "dpv:FixedOccurrencesDuration",
            "rdf:value": terms.max_reads,
        },
    }


def _personal_data(claim: ClaimTerm) -> JsonObject:
    return {
        "@type": "dpv:PersonalData",
        "dct:type": claim.name.vct,
        "dct:identifier": str(claim.name),
        "dpv:hasNecessity": {"@id": claim.necessity.value},
        "dpv:hasStorageCondition": {
            "@type": "dpv:StorageDuration",
            "dpv:hasDuration": _duration(
                "dpv:TemporalDuration", f"P{claim.retain_days}D", "xsd:duration"
            ),
        },
    }


def _party(role: str, identifier: str, name: str) -> JsonObject:
    return {"@type": role, "dct:identifier": identifier, "dpv:hasName": name}


def _statuses(grant: HeldGrant, terms: Terms, agreement: Agreement | None) -> list[Json]:
    """Give what happened, oldest first; each status is of a moment that this wallet knows."""
    if agreement is None:
        return [{"@type": "dpv:ConsentRequested", "dpv:isIndicatedBy": {"@id": "dpv:Recipient"}}]
    given = _status(("dpv:ConsentGiven", "dpv:ExplicitlyExpressedConsent"), agreement.granted_at)
    given["dpv:hasDuration"] = _until(terms.valid_until)
    statuses: list[Json] = [given]
    match grant:
        case InForce():
            given["counterfoil:receipt"] = grant.active.receipt
        case Ending():
            ended = grant.withdrawal.withdrawn.ended_at
            statuses.append(_status(("dpv:ConsentWithdrawn",), ended))
        case Proved():
            erased = grant.erased
            statuses.append(
                {
                    **_status((_ENDS[erased.trigger.value],), erased.erased_at),
                    "counterfoil:erasure": {
                        "@type": "dpv:Erase",
                        "counterfoil:level": Level(erased.level).name,
                        "counterfoil:receipt": grant.receipt,
                    },
                }
            )
        case Deciding() | Delivering() | Abandoned():
            pass
        case _:
            assert_never(grant)
    return statuses


_ENDS: Final = {
    "withdrawn": "dpv:ConsentWithdrawn",
    "completed": "dpv:ConsentExpired",
    "expired": "dpv:ConsentExpired",
}


def _agreement(grant: HeldGrant) -> Agreement | None:
    match grant:
        case Deciding() | Abandoned():
            return None
        case Delivering():
            return grant.package.granted.agreement
        case InForce():
            return grant.active.agreement
        case Ending():
            return grant.withdrawal.withdrawn.agreement
        case Proved():
            return grant.erased.agreement
        case _:
            assert_never(grant)


def _status(types: tuple[str, ...], at: datetime) -> JsonObject:
    return {
        "@type": [*types],
        "dpv:isIndicatedBy": {"@id": "dpv:DataSubject"},
        "dpv:hasIndicationMethod": "counterfoil wallet",
        "dpv:isIndicatedAtTime": {"@type": "xsd:dateTime", "@value": at.isoformat()},
    }


def _until(at: datetime) -> JsonObject:
    return _duration("dpv:UntilTimeDuration", at.isoformat(), "xsd:dateTime")


def _duration(kind: str, value: str, datatype: str) -> JsonObject:
    return {"@type": kind, "rdf:value": {"@type": datatype, "@value": value}}
