"""Who is told of verdicts: the shop's endpoints for signed webhooks.

    GET     /counter/webhooks                 all of them
    POST    /counter/webhooks                 one more; its secret is shown this once
    POST    /counter/webhooks/{id}/{act}      pause, resume, rotate-secret
    DELETE  /counter/webhooks/{id}

`sql_store.py` writes the event in the transaction of the verdict, and
`counterfoil_service.couriers` delivers it. It names the session (what stands before the
dot of a question's `id`) and how it ended, and holds nothing that was shown. Each change
here has its line in the audit log.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

from counterfoil_service.access import BearerKey
from counterfoil_service.audit import AuditLog
from counterfoil_service.outbox import Webhooks
from counterfoil_service.sql import Database
from counterfoil_service.statements import Connection
from fastapi import APIRouter, Depends
from fastapi import Path as PathPart

from counterfoil_verifier.schemas import ErrorBody
from counterfoil_verifier.webhook_schemas import (
    ChangedWebhookBody,
    NewWebhookBody,
    WebhookBody,
    WebhooksBody,
)

_ACTOR: Final = "counter"
_Name: TypeAlias = Annotated[str, PathPart(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": ErrorBody, "description": "The request is not as it must be"},
    401: {"model": ErrorBody, "description": "No key, or another one"},
    413: {"model": ErrorBody, "description": "The body is too large"},
    503: {"model": ErrorBody, "description": "The database cannot be had now"},
}


class WebhookAct(StrEnum):
    """What may be done to an endpoint."""

    PAUSE = "pause"
    RESUME = "resume"
    ROTATE_SECRET = "rotate-secret"


def webhook_routes(
    database: Database,
    webhooks: Webhooks,
    log: AuditLog,
    *,
    clock: Callable[[], datetime],
    allowed: BearerKey,
) -> APIRouter:
    """Give the routes over the endpoints in `database`."""
    router = APIRouter(
        prefix="/counter/webhooks",
        tags=["counter"],
        dependencies=[Depends(allowed)],
        responses=_ERRORS,
    )

    def note(connection: Connection, act: str, webhook_id: str) -> None:
        log.append(connection, _ACTOR, act, f"webhook:{webhook_id}", clock())

    @router.get("")
    def all_of_them() -> WebhooksBody:
        """Give all endpoints."""
        with database.reading() as connection:
            found = webhooks.endpoints(connection)
        return WebhooksBody(webhooks=[WebhookBody.of(each) for each in found])

    @router.post("", status_code=201)
    def add(body: NewWebhookBody) -> ChangedWebhookBody:
        """Tell one more endpoint of every verdict from now on."""
        with database.transaction() as connection:
            made = webhooks.add(connection, body.url)
            note(connection, "webhook.made", made.endpoint_id)
        return ChangedWebhookBody(webhook_id=made.endpoint_id, secret=made.secret)

    @router.post("/{webhook_id}/{act}")
    def change(webhook_id: _Name, act: WebhookAct) -> ChangedWebhookBody:
        """Pause an endpoint, resume it, or give it a new secret (for a day both sign)."""
        secret = None
        with database.transaction() as connection:
            match act:
                case WebhookAct.PAUSE:
                    webhooks.pause(connection, webhook_id)
                case WebhookAct.RESUME:
                    webhooks.resume(connection, webhook_id)
                case WebhookAct.ROTATE_SECRET:
                    secret = webhooks.rotate_secret(connection, webhook_id).secret
            note(connection, f"webhook.changed/{act}", webhook_id)
        return ChangedWebhookBody(webhook_id=webhook_id, secret=secret)

    @router.delete("/{webhook_id}")
    def remove(webhook_id: _Name) -> ChangedWebhookBody:
        """Forget an endpoint."""
        with database.transaction() as connection:
            webhooks.remove(connection, webhook_id)
            note(connection, "webhook.removed", webhook_id)
        return ChangedWebhookBody(webhook_id=webhook_id)

    return router
