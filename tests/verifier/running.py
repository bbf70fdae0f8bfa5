"""`counterfoil verifier serve`, run as a shop's engineer runs it: a process of its own."""

import json
import signal
import subprocess
import sys
import tempfile
from http.client import HTTPConnection
from pathlib import Path

COMMAND = [str(Path(sys.executable).parent / "counterfoil"), "verifier"]


class Served:
    """A folder that a process of its own serves."""

    def __init__(self, folder: Path, *options: str) -> None:
        # A file: a pipe that nobody reads stops who writes.
        self._trouble = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [*COMMAND, "serve", str(folder), "--json", *options],
            stdout=subprocess.PIPE,
            stderr=self._trouble,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self._end()
        self.said: dict[str, str] = json.loads(line)
        # It listens before it answers, and hears signals only then.
        assert self.answers("/requests/unknown") == 404

    @property
    def port(self) -> int:
        return int(self.said["listens"].rpartition(":")[2])

    def answers(self, path: str) -> int:
        """Give the status with which it answers a GET."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def ends(self) -> str:
        """Stop it as an operator does; give what it wrote meanwhile."""
        self.process.send_signal(signal.SIGTERM)
        trouble = self._end()
        assert self.process.returncode == 0, trouble
        return trouble

    def kill(self) -> None:
        """End it as the power does."""
        self.process.kill()
        self._end()

    def _end(self) -> str:
        self.process.communicate(timeout=60)
        if self._trouble.closed:
            return ""
        with self._trouble:
            self._trouble.seek(0)
            return self._trouble.read()
