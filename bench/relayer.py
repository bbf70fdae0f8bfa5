"""Relay awards to a real node at least eight times as fast as web3.py's `transact`.

Both pay with a key of their own on one anvil (npm, tests/interop), which puts each
transaction into a block as it comes. Ours are checked, signed, stored on the disk
(SQLite, `synchronous=FULL`) and sent, asked for by sixty-four threads as a service
is; theirs are signed by the middleware and sent, one after the other. Neither
waits for the receipts; at the end every award must be on the chain.
"""

import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.actions import AwardPoints, CreatePoints
from counterfoil_loyalty.evm_ledger import EvmLedger
from counterfoil_loyalty.intents import Award, Registration, sign_by_brand
from counterfoil_loyalty.nodes import Nodes
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.rpc import RpcNode
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_service.sql import Database

from bench.measure import DISK, Operation, Other, Sampler
from tests.loyalty.anvil import anvil, binary

_BRAND: Final = PointsSigner(b"\x01" * 32)
_RELAYER: Final = b"\x31" * 32
_OTHER: Final = b"\x32" * 32
_THREADS: Final = 64


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give awards by our relayer and by web3.py, to one node."""
    if not binary().is_file():
        name = "@foundry-rs/anvil"
        raise ModuleNotFoundError(
            f"expected {name} (npm ci in tests/interop), found none", name=name
        )
    count = 8 if quick else 400
    with ExitStack() as stack:
        node = stack.enter_context(anvil())
        for key in (_RELAYER, _OTHER):
            node.endow(PointsSigner(key).account)
        where = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=DISK)))
        bench = _Bench(node.url, where, stack)
        yield Operation(
            name=f"award, {count} on anvil",
            ours=bench.ours(count),
            others=[
                Other(
                    name="web3.py transact, signing middleware",
                    sampler=bench.theirs(max(2, count // 8)),
                    floor=8,
                )
            ],
            rounds=5,
        )
        bench.require_all_minted()


class _Bench:
    """A programme on the node, and both ways to award in it."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self._url = url
        fetcher = GuardedFetcher(timeout_s=30, loopback_routes_unsafely={url: url})
        self._node = RpcNode(fetcher, url)
        nodes = Nodes([self._node], clock=time.monotonic)
        stack.callback(nodes.close)
        self._ledger = EvmLedger(nodes, relayer_key=_RELAYER, finality=0)
        database = Database.open(folder / "points.sqlite3", METADATA, version=SCHEMA_VERSION)
        stack.callback(database.close)
        self._store = SqlStore(database)
        self._relayer = Relayer(self._ledger, self._store)
        self._relayer.start()
        self._turn()
        registration = Registration(
            brand="https://audio.example",
            name="Points",
            symbol="PTS",
            issuer=_BRAND.account,
            price=1,
        )
        venue = self._ledger.identity.venue
        signature = sign_by_brand(registration, venue, _BRAND)
        self._relayer.accept(CreatePoints(registration, signature))
        self._turn()
        self._token = self._store.brands()[0].token
        self._orders = itertools.count(1)
        self._pool = stack.enter_context(ThreadPoolExecutor(_THREADS))

    def ours(self, count: int) -> Sampler:
        def sample() -> float:
            actions = [self._award() for _ in range(count)]
            began = time.perf_counter()
            list(self._pool.map(self._relayer.accept, actions))
            return (time.perf_counter() - began) / count

        return sample

    def theirs(self, count: int) -> Sampler:
        transact = self._transact()

        def sample() -> float:
            actions = [self._award() for _ in range(count)]
            began = time.perf_counter()
            for action in actions:
                transact(action)
            return (time.perf_counter() - began) / count

        return sample

    def require_all_minted(self) -> None:
        """Neither has only said so: each award is on the chain."""
        self._turn()
        held = self._ledger.balance(self._token, _BRAND.account)
        expected = next(self._orders) - 1
        if held != expected:
            raise ValueError(f"expected {expected} awards on the chain, found {held}")

    def _turn(self) -> None:
        for _ in range(100):
            self._relayer.turn(int(time.time()))
            if self._relayer.is_idle():
                return
            time.sleep(0.05)

    def _award(self) -> AwardPoints:
        ref = next(self._orders).to_bytes(32, "big")
        award = Award(token=self._token, to=_BRAND.account, amount=1, ref=ref)
        return AwardPoints(award, sign_by_brand(award, self._ledger.identity.venue, _BRAND))

    def _transact(self) -> Callable[[AwardPoints], object]:
        from eth_account import Account as EthAccount  # noqa: PLC0415
        from web3 import HTTPProvider, Web3  # noqa: PLC0415
        from web3.middleware import SignAndSendRawMiddlewareBuilder  # noqa: PLC0415

        web3 = Web3(HTTPProvider(self._url))
        account: Any = EthAccount.from_key(_OTHER)
        builder: Any = SignAndSendRawMiddlewareBuilder
        web3.middleware_onion.inject(builder.build(account), layer=0)
        artifact = files("counterfoil_loyalty").joinpath("contracts/BrandPoints.json")
        contract: Any = web3.eth.contract(
            address=Web3.to_checksum_address(self._token),
            abi=json.loads(artifact.read_text("utf-8"))["abi"],
        )

        def transact(action: AwardPoints) -> object:
            call = contract.functions.award(*action.award.values, action.signature)
            return call.transact({"from": account.address})

        return transact
