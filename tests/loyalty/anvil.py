"""A real node on this machine: anvil, from npm (`npm ci` in tests/interop).

A test that asks for it with `anvil()` is skipped by name where it is not installed.
"""

from __future__ import annotations

import platform
import subprocess
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.evm_ledger import EvmLedger
from counterfoil_loyalty.nodes import Nodes
from counterfoil_loyalty.rpc import Call, Fault, RpcNode

from tests.interop.node import FOLDER
from tests.loyalty.programme import NOW

NO_ANVIL: Final = "anvil not installed (run npm ci in tests/interop)"
RELAYER: Final = PointsSigner(b"\x31" * 32)
RELAYER_KEY: Final = b"\x31" * 32
RICH: Final = hex(10**24)


@dataclass
class Anvil:
    """A node that runs: its address, and its own commands."""

    url: str
    process: subprocess.Popen[str]

    def node(self) -> RpcNode:
        return RpcNode(fetcher(self.url), self.url)

    def do(self, method: str, *parameters: Json) -> Json:
        (answer,) = self.node().ask([Call(method, parameters)])
        assert not isinstance(answer, Fault), answer
        return answer

    def endow(self, account: Account = RELAYER.account) -> None:
        self.do("anvil_setBalance", account, RICH)

    def mine(self, at: int | None = None) -> None:
        if at is not None:
            self.do("evm_setNextBlockTimestamp", hex(at))
        self.do("evm_mine")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class AnvilLedger(EvmLedger):
    """An `EmbeddedLedger` over anvil, whose test says when there is a block."""

    def __init__(self, anvil: Anvil) -> None:
        anvil.endow()
        self._anvil = anvil
        nodes = Nodes([anvil.node()], clock=time.monotonic)
        super().__init__(nodes, relayer_key=RELAYER_KEY, finality=0)

    def make_block(self, now: int) -> bool:
        if now <= self.time():
            return False
        pending = self._anvil.do("txpool_status")
        assert isinstance(pending, dict)
        if pending["pending"] == "0x0":
            return False
        self._anvil.mine(now)
        return True


def ledger_on(
    anvils: Sequence[Anvil],
    *,
    key: bytes = RELAYER_KEY,
    exchange: Account | None = None,
    finality: int = 8,
    fee_cap_wei: int = 10**12,
) -> EvmLedger:
    nodes = Nodes([anvil.node() for anvil in anvils], clock=time.monotonic)
    return EvmLedger(
        nodes,
        relayer_key=key,
        exchange=exchange,
        finality=finality,
        fee_cap_wei=fee_cap_wei,
    )


def fetcher(url: str) -> GuardedFetcher:
    return GuardedFetcher(timeout_s=20, loopback_routes_unsafely={url: url})


def binary() -> Path:
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    name = f"anvil-{platform.system().lower()}-{machine.get(platform.machine(), '')}"
    return FOLDER / "node_modules" / "@foundry-rs" / name / "bin" / "anvil"


@contextmanager
def anvil(*options: str, at: int = NOW) -> Generator[Anvil]:
    """Run a node whose first block is stamped `at` (unix seconds)."""
    if not binary().is_file():
        pytest.skip(NO_ANVIL)
    command = [str(binary()), "--port", "0", "--accounts", "1", "--timestamp", str(at), *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/"
    )
    told = process.stdout
    assert told is not None
    # It tells of every call: whoever stopped reading would stop the node.
    listener = threading.Thread(target=lambda: [None for _ in told], daemon=True)
    try:
        address = next((it.split()[-1] for it in told if it.startswith("Listening on ")), None)
        assert address is not None, "anvil ended before it listened"
        listener.start()
        yield Anvil(f"http://{address}", process)
    finally:
        process.kill()
        process.wait()
        if listener.ident is not None:
            listener.join()
        told.close()
