"""What a grant is for, when that has an end of its own: it ends with it, not with its date.

    single_use    one read
    transaction   a payment or a delivery is done
    case          a warranty or service case is closed
    order         an order is fulfilled

The named issuer says so with a signed event (events.py). It can only end the
grant sooner: without the event the grant ends at its date.
"""

from dataclasses import dataclass
from enum import StrEnum

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject, from_b64url, text_at
from counterfoil_credentials.errors import Malformed

from counterfoil_consent.parties import did_at
from counterfoil_consent.wire import Digest, require_members


class CompletionKind(StrEnum):
    """What completes a grant (`dpv:UntilEventDuration`)."""

    SINGLE_USE = "single_use"
    TRANSACTION = "transaction"
    CASE = "case"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The condition: its kind, who may say that it holds, and a salted digest of what it names.

    `by` is None for the receiver itself; a single use needs nobody's word.
    """

    kind: CompletionKind
    by: Did | None = None
    reference: Digest | None = None

    @property
    def is_single_use(self) -> bool:
        """Whether the first read is the last."""
        return self.kind is CompletionKind.SINGLE_USE

    def to_json(self) -> JsonObject:
        """Give the condition as it stands in terms."""
        obj: JsonObject = {"kind": self.kind.value}
        if self.by is not None:
            obj["event_issuer"] = self.by
        if self.reference is not None:
            obj["reference"] = self.reference
        return obj

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Completion":
        """Read the condition."""
        require_members(obj, ("kind",), where, optional=("event_issuer", "reference"))
        try:
            kind = CompletionKind(text_at(obj, "kind", where))
        except ValueError as cause:
            raise Malformed("a known completion", "another", f"{where}.kind") from cause
        if kind is CompletionKind.SINGLE_USE and len(obj) > 1:
            raise Malformed("a single use without more", "an issuer or a reference", where)
        return Completion(
            kind=kind,
            by=did_at(obj, "event_issuer", where) if "event_issuer" in obj else None,
            reference=_reference(obj, where) if "reference" in obj else None,
        )


def _reference(obj: JsonObject, where: str) -> Digest:
    text = text_at(obj, "reference", where)
    if len(from_b64url(text, f"{where}.reference")) != 32:
        raise Malformed("a SHA-256 in base64url", "another size", f"{where}.reference")
    return Digest(text)
