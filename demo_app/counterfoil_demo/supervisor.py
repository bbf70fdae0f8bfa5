"""Start every house as a process of its own, and leave none behind.

The sockets are bound before anybody starts, so that each house knows the
others' addresses. Every child holds the read end of one pipe: when this process
dies, even by `kill -9`, the pipe ends and the children are gone at once.
"""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from counterfoil_credentials.errors import Reason, Refused, Unavailable
from counterfoil_service.access import load_or_create_key
from counterfoil_service.serving import bind

from counterfoil_demo.houses import ADDRESSES, HOUSES, House, read_routes, write_routes

KEY_FILE: Final = "back-office.key"
LOCK_FILE: Final = ".lock"
_LOG_FILE: Final = "errors.log"
_GRACE_S: Final = 8.0
_DYING_S: Final = 1.0


class Supervisor:
    """The houses of one data folder, running while the `with` block does."""

    def __init__(self, data: Path, houses: Sequence[House] = HOUSES) -> None:
        """Take the folder; nothing starts before the `with` block is entered."""
        self._data = data
        self._houses = houses
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Bind, write the addresses, start. Raises `Refused` when the folder is in use."""
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every house and wait for it."""
        self._stop()

    def key_of(self, house: House) -> str:
        """Give the bearer key of a house's back office."""
        return load_or_create_key(self._data / house.name / KEY_FILE)

    def processes(self) -> dict[str, int]:
        """Give the process id of each house, for tests that kill one."""
        return {name: child.pid for name, child in self._children.items()}

    def require_all_alive(self) -> None:
        """Raise `Unavailable`, naming the house, when one has stopped by itself."""
        # A broken connection is seen a moment before the end of the process behind it.
        until = time.monotonic() + _DYING_S
        while time.monotonic() < until:
            for name, child in self._children.items():
                if child.poll() is not None:
                    raise Unavailable(
                        f"expected {name} to run, found it stopped; run again over the same folder "
                        f"({name}/{_LOG_FILE} says why, unless it was killed)"
                    )
            time.sleep(0.05)

    def _start(self) -> None:
        self._open.enter_context(only_one_at_a_time(self._data / LOCK_FILE))
        lifeline, self_end = os.pipe()
        # Nobody ever writes: the pipe's end is the message.
        self._open.callback(os.close, self_end)
        try:
            listeners = self._bind()
            for house in self._houses:
                self._children[house.name] = self._spawn(house, listeners[house.name], lifeline)
        finally:
            os.close(lifeline)

    def _bind(self) -> dict[str, socket.socket]:
        known = read_routes(self._data)
        listeners: dict[str, socket.socket] = {}
        for house in self._houses:
            preferred = urlsplit(known.get(house.origin, "")).port or house.port
            listeners[house.name] = self._open.enter_context(bind(preferred))
        write_routes(
            self._data,
            {
                # Who does not run this time keeps its address for the next.
                **known,
                **{
                    house.origin: f"http://127.0.0.1:{listeners[house.name].getsockname()[1]}"
                    for house in self._houses
                },
            },
        )
        return listeners

    def _spawn(
        self, house: House, listener: socket.socket, lifeline: int
    ) -> subprocess.Popen[bytes]:
        folder = self._data / house.name
        folder.mkdir(mode=0o700, exist_ok=True)
        load_or_create_key(folder / KEY_FILE)
        with listener, (folder / _LOG_FILE).open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "counterfoil_demo.house",
                    house.module,
                    house.name,
                    str(self._data),
                    str(listener.fileno()),
                    str(lifeline),
                ],
                pass_fds=(listener.fileno(), lifeline),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Ctrl-C is for this process; it stops the children in order.
                start_new_session=True,
            )

    def _stop(self) -> None:
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._open.close()


def prepare_folder(data: Path) -> None:
    """Make the data folder; a folder of something else is left as it is.

    Raises `Refused` when `data` is a file, may not be written to, or holds things
    that no run of the demo put there.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (data / LOCK_FILE).open("a"):
            pass
    except OSError as cause:
        found = "a file" if data.is_file() else "none that could be written to"
        raise Refused(Reason("folder-unusable", "a folder to write to", found, "--data")) from cause
    others = {path.name for path in data.iterdir()} - {LOCK_FILE}
    if others and not (data / ADDRESSES).exists():
        (data / LOCK_FILE).unlink()
        expected = "an empty folder, or one of an earlier run"
        raise Refused(Reason("folder-of-others", expected, "another", "--data"))


@contextlib.contextmanager
def only_one_at_a_time(path: Path) -> Generator[None]:
    """Hold the lock file at `path`; raises `Refused` when another process holds it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise Refused(
                Reason("folder-in-use", "a folder that no other demo uses", "one in use", "--data")
            ) from cause
        yield
