"""The back office's HTTP bodies. They end at its routes; further in, values travel."""

import json
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from counterfoil_credentials.encoding import JsonObject, parse_object
from counterfoil_credentials.errors import Reason
from counterfoil_service.access import Role
from counterfoil_service.api_keys import ApiKey, NewKey
from counterfoil_service.audit import Entry
from counterfoil_service.outbox import Endpoint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from counterfoil_issuer.approvals import Act, Proposal, ProposalState
from counterfoil_issuer.batch_rows import RowError
from counterfoil_issuer.catalogue import CredentialType
from counterfoil_issuer.jobs import Job
from counterfoil_issuer.money import amount_text
from counterfoil_issuer.offering import Offered, OpenOffer
from counterfoil_issuer.orders import Order
from counterfoil_issuer.records import Dataset, Issuance, RevocationReason, Summary
from counterfoil_issuer.searching import MAX_PAGE, PAGE, IssuanceState, Page, Search, state_of

# What a request may hold, wherever it stands.
OrderName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9#._-]+$")]
TypeName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_-]*$")]
SerialName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Opaque = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
SubjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=254,
        pattern=r"^[!-~]+$",
        description="Who may fetch it by logging in: a customer id, or a verified e-mail address",
    ),
]
KeyName = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
]
Claims = Annotated[dict[str, JsonValue], Field(description="As the type's schema says")]
MAX_NAMED = 2_000


class Told(BaseModel):
    """What the back office answers."""


class Body(BaseModel):
    """A request body: nothing in it that is not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfferRequest(Body):
    """How to offer: with a transaction code unless the link itself goes a safe way."""

    tx_code: bool = True


class NewOfferRequest(Body):
    """A credential to offer: its type and claims, or the type's sample when there are none."""

    type: TypeName
    claims: Claims | None = None
    serial: SerialName | None = None
    subject: SubjectName | None = None
    ends_on: Annotated[
        date | None, Field(description="The credential's last day; else the type's validity")
    ] = None
    tx_code: bool = True
    login: Annotated[
        bool, Field(description="Let a wallet of the subject fetch it by login too")
    ] = False


class RevocationRequest(Body):
    """Why a credential is revoked."""

    reason: RevocationReason


class TransferRequest(Body):
    """To whom: the claims of the new credential, or what the old one showed to everybody."""

    claims: Claims | None = None
    subject: SubjectName | None = None
    tx_code: bool = True


class OrderSearchRequest(Body):
    """Whose orders are looked for."""

    email: Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[!-~]+@[!-~]+$")]


class ReturnRequest(Body):
    """Which units of an order's line came back: by serial numbers, where they have some."""

    line: Annotated[int, Field(ge=1, le=100)]
    quantity: Annotated[int, Field(ge=1, le=50)] = 1
    serials: Annotated[list[SerialName], Field(max_length=50)] = []
    tx_code: bool = True


class SearchRequest(Body):
    """What is looked for; what is left out may be anything."""

    order: OrderName | None = None
    type: TypeName | None = None
    serial: SerialName | None = None
    state: IssuanceState | None = None
    issued_from: AwareDatetime | None = None
    issued_until: AwareDatetime | None = None
    before: Annotated[
        int | None, Field(ge=1, le=2**31 - 1, description="`next` of the page before")
    ] = None

    def search(self) -> Search:
        """Give the search."""
        return Search(
            order=self.order,
            type_name=self.type,
            serial=self.serial,
            state=self.state,
            issued_from=self.issued_from,
            issued_until=self.issued_until,
            before=self.before,
        )


class PageRequest(SearchRequest):
    """A search, and how many it gives at once."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = PAGE


class ProposalRequest(Body):
    """What is to be done to many: to those named, or to what a search finds now."""

    act: Act
    reason: RevocationReason | None = None
    credentials: Annotated[list[Opaque], Field(max_length=MAX_NAMED)] = []
    search: SearchRequest | None = None


class KeyRequest(Body):
    """A key for a member of staff or a system."""

    name: KeyName
    roles: Annotated[list[Role], Field(min_length=1, max_length=4)]
    lasts_days: Annotated[int | None, Field(ge=1, le=3_650)] = None


class WebhookRequest(Body):
    """An endpoint of the brand's own systems, and the events that it is told of."""

    url: Annotated[str, Field(min_length=9, max_length=1_000, pattern=r"^https?://[!-~]+$")]
    types: Annotated[
        list[Annotated[str, Field(max_length=100, pattern=r"^([a-z0-9_]+(\.[a-z0-9_]+)*|\*)$")]],
        Field(min_length=1, max_length=100),
    ] = ["*"]


class WebhookAct(StrEnum):
    """What is done to an endpoint."""

    PAUSE = "pause"
    RESUME = "resume"
    ROTATE_SECRET = "rotate-secret"


def json_object(value: dict[str, JsonValue] | None, where: str) -> JsonObject | None:
    """Give claims as strictly read JSON: no lone surrogates, no fractions, no endless depth."""
    if value is None:
        return None
    return parse_object(json.dumps(value).encode(), where)


class ReasonAnswer(Told):
    """One reason of a refusal."""

    code: str
    expected: str
    found: str
    where: str

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """Give the answer for `reason`."""
        return cls(
            code=reason.code, expected=reason.expected, found=reason.found, where=reason.where
        )


class ErrorAnswer(Told):
    """Why nothing was done (RFC 6749, section 5.2, and the reasons)."""

    error: str
    error_description: str
    reasons: list[ReasonAnswer] = []


class RowErrorAnswer(Told):
    """One thing wrong in a file."""

    row: int
    column: str
    expected: str
    found: str

    @classmethod
    def of(cls, error: RowError) -> Self:
        """Give the answer for `error`."""
        return cls(row=error.row, column=error.column, expected=error.expected, found=error.found)


class ImportAnswer(Told):
    """What became of an orders file; at most a thousand errors are listed."""

    imported: int
    unchanged: int
    error_count: int
    errors: list[RowErrorAnswer]


class LineAnswer(Told):
    """One line of an order."""

    name: str
    gtin: str
    quantity: int
    price: str
    tax: str
    serials: list[str]


class OrderAnswer(Told):
    """An order: amounts as decimal texts, and in whole minor units where named so."""

    order: str
    paid_at: datetime
    currency: str
    total: str
    total_minor: int
    tax: str
    lines: list[LineAnswer]

    @classmethod
    def of(cls, order: Order) -> Self:
        """Give the answer for `order`."""
        return cls(
            order=order.number,
            paid_at=order.paid_at,
            currency=order.currency,
            total=amount_text(order.total, order.currency),
            total_minor=order.total,
            tax=amount_text(order.tax, order.currency),
            lines=[
                LineAnswer(
                    name=line.name,
                    gtin=line.gtin,
                    quantity=line.quantity,
                    price=amount_text(line.price, order.currency),
                    tax=amount_text(line.tax, order.currency),
                    serials=[*line.serials],
                )
                for line in order.lines
            ],
        )


class OrdersAnswer(Told):
    """A buyer's orders, the latest payment first."""

    orders: list[OrderAnswer]


class TypeAnswer(Told):
    """A type of the catalogue: its schema, and claims that fit it."""

    type: str
    names: dict[str, str]
    descriptions: dict[str, str]
    status: str
    deferred: bool
    batch_size: int
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]
    sample: dict[str, JsonValue]

    @classmethod
    def of(cls, kind: CredentialType) -> Self:
        """Give the answer for `kind`."""
        return cls.model_validate(
            {
                "type": kind.name,
                "names": dict(kind.names),
                "descriptions": dict(kind.descriptions),
                "status": kind.status.value,
                "deferred": kind.deferred,
                "batch_size": kind.batch_size,
                "schema": kind.schema.document,
                "sample": kind.sample,
            }
        )


class TypesAnswer(Told):
    """Everything that the brand issues."""

    types: list[TypeAnswer]


class DatasetAnswer(Told):
    """What one credential says: an order's receipt, one unit's warranty, or given claims."""

    dataset_id: str
    type: str
    serial: str | None

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Give the answer for `dataset`."""
        return cls(dataset_id=dataset.dataset_id, type=dataset.type_name, serial=dataset.serial)


class OpenOfferAnswer(Told):
    """An offer just made. Send `tx_code` to the customer another way than `link`.

    `link` holds the whole offer, `qr` is its short form for a camera.
    """

    state: Literal["open"] = "open"
    offer_id: str
    link: str
    qr: str
    tx_code: Annotated[str | None, Field(description="None when none was asked for")]
    expires_at: datetime
    credentials: list[DatasetAnswer]

    @classmethod
    def of(cls, offer: OpenOffer) -> Self:
        """Give the answer for `offer`."""
        return cls(
            offer_id=offer.offer_id,
            link=offer.link,
            qr=offer.qr,
            tx_code=offer.tx_code,
            expires_at=offer.expires_at,
            credentials=[DatasetAnswer.of(dataset) for dataset in offer.datasets],
        )


class WithdrawnAnswer(Told):
    """An offer that has ended."""

    state: Literal["withdrawn"] = "withdrawn"
    offer_id: str


class DatasetStateAnswer(Told):
    """What a deferred credential will say: now it may be issued, or never."""

    dataset_id: str
    state: Literal["ready", "denied"]


class ReturnedAnswer(Told):
    """What was taken back; the offer of a new receipt, when one is due."""

    order: str
    receipt: OpenOfferAnswer | None


class StatusEntryAnswer(Told):
    """Where one credential's status stands."""

    list: int
    index: int


class CredentialAnswer(Told):
    """What was issued in one answer, without what it says: credentials that say the same.

    `state`: `sent` until the wallet says that it stored it, then `stored`;
    `suspended`; `revoked`; `dropped` when no wallet ever stored it.
    """

    credential_id: str
    type: str
    order: str | None
    serial: str | None
    state: IssuanceState
    issued_at: datetime
    expires_at: datetime
    statuses: list[StatusEntryAnswer]
    acknowledged_at: datetime | None
    suspended_at: datetime | None
    revoked_at: datetime | None
    revocation_reason: RevocationReason | None

    @classmethod
    def of(cls, issuance: Issuance) -> Self:
        """Give the answer for `issuance`."""
        return cls(
            credential_id=issuance.issuance_id,
            type=issuance.type_name,
            order=issuance.order_number,
            serial=issuance.serial,
            state=state_of(issuance),
            issued_at=issuance.issued_at,
            expires_at=issuance.expires_at,
            statuses=[
                StatusEntryAnswer(list=one.list_number, index=one.index)
                for one in issuance.credentials
            ],
            acknowledged_at=issuance.acknowledged_at,
            suspended_at=issuance.suspended_at,
            revoked_at=issuance.revoked_at,
            revocation_reason=issuance.revocation_reason,
        )


class CredentialsAnswer(Told):
    """A page of what was issued, the latest first; `next` is the `before` of the next page."""

    credentials: list[CredentialAnswer]
    next: int | None

    @classmethod
    def of(cls, page: Page) -> Self:
        """Give the answer for `page`."""
        return cls(
            credentials=[CredentialAnswer.of(one) for one in page.issuances],
            next=page.next_before,
        )


class OfferedAnswer(Told):
    """What is open now, and what a wallet has stored before (or the brand revoked)."""

    order: str
    offers: list[OpenOfferAnswer]
    issued: list[CredentialAnswer]

    @classmethod
    def of(cls, order: str, offered: Offered) -> Self:
        """Give the answer for `offered`."""
        return cls(
            order=order,
            offers=[OpenOfferAnswer.of(offer) for offer in offered.offers],
            issued=[CredentialAnswer.of(record) for record in offered.issued],
        )


class ProposalAnswer(Told):
    """A proposal: `digest` is the SHA-256 of the frozen list, `job` does an approved one."""

    proposal_id: str
    act: Act
    reason: RevocationReason | None
    state: ProposalState
    count: int
    digest: str
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    job: str | None = None

    @classmethod
    def of(cls, proposal: Proposal, now: datetime, *, job: str | None = None) -> Self:
        """Give the answer for `proposal` as it stands at `now`."""
        return cls(
            proposal_id=proposal.proposal_id,
            act=proposal.act,
            reason=proposal.reason,
            state=proposal.at(now).state,
            count=len(proposal.issuances),
            digest=proposal.digest,
            proposed_by=proposal.proposed_by,
            proposed_at=proposal.proposed_at,
            expires_at=proposal.expires_at,
            decided_by=proposal.decided_by,
            decided_at=proposal.decided_at,
            job=job,
        )


class ProposalDetailAnswer(ProposalAnswer):
    """A proposal with its frozen list."""

    credentials: list[str] = []

    @classmethod
    def of(cls, proposal: Proposal, now: datetime, *, job: str | None = None) -> Self:
        """Give the answer for `proposal` as it stands at `now`."""
        short = super().of(proposal, now, job=job)
        return short.model_copy(update={"credentials": [*proposal.issuances]})


class ProposalsAnswer(Told):
    """The proposals made last, the latest first."""

    proposals: list[ProposalAnswer]


class JobAnswer(Told):
    """How far a batch has come; `kind` is `orders`, a type, or an approved act."""

    job_id: str
    kind: str
    state: Literal["running", "finished"]
    rows: int
    done: int
    made: int
    unchanged: int
    error_count: int
    started_by: str
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Give the answer for `job`."""
        return cls(
            job_id=job.job_id,
            kind=job.kind,
            state="finished" if job.finished else "running",
            rows=job.rows,
            done=job.done,
            made=job.made,
            unchanged=job.unchanged,
            error_count=job.error_count,
            started_by=job.started_by,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


class JobsAnswer(Told):
    """The jobs begun last, the latest first."""

    jobs: list[JobAnswer]


class JobErrorsAnswer(Told):
    """What was wrong, by row; a thousand are kept of a file."""

    errors: list[RowErrorAnswer]


class KeyAnswer(Told):
    """A staff key, without the key."""

    name: str
    roles: list[Role]
    last_four: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Give the answer for `key`."""
        return cls(
            name=key.name,
            roles=sorted(key.roles),
            last_four=key.last_four,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )


class KeysAnswer(Told):
    """All staff keys that ever were, by name."""

    keys: list[KeyAnswer]


class NewKeyAnswer(Told):
    """A key just made. It is shown this once."""

    name: str
    key: str

    @classmethod
    def of(cls, made: NewKey) -> Self:
        """Give the answer for `made`."""
        return cls(name=made.name, key=made.text)


class RevokedKeyAnswer(Told):
    """A key that is in force no longer."""

    name: str
    was_in_force: bool


class WebhookAnswer(Told):
    """An endpoint: `waiting` events are not delivered yet, `dead` ones could not be."""

    webhook_id: str
    url: str
    types: list[str]
    active: bool
    waiting: int
    dead: int
    attempts: int
    failure: str | None
    created_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """Give the answer for `endpoint`."""
        return cls(
            webhook_id=endpoint.endpoint_id,
            url=endpoint.url,
            types=[*endpoint.types],
            active=endpoint.is_active,
            waiting=endpoint.waiting,
            dead=endpoint.dead,
            attempts=endpoint.attempts,
            failure=endpoint.failure,
            created_at=endpoint.created_at,
        )


class WebhooksAnswer(Told):
    """All endpoints, the oldest first."""

    webhooks: list[WebhookAnswer]


class NewWebhookAnswer(Told):
    """An endpoint just made. Its secret is shown this once."""

    webhook_id: str
    secret: str


class ChangedWebhookAnswer(Told):
    """What was done to an endpoint; `secret` is the new one, after its rotation."""

    webhook_id: str
    act: WebhookAct
    secret: str | None


class RemovedWebhookAnswer(Told):
    """An endpoint that is forgotten."""

    webhook_id: str
    state: Literal["removed"] = "removed"


class EntryAnswer(Told):
    """One line of the audit log."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Give the answer for `entry`."""
        return cls(
            sequence=entry.sequence,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
        )


class EntriesAnswer(Told):
    """Lines of the audit log in their order."""

    entries: list[EntryAnswer]


class LogCheckAnswer(Told):
    """Whether the log is whole; else the first row that is not as it was written."""

    whole: bool
    entries: int | None
    chain: str | None
    wrong: ReasonAnswer | None


class TypeCountsAnswer(Told):
    """How many issuances of one type are in force, were revoked, were dropped."""

    in_force: int
    revoked: int
    dropped: int


class SummaryAnswer(Told):
    """Counts over everything the issuer holds; see `records.Summary`."""

    orders: int
    offers_open: int
    credentials: dict[str, TypeCountsAnswer]
    status_indices_used: int
    datasets_issued_twice: int
    personal_data: dict[str, int]

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Give the answer for `summary`."""
        return cls(
            orders=summary.orders,
            offers_open=summary.offers_open,
            credentials={
                name: TypeCountsAnswer(
                    in_force=counts.in_force, revoked=counts.revoked, dropped=counts.dropped
                )
                for name, counts in summary.credentials.items()
            },
            status_indices_used=summary.status_indices_used,
            datasets_issued_twice=summary.datasets_issued_twice,
            personal_data=dict(summary.personal_data),
        )
