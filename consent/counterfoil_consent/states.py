"""The life of a grant. Each state is a type, and no type has a way back.

                          Suspended
                            ▲  ▼
    Requested ─► Granted ─► Active ─┬► Withdrawn  ─┐
                    │               ├► Completed  ─┤
                    │               ├► Terminated ─┼─► Erased
                    └───────────────┴► Expired    ─┘

`Granted` is sealed and waits for the receiver's receipt; only `Active` can be
read. `Suspended` is paused by the holder, who alone goes on or ends. DPV:
`ConsentRequested`, `ConsentGiven`, `ConsentWithdrawn`, `ConsentRevoked` (for
terminated), `ConsentExpired` (also for completed), `ConsentUnknown` (for
suspended). A new grant is needed after an end.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias, assert_never

from counterfoil_credentials.dids import Did, key_of_did_jwk
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_consent.laws import ClaimKind, kind_of
from counterfoil_consent.terms import ClaimName, Terms, claim_name_of
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    grant_id_of,
    instant_at,
    require_members,
    seconds,
)

_WHERE: Final = "grant"


class Trigger(StrEnum):
    """What ended a grant."""

    WITHDRAWN = "withdrawn"
    COMPLETED = "completed"
    EXPIRED = "expired"
    TERMINATED = "terminated"


class Level(IntEnum):
    """How well an erasure is proved; each level includes the ones below.

    E0 an unsigned word · E1 the receiver's signature · E2 with the custodian's
    key destruction statement · E3 with every recipient's receipt · E4 attested.
    """

    E0 = 0
    E1 = 1
    E2 = 2
    E3 = 3
    E4 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What both sides hold to: the terms granted, and the digests of what says so.

    `holder` is the key used for this receiver alone; `nonce` and `terms_hash`
    (of the transaction data as asked) bind the sealed presentations.
    """

    grant_id: GrantId
    holder: Did
    terms: Terms
    request_digest: Digest
    terms_hash: str
    grant_digest: Digest
    bundle_digest: Digest
    nonce: str
    granted_at: datetime

    def to_json(self) -> JsonObject:
        """Give the agreement for storage."""
        return {
            "grant_id": self.grant_id,
            "holder": self.holder,
            "terms": self.terms.to_json(),
            "request_digest": self.request_digest,
            "terms_hash": self.terms_hash,
            "grant_digest": self.grant_digest,
            "bundle_digest": self.bundle_digest,
            "nonce": self.nonce,
            "granted_at": seconds(self.granted_at),
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str = _WHERE) -> "Agreement":
        """Read a stored agreement."""
        holder = text_at(obj, "holder", where)
        key_of_did_jwk(holder, f"{where}.holder")
        return Agreement(
            grant_id=grant_id_of(text_at(obj, "grant_id", where), f"{where}.grant_id"),
            holder=Did(holder),
            terms=Terms.from_json(object_at(obj, "terms", where), f"{where}.terms"),
            request_digest=Digest(text_at(obj, "request_digest", where)),
            terms_hash=text_at(obj, "terms_hash", where),
            grant_digest=Digest(text_at(obj, "grant_digest", where)),
            bundle_digest=Digest(text_at(obj, "bundle_digest", where)),
            nonce=text_at(obj, "nonce", where),
            granted_at=instant_at(obj, "granted_at", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """A receiver asked. Nothing has left the wallet."""

    terms: Terms
    request_digest: Digest
    terms_hash: str
    nonce: str
    expires_at: datetime

    def grant(
        self,
        *,
        grant_id: GrantId,
        holder: Did,
        terms: Terms,
        grant_digest: Digest,
        bundle_digest: Digest,
        at: datetime,
    ) -> "Granted":
        """Agree to `terms`, which the caller has found equal to the asked ones or narrower."""
        return Granted(
            Agreement(
                grant_id=grant_id,
                holder=holder,
                terms=terms,
                request_digest=self.request_digest,
                terms_hash=self.terms_hash,
                grant_digest=grant_digest,
                bundle_digest=bundle_digest,
                nonce=self.nonce,
                granted_at=at,
            )
        )


@dataclass(frozen=True, slots=True)
class Granted:
    """Sealed and handed over; the receiver has not acknowledged it, and cannot read."""

    agreement: Agreement

    def acknowledge(self, receipt: str) -> "Active":
        """Go into force on the receiver's signed receipt."""
        return Active(self.agreement, receipt)

    def withdraw(self, at: datetime) -> "Withdrawn":
        """End the consent. A `Withdrawn` grant has no way back."""
        return Withdrawn(self.agreement, at)

    def complete(self, at: datetime) -> "Completed":
        """End the consent because the receiver has what it was for."""
        return Completed(self.agreement, at)

    def terminate(self, at: datetime) -> "Terminated":
        """End the consent because the receiver, or the authority, says so."""
        return Terminated(self.agreement, at)

    def expire(self) -> "Expired":
        """End the consent because its time is over."""
        return Expired(self.agreement, self.agreement.terms.valid_until)

    def end(self, trigger: Trigger, at: datetime) -> "Withdrawn":
        """End the consent for this reason, at this time (an expiry has its own)."""
        match trigger:
            case Trigger.WITHDRAWN:
                return self.withdraw(at)
            case Trigger.COMPLETED:
                return self.complete(at)
            case Trigger.TERMINATED:
                return self.terminate(at)
            case Trigger.EXPIRED:
                return self.expire()


@dataclass(frozen=True, slots=True)
class Active(Granted):
    """In force: the receiver may read under a lease. `receipt` is its signed word."""

    receipt: str

    def suspend(self) -> "Suspended":
        """Pause: nothing can be read until the holder resumes."""
        return Suspended(self.agreement, self.receipt)


@dataclass(frozen=True, slots=True)
class Suspended(Granted):
    """Paused by the holder: acknowledged and kept, and not to be read."""

    receipt: str

    def resume(self) -> "Active":
        """Go on."""
        return Active(self.agreement, self.receipt)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The holder ended it. Nothing may be read any more."""

    agreement: Agreement
    ended_at: datetime

    @property
    def trigger(self) -> Trigger:
        """Give what ended the grant."""
        return Trigger.WITHDRAWN

    def erase(self, at: datetime, level: Level) -> "Erased":
        """Conclude on the receiver's erasure receipt, proved at `level`."""
        return Erased(self.agreement, self.trigger, at, level, ended_at=self.ended_at)


@dataclass(frozen=True, slots=True)
class Completed(Withdrawn):
    """The receiver ended it: the purpose is fulfilled."""

    @property
    def trigger(self) -> Trigger:
        """Give what ended the grant."""
        return Trigger.COMPLETED


@dataclass(frozen=True, slots=True)
class Terminated(Withdrawn):
    """The receiver or the authority ended it."""

    @property
    def trigger(self) -> Trigger:
        """Give what ended the grant."""
        return Trigger.TERMINATED


@dataclass(frozen=True, slots=True)
class Expired(Withdrawn):
    """The clock ended it."""

    @property
    def trigger(self) -> Trigger:
        """Give what ended the grant."""
        return Trigger.EXPIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What the receiver must keep, under which law (laws.py), until when.

    `kind` is what the claims are about: a law speaks of some kinds only.
    """

    claims: tuple[ClaimName, ...]
    kind: ClaimKind
    law: str
    until: datetime

    def to_json(self) -> JsonObject:
        """Give the item as it stands in receipts."""
        return {
            "claims": [name.to_json() for name in self.claims],
            "kind": self.kind.value,
            "law": self.law,
            "until": seconds(self.until),
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Retained":
        """Read one item."""
        require_members(obj, ("claims", "kind", "law", "until"), where)
        names = tuple(
            claim_name_of(as_object(name, where), where) for name in list_at(obj, "claims", where)
        )
        law = text_at(obj, "law", where)
        if not names or not law:
            raise Malformed("claims and the law", "none", where)
        return Retained(
            claims=names,
            kind=kind_of(text_at(obj, "kind", where), f"{where}.kind"),
            law=law,
            until=instant_at(obj, "until", where),
        )


class Missing(StrEnum):
    """What keeps an erasure receipt from a higher level."""

    RECEIPT = "receiver-receipt"
    STATEMENT = "custodian-statement"
    LEASE_LOG = "closed-lease-log"
    RECIPIENT = "recipient-receipt"
    GOOD_RECIPIENT = "good-recipient-receipt"
    ATTESTATION = "trusted-attestation"


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that a receipt does not prove, and whose paper it is: a recipient's name."""

    what: Missing
    party: str = ""

    def to_json(self) -> JsonObject:
        """Give the lack for storage."""
        return {"what": self.what.value, "party": self.party}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Lack":
        """Read a stored lack."""
        require_members(obj, ("what", "party"), where)
        return Lack(Missing(text_at(obj, "what", where)), text_at(obj, "party", where))


@dataclass(frozen=True, slots=True)
class Erased:
    """Ciphertext and keys are gone, proved at `level`. The id is a tombstone for ever.

    `retained` is what the receiver says a law makes it keep: show it beside the level,
    as well as what the proof `lacks` for a higher one. `ended_at` is when the end was said,
    None in a row of an older version; `backups_until` when the last backup of the receiver's
    systems, or of a recipient's, that may still hold something is gone, None for none.
    """

    agreement: Agreement
    trigger: Trigger
    erased_at: datetime
    level: Level
    retained: tuple[Retained, ...] = ()
    lacks: tuple[Lack, ...] = ()
    ended_at: datetime | None = None
    backups_until: datetime | None = None


Ended: TypeAlias = Withdrawn | Completed | Terminated | Expired
State: TypeAlias = (
    Granted | Active | Suspended | Withdrawn | Completed | Terminated | Expired | Erased
)


def name_of(state: State) -> str:
    """Give the state's name as stored and as answered."""
    return type(state).__name__.lower()


def state_to_json(state: State) -> JsonObject:
    """Give a state for storage. It holds names and digests, no claim value and no key."""
    head: JsonObject = {"state": name_of(state), "agreement": state.agreement.to_json()}
    match state:
        case Active() | Suspended():
            return {**head, "receipt": state.receipt}
        case Granted():
            return head
        case Withdrawn():
            return {**head, "ended_at": seconds(state.ended_at)}
        case Erased():
            kept: JsonObject = {"retained": [item.to_json() for item in state.retained]}
            lacks: JsonObject = {"lacks": [lack.to_json() for lack in state.lacks]}
            times = {"ended_at": state.ended_at, "backups_until": state.backups_until}
            return {
                **head,
                "trigger": state.trigger.value,
                "erased_at": seconds(state.erased_at),
                "level": state.level.value,
                **(kept if state.retained else {}),
                **(lacks if state.lacks else {}),
                **{name: seconds(at) for name, at in times.items() if at is not None},
            }
        case _:
            assert_never(state)


def state_from_json(obj: JsonObject, where: str = _WHERE) -> State:
    """Read a stored state."""
    name = text_at(obj, "state", where)
    members = _MEMBERS.get(name)
    if members is None:
        raise Malformed("a grant's state", "another text", f"{where}.state")
    optional = _ERASED_OPTIONAL if name == "erased" else ()
    require_members(obj, ("state", "agreement", *members), where, optional=optional)
    agreement = Agreement.from_json(object_at(obj, "agreement", where), f"{where}.agreement")
    match name:
        case "granted":
            return Granted(agreement)
        case "active":
            return Active(agreement, text_at(obj, "receipt", where))
        case "suspended":
            return Suspended(agreement, text_at(obj, "receipt", where))
        case "withdrawn":
            return Withdrawn(agreement, instant_at(obj, "ended_at", where))
        case "completed":
            return Completed(agreement, instant_at(obj, "ended_at", where))
        case "terminated":
            return Terminated(agreement, instant_at(obj, "ended_at", where))
        case "expired":
            return Expired(agreement, instant_at(obj, "ended_at", where))
        case _:
            return Erased(
                agreement,
                Trigger(text_at(obj, "trigger", where)),
                instant_at(obj, "erased_at", where),
                Level(int_at(obj, "level", where)),
                _retained(obj, where),
                _lacks(obj, where),
                instant_at(obj, "ended_at", where) if "ended_at" in obj else None,
                instant_at(obj, "backups_until", where) if "backups_until" in obj else None,
            )


def _retained(obj: JsonObject, where: str) -> tuple[Retained, ...]:
    place = f"{where}.retained"
    listed = list_at(obj, "retained", where) if "retained" in obj else []
    return tuple(Retained.from_json(as_object(item, place), place) for item in listed)


def _lacks(obj: JsonObject, where: str) -> tuple[Lack, ...]:
    place = f"{where}.lacks"
    listed = list_at(obj, "lacks", where) if "lacks" in obj else []
    return tuple(Lack.from_json(as_object(item, place), place) for item in listed)


_ERASED_OPTIONAL: Final = ("retained", "lacks", "ended_at", "backups_until")
_MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "granted": (),
    "active": ("receipt",),
    "suspended": ("receipt",),
    "withdrawn": ("ended_at",),
    "completed": ("ended_at",),
    "terminated": ("ended_at",),
    "expired": ("ended_at",),
    "erased": ("trigger", "erased_at", "level"),
}
