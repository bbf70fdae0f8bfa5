"""Access events: the receiver's signed word for each time it opened facts, chained per grant.

    chain = AccessChain(MemoryAccessEvents(), signer=signer)
    chain.append(agreement, lease, role="warranty-desk", now=now)    # before facts are given
    chain.head(grant_id)                                             # stands in the receipt

Each event names the SHA-256 of the one before, so that none can be taken out, put in
or written anew once the customer, an anchor or an erasure receipt has its head. It
says when, which claims, what for, who (a role, never a person) and under which
lease; never what a claim says. An ended grant's chain is closed for ever. What was asked of
the custodian and perhaps never came is counted elsewhere (`accesses.py`).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    from_b64url,
    int_at,
    list_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Signer

from counterfoil_consent.artefacts import Lease, require_grant
from counterfoil_consent.spec import ACCESS_TYP
from counterfoil_consent.states import Agreement
from counterfoil_consent.terms import ClaimName, Purpose, claim_name_of, one_of
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    digest_of,
    grant_id_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    short_text_at,
    sign_artefact,
)

_WHERE: Final = "access"
_MAX_CLAIMS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEvent:
    """The `number`-th opening of a grant's facts, from 1, under the custodian's `read`-th lease."""

    grant_id: GrantId
    number: int
    previous: Digest
    at: datetime
    purpose: Purpose
    claims: tuple[ClaimName, ...]
    role: str
    lease: str
    read: int

    def sign(self, signer: Signer) -> str:
        """Sign with the receiver's key."""
        names: list[Json] = [name.to_json() for name in self.claims]
        claims: JsonObject = {
            "iat": seconds(self.at),
            "jti": self.lease,
            "grant_id": self.grant_id,
            "number": self.number,
            "previous": self.previous,
            "purpose": self.purpose.value,
            "claims": names,
            "operator_role": self.role,
            "read": self.read,
        }
        return sign_artefact(claims, typ=ACCESS_TYP, signer=signer)

    @staticmethod
    def read_token(token: str, *, receiver: Did, grant_id: GrantId) -> "AccessEvent":
        """Read what `receiver` signed about this grant."""
        claims = read_artefact(token, typ=ACCESS_TYP, by=receiver, where=_WHERE)
        require_members(claims, _MEMBERS, _WHERE)
        found = grant_id_of(text_at(claims, "grant_id", _WHERE), f"{_WHERE}.grant_id")
        require_grant(found, grant_id, _WHERE)
        listed = list_at(claims, "claims", _WHERE)
        previous = text_at(claims, "previous", _WHERE)
        if len(from_b64url(previous, f"{_WHERE}.previous")) != 32 or len(listed) > _MAX_CLAIMS:
            raise Malformed("a SHA-256, and the claims granted", "another", _WHERE)
        where = f"{_WHERE}.purpose"
        return AccessEvent(
            grant_id=found,
            number=int_at(claims, "number", _WHERE),
            previous=Digest(previous),
            at=instant_at(claims, "iat", _WHERE),
            purpose=one_of(Purpose, text_at(claims, "purpose", _WHERE), where),
            claims=tuple(claim_name_of(as_object(name, _WHERE), _WHERE) for name in listed),
            role=short_text_at(claims, "operator_role", _WHERE),
            lease=short_text_at(claims, "jti", _WHERE),
            read=int_at(claims, "read", _WHERE),
        )


class AccessEvents(Protocol):
    """Where signed events lie. Every method is one transaction, on disk when it returns."""

    def append(self, grant_id: GrantId, number: int, token: str) -> bool:
        """Add the event; False when `number` is not the next one, or the chain is closed."""
        ...

    def of_grant(self, grant_id: GrantId) -> list[str]:
        """Give a grant's events, oldest first."""
        ...

    def last(self, grant_id: GrantId) -> tuple[int, str] | None:
        """Give the newest event and its number."""
        ...

    def end(self, grant_id: GrantId) -> None:
        """Close the chain: nothing can be added any more."""
        ...

    def has_ended(self, grant_id: GrantId) -> bool:
        """Say whether the chain is closed."""
        ...


class AccessChain:
    """One receiver's chains, signed with its key."""

    def __init__(self, events: AccessEvents, *, signer: Signer) -> None:
        self._events = events
        self._signer = signer

    def append(self, agreement: Agreement, lease: Lease, *, role: str, now: datetime) -> str:
        """Write down that facts are about to be opened under `lease`; give the signed event.

        Raises `Refused` with `grant-ended` once the chain is closed.
        """
        grant_id = agreement.grant_id
        while not self._events.has_ended(grant_id):
            before = self._events.last(grant_id)
            number = 1 if before is None else before[0] + 1
            token = AccessEvent(
                grant_id=grant_id,
                number=number,
                previous=head_of(grant_id, [] if before is None else [before[1]]),
                at=now,
                purpose=lease.purpose,
                claims=tuple(sorted(agreement.terms.claim_names, key=str)),
                role=role,
                lease=lease.request_id,
                read=lease.read,
            ).sign(self._signer)
            # Whoever else reads at this moment may have been first: then ours is the next one.
            if self._events.append(grant_id, number, token):
                return token
        raise refuse("grant-ended", "a grant in force", "one that has ended", "grant_id")

    def of_grant(self, grant_id: GrantId) -> list[str]:
        """Give a grant's signed events, for the customer and for an auditor."""
        return self._events.of_grant(grant_id)

    def head(self, grant_id: GrantId) -> Digest:
        """Give the digest that stands for all events so far."""
        last = self._events.last(grant_id)
        return head_of(grant_id, [] if last is None else [last[1]])

    def close(self, grant_id: GrantId) -> Digest:
        """Close the chain of an ended grant and give its last head. Again gives the same."""
        self._events.end(grant_id)
        return self.head(grant_id)


def head_of(grant_id: GrantId, tokens: Sequence[str]) -> Digest:
    """Give the digest of the last event, or where there is none, of the grant's id."""
    return digest_of(tokens[-1]) if tokens else digest_of(grant_id)


def read_chain(
    tokens: Sequence[str], *, receiver: Did, grant_id: GrantId
) -> tuple[AccessEvent, ...]:
    """Give the events of a whole chain.

    Raises `Refused` with `access-log-broken` where one does not follow the one before.
    """
    events: list[AccessEvent] = []
    for place, token in enumerate(tokens):
        event = AccessEvent.read_token(token, receiver=receiver, grant_id=grant_id)
        if event.number != place + 1 or event.previous != head_of(grant_id, tokens[:place]):
            where = f"{_WHERE}[{place}]"
            raise refuse("access-log-broken", "an event after the last", "another", where)
        events.append(event)
    return tuple(events)


class MemoryAccessEvents:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._tokens: dict[GrantId, list[str]] = {}
        self._closed: set[GrantId] = set()
        self._lock = threading.Lock()

    def append(self, grant_id: GrantId, number: int, token: str) -> bool:
        with self._lock:
            tokens = self._tokens.setdefault(grant_id, [])
            if grant_id in self._closed or number != len(tokens) + 1:
                return False
            tokens.append(token)
            return True

    def of_grant(self, grant_id: GrantId) -> list[str]:
        with self._lock:
            return [*self._tokens.get(grant_id, [])]

    def last(self, grant_id: GrantId) -> tuple[int, str] | None:
        with self._lock:
            tokens = self._tokens.get(grant_id)
            return (len(tokens), tokens[-1]) if tokens else None

    def end(self, grant_id: GrantId) -> None:
        with self._lock:
            self._closed.add(grant_id)

    def has_ended(self, grant_id: GrantId) -> bool:
        with self._lock:
            return grant_id in self._closed


_MEMBERS: Final = (
    *("iss", "iat", "jti", "grant_id", "number", "previous"),
    *("purpose", "claims", "operator_role", "read"),
)
