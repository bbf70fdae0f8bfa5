"""The points service over the files of one folder, on the chain that a setting names.

    app = open_points(folder, chain_from("embedded"), stack, operator_key=key)

The folder keeps `points.sqlite3` (the outbox and the projection) and
`voucher.key`; beside them `chain.sqlite3` for a chain of our own, or
`relayer.key` for one that others run: who reads it spends the relayer's coins.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_service.access import load_or_create_key

from counterfoil_loyalty.app import create_app, create_app_without_points
from counterfoil_loyalty.chain import EmbeddedChainLedger, embedded_ledger
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.chain_setting import ChainSetting, Embedded, NoChain
from counterfoil_loyalty.chain_setting import Nodes as NodesSetting
from counterfoil_loyalty.common_contracts import VERSION
from counterfoil_loyalty.customer_limit import CustomerLimit
from counterfoil_loyalty.evm_ledger import EvmLedger
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import Ledger
from counterfoil_loyalty.nodes import Nodes
from counterfoil_loyalty.relayer import Relayer, Ticker
from counterfoil_loyalty.rpc import RpcNode
from counterfoil_loyalty.service import PointsService
from counterfoil_loyalty.sql_earn_lists import SqlEarnLists
from counterfoil_loyalty.sql_rules_book import SqlRulesBook
from counterfoil_loyalty.sql_store import SqlStore, open_store

if TYPE_CHECKING:
    from counterfoil_service.serving import AsgiApp

CHAIN: Final = "chain.sqlite3"
DATABASE: Final = "points.sqlite3"
RELAYER_KEY: Final = "relayer.key"
VOUCHER_KEY: Final = "voucher.key"

WISHES_PER_HOUR: Final = 120
"""What one customer may ask for where the operator pays the chain for each."""

_NODE_TIMEOUT_S: Final = 10.0


def open_points(
    folder: Path,
    chain: ChainSetting,
    stack: ExitStack,
    *,
    operator_key: str,
    database: str | None = None,
) -> "AsgiApp":
    """Give the points service; `stack` closes what it opens.

    `operator_key` is the bearer key of whoever admits brands. `database` is a
    `postgresql://` URL for the outbox and the projection, in place of the file.

    The exchange and every brand's points that were there are there again, and
    whatever was under way when the last process ended is taken up.
    """
    service = open_service(folder, chain, stack, database=database)
    if service is None:
        return create_app_without_points()
    return create_app(service, Ticker(service.relayer, _clock), operator_key=operator_key)


def open_service(
    folder: Path, chain: ChainSetting, stack: ExitStack, *, database: str | None = None
) -> PointsService | None:
    """Give what `open_points` serves, without HTTP and without turns; None without a chain."""
    if isinstance(chain, NoChain):
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = _ledger(folder, chain, stack)
    opened = open_store(folder / DATABASE if database is None else database)
    stack.callback(opened.close)
    store = SqlStore(opened)
    relayer = Relayer(ledger, store, limit=limit_on(chain, _clock))
    relayer.start()
    voucher_secret = load_or_create_key(folder / VOUCHER_KEY).encode()
    return PointsService(
        relayer,
        store,
        _clock,
        voucher_secret=voucher_secret,
        rules=SqlRulesBook(opened),
        earn_lists=SqlEarnLists(opened),
    )


def limit_on(chain: ChainSetting, clock: Callable[[], int]) -> CustomerLimit | None:
    """Give what bounds each customer's wishes: none on our own chain, which costs nobody anything.

    It counts in this process and begins anew with it: it guards the operator's coins
    against a flood, and no promise to anybody stands on it.
    """
    if isinstance(chain, NodesSetting):
        return CustomerLimit(most=WISHES_PER_HOUR, per_s=3_600, clock=clock)
    return None


def open_reader(chain: ChainSetting, stack: ExitStack) -> Ledger:
    """Give a chain that others run for reading alone: its relayer's key is kept nowhere."""
    if not isinstance(chain, NodesSetting):
        raise Misuse("expected addresses of a chain's nodes, found a chain of one service")
    return _ledger_of(chain, secrets.token_bytes(32), stack)


def move_programme(folder: Path) -> int:
    """Begin a programme of this package's contracts on the chain in `folder`; give its version.

    Nothing of the programme before is lost: its points stay where they are until they
    move (succession.py), and its outbox is kept as `points.1.sqlite3` (its version).
    Doing it again, also after it was cut off, changes nothing.

    Raises `Misuse` while a transaction of the programme before waits, `Unavailable`
    while a service has the folder.
    """
    database = folder / DATABASE
    if not (folder / CHAIN).exists():
        raise Misuse(f"expected a chain in the folder ({CHAIN}), found none")
    chain = EmbeddedChain(folder / CHAIN, now=_clock(), random=secrets.token_bytes)
    with ExitStack() as stack:
        stack.callback(chain.close)
        relayer = EmbeddedChainLedger(chain).relayer
        opened = open_store(database)
        stack.callback(opened.close)
        store = SqlStore(opened)
        if store.waiting(relayer):
            raise Misuse(
                "expected an outbox without waiting transactions, found some: "
                "let the service finish them first"
            )
        chain.begin_programme()
        earlier = max((it for it in chain.programmes if it != VERSION), default=0)
        try:
            store.bind(EmbeddedChainLedger(chain).identity)
        except Misuse:
            # It is that of the programme before: kept beside, for its history.
            opened.close()
            database.replace(folder / f"points.{earlier}.sqlite3")
    return VERSION


def relayer_key(folder: Path) -> bytes:
    """Give the key of the relayer on a chain that others run, made when it is missing."""
    return keccak256(load_or_create_key(folder / RELAYER_KEY).encode())


def _ledger(folder: Path, chain: Embedded | NodesSetting, stack: ExitStack) -> Ledger:
    if isinstance(chain, Embedded):
        ledger = embedded_ledger(folder / CHAIN, now=_clock(), random=secrets.token_bytes)
        stack.callback(ledger.close)
        return ledger
    return _ledger_of(chain, relayer_key(folder), stack)


def _ledger_of(chain: NodesSetting, key: bytes, stack: ExitStack) -> EvmLedger:
    fetcher = GuardedFetcher(
        timeout_s=_NODE_TIMEOUT_S,
        loopback_routes_unsafely={origin: origin for origin in chain.loopback_origins},
    )
    nodes = Nodes([RpcNode(fetcher, url) for url in chain.urls], clock=time.monotonic)
    stack.callback(nodes.close)
    return EvmLedger(
        nodes,
        relayer_key=key,
        exchange=chain.exchange,
        finality=chain.finality,
        first_block=chain.first_block,
    )


def _clock() -> int:
    return int(time.time())
