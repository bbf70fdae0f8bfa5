"""Ends and pauses of a grant as Security Event Tokens (RFC 8417).

    withdrawn    by the holder
    completed    by whom the terms name, else by the receiver
    terminated   by the receiver, or by the authority that the terms name
    suspended, resumed    by the holder; `sequence` orders them

One token goes to every party, so `aud` names receiver, custodian and recipients.
An end never prolongs anything: sent twice, late, or to one party first, it changes
nothing more. A pause counts only when its sequence is higher than all before, so
that an old one, sent again, pauses and resumes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    int_at,
    object_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Signer

from counterfoil_consent.artefacts import require_grant
from counterfoil_consent.spec import (
    COMPLETED_EVENT,
    EVENT_TYP,
    RESUMED_EVENT,
    SUSPENDED_EVENT,
    TERMINATED_EVENT,
    WITHDRAWN_EVENT,
)
from counterfoil_consent.states import Agreement, Trigger
from counterfoil_consent.wire import (
    LONGEST_ID,
    GrantId,
    Random,
    grant_id_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    short_text_at,
    sign_artefact,
    whole_second,
)

_T = TypeVar("_T")
MAX_SEQUENCE: Final = 2**53 - 1
_WHERE: Final = "event"
_ENDS: Final = {
    Trigger.WITHDRAWN: WITHDRAWN_EVENT,
    Trigger.COMPLETED: COMPLETED_EVENT,
    Trigger.TERMINATED: TERMINATED_EVENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who may end a grant, and how. None: nobody of that kind is known."""

    holder: Did
    receiver: Did | None
    completer: Did | None
    authority: Did | None = None

    @staticmethod
    def of(agreement: Agreement) -> "Parties":
        """Give the parties that the terms name."""
        terms = agreement.terms
        return Parties(
            holder=agreement.holder,
            receiver=terms.receiver.did,
            completer=terms.completer,
            authority=None if terms.authority is None else terms.authority.did,
        )

    def may(self, trigger: Trigger) -> frozenset[Did]:
        """Give who may end the grant so."""
        those: tuple[Did | None, ...]
        match trigger:
            case Trigger.WITHDRAWN:
                those = (self.holder,)
            case Trigger.COMPLETED:
                those = (self.completer,)
            case Trigger.TERMINATED:
                those = (self.receiver, self.authority)
            case Trigger.EXPIRED:
                # The clock signs nothing.
                those = ()
        return frozenset(did for did in those if did is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEvent:
    """A verified end: who ended which grant, and when."""

    grant_id: GrantId
    event_id: str
    trigger: Trigger
    ended_at: datetime


class Pause(NamedTuple):
    """A verified pause or resumption. The highest `sequence` holds."""

    sequence: int
    is_suspended: bool

    def to_json(self) -> JsonObject:
        """Give the pause as a party answers it."""
        return {"sequence": self.sequence, "suspended": self.is_suspended}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Pause":
        """Read a party's answer."""
        is_suspended = obj.get("suspended")
        if not isinstance(is_suspended, bool):
            raise Malformed("true or false", "another value", f"{where}.suspended")
        return Pause(int_at(obj, "sequence", where), is_suspended)


def later_pause(found: Pause | None, other: Pause) -> Pause:
    """Give the one of the two that holds; of the same sequence, the one that suspends."""
    return other if found is None else max(found, other)


def audience_of(agreement: Agreement) -> tuple[str, ...]:
    """Give whom an event about the grant is for: receiver, custodian, recipients."""
    terms = agreement.terms
    recipients = (party.did for party in terms.recipients)
    return (terms.receiver.client_id, terms.custodian.origin, *recipients)


def sign_end(
    agreement: Agreement, trigger: Trigger, *, signer: Signer, now: datetime, random: Random
) -> str:
    """Give the signed event, by a party that `Parties.may` end the grant so."""
    return sign_end_of(
        agreement.grant_id,
        audience_of(agreement),
        trigger,
        signer=signer,
        now=now,
        random=random,
    )


def sign_end_of(
    grant_id: GrantId,
    audience: tuple[str, ...],
    trigger: Trigger,
    *,
    signer: Signer,
    now: datetime,
    random: Random,
) -> str:
    """Do the same for who knows the grant by its id alone: a case's or an order's system."""
    event: JsonObject = {"erase": True}
    return _sign(grant_id, audience, {_ENDS[trigger]: event}, signer=signer, now=now, random=random)


def sign_pause(
    agreement: Agreement,
    pause: Pause,
    *,
    signer: Signer,
    now: datetime,
    random: Random,
) -> str:
    """Give the holder's signed suspension or resumption.

    One that is signed in advance, for a second device, has a sequence far above
    the next; the holder resumes with one that is higher still.
    """
    name = SUSPENDED_EVENT if pause.is_suspended else RESUMED_EVENT
    events: JsonObject = {name: {"sequence": pause.sequence}}
    grant_id, audience = agreement.grant_id, audience_of(agreement)
    return _sign(grant_id, audience, events, signer=signer, now=now, random=random)


def read_end(
    token: str, *, grant_id: GrantId, parties: Parties, audience: str, now: datetime
) -> EndEvent:
    """Give the verified end of `grant_id`.

    `Refused` codes: `signed-by-another`, `signature-invalid`, `audience-mismatch`,
    `grant-mismatch`. A token of any time is good: a phone whose clock is wrong must
    still be able to withdraw. It counts from now at the latest.
    """

    def fits(events: Mapping[str, Json], by: str) -> Trigger | None:
        for trigger, name in _ENDS.items():
            if by in parties.may(trigger) and list(events) == [name]:
                return trigger
        return None

    claims, trigger = _read(token, fits, grant_id=grant_id, audience=audience)
    return EndEvent(
        grant_id=grant_id,
        event_id=_event_id(claims),
        trigger=trigger,
        ended_at=min(instant_at(claims, "iat", _WHERE), whole_second(now)),
    )


def read_pause(token: str, *, grant_id: GrantId, holder: Did, audience: str) -> Pause:
    """Give the holder's verified pause or resumption; `Refused` codes as in `read_end`."""

    def fits(events: Mapping[str, Json], by: str) -> str | None:
        for name in (SUSPENDED_EVENT, RESUMED_EVENT):
            if by == holder and list(events) == [name]:
                return name
        return None

    claims, name = _read(token, fits, grant_id=grant_id, audience=audience)
    where = f"{_WHERE}.events"
    event = object_at(object_at(claims, "events", _WHERE), name, where)
    require_members(event, ("sequence",), where)
    sequence = int_at(event, "sequence", where)
    if not 1 <= sequence <= MAX_SEQUENCE:
        raise Malformed(f"1 to {MAX_SEQUENCE}", "another number", f"{where}.sequence")
    return Pause(sequence, name == SUSPENDED_EVENT)


def is_pause(token_claims: Mapping[str, Json]) -> bool:
    """Say whether a token's claims, verified or not, are of a pause and not of an end."""
    events = token_claims.get("events")
    return isinstance(events, dict) and not {SUSPENDED_EVENT, RESUMED_EVENT}.isdisjoint(events)


def _sign(
    grant_id: GrantId,
    audience: tuple[str, ...],
    events: JsonObject,
    *,
    signer: Signer,
    now: datetime,
    random: Random,
) -> str:
    claims: JsonObject = {
        "aud": [*audience],
        "iat": seconds(now),
        "jti": b64url(random(16)),
        # RFC 9493, section 3.2.7: an opaque subject.
        "sub_id": {"format": "opaque", "id": grant_id},
        "events": events,
    }
    return sign_artefact(claims, typ=EVENT_TYP, signer=signer)


def _read(
    token: str,
    fits: Callable[[Mapping[str, Json], str], _T | None],
    *,
    grant_id: GrantId,
    audience: str,
) -> tuple[JsonObject, _T]:
    claims = read_artefact(token, typ=EVENT_TYP, by=None, where=_WHERE)
    by = text_at(claims, "iss", _WHERE)
    what = fits(object_at(claims, "events", _WHERE), by)
    if what is None:
        expected = "an event by a party that may give it"
        raise refuse("signed-by-another", expected, "another", f"{_WHERE}.iss")
    require_members(claims, ("iss", "aud", "iat", "jti", "sub_id", "events"), _WHERE)
    if audience not in texts_at(claims, "aud", _WHERE):
        raise refuse("audience-mismatch", "this party", "others", f"{_WHERE}.aud")
    subject = object_at(claims, "sub_id", _WHERE)
    if text_at(subject, "format", f"{_WHERE}.sub_id") != "opaque":
        raise Malformed("opaque", "another format", f"{_WHERE}.sub_id.format")
    named = text_at(subject, "id", f"{_WHERE}.sub_id")
    require_grant(grant_id_of(named, f"{_WHERE}.sub_id.id"), grant_id, _WHERE)
    _event_id(claims)
    return claims, what


def _event_id(claims: JsonObject) -> str:
    return short_text_at(claims, "jti", _WHERE, most=LONGEST_ID)
