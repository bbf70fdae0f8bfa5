"""What the back office is asked and tells about keys, webhooks, jobs, its log and its counts."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from counterfoil_service.access import Role
from counterfoil_service.api_keys import ApiKey, NewKey
from counterfoil_service.audit import Entry
from counterfoil_service.outbox import Endpoint
from pydantic import Field

from counterfoil_issuer.jobs import Job
from counterfoil_issuer.records import Summary
from counterfoil_issuer.schemas import Body, KeyName, ReasonAnswer, RowErrorAnswer, Told

_EventType = Annotated[str, Field(max_length=100, pattern=r"^([a-z0-9_]+(\.[a-z0-9_]+)*|\*)$")]


class KeyRequest(Body):
    """A key for a member of staff or a system."""

    name: KeyName
    roles: Annotated[list[Role], Field(min_length=1, max_length=4)]
    lasts_days: Annotated[int | None, Field(ge=1, le=3_650)] = None


class WebhookRequest(Body):
    """An endpoint of the brand's own systems, and the events that it is told of."""

    url: Annotated[str, Field(min_length=9, max_length=1_000, pattern=r"^https?://[!-~]+$")]
    types: Annotated[
        tuple[_EventType, ...],
        Field(min_length=1, max_length=100),
    ] = ("*",)


class WebhookAct(StrEnum):
    """What is done to an endpoint."""

    PAUSE = "pause"
    RESUME = "resume"
    ROTATE_SECRET = "rotate-secret"


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
