"""What slither found in the contracts, against the answers in `docs/points-analysis.md`.

    python -m tests.analysis.findings FINDINGS.json

A finding without an answer is a failure, and so is an answer to nothing: who changed the contract
reads both again.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[2] / "docs/points-analysis.md"
_ID_LENGTH: Final = 8
_LINES: Final = re.compile(r"#\d+(-\d+)?")
_ROW: Final = re.compile(r"^\| `([0-9a-f]{8})` \| ([\w-]+) \| `([^`]+)` \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What slither says of one place; `id` hangs on the code that it quotes, not on its lines."""

    where: str
    check: str
    id: str

    def __str__(self) -> str:
        """Give the beginning of its row on the page."""
        return f"| `{self.id}` | {self.check} | `{self.where}` |"


def found(report: Any) -> set[Finding]:  # noqa: ANN401  # as slither writes it
    """Give the findings of slither's JSON.

    Raises `ValueError` unless slither says that it looked.
    """
    if report["success"] is not True:
        raise ValueError(f"expected a report of slither, found {report['error']!r}")
    return {
        Finding(_where(it["elements"][0]), it["check"], _id(it["description"]))
        for it in report["results"].get("detectors", [])
    }


def _id(description: str) -> str:
    return sha256(_LINES.sub("", description).encode()).hexdigest()[:_ID_LENGTH]


def _where(element: Any) -> str:  # noqa: ANN401  # as slither writes it
    """Give the contract, and in it the function or the variable."""
    names: list[str] = []
    while element:
        if element["type"] == "pragma":
            return str(element["source_mapping"]["filename_relative"]).partition("/")[0]
        names.insert(0, str(element["name"]))
        element = element.get("type_specific_fields", {}).get("parent")
    return ".".join(names)


def answered(page: str) -> set[Finding]:
    """Give the findings that the page answers."""
    return {Finding(where, check, name) for name, check, where, _ in _ROW.findall(page)}


def main(arguments: Sequence[str]) -> int:
    """Name what is not answered and what answers nothing; 1 when there is any."""
    seen = found(json.loads(Path(arguments[0]).read_text("utf-8")))
    known = answered(PAGE.read_text("utf-8"))
    for finding in sorted(seen - known):
        sys.stdout.write(f"not answered: {finding}\n")
    for finding in sorted(known - seen):
        sys.stdout.write(f"answers nothing: {finding}\n")
    counts = f"{len(seen)} findings, {len(seen & known)} answered"
    sys.stdout.write(f"slither: {counts} in docs/{PAGE.name}\n")
    return int(seen != known)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
