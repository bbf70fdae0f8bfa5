"""What an audit looks at, and how it writes down what it finds."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Refused, Unavailable

from counterfoil_consent.anchor_tree import Batch
from counterfoil_consent.dossier import (
    CustodianDossier,
    CustodianGrant,
    CustomerDossier,
    CustomerGrant,
    ReceiverDossier,
    ReceiverGrant,
)
from counterfoil_consent.papers import Paper
from counterfoil_consent.states import Agreement
from counterfoil_consent.wire import GrantId

_MOST_LINES: Final = 1_000


class Status(StrEnum):
    """What a check found."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "could-not-find-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorFiles:
    """Published roots and the whole batches under them. `trouble` says why they cannot be read."""

    roots: Mapping[int, bytes]
    batches: tuple[Batch, ...]
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Values that were planted, and the files and folders that must not hold them."""

    values: tuple[str, ...] = field(repr=False)
    places: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One grant, as each of those who handed something over tells it."""

    agreement: Agreement
    receiver: ReceiverGrant | None
    custodian: CustodianGrant | None
    customer: CustomerGrant | None

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.agreement.grant_id

    def papers(self) -> Iterator[tuple[str, Mapping[Paper, str]]]:
        """Give who handed over which papers."""
        if self.receiver is not None:
            yield "receiver", self.receiver.papers
        if self.customer is not None:
            yield "customer", self.customer.papers

    def all_papers(self) -> dict[Paper, str]:
        """Give each paper once: the customer's copy is worth more about the receiver than its own.

        The erasure receipt is the receiver's own, where it has one: it may say more by now.
        """
        found: dict[Paper, str] = {}
        for _, papers in self.papers():
            found |= papers
        if self.receiver is not None and Paper.ERASURE_RECEIPT in self.receiver.papers:
            found[Paper.ERASURE_RECEIPT] = self.receiver.papers[Paper.ERASURE_RECEIPT]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was handed over, at the time of the audit."""

    now: datetime
    receiver: ReceiverDossier | None = None
    custodian: CustodianDossier | None = None
    customer: CustomerDossier | None = None
    anchor: AnchorFiles | None = None
    scan: Scan | None = None

    def cases(self) -> list[Case]:
        """Give every grant whose agreement the receiver or the customer shows, by its id."""
        at_receiver = (
            {g.agreement.grant_id: g for g in self.receiver.grants} if self.receiver else {}
        )
        at_customer = (
            {g.agreement.grant_id: g for g in self.customer.grants} if self.customer else {}
        )
        at_custodian = {g.grant_id: g for g in self.custodian.grants} if self.custodian else {}
        agreements = {
            **{grant_id: grant.agreement for grant_id, grant in at_receiver.items()},
            **{grant_id: grant.agreement for grant_id, grant in at_customer.items()},
        }
        return [
            Case(
                agreements[grant_id],
                at_receiver.get(grant_id),
                at_custodian.get(grant_id),
                at_customer.get(grant_id),
            )
            for grant_id in sorted(agreements)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, and the lines that show it."""

    number: int
    name: str
    status: Status
    evidence: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """Give the finding for programs."""
        lines: list[Json] = [*self.evidence]
        return {
            "number": self.number,
            "name": self.name,
            "status": self.status.value,
            "evidence": lines,
        }


class Notes:
    """What a check writes down while it looks. The worst line decides."""

    def __init__(self) -> None:
        self._failed: list[str] = []
        self._unknown: list[str] = []
        self._fine: list[str] = []

    def fine(self, line: str) -> None:
        """Say what is as it should be."""
        self._fine.append(line)

    def wrong(self, line: str) -> None:
        """Say what is not."""
        self._failed.append(line)

    def unknown(self, line: str) -> None:
        """Say what cannot be known from what is here."""
        self._unknown.append(line)

    @contextmanager
    def reading(self, what: str) -> Generator[None, None, None]:
        """Note a paper that is not what it should be as wrong, and go on."""
        try:
            yield
        except Refused as refusal:
            self.wrong(f"{what}: {', '.join(refusal.codes)}")
        except Malformed as trouble:
            self.wrong(f"{what}: {trouble}")
        except Unavailable as trouble:
            self.unknown(f"{what}: {trouble}")

    @property
    def status(self) -> Status:
        """Give the verdict. Who saw nothing has found out nothing."""
        if self._failed:
            return Status.FAILED
        return Status.UNKNOWN if self._unknown or not self._fine else Status.OK

    def lines(self) -> tuple[str, ...]:
        """Give the lines, the worst first."""
        lines = [
            *(f"wrong: {line}" for line in self._failed),
            *(f"not known: {line}" for line in self._unknown),
            *(f"seen: {line}" for line in self._fine),
        ]
        if not lines:
            lines = ["not known: nothing of this kind was handed over"]
        left = len(lines) - _MOST_LINES
        return (*lines[:_MOST_LINES], *([f"and {left} lines more"] if left > 0 else []))
