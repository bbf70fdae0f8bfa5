"""How tests run the demo: as a person would, in a process of its own, over a folder."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [str(Path(sys.executable).parent / "counterfoil"), "demo"]
LETTERS = ["a", "b", "c", "d", "e", "f"]


@dataclass(frozen=True)
class Run:
    """A run that ended: its exit status, what it printed, and its JSON steps if it was asked."""

    status: int
    out: str
    err: str

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        return {step["step"]: step for step in map(json.loads, self.out.splitlines())}


def run_demo(data: Path, *arguments: str, timeout_s: float = 240) -> Run:
    """Run the demo over `data` to its end."""
    done = subprocess.run(
        [*COMMAND, "--data", str(data), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    return Run(done.returncode, done.stdout, done.stderr)


def processes_over(data: Path) -> dict[int, str]:
    """Give the demo's processes over `data`: their ids, and the module or command each runs."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if str(data) in words and int(entry.name) != os.getpid():
            found[int(entry.name)] = next((w for w in words if "counterfoil_demo" in w), "demo")
    return found


def none_left(data: Path, within_s: float = 15) -> bool:
    """Say whether every process over `data` is gone within the time."""
    until = time.monotonic() + within_s
    while processes_over(data):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def kill(process: int) -> None:
    """Send SIGKILL; a process that is gone already is no trouble."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
