"""The erasure receipt: what the receiver erased, how, and what it keeps under which law.

The receipt is signed anew as evidence comes in: the custodian's statement, each
recipient's own receipt, an attestation, the end of what a law made it keep. How much
it proves is computed by who checks it (erasure_proof.py).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    from_b64url,
    int_at,
    list_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Signer

from counterfoil_consent.erased_system import ErasedSystem, Method, System
from counterfoil_consent.parties import MAX_RECIPIENTS
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Agreement, Level, Retained, Trigger
from counterfoil_consent.wire import (
    Digest,
    instant_at,
    read_artefact,
    require_members,
    seconds,
    sign_artefact,
)

__all__ = [
    "AccessLog",
    "ErasedSystem",
    "ErasureReceipt",
    "Method",
    "RecipientAnswer",
    "Released",
    "System",
    "read_recipients",
    "read_released",
    "read_retained",
    "retained_in",
]

WHERE: Final = "erasure_receipt"
MOST_KEPT: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """The receiver's closed count: leases it got, requests that nobody answered, the log's digest.

    A lease that was lent and lost on its way was counted by the custodian alone: it is
    one of `unanswered`.
    """

    reads: int
    unanswered: int
    head: Digest

    def matches(self, leases: int) -> bool:
        """Say whether the custodian's count can be explained by the log."""
        return self.reads <= leases <= self.reads + self.unanswered

    def to_json(self) -> JsonObject:
        """Give the count as it stands in receipts."""
        return {"reads": self.reads, "unanswered": self.unanswered, "head": self.head}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "AccessLog":
        """Read the count."""
        require_members(obj, ("reads", "unanswered", "head"), where)
        log = AccessLog(
            reads=int_at(obj, "reads", where),
            unanswered=int_at(obj, "unanswered", where),
            head=Digest(text_at(obj, "head", where)),
        )
        if log.reads < 0 or log.unanswered < 0:
            raise Malformed("counts", "a negative number", where)
        if len(from_b64url(log.head, f"{where}.head")) != 32:
            raise Malformed("a SHA-256 in base64url", "another size", f"{where}.head")
        return log


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientAnswer:
    """A recipient of the terms, and its own receipt as received; None while there is none."""

    did: Did
    receipt: str | None

    def to_json(self) -> JsonObject:
        """Give the item as it stands in receipts."""
        obj: JsonObject = {"did": self.did}
        if self.receipt is not None:
            obj["receipt"] = self.receipt
        return obj


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What was kept under a law and is erased now: the reason for a second receipt."""

    item: Retained
    erased_at: datetime

    def to_json(self) -> JsonObject:
        """Give the item as it stands in receipts."""
        return {**self.item.to_json(), "erased_at": seconds(self.erased_at)}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Released":
        """Read one item."""
        item = {name: value for name, value in obj.items() if name != "erased_at"}
        erased_at = instant_at(obj, "erased_at", where)
        return Released(item=Retained.from_json(item, where), erased_at=erased_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReceipt:
    """The receiver's word about one ended grant, with everybody else's word inside.

    `destruction` is the custodian's token as received, or None when it could not
    be had. `attestation` is a third party's token. `level` is what the receiver
    believes that all this proves, `access_log_head` the digest that stands for each time it
    opened facts (access_log.py). No claim value stands anywhere.
    """

    agreement: Agreement
    trigger: Trigger
    requested_at: datetime
    stopped_at: datetime
    erased_at: datetime
    systems: tuple[ErasedSystem, ...]
    level: Level
    recipients: tuple[RecipientAnswer, ...] = ()
    retained: tuple[Retained, ...] = ()
    released: tuple[Released, ...] = ()
    access_log: AccessLog | None = None
    destruction: str | None = None
    attestation: str | None = None
    access_log_head: Digest | None = None

    def sign(self, signer: Signer, now: datetime | None = None) -> str:
        """Sign with the receiver's key, at `now` (when it was erased, if left out)."""
        systems: list[Json] = [system.to_json() for system in self.systems]
        recipients: list[Json] = [answer.to_json() for answer in self.recipients]
        retained: list[Json] = [item.to_json() for item in self.retained]
        names = sorted(self.agreement.terms.claim_names, key=str)
        claims: JsonObject = {
            "iat": seconds(now or self.erased_at),
            "grant": {
                "id": self.agreement.grant_id,
                "sha-256": self.agreement.grant_digest,
            },
            "trigger": self.trigger.value,
            "requested_at": seconds(self.requested_at),
            "stopped_at": seconds(self.stopped_at),
            "erased_at": seconds(self.erased_at),
            "controller": self.agreement.terms.receiver.name,
            "systems": systems,
            "claims": [name.to_json() for name in names],
            "recipients": recipients,
            "retained": retained,
            "tombstone": True,
            "level": self.level.name,
        }
        if self.released:
            claims["released"] = [item.to_json() for item in self.released]
        if self.access_log is not None:
            claims["access_log"] = self.access_log.to_json()
        if self.access_log_head is not None:
            claims["access_log_head"] = self.access_log_head
        if self.destruction is not None:
            claims["destruction"] = self.destruction
        if self.attestation is not None:
            claims["attestation"] = self.attestation
        return sign_artefact(claims, typ=ERASURE_TYP, signer=signer)


def retained_in(token: str, *, agreement: Agreement) -> tuple[Retained, ...]:
    """Give what a receipt of this receiver says it keeps."""
    claims = read_artefact(token, typ=ERASURE_TYP, by=agreement.terms.receiver.did, where=WHERE)
    return read_retained(claims)


def read_retained(claims: JsonObject) -> tuple[Retained, ...]:
    """Give what a receipt's claims list as kept."""
    where = f"{WHERE}.retained"
    listed = _bounded(list_at(claims, "retained", WHERE), MOST_KEPT, where)
    return tuple(Retained.from_json(as_object(value, where), where) for value in listed)


def read_released(claims: JsonObject) -> tuple[Released, ...]:
    """Give what a receipt's claims list as kept once and erased now."""
    where = f"{WHERE}.released"
    listed = list_at(claims, "released", WHERE) if "released" in claims else []
    listed = _bounded(listed, MOST_KEPT, where)
    return tuple(Released.from_json(as_object(value, where), where) for value in listed)


def read_recipients(claims: JsonObject) -> tuple[RecipientAnswer, ...]:
    """Give the recipients that a receipt's claims list, each once."""
    where = f"{WHERE}.recipients"
    listed = _bounded(list_at(claims, "recipients", WHERE), MAX_RECIPIENTS, where)
    answers: list[RecipientAnswer] = []
    for value in listed:
        item = as_object(value, where)
        require_members(item, ("did",), where, optional=("receipt",))
        did = Did(text_at(item, "did", where))
        answers.append(RecipientAnswer(did=did, receipt=optional_text_at(item, "receipt", where)))
    if len({answer.did for answer in answers}) != len(answers):
        raise Malformed("each recipient once", "one twice", where)
    return tuple(answers)


def _bounded(values: list[Json], most: int, where: str) -> list[Json]:
    if len(values) > most:
        raise Malformed(f"at most {most}", f"{len(values)}", where)
    return values
