"""`counterfoil consent audit …` and `counterfoil consent dossier …`.

    counterfoil consent dossier DIR TARGET.json    of a custodian's or a receiver's folder
    counterfoil consent audit [--receiver FILE] [--custodian FILE] [--customer FILE]
        [--anchor DIR] [--planted FILE --scan PATH ...] [--json]

Exit status of `audit`: 0 all fourteen checks are well, 1 one is not, 2 one could not
find out. What is not handed over, or cannot be read, cannot be found out.
"""

import argparse
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable

from counterfoil_consent.audit import audit, exit_status
from counterfoil_consent.audit_evidence import AnchorFiles, Evidence, Finding, Scan
from counterfoil_consent.dossier import (
    MAX_DOSSIER_BYTES,
    CustodianDossier,
    CustomerDossier,
    ReceiverDossier,
)
from counterfoil_consent.file_anchor import read_batch, read_roots

_Dossier = TypeVar("_Dossier")
_MAX_PLANTED_BYTES: Final = 1024 * 1024


def add_parsers(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Say what `audit`, `dossier` and `figures` take."""
    add = add_parser("audit", help="run the fourteen checks over dossiers").add_argument
    add("--receiver", type=Path, metavar="FILE", help="the receiver's dossier")
    add("--custodian", type=Path, metavar="FILE", help="the custodian's dossier")
    add("--customer", type=Path, metavar="FILE", help="a customer's dossier")
    add("--anchor", type=Path, metavar="DIR", help="published roots and batches")
    add("--planted", type=Path, metavar="FILE", help="planted values, one a line")
    add("--scan", type=Path, nargs="+", default=[], metavar="PATH", help="where to look for them")
    add("--json", action="store_true", help="findings for programs")
    dossier = add_parser("dossier", help="write what an auditor needs of this party")
    dossier.add_argument("dir", type=Path)
    dossier.add_argument("target", type=Path, help="a file that is not there yet")
    figures = add_parser("figures", help="sign a receiver's figures, for publication")
    figures.add_argument("dir", type=Path)
    figures.add_argument("--days", type=int, default=30, help="of how many days")
    for parser in (dossier, figures):
        parser.add_argument("--database", help="the postgresql:// URL of a receiver's rows")


def run_audit(given: argparse.Namespace) -> tuple[str, int]:
    """Run the checks over the files named; give what to print, and the exit status.

    Raises `Misuse` for a dossier that cannot be read, `Malformed` for other files.
    """
    evidence = Evidence(
        now=datetime.now(UTC),
        receiver=_read(given.receiver, ReceiverDossier.from_bytes),
        custodian=_read(given.custodian, CustodianDossier.from_bytes),
        customer=_read(given.customer, CustomerDossier.from_bytes),
        anchor=None if given.anchor is None else read_anchor(given.anchor),
        scan=_scan(given.planted, given.scan),
    )
    findings = audit(evidence)
    status = exit_status(findings)
    if given.json:
        found = [finding.to_json() for finding in findings]
        return json.dumps({"findings": found, "status": status}, indent=1), status
    return spelled(findings), status


def read_anchor(folder: Path) -> AnchorFiles:
    """Give what is published in a folder; what cannot be read is said, and proves nothing."""
    try:
        roots, _ = read_roots(folder / "roots.jsonl")
        batches = [
            read_batch(path)
            for path in (folder / "batches" / f"{number}.json" for number in roots)
            if path.exists()
        ]
    except (Malformed, Refused, Unavailable) as trouble:
        return AnchorFiles(roots={}, batches=(), trouble=str(trouble))
    return AnchorFiles(roots=roots, batches=tuple(batches))


def spelled(findings: tuple[Finding, ...]) -> str:
    """Give the findings for people: one line a check, its evidence below it."""
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{finding.number:>2} {finding.status.value:<18} {finding.name}")
        lines += [f"     {line}" for line in finding.evidence]
    return "\n".join(lines)


def write_dossier(
    path: Path, dossier: ReceiverDossier | CustodianDossier | CustomerDossier
) -> None:
    """Write a dossier to a new file that its owner alone can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(dossier.to_json(), file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path | None, read: Callable[[bytes], _Dossier]) -> _Dossier | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return read(file.read(MAX_DOSSIER_BYTES + 1))
    except OSError as error:
        found = error.strerror or "an error"
        raise Misuse(f"expected a dossier in {path.name}, found: {found}") from error
    except Malformed as error:
        raise Misuse(f"expected a dossier in {path.name}; {error}") from error


def _scan(planted: Path | None, places: list[Path]) -> Scan | None:
    if planted is None:
        return None
    with planted.open("rb") as file:
        raw = file.read(_MAX_PLANTED_BYTES + 1)
    if len(raw) > _MAX_PLANTED_BYTES:
        raise Malformed(f"at most {_MAX_PLANTED_BYTES} bytes", "more", "planted")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise Malformed("UTF-8 text", "other bytes", "planted") from cause
    return Scan(values=tuple(line for line in text.splitlines() if line), places=tuple(places))
