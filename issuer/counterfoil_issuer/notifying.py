"""What became of credentials, in the wallet's word: stored, or not.

OpenID4VCI 1.0, section 11.
"""

from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_credentials.errors import Malformed

from counterfoil_issuer.records import Issuance, IssuanceId
from counterfoil_issuer.spec import (
    ACCESS_TOKEN,
    EVENT,
    NOTIFICATION_ID,
    ErrorCode,
    NotificationEvent,
    refusal,
)
from counterfoil_issuer.store import Held
from counterfoil_issuer.tokens import Presented, session_of

_NOTIFICATION: Final = "notification_request"


def read_notification(request: JsonObject) -> tuple[IssuanceId, NotificationEvent]:
    """Give what a Notification Request says; `invalid_notification_request` when it does not."""
    try:
        notification_id = IssuanceId(text_at(request, NOTIFICATION_ID, _NOTIFICATION))
        name = text_at(request, EVENT, _NOTIFICATION)
    except Malformed as error:
        raise refusal(
            ErrorCode.INVALID_NOTIFICATION_REQUEST, error.expected, error.found, error.where
        ) from error
    if name not in set(NotificationEvent):
        raise refusal(
            ErrorCode.INVALID_NOTIFICATION_REQUEST,
            "one of " + ", ".join(NotificationEvent),
            "another text",
            f"{_NOTIFICATION}.{EVENT}",
        )
    return notification_id, NotificationEvent(name)


def notify(
    held: Held,
    presented: Presented,
    request: JsonObject,
    *,
    lasts: timedelta,
    token_may_be_over: timedelta,
    now: datetime,
) -> None:
    """Take the wallet's word.

    The token may be past its end by `lasts`, or the issuance so long ago: a wallet
    that was away must still be able to say that it has the credentials, and all it
    gains is our forgetting. The first event counts; the same again changes nothing.
    `token_may_be_over` is the longest that any request may have waited.

    Raises `Refused` with `invalid_token` or a code of section 11.3.
    """
    notification_id, event = read_notification(request)
    grace = token_may_be_over + lasts
    session = session_of(held, presented, now, grace=grace, may_be_ended=True)
    issuance = held.issuance(notification_id)
    if issuance is None or issuance.token_hash != session.token.token_hash:
        raise refusal(
            ErrorCode.INVALID_NOTIFICATION_ID,
            "an id given with this token",
            "another text",
            f"{_NOTIFICATION}.{NOTIFICATION_ID}",
        )
    if now >= max(session.token.expires_at, issuance.issued_at) + lasts:
        raise refusal(ErrorCode.INVALID_TOKEN, "a token in time", "one long over", ACCESS_TOKEN)
    _note(held, issuance, event, now)


def _note(held: Held, issuance: Issuance, event: NotificationEvent, now: datetime) -> None:
    match event:
        case NotificationEvent.ACCEPTED:
            if issuance.dropped_at is None:
                held.acknowledge(issuance.issuance_id, now)
                return
            before = NotificationEvent.FAILED
        case NotificationEvent.FAILED | NotificationEvent.DELETED:
            if issuance.acknowledged_at is None:
                # Nobody holds it: it ends, and the dataset may be offered again.
                held.drop(issuance.issuance_id, now)
                return
            before = NotificationEvent.ACCEPTED
    raise refusal(
        ErrorCode.INVALID_NOTIFICATION_REQUEST,
        f"no other event after {before}",
        event,
        f"{_NOTIFICATION}.{EVENT}",
    )
