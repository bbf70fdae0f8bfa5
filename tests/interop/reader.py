"""Somebody who reads a guide, and types the commands that it shows in an empty folder."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.interop.node import find_node

ROOT = Path(__file__).parent.parent.parent
_PORT = re.compile(r"(?<=[ :])80\d\d\b")
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATIENCE_S = 60


def commands_of(page: str) -> list[str]:
    """Give the blocks of commands on a page, by its path in the house."""
    return _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


class Reader:
    """Somebody who types what the guide shows, with the programs that it presupposes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.serving: list[subprocess.Popen[bytes]] = []
        self._ports: dict[str, str] = {}
        programs = [Path(sys.executable).parent, Path(find_node() or "node").parent]
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        self._environment = {**os.environ, "PATH": path, "PYTHONIOENCODING": "utf-8"}
        (folder / "tests").symlink_to(ROOT / "tests")

    def types(self, block: str) -> None:
        """Run a block; a last line that ends with `&` goes on until the reader leaves."""
        *lines, last = _PORT.sub(self._own_port, block).splitlines()
        if not last.endswith(" &"):
            lines.append(last)
        self._run("\n".join(lines))
        if last.endswith(" &"):
            self._serve(last.removesuffix(" &"))

    def leaves(self) -> None:
        for process in self.serving:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(_PATIENCE_S)

    def _own_port(self, shown: re.Match[str]) -> str:
        """Give a free port for one that the guide shows: somebody else may read beside us."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            free = str(listener.getsockname()[1])
        return self._ports.setdefault(shown[0], free)

    def _run(self, block: str) -> None:
        done = subprocess.run(
            ["sh", "-euc", block],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, (block, done.stdout, done.stderr)

    def _serve(self, line: str) -> None:
        said = self.folder / "said.txt"
        with said.open("wb") as out:
            process = subprocess.Popen(
                ["sh", "-euc", f"exec {line}"],
                cwd=self.folder,
                env=self._environment,
                stdout=out,
                start_new_session=True,
            )
        self.serving.append(process)
        for _ in range(_PATIENCE_S * 10):
            if "listens on" in said.read_text():
                return
            assert process.poll() is None, said.read_text()
            time.sleep(0.1)
        raise AssertionError(f"expected a service, found silence: {line}")
