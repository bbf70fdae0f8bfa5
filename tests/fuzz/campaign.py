"""What `scripts/fuzz` runs: targets for some seconds each, two at a time, and one line on each.

    python -m tests.fuzz.campaign NAME… | all [SECONDS]
    python -m tests.fuzz.campaign keep NAME… | all

The first fuzzes from the committed corpus and what earlier runs found. The second
adds to the committed corpus the found inputs that reach code nothing there reaches.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS

ROOT: Final = Path(__file__).parent.parent.parent
CORPUS: Final = Path(__file__).parent / "corpus"
WORK: Final = ROOT / ".venvs" / "fuzz.work"
_SECONDS: Final = 60
_AT_A_TIME: Final = 2
_BOUNDS: Final = (
    "-timeout=10",
    "-rss_limit_mb=1024",
    "-max_len=8192",
    "-report_slow_units=2",
    f"-dict={Path(__file__).parent / 'words.dict'}",
)
_STATES: Final = {0: "clean", 70: "HANG", 71: "MEMORY", 77: "CRASH"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target's run ended."""

    name: str
    state: str
    runs: int
    seconds: int
    edges: int
    inputs: int
    artifacts: tuple[Path, ...]

    def __str__(self) -> str:
        """Give the summary's line."""
        line = (
            f"{self.name:<12} {self.state:<8} {self.runs:>9} runs {self.seconds:>5} s"
            f" {self.edges:>6} edges {self.inputs:>6} inputs"
        )
        return "\n".join([line, *(f"    {path}" for path in self.artifacts)])


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; status 1 when a run ended badly, 2 when it says nothing."""
    keeping = arguments[:1] == ["keep"]
    rest = list(arguments[keeping:])
    seconds = int(rest.pop()) if rest and rest[-1].isdigit() else _SECONDS
    names = list(TARGETS) if rest == ["all"] else rest
    if not names or not TARGETS.keys() >= set(names):
        sys.stderr.write(f"{__doc__}\nNAME: {', '.join(TARGETS)}\n")
        return 2
    if keeping:
        for name in names:
            sys.stdout.write(f"{name:<12} {keep(name)} kept\n")
        return 0
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        outcomes = [*pool.map(fuzz, names, [seconds] * len(names))]
    summary = "".join(f"{outcome}\n" for outcome in outcomes)
    (WORK / "summary.txt").write_text(summary, encoding="utf-8")
    sys.stdout.write(summary)
    return int(any(outcome.state != "clean" for outcome in outcomes))


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target for `seconds`."""
    found, artifacts = WORK / name / "corpus", WORK / name / "artifacts"
    shutil.rmtree(artifacts, ignore_errors=True)
    for folder in (found, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    log = WORK / name / "log.txt"
    status = _drive(
        name,
        f"-max_total_time={seconds}",
        f"-artifact_prefix={artifacts}/",
        *_BOUNDS,
        str(found),
        str(CORPUS / name),
        log=log,
        # libFuzzer's own alarms come first; this one is for when they do not.
        within=seconds + 300,
    )
    text = log.read_text(encoding="utf-8", errors="replace")
    # The last progress line counts even where a crash left no closing one.
    progress = re.findall(r"^#(\d+)\s.*?cov: (\d+) .*?corp: (\d+)", text, re.MULTILINE)
    done = re.findall(r"^Done (\d+) runs in (\d+) second", text, re.MULTILINE)
    runs, edges, inputs = (int(number) for number in (progress or [("0", "0", "0")])[-1])
    return Outcome(
        name=name,
        state=_STATES.get(status, f"status {status}"),
        runs=int(done[-1][0]) if done else runs,
        seconds=int(done[-1][1]) if done else 0,
        edges=edges,
        inputs=inputs,
        artifacts=tuple(path.relative_to(ROOT) for path in sorted(artifacts.iterdir())),
    )


def keep(name: str) -> int:
    """Add to the committed corpus what reaches more than it does, and give the number of files."""
    kept = CORPUS / name
    before = len([*kept.iterdir()])
    log = WORK / name / "keep.txt"
    status = _drive(
        name, "-merge=1", *_BOUNDS, str(kept), str(WORK / name / "corpus"), log=log, within=1200
    )
    if status != 0:
        raise SystemExit(f"expected a merge, found status {status}: {log}")
    return len([*kept.iterdir()]) - before


def _drive(name: str, *arguments: str, log: Path, within: int) -> int:
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.fuzz.drive", name, *arguments]
        try:
            return subprocess.run(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=within,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return 70


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
