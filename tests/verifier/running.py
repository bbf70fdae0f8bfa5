"""`counterfoil verifier serve`, run as a shop's engineer runs it: a process of its own.

`Served` starts one. Who needs many has them forked by a process that has loaded the
program before (`Workers`): a start takes a tenth of the time, and is the same otherwise.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

COMMAND = [str(Path(sys.executable).parent / "counterfoil"), "verifier"]
ROOT = Path(__file__).parent.parent.parent
_LOADED = (
    "counterfoil_service.postgres_session",
    "counterfoil_service.serving",
    "counterfoil_verifier.operating",
    "counterfoil_verifier.shop_service",
)


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


class Worker(NamedTuple):
    """One process that serves."""

    pid: int
    port: int


class Workers:
    """Serving processes of one folder; `forking` gives it."""

    def __init__(self, folder: Path, log: Path, process: subprocess.Popen[str]) -> None:
        self._folder = folder
        self._log = log
        self._process = process
        self._url: list[str] = []

    def start(self, first: str = "") -> Worker:
        """Serve the folder on a port of its own, under the URL of the first that did.

        `first` names a function, as `module:name`, that the process calls before it serves.
        """
        arguments = [str(self._folder), "--json", "--port", "0", *self._url]
        pid = self._told({"serve": arguments, "first": first})["pid"]
        said = self._line()
        self._url = ["--public-url", said["verifier"]]
        return Worker(pid, int(said["listens"].rpartition(":")[2]))

    def kill(self, *workers: Worker) -> None:
        """End them as the power does, all at once."""
        self._told({"kill": [worker.pid for worker in workers]})

    def _told(self, what: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(json.dumps(what), file=self._process.stdin, flush=True)
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-4_000:]
        return dict(json.loads(line))


@contextmanager
def forking(folder: Path, log: Path, **environment: str) -> Generator[Workers, None, None]:
    """Give the workers of a folder, which write to `log`; all of them are gone at the end."""
    program = [sys.executable, "-m", "tests.verifier.running"]
    with (
        log.open("wb") as trouble,
        subprocess.Popen(
            program,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=trouble,
            text=True,
        ) as process,
    ):
        yield Workers(folder, log, process)


def fork_on_demand() -> None:
    """Load what serves; then fork, and kill, as the lines that come in say."""
    for module in _LOADED:
        import_module(module)
    pids: set[int] = set()
    try:
        for line in sys.stdin:
            match json.loads(line):
                case {"serve": [*arguments], "first": str(first)}:
                    # The line is out before the other process can say anything.
                    ready, go = os.pipe()
                    pid = os.fork()
                    if pid == 0:
                        os.close(go)
                        os.read(ready, 1)
                        _serve(["serve", *arguments], first)
                    pids.add(pid)
                    _say({"pid": pid})
                    os.close(go)
                    os.close(ready)
                case {"kill": [*killed]}:
                    _end(killed)
                    pids.difference_update(killed)
                    _say({})
                case _:
                    raise ValueError(line)
    finally:
        _end(sorted(pids))


def _serve(arguments: list[str], first: str) -> None:
    from counterfoil_verifier import cli

    status = 1
    try:
        if first:
            module, _, name = first.partition(":")
            getattr(import_module(module), name)()
        status = cli.main(arguments)
    except BaseException:  # noqa: BLE001  # a process ends here
        traceback.print_exc()
    finally:
        _say({"ended": status})
        os._exit(status)


def _say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def _end(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    fork_on_demand()
