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
    recipient_third_parties  dpv:hasRecipient   each by name; none when it is left out
    jurisdiction        dpv:hasJurisdiction
    privacy_notice      dpv:hasNotice           uri, language, SHA-256 of the text that was seen
    valid_until         dct:valid               mandatory
    completion          dpv:hasDuration         what may end it sooner (completion.py)
    authority_party     dpv:hasAuthority        who hears a complaint and may end it
    withdrawal_method   dpv:WithdrawConsent     where the withdrawal goes
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from counterfoil_credentials.claims import ClaimPath, parse_path, path_text
from counterfoil_credentials.dids import Did
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

from counterfoil_consent.completion import Completion
from counterfoil_consent.incentive import Incentive
from counterfoil_consent.parties import (
    AuthorityParty,
    CustodianParty,
    ReceiverParty,
    RecipientParty,
    endpoint_at,
    origin_of,
    recipients_of,
    url_for,
)
from counterfoil_consent.sealing import SealingKey
from counterfoil_consent.spec import GRANT_QUERY_ID, TERMS_TYPE
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    instant_at,
    require_members,
    require_shown,
    seconds,
    short_text_at,
    whole_second,
)

MAX_CLAIMS: Final = 50
MAX_READS: Final = 100_000
MAX_RETAIN_DAYS: Final = 3_660
_LAST_INDEX: Final = 2**53 - 1
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
    """What may be done with the data (`dpv:hasProcessing`). `SHARE` is with named recipients."""

    USE = "dpv:Use"
    STORE = "dpv:Store"
    CONSULT = "dpv:Consult"
    PROFILING = "dpv:Profiling"
    SHARE = "dpv:Share"


_READING: Final = frozenset({Operation.USE, Operation.CONSULT, Operation.PROFILING})


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
    recipients: tuple[RecipientParty, ...] = ()
    completion: Completion | None = None
    authority: AuthorityParty | None = None
    incentive: Incentive | None = None

    @property
    def completer(self) -> Did:
        """Who may say that the grant has served its purpose."""
        named = None if self.completion is None else self.completion.by
        return self.receiver.did if named is None else named

    @property
    def is_single_use(self) -> bool:
        """Whether the first read is the last."""
        return self.completion is not None and self.completion.is_single_use

    @property
    def allows_reading(self) -> bool:
        """Whether an operation is granted for which the facts are opened."""
        return not _READING.isdisjoint(self.operations)

    @property
    def claim_names(self) -> frozenset[ClaimName]:
        """The claims by name alone."""
        return frozenset(claim.name for claim in self.claims)

    def delivery_url(self, grant_id: GrantId) -> str:
        """Give where the sealed bundle goes."""
        return url_for(self.delivery_endpoint, grant_id)

    def withdrawal_url(self, grant_id: GrantId) -> str:
        """Give where the withdrawal goes."""
        return url_for(self.withdrawal_endpoint, grant_id)

    def pause_url(self, grant_id: GrantId) -> str:
        """Give where a suspension or a resumption goes: beside the withdrawal."""
        return f"{self.withdrawal_url(grant_id)}/pause"

    def accesses_url(self, grant_id: GrantId) -> str:
        """Give where the holder gets the receiver's signed access events: beside it too."""
        return f"{self.withdrawal_url(grant_id)}/access-events"

    def erasure_url(self, grant_id: GrantId) -> str:
        """Give where the erasure receipt can be had."""
        return url_for(self.erasure_endpoint, grant_id)

    def narrow(
        self,
        claims: Collection[ClaimName],
        *,
        valid_until: datetime | None = None,
        max_reads: int | None = None,
        recipients: Collection[Did] | None = None,
    ) -> "Terms":
        """Give the terms that the customer grants: these claims, and a sooner end if she likes.

        `recipients` are those that she allows, all of them when it is None.

        Raises `Misuse` for a choice that is not narrower: the screen offered none.
        """
        ends = self.valid_until if valid_until is None else whole_second(valid_until)
        reads = self.max_reads if max_reads is None else max_reads
        if not set(claims) <= self.claim_names or not claims:
            raise Misuse("expected some of the claims asked for, found none or others")
        if ends > self.valid_until or not 1 <= reads <= self.max_reads:
            raise Misuse("expected an equal or sooner end and fewer reads, found more")
        allowed = {party.did for party in self.recipients}
        if recipients is not None:
            if not set(recipients) <= allowed:
                raise Misuse("expected some of the recipients asked for, found others")
            allowed = set(recipients)
        return replace(
            self,
            claims=tuple(claim for claim in self.claims if claim.name in claims),
            valid_until=ends,
            max_reads=reads,
            recipients=tuple(party for party in self.recipients if party.did in allowed),
            operations=tuple(
                operation
                for operation in self.operations
                if allowed or operation is not Operation.SHARE
            ),
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
                ("completion", self.completion, asked.completion),
                ("authority_party", self.authority, asked.authority),
                ("incentive", self.incentive, asked.incentive),
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
        if not set(self.recipients) <= set(asked.recipients):
            where = f"{_WHERE}.recipient_third_parties"
            reasons.append(Reason("recipients-wider", "recipients asked for", "others", where))
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
            "pii_controllers": [self.receiver.to_json()],
            "processing_method": [operation.value for operation in self.operations],
            "jurisdiction": self.jurisdiction,
            "privacy_notice": {
                "uri": self.notice.uri,
                "language": self.notice.language,
                "sha-256": self.notice.sha256,
            },
            "valid_until": seconds(self.valid_until),
            "max_reads": self.max_reads,
            "custodian": self.custodian.to_json(),
            "withdrawal_method": {
                "endpoint": self.withdrawal_endpoint,
                "erasure_receipt": self.erasure_endpoint,
            },
            "delivery_endpoint": self.delivery_endpoint,
            "sealing_key": self.sealing_key.jwk(),
            **self._optional_json(),
        }

    def _optional_json(self) -> JsonObject:
        obj: JsonObject = {}
        if self.recipients:
            obj["recipient_third_parties"] = [party.to_json() for party in self.recipients]
        if self.completion is not None:
            obj["completion"] = self.completion.to_json()
        if self.authority is not None:
            obj["authority_party"] = self.authority.to_json()
        if self.incentive is not None:
            obj["incentive"] = self.incentive.to_json()
        return obj

    @staticmethod
    def from_json(obj: JsonObject, where: str = _WHERE) -> "Terms":
        """Parse terms strictly: every member, no other, each within its bounds."""
        require_members(obj, _MEMBERS, where, optional=_OPTIONAL_MEMBERS)
        reads = int_at(obj, "max_reads", where)
        if not 1 <= reads <= MAX_READS:
            raise Malformed(f"1 to {MAX_READS} reads", "another number", f"{where}.max_reads")
        withdrawal = object_at(obj, "withdrawal_method", where)
        require_members(withdrawal, ("endpoint", "erasure_receipt"), f"{where}.withdrawal_method")
        key_where = f"{where}.sealing_key"
        return Terms(
            purpose=one_of(Purpose, text_at(obj, "purpose", where), f"{where}.purpose"),
            claims=_claims(list_at(obj, "pii_information", where), f"{where}.pii_information"),
            receiver=_receiver(list_at(obj, "pii_controllers", where), f"{where}.pii_controllers"),
            custodian=CustodianParty.from_json(
                object_at(obj, "custodian", where), f"{where}.custodian"
            ),
            operations=_operations(obj, where),
            jurisdiction=short_text_at(obj, "jurisdiction", where),
            notice=_notice(object_at(obj, "privacy_notice", where), f"{where}.privacy_notice"),
            valid_until=instant_at(obj, "valid_until", where),
            max_reads=reads,
            withdrawal_endpoint=endpoint_at(withdrawal, "endpoint", f"{where}.withdrawal_method"),
            erasure_endpoint=endpoint_at(
                withdrawal, "erasure_receipt", f"{where}.withdrawal_method"
            ),
            delivery_endpoint=endpoint_at(obj, "delivery_endpoint", where),
            sealing_key=SealingKey.from_jwk(object_at(obj, "sealing_key", where), key_where),
            recipients=_recipients(obj, where),
            completion=_completion(obj, where, reads),
            authority=_authority(obj, where),
            incentive=Incentive.from_json(object_at(obj, "incentive", where), f"{where}.incentive")
            if "incentive" in obj
            else None,
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
    place = f"{where}.pii_attribute_id"
    path = parse_path(list_at(obj, "pii_attribute_id", where), place)
    for step in path:
        # What cannot be stored, or would not be shown to her as it is, is not asked for.
        if isinstance(step, int) and step > _LAST_INDEX:
            raise Malformed(f"a place up to {_LAST_INDEX}", "one beyond", place)
        if isinstance(step, str):
            require_shown(step, place)
    return ClaimName(short_text_at(obj, "pii_type", where), path)


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
        necessity = one_of(Necessity, text_at(obj, "necessity", place), f"{place}.necessity")
        name = claim_name_of(obj, place)
        claims.append(ClaimTerm(name=name, necessity=necessity, retain_days=days))
    if len({claim.name for claim in claims}) != len(claims):
        raise Malformed("each claim once", "one twice", where)
    return tuple(claims)


def _receiver(values: list[Json], where: str) -> ReceiverParty:
    if len(values) != 1:
        raise Malformed("one controller", f"{len(values)}", where)
    return ReceiverParty.from_json(as_object(values[0], f"{where}[0]"), f"{where}[0]")


_OPTIONAL_MEMBERS: Final = (
    *("recipient_third_parties", "completion", "authority_party"),
    "incentive",
)


def _recipients(obj: JsonObject, where: str) -> tuple[RecipientParty, ...]:
    name = "recipient_third_parties"
    shares = Operation.SHARE in texts_at(obj, "processing_method", where)
    if shares is not (name in obj):
        expected = f"{Operation.SHARE} and the recipients, or neither"
        raise Malformed(expected, "one of them", f"{where}.{name}")
    return recipients_of(list_at(obj, name, where), f"{where}.{name}") if name in obj else ()


def _completion(obj: JsonObject, where: str, reads: int) -> Completion | None:
    if "completion" not in obj:
        return None
    found = Completion.from_json(object_at(obj, "completion", where), f"{where}.completion")
    if found.is_single_use and reads != 1:
        raise Malformed("one read for a single use", f"{reads}", f"{where}.max_reads")
    return found


def _authority(obj: JsonObject, where: str) -> AuthorityParty | None:
    name = "authority_party"
    if name not in obj:
        return None
    return AuthorityParty.from_json(object_at(obj, name, where), f"{where}.{name}")


def _operations(obj: JsonObject, where: str) -> tuple[Operation, ...]:
    place = f"{where}.processing_method"
    named = texts_at(obj, "processing_method", where)
    operations = tuple(one_of(Operation, name, place) for name in named)
    if not operations or len(set(operations)) != len(operations):
        raise Malformed("each operation once, and at least one", "none, or one twice", place)
    return operations


def _notice(obj: JsonObject, where: str) -> NoticeReference:
    require_members(obj, ("uri", "language", "sha-256"), where)
    uri = short_text_at(obj, "uri", where)
    origin_of(uri, f"{where}.uri")
    digest = text_at(obj, "sha-256", where)
    if len(from_b64url(digest, f"{where}.sha-256")) != 32:
        raise Malformed("a SHA-256 in base64url", "another size", f"{where}.sha-256")
    return NoticeReference(
        uri=uri, language=short_text_at(obj, "language", where), sha256=Digest(digest)
    )


def one_of(kind: type[_Kind], text: str, where: str) -> _Kind:
    """Give the member of a closed list that `text` spells."""
    try:
        return kind(text)
    except ValueError as cause:
        raise Malformed(f"a known {kind.__name__.lower()}", "another", where) from cause
