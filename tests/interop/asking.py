"""Peers that speak JSON lines: openvc-core and sd-jwt from PyPI, two from npm.

A test asks for one with `peer(name)` and is skipped by name where it cannot run. What
came back tells an answer from a refusal; a crash is neither, and fails the test.
"""

import json
import os
import subprocess
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

import pytest
from counterfoil_credentials import Json, JsonObject, MemorySigner
from counterfoil_credentials.encoding import b64url

from tests.interop.node import FOLDER, find_node, require_strangers

OPENVC: Final = "openvc-core"
PYPI: Final = "sd-jwt"
NPM: Final = "@sd-jwt"
DIGITALBAZAAR: Final = "@digitalbazaar/vc"
_ON_NODE: Final = {NPM: "peers.mjs", DIGITALBAZAAR: "data_integrity.mjs"}
PEERS: Final = (OPENVC, PYPI, NPM)
NO_PEERS: Final = "no Python peers (make .venvs/peers from requirements/peers.txt)"
_PINNED: Final = FOLDER.parent.parent / "requirements" / "peers.in"


class PeerRefused(Exception):
    """A peer refused what it was asked; the text is its own."""


@dataclass(frozen=True)
class Peer:
    """A peer's process, which answers one line with one line."""

    name: str
    process: "subprocess.Popen[bytes]"

    def ask(self, do: str, *, now: int, **what: Json) -> Json:
        """Give the answer, or raise `PeerRefused`."""
        told = self.try_ask(do, now=now, **what)
        if "refused" in told:
            raise PeerRefused(told["refused"])
        assert "answer" in told, told
        return told["answer"]

    def text(self, do: str, *, now: int, **what: Json) -> str:
        """Give the answer, which must be a text."""
        answer = self.ask(do, now=now, **what)
        assert isinstance(answer, str), answer
        return answer

    def try_ask(self, do: str, *, now: int, **what: Json) -> JsonObject:
        """Give what came back: an `answer`, or why it `refused` or `crashed`."""
        request = {"peer": self.name, "do": do, "now": now, **what}
        stdin, stdout = _pipes(self.process)
        stdin.write(json.dumps(request).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        assert line, f"expected an answer of {self.name}, found the end"
        return cast("JsonObject", json.loads(line))


@contextmanager
def peer(name: str) -> Generator[Peer, None, None]:
    """Run the peer `name`; skip the test where it cannot run.

    Should this process be killed, the peer ends with its standard input.
    """
    if name in _ON_NODE:
        require_strangers()
        command = [find_node() or "node", _ON_NODE[name]]
    else:
        command = [require_python_peers(), "-I", "peers.py"]
    with subprocess.Popen(
        command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Peer(name, process)
        finally:
            process.terminate()


def require_python_peers() -> str:
    """Give the interpreter of the peers' environment; skip the test where it is not as pinned."""
    home = FOLDER.parent.parent / ".venvs" / "peers" / "bin" / "python"
    python = os.environ.get("COUNTERFOIL_PEERS", str(home))
    if not Path(python).exists() or _versions(python) != _pinned():
        pytest.skip(NO_PEERS)
    return python


def private_jwk(signer: MemorySigner) -> JsonObject:
    """Give the private key in the form in which peers take it."""
    return {**signer.public.jwk(), "d": b64url(signer.private_bytes())}


def _pinned() -> dict[str, str]:
    lines = _PINNED.read_text(encoding="utf-8").splitlines()
    return dict(_pair(line.split("==")) for line in lines if "==" in line)


def _versions(python: str) -> dict[str, str]:
    program = "import importlib.metadata as m, sys; [print(n, m.version(n)) for n in sys.argv[1:]]"
    told = subprocess.run(
        [python, "-I", "-c", program, *_pinned()], capture_output=True, text=True, check=False
    )
    return dict(_pair(line.split()) for line in told.stdout.splitlines())


def _pair(parts: Iterable[str]) -> tuple[str, str]:
    name, value = parts
    return name, value


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
