"""HTTP bodies about the endpoints that are told of verdicts. They do not travel further in."""

from datetime import datetime
from typing import Self

from counterfoil_service.outbox import Endpoint
from pydantic import BaseModel, ConfigDict, Field


class NewWebhookBody(BaseModel):
    """POST /counter/webhooks."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2_000)


class WebhookBody(BaseModel):
    """An endpoint: `waiting` events are not delivered yet, `dead` ones could not be."""

    webhook_id: str
    url: str
    active: bool
    waiting: int
    dead: int
    failure: str | None
    created_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        return cls(
            webhook_id=endpoint.endpoint_id,
            url=endpoint.url,
            active=endpoint.is_active,
            waiting=endpoint.waiting,
            dead=endpoint.dead,
            failure=endpoint.failure,
            created_at=endpoint.created_at,
        )


class WebhooksBody(BaseModel):
    """All endpoints, the oldest first."""

    webhooks: list[WebhookBody]


class ChangedWebhookBody(BaseModel):
    """An endpoint that was made or changed; a new `secret` is shown this once."""

    webhook_id: str
    secret: str | None = None
