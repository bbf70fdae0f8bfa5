"""The terms of a grant in DPV: sections 8.3 and 8.4 of the DPVCG guide to ISO/IEC TS 27560.

process_of(terms, grant_id)   8.3, its rows in the guide's order
entities_of(terms)            8.4, who the parties are; their roles stand in the process
"""

from datetime import UTC, datetime
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import Json, JsonObject

from counterfoil_consent.completion import Completion, CompletionKind
from counterfoil_consent.parties import origin_of
from counterfoil_consent.terms import ClaimTerm, Terms
from counterfoil_consent.wire import GrantId

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


def process_of(terms: Terms, grant_id: GrantId) -> JsonObject:
    """Give the process that the terms allow, with all that belongs to it."""
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
            {"@type": "dpv:StorageDuration", "dpv:hasDuration": until(terms.valid_until)},
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
    if terms.incentive is not None:
        process["dpv:hasConsequence"] = {
            "@type": "dpv:Consequence",
            "dct:title": "Points offered for the grant, kept after a withdrawal",
            "counterfoil:points": terms.incentive.points,
            "schema:url": {"@id": terms.incentive.rule},
        }
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
                "rdf:value": period(f"P{claim.retain_days}D"),
            },
        },
    }


def entities_of(terms: Terms) -> list[Json]:
    """Give everybody whom the terms name, by DID, with a name and where to turn to."""
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


def _rights(terms: Terms, grant_id: GrantId) -> list[Json]:
    here: JsonObject = {"@id": terms.withdrawal_url(grant_id)}
    withdraw, erase, complain = "withdraw consent", "erasure", "complain to the authority"
    found = [("eu-gdpr:A7-3", withdraw, here), ("eu-gdpr:A17", erase, here)]
    if terms.authority is not None:
        found.append(("eu-gdpr:A77", complain, {"@id": terms.authority.did}))
    return [
        {
            "@type": ["dpv:DataSubjectRight", *([article] if is_under_gdpr(terms) else [])],
            "dct:title": f"Right to {title}",
            "dpv:isExercisedAt": where,
        }
        for article, title, where in found
    ]


def _legal_bases(terms: Terms) -> list[str]:
    explicit = "dpv:ExplicitlyExpressedConsent"
    return [explicit, "eu-gdpr:A6-1-a"] if is_under_gdpr(terms) else [explicit]


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


def is_under_gdpr(terms: Terms) -> bool:
    """Say whether the GDPR applies."""
    return terms.jurisdiction in GDPR_PLACES


def until(at: datetime) -> JsonObject:
    """Give the duration that ends at this moment."""
    return {"@type": "dpv:UntilTimeDuration", "rdf:value": moment(at)}


def moment(at: datetime) -> JsonObject:
    """Give a moment, in UTC."""
    text = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"@type": "xsd:dateTime", "@value": text}


def period(text: str) -> JsonObject:
    """Give a length of time, as ISO 8601 spells it."""
    return {"@type": "xsd:duration", "@value": text}
