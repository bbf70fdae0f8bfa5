"""The end of a grant as a Security Event Token (RFC 8417).

The holder withdraws, the receiver completes. One token goes to both the
receiver and the custodian, so `aud` names both. An end never prolongs anything:
sent twice, late, or to one party first, it changes nothing more.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject, b64url, object_at, text_at, texts_at
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Signer

from counterfoil_consent.artefacts import require_grant
from counterfoil_consent.spec import COMPLETED_EVENT, EVENT_TYP, WITHDRAWN_EVENT
from counterfoil_consent.states import Agreement, Trigger
from counterfoil_consent.wire import (
    GrantId,
    Random,
    grant_id_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    sign_artefact,
    whole_second,
)

_WHERE: Final = "event"
_EVENTS: Final = {Trigger.WITHDRAWN: WITHDRAWN_EVENT, Trigger.COMPLETED: COMPLETED_EVENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEvent:
    """A verified end: who ended which grant, and when."""

    grant_id: GrantId
    event_id: str
    trigger: Trigger
    ended_at: datetime


def sign_end(
    agreement: Agreement, trigger: Trigger, *, signer: Signer, now: datetime, random: Random
) -> str:
    """Give the signed event. The holder signs a withdrawal, the receiver a completion."""
    terms = agreement.terms
    claims: JsonObject = {
        "aud": [terms.receiver.client_id, terms.custodian.origin],
        "iat": seconds(now),
        "jti": b64url(random(16)),
        # RFC 9493, section 3.2.7: an opaque subject.
        "sub_id": {"format": "opaque", "id": agreement.grant_id},
        "events": {_EVENTS[trigger]: {"erase": True}},
    }
    return sign_artefact(claims, typ=EVENT_TYP, signer=signer)


def read_end(
    token: str,
    *,
    grant_id: GrantId,
    holder: Did,
    receiver: Did | None,
    audience: str,
    now: datetime,
) -> EndEvent:
    """Give the verified end of `grant_id`.

    The holder may withdraw, the receiver may complete, nobody may do the
    other's. `Refused` codes: `signed-by-another`, `signature-invalid`,
    `audience-mismatch`, `grant-mismatch`. A token of any time is good: a phone
    whose clock is wrong must still be able to withdraw. It counts from now at
    the latest.
    """
    claims, trigger = _read_by_party(token, holder, receiver)
    require_members(claims, ("iss", "aud", "iat", "jti", "sub_id", "events"), _WHERE)
    if audience not in texts_at(claims, "aud", _WHERE):
        raise refuse("audience-mismatch", "this party", "others", f"{_WHERE}.aud")
    subject = object_at(claims, "sub_id", _WHERE)
    if text_at(subject, "format", f"{_WHERE}.sub_id") != "opaque":
        raise Malformed("opaque", "another format", f"{_WHERE}.sub_id.format")
    named = text_at(subject, "id", f"{_WHERE}.sub_id")
    require_grant(grant_id_of(named, f"{_WHERE}.sub_id.id"), grant_id, _WHERE)
    ended_at = min(instant_at(claims, "iat", _WHERE), whole_second(now))
    event_id = text_at(claims, "jti", _WHERE)
    if not 1 <= len(event_id) <= 200:
        raise Malformed("1 to 200 characters", f"{len(event_id)}", f"{_WHERE}.jti")
    return EndEvent(grant_id=grant_id, event_id=event_id, trigger=trigger, ended_at=ended_at)


def _read_by_party(token: str, holder: Did, receiver: Did | None) -> tuple[JsonObject, Trigger]:
    claims = read_artefact(token, typ=EVENT_TYP, by=None, where=_WHERE)
    by = text_at(claims, "iss", _WHERE)
    events = object_at(claims, "events", _WHERE)
    for trigger, party in ((Trigger.WITHDRAWN, holder), (Trigger.COMPLETED, receiver)):
        if party is not None and by == party and list(events) == [_EVENTS[trigger]]:
            return claims, trigger
    raise refuse(
        "signed-by-another", "an end by the party that may end it so", "another", f"{_WHERE}.iss"
    )
