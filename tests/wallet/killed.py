"""A wallet in a process of its own, to be killed: its network is whoever started it.

    one = Victims()
    said = one.run("accept", folder=..., link=..., network=town.network, kill=Kill(3, ...))

One process has everything loaded and forks a victim for each run, which opens the
wallet as a program does that just started. What it sends and what it says comes over a
pipe, one line of JSON each; the kill is SIGKILL, at a call, between two, or while writing.
"""

import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from counterfoil_credentials.encoding import as_object
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Fetcher, MemoryFetcher, Response
from counterfoil_wallet import Wallet
from counterfoil_wallet.backup import read_backup, write_backup
from counterfoil_wallet.exporting import write_export
from counterfoil_wallet.passphrase import Cost
from counterfoil_wallet.sqlite_store import SqliteStore, change_version

CHEAP = Cost(memory_kib=32, iterations=1, lanes=1)
SECRET = "correct horse battery staple"
ENDED = "ended"
BACKUPS = 4


@dataclass(frozen=True)
class Kill:
    """At which line of the victim it ends, before or after that call was made, and how long on."""

    line: int
    before_sending: bool
    answered: bool
    delay_s: float

    @staticmethod
    def by(chance: random.Random, lines: int, longest_s: float) -> "Kill":
        """Give any moment of a run that says or sends `lines` lines."""
        return Kill(
            chance.randrange(lines + 1),
            chance.random() < 0.3,
            chance.random() < 0.7,
            chance.uniform(0, longest_s),
        )


class Victims:
    """Runs victims one after the other."""

    def __init__(self) -> None:
        """Load everything that a victim needs, once."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent.parent,
        )

    def close(self) -> None:
        """End the process that forks; no victim is left by then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(
        self,
        verb: str,
        given: Mapping[str, str | int],
        *,
        network: Fetcher | None = None,
        kill: Kill | None,
    ) -> list[Any]:
        """Let a victim do `verb` until it is done or killed, and give what it said it did."""
        self._tell({"verb": verb, **given})
        said: list[Any] = []
        pid, seen = 0, 0
        while (line := self._heard()) != {ENDED: True}:
            if line is None:  # half a line of a victim that is no more
                continue
            assert "failed" not in line, line["failed"]
            pid = line.get("pid", pid)
            if "said" in line:
                said.append(line["said"])
            if kill is not None and seen == kill.line:
                if "url" in line and not kill.before_sending:
                    answer = _answer(line, network)
                    if kill.answered:
                        self._tell(answer)
                time.sleep(kill.delay_s)
                with suppress(ProcessLookupError):  # it was done by then
                    os.kill(pid, signal.SIGKILL)
                kill = None
            elif "url" in line:
                self._tell(_answer(line, network))
            seen += 1
        return said

    def _tell(self, line: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.stdin.flush()

    def _heard(self) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the victims' process ended by itself"
        try:
            heard: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        return heard


def _answer(line: Mapping[str, Any], network: Fetcher | None) -> dict[str, object]:
    assert network is not None
    headers: dict[str, str] = line["headers"]
    if line["method"] == "GET":
        response = network.get(line["url"], accept=headers.pop("accept"), headers=headers)
    else:
        response = network.post(
            line["url"],
            base64.b64decode(line["body"]),
            media_type=headers.pop("content-type"),
            accept=headers.pop("accept"),
            headers=headers,
        )
    return {
        "status": response.status,
        "media_type": response.media_type,
        "body": base64.b64encode(response.body).decode(),
        "headers": dict(response.headers),
    }


# From here on: what runs in the process that forks, and in its victims.


def _say(**line: object) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


def _network(origins: str) -> MemoryFetcher:
    def handler(origin: str) -> Callable[[str, str, Mapping[str, str], bytes], Response]:
        def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
            _say(
                method=method,
                url=f"{origin}{path}",
                headers=dict(headers),
                body=base64.b64encode(body).decode(),
            )
            answer = json.loads(_line())
            return Response(
                answer["status"],
                answer["media_type"],
                base64.b64decode(answer["body"]),
                answer["headers"],
            )

        return handle

    fetcher = MemoryFetcher()
    for origin in origins.split():
        fetcher.serve(origin, handler(origin))
    return fetcher


def _wallet(given: Mapping[str, Any]) -> Wallet:
    now = datetime.fromisoformat(given["now"])
    store = SqliteStore.open(Path(given["folder"]), SECRET)
    return Wallet(store, fetcher=_network(given["origins"]), clock=lambda: now)


def _accept(given: Mapping[str, Any]) -> None:
    wallet = _wallet(given)
    accepted = wallet.accept(given["link"], tx_code=given["tx_code"])
    _say(said=[credential.credential_id for credential in accepted.credentials])


def _present(given: Mapping[str, Any]) -> None:
    wallet = _wallet(given)
    wallet.present(wallet.matches(given["link"]).choose())
    _say(said="shown")


def _open(given: Mapping[str, Any]) -> None:
    SqliteStore.open(Path(given["folder"]), SECRET).close()
    _say(said="opened")


def _go_back(given: Mapping[str, Any]) -> None:
    change_version(Path(given["folder"]), SECRET, 1)
    _say(said="went back")


def _back_up(given: Mapping[str, Any]) -> None:
    store = SqliteStore.open(Path(given["folder"]), SECRET)
    at = datetime.fromisoformat(given["now"])
    for _ in range(BACKUPS):
        write_backup(store, Path(given["file"]), SECRET, at=at, random=os.urandom, cost=CHEAP)
        _say(said="backed up")


def _restore(given: Mapping[str, Any]) -> None:
    contents = read_backup(Path(given["file"]), SECRET)
    _say(said="read")
    SqliteStore.create(
        Path(given["folder"]), SECRET, random=os.urandom, cost=CHEAP, fill=contents.put_into
    ).close()
    _say(said="restored")


def _export(given: Mapping[str, Any]) -> None:
    store = SqliteStore.open(Path(given["folder"]), SECRET)
    at = datetime.fromisoformat(given["now"])
    _say(said="began")
    write_export(store, Path(given["into"]), SECRET, at=at, random=os.urandom, cost=CHEAP)
    _say(said="exported")


_VERBS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "accept": _accept,
    "present": _present,
    "open": _open,
    "go back": _go_back,
    "back up": _back_up,
    "restore": _restore,
    "export": _export,
}


def main() -> None:
    """Fork a victim for each line that names a verb; other lines are answers nobody awaits."""
    while line := _line():
        try:
            given = as_object(json.loads(line), "line")
        except (ValueError, Malformed):
            continue
        if "verb" not in given:
            continue
        pid = os.fork()
        if pid == 0:
            try:
                _say(pid=os.getpid())
                _VERBS[str(given["verb"])](given)
            except BaseException:  # noqa: BLE001  # the test fails with it
                _say(failed=traceback.format_exc())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        # On a line of its own, whatever the victim was writing.
        os.write(1, b"\n")
        _say(**{ENDED: True})


if __name__ == "__main__":
    main()
