"""The terms of a grant: who may use what, for which purpose, until when.

Members are named as in ISO/IEC TS 27560, values as in DPV 2; what neither names
(reads, custodian, sealing key, endpoints) is ours. On the wire the terms are one
OpenID4VP 1.0 transaction_data element (sections 5.1 and 8.4), so that a wallet
that does not know the type must refuse the request.

    purpose             dpv:hasPurpose          from a closed list
    pii_information     dpv:hasPersonalData     pii_type = vct, pii_attribute_id = DCQL path,
                                                necessity, retention_period in days
    pii_controllers     dpv:hasDataController   the receiver: client_id and name
    processing_method   dpv:hasProcessing       absence means forbidden
    jurisdiction        dpv:hasJurisdiction
    privacy_notice      dpv:hasNotice           uri, language, SHA-256 of the text that was seen
    valid_until         dct:valid               mandatory
    withdrawal_method   dpv:WithdrawConsent     where the withdrawal goes
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import urlsplit

from counterfoil_credentials.claims import ClaimPath, parse_path, path_text
from counterfoil_credentials.dids import Did, key_of_did_jwk
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    list_at,
    object_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason
from counterfoil_credentials.spec import DID_PREFIX

from counterfoil_consent.sealing import SealingKey
from counterfoil_consent.spec import GRANT_QUERY_ID, TERMS_TYPE
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    instant_at,
    require_members,
    seconds,
    whole_second,
)

MAX_CLAIMS: Final = 50
MAX_READS: Final = 100_000
MAX_RETAIN_DAYS: Final = 3_660
_GRANT_ID: Final = "{grant_id}"
_LONGEST_TEXT: Final = 2_000
_WHERE: Final = "terms"
_Kind = TypeVar("_Kind", bound=StrEnum)


class Purpose(StrEnum):
    """Why data may be used: DPV purposes, a closed list.

    `dpv:SellDataToThirdParties` is left out on purpose: nobody can ask for it.
    """

    IDENTITY_VERIFICATION = "dpv:IdentityVerification"
    AGE_VERIFICATION = "dpv:AgeVerification"
    FRAUD_PREVENTION = "dpv:FraudPreventionAndDetection"
    CLAIMS_MANAGEMENT = "dpv:CustomerClaimsManagement"
    CUSTOMER_CARE = "dpv:CustomerCare"
    REPAIR = "dpv:RepairImpairments"
    DISPUTE_MANAGEMENT = "dpv:DisputeManagement"
    ORDER_MANAGEMENT = "dpv:CustomerOrderManagement"
    DELIVERY = "dpv:DeliveryOfGoods"
    PERSONALISED_BENEFITS = "dpv:PersonalisedBenefits"
    RECOMMENDATIONS = "dpv:ProvidePersonalisedRecommendations"
    DIRECT_MARKETING = "dpv:DirectMarketing"
    USAGE_ANALYTICS = "dpv:ServiceUsageAnalytics"
    IMPROVEMENT = "dpv:ImproveExistingProductsAndServices"
    LEGAL_COMPLIANCE = "dpv:LegalCompliance"


class Necessity(StrEnum):
    """Whether the receiver can do without a claim (`dpv:hasNecessity`)."""

    REQUIRED = "dpv:Required"
    OPTIONAL = "dpv:Optional"


class Operation(StrEnum):
    """What may be done with the data (`dpv:hasProcessing`). Passing it on cannot be asked yet."""

    USE = "dpv:Use"
    STORE = "dpv:Store"
    CONSULT = "dpv:Consult"
    PROFILING = "dpv:Profiling"


@dataclass(frozen=True, slots=True, order=True)
class ClaimName:
    """One claim: the credential's type and the claim's DCQL path. A name, never a value."""

    vct: str
    path: ClaimPath

    def to_json(self) -> JsonObject:
        """Give the name as it stands in terms and receipts."""
        return {"pii_type": self.vct, "pii_attribute_id": [*self.path]}

    def __str__(self) -> str:
        """Give the path as people read it."""
        return path_text(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTerm:
    """One claim asked for, whether it is needed, and how long it may be kept."""

    name: ClaimName
    necessity: Necessity
    retain_days: int

    @property
    def is_required(self) -> bool:
        """Whether the receiver cannot do without it."""
        return self.necessity is Necessity.REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverParty:
    """Who receives: the OpenID4VP client id (`decentralized_identifier:did:jwk:…`), and a name."""

    client_id: str
    name: str

    @property
    def did(self) -> Did:
        """The DID whose key signs the receiver's requests, receipts and lease requests."""
        return Did(self.client_id.removeprefix(DID_PREFIX))


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianParty:
    """Who keeps the other share: the service's public origin and its DID."""

    origin: str
    did: Did


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeReference:
    """The text that the customer sees: where it is, its language, its SHA-256."""

    uri: str
    language: str
    sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked, or what was granted. Granted terms are equal to the asked ones or narrower.

    The three endpoints are URLs with `{grant_id}` in them: where the sealed bundle
    goes, where the withdrawal goes, and where the erasure receipt can be had.
    """

    purpose: Purpose
    claims: tuple[ClaimTerm, ...]
    receiver: ReceiverParty
    custodian: CustodianParty
    operations: tuple[Operation, ...]
    jurisdiction: str
    notice: NoticeReference
    valid_until: datetime
    max_reads: int
    withdrawal_endpoint: str
    erasure_endpoint: str
    delivery_endpoint: str
    sealing_key: SealingKey

    @property
    def claim_names(self) -> frozenset[ClaimName]:
        """The claims by name alone."""
        return frozenset(claim.name for claim in self.claims)

    def delivery_url(self, grant_id: GrantId) -> str:
        """Give where the sealed bundle goes."""
        return self.delivery_endpoint.replace(_GRANT_ID, grant_id)

    def withdrawal_url(self, grant_id: GrantId) -> str:
        """Give where the withdrawal goes."""
        return self.withdrawal_endpoint.replace(_GRANT_ID, grant_id)

    def erasure_url(self, grant_id: GrantId) -> str:
        """Give where the erasure receipt can be had."""
        return self.erasure_endpoint.replace(_GRANT_ID, grant_id)

    def narrow(
        self,
        claims: Collection[ClaimName],
        *,
        valid_until: datetime | None = None,
        max_reads: int | None = None,
    ) -> "Terms":
        """Give the terms that the customer grants: these claims, and a sooner end if she likes.

        Raises `Misuse` for a choice that is not narrower: the screen offered none.
        """
        ends = self.valid_until if valid_until is None else whole_second(valid_until)
        reads = self.max_reads if max_reads is None else max_reads
        if not set(claims) <= self.claim_names or not claims:
            raise Misuse("expected some of the claims asked for, found none or others")
        if ends > self.valid_until or not 1 <= reads <= self.max_reads:
            raise Misuse("expected an equal or sooner end and fewer reads, found more")
        return replace(
            self,
            claims=tuple(claim for claim in self.claims if claim.name in claims),
            valid_until=ends,
            max_reads=reads,
        )

    def widening_reasons(self, asked: "Terms") -> list[Reason]:
        """Give the reasons why these terms are not `asked`, or narrower."""
        reasons = [
            Reason("terms-differ", "what was asked", "another value", f"{_WHERE}.{name}")
            for name, ours, theirs in (
                ("purpose", self.purpose, asked.purpose),
                ("pii_controllers", self.receiver, asked.receiver),
                ("custodian", self.custodian, asked.custodian),
                ("jurisdiction", self.jurisdiction, asked.jurisdiction),
                ("privacy_notice", self.notice, asked.notice),
                ("withdrawal_method", self.withdrawal_endpoint, asked.withdrawal_endpoint),
                ("withdrawal_method", self.erasure_endpoint, asked.erasure_endpoint),
                ("delivery_endpoint", self.delivery_endpoint, asked.delivery_endpoint),
                ("sealing_key", self.sealing_key, asked.sealing_key),
            )
            if ours != theirs
        ]
        by_name = {claim.name: claim for claim in asked.claims}
        reasons += [
            Reason("claim-not-asked", "a claim that was asked for", str(claim.name), _WHERE)
            for claim in self.claims
            if claim.name not in by_name
        ]
        reasons += [
            Reason("claim-wider", "the retention asked for, or less", str(claim.name), _WHERE)
            for claim in self.claims
            if claim.name in by_name
            and (
                claim.retain_days > by_name[claim.name].retain_days
                or claim.necessity is not by_name[claim.name].necessity
            )
        ]
        if not set(self.operations) <= set(asked.operations):
            reasons.append(
                Reason("operations-wider", "operations asked for", "more", f"{_WHERE}.operations")
            )
        if self.valid_until > asked.valid_until:
            reasons.append(
                Reason(
                    "end-later", "the end asked for, or sooner", "later", f"{_WHERE}.valid_until"
                )
            )
        if self.max_reads > asked.max_reads:
            reasons.append(
                Reason("reads-more", "the reads asked for, or fewer", "more", f"{_WHERE}.max_reads")
            )
        return reasons

    def retention_reasons(self, now: datetime) -> list[Reason]:
        """Give the reasons why data read until the end would be kept longer than agreed."""
        return [
            Reason(
                "retention-exceeded",
                f"an end within {claim.retain_days} days",
                "a later one",
                f"{_WHERE}.pii_information.{claim.name}",
            )
            for claim in self.claims
            if self.valid_until > now + timedelta(days=claim.retain_days)
        ]

    def missing_reasons(self, asked: "Terms") -> list[Reason]:
        """Give the reasons why a receiver that `asked` cannot do with these terms."""
        return [
            Reason(
                "required-claim-missing", str(claim.name), "nothing", f"{_WHERE}.pii_information"
            )
            for claim in asked.claims
            if claim.is_required and claim.name not in self.claim_names
        ]

    def to_json(self) -> JsonObject:
        """Give the terms in the members listed above."""
        claims: list[Json] = [
            {
                **claim.name.to_json(),
                "necessity": claim.necessity.value,
                "retention_period": claim.retain_days,
            }
            for claim in self.claims
        ]
        return {
            "purpose": self.purpose.value,
            "pii_information": claims,
            "pii_controllers": [{"client_id": self.receiver.client_id, "name": self.receiver.name}],
            "processing_method": [operation.value for operation in self.operations],
            "jurisdiction": self.jurisdiction,
            "privacy_notice": {
                "uri": self.notice.uri,
                "language": self.notice.language,
                "sha-256": self.notice.sha256,
            },
            "valid_until": seconds(self.valid_until),
            "max_reads": self.max_reads,
            "custodian": {"origin": self.custodian.origin, "did": self.custodian.did},
            "withdrawal_method": {
                "endpoint": self.withdrawal_endpoint,
                "erasure_receipt": self.erasure_endpoint,
            },
            "delivery_endpoint": self.delivery_endpoint,
            "sealing_key": self.sealing_key.jwk(),
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str = _WHERE) -> "Terms":
        """Parse terms strictly: every member, no other, each within its bounds."""
        require_members(obj, _MEMBERS, where)
        reads = int_at(obj, "max_reads", where)
        if not 1 <= reads <= MAX_READS:
            raise Malformed(f"1 to {MAX_READS} reads", "another number", f"{where}.max_reads")
        withdrawal = object_at(obj, "withdrawal_method", where)
        require_members(withdrawal, ("endpoint", "erasure_receipt"), f"{where}.withdrawal_method")
        key_where = f"{where}.sealing_key"
        return Terms(
            purpose=_one_of(Purpose, text_at(obj, "purpose", where), f"{where}.purpose"),
            claims=_claims(list_at(obj, "pii_information", where), f"{where}.pii_information"),
            receiver=_receiver(list_at(obj, "pii_controllers", where), f"{where}.pii_controllers"),
            custodian=_custodian(object_at(obj, "custodian", where), f"{where}.custodian"),
            operations=_operations(obj, where),
            jurisdiction=_short_text(obj, "jurisdiction", where),
            notice=_notice(object_at(obj, "privacy_notice", where), f"{where}.privacy_notice"),
            valid_until=instant_at(obj, "valid_until", where),
            max_reads=reads,
            withdrawal_endpoint=_endpoint(withdrawal, "endpoint", f"{where}.withdrawal_method"),
            erasure_endpoint=_endpoint(withdrawal, "erasure_receipt", f"{where}.withdrawal_method"),
            delivery_endpoint=_endpoint(obj, "delivery_endpoint", where),
            sealing_key=SealingKey.from_jwk(object_at(obj, "sealing_key", where), key_where),
        )

    def to_transaction_data(self) -> str:
        """Give the transaction_data element of the request: base64url of typed JSON."""
        return b64url(
            compact_json({"type": TERMS_TYPE, "credential_ids": [GRANT_QUERY_ID], **self.to_json()})
        )


def parse_transaction_data(
    element: str, where: str = "transaction_data"
) -> tuple[Terms, list[str]]:
    """Give the terms in one transaction_data element, and the credential ids it names.

    Raises `Malformed` for another type, an unknown or missing member, or a value
    out of its list: OpenID4VP 1.0, section 8.5, `invalid_transaction_data`.
    """
    obj = parse_object(from_b64url(element, where), where)
    if text_at(obj, "type", where) != TERMS_TYPE:
        raise Malformed(TERMS_TYPE, "another type of transaction data", f"{where}.type")
    ids = texts_at(obj, "credential_ids", where)
    members = {name: obj[name] for name in obj if name not in ("type", "credential_ids")}
    return Terms.from_json(members, where), ids


def claim_name_of(obj: JsonObject, where: str) -> ClaimName:
    """Parse a claim's name from `pii_type` and `pii_attribute_id`."""
    path = parse_path(list_at(obj, "pii_attribute_id", where), f"{where}.pii_attribute_id")
    return ClaimName(_short_text(obj, "pii_type", where), path)


def origin_of(url: str, where: str) -> str:
    """Give the origin of an https URL; http is for loopback addresses alone."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as cause:
        raise Malformed("a URL", "another text", where) from cause
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise Malformed("an https URL", "another text", where)
    if not host or parts.username is not None or parts.fragment:
        raise Malformed("a URL of host and path", "another text", where)
    return f"{parts.scheme}://{parts.netloc}"


_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})
_MEMBERS: Final = (
    "purpose",
    "pii_information",
    "pii_controllers",
    "processing_method",
    "jurisdiction",
    "privacy_notice",
    "valid_until",
    "max_reads",
    "custodian",
    "withdrawal_method",
    "delivery_endpoint",
    "sealing_key",
)


def _claims(values: list[Json], where: str) -> tuple[ClaimTerm, ...]:
    if not 1 <= len(values) <= MAX_CLAIMS:
        raise Malformed(f"1 to {MAX_CLAIMS} claims", f"{len(values)}", where)
    claims: list[ClaimTerm] = []
    for i, value in enumerate(values):
        place = f"{where}[{i}]"
        obj = as_object(value, place)
        require_members(
            obj, ("pii_type", "pii_attribute_id", "necessity", "retention_period"), place
        )
        days = int_at(obj, "retention_period", place)
        if not 0 <= days <= MAX_RETAIN_DAYS:
            raise Malformed(f"0 to {MAX_RETAIN_DAYS} days", "another number", place)
        necessity = _one_of(Necessity, text_at(obj, "necessity", place), f"{place}.necessity")
        name = claim_name_of(obj, place)
        claims.append(ClaimTerm(name=name, necessity=necessity, retain_days=days))
    if len({claim.name for claim in claims}) != len(claims):
        raise Malformed("each claim once", "one twice", where)
    return tuple(claims)


def _receiver(values: list[Json], where: str) -> ReceiverParty:
    if len(values) != 1:
        raise Malformed("one controller", f"{len(values)}", where)
    place = f"{where}[0]"
    obj = as_object(values[0], place)
    require_members(obj, ("client_id", "name"), place)
    client_id = text_at(obj, "client_id", place)
    if not client_id.startswith(DID_PREFIX):
        raise Malformed(f"the prefix {DID_PREFIX}", "another", f"{place}.client_id")
    key_of_did_jwk(client_id.removeprefix(DID_PREFIX), f"{place}.client_id")
    return ReceiverParty(client_id=client_id, name=_short_text(obj, "name", place))


def _custodian(obj: JsonObject, where: str) -> CustodianParty:
    require_members(obj, ("origin", "did"), where)
    origin, did = text_at(obj, "origin", where), text_at(obj, "did", where)
    if origin_of(origin, f"{where}.origin") != origin:
        raise Malformed("an origin without a path", "another text", f"{where}.origin")
    key_of_did_jwk(did, f"{where}.did")
    return CustodianParty(origin=origin, did=Did(did))


def _operations(obj: JsonObject, where: str) -> tuple[Operation, ...]:
    place = f"{where}.processing_method"
    named = texts_at(obj, "processing_method", where)
    operations = tuple(_one_of(Operation, name, place) for name in named)
    if not operations or len(set(operations)) != len(operations):
        raise Malformed("each operation once, and at least one", "none, or one twice", place)
    return operations


def _notice(obj: JsonObject, where: str) -> NoticeReference:
    require_members(obj, ("uri", "language", "sha-256"), where)
    uri = _short_text(obj, "uri", where)
    origin_of(uri, f"{where}.uri")
    digest = text_at(obj, "sha-256", where)
    if len(from_b64url(digest, f"{where}.sha-256")) != 32:
        raise Malformed("a SHA-256 in base64url", "another size", f"{where}.sha-256")
    return NoticeReference(
        uri=uri, language=_short_text(obj, "language", where), sha256=Digest(digest)
    )


def _endpoint(obj: JsonObject, name: str, where: str) -> str:
    url = _short_text(obj, name, where)
    origin_of(url, f"{where}.{name}")
    if url.count(_GRANT_ID) != 1 or _GRANT_ID not in urlsplit(url).path:
        raise Malformed("a URL with {grant_id} once in its path", "another", f"{where}.{name}")
    return url


def _short_text(obj: JsonObject, name: str, where: str) -> str:
    text = text_at(obj, name, where)
    if not 1 <= len(text) <= _LONGEST_TEXT:
        raise Malformed(f"1 to {_LONGEST_TEXT} characters", f"{len(text)}", f"{where}.{name}")
    return text


def _one_of(kind: type[_Kind], text: str, where: str) -> _Kind:
    try:
        return kind(text)
    except ValueError as cause:
        raise Malformed(f"a known {kind.__name__.lower()}", "another", where) from cause
