"""The back office's routes to jobs, to keys and webhooks (the owner's), and to the audit log."""

from datetime import timedelta
from typing import Annotated

from counterfoil_credentials.errors import Refused
from counterfoil_service.access import Caller, Role
from counterfoil_service.api_keys import listed_keys, make_key, revoke_key
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from counterfoil_issuer.back_office import Sitting
from counterfoil_issuer.schemas import KeyName, Opaque, ReasonAnswer, RowErrorAnswer, Told, TypeName
from counterfoil_issuer.staff import (
    AUDIT,
    CSV,
    JSON,
    JSON_LINES,
    OFFERS,
    READ,
    SHOWN,
    IdempotencyKey,
    Staff,
    file_body,
    file_bytes,
    require_media_type,
    write,
)
from counterfoil_issuer.staff_schemas import (
    ChangedWebhookAnswer,
    EntriesAnswer,
    EntryAnswer,
    JobAnswer,
    JobErrorsAnswer,
    JobsAnswer,
    KeyAnswer,
    KeyRequest,
    KeysAnswer,
    LogCheckAnswer,
    NewKeyAnswer,
    NewWebhookAnswer,
    RemovedWebhookAnswer,
    RevokedKeyAnswer,
    SummaryAnswer,
    WebhookAct,
    WebhookAnswer,
    WebhookRequest,
    WebhooksAnswer,
)


def add_jobs(router: APIRouter, staff: Staff) -> None:
    """Add batches."""
    desk = staff.desk
    may_offer = staff.access.to(OFFERS)
    reading = [Depends(staff.access.to(READ))]

    @router.post("/jobs", status_code=202, openapi_extra=file_body(CSV, JSON, JSON_LINES))
    def begin(
        request: Request,
        body: Annotated[bytes, Depends(file_bytes)],
        kind: Annotated[TypeName, Query(description="A credential type, or orders")],
        caller: Annotated[Caller, Depends(may_offer)],
    ) -> JobAnswer:
        """Begin a batch: the service does it, also after a restart."""
        require_media_type(request, CSV, JSON, JSON_LINES)
        return JobAnswer.of(desk.begin(desk.batch(kind, body), by=caller.name))

    @router.get("/jobs", dependencies=reading)
    def jobs() -> JobsAnswer:
        """Give the jobs begun last, the latest first."""
        return JobsAnswer(jobs=[JobAnswer.of(job) for job in desk.jobs(SHOWN)])

    @router.get("/jobs/{job_id}", dependencies=reading)
    def job(job_id: Opaque) -> JobAnswer:
        """Give how far a job has come."""
        return JobAnswer.of(desk.job(job_id))

    @router.get("/jobs/{job_id}/errors", dependencies=reading)
    def errors(
        job_id: Opaque,
        after: Annotated[int, Query(ge=0, le=1_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> JobErrorsAnswer:
        """Give what was wrong with a job's rows, by row."""
        known = desk.job(job_id)
        found = desk.errors(known.job_id, at_most=limit, after=after)
        return JobErrorsAnswer(errors=[RowErrorAnswer.of(error) for error in found])


def add_owner(router: APIRouter, staff: Staff) -> None:
    """Add what the owner alone may do: staff keys and webhooks."""
    office = staff.office

    # Whoever makes keys could make himself one for everything.
    def everything(caller: Annotated[Caller, Depends(staff.access.to(READ))]) -> Caller:
        if caller.roles != frozenset(Role):
            raise HTTPException(403, "expected the owner, who has every role")
        return caller

    @router.get("/keys", dependencies=[Depends(everything)])
    def keys() -> KeysAnswer:
        """Give all staff keys that ever were, by name."""
        with staff.store.reading() as held:
            found = listed_keys(held.connection)
        return KeysAnswer(keys=[KeyAnswer.of(key) for key in found])

    @router.post("/keys", status_code=201, response_model=NewKeyAnswer)
    async def make(
        asked: KeyRequest,
        request: Request,
        caller: Annotated[Caller, Depends(everything)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Make a staff key; its text is in this answer alone."""

        def effect(sitting: Sitting) -> Told:
            made = make_key(
                sitting.connection,
                name=asked.name,
                roles=frozenset(asked.roles),
                now=sitting.now,
                random=office.random,
                lasts=None if asked.lasts_days is None else timedelta(days=asked.lasts_days),
            )
            office.note(sitting, "key.made", f"key:{made.name}")
            return NewKeyAnswer.of(made)

        return await write(staff, request, caller, effect, status=201)

    @router.get("/webhooks", dependencies=[Depends(everything)])
    def webhooks() -> WebhooksAnswer:
        """Give the endpoints that are told of events, the oldest first."""
        with staff.store.reading() as held:
            found = staff.webhooks.endpoints(held.connection)
        return WebhooksAnswer(webhooks=[WebhookAnswer.of(one) for one in found])

    @router.post("/webhooks", status_code=201, response_model=NewWebhookAnswer)
    async def add_webhook(
        asked: WebhookRequest,
        request: Request,
        caller: Annotated[Caller, Depends(everything)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Add an endpoint; the secret that signs for it is in this answer alone."""

        def effect(sitting: Sitting) -> Told:
            made = staff.webhooks.add(sitting.connection, asked.url, asked.types)
            office.note(sitting, "webhook.made", f"webhook:{made.endpoint_id}")
            return NewWebhookAnswer(webhook_id=made.endpoint_id, secret=made.secret)

        return await write(staff, request, caller, effect, status=201)

    @router.post("/webhooks/{webhook_id}/{act}", response_model=ChangedWebhookAnswer)
    async def change_webhook(
        webhook_id: Opaque,
        act: WebhookAct,
        request: Request,
        caller: Annotated[Caller, Depends(everything)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Pause an endpoint, resume it, or give it a new secret (for a day both sign)."""

        def effect(sitting: Sitting) -> Told:
            secret = None
            match act:
                case WebhookAct.PAUSE:
                    staff.webhooks.pause(sitting.connection, webhook_id)
                case WebhookAct.RESUME:
                    staff.webhooks.resume(sitting.connection, webhook_id)
                case WebhookAct.ROTATE_SECRET:
                    secret = staff.webhooks.rotate_secret(sitting.connection, webhook_id).secret
            office.note(sitting, f"webhook.changed/{act}", f"webhook:{webhook_id}")
            return ChangedWebhookAnswer(webhook_id=webhook_id, act=act, secret=secret)

        return await write(staff, request, caller, effect)

    @router.delete("/webhooks/{webhook_id}", response_model=RemovedWebhookAnswer)
    async def remove_webhook(
        webhook_id: Opaque,
        request: Request,
        caller: Annotated[Caller, Depends(everything)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """Forget an endpoint."""

        def effect(sitting: Sitting) -> Told:
            staff.webhooks.remove(sitting.connection, webhook_id)
            office.note(sitting, "webhook.removed", f"webhook:{webhook_id}")
            return RemovedWebhookAnswer(webhook_id=webhook_id)

        return await write(staff, request, caller, effect)

    @router.delete("/keys/{name}", response_model=RevokedKeyAnswer)
    async def end(
        name: KeyName,
        request: Request,
        caller: Annotated[Caller, Depends(everything)],
        _key: IdempotencyKey = None,
    ) -> Response:
        """End a staff key, whether it was in force or not."""

        def effect(sitting: Sitting) -> Told:
            was_in_force = revoke_key(sitting.connection, name, sitting.now)
            if was_in_force:
                office.note(sitting, "key.revoked", f"key:{name}")
            return RevokedKeyAnswer(name=name, was_in_force=was_in_force)

        return await write(staff, request, caller, effect)


def add_log(router: APIRouter, staff: Staff) -> None:
    """Add the audit log, and the counts."""
    office = staff.office
    auditing = [Depends(staff.access.to(AUDIT))]

    @router.get("/audit", dependencies=auditing)
    def audit(
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        subject: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> EntriesAnswer:
        """Give lines of the audit log in their order."""
        with staff.store.reading() as held:
            found = office.log.entries(held.connection, after=after, subject=subject, limit=limit)
        return EntriesAnswer(entries=[EntryAnswer.of(entry) for entry in found])

    @router.get("/audit/check", dependencies=auditing)
    def check() -> LogCheckAnswer:
        """Walk the whole log, and name the first row that is not as it was written.

        Ends of the log that were kept before are found again in it.
        """
        try:
            end = staff.check_log()
        except Refused as refused:
            wrong = ReasonAnswer.of(refused.reasons[0])
            return LogCheckAnswer(whole=False, entries=None, chain=None, wrong=wrong)
        return LogCheckAnswer(whole=True, entries=end.sequence, chain=end.chain, wrong=None)

    @router.get("/summary", dependencies=[Depends(staff.access.to(READ))])
    def summary() -> SummaryAnswer:
        """Count everything; no count is personal."""
        return SummaryAnswer.of(staff.issuer.summary())
