"""The auditor: fourteen checks over what the parties hand over, each with its evidence.

    findings = audit(Evidence(now=..., receiver=..., custodian=..., customer=...))
    exit_status(findings)        0 all is well, 1 something is not, 2 something is not known

A check that lacks a dossier, or sees nothing of its kind, could not find out: that is
never a yes. Evidence names grants by their ids, times and digests; no claim value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from counterfoil_consent import audit_ends, audit_published, audit_reads, audit_scan
from counterfoil_consent.audit_evidence import Evidence, Finding, Notes, Status

__all__ = ["CHECKS", "Evidence", "Finding", "Status", "audit", "exit_status"]

Check = Callable[[Evidence, Notes], None]


@dataclass(frozen=True, slots=True)
class NamedCheck:
    """One of the fourteen, by the number under which reports name it."""

    number: int
    name: str
    look: Check


CHECKS: Final = (
    NamedCheck(1, "every-ciphertext-has-a-live-grant", audit_ends.ciphertexts_have_live_grants),
    NamedCheck(2, "every-read-has-a-lease-and-its-purpose", audit_reads.reads_have_leases),
    NamedCheck(3, "all-count-the-same-leases", audit_reads.counts_agree),
    NamedCheck(4, "no-read-after-the-end", audit_reads.no_read_after_the_end),
    NamedCheck(5, "papers-are-signed-by-who-may", audit_ends.papers_are_signed),
    NamedCheck(6, "every-recipient-has-answered", audit_ends.recipients_have_answered),
    NamedCheck(7, "what-is-kept-has-a-law-and-an-end", audit_ends.kept_has_law_and_end),
    NamedCheck(8, "the-notice-is-the-text-agreed-to", audit_published.notices_are_as_agreed),
    NamedCheck(9, "no-tombstone-has-a-key-again", audit_ends.tombstones_have_no_keys),
    NamedCheck(10, "logs-are-whole-and-anchored", audit_reads.logs_are_whole),
    NamedCheck(11, "no-status-list-went-back", audit_published.lists_never_went_back),
    NamedCheck(12, "published-figures-are-true", audit_published.figures_are_true),
    NamedCheck(13, "planted-values-are-nowhere", audit_scan.planted_values_are_nowhere),
    NamedCheck(14, "the-record-is-as-27560-wants-it", audit_published.records_are_complete),
)


def audit(evidence: Evidence) -> tuple[Finding, ...]:
    """Run every check, each whatever the others found."""
    findings: list[Finding] = []
    for check in CHECKS:
        notes = Notes()
        check.look(evidence, notes)
        findings.append(
            Finding(
                number=check.number, name=check.name, status=notes.status, evidence=notes.lines()
            )
        )
    return tuple(findings)


def exit_status(findings: tuple[Finding, ...]) -> int:
    """Give 0 when all is well, 1 when something is not, 2 when something is not known."""
    found = {finding.status for finding in findings}
    if Status.FAILED in found:
        return 1
    return 2 if Status.UNKNOWN in found or not findings else 0
