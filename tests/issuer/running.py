"""The issuer's command, run as a brand's engineer runs it: a folder, and a process of its own."""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

COMMAND = [str(Path(sys.executable).parent / "counterfoil"), "issuer"]
_PATIENCE_S = 60
_ENVIRONMENT = {**os.environ, "PYTHONIOENCODING": "utf-8"}
if _ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", ""):
    # A start that compiles everything takes three times as long, and there are many.
    _compiled = tempfile.TemporaryDirectory(prefix="compiled")
    atexit.register(_compiled.cleanup)
    _ENVIRONMENT["PYTHONPYCACHEPREFIX"] = _compiled.name


class Offer(NamedTuple):
    """What a customer is sent, on two ways."""

    link: str
    tx_code: str | None


def told(*arguments: str) -> str:
    """Run a command of the issuer to its good end, and give what it printed."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
        env=_ENVIRONMENT,
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def told_json(*arguments: str) -> dict[str, Any]:
    """Run a command with `--json`, and give the object that it printed."""
    return dict(json.loads(told(*arguments, "--json")))


@dataclass(frozen=True)
class RunningIssuer:
    """A folder served by a process that listens at `listens`; `url` is the issuer's identifier."""

    folder: Path
    url: str
    listens: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        """Give the port at which it listens."""
        return int(self.listens.rpartition(":")[2])

    def offers(self, count: int, kind: str = "warranty", *, tx_code: bool = False) -> list[Offer]:
        """Make offers of sample credentials from another shell."""
        more = ["--tx-code"] if tx_code else []
        made = told_json("offer", str(self.folder), kind, "--sample", "--count", str(count), *more)
        return [Offer(one["offer"], one["tx_code"]) for one in made.get("offers", [made])]

    def offer(self, kind: str = "warranty", *, tx_code: bool = False) -> Offer:
        """Make one."""
        (one,) = self.offers(1, kind, tx_code=tx_code)
        return one

    def kill(self) -> None:
        """End the process and all its workers as the power does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_PATIENCE_S)


def init(folder: Path, where: Path | str | None = None) -> None:
    """Make a development set-up; where `where` is a URL, its database is there."""
    told("init", str(folder))
    if isinstance(where, str):
        settings = folder / "issuer.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"database": where}))


@contextmanager
def serving(folder: Path, *options: str) -> Generator[RunningIssuer, None, None]:
    """Serve a folder in a process group of its own; it ends with the block, killed or asked."""
    with subprocess.Popen(
        [*COMMAND, "serve", str(folder), *options],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=_ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            found = re.search(r"issuer (\S+) listens on (\S+)", line)
            assert found, line
            yield RunningIssuer(folder, found[1], found[2], process)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(_PATIENCE_S)
